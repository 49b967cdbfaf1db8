//! What was published and isn't durable yet: synced with what comes after it, all at once.
//!
//! Doesn't know what the files mean. Syncing each result on its own costs more than computing a small one. A kill loses nothing of
//! these: the kernel has them. A power failure may lose them, or leave their names with half of their content; whoever reads a record
//! or an object checks it, so that they are then computed again. That is why only results that take a moment come here, and only for a
//! moment.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::answer::is_refusal;
use super::error::{At, Error};
use super::{Store, crash};

/// With more files than this, one sync of the whole file system is faster than one per file. On ext4, a thousand files of 4 KiB
/// took 3.4 s one by one and 0.1 s together; eight took about the same either way.
pub(super) const SYNC_ONE_BY_ONE: usize = 8;

/// How long a result may wait for others.
const PATIENCE: Duration = Duration::from_millis(500);

/// When what is published has to survive a power failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durable {
    /// When it is published.
    Now,
    /// Soon after: it takes less time to compute it again than it would be kept waiting.
    Soon,
}

/// Files and folders that are still to be synced.
#[derive(Clone, Debug, Default)]
pub(super) struct Later(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    waiting: Mutex<Waiting>,
    /// Held while files are synced: who needs them durable waits for those that another thread is just syncing.
    turn: Mutex<()>,
}

#[derive(Debug, Default)]
struct Waiting {
    files: BTreeSet<PathBuf>,
    /// Folders with new names.
    folders: BTreeSet<PathBuf>,
    /// Whether a thread is about to sync them.
    is_awaited: bool,
    /// What that thread couldn't do.
    failed: Option<Error>,
}

impl Later {
    /// A file that was renamed to this path.
    pub(super) fn note_file(&self, path: &Path) {
        let mut waiting = self.lock();
        waiting.files.insert(path.to_owned());
        self.note_name(&mut waiting, path);
    }

    /// A folder that was created at this path.
    pub(super) fn note_folder(&self, path: &Path) {
        let mut waiting = self.lock();
        self.note_name(&mut waiting, path);
    }

    fn note_name(&self, waiting: &mut Waiting, path: &Path) {
        waiting.folders.extend(path.parent().map(Path::to_owned));
        if !std::mem::replace(&mut waiting.is_awaited, true) {
            let later = self.clone();
            std::thread::spawn(move || {
                std::thread::sleep(PATIENCE);
                later.lock().is_awaited = false;
                if let Err(error) = later.sync() {
                    later.lock().failed = Some(error);
                }
            });
        }
    }

    /// Syncs them.
    fn sync(&self) -> Result<(), Error> {
        let _turn = self.0.turn.lock().expect("no code panics while it syncs");
        let (files, folders, failed) = {
            let mut waiting = self.lock();
            (std::mem::take(&mut waiting.files), std::mem::take(&mut waiting.folders), waiting.failed.take())
        };
        let synced = sync_all(&files, &folders);
        if synced.is_err() {
            let mut waiting = self.lock();
            waiting.files.extend(files);
            waiting.folders.extend(folders);
        }
        synced.and(failed.map_or(Ok(()), Err))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().expect("no code panics while it holds this list")
    }
}

fn sync_all(files: &BTreeSet<PathBuf>, folders: &BTreeSet<PathBuf>) -> Result<(), Error> {
    if files.len() + folders.len() > SYNC_ONE_BY_ONE && sync_file_systems(files.iter().chain(folders))? {
        return Ok(());
    }
    files.iter().try_for_each(|file| sync_one(file).at("sync", file))?;
    folders.iter().try_for_each(|folder| match sync_one(folder) {
        // Many network file systems refuse it, and keep its names durable without it.
        Err(error) if is_refusal(&error) => Ok(()),
        result => result.at("sync", folder),
    })
}

/// Nothing, if somebody has removed it meanwhile.
fn sync_one(path: &Path) -> io::Result<()> {
    match File::open(path).and_then(|file| file.sync_all()) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Syncs whole file systems, which waits for the disk once. Returns whether that is possible.
#[cfg(target_os = "linux")]
fn sync_file_systems<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Result<bool, Error> {
    use std::collections::BTreeMap;
    use std::os::unix::fs::MetadataExt;
    // Folders like `objects/ab`; each parent may be on a disk of its own.
    let mut parents: BTreeMap<&Path, Option<u64>> = BTreeMap::new();
    let mut devices: BTreeMap<u64, &Path> = BTreeMap::new();
    for path in paths {
        let parent = path.parent().unwrap_or(path);
        let device = *parents.entry(parent).or_insert_with(|| parent.metadata().ok().map(|found| found.dev()));
        if let Some(device) = device {
            devices.entry(device).or_insert(parent);
        }
    }
    for parent in devices.into_values() {
        let folder = File::open(parent).at("open", parent)?;
        match rustix::fs::syncfs(&folder).map_err(io::Error::from) {
            Err(error) if is_refusal(&error) => return Ok(false),
            result => result.at("sync", parent)?,
        }
    }
    Ok(true)
}

#[cfg(not(target_os = "linux"))]
fn sync_file_systems<'a>(_: impl Iterator<Item = &'a PathBuf>) -> Result<bool, Error> {
    Ok(false)
}

