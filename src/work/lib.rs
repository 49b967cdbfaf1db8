//! A job in progress: its parameters and files, its log, its channel to the runner; and the kinds of jobs that need no tensor.
//!
//! Connects the runner's job contract and intrada-data: [`perform`] reads a job description, the kind's file does the work, and files
//! are written into the staging folder. Knows no graph, no keys, no cache and no tensor: `intrada-worker` adds the kinds that compute with
//! networks. `intrada-run` performs the other kinds itself, each in a process of its own, as loading libtorch takes 0.4 s.
#![warn(missing_docs)]

pub mod datasets;
pub mod items;
pub mod kinds;
pub mod log;
mod names;
pub mod perform;
pub mod thumbnails;
pub mod work;

use std::path::Path;
use std::process::ExitCode;

use intrada_runner::exec::job::{Job, made_on};

pub use work::{Failure, Notes, Work};

use perform::{Place, Program};

/// Performs the job in this file, if it needs no tensor.
pub fn main(job: &Path) -> ExitCode {
    perform::perform(job, &Program { find: kinds::find, settle, advise: |_| None })
}

/// Its results are whole numbers, the same everywhere.
fn settle(job: &Job) -> Result<Place, Failure> {
    let threads = ("threads".to_owned(), job.threads.to_string());
    // Findings are compared with those of a job on the same device, which is not used.
    let made_on = made_on(!job.device.starts_with("cuda"), job.threads, None);
    Ok(Place { made_on, on: Vec::new(), notes: [threads].into() })
}
