//! Performs a job in an `intrada-worker` process and passes on what it says.
//!
//! Knows the contract of [`super::job`] and nothing of what a kind does. The worker's standard output carries events, its
//! standard error is the stage's log.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::job::{DESCRIBE, Description, Event, FORMAT, Job, TRY_WEIGHTS, Tried, iterations_kept};
use super::process::{self, Control, Prepared, Running};
use super::{Failure, Visible, find_worker, no_start, surroundings};
use crate::kind::instruction_set;

/// What a finished worker leaves besides its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// Goes into the trace; see [`Event::Finished`].
    pub notes: BTreeMap<String, String>,
    /// Iterations that an earlier, interrupted attempt had done.
    pub resumed_from: Option<u64>,
}

/// Runs the worker on `job` until it ends. `job_file` is written for it, `gpus` are all it sees, `log` takes its standard error.
///
/// # Errors
/// The failure that the worker named, or the way in which its process ended.
pub fn perform(
    job: &Job,
    job_file: &Path,
    gpus: &Visible,
    log: File,
    control: &Control,
    mut on_event: impl FnMut(&Event),
) -> Result<Finished, Failure> {
    let worker = find_worker()?;
    let text = serde_json::to_vec(job).expect("a job is plain data");
    File::create(job_file)
        .and_then(|mut file| file.write_all(&text))
        .map_err(|error| Failure::new(format!("failed to write {}: {error}", job_file.display())))?;
    note_withheld(&log);
    let mut prepared = Prepared::new(&worker);
    prepared.command().arg(job_file).stdout(Stdio::piped()).stderr(log);
    let set = job.instruction_set.as_deref().and_then(instruction_set::find);
    surroundings::settle(prepared.command(), Some(job.threads), set);
    gpus.limit(prepared.command());
    let started = process::start(&mut prepared, control).map_err(|error| no_start::refused(&worker, &error))?;
    let kills = process::out_of_memory_kills();
    let Some(mut running) = started else { return Err(Failure::Cancelled { at: None }) };

    let (ended, mut last) = (listen(&mut running), Said::default());
    // The worker's own children may hold the pipe open after it has ended; so its end is waited for beside the pipe's.
    let status = std::thread::scope(|scope| {
        let (send, exit) = mpsc::channel();
        let (running, control) = (&mut running, control);
        // Started by this thread, waited for by another: without a supervisor the child dies with the thread that started
        // it, and that is this one, which outlives the scope.
        scope.spawn(move || send.send(process::wait(running, control)));
        let mut status = None;
        loop {
            match ended.recv_timeout(Duration::from_millis(if status.is_some() { 500 } else { 20 })) {
                Ok(event) => {
                    on_event(&event);
                    last.hear(event);
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    break status.unwrap_or_else(|| exit.recv().expect("sent"));
                }
                Err(mpsc::RecvTimeoutError::Timeout) if status.is_some() => break status.expect("just asked"),
                Err(mpsc::RecvTimeoutError::Timeout) => status = exit.try_recv().ok(),
            }
        }
    });
    let status = status.map_err(|error| Failure::new(format!("failed to wait for the worker: {error}")))?;
    match last {
        Said { outcome: Some(Event::Finished { notes }), resumed_from } if status.success() => {
            Ok(Finished { notes, resumed_from })
        }
        Said { outcome: Some(Event::Failed { message, help }), .. } => Err(Failure::Failed { message, help }),
        Said { outcome: Some(Event::Interrupted { at }), .. } => Err(Failure::Cancelled { at: Some(at) }),
        _ if control.is_stopping() => Err(Failure::Cancelled { at: None }),
        // It never began; what was said of that is asked for again, as the log belongs to the caller.
        Said { resumed_from: None, .. } if was_not_loaded(status) => {
            Err(describe(&Visible::All).err().unwrap_or_else(|| without_a_word(status, None, &job.slot)))
        }
        _ => {
            let more_kills = kills.zip(process::out_of_memory_kills()).map(|(before, now)| now > before);
            Err(without_a_word(status, more_kills, &job.slot))
        }
    }
}

