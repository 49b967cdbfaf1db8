//! The interface to a batch system: submit, ask for all jobs at once, cancel.
//!
//! Knows neither the files of a job nor what follows from an answer; [`super::verdict`] decides that. A system that can't be
//! asked is no answer about a job: a controller may be away for an hour while its jobs run on.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::executor::Request;

/// What is submitted: one script that serves as many tasks as it has jobs.
pub(super) struct Submission<'a> {
    /// The script; task number `n`, counted from 0, performs the job in line `n` of its list.
    pub(super) script: &'a Path,
    /// A name that no other submission has, by which it is found again.
    pub(super) label: &'a str,
    /// For people who look at the queue.
    pub(super) comment: &'a str,
    /// The file for what the batch system and its starter print.
    pub(super) log: &'a Path,
    /// What each task needs.
    pub(super) request: &'a Request,
    /// How many tasks.
    pub(super) tasks: usize,
    /// Whether the script starts a step ([`Queue::starter`]), which is to be warned of the end, instead of the script itself.
    pub(super) is_step: bool,
}

/// Why there is no number of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotSubmitted {
    /// The system has refused it, in its own words.
    Refused(String),
    /// The system's program can't be started here.
    NoClient(String),
    /// It may have been submitted or not: no answer came.
    Unsure(String),
}

/// What a batch system says of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) phase: Phase,
    /// The node on which it runs.
    pub(super) node: Option<String>,
    /// The reason for its state, in the system's words.
    pub(super) reason: String,
    /// How often the system itself has started it anew.
    pub(super) restarts: u32,
}

impl Standing {
    /// As it stands behind the name of a job: `waits: Resources`, `runs on n1`.
    pub(super) fn words(&self) -> String {
        let reason = match self.reason.as_str() {
            "" | "None" => String::new(),
            // It may wait for ever, and looks like any other reason to wait.
            "PartitionConfig" => {
                ": PartitionConfig, which means that no node of the partition has now what it asks for".to_owned()
            }
            reason => format!(": {reason}"),
        };
        let node = self.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
        match &self.phase {
            Phase::Waiting if self.restarts > 0 => format!("waits to be started again{reason}"),
            Phase::Waiting => format!("waits{reason}"),
            Phase::Held => format!("waits until a person releases it{reason}"),
            Phase::Stuck | Phase::NotLaunched => format!("can't start{reason}"),
            Phase::Running => format!("runs{node}"),
            Phase::Ended(_) => "has ended".to_owned(),
            Phase::OutOfMemory => "needed more memory than it had asked for".to_owned(),
            Phase::OutOfTime => "has reached its time limit".to_owned(),
            Phase::Lost(why) => format!("was lost: {why}"),
            Phase::Cancelled => "was cancelled".to_owned(),
            Phase::Unknown(word) => {
                format!("is in a state that this program doesn't know, `{word}`; it counts as waiting")
            }
        }
    }

    /// Whether it may still run.
    pub(super) fn is_open(&self) -> bool {
        use Phase::{Held, NotLaunched, Running, Stuck, Unknown, Waiting};
        matches!(self.phase, Waiting | Held | Stuck | NotLaunched | Running | Unknown(_))
    }
}

/// The state of a job, as far as it makes a difference here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It will run.
    Waiting,
    /// It waits until a person does something.
    Held,
    /// It can never run as it was submitted.
    Stuck,
    /// A node failed to start it, and the system holds it back until a person does something.
    NotLaunched,
    /// It runs, or begins or ends.
    Running,
    /// It has ended by itself.
    Ended(Exit),
    /// It was ended because it used too much memory.
    OutOfMemory,
    /// It was ended at its time limit.
    OutOfTime,
    /// The infrastructure failed it: a node, a preemption. Submitted again, it may succeed.
    Lost(String),
    /// Somebody has cancelled it.
    Cancelled,
    /// A state that this program doesn't know. It counts as waiting.
    Unknown(String),
}

/// How a job's script ended, if the system says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) status: Option<i32>,
    pub(super) signal: Option<i32>,
}

/// A batch system.
pub(super) trait Queue: Send + Sync {
    /// Submits. Returns the number of the job; task `n` of several is [`Queue::task`].
    fn submit(&self, submission: &Submission<'_>) -> Result<String, NotSubmitted>;

    /// The number of a task of a submission with several.
    fn task(&self, job: &str, task: usize) -> String;

    /// How many tasks one submission may have. 1: the system has no arrays.
    fn most_tasks(&self) -> usize;

    /// What a script puts before the program that performs the job: `srun …`.
    fn starter(&self, request: &Request) -> String;

    /// Whether [`Queue::labelled`] can be asked.
    fn tells_labels(&self) -> bool;

    /// The standings of these jobs, in one question. A job that the system doesn't know any more is left out.
    ///
    /// # Errors
    /// The system can't be asked; why, in its words.
    fn standings(&self, jobs: &[String]) -> Result<BTreeMap<String, Standing>, String>;

    /// The job that was submitted with this label; `None`: there is none. A system that can't tell answers with an error.
    ///
    /// # Errors
    /// As in [`Queue::standings`].
    fn labelled(&self, label: &str) -> Result<Option<String>, String>;

    /// Asks for an early start of a job that the system itself has put back into its queue. It may do nothing.
    fn hasten(&self, _job: &str) {}

    /// Cancels jobs. Those that have ended stay as they are.
    ///
    /// # Errors
    /// As in [`Queue::standings`].
    fn cancel(&self, jobs: &[String]) -> Result<(), String>;
}
