//! Performs one job in this process, from its file to the last event.
//!
//! Knows no kind and no device: a [`Program`] has them.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use intrada_runner::exec::job::log::FAILED;
use intrada_runner::exec::job::{Event, FORMAT, Job};
use intrada_runner::measures::{count, duration};

use crate::kinds::Perform;
use crate::log::{self, log};
use crate::names;
use crate::work::{Advise, Failure, Notes, Work, say};

/// What a program does with jobs.
pub struct Program {
    /// What performs a kind of this name.
    pub find: fn(&str) -> Option<Perform>,
    /// Prepares this process for a job.
    pub settle: fn(&Job) -> Result<Place, Failure>,
    /// Its advice.
    pub advise: Advise,
}

/// Where a job is performed.
pub struct Place {
    /// [`Work::made_on`].
    pub made_on: String,
    /// The device and what else affects its numbers, for the log.
    pub on: Vec<String>,
    /// The same, for the trace, unless the kind says otherwise.
    pub notes: Notes,
}

/// Performs the job in this file, reports progress and the result on standard output, and logs on standard error.
pub fn perform(path: &Path, program: &Program) -> ExitCode {
    match performed(path, program) {
        Ok(notes) => {
            say(&Event::Finished { notes });
            ExitCode::SUCCESS
        }
        Err(failure) => failed(failure.advised_by(program.advise)),
    }
}

/// Tells the failure, and returns the exit status.
pub fn failed(failure: Failure) -> ExitCode {
    match failure {
        Failure::Interrupted { at } => {
            log(&format!("stopped at {}; what is done by then is kept for the next run", count(at)));
            say(&Event::Interrupted { at });
            ExitCode::from(130)
        }
        Failure::Failed { message, help, .. } => {
            log(&message.lines().map(|line| format!("{FAILED}{line}\n")).collect::<String>());
            help.iter().for_each(|line| log(&format!("help: {line}")));
            say(&Event::Failed { message, help });
            ExitCode::FAILURE
        }
    }
}

fn performed(path: &Path, program: &Program) -> Result<Notes, Failure> {
    let begun = Instant::now();
    log::begin();
    // A signal during the preparation below must not end the process halfway through a file either.
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    // When a file reaches its size limit (`ulimit -f`), the write must return an error, which names the file, instead of
    // killing the process.
    signal_hook::flag::register(rustix::process::Signal::XFSZ.as_raw(), Arc::default())?;
    let job = read(&std::fs::read(path)?)?;
    let Place { made_on, on, notes: of_place } = (program.settle)(&job)?;
    let perform = (program.find)(&job.kind).ok_or_else(|| {
        let help = "build intrada-run and intrada-worker from the same sources";
        Failure::advised(format!("this worker has no kind `{}`", job.kind), help)
    })?;
    log::describe(&job, &on.join(", "));
    let work = Work::new(job, made_on, stop);
    let performed = perform(&work);
    work.tell_of_samples();
    let mut notes = performed.map_err(|failure| names::renamed(failure, &work.job))?;
    let own: Vec<String> = of_place.keys().cloned().collect();
    for (name, value) in of_place {
        notes.entry(name).or_insert(value);
    }
    sum_up(&notes, &own, begun.elapsed().as_secs_f64());
    Ok(notes)
}

/// The end of the log of a job that is done. `told`: the notes that its first line has.
fn sum_up(notes: &Notes, told: &[String], seconds: f64) {
    let summary = notes.get("summary").map(|summary| format!(": {summary}")).unwrap_or_default();
    let others = notes.iter().filter(|(name, _)| *name != "summary" && !told.contains(name));
    others.for_each(|(name, value)| log(&format!("{}: {value}", name.replace('_', " "))));
    log(&format!("finished in {}{summary}", duration(seconds)));
}

/// Reads only the format number: a job of another version's runner can't be interpreted further.
fn read(text: &[u8]) -> Result<Job, Failure> {
    #[derive(serde::Deserialize)]
    struct Any {
        format: u32,
    }
    let Any { format } = serde_json::from_slice(text)?;
    if format != FORMAT {
        let message = format!("the job has format {format}, this worker reads {FORMAT}");
        return Err(Failure::advised(message, "build intrada-run and intrada-worker from the same sources"));
    }
    Ok(serde_json::from_slice(text)?)
}
