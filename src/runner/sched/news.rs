//! What a job tells on the way, before it has ended.
//!
//! Knows neither the job nor who listens.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::exec::job::Event;
use crate::store::Holder;

/// What happens on the way.
pub enum News {
    /// The lease is held by another process.
    Waiting(Option<Holder>),
    /// What killed runs had started still ran, and was ended: so many processes.
    Orphans(usize),
    /// An attempt failed, and another begins.
    Retrying(Attempts),
    /// From the worker.
    Event(Event),
    /// What lay in the place of an output, and only a person had, is now somewhere else.
    PutAside {
        /// The output, relative to the root.
        output: PathBuf,
        /// Where it is.
        to: PathBuf,
        /// Whether the stage itself had left it, in an attempt that came to nothing.
        unfinished: bool,
    },
    /// The job is done; what it wrote is taken into the store.
    Storing,
    /// Something worth knowing, after the stage's name.
    Remark(String),
    /// It failed, and of what it reads these files had changed by then, and these folders had files added to them.
    Overtaken(BTreeSet<PathBuf>),
}

/// Where an order stands that is tried again.
#[derive(Clone, Debug)]
pub struct Attempts {
    /// Which attempt begins, counted from 1.
    pub attempt: u32,
    /// How many there may be.
    pub of: u32,
    /// How the one before it failed; empty for the first.
    pub reason: String,
}
