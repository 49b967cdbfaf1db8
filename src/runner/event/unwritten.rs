//! That a file of `runs/` that is made for people to look at can't be written.
//!
//! Knows no view. Nothing that is computed depends on one.

use std::io;
use std::path::PathBuf;

/// A view can't be written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write {}", path.display())]
pub struct Unwritten {
    /// Which file.
    pub(crate) path: PathBuf,
    /// What the system answered.
    pub(crate) source: io::Error,
}
