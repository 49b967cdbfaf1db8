//! What the file system of a cache supports, found by trying: for `doctor`.
//!
//! Knows nothing of the store's contents. Tries operations on small temporary files instead of going by the file system's
//! name, since mounts, quotas and network servers refuse operations that others of their type support. Leaves nothing
//! behind.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::Access as Rights;

use super::answer::{is_lack_of_room, is_refusal};
use super::choice::Choice;
use super::error::{At, Error};
use super::kernel::excludes;
use super::objects::clone_blocks;
use super::publish::{host, protect, sync_files};
use super::stat::Stat;
use super::{FOLDERS, Store, read_version, refuse_somebody_s_folder};

/// The supported operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Files can share blocks, so that a copy takes no space.
    pub reflinks: bool,
    /// A file can have two names.
    pub hard_links: bool,
    /// A lock of the kernel excludes other processes of this machine.
    pub locks: bool,
    /// The kind of locks that a run uses.
    pub choice: Choice,
    /// Free bytes.
    pub free: u64,
    /// Free inodes, where their number is fixed.
    pub free_files: Option<u64>,
    /// Missing features that a run can do without.
    pub lacks: Vec<Lacks>,
}

/// A missing feature that a run can do without, but that has consequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacks {
    /// Folders can't be synced to the disk.
    FolderSync,
    /// Files can't be write-protected.
    Protection,
    /// Times of files can't be set.
    Times,
    /// No symbolic links.
    SymbolicLinks,
    /// No names of 255 bytes.
    LongNames,
    /// Names are case-insensitive.
    Case,
    /// New files belong to somebody else: a server takes root for nobody (root squash).
    Ownership,
}

impl Lacks {
    /// The missing feature and its consequence.
    pub fn words(self) -> &'static str {
        match self {
            Lacks::FolderSync => {
                "folders can't be synced: a power failure may lose the latest results, which are then re-computed"
            }
            Lacks::Protection => "files can't be write-protected: an edited object is detected and re-computed",
            Lacks::Times => "times of files can't be set: outputs are read once more before they count as up to date",
            Lacks::SymbolicLinks => "no symbolic links: an output that contains one can't be restored",
            Lacks::LongNames => "no names of 255 bytes: an output with such a name can't be restored",
            Lacks::Case => "names are case-insensitive: outputs whose names differ only in case overwrite each other",
            Lacks::Ownership => {
                "new files belong to another user, as a server takes this one for nobody (root squash): work as the user who owns the data"
            }
        }
    }
}

/// Tries every operation that a run needs of the cache at `root`. Doesn't create a missing cache: it tries its nearest
/// existing parent.
///
/// # Errors
/// Those of [`Store::open`](super::Store::open), for the same reasons; [`Error::Unfit`] if a required operation fails.
pub fn capabilities(root: &Path) -> Result<Capabilities, Error> {
    refuse_somebody_s_folder(root)?;
    read_version(root)?;
    for folder in FOLDERS.iter().map(|folder| root.join(folder)).filter(|folder| folder.exists()) {
        let allowed = rustix::fs::access(&folder, Rights::WRITE_OK | Rights::EXEC_OK).map_err(io::Error::from);
        allowed.map_err(|source| refused(root, source))?;
    }
    let tmp = std::path::absolute(root).at("resolve", root)?.join("tmp");
    let folder = tmp.ancestors().find(|place| place.exists()).expect("the root of the file system is always there");
    // Named like everything in `tmp/`, so that the usual cleanup removes what a kill leaves.
    let owner = format!("{}.{}.", host(), std::process::id());
    let tried = tempfile::Builder::new().prefix(&owner).tempdir_in(folder);
    let tried = tried.map_err(|source| refused(root, source))?;
    try_all(tried.path(), folder, Choice::look(root, folder)?)
}

