//! Creates a cache folder, and removes it again if nothing was stored.
//!
//! Knows no key. A command that is refused (a stage that doesn't exist, a missing input) leaves nothing behind: a cache
//! that it created is removed on closing if it is empty. What other processes have put there meanwhile stays, and so does all of it
//! while another process has it open: each holds a shared lock of the cache folder itself, and who removes it an exclusive one.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access as Rights, FlockOperation, flock};

use super::error::{At, Error};
use super::stat::Stat;
use super::strange::names;
use super::{Store, choice, lock, strange};

/// An index larger than this covers some hundred files, which may have taken minutes to read: it is worth keeping.
const WORTH_KEEPING: u64 = 64 << 10;
/// The folders of results: if any holds something, the cache stays.
const RESULTS: [&str; 10] =
    ["objects", "traces", "items", "samples", "slots", "exec", "logs", "pins", "quarantine", "orphans"];

/// What opening the cache created, in this order.
#[derive(Debug, Default)]
pub(super) struct Made {
    root: PathBuf,
    /// Device and inode of the root: another folder of that name isn't ours to remove.
    identity: Option<(u64, u64)>,
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
    /// The locked root. `None` before, and on file systems without locks of folders.
    presence: Option<File>,
}

fn identity(root: &Path) -> Option<(u64, u64)> {
    Stat::of(root).ok().map(|stat| (stat.dev, stat.ino))
}

impl Made {
    /// Nothing yet, for the store at `root`.
    pub(super) fn of(root: &Path) -> Made {
        Made { root: root.to_owned(), identity: None, folders: Vec::new(), files: Vec::new(), presence: None }
    }

    /// Creates those of the folders that are missing, and keeps other processes from removing them.
    pub(super) fn make_and_stay(root: &Path, folders: &[&str]) -> Result<Made, Error> {
        let mut made = Made::of(root);
        loop {
            for folder in folders {
                made.make_writable(root, &root.join(folder))?;
            }
            let presence = File::open(root).at("open", root)?;
            if flock(&presence, FlockOperation::LockShared).is_err() {
                return Ok(made);
            }
            // Who made the cache may have removed it, or parts of it, before the lock was ours.
            let locked = presence.metadata().ok().map(|of| (of.dev(), of.ino()));
            if locked == identity(root) && folders.iter().all(|folder| root.join(folder).is_dir()) {
                made.presence = Some(presence);
                return Ok(made);
            }
        }
    }