impl Store {
    /// Makes durable all that this process has published until now. To be called before anything is written that relies on it, such as
    /// an index that says which objects are intact.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn settle(&self) -> Result<(), Error> {
        self.later.sync()?;
        crash::point("settled");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::digest::{Digest, Key};
    use crate::store::{Placement, Take, Trace, TracedOutput};

    /// What a power failure may leave of a file that was renamed to its name and not synced.
    const LEFT: [&str; 5] = ["as it was", "gone", "empty", "half", "zeros"];

    fn fail(left: &str, path: &Path) {
        let bytes = fs::read(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        match left {
            "as it was" => {}
            "gone" => fs::remove_file(path).unwrap(),
            "empty" => fs::write(path, "").unwrap(),
            "half" => fs::write(path, &bytes[..bytes.len() / 2]).unwrap(),
            "zeros" => fs::write(path, vec![0; bytes.len()]).unwrap(),
            _ => unreachable!("{left}"),
        }
    }

    fn publish(store: &Store, root: &Path, name: &str) -> Trace {
        fs::write(root.join("out"), name).unwrap();
        let artifact = store.insert_by(&root.join("out"), Take::Copy, Durable::Soon).unwrap();
        let mut trace = Trace::new(Key(Digest::of(name.as_bytes())), "demo", name, "command", serde_json::json!({}));
        trace.outputs = vec![TracedOutput { name: "out".into(), path: "out".into(), artifact }];
        store.publish_by(&trace, &[], Durable::Soon).unwrap();
        trace
    }

    #[test]
    fn whatever_a_power_failure_leaves_of_the_last_result_is_noticed_and_the_earlier_one_stays() {
        for (of_record, of_object) in LEFT.iter().flat_map(|record| LEFT.map(|object| (*record, object))) {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path();
            let store = Store::open(&root.join("cache")).unwrap();
            let earlier = publish(&store, root, "earlier");
            store.settle().unwrap();
            let index = store.verified().to_map();
            let last = publish(&store, root, "last");
            fail(of_record, &store.trace_path(last.key));
            fail(of_object, &store.object_path(last.outputs[0].artifact.object));
            drop(store);

            let store = Store::open(&root.join("cache")).unwrap();
            store.verified().extend(index);
            let restored = |trace: &Trace| {
                let found = store.load(trace.key).unwrap()?;
                let to = root.join(&trace.stage);
                match store.restore(&found.outputs[0].artifact, &to, Placement::Writable) {
                    Ok(_) => Some(fs::read_to_string(to).unwrap()),
                    Err(error) => {
                        assert!(error.is_miss() && !to.exists(), "{error}");
                        None
                    }
                }
            };
            let what = format!("record {of_record}, object {of_object}");
            let is_whole = [of_record, of_object] == ["as it was"; 2];
            assert_eq!(restored(&last), is_whole.then(|| "last".to_owned()), "{what}");
            assert_eq!(restored(&earlier).as_deref(), Some("earlier"), "{what}");
            // Computed again, it is there.
            publish(&store, root, "last");
            assert_eq!(restored(&last).as_deref(), Some("last"), "{what}");
        }
    }

    #[test]
    fn what_is_to_be_durable_soon_is_synced_with_the_rest_or_by_itself_after_a_moment() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let is_waiting = || {
            let waiting = store.later.lock();
            !waiting.files.is_empty() && !waiting.folders.is_empty()
        };
        // More than are synced one by one.
        for number in 0..2 * SYNC_ONE_BY_ONE {
            publish(&store, dir.path(), &number.to_string());
        }
        assert!(is_waiting());
        store.settle().unwrap();
        assert!(!is_waiting());
        publish(&store, dir.path(), "one");
        assert!(is_waiting());
        while is_waiting() {
            std::thread::sleep(PATIENCE / 50);
        }
        // gc may have removed some.
        let trace = publish(&store, dir.path(), "two");
        fs::remove_file(store.trace_path(trace.key)).unwrap();
        store.settle().unwrap();
    }
}
