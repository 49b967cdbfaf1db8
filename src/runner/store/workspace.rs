//! Which workspaces use the store, and which runs are active in them.
//!
//! Knows a workspace's location and its index. A run signs in and holds a lock on its entry until it ends, however it ends,
//! because gc must keep what an active run has found and not yet read: a job may read an object hours after the run looked
//! it up.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::error::{At, Error};
use super::holder::Holder;
use super::in_use::{self, InUse};
use super::index::Index;
use super::lease::{Attempt, Lease};
use super::publish::host;
use super::strange::{Record, names};
use super::{Store, claim, lock, strange};
use crate::digest::Key;

/// The folder of the records of runs, in that of their workspace.
const RUNS: &str = "runs";

/// An active run in a workspace. Signed out when dropped.
#[derive(Debug)]
pub struct Visit {
    pub(super) lease: Lease,
    /// Removed with it, if it is the last one.
    _claims: claim::Folder,
    _used: in_use::List,
}

impl Visit {
    /// Duplicates the open entry. Its holder counts as active there, even if the run itself is killed. None: see
    /// [`Lease::share`].
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn share(&self) -> Result<Option<OwnedFd>, Error> {
        self.lease.share()
    }
}

/// The workspace and entry of an active run.
#[derive(Debug)]
pub(super) struct AtWork {
    /// The workspace's root, free of symbolic links.
    pub(super) root: PathBuf,
    /// The workspace's folder in the store.
    pub(super) folder: PathBuf,
    /// The name of the run's entry.
    pub(super) run: OsString,
    /// The results that it has used.
    pub(super) in_use: InUse,
}

impl AtWork {
    /// The folder of entries of active runs.
    pub(super) fn running(&self) -> PathBuf {
        self.folder.join("running")
    }

    /// The file that lists folders outside of the cache in which runs have kept something.
    pub(super) fn places(&self) -> PathBuf {
        self.folder.join("places")
    }
}

/// A workspace that has used the store.
pub(super) struct Workspace {
    /// Its root, if known: older entries don't record it.
    pub(super) root: Option<PathBuf>,
    /// Whether its root was on this machine and no longer exists.
    pub(super) is_gone: bool,
    /// The active runs in it.
    pub(super) runs: Vec<Holder>,
    /// For each of these, the results that it has found or made, if recorded.
    pub(super) used: Vec<Option<HashSet<Key>>>,
    /// Its contents when the last run ended.
    pub(super) index: Index,
}

