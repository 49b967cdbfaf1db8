//! Asks the worker on this machine what only a program with libtorch can answer: what it finds here, and whether files of
//! weights serve.
//!
//! Knows neither jobs that run nor stages. An answer is one line of JSON.

use std::io::{Read, Seek, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::super::control::Control;
use super::super::job::{DESCRIBE, Description, FORMAT, Job, TRY_WEIGHTS, Tried};
use super::super::{Failure, Visible, shown};
use super::process::{self, Prepared, Process};
use super::{find_worker, no_start, show, surroundings};

/// Loading libtorch from a slow disk takes seconds; a worker that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// Asks the worker what it finds on this machine when it sees these GPUs.
///
/// # Errors
/// There is no worker, it doesn't start (the failure quotes the loader) or fails, or it gives an unknown answer.
pub(super) fn describe(visible: &Visible) -> Result<Description, Failure> {
    let worker = find_worker()?;
    ask(&worker, PATIENCE, |command| {
        command.arg(DESCRIBE);
        show(visible, command);
    })
}

/// Reading files from a slow disk takes a while. A run can start without the answer, so it waits no longer than this.
const PATIENCE_FOR_FILES: Duration = Duration::from_secs(600);

/// Has the worker try to read the file of weights in each of `jobs`, relative to `root`, as the job would.
///
/// # Errors
/// There is no worker, it doesn't start or fails, or it gives an unknown answer; the jobs can't be written to a temporary file.
pub fn try_weights(root: &Path, jobs: &[Job]) -> Result<Tried, Failure> {
    let worker = find_worker()?;
    let text = serde_json::to_vec(jobs).expect("a job is plain data");
    let unwritten = |error| Failure::new(format!("failed to write a temporary file for the worker: {error}"));
    let mut file = tempfile::NamedTempFile::new().map_err(unwritten)?;
    file.write_all(&text).map_err(unwritten)?;
    let tried: Tried = ask(&worker, PATIENCE_FOR_FILES, |command| {
        command.arg(TRY_WEIGHTS).arg(file.path()).current_dir(root);
        // Reading a file doesn't depend on the device.
        show(&Visible::Only(Vec::new()), command);
    })?;
    let is_of_each = [tried.faults.len(), tried.warnings.len()] == [jobs.len(); 2];
    if is_of_each { Ok(tried) } else { Err(not_ours(&worker)) }
}

/// The worker's answer to these arguments.
fn ask<T: DeserializeOwned>(
    worker: &Path,
    patience: Duration,
    arguments: impl FnOnce(&mut Command),
) -> Result<T, Failure> {
    let no_start = |error| no_start::refused(worker, &error);
    // A file: a second pipe would need a second reader.
    let mut said = tempfile::tempfile().map_err(no_start)?;
    let mut prepared = Prepared::new(worker);
    prepared.pipe_stdout();
    prepared.stderr_to(said.try_clone().map_err(no_start)?);
    surroundings::settle(prepared.command(), None, None);
    arguments(prepared.command());
    let control = Control::default();
    let answer = || {
        let mut process = Process::start(prepared, None)?;
        control.attach(process.handle());
        let mut text = Vec::new();
        let read = process.take_stdout().expect("standard output is piped").read_to_end(&mut text);
        let how = process::how(process.wait()?);
        read.map(|_| (how, text))
    };
    let (how, text) = control.within(Some(patience), Duration::from_secs(1), answer).map_err(no_start)?;
    if !how.is_success() {
        let mut talk = Vec::new();
        said.rewind().and_then(|()| said.read_to_end(&mut talk)).map_err(no_start)?;
        let talk = String::from_utf8_lossy(&talk);
        if let Some(failure) = no_start::by_loader(worker, &talk) {
            return Err(failure);
        }
        let last = talk.lines().rfind(|line| !line.trim().is_empty()).map(|line| format!(": {}", shown(line)));
        return Err(Failure::new(format!("{} {how}{}", worker.display(), last.unwrap_or_default())));
    }
    let text = String::from_utf8_lossy(&text);
    understood(&text, worker)
}

/// Parses a worker's answer. Another version may answer differently, but has `format` in the same place.
fn understood<T: DeserializeOwned>(text: &str, worker: &Path) -> Result<T, Failure> {
    #[derive(serde::Deserialize)]
    struct Any {
        format: u32,
    }
    let said = |line: &str| serde_json::from_str::<Any>(line).ok();
    let found: Option<T> = text.lines().find_map(|line| serde_json::from_str(line).ok());
    match (found, text.lines().find_map(said)) {
        (Some(found), Some(Any { format: FORMAT })) => Ok(found),
        (_, Some(Any { format })) if format != FORMAT => {
            let title = format!(
                "{} is the worker of another version: it takes jobs of format {format}, this intrada-run gives {FORMAT}",
                worker.display()
            );
            Err(Failure::new(title).with_help(SAME_SOURCES))
        }
        _ => Err(not_ours(worker)),
    }
}

const SAME_SOURCES: &str = "build both from the same sources: cargo build --release";

fn not_ours(worker: &Path) -> Failure {
    let title = format!("{} is not the worker of this intrada-run", worker.display());
    Failure::new(title).with_help(SAME_SOURCES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_of_another_version_is_told_from_something_else() {
        let told = |text: &str| match understood::<Description>(text, Path::new("w")) {
            Err(Failure::Failed { message, .. }) => message,
            other => panic!("{text} gives {other:?}"),
        };
        let newer = format!("hello\n{{\"format\":{},\"else\":1}}\n", FORMAT + 1);
        assert!(told(&newer).contains("another version"), "{}", told(&newer));
        assert!(told("hello\n").contains("is not the worker"));
        let ours = format!(r#"{{"format":{FORMAT},"libtorch":null,"file":null,"cuda":false,"gpus":[]}}"#);
        assert_eq!(understood::<Description>(&ours, Path::new("w")).unwrap().format, FORMAT);
    }
}
