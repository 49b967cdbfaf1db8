//! What a run reports: its events in order, the outcomes of stages, and who receives them.
//!
//! Knows what happened, not why it was decided nor how it is displayed: a [`Reporter`] receives events. A screen is one,
//! the views in `runs/` are another.

pub mod full_disk;
pub mod history;
pub mod runs;
pub mod unwritten;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Key;
use crate::store::index::Index;

use crate::measures::duration;

/// The outcome of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was computed.
    Ran,
    /// It was restored from the cache.
    Hit,
    /// Its outputs were in place already.
    UpToDate,
    /// It failed.
    Failed,
    /// A stage that it needs failed.
    Skipped,
    /// It was stopped.
    Cancelled,
    /// It was left to a batch system, where it goes on.
    Submitted,
    /// It waits for a stage that was left to a batch system.
    Pending,
}

impl Outcome {
    /// The name for programs, which doesn't change.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Ran => "ran",
            Outcome::Hit => "hit",
            Outcome::UpToDate => "up-to-date",
            Outcome::Failed => "failed",
            Outcome::Skipped => "skipped",
            Outcome::Cancelled => "cancelled",
            Outcome::Submitted => "submitted",
            Outcome::Pending => "pending",
        }
    }

    /// Whether the stage's results are available.
    pub fn has_results(self) -> bool {
        matches!(self, Outcome::Ran | Outcome::Hit | Outcome::UpToDate)
    }

    /// The name for people.
    pub fn word(self) -> &'static str {
        if self == Outcome::UpToDate { "up to date" } else { self.name() }
    }

    /// The number of its colour in an escape sequence: green, cyan, red or yellow.
    pub(crate) fn colour(self) -> u8 {
        match self {
            Outcome::Ran => 32,
            Outcome::Hit | Outcome::UpToDate | Outcome::Submitted => 36,
            Outcome::Failed => 31,
            Outcome::Skipped | Outcome::Cancelled | Outcome::Pending => 33,
        }
    }
}

/// An event of a run.
#[derive(Clone, Debug)]
pub enum Event {
    /// Work on a stage begins.
    Started {
        /// The stage's name.
        stage: String,
        /// What it computes.
        key: Key,
        /// Why it has to run.
        reason: String,
    },
    /// The stage waits.
    Waiting {
        /// The stage's name.
        stage: String,
        /// For whom or what.
        holder: String,
    },
    /// Where a stage's job is in a batch system, in that system's words.
    Standing {
        /// The stage's name.
        stage: String,
        /// Job, place and reason.
        text: String,
    },
    /// The stage failed, and is retried.
    Retrying {
        /// The stage's name.
        stage: String,
        /// The new attempt, counted from 1.
        attempt: u32,
        /// The maximum number of attempts.
        of: u32,
        /// Why the previous attempt failed.
        reason: String,
    },
    /// A running job is stopped, as its inputs have changed; its checkpoints are kept.
    Dropped {
        /// The stage's name.
        stage: String,
    },
    /// A training resumes from a checkpoint.
    Resumed {
        /// The stage's name.
        stage: String,
        /// Iterations that are already done.
        at: u64,
    },
    /// Progress of a stage.
    Progress {
        /// The stage's name.
        stage: String,
        /// Done in this attempt and earlier ones.
        done: u64,
        /// The total.
        total: u64,
        /// The unit.
        unit: String,
        /// Some numbers to display.
        values: Vec<(String, f64)>,
    },
    /// The stage's outputs are digested and stored in the cache.
    Storing {
        /// The stage's name.
        stage: String,
    },
    /// The stage's outputs are copied to a shared cache. Other stages run meanwhile.
    Pushing {
        /// The stage's name.
        stage: String,
        /// The shared cache; empty at first.
        to: String,
        /// Bytes that were sent.
        bytes: u64,
        /// Bytes to send.
        of: u64,
    },
    /// The stage's outputs are restored from the cache. Nothing else happens meanwhile.
    Restoring {
        /// The stage's name.
        stage: String,
    },
    /// A file in the place of an output existed nowhere else (a user's file, or an edit), and was moved.
    PutAside {
        /// The stage's name.
        stage: String,
        /// The output, relative to the workspace root.
        output: String,
        /// Where it is now, relative to the workspace root if it is inside.
        to: String,
        /// Whether the stage itself had left it, in a run that was killed, stopped or failed.
        unfinished: bool,
    },
    /// A stage was settled.
    Finished(Finished),
    /// Files have changed, so stages are checked again.
    Changed {
        /// The files, relative to the workspace root.
        paths: Vec<String>,
    },
    /// A message that is no failure.
    Warning(String),
    /// All stages are settled.
    Closed(Totals),
}

