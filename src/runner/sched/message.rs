//! What the one thread of a run is told by others.
//!
//! Knows no stage: a job is a number here.

use crate::exec::Failure;
use crate::watch::Change;

use super::jobs::Performed;
use super::news::News;

/// A job, in the order in which they were started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct JobId(pub(super) u64);

/// What job threads, signals and the file system tell the loop.
pub(super) enum Message {
    News(JobId, News),
    Ended(JobId, Box<Result<Performed, Failure>>),
    Interrupt,
    Changed(Change),
}