impl Store {
    /// Signs a run in for the lifetime of the result, and records the location of the workspace at `root`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn visit(&self, root: &Path) -> Result<Visit, Error> {
        let root = fs::canonicalize(root).at("resolve", root)?;
        let folder = self.index_path(&root)?.with_file_name("");
        let running = folder.join("running");
        strange::make_folder(&self.root, &running).at("make", &running)?;
        let noted = [host().as_bytes(), b"\n", root.as_os_str().as_bytes()].concat();
        let place = folder.join("place");
        if strange::read(&place).ok().and_then(Record::bytes).as_ref() != Some(&noted) {
            // If it can't be recorded, as on a full disk, gc and verify know less of the workspace, but nothing is lost.
            let _ = self.stage_bytes(&noted).and_then(|staged| self.publish_file(staged, &place));
        }
        // Several runs of one process are possible, though only tests do it.
        for number in 0.. {
            let run = OsString::from(format!("{}.{}.{number}", host(), std::process::id()));
            match self.lock(&running.join(&run))? {
                // Left by a killed run whose process had the same number. It is still to be recovered.
                Attempt::Held(lease) if lease.left_by().is_some() => lease.leave(),
                Attempt::Held(lease) => {
                    let list = in_use::list_of(&running, &run);
                    let in_use = InUse::at(list.clone());
                    let _ = self.at_work.set(AtWork { root: root.clone(), folder, run, in_use });
                    return Ok(Visit {
                        lease,
                        _claims: claim::Folder::of(root, self.claims.clone()),
                        _used: in_use::List(list),
                    });
                }
                Attempt::Busy(_) => {}
            }
        }
        unreachable!("no process makes so many runs at once")
    }

    /// The active run that uses this store; none for readers.
    pub(super) fn at_work(&self) -> Option<&AtWork> {
        self.at_work.get()
    }

    /// The root, free of symbolic links, of the workspace of the run that uses this store.
    pub fn workspace_root(&self) -> Option<&Path> {
        self.at_work().map(|at| &*at.root)
    }

    /// This run's entry, as others see it; none for readers.
    pub fn own_entry(&self) -> Option<Holder> {
        let at = self.at_work()?;
        lock::living(&at.running().join(&at.run), true).ok().flatten()
    }

    /// The folder of the records of the runs of the workspace at `root`.
    pub fn runs_folder(&self, root: &Path) -> PathBuf {
        // Without the workspace there is nothing to read.
        self.index_path(root).unwrap_or_default().with_file_name(RUNS)
    }

    /// These folders of all workspaces that have used the store, also of other machines.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder of the workspaces can't be listed.
    pub fn runs_folders(&self) -> Result<Vec<PathBuf>, Error> {
        let folder = self.root.join("workspaces");
        Ok(names(&folder)?.into_iter().map(|name| folder.join(name).join(RUNS)).collect())
    }

    /// The active runs of the workspace at `root`. Changes nothing.
    pub fn runs_at_work(&self, root: &Path) -> Vec<Holder> {
        let running = self.index_path(root).unwrap_or_default().with_file_name("running");
        let entries = names(&running).unwrap_or_default().into_iter().map(|name| running.join(name));
        entries.filter_map(|entry| lock::living(&entry, true).ok().flatten()).collect()
    }

    /// Waits until it is known of each active run whether it is alive: of those of other machines only time tells, where locks
    /// are renewed.
    pub(super) fn settle_runs(&self) -> Result<(), Error> {
        let folder = self.root.join("workspaces");
        let mut entries = Vec::new();
        for workspace in names(&folder)? {
            let running = folder.join(workspace).join("running");
            entries.extend(names(&running)?.into_iter().map(|name| running.join(name)));
        }
        lock::settle(&entries)
    }

    /// The workspaces that have used the store. Removes entries of killed runs, unless the store is read-only.
    pub(super) fn workspaces(&self) -> Result<Vec<Workspace>, Error> {
        let folder = self.root.join("workspaces");
        let folders = names(&folder)?.into_iter().map(|name| folder.join(name));
        folders.map(|folder| self.workspace(&folder)).collect()
    }

    /// The indexes of all workspaces that have used the store, also of other machines. Unreadable ones count as empty.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder can't be listed.
    pub fn indexes(&self) -> Result<Vec<Index>, Error> {
        let folder = self.root.join("workspaces");
        Ok(names(&folder)?.into_iter().map(|name| Index::load(&folder.join(name).join("index"))).collect())
    }

    fn workspace(&self, folder: &Path) -> Result<Workspace, Error> {
        let place = folder.join("place");
        let noted = strange::read(&place).ok().and_then(Record::bytes);
        let (on, root) = match noted.as_deref().map(|noted| noted.splitn(2, |&byte| byte == b'\n')) {
            Some(mut parts) => (parts.next(), parts.next()),
            None => (None, None),
        };
        let root = root.map(|root| PathBuf::from(OsString::from_vec(root.to_vec())));
        let is_here = on == Some(host().as_bytes());
        let is_gone = is_here && root.as_ref().is_some_and(|root| !root.exists());
        let running = folder.join("running");
        let (mut runs, mut used, mut living) = (Vec::new(), Vec::new(), HashSet::new());
        for name in names(&running)? {
            if let Some(holder) = lock::living(&running.join(&name), self.only_looks)? {
                runs.push(holder);
                used.push(in_use::read(&in_use::list_of(&running, &name)));
                living.insert(name);
            }
        }
        let lists = running.with_file_name("used");
        // Of killed runs.
        for name in names(&lists)?.into_iter().filter(|name| !self.only_looks && !living.contains(name)) {
            if running.join(&name).symlink_metadata().is_err() {
                let _ = fs::remove_file(lists.join(name));
            }
        }
        Ok(Workspace { root, is_gone, runs, used, index: Index::load(&folder.join("index")) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_seen_while_it_lives_and_its_workspace_is_known_until_it_goes() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let root = dir.path().join("work");
        fs::create_dir(&root).unwrap();
        let first = store.visit(&root).unwrap();
        let second = store.visit(&root).unwrap();
        let only = || {
            let mut all = store.workspaces().unwrap();
            assert_eq!(all.len(), 1);
            all.remove(0)
        };
        assert_eq!(only().runs.len(), 2);
        assert_eq!(only().root, Some(fs::canonicalize(&root).unwrap()));
        drop((first, second));
        assert_eq!(only().runs, []);
        assert!(!only().is_gone);
        fs::remove_dir(&root).unwrap();
        assert!(only().is_gone);
    }

    #[test]
    fn the_entry_of_a_killed_run_is_nobody_s() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        drop(store.visit(dir.path()).unwrap());
        let running = store.index_path(dir.path()).unwrap().with_file_name("running");
        fs::write(running.join("here.1.0"), r#"{"pid":1,"host":"here","since":0.0}"#).unwrap();
        assert_eq!(Store::look_at(store.root()).unwrap().workspaces().unwrap()[0].runs, []);
        assert!(running.join("here.1.0").exists());
        assert_eq!(store.workspaces().unwrap()[0].runs, []);
        assert!(!running.join("here.1.0").exists());
    }
}
