//! What follows from all that is known of a submitted job: keep waiting, take its result, submit it again, or give up.
//!
//! Knows no files and no clocks: everything that is known comes in. The order of trust is: the outcome that the job itself
//! left, then what the batch system says. A job that nobody knows anything about isn't a failed job until it has been unknown
//! for long.

use std::time::Duration;

use super::super::executor::{Ended, How};
use super::super::{Elsewhere, Failure};
use super::papers::{End, Outcome};
use super::queue::{Exit, Phase, Standing};

/// A state in which a job can't run has to last this long: some are shown for a moment.
const STUCK_AFTER: Duration = Duration::from_secs(5);
/// How often a job is submitted again after failures of the infrastructure.
const INFRASTRUCTURE_RETRIES: u32 = 10;

/// All that is known of a job.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// What it left itself.
    pub(super) outcome: Option<Outcome>,
    /// The last answer of the batch system; `None`: it doesn't know the job.
    pub(super) standing: Option<Standing>,
    /// For how long that has been so, over questions that were answered.
    pub(super) since: Duration,
    /// How long files that another machine wrote may stay invisible here.
    pub(super) latency: Duration,
    /// After this long in which the batch system was asked and didn't know the job, it counts as lost.
    pub(super) lost_after: Duration,
    /// Whether this run has asked to cancel it.
    pub(super) is_cancelled: bool,
    /// What the resume slot held when it was submitted, and what it holds now.
    pub(super) kept: [Option<u64>; 2],
    /// How often it was submitted again after failures of the infrastructure.
    pub(super) again: u32,
    /// The last lines that the batch system printed for it.
    pub(super) printed: Vec<String>,
    /// What messages call the job.
    pub(super) job: String,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Nothing yet.
    Wait,
    /// Take what it left.
    Take(Ended),
    /// Submit it again; why, for people; whether that counts as a failure of the infrastructure. `cancel`: it is still in the
    /// queue and has to be cancelled.
    Again { why: String, counts: bool, cancel: bool },
    /// It has no result. `cancel`: it is still in the queue and has to be cancelled.
    Fail { failure: Failure, cancel: bool },
}

/// What to do about a job.
pub(super) fn of(seen: &Seen) -> Verdict {
    match &seen.outcome {
        Some(outcome) if outcome.is_final() => taken(outcome),
        Some(Outcome { end: End::Interrupted { how, is_warning }, elsewhere, .. }) => {
            interrupted(seen, how, *is_warning, elsewhere)
        }
        _ => without_outcome(seen),
    }
}

fn taken(outcome: &Outcome) -> Verdict {
    match &outcome.end {
        End::Ended { how, out_of_memory, timed_out } => Verdict::Take(Ended {
            how: how.clone(),
            out_of_memory: *out_of_memory,
            timed_out: *timed_out,
            elsewhere: Some(outcome.elsewhere.clone()),
        }),
        End::NotStarted { message, help } => {
            let failure = Failure::Failed { message: message.clone(), help: help.clone() };
            Verdict::Fail {
                failure: failure.with_help(format!("this was on {}", outcome.elsewhere.machine)),
                cancel: false,
            }
        }
        End::Interrupted { .. } => Verdict::Wait,
    }
}

/// It has saved and ended because it was told to: by this run, by the batch system, or by a person.
fn interrupted(seen: &Seen, how: &How, is_warning: bool, elsewhere: &Elsewhere) -> Verdict {
    let phase = seen.standing.as_ref().map(|standing| &standing.phase);
    if seen.is_cancelled {
        let is_over = !matches!(phase, Some(Phase::Running | Phase::Waiting | Phase::Held | Phase::Unknown(_)));
        let elsewhere = Some(elsewhere.clone());
        let ended = Ended { how: how.clone(), out_of_memory: None, timed_out: false, elsewhere };
        return if is_over { Verdict::Take(ended) } else { Verdict::Wait };
    }
    match phase {
        // It is ending, or the batch system starts it again by itself.
        Some(Phase::Running | Phase::Waiting | Phase::Held | Phase::Unknown(_)) => Verdict::Wait,
        Some(Phase::Stuck | Phase::NotLaunched) => without_outcome(seen),
        Some(Phase::Cancelled) if !is_warning => cancelled_by_somebody(seen),
        Some(Phase::OutOfTime) => out_of_time(seen),
        _ if is_warning => out_of_time(seen),
        Some(Phase::Lost(word)) => resumed(seen, word),
        // It left by itself after the signal, so that this is all the batch system knows.
        _ => resumed(seen, "it was asked to end"),
    }
}