/// A settled stage.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its name.
    pub stage: String,
    /// The outcome.
    pub outcome: Outcome,
    /// The key that it would have computed; none if an input stayed unknown.
    pub key: Option<Key>,
    /// Time spent now, for `ran` and `failed`; the time it took to compute, for the others.
    pub seconds: f64,
    /// Why it ran, was skipped or failed.
    pub reason: String,
    /// The worker's notes in the trace, such as `summary`.
    pub notes: BTreeMap<String, String>,
    /// Advice after a failure, and the end of its log.
    pub advice: Advice,
}

impl Finished {
    /// Its summary: `2,976 images`.
    pub fn summary(&self) -> Option<&str> {
        self.notes.get("summary").map(String::as_str)
    }

    /// The time that it took or saved.
    pub fn time(&self) -> Option<String> {
        match self.outcome {
            Outcome::Ran => Some(duration(self.seconds)),
            Outcome::Hit => {
                let from = self.notes.get("from").map(|from| format!(", from {from}")).unwrap_or_default();
                Some(format!("saved {}{from}", duration(self.seconds)))
            }
            _ => None,
        }
    }
}

/// Details of a failure.
#[derive(Clone, Debug, Default)]
pub struct Advice {
    /// What to do.
    pub help: Vec<String>,
    /// The log's last lines.
    pub log: Vec<String>,
    /// The command that shows the rest.
    pub more: Option<String>,
}

/// The totals of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Computed.
    pub ran: usize,
    /// Restored from the cache.
    pub hit: usize,
    /// In place already.
    pub up_to_date: usize,
    /// Failed.
    pub failed: usize,
    /// Not run because another stage failed.
    pub skipped: usize,
    /// Stopped.
    pub cancelled: usize,
    /// Left to a batch system.
    pub submitted: usize,
    /// Waiting for those.
    pub pending: usize,
    /// Wall time.
    pub seconds: f64,
    /// The original cost of the hits.
    pub saved: f64,
    /// Results in the cache that are still to be copied to shared caches.
    pub unpushed: usize,
}

impl Totals {
    /// Whether any stage ran or was restored.
    pub fn is_anything(&self) -> bool {
        self.ran + self.hit + self.failed + self.skipped + self.cancelled + self.submitted + self.pending > 0
    }

    /// Counts one more stage.
    pub fn add(&mut self, finished: &Finished) {
        match finished.outcome {
            Outcome::Ran => self.ran += 1,
            Outcome::Hit => {
                self.hit += 1;
                self.saved += finished.seconds;
            }
            Outcome::UpToDate => self.up_to_date += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Skipped => self.skipped += 1,
            Outcome::Cancelled => self.cancelled += 1,
            Outcome::Submitted => self.submitted += 1,
            Outcome::Pending => self.pending += 1,
        }
    }
}

/// Receives the events of a run in order.
pub trait Reporter {
    /// Handles one event. An output that can't be written (a closed pipe) must not stop a training.
    fn tell(&mut self, event: &Event);

    /// Called when jobs are running and there are no events: time to check which outputs are in place, according to
    /// `index`.
    fn look(&mut self, _index: &Index) {}
}

impl Reporter for Box<dyn Reporter> {
    fn tell(&mut self, event: &Event) {
        (**self).tell(event);
    }

    fn look(&mut self, index: &Index) {
        (**self).look(index);
    }
}

/// Passes on only failures: `--quiet`.
pub struct Quiet<R>(pub R);

impl<R: Reporter> Reporter for Quiet<R> {
    fn tell(&mut self, event: &Event) {
        let is_failure = matches!(event, Event::Finished(Finished { outcome: Outcome::Failed, .. }));
        if is_failure || matches!(event, Event::PutAside { .. }) {
            self.0.tell(event);
        }
    }
}
