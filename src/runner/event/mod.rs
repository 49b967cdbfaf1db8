//! What a run says: its events in order, how stages came out, and who listens.
//!
//! Knows what happened, not why it was decided nor how it is shown: a [`Reporter`] gets events and does with them what it is for. A
//! screen is one, the views in `runs/` are another.

pub mod full_disk;
pub mod history;
pub mod unwritten;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Key;
use crate::store::index::Index;

use crate::measures::duration;

/// How a stage came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was computed.
    Ran,
    /// Its outputs came out of the cache.
    Hit,
    /// Its outputs were in place already.
    UpToDate,
    /// It failed.
    Failed,
    /// Something that it needs failed.
    Skipped,
    /// It was stopped.
    Cancelled,
}

impl Outcome {
    /// As pinned for programs.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Ran => "ran",
            Outcome::Hit => "hit",
            Outcome::UpToDate => "up-to-date",
            Outcome::Failed => "failed",
            Outcome::Skipped => "skipped",
            Outcome::Cancelled => "cancelled",
        }
    }

    /// Whether the stage's results are there.
    pub fn has_results(self) -> bool {
        matches!(self, Outcome::Ran | Outcome::Hit | Outcome::UpToDate)
    }

    /// As said to people.
    pub fn word(self) -> &'static str {
        if self == Outcome::UpToDate { "up to date" } else { self.name() }
    }

    /// The number of its colour in an escape sequence: green, cyan, red or yellow.
    pub(crate) fn colour(self) -> u8 {
        match self {
            Outcome::Ran => 32,
            Outcome::Hit | Outcome::UpToDate => 36,
            Outcome::Failed => 31,
            Outcome::Skipped | Outcome::Cancelled => 33,
        }
    }
}

/// What a run tells.
#[derive(Clone, Debug)]
pub enum Event {
    /// Work on a stage begins.
    Started {
        /// Its name.
        stage: String,
        /// What it computes.
        key: Key,
        /// Why it has to run.
        reason: String,
    },
    /// Something is waited for.
    Waiting {
        /// Its name.
        stage: String,
        /// For whom or what.
        holder: String,
    },
    /// It failed, and is tried again.
    Retrying {
        /// Its name.
        stage: String,
        /// Which attempt begins, counted from 1.
        attempt: u32,
        /// How many there may be.
        of: u32,
        /// How the one before it failed.
        reason: String,
    },
    /// A running job is no longer wanted, as what it reads has changed; what it saved is kept.
    Dropped {
        /// Its stage's name.
        stage: String,
    },
    /// A training goes on from a checkpoint.
    Resumed {
        /// Its name.
        stage: String,
        /// Iterations that needn't be done again.
        at: u64,
    },
    /// It is so far.
    Progress {
        /// Its name.
        stage: String,
        /// Done of this attempt and earlier ones.
        done: u64,
        /// To be done in all.
        total: u64,
        /// What is counted.
        unit: String,
        /// Numbers worth a glance.
        values: Vec<(String, f64)>,
    },
    /// What it has written is digested and put into the cache.
    Storing {
        /// Its name.
        stage: String,
    },
    /// Its outputs are taken out of the cache and put in place. Nothing else happens meanwhile.
    Restoring {
        /// Its name.
        stage: String,
    },
    /// What lay in the place of an output, and only a person had (a file of their own, or an edit), is now somewhere else.
    PutAside {
        /// The stage's name.
        stage: String,
        /// The output, relative to the workspace root.
        output: String,
        /// Where it is now, relative to the workspace root if it is there.
        to: String,
        /// Whether the stage itself had left it, in a run that was killed, stopped or failed.
        unfinished: bool,
    },
    /// It is settled.
    Finished(Finished),
    /// Files have changed, so stages are looked at again.
    Changed {
        /// Which, relative to the workspace root.
        paths: Vec<String>,
    },
    /// Something worth knowing that is no failure.
    Warning(String),
    /// All is settled.
    Closed(Totals),
}

/// A stage that is settled.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its name.
    pub stage: String,
    /// How.
    pub outcome: Outcome,
    /// Of what it would have computed; none where an input stayed unknown.
    pub key: Option<Key>,
    /// Spent now, for `ran` and `failed`; when it was computed, for the others.
    pub seconds: f64,
    /// Why it ran, was skipped or failed.
    pub reason: String,
    /// What its worker wrote into the trace, among it `summary`.
    pub notes: BTreeMap<String, String>,
    /// What to do about a failure, and the end of its log.
    pub advice: Advice,
}

impl Finished {
    /// What it came to: `2,976 images`.
    pub fn summary(&self) -> Option<&str> {
        self.notes.get("summary").map(String::as_str)
    }

    /// What it took or saved.
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

/// What belongs to a failure.
#[derive(Clone, Debug, Default)]
pub struct Advice {
    /// What to do.
    pub help: Vec<String>,
    /// The log's last lines.
    pub log: Vec<String>,
    /// Where the rest is, as a command.
    pub more: Option<String>,
}

/// The sums of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Computed.
    pub ran: usize,
    /// Out of the cache.
    pub hit: usize,
    /// In place already.
    pub up_to_date: usize,
    /// Failed.
    pub failed: usize,
    /// Not done as something failed.
    pub skipped: usize,
    /// Stopped.
    pub cancelled: usize,
    /// Of wall time.
    pub seconds: f64,
    /// What the hits had cost when they were computed.
    pub saved: f64,
}

impl Totals {
    /// Whether anything happened to any stage.
    pub fn is_anything(&self) -> bool {
        self.ran + self.hit + self.failed + self.skipped + self.cancelled > 0
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
        }
    }
}

/// Gets the events of a run in order.
pub trait Reporter {
    /// Tells one. An output that can't be written to (a closed pipe) is no reason to stop a training.
    fn tell(&mut self, event: &Event);

    /// Jobs are at work, and nothing is to be told for now: a moment to look at what lies in place, which `index` says.
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

/// Says nothing but failures: `--quiet`.
pub struct Quiet<R>(pub R);

impl<R: Reporter> Reporter for Quiet<R> {
    fn tell(&mut self, event: &Event) {
        let is_failure = matches!(event, Event::Finished(Finished { outcome: Outcome::Failed, .. }));
        if is_failure || matches!(event, Event::PutAside { .. }) {
            self.0.tell(event);
        }
    }
}
