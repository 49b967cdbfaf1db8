//! Records which results an active run has found or made, so that gc needn't guess it from times.
//!
//! Knows only keys. If the clock is set back during a run, what it used seems older than the run. The list is next to the
//! run's entry and is removed with it: `workspaces/<id>/used/<run>`, 32 bytes per key. A run that can't write its list, as
//! on a full disk, and one of an earlier version have none; for these, gc keeps what was used since they began.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::Store;
use crate::digest::Key;
use crate::plain;

/// The list of the run that uses a store.
#[derive(Debug)]
pub(super) struct InUse {
    path: PathBuf,
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    keys: HashSet<Key>,
    /// None before the first key.
    file: Option<File>,
    /// Writing failed, so the list was removed.
    is_given_up: bool,
}

impl InUse {
    /// An empty list at this path. Replaces one that a killed run of the same name left.
    pub(super) fn at(path: PathBuf) -> InUse {
        let _ = fs::remove_file(&path);
        InUse { path, written: Mutex::default() }
    }

    fn add(&self, key: Key) {
        let mut written = self.written.lock().expect("no code panics while it holds this list");
        if written.is_given_up || !written.keys.insert(key) {
            return;
        }
        if written.file.is_none() {
            let made = self.path.parent().map_or(Ok(()), fs::create_dir_all);
            written.file = made.and_then(|()| File::options().create(true).append(true).open(&self.path)).ok();
        }
        let is_written = written.file.as_mut().is_some_and(|file| file.write_all(key.0.as_bytes()).is_ok());
        if !is_written {
            written.is_given_up = true;
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The file of a list, removed when the run ends.
#[derive(Debug)]
pub(super) struct List(pub(super) PathBuf);

impl Drop for List {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Store {
    /// Records that the active run has found the result of `key`, or is about to publish it.
    pub(super) fn note_in_use(&self, key: Key) {
        if let Some(at) = self.at_work() {
            at.in_use.add(key);
        }
    }
}

/// The path of the list of a run, given its entry in `running`.
pub(super) fn list_of(running: &Path, run: &std::ffi::OsStr) -> PathBuf {
    running.with_file_name("used").join(run)
}

/// The keys of a list; `None` if it is missing or incomplete.
pub(super) fn read(list: &Path) -> Option<HashSet<Key>> {
    let bytes = plain::read(list).ok()?;
    let (keys, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| keys.iter().map(|key| Key((*key).into())).collect())
}