fn without_outcome(seen: &Seen) -> Verdict {
    let Some(standing) = &seen.standing else {
        return if seen.is_cancelled {
            Verdict::Fail { failure: Failure::Cancelled { at: seen.kept[1] }, cancel: false }
        } else if seen.since < seen.lost_after.max(seen.latency) {
            Verdict::Wait
        } else {
            again(seen, "the batch system no longer knows it, and it left no result")
        };
    };
    match &standing.phase {
        Phase::Waiting | Phase::Held | Phase::Running | Phase::Unknown(_) => Verdict::Wait,
        Phase::Stuck | Phase::NotLaunched if seen.since < STUCK_AFTER => Verdict::Wait,
        // A copy of it may run all the same; the attempt that comes last makes the others end.
        Phase::NotLaunched => match again(seen, &standing.reason) {
            Verdict::Again { why, counts, .. } => Verdict::Again { why, counts, cancel: true },
            failed => failed,
        },
        Phase::Stuck => {
            let failure = Failure::new(format!("{} can never start: {}", seen.job, standing.reason));
            let help = "change the executor's options or the stage's `resources`, and run again";
            Verdict::Fail { failure: failure.with_help(help), cancel: true }
        }
        // Few systems tell a job that was cancelled from one that has failed; this run has asked for the end.
        Phase::Cancelled | Phase::Ended(_) | Phase::OutOfMemory | Phase::OutOfTime | Phase::Lost(_)
            if seen.is_cancelled =>
        {
            Verdict::Fail { failure: Failure::Cancelled { at: seen.kept[1] }, cancel: false }
        }
        // What it wrote last may not be visible here yet.
        _ if seen.since < seen.latency => Verdict::Wait,
        Phase::Ended(exit) => silent(seen, *exit, &standing.reason),
        Phase::OutOfMemory => out_of_memory(seen),
        Phase::OutOfTime => out_of_time(seen),
        Phase::Lost(word) => again(seen, word),
        Phase::Cancelled => cancelled_by_somebody(seen),
    }
}

/// It ended without a word of its own: the node's program was killed, or it never began.
fn silent(seen: &Seen, exit: Exit, reason: &str) -> Verdict {
    let is_of_memory = |line: &String| line.contains("Exceeded job memory limit") || line.contains("oom_kill event");
    // A signal arrives as 128 + its number where the job runs as a step.
    let signal =
        exit.signal.filter(|signal| *signal != 0).or(exit.status.filter(|status| *status > 128).map(|s| s - 128));
    if signal == Some(9) && seen.printed.iter().any(is_of_memory) {
        return out_of_memory(seen);
    }
    let how = match (signal, exit.status) {
        (Some(signal), _) => format!("it {}", How::Signal(signal)),
        (None, Some(status)) => format!("it {}", How::Status(status)),
        (None, None) => format!("the batch system says: {reason}"),
    };
    let failure = Failure::new(format!("{} ended without a result: {how}", seen.job));
    let failure = seen.printed.iter().fold(failure, |failure, line| failure.with_help(format!("it printed: {line}")));
    Verdict::Fail { failure, cancel: false }
}

fn out_of_memory(seen: &Seen) -> Verdict {
    let failure = Failure::new(format!("{} needed more memory than it had asked for and was killed", seen.job));
    let help = "`resources = { memory = \"…\" }` of the stage asks for more; a smaller `batch` or `crop` needs less";
    Verdict::Fail { failure: failure.with_help(help), cancel: false }
}

/// Each submission must bring it further, or it would be submitted for ever.
fn out_of_time(seen: &Seen) -> Verdict {
    let [before, now] = seen.kept;
    if now > before {
        let at = now.unwrap_or_default();
        return Verdict::Again {
            why: format!("it reached its time limit and resumes from {at}"),
            counts: false,
            cancel: false,
        };
    }
    let failure = Failure::new(format!("{} reached its time limit before it had saved anything", seen.job));
    let help = "a longer `time` in the stage's `resources`, or a smaller `checkpoint_every` of a training";
    Verdict::Fail { failure: failure.with_help(help), cancel: false }
}

fn cancelled_by_somebody(seen: &Seen) -> Verdict {
    let failure = Failure::new(format!("somebody else cancelled {}", seen.job));
    Verdict::Fail {
        failure: failure.with_help("run again to submit it again; it resumes from what it has saved"),
        cancel: false,
    }
}

/// It was asked to end and has saved: one that got further since it was submitted may be submitted as often as it takes.
fn resumed(seen: &Seen, why: &str) -> Verdict {
    let [before, now] = seen.kept;
    if now > before { Verdict::Again { why: why.to_owned(), counts: false, cancel: false } } else { again(seen, why) }
}

fn again(seen: &Seen, why: &str) -> Verdict {
    if seen.again < INFRASTRUCTURE_RETRIES {
        return Verdict::Again { why: why.to_owned(), counts: true, cancel: false };
    }
    let failure = Failure::new(format!("{} was lost {} times; the last time: {why}", seen.job, seen.again + 1));
    Verdict::Fail {
        failure: failure.with_help("this is a fault of the cluster, not of the stage; ask its administrators"),
        cancel: false,
    }
}

#[cfg(test)]
mod tests;
