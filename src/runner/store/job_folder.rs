//! Folders of jobs that outlive this program: what a batch system runs is prepared there, and leaves its result there.
//!
//! Knows names, not what an executor writes. A job's name is its key, and its part if a stage is split: so a later run finds
//! the folder of a job that an earlier one submitted. Unlike `tmp/`, nothing here is removed because its maker has ended.

use std::path::{Path, PathBuf};

use super::error::{At, Error};
use super::{Store, strange};

/// The folder of one job, whether it exists or not.
#[derive(Clone, Debug)]
pub struct JobFolder<'a> {
    store: &'a Store,
    path: PathBuf,
}

impl Store {
    /// Where the folders of jobs are.
    pub fn job_folders(&self) -> PathBuf {
        self.root.join("exec")
    }

    /// The folder of the job of this name.
    pub fn job_folder(&self, name: &str) -> JobFolder<'_> {
        JobFolder { store: self, path: self.job_folders().join(name) }
    }
}

/// While this file is in a job's folder, a batch system has the job, or its result waits there for the next run.
pub const SUBMISSION: &str = "submission.json";

impl JobFolder<'_> {
    /// Whether a run will come for what is in it.
    pub(super) fn is_awaited(&self) -> bool {
        self.path.join(SUBMISSION).exists()
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates it if it is missing.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(&self) -> Result<(), Error> {
        strange::make_folder(&self.store.root, &self.path).at("make", &self.path)
    }

    /// Removes it with its contents. It is renamed first, so that a kill can't leave half of it to a later run.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove(&self) -> Result<(), Error> {
        self.store.remove_at_once(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_job_folder_stays_until_it_is_removed_and_removing_none_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let folder = store.job_folder("a");
        folder.remove().unwrap();
        folder.create().unwrap();
        fs::write(folder.path().join("result"), "").unwrap();
        assert!(store.job_folder("a").path().join("result").exists());
        store.job_folder("a").remove().unwrap();
        assert!(!folder.path().exists());
        assert_eq!(fs::read_dir(store.root().join("tmp")).unwrap().count(), 0);
    }
}
