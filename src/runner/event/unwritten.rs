//! A file of `runs/` for people to look at can't be written.
//!
//! Knows no view. No computation depends on one.

use std::io;
use std::path::PathBuf;

/// A view can't be written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write {}", path.display())]
pub struct Unwritten {
    /// The file.
    pub(crate) path: PathBuf,
    /// The system's error.
    pub(crate) source: io::Error,
}
