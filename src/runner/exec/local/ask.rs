//! Asks the worker on this machine what only a program with libtorch can answer: what it finds here, and whether files of
//! weights serve.
//!
//! Knows neither jobs that run nor stages. An answer is one line of JSON.

use std::io::{Read, Seek, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::super::control::Control;
use super::super::job::{DESCRIBE, Description, FORMAT, Job, TRY_WEIGHTS, Tried};
use super::super::{Failure, Visible, shown};
use super::process::{self, Prepared, Process};
use super::{find_worker, no_start, show, surroundings};

/// A worker that has to load libtorch from a slow disk takes seconds; none takes longer than this.
const PATIENCE: Duration = Duration::from_secs(120);

/// Asks the worker what it finds on its machine, of whose GPUs these are visible to it.
///
/// # Errors
/// There is none, it doesn't start or end well (what the loader said of it is told), or it answers something else.
pub(super) fn describe(visible: &Visible) -> Result<Description, Failure> {
    let worker = find_worker()?;
    ask(&worker, PATIENCE, |command| {
        command.arg(DESCRIBE);
        show(visible, command);
    })
}

/// Reading a file from a slow disk takes a while; none is waited for longer, as a run can begin without.
const PATIENCE_FOR_FILES: Duration = Duration::from_secs(600);

/// Has the worker try the file of weights that each of `jobs` names, relative to `root`, as the job would read it.
///
/// # Errors
/// As [`describe`]; the jobs can't be written to a file for it.
pub fn try_weights(root: &Path, jobs: &[Job]) -> Result<Tried, Failure> {
    let worker = find_worker()?;
    let text = serde_json::to_vec(jobs).expect("a job is plain data");
    let unwritten = |error| Failure::new(format!("failed to write a temporary file for the worker: {error}"));
    let mut file = tempfile::NamedTempFile::new().map_err(unwritten)?;
    file.write_all(&text).map_err(unwritten)?;
    let tried: Tried = ask(&worker, PATIENCE_FOR_FILES, |command| {
        command.arg(TRY_WEIGHTS).arg(file.path()).current_dir(root);
        // A file is read in the same way wherever the stage computes.
        show(&Visible::Only(Vec::new()), command);
    })?;
    let is_of_each = [tried.faults.len(), tried.warnings.len()] == [jobs.len(); 2];
    if is_of_each { Ok(tried) } else { Err(not_ours(&worker)) }
}

/// What the worker answers to these arguments.
fn ask<T: DeserializeOwned>(
    worker: &Path,
    patience: Duration,
    arguments: impl FnOnce(&mut Command),
) -> Result<T, Failure> {
    let no_start = |error| no_start::refused(worker, &error);
    // A file, as nobody reads a second pipe while the first one is read.
    let mut said = tempfile::tempfile().map_err(no_start)?;
    let mut prepared = Prepared::new(worker);
    prepared.command().stdout(Stdio::piped()).stderr(said.try_clone().map_err(no_start)?);
    surroundings::settle(prepared.command(), None, None);
    arguments(prepared.command());
    let control = Control::default();
    let answer = || {
        let mut process = Process::start(&mut prepared, None)?;
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

/// A worker's answer. One of another version may say other things, but its format stands in the same place.
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
