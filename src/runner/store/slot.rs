//! Resume slots: a private folder per key that survives a failed or killed job.
//!
//! Knows nothing of checkpoints; its content is available to the same key again and to no other. The content is part of no
//! key and is never published, so a resumed job must end like an uninterrupted one.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::error::{At, Error};
use super::{Store, strange};
use crate::digest::Key;
use crate::plain;

/// The resume slot of one key, whether it exists or not.
#[derive(Clone, Debug)]
pub struct ResumeSlot<'a> {
    store: &'a Store,
    path: PathBuf,
}

impl Store {
    /// The resume slot of `key`.
    pub fn slot(&self, key: Key) -> ResumeSlot<'_> {
        ResumeSlot { store: self, path: self.root.join("slots").join(key.to_string()) }
    }

    /// The keys that have a slot, including empty ones: one call instead of thousands.
    pub fn keys_with_slots(&self) -> BTreeSet<Key> {
        let entries = fs::read_dir(self.root.join("slots")).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }
}

impl ResumeSlot<'_> {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether an earlier job left something in it.
    pub fn exists(&self) -> bool {
        fs::read_dir(&self.path).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// Creates the folder if it is missing.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(&self) -> Result<(), Error> {
        strange::make_folder(&self.store.root, &self.path).at("make", &self.path)
    }

    /// The recorded inputs of the job that wrote here; none if unknown.
    pub fn basis(&self) -> Option<Vec<u8>> {
        plain::read(&self.basis_path()).ok()
    }

    /// Records the inputs of a job that starts now.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn set_basis(&self, basis: &[u8]) -> Result<(), Error> {
        // A torn record matches nothing.
        let path = self.basis_path();
        self.store.prepare(&path)?;
        fs::write(&path, basis).at("write", &path)
    }

    /// The file that names the attempt that may write here, if attempts on several machines are possible; see
    /// [`crate::exec::attempt`]. Next to the folder, which is the job's own.
    pub fn attempt_path(&self) -> PathBuf {
        self.path.with_extension("attempt")
    }

    /// Next to the folder, which is the job's own.
    fn basis_path(&self) -> PathBuf {
        self.path.with_extension("basis")
    }

    /// Removes the folder with its contents, once the outputs are published. It is renamed first, so that a kill can't
    /// leave half a checkpoint in the slot.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove(&self) -> Result<(), Error> {
        for beside in [self.basis_path(), self.attempt_path()] {
            match fs::remove_file(&beside) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).at("remove", &beside),
                _ => {}
            }
        }
        if self.path.symlink_metadata().is_ok_and(|found| !found.is_dir()) {
            return self.store.quarantine(&self.path);
        }
        self.store.remove_at_once(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn a_slot_is_offered_to_its_own_key_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let [key, other] = [b"a", b"b"].map(|name| Key(Digest::of(name)));
        let slot = store.slot(key);
        slot.create().unwrap();
        assert!(!slot.exists(), "an empty folder offers nothing");
        assert_eq!(store.keys_with_slots(), [key].into());
        fs::write(slot.path().join("checkpoint"), "iteration 100").unwrap();
        assert!(store.slot(key).exists() && !store.slot(other).exists());
        assert_eq!(slot.basis(), None);
        slot.set_basis(b"inputs").unwrap();
        assert_eq!(store.slot(key).basis(), Some(b"inputs".to_vec()));
        assert_eq!(store.keys_with_slots(), [key].into());
        slot.remove().unwrap();
        assert_eq!(slot.basis(), None);
        slot.remove().unwrap();
        assert!(!slot.path().exists());
        assert_eq!(fs::read_dir(store.root().join("tmp")).unwrap().count(), 0);
    }
}
