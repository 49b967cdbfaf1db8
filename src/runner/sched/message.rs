//! The messages to a run's main thread.
//!
//! Knows no stage: a job is a number here, and a look-up a node with its key.

use crate::digest::Key;
use crate::exec::Failure;
use crate::flow::NodeId;
use crate::watch::Change;

use super::jobs::Performed;
use super::news::News;

/// A job, numbered in the order of their start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct JobId(pub(super) u64);

/// Messages of job threads, signals and the file system to the main loop.
pub(super) enum Message {
    News(JobId, News),
    Ended(JobId, Box<Result<Performed, Failure>>),
    /// A shared cache has the result of this key, which is being copied.
    Fetching(NodeId, Key),
    Fetched(NodeId, Key, Fetched),
    Interrupt,
    Leave,
    Changed(Change),
}

/// What came of asking the shared caches for a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// It is in the own cache now. The name of the shared cache that had it.
    From(String),
    /// No shared cache has it.
    Nowhere,
    /// It isn't intact, or the own cache can't take it. Looking it up tells which.
    Failed,
}