/// Whether the loader may have ended it. The worker itself says why it fails.
fn was_not_loaded(status: ExitStatus) -> bool {
    status.code().is_some_and(|code| no_start::OF_LOADER.contains(&code))
}

/// In the stage's log, for whoever wonders why a variable has no effect.
fn note_withheld(mut log: &File) {
    if let Some(note) = surroundings::note() {
        // Not worth a failure: it is said by `doctor` as well.
        let _ = writeln!(log, "{note}");
    }
}

/// The worker ended without an error message: how it ended, and what it kept. `ran_out`: whether the kernel has ended processes
/// meanwhile because memory ran out.
fn without_a_word(status: ExitStatus, ran_out: Option<bool>, slot: &Path) -> Failure {
    let mut failure = Failure::new(format!("the worker {}", process::describe(status)));
    if let (Some(9), Some(ran_out)) = (status.signal(), ran_out) {
        failure = failure.with_help(match ran_out {
            true => "memory ran out, and the kernel ended a process; a smaller `batch` or `crop`, or fewer jobs at once, need less",
            false => "the kernel says that memory did not run out; a batch system or a person may have ended it",
        });
    }
    match iterations_kept(slot) {
        Some(at) => failure
            .with_help(format!("the checkpoint after {at} iterations is kept; the same command goes on from there")),
        None => failure,
    }
}

/// A worker that has to load libtorch from a slow disk takes seconds; none takes longer than this.
const PATIENCE: Duration = Duration::from_secs(120);

/// Asks the worker what it finds on its machine, of whose GPUs these are visible to it.
///
/// # Errors
/// There is none, it doesn't start or end well (what the loader said of it is told), or it answers something else.
pub fn describe(visible: &Visible) -> Result<Description, Failure> {
    let worker = find_worker()?;
    ask(&worker, PATIENCE, |command| {
        command.arg(DESCRIBE);
        visible.limit(command);
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
        Visible::Only(Vec::new()).limit(command);
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
        let mut running = process::start(&mut prepared, &control)?.expect("nobody told it to stop");
        let mut text = Vec::new();
        let read = running.take_stdout().expect("standard output is piped").read_to_end(&mut text);
        let status = process::wait(&mut running, &control)?;
        read.map(|_| (status, text))
    };
    let (status, text) = control.within(Some(patience), Duration::from_secs(1), answer).map_err(no_start)?;
    if !status.success() {
        let mut talk = Vec::new();
        said.rewind().and_then(|()| said.read_to_end(&mut talk)).map_err(no_start)?;
        let talk = String::from_utf8_lossy(&talk);
        if let Some(failure) = no_start::by_loader(worker, &talk) {
            return Err(failure);
        }
        let last = talk.lines().rfind(|line| !line.trim().is_empty()).map(|line| format!(": {}", super::shown(line)));
        let how = process::describe(status);
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

/// The events that decide.
#[derive(Default)]
struct Said {
    outcome: Option<Event>,
    resumed_from: Option<u64>,
}

impl Said {
    fn hear(&mut self, event: Event) {
        match event {
            Event::Progress { .. } => {}
            Event::Resumed { at } => self.resumed_from = Some(at),
            outcome => self.outcome = Some(outcome),
        }
    }
}

/// Reads events in a thread of its own. A line that is none is the output of a library: it is not worth a failure.
fn listen(running: &mut Running) -> mpsc::Receiver<Event> {
    let (send, receive) = mpsc::channel();
    let pipe = running.take_stdout().expect("standard output is piped");
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let Ok(line) = line else { break };
            if let Ok(event) = serde_json::from_str(&line)
                && send.send(event).is_err()
            {
                break;
            }
        }
    });
    receive
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
