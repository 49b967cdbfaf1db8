//! The seam between the scheduler and the place where jobs run.
//!
//! Knows what may be asked of a place and of a running job, not how a place answers: [`super::local`] is this machine. Another
//! place (a batch system, say) is another implementation beside it. Nothing here assumes that a job is a process of this
//! machine: events may come from a pipe or from a file that grows, an end may be read from a file, and a request to stop may be
//! a command of a batch system.

use std::ffi::OsString;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::Program;
use super::job::{Description, Event, Job};
use super::{Elsewhere, Failure, Visible};
use crate::kind::instruction_set::InstructionSet;

/// A place where jobs run.
pub trait Executor: Send + Sync {
    /// Starts a job. The thread that starts it must also wait for it: see [`Execution`].
    ///
    /// # Errors
    /// It can't be started.
    fn start(&self, start: &Start<'_>) -> Result<Box<dyn Execution>, Failure>;

    /// What the worker finds there, if it may see these GPUs. This may take seconds.
    ///
    /// # Errors
    /// There is no worker, it can't be asked, or it doesn't start or end well.
    fn describe(&self, visible: &Visible) -> Result<Description, Failure>;

    /// Whether NVIDIA's driver shows a GPU there. This takes no time, and says nothing about whether libtorch can use it.
    fn has_gpu(&self) -> bool;

    /// Why nothing can be computed there with this instruction set; `None`: it can, or only the job itself can find out.
    fn refusal(&self, set: &InstructionSet) -> Option<Failure>;

    /// Whether a job is submitted to a batch system and goes on when this program ends. Such a job needs folders that
    /// outlive this program, keeps its time limit itself, because it may wait for days before it begins, and is found again
    /// by [`Executor::start`] in its [`Start::folder`].
    fn is_batch(&self) -> bool {
        false
    }
}

/// What a job does.
#[derive(Clone, Serialize, Deserialize)]
pub enum Work {
    /// A stage of a built-in kind, performed by the worker, and the GPUs that it may see.
    Worker(Box<Job>, Visible),
    /// A program in the workspace.
    Command(Program),
}

/// What a job needs, and what it is called.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Request {
    /// The name of its stage.
    pub stage: String,
    /// CPU threads.
    pub threads: usize,
    /// GPUs; `None`: the stage doesn't say.
    pub gpus: Option<usize>,
    /// Memory in bytes; `None`: the stage doesn't say.
    pub memory: Option<u64>,
    /// How long it may take as `resources` say; `None`: they don't.
    pub time: Option<Duration>,
    /// How long an attempt may take before it is stopped and has failed.
    pub timeout: Option<Duration>,
    /// Whether it saves when SIGUSR1 warns it of its time limit. Another program would be ended by that signal.
    #[serde(default)]
    pub heeds_warning: bool,
}

/// A request to start a job.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// What it does.
    pub work: &'a Work,
    /// What it needs.
    pub request: &'a Request,
    /// Its name, unique in the cache and the same in each run: its key, and its part if the stage is split.
    pub name: &'a str,
    /// A folder of this job alone that exists until it has ended, for the files that its executor needs: the job as the worker
    /// reads it, and the like. For a command that runs on this machine, which needs none, its resume slot.
    pub folder: &'a Path,
    /// The file to whose end goes what the job prints, events excepted.
    pub log: &'a Path,
    /// What all its processes have in common.
    pub belongings: &'a Belongings,
}

/// What all processes of a job are known by, and what they hold. An executor whose jobs run on another machine can't hand open
/// files to them: it keeps the leases itself until the job has ended.
#[derive(Debug)]
pub struct Belongings {
    /// The path of its key's lock file, which the jobs of a stage share.
    pub name: OsString,
    /// The root of its workspace.
    pub workspace: Option<OsString>,
    /// Open lock files. The locks last until the last process of the job has closed them.
    pub leases: Arc<Vec<OwnedFd>>,
}

/// A job that was started. It stays with the thread that started it: on Linux a process may be tied to the life of that thread.
/// Other threads reach it through its [`Handle`].
pub trait Execution {
    /// By what other threads end it.
    fn handle(&self) -> Arc<dyn Handle>;

    /// Waits for the next report. `None`: there are no more.
    fn next_report(&mut self) -> Option<Report>;

    /// Waits until the job and all that it has started have ended. To be called once, after the last report.
    ///
    /// # Errors
    /// It couldn't begin, how it ended can't be found out, or it was left ([`Handle::leave`]).
    fn wait(&mut self) -> Result<Ended, Failure>;
}

/// A report on a job that runs or waits.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// An event of a worker. A command has none.
    Event(Event),
    /// Where the job is, in the words of a batch system: for people.
    Standing(String),
}

/// How another thread ends a job. Neither call waits for the job, and both do nothing once it has ended.
pub trait Handle: Send + Sync {
    /// Asks the job to save what it has and end.
    fn stop(&self);

    /// Ends the job and all that it has started, at once.
    fn kill(&self);

    /// Stops following a job that goes on without this program: [`Execution::wait`] then returns [`Failure::Left`]. A job that
    /// can't go on without it is not affected.
    fn leave(&self) {}
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// By itself or by a signal.
    pub how: How,
    /// Whether memory ran out meanwhile; `None`: that isn't known.
    pub out_of_memory: Option<bool>,
    /// Whether it was stopped because it had reached [`Request::timeout`], if its executor keeps that.
    pub timed_out: bool,
    /// Where it ran, if not on this machine.
    pub elsewhere: Option<Elsewhere>,
}

impl Ended {
    /// Ended on this machine.
    pub fn here(how: How, out_of_memory: Option<bool>) -> Ended {
        Ended { how, out_of_memory, timed_out: false, elsewhere: None }
    }
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// It returned this exit status.
    Status(i32),
    /// A signal killed it.
    Signal(i32),
    /// In another way, in the words of the system that ran it.
    Other(String),
}

impl How {
    /// Whether it ended well.
    pub fn is_success(&self) -> bool {
        *self == How::Status(0)
    }
}

impl fmt::Display for How {
    /// As it stands behind a name: `ended with exit status 2`, `was killed by signal 9 (SIGKILL)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            How::Status(status) => write!(f, "ended with exit status {status}"),
            How::Signal(signal) => write!(f, "was killed by signal {signal}{}", signal_name(*signal)),
            How::Other(words) => write!(f, "ended in a way that the system calls {words}"),
        }
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => " (illegal instruction)",
        6 => " (abort)",
        7 => " (bus error)",
        8 => " (arithmetic)",
        9 => " (SIGKILL)",
        11 => " (segmentation fault)",
        15 => " (SIGTERM)",
        25 => " (SIGXFSZ: a file grew beyond what `ulimit -f` allows)",
        _ => "",
    }
}
