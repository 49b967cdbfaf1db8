//! The contents of an artifact, read from its listings: every file, link and folder with its path and object.
//!
//! Knows no destination. A damaged or missing object anywhere makes the whole artifact a miss, and is found here, before
//! anything in the workspace is touched.

use std::path::PathBuf;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::artifact::{Artifact, Kind};
use super::error::Error;
use super::listing::{EntryKind, Listing};
use super::stat::Stat;
use super::{Health, Store};
use crate::digest::{Digest, FileDigest};

/// One file, link or folder of an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Relative to the artifact; empty for the artifact itself.
    pub(super) path: PathBuf,
    pub(super) kind: EntryKind,
    pub(super) object: FileDigest,
}

impl Store {
    /// Whether `artifact` could be restored, from here or from an upstream. Hashes objects not known to be intact. A
    /// damaged file stays in place, for a restore to find; listings are read as usual, so a store that must not change has
    /// to be opened with [`Store::look_at`].
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn could_restore(&self, artifact: &Artifact) -> Result<bool, Error> {
        let items = match self.layout(artifact) {
            Ok(items) => items,
            Err(error) if error.is_miss() => return Ok(false),
            Err(error) => return Err(error),
        };
        let is_absent = |object: &FileDigest| {
            let path = self.object_path(*object);
            let is_known = Stat::of_itself(&path).is_ok_and(|stat| self.verified().confirms(*object, &stat));
            let is_intact = || Digest::of_file(&path).is_ok_and(|(digest, _)| FileDigest(digest) == *object);
            !is_known && !is_intact()
        };
        Ok(self.could_pull(items.par_iter().map(|item| item.object).filter(is_absent).collect()))
    }

    /// The items of `artifact`, each folder before its contents. Reads only listings.
    pub(super) fn layout(&self, artifact: &Artifact) -> Result<Vec<Item>, Error> {
        let kind = match artifact.kind {
            Kind::File { executable } => EntryKind::File { executable },
            Kind::Folder => EntryKind::Folder,
        };
        let mut items = vec![Item { path: PathBuf::new(), kind, object: artifact.object }];
        let mut next = 0;
        while next < items.len() {
            if items[next].kind == EntryKind::Folder {
                let path = items[next].path.clone();
                let listing = self.listing(artifact, items[next].object)?;
                let below = listing.entries().iter();
                items.extend(below.map(|entry| Item {
                    path: path.join(&entry.name),
                    kind: entry.kind,
                    object: entry.object,
                }));
            }
            next += 1;
        }
        Ok(items)
    }

    /// Like [`Store::layout`], with all objects verified. Missing objects are first copied from an upstream.
    pub(super) fn verified_layout(&self, artifact: &Artifact) -> Result<Vec<Item>, Error> {
        let items = self.layout(artifact)?;
        let is_absent = |found: &(FileDigest, Health)| !matches!(found.1, Health::Intact(_));
        let mut absent: Vec<(FileDigest, Health)> = self.check_all(&items)?.into_iter().filter(is_absent).collect();
        if self.pull(&Vec::from_iter(absent.iter().map(|(object, _)| *object)))? > 0 {
            let check = |(object, health): (FileDigest, Health)| match self.check(object)? {
                Health::Intact(_) => Ok(None),
                _ => Ok(Some((object, health))),
            };
            let left = absent.into_iter().map(check).collect::<Result<Vec<_>, Error>>()?;
            absent = left.into_iter().flatten().collect();
        }
        match absent.first() {
            None => Ok(items),
            Some((object, Health::Damaged)) => Err(Error::Damaged { artifact: artifact.digest(), object: *object }),
            Some((object, _)) => Err(Error::Missing { artifact: artifact.digest(), object: *object }),
        }
    }

    fn check_all(&self, items: &[Item]) -> Result<Vec<(FileDigest, Health)>, Error> {
        let check = |item: &Item| match item.kind {
            // Listings were verified when read.
            EntryKind::Folder => Ok(None),
            _ => self.check(item.object).map(|health| Some((item.object, health))),
        };
        let checked: Vec<Result<Option<(FileDigest, Health)>, Error>> = if items.len() < super::tree::WORTH_THREADS {
            items.iter().map(check).collect()
        } else {
            items.par_iter().map(check).collect()
        };
        Ok(checked.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    fn listing(&self, artifact: &Artifact, object: FileDigest) -> Result<Listing, Error> {
        let was_there = self.object_path(object).exists();
        match self.read(object)? {
            // Intact but not a listing: from another version, or a wrong trace. It can't be restored either way.
            Some(bytes) => Listing::decode(&bytes).map_err(|_| Error::Damaged { artifact: artifact.digest(), object }),
            None if was_there => Err(Error::Damaged { artifact: artifact.digest(), object }),
            None => Err(Error::Missing { artifact: artifact.digest(), object }),
        }
    }
}
