//! Healing: restores damaged or missing objects from places where runs put their content, or from an upstream.
//!
//! Trusts no place: a file becomes an object only if its content matches; the rest of an output is read only to rebuild the
//! listings of its folders.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::artifact::Kind;
use super::error::{At, Error};
use super::index::PlacedOutput;
use super::stat::Stat;
use super::tree::{Leaf, Visitor, WalkError, fold};
use super::workspace::Workspace;
use super::{Health, Store, Take};
use crate::digest::{Digest, FileDigest};

impl Store {
    /// Stores again those of the `wanted` objects that some workspace or upstream has. Returns their number.
    pub(super) fn heal(&self, wanted: &HashSet<FileDigest>, workspaces: &[Workspace]) -> Result<u64, Error> {
        let healer = Healer { store: self, wanted, healed: AtomicU64::new(0) };
        for workspace in workspaces {
            let Some(root) = workspace.root.as_ref().filter(|_| !workspace.is_gone) else { continue };
            let outputs = workspace.index.stages.values().flat_map(|record| &record.outputs);
            let has_wanted = |output: &&PlacedOutput| output.entries.iter().any(|entry| wanted.contains(&entry.object));
            for output in outputs.filter(has_wanted) {
                // It may have been removed or replaced since.
                let path = root.join(&output.path);
                let _ = match output.artifact.kind {
                    Kind::Folder => fold(&path, &healer).map(drop),
                    Kind::File { .. } => healer.file(&path).map(drop),
                };
            }
        }
        let mut left = Vec::new();
        for object in wanted {
            if !matches!(self.check(*object)?, Health::Intact(_)) {
                left.push(*object);
            }
        }
        Ok(healer.healed.into_inner() + self.pull(&left)? as u64)
    }
}

struct Healer<'a> {
    store: &'a Store,
    wanted: &'a HashSet<FileDigest>,
    healed: AtomicU64,
}

impl Healer<'_> {
    /// Whether it still has to be stored. Two places may have it.
    fn wants(&self, object: FileDigest) -> Result<bool, Error> {
        Ok(self.wanted.contains(&object) && !matches!(self.store.check(object)?, Health::Intact(_)))
    }
}

impl Visitor for Healer<'_> {
    type Error = Error;

    fn file(&self, path: &Path) -> Result<Leaf, Error> {
        let stat = Stat::of_itself(path).at("look at", path)?;
        if !stat.is_file() {
            return Err(WalkError::Special { path: path.to_owned() }.into());
        }
        let object = FileDigest(Digest::of_file(path).at("read", path)?.0);
        if self.wants(object)? && self.store.insert(path, Take::Copy)?.object == object {
            self.healed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Leaf { object, executable: stat.is_executable(), size: stat.size })
    }

    fn bytes(&self, _path: &Path, bytes: &[u8]) -> Result<FileDigest, Error> {
        let object = FileDigest(Digest::of(bytes));
        if self.wants(object)? {
            self.store.insert_bytes(bytes)?;
            self.healed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(object)
    }
}