    /// Creates `folder` of the store at `root` if it is missing. Done at the start, as a run that couldn't store its
    /// results would have computed them in vain.
    fn make_writable(&mut self, root: &Path, folder: &Path) -> Result<(), Error> {
        let is_allowed = || rustix::fs::access(folder, Rights::WRITE_OK | Rights::EXEC_OK).map_err(io::Error::from);
        if folder.is_dir() && is_allowed().is_ok() {
            return Ok(());
        }
        let absent: Vec<PathBuf> =
            folder.ancestors().take_while(|place| place.symlink_metadata().is_err()).map(Path::to_owned).collect();
        let made = strange::make_folder(root, folder);
        self.identity = identity(root);
        // The outermost first.
        self.folders.extend(absent.into_iter().rev().filter(|place| !place.as_os_str().is_empty()));
        match made.and_then(|()| is_allowed()) {
            Err(source) if matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
                Err(Error::ReadOnly { path: root.to_owned(), source })
            }
            result => result.at("make", folder),
        }
    }

    /// Adds a file that was created.
    pub(super) fn note(&mut self, file: Option<PathBuf>) {
        self.files.extend(file);
    }

    /// Whether it holds no result and no run is active in it.
    fn is_empty(&self) -> Result<bool, Error> {
        for folder in RESULTS {
            for name in names(&self.root.join(folder))? {
                let below = self.root.join(folder).join(name);
                if !below.is_dir() || !names(&below)?.is_empty() {
                    return Ok(false);
                }
            }
        }
        for workspace in names(&self.root.join("workspaces"))? {
            let workspace = self.root.join("workspaces").join(workspace);
            if workspace.join("index").metadata().is_ok_and(|index| index.len() > WORTH_KEEPING) {
                return Ok(false);
            }
            for run in names(&workspace.join("running"))? {
                if lock::living(&workspace.join("running").join(run), true)?.is_some() {
                    return Ok(false);
                }
            }
        }
        let locks = names(&self.root.join("locks"))?;
        Ok(names(&self.root.join("tmp"))?.is_empty() && locks.iter().all(|name| name == "gc" || name == choice::FILE))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // A cache that existed before stays, even if parts of it were recreated.
        let is_new = ["objects", "workspaces"].iter().all(|part| self.folders.contains(&self.root.join(part)));
        if !is_new || self.identity != identity(&self.root) {
            return;
        }
        let is_alone = |root: &File| flock(root, FlockOperation::NonBlockingLockExclusive).is_ok();
        if !self.presence.as_ref().is_none_or(is_alone) || !self.is_empty().unwrap_or(false) {
            return;
        }
        for name in names(&self.root.join("workspaces")).unwrap_or_default() {
            let _ = fs::remove_dir_all(self.root.join("workspaces").join(name));
        }
        let _ = fs::remove_file(self.root.join("locks/gc"));
        self.files.iter().for_each(|file| drop(fs::remove_file(file)));
        for folder in RESULTS {
            // Folders left after gc deleted their objects.
            for name in names(&self.root.join(folder)).unwrap_or_default() {
                let _ = fs::remove_dir(self.root.join(folder).join(name));
            }
        }
        // Folders that others have filled since stay.
        self.folders.iter().rev().for_each(|folder| drop(fs::remove_dir(folder)));
    }
}

impl Store {
    /// Writes one of the files that mark the folder as a store.
    pub(super) fn made_file(&mut self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.root.join(name);
        let is_new = path.symlink_metadata().is_err();
        self.publish_file(self.stage_bytes(text.as_bytes())?, &path)?;
        if is_new {
            self.made.files.push(path);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::FOLDERS;
    use super::*;

    #[test]
    fn a_cache_that_came_to_nothing_goes_with_the_folders_that_were_made_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("deep/er/cache");
        let store = Store::open(&cache).unwrap();
        drop(store.visit(dir.path()).unwrap());
        drop(store.hold().unwrap());
        drop(store);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_cache_with_anything_in_it_or_somebody_at_work_in_it_stays() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        let store = Store::open(&cache).unwrap();
        store.insert_bytes(b"one").unwrap();
        drop(store);
        assert!(cache.join("version").exists());
        let cache = dir.path().join("other");
        let first = Store::open(&cache).unwrap();
        let second = Store::open(&cache).unwrap();
        let visit = second.visit(dir.path()).unwrap();
        drop(first);
        assert!(!second.was_deleted());
        drop(visit);
        drop(second);
        assert!(cache.join("version").exists(), "who found it there doesn't take it away");
    }

    #[test]
    fn a_cache_that_others_open_while_it_is_removed_is_there_for_them() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let store = Store::open(&cache).unwrap();
                        assert!(FOLDERS.iter().all(|folder| cache.join(folder).is_dir()) && !store.was_deleted());
                        assert!(cache.join("version").is_file());
                        store.stage_bytes(b"x").unwrap();
                    }
                });
            }
        });
    }

    #[test]
    fn a_cache_that_was_deleted_and_made_again_by_others_stays_as_they_made_it() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        let first = Store::open(&cache).unwrap();
        let visit = first.visit(dir.path()).unwrap();
        fs::remove_dir_all(&cache).unwrap();
        let second = Store::open(&cache).unwrap();
        let other = second.visit(dir.path()).unwrap();
        drop(visit);
        drop(first);
        assert!(!second.was_deleted());
        let runs = |store: &Store| store.workspaces().unwrap()[0].runs.len();
        assert_eq!(runs(&second), 1, "it is still known to be at work");
        drop(other);
    }

    #[test]
    fn what_a_person_had_put_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("README.md"), "mine").unwrap();
        drop(Store::open(dir.path()).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
