//! The messages to a run's main thread.
//!
//! Knows no stage: a job is a number here.

use crate::exec::Failure;
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
    Interrupt,
    Leave,
    Changed(Change),
}
