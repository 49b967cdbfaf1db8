//! Which paths changed, as the system reports it, collected until it is quiet for a moment.
//!
//! Knows no pipeline, and promises nothing about contents: a reported path may be unchanged, and the receiver has to check.
//! It costs nothing while nothing happens: the system wakes it. Sources → collecting → one message:
//!
//! ```text
//! inotify, FSEvents … ──▶ a thread of notify ──▶ this room's thread: wait for quiet ──▶ `tell`
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant, SystemTime};

use notify::event::EventKind;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

/// Editors write a file in several steps; this long must nothing have happened.
const QUIET: Duration = Duration::from_millis(100);
/// If it is never quiet, changes are reported this often.
const LONGEST: Duration = Duration::from_secs(2);
/// More paths than this are reported as [`Change::Anything`].
const MOST: usize = 1000;

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// These paths may have been created, written, renamed or removed.
    Paths(BTreeSet<PathBuf>),
    /// The system lost events: anything may have changed.
    Anything,
}

/// How deep a folder is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Its direct entries.
    Names,
    /// Everything below it.
    All,
}

/// A folder can't be watched.
#[derive(Debug, thiserror::Error)]
#[error("failed to watch `{}`", path.display())]
pub struct Error {
    path: PathBuf,
    source: notify::Error,
}

/// Device, inode and, as inode numbers are reused, creation time: another folder may have the same name by now.
type Identity = (u64, u64, Option<SystemTime>);

/// Watches a set of folders and reports changes in them.
pub struct Watcher {
    events: Sender<notify::Result<notify::Event>>,
    folders: BTreeMap<PathBuf, (Depth, Option<Identity>)>,
    _system: Option<RecommendedWatcher>,
}

impl Watcher {
    /// Watches nothing yet. `tell` is called from another thread.
    pub fn new(tell: impl Fn(Change) + Send + 'static) -> Watcher {
        let (events, receive) = mpsc::channel();
        std::thread::spawn(move || gather(&receive, &tell));
        Watcher { events, folders: BTreeMap::new(), _system: None }
    }

    /// Watches these folders from now on, and no others. Folders below one watched with [`Depth::All`] needn't be named.
    /// Returns those that weren't watched before, or were replaced since: earlier changes in them were missed.
    ///
    /// # Errors
    /// A folder can't be watched; then the previous ones stay watched.
    /// A folder can't be watched; then those of before are watched on.
    pub fn watch(&mut self, folders: &BTreeMap<PathBuf, Depth>) -> Result<BTreeSet<PathBuf>, Error> {
        let identified = |(folder, depth): (PathBuf, Depth)| {
            let found = folder.metadata().ok().map(|found| (found.dev(), found.ino(), found.created().ok()));
            (folder, (depth, found))
        };
        let folders: BTreeMap<_, _> = without_nested(folders).into_iter().map(identified).collect();
        if folders == self.folders {
            return Ok(BTreeSet::new());
        }
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error { path, source }
        };
        let events = self.events.clone();
        let mut system =
            notify::recommended_watcher(move |event| drop(events.send(event))).map_err(failed(Path::new("")))?;
        for (folder, (depth, _)) in &folders {
            let mode = if *depth == Depth::All { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
            match system.watch(folder, mode) {
                // Removed in between: its parent folder is watched, and reports that.
                Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound) => {}
                result => result.map_err(failed(folder))?,
            }
        }
        // The earlier watcher ends only now, so that nothing is missed in between.
        let is_new = |folder: &&PathBuf| self.folders.get(*folder) != folders.get(*folder);
        let new = folders.keys().filter(is_new).cloned().collect();
        (self.folders, self._system) = (folders, Some(system));
        Ok(new)
    }
}

/// If a folder is watched twice, the last call would win.
fn without_nested(folders: &BTreeMap<PathBuf, Depth>) -> BTreeMap<PathBuf, Depth> {
    let is_covered = |folder: &Path| {
        let mut above = folder.ancestors().skip(1);
        above.any(|above| folders.get(above) == Some(&Depth::All))
    };
    folders.iter().filter(|(folder, _)| !is_covered(folder)).map(|(folder, depth)| (folder.clone(), *depth)).collect()
}

/// Waits for an event, then for quiet, then reports; until the sender is closed.
fn gather(receive: &Receiver<notify::Result<notify::Event>>, tell: &dyn Fn(Change)) {
    while let Ok(first) = receive.recv() {
        let mut change = Change::Paths(BTreeSet::new());
        change.add(first);
        let begun = Instant::now();
        while begun.elapsed() < LONGEST {
            let Ok(event) = receive.recv_timeout(QUIET) else { break };
            change.add(event);
        }
        if change != Change::Paths(BTreeSet::new()) {
            tell(change);
        }
    }
}

impl Change {
    fn add(&mut self, event: notify::Result<notify::Event>) {
        let Change::Paths(paths) = self else { return };
        match event {
            // Reading is not a change, and the runner itself reads a lot.
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => {}
            Ok(event) if !event.need_rescan() && paths.len() + event.paths.len() <= MOST => paths.extend(event.paths),
            _ => *self = Change::Anything,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_below_one_that_is_watched_in_depth_are_left_out() {
        let folders = [
            ("/a", Depth::All),
            ("/a/b/c", Depth::Names),
            ("/ab", Depth::Names),
            ("/d", Depth::Names),
            ("/d/e", Depth::All),
        ];
        let folders = folders.map(|(folder, depth)| (PathBuf::from(folder), depth)).into();
        let left: Vec<PathBuf> = without_nested(&folders).into_keys().collect();
        assert_eq!(left, ["/a", "/ab", "/d", "/d/e"].map(PathBuf::from));
    }

    #[test]
    fn a_write_is_told_with_its_path_and_a_read_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(dir.path()).unwrap();
        std::fs::create_dir(root.join("data")).unwrap();
        std::fs::write(root.join("data/read"), "").unwrap();
        let (send, receive) = mpsc::channel();
        let mut watcher = Watcher::new(move |change| drop(send.send(change)));
        watcher.watch(&[(root.clone(), Depth::Names), (root.join("data"), Depth::All)].into()).unwrap();
        std::fs::read(root.join("data/read")).unwrap();
        std::fs::write(root.join("data/written"), "").unwrap();
        let Change::Paths(paths) = receive.recv().unwrap() else { panic!("one file was written") };
        assert!(paths.contains(&root.join("data/written")) && !paths.contains(&root.join("data/read")), "{paths:?}");
    }

    #[test]
    fn what_the_system_lost_count_of_may_be_anything() {
        let mut change = Change::Paths(BTreeSet::new());
        change.add(Ok(notify::Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan)));
        assert_eq!(change, Change::Anything);
    }
}
