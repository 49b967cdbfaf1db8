//! What a job reports before it ends.
//!
//! Knows neither the job nor the receiver.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::exec::job::Event;
use crate::store::{Holder, Sent};

/// A report of a running job.
pub enum News {
    /// Another process holds the lease.
    Waiting(Option<Holder>),
    /// This many processes of killed runs were still running, and were ended.
    Orphans(usize),
    /// An attempt failed, and another begins.
    Retrying(Attempts),
    /// From the worker.
    Event(Event),
    /// Where the job is, in the words of a batch system.
    Standing(String),
    /// A file at an output's path existed nowhere else, and was moved.
    PutAside {
        /// The output, relative to the root.
        output: PathBuf,
        /// Its new path.
        to: PathBuf,
        /// Whether the stage itself had left it, in a failed attempt.
        unfinished: bool,
    },
    /// The job is done; its outputs are being stored.
    Storing,
    /// Its result is being copied to shared caches. It occupies nothing any more.
    Pushing(Sent),
    /// A remark, printed after the stage's name.
    Remark(String),
    /// It failed, and meanwhile these input files had changed, and these input folders had new files.
    Overtaken(BTreeSet<PathBuf>),
}

/// The attempts of an order.
#[derive(Clone, Debug)]
pub struct Attempts {
    /// The new attempt, counted from 1.
    pub attempt: u32,
    /// The maximum number.
    pub of: u32,
    /// Why the previous attempt failed; empty for the first.
    pub reason: String,
}
