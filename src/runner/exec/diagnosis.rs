//! What the end of a job means: its result, or why there is none and what helps.
//!
//! Knows neither executor nor process: what a worker said, how the job ended, and whether it was told to.

use std::path::Path;

use super::command::Program;
use super::executor::{Ended, How, Work};
use super::job::{Event, Job, iterations_kept};
use super::listen::Said;
use super::{Failure, Finished};

/// The exit statuses with which the dynamic loader ends a program that it can't complete: the second where a library is too old.
const OF_LOADER: [i32; 2] = [127, 1];

/// What came of a job. `why_not_loaded` asks the place why its worker doesn't start: `None` if it does.
///
/// # Errors
/// There is no result.
pub(super) fn of(
    work: &Work,
    said: Said,
    ended: &Ended,
    is_stopping: bool,
    why_not_loaded: impl FnOnce() -> Option<Failure>,
) -> Result<Finished, Failure> {
    match work {
        Work::Worker(job, _) => of_worker(job, said, ended, is_stopping, why_not_loaded),
        Work::Command(program) => of_command(program, ended, is_stopping),
    }
}

fn of_command(program: &Program, ended: &Ended, is_stopping: bool) -> Result<Finished, Failure> {
    if is_stopping {
        // Asked to stop, it may have saved and ended well, with half of its output: that is no result.
        Err(Failure::Cancelled { at: None })
    } else if ended.how.is_success() {
        Ok(Finished::default())
    } else {
        Err(Failure::new(format!("{} {}", program.shown(), ended.how)))
    }
}

fn of_worker(
    job: &Job,
    said: Said,
    ended: &Ended,
    is_stopping: bool,
    why_not_loaded: impl FnOnce() -> Option<Failure>,
) -> Result<Finished, Failure> {
    let Said { outcome, resumed_from } = said;
    match outcome {
        Some(Event::Finished { notes }) if ended.how.is_success() => {
            Ok(Finished { notes, resumed_from, elsewhere: None })
        }
        Some(Event::Failed { message, help }) => Err(Failure::Failed { message, help }),
        Some(Event::Interrupted { at }) => Err(Failure::Cancelled { at: Some(at) }),
        _ if is_stopping => Err(Failure::Cancelled { at: None }),
        // It never began. What the loader said of that is asked for again, as the log is not the worker's alone.
        _ if resumed_from.is_none() && may_be_of_loader(&ended.how) => {
            Err(why_not_loaded().unwrap_or_else(|| without_a_word(ended, &job.slot)))
        }
        _ => Err(without_a_word(ended, &job.slot)),
    }
}

/// Whether the loader may have ended it. The worker itself says why it fails.
fn may_be_of_loader(how: &How) -> bool {
    matches!(how, How::Status(status) if OF_LOADER.contains(status))
}

/// The worker ended without an error message: how it ended, and what it kept.
fn without_a_word(ended: &Ended, slot: &Path) -> Failure {
    let mut failure = Failure::new(format!("the worker {}", ended.how));
    if let (How::Signal(9), Some(out_of_memory)) = (&ended.how, ended.out_of_memory) {
        failure = failure.with_help(if out_of_memory {
            "memory ran out, and the kernel ended a process; a smaller `batch` or `crop`, or fewer jobs at once, need less"
        } else {
            "the kernel says that memory did not run out; a batch system or a person may have ended it"
        });
    }
    match iterations_kept(slot) {
        Some(at) => {
            failure.with_help(format!("the checkpoint after {at} iterations is kept; the same command resumes there"))
        }
        None => failure,
    }
}
