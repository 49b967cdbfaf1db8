//! The folder that a job works in: for the files of its executor, and for a worker's outputs until they are stored.
//!
//! Knows whether a job outlives this program, not what it does. A job that doesn't gets a temporary folder; one of a batch
//! system gets a folder under its own name, in which a later run finds it.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::exec::Failure;
use crate::store::{JobFolder, Store, Take};

use super::super::failure::{failed, io_failure};

/// A job's folder.
pub(super) enum Desk<'a> {
    /// A command on this machine needs none; in place of it, its resume slot.
    Unneeded(PathBuf),
    /// Removed with this value.
    Temporary(TempDir),
    /// Kept until it is cleared.
    Kept(JobFolder<'a>),
}

impl<'a> Desk<'a> {
    /// The folder of the job of this name.
    ///
    /// # Errors
    /// It can't be made.
    pub(super) fn open(store: &'a Store, name: &str, is_batch: bool) -> Result<Desk<'a>, Failure> {
        if !is_batch {
            return Ok(Desk::Temporary(store.staging().map_err(failed)?));
        }
        let folder = store.job_folder(name);
        folder.create().map_err(failed)?;
        Ok(Desk::Kept(folder))
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        match self {
            Desk::Unneeded(slot) => slot,
            Desk::Temporary(folder) => folder.path(),
            Desk::Kept(folder) => folder.path(),
        }
    }

    /// Where a worker writes its outputs: there, for a job of a batch system, once it has ended well.
    ///
    /// # Errors
    /// It can't be made.
    pub(super) fn out(&self) -> Result<PathBuf, Failure> {
        let out = self.path().join("out");
        if let Desk::Temporary(_) = self {
            std::fs::create_dir(&out).map_err(|error| io_failure("make", &out, &error))?;
        }
        Ok(out)
    }

    /// How outputs are taken from it. What a batch system left must still be whole if this program is killed while it
    /// stores them.
    pub(super) fn take(&self) -> Take {
        match self {
            Desk::Temporary(_) => Take::Move,
            Desk::Unneeded(_) | Desk::Kept(_) => Take::Copy,
        }
    }
}
