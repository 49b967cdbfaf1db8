//! What is already at a destination: whether it is right, and whether it was edited by hand.
//!
//! Knows nothing of how a destination is replaced. A folder is read by the same walk that stores one, so "right" means
//! exactly: equal to what would be stored.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::artifact::{Artifact, Kind};
use super::error::{At, Error};
use super::layout::Item;
use super::stat::{Stat, set_back_where_possible};
use super::tree::{Leaf, Visitor, fold};
use super::{Placement, Store};
use crate::digest::{Digest, FileDigest};

/// The state of a destination.
pub(super) struct Present {
    /// Whether it is the artifact, in a state fit for the requested placement.
    pub(super) is_right: bool,
    /// Its files and links, relative to the destination, that the store doesn't have and so can't restore.
    edited: Vec<PathBuf>,
    /// The objects of the others.
    objects: Vec<FileDigest>,
    /// All its files and links, with their stats before they were read.
    pub(super) stats: Stats,
}

/// Files and links by their path relative to the artifact, with their stats when their content was known.
pub(super) type Stats = HashMap<PathBuf, Stat>;

impl Store {
    /// Reads the destination; `None` if it doesn't exist.
    pub(super) fn look(
        &self,
        artifact: &Artifact,
        items: &[Item],
        destination: &Path,
        placement: Placement,
    ) -> Result<Option<Present>, Error> {
        let stat = match Stat::of_itself(destination) {
            Ok(stat) => stat,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(error) => return Err(error).at("look at", destination),
        };
        let look = Look::new(self, items);
        let found = if stat.is_folder() {
            Some(fold(destination, &look)?)
        } else if stat.is_file() {
            let Leaf { object, executable, size } = look.file(destination)?;
            Some(Artifact { kind: Kind::File { executable }, object, size, files: 1 })
        } else {
            // An artifact is no link, and a link's target stays. The link itself may be a person's.
            if stat.is_link() {
                look.bytes(destination, &[])?;
            }
            None
        };
        let writes_through = placement == Placement::Writable && look.shares_objects.into_inner();
        let is_right = found.is_some_and(|found| found.digest() == artifact.digest())
            && !writes_through
            && !look.met_special.into_inner();
        let leaves = look.leaves.into_inner().expect("no code panics while it holds this list");
        let mut present = Present { is_right, edited: Vec::new(), objects: Vec::new(), stats: Stats::new() };
        for (path, object, stat) in leaves {
            let path = path.strip_prefix(destination).map(Path::to_owned).unwrap_or(path);
            if self.object_path(object).exists() {
                present.objects.push(object)
            } else {
                present.edited.push(path.clone())
            }
            present.stats.insert(path, stat);
        }
        Ok(Some(present))
    }

    /// The destination was removed. If it held hard links, that changed its objects' change times; other outputs with the
    /// same objects must not be taken for edited.
    pub(super) fn note_taken_away(&self, present: &Present) {
        for object in &present.objects {
            if let Ok(stat) = Stat::of_itself(&self.object_path(*object)) {
                self.verified().renew(*object, stat);
            }
        }
    }

    /// Moves the edited files at `destination` to `orphans/`, and returns their path if there were any.
    pub(super) fn set_aside(&self, present: &Present, destination: &Path) -> Result<Option<PathBuf>, Error> {
        match &present.edited[..] {
            [] => Ok(None),
            [file] if file.as_os_str().is_empty() => self.orphan(destination, destination).map(Some),
            files => self.orphan_files(destination, files).map(Some),
        }
    }
}

/// Walks a destination and collects its contents.
struct Look {
    /// Device and inode of the artifact's objects: a hard link to one of them needs no hashing.
    objects: HashMap<(u64, u64), FileDigest>,
    /// With the stat that was taken before reading the content.
    leaves: Mutex<Vec<(PathBuf, FileDigest, Stat)>>,
    /// Whether there is a hard link to an object. Writing to it would damage the store.
    shares_objects: AtomicBool,
    /// Whether there is anything without content, such as a pipe. It holds no work and is removed with the rest.
    met_special: AtomicBool,
}

impl Look {
    fn new(store: &Store, items: &[Item]) -> Look {
        let stats =
            items.iter().filter_map(|item| Some((item, Stat::of_itself(&store.object_path(item.object)).ok()?)));
        let objects = stats.map(|(item, stat)| ((stat.dev, stat.ino), item.object)).collect();
        Look {
            objects,
            leaves: Mutex::default(),
            shares_objects: AtomicBool::new(false),
            met_special: AtomicBool::new(false),
        }
    }

    fn note(&self, path: &Path, object: FileDigest, stat: Stat) {
        self.leaves.lock().expect("no code panics while it holds this list").push((path.to_owned(), object, stat));
    }
}

impl Visitor for Look {
    type Error = Error;

    fn file(&self, path: &Path) -> Result<Leaf, Error> {
        let mut stat = Stat::of_itself(path).at("look at", path)?;
        let object = if let Some(object) = self.objects.get(&(stat.dev, stat.ino)) {
            self.shares_objects.store(true, Ordering::Relaxed);
            *object
        } else {
            // The time of another user's file can't be set back. Its content is compared all the same.
            stat = set_back_where_possible(path).unwrap_or(stat);
            FileDigest(Digest::of_file(path).at("read", path)?.0)
        };
        self.note(path, object, stat);
        Ok(Leaf { object, executable: stat.is_executable(), size: stat.size })
    }

    fn bytes(&self, path: &Path, bytes: &[u8]) -> Result<FileDigest, Error> {
        let stat = Stat::of_itself(path).at("look at", path)?;
        if !stat.is_link() {
            return Ok(FileDigest(Digest::of(bytes)));
        }
        // Read once more, as the stat must be older than the content that it stands for.
        let target = fs::read_link(path).at("read", path)?;
        let object = FileDigest(Digest::of(target.as_os_str().as_bytes()));
        self.note(path, object, stat);
        Ok(object)
    }

    fn special(&self, _path: &Path) -> Result<(), Error> {
        self.met_special.store(true, Ordering::Relaxed);
        Ok(())
    }
}