fn try_all(place: &Path, folder: &Path, choice: Choice) -> Result<Capabilities, Error> {
    let needed = |needs: &'static str, result: io::Result<()>| {
        result.map_err(|source| {
            if is_lack_of_room(&source) {
                Error::Io { action: "write into", path: folder.to_owned(), source }
            } else {
                Error::Unfit { path: folder.to_owned(), needs, source }
            }
        })
    };
    let [first, second, linked, below] = ["first", "second", "linked", "below"].map(|name| place.join(name));
    needed("writes files", fs::write(&first, b"what is shared"))?;
    sync_files(&[&first])?;
    needed("makes folders", fs::create_dir_all(below.join("deep")))?;
    needed("renames folders", fs::rename(&below, place.join("renamed")))?;
    needed("replaces files by renaming", fs::write(&second, b"").and_then(|()| fs::rename(&first, &second)))?;
    needed("appends to files", File::options().append(true).open(&second).and_then(|mut file| file.write_all(b".")))?;
    let first = second;
    let target = File::create(place.join("target")).at("make", place)?;
    let opened = File::open(&first).at("open", &first)?;
    let space = rustix::fs::statvfs(folder).map_err(io::Error::from).at("look at", folder)?;
    Ok(Capabilities {
        reflinks: clone_blocks(&opened, &target).is_ok(),
        hard_links: fs::hard_link(&first, &linked).is_ok(),
        locks: excludes(&opened, &first),
        choice,
        free: space.f_bavail.saturating_mul(space.f_frsize),
        free_files: (space.f_files > 0).then_some(space.f_favail),
        lacks: lacks(place)?,
    })
}

/// The missing optional features, tried in an empty folder.
fn lacks(place: &Path) -> Result<Vec<Lacks>, Error> {
    let file = place.join("file");
    fs::write(&file, b"content").at("write", &file)?;
    let is_refused = |result: io::Result<()>| result.is_err_and(|error| is_refusal(&error));
    let mut lacks = Vec::new();
    if is_refused(File::open(place).and_then(|folder| folder.sync_all())) {
        lacks.push(Lacks::FolderSync);
    }
    if !keeps_times(&file) {
        lacks.push(Lacks::Times);
    }
    let user = rustix::process::geteuid().as_raw();
    if file.metadata().at("look at", &file)?.uid() != user {
        lacks.push(Lacks::Ownership);
    }
    protect(&file)?;
    if Stat::of_itself(&file).at("look at", &file)?.mode & 0o222 != 0 {
        lacks.push(Lacks::Protection);
    }
    if std::os::unix::fs::symlink("file", place.join("link")).is_err() {
        lacks.push(Lacks::SymbolicLinks);
    }
    // Anything but the length would have failed above.
    let long = fs::write(place.join("n".repeat(255)), b"");
    if long.is_err_and(|error| matches!(error.kind(), ErrorKind::InvalidFilename | ErrorKind::InvalidInput)) {
        lacks.push(Lacks::LongNames);
    }
    if place.join("FILE").exists() {
        lacks.push(Lacks::Case);
    }
    Ok(lacks)
}

/// Whether a file has the time that it is given. Some file systems report success without setting it.
fn keeps_times(file: &Path) -> bool {
    let past = SystemTime::UNIX_EPOCH + Duration::from_secs(24 * 3600);
    let set = File::options().write(true).open(file).and_then(|opened| opened.set_modified(past));
    set.is_ok() && fs::metadata(file).and_then(|found| found.modified()).is_ok_and(|time| time == past)
}

impl Store {
    /// Free bytes on the file system of the cache, if known.
    pub fn free(&self) -> Option<u64> {
        rustix::fs::statvfs(&self.root).ok().map(|space| space.f_bavail.saturating_mul(space.f_frsize))
    }
}

fn refused(root: &Path, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Error::ReadOnly { path: root.to_owned(), source }
        }
        _ => Error::Io { action: "write to", path: root.to_owned(), source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn trying_leaves_nothing_and_makes_no_cache() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("deep/cache");
        let before = capabilities(&cache).unwrap();
        assert!(before.locks && before.free > 0);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let store = Store::open(&cache).unwrap();
        let after = capabilities(&cache).unwrap();
        assert_eq!((before.reflinks, before.hard_links, before.locks), (after.reflinks, after.hard_links, after.locks));
        assert_eq!(before.lacks, after.lacks);
        assert_eq!(after.reflinks, store.can_clone());
        assert_eq!(fs::read_dir(cache.join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn what_a_run_would_refuse_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        let _store = Store::open(&cache).unwrap();
        fs::write(cache.join("version"), "intrada store 99\n").unwrap();
        assert!(matches!(capabilities(&cache), Err(Error::NewerVersion { found: 99, .. })));
        let foreign = dir.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("thesis.tex"), "").unwrap();
        assert!(matches!(capabilities(&foreign), Err(Error::Occupied { .. })));
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(capabilities(&file.join("cache")), Err(Error::Occupied { .. })));
    }
}
