//! The size of the cache, for `cache stats`.
//!
//! Knows only file counts and sizes, not what is referenced: that is gc's concern. Sizes are those of the contents; blocks
//! shared with `runs/` count here, once.

use std::fs;
use std::io::ErrorKind;
use std::ops::Add;
use std::path::PathBuf;

use super::Store;
use super::error::{At, Error};

/// Files and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many files.
    pub files: u64,
    /// Their total size.
    pub bytes: u64,
}

impl Add for Tally {
    type Output = Tally;

    fn add(self, other: Tally) -> Tally {
        Tally { files: self.files + other.files, bytes: self.bytes + other.bytes }
    }
}

/// The contents of each part of the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Contents of files, folder listings, link targets.
    pub objects: Tally,
    /// Traces.
    pub traces: Tally,
    /// Findings of single items.
    pub items: Tally,
    /// Decoded samples.
    pub samples: Tally,
    /// Resume slots.
    pub slots: Tally,
    /// Logs of jobs.
    pub logs: Tally,
    /// Damaged objects and traces.
    pub quarantine: Tally,
    /// Edited outputs that were moved aside.
    pub orphans: Tally,
    /// Unfinished files, of live and dead processes.
    pub tmp: Tally,
}

impl Store {
    /// Counts everything.
    ///
    /// # Errors
    /// [`Error::Io`] if a folder can't be listed. Files that vanish meanwhile don't count.
    pub fn usage(&self) -> Result<Usage, Error> {
        Ok(Usage {
            objects: self.tally("objects")?,
            traces: self.tally("traces")?,
            items: self.tally("items")?,
            samples: self.tally("samples")?,
            slots: self.tally("slots")?,
            logs: self.tally("logs")?,
            quarantine: self.tally("quarantine")?,
            orphans: self.tally("orphans")?,
            tmp: self.tally("tmp")?,
        })
    }

    /// The size of one folder of the cache.
    pub(super) fn tally(&self, part: &str) -> Result<Tally, Error> {
        let mut tally = Tally::default();
        let mut folders: Vec<PathBuf> = vec![self.root.join(part)];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                entries => entries.at("list", &folder)?,
            };
            for entry in entries {
                let entry = entry.at("list", &folder)?;
                let Ok(metadata) = entry.metadata() else { continue };
                if metadata.is_dir() {
                    folders.push(entry.path());
                } else {
                    tally.files += 1;
                    tally.bytes += metadata.len();
                }
            }
        }
        Ok(tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Digest, Key};
    use crate::store::Trace;

    #[test]
    fn everything_is_counted_once_and_where_it_lies() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        assert_eq!(store.usage().unwrap(), Usage::default());
        store.insert_bytes(b"12345").unwrap();
        store.insert_bytes(b"12345").unwrap();
        store.insert_bytes(b"123").unwrap();
        let key = Key(Digest::of(b"key"));
        store.publish(&Trace::new(key, "demo", "a", "command", serde_json::Value::Null), &[]).unwrap();
        store.slot(key).create().unwrap();
        fs::create_dir(store.slot(key).path().join("deep")).unwrap();
        fs::write(store.slot(key).path().join("deep/checkpoint"), "1234567").unwrap();
        fs::write(store.log_path(key), "ok").unwrap();
        fs::create_dir_all(store.samples().join("ab")).unwrap();
        fs::write(store.samples().join("ab/cd"), "123").unwrap();
        let usage = store.usage().unwrap();
        assert_eq!(usage.objects, Tally { files: 2, bytes: 8 });
        assert_eq!(usage.traces.files, 1);
        assert_eq!(usage.slots, Tally { files: 1, bytes: 7 });
        assert_eq!(usage.samples, Tally { files: 1, bytes: 3 });
        assert_eq!(usage.logs, Tally { files: 1, bytes: 2 });
        assert_eq!(usage.tmp, Tally::default());
    }
}
