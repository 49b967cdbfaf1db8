//! This machine as the place where jobs run: a process each, below a [`supervisor`] that lets nothing outlive the job.
//!
//! Knows no graph, no keys and no cache. [`orphans`] are what is left if runner and supervisor were killed.

pub mod ask;
mod command;
mod descriptors;
mod installed;
pub mod itself;
mod no_start;
pub mod orphans;
mod process;
mod processes;
mod running;
pub mod signals;
pub mod supervisor;
pub mod surroundings;
mod worker;

use std::fs::File;
use std::path::Path;
use std::process::Command;

use super::executor::{Execution, Executor, Start, Work};
use super::job::Description;
use super::{Failure, Visible};
use crate::kind::instruction_set::InstructionSet;

pub use worker::find_worker;

use running::Running;

/// The first argument of a supervisor.
const SUPERVISE: &str = "--supervise-job";
/// The first argument of a process of this program that performs a job; the job's file follows.
const PERFORM: &str = "--perform-itself";
/// What it is called in a list of processes. Not as the runner: who kills all of those by name would kill it, too.
const SUPERVISOR: &str = "intrada-supervisor";
/// The program that links libtorch, and what a process is called that performs a job.
const WORKER: &str = "intrada-worker";

/// This machine.
pub struct Local;

impl Executor for Local {
    fn start(&self, start: &Start<'_>) -> Result<Box<dyn Execution>, Failure> {
        let (process, name) = match start.work {
            Work::Worker(job, gpus) => (worker::start(job, gpus, start), "the worker"),
            Work::Command(program) => {
                (command::start(program, start), program.arguments.first().map_or("the command", String::as_str))
            }
        };
        Ok(Box::new(Running::new(process?, name)))
    }

    fn describe(&self, visible: &Visible) -> Result<Description, Failure> {
        ask::describe(visible)
    }

    fn has_gpu(&self) -> bool {
        Path::new("/dev/nvidia0").exists()
    }

    fn refusal(&self, set: &InstructionSet) -> Option<Failure> {
        surroundings::refusal(set)
    }
}

/// The log, to be written at its end.
fn open_log(start: &Start<'_>) -> Result<File, Failure> {
    let log = File::options().append(true).create(true).open(start.log);
    log.map_err(|error| Failure::new(format!("failed to write {}: {error}", start.log.display())))
}

/// Has a program see these GPUs only.
fn show(gpus: &Visible, command: &mut Command) {
    if let Visible::Only(gpus) = gpus {
        command.env("CUDA_VISIBLE_DEVICES", gpus.join(","));
    }
}
