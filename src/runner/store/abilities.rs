//! What the file system under a cache can do, tried for real: `doctor` asks.
//!
//! Knows nothing of what is in the store. Tried with small files in a temporary folder rather than read off the name of the
//! file system, since mounts, quotas and network servers decline what others of their name can do. Leaves nothing behind.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use rustix::fs::Access as Rights;

use super::error::{At, Error};
use super::objects::clone_blocks;
use super::publish::host;
use super::{FOLDERS, Store, read_version, refuse_somebody_s_folder};

/// What works there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// Files can share blocks, so that a copy costs no space.
    pub reflinks: bool,
    /// A file can have two names.
    pub hard_links: bool,
    /// A lock that one holds is refused to another. Without, no run can lease a key.
    pub locks: bool,
    /// Bytes that may still be written.
    pub free: u64,
}

/// Tries what a run would need of the cache at `root`. One that isn't there is not made: what will be above it is tried.
///
/// # Errors
/// Those of [`Store::open`](super::Store::open), for the same reasons.
pub fn abilities(root: &Path) -> Result<Abilities, Error> {
    refuse_somebody_s_folder(root)?;
    if root.join("version").exists() {
        read_version(root)?;
        for folder in FOLDERS.iter().map(|folder| root.join(folder)).filter(|folder| folder.exists()) {
            let allowed = rustix::fs::access(&folder, Rights::WRITE_OK | Rights::EXEC_OK).map_err(io::Error::from);
            allowed.map_err(|source| refused(root, source))?;
        }
    }
    let tmp = std::path::absolute(root).at("resolve", root)?.join("tmp");
    let folder = tmp.ancestors().find(|place| place.exists()).expect("the root of the file system is always there");
    // Called as everything in `tmp/` is, so that what a kill leaves is swept like the rest.
    let owner = format!("{}.{}.", host(), std::process::id());
    let tried = tempfile::Builder::new().prefix(&owner).tempdir_in(folder);
    let tried = tried.map_err(|source| refused(root, source))?;
    let [first, second, linked] = ["first", "second", "linked"].map(|name| tried.path().join(name));
    fs::write(&first, b"what is shared").at("write", &first)?;
    let target = File::create(&second).at("make", &second)?;
    let opened = File::open(&first).at("open", &first)?;
    let space = rustix::fs::statvfs(folder).map_err(io::Error::from).at("look at", folder)?;
    Ok(Abilities {
        reflinks: clone_blocks(&opened, &target).is_ok(),
        hard_links: fs::hard_link(&first, &linked).is_ok(),
        locks: excludes(&opened, &first),
        free: space.f_bavail.saturating_mul(space.f_frsize),
    })
}

impl Store {
    /// Bytes that are free where the cache lies, where the system tells.
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

/// Does a lock on one opening of a file keep out another opening of it?
fn excludes(held: &File, path: &Path) -> bool {
    held.try_lock().is_ok()
        && File::open(path).is_ok_and(|other| matches!(other.try_lock(), Err(TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn trying_leaves_nothing_and_makes_no_cache() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("deep/cache");
        let before = abilities(&cache).unwrap();
        assert!(before.locks && before.free > 0);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let store = Store::open(&cache).unwrap();
        let after = abilities(&cache).unwrap();
        assert_eq!((before.reflinks, before.hard_links, before.locks), (after.reflinks, after.hard_links, after.locks));
        assert_eq!(after.reflinks, store.can_clone());
        assert_eq!(fs::read_dir(cache.join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn what_a_run_would_refuse_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        Store::open(&cache).unwrap();
        fs::write(cache.join("version"), "intrada store 99\n").unwrap();
        assert!(matches!(abilities(&cache), Err(Error::NewerVersion { found: 99, .. })));
        let foreign = dir.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("thesis.tex"), "").unwrap();
        assert!(matches!(abilities(&foreign), Err(Error::Occupied { .. })));
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(abilities(&file.join("cache")), Err(Error::Io { .. })));
    }
}
