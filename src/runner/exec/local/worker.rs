//! The worker program on this machine: where it is, and starting it with a job. A job that needs no tensor is performed by this program.
//!
//! Knows the contract of [`super::super::job`] and nothing of what a kind does. The worker's standard output carries events, its
//! standard error is the stage's log.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use super::super::executor::Start;
use super::super::job::Job;
use super::super::job::predict::PREDICT;
use super::super::{Failure, Visible};
use super::process::{Prepared, Process};
use super::{PERFORM, WORKER, installed, itself, no_start, open_log, show, surroundings};
use crate::kind::instruction_set;

/// Starts the worker on `job`. It sees only `gpus`.
pub(super) fn start(job: &Job, gpus: &Visible, start: &Start<'_>) -> Result<Process, Failure> {
    let worker = performer(job)?;
    let job_file = start.folder.join("job.json");
    let text = serde_json::to_vec(job).expect("a job is plain data");
    std::fs::write(&job_file, &text)
        .map_err(|error| Failure::new(format!("failed to write {}: {error}", job_file.display())))?;
    let log = open_log(start)?;
    note_withheld(&log);
    let mut prepared = Prepared::new(&worker.program);
    prepared.command().args(worker.argument).arg(job_file);
    prepared.pipe_stdout();
    prepared.stderr_to(log);
    let set = job.instruction_set.as_deref().and_then(instruction_set::find);
    surroundings::settle(prepared.command(), Some(job.threads), set);
    if job.kind == PREDICT {
        // Between two images one thread works alone. Others that wait for it busily take several times the CPU of the network.
        prepared.command().env("GOMP_SPINCOUNT", "0").env("OMP_WAIT_POLICY", "passive");
    }
    show(gpus, prepared.command());
    Process::start(prepared, Some(start.belongings)).map_err(|error| no_start::refused(&worker.program, &error))
}

/// A program that performs a job, and its first argument.
struct Performer {
    program: PathBuf,
    argument: Option<&'static str>,
}

/// The program for this job: a named worker performs them all.
fn performer(job: &Job) -> Result<Performer, Failure> {
    let itself = itself::program().filter(|_| !job.needs_tensors() && named_worker().is_none());
    match itself {
        Some(program) => Ok(Performer { program, argument: Some(PERFORM) }),
        None => Ok(Performer { program: find_worker()?, argument: None }),
    }
}

/// The worker that `INTRADA_WORKER` names.
fn named_worker() -> Option<PathBuf> {
    std::env::var_os("INTRADA_WORKER").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Notes in the stage's log which variables have no effect.
fn note_withheld(mut log: &File) {
    if let Some(note) = surroundings::note() {
        // Not worth a failure: `doctor` reports it as well.
        let _ = writeln!(log, "{note}");
    }
}

/// The worker that `INTRADA_WORKER` names, the one next to the running program, or that of the Python package which brought it.
///
/// # Errors
/// There is none, or the package's has no torch that it can run on; the failure says what to do. A checkout without libtorch builds
/// no worker, and needs none for a pipeline of commands.
pub fn find_worker() -> Result<PathBuf, Failure> {
    if let Some(path) = named_worker() {
        return if path.exists() {
            Ok(path)
        } else {
            Err(Failure::new(format!("INTRADA_WORKER names {}, which does not exist", path.display())))
        };
    }
    let name = format!("{WORKER}{}", std::env::consts::EXE_SUFFIX);
    let own = std::env::current_exe().map_err(|error| {
        Failure::new(format!("failed to find the place of intrada-run itself: {error}"))
            .with_help("name the worker in the environment variable INTRADA_WORKER")
    })?;
    let beside = own.with_file_name(&name);
    if beside.exists() {
        return Ok(beside);
    }
    match installed::beside(&own, &name) {
        Some(installed) => installed.refusal().map_or(Ok(installed.worker), Err),
        None => Err(Failure::new(format!("there is no {name} beside intrada-run ({})", beside.display()))
            .with_help("build it with `./fetch-libtorch && cargo build --release`")
            .with_help("or name one in the environment variable INTRADA_WORKER")),
    }
}
