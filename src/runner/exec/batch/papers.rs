//! The files in a job's folder, through which the runner and the node that performs the job speak.
//!
//! Knows no batch system. Every file is written under another name and renamed, so that a reader on another machine sees all
//! of it or none. Files whose content grows belong to one attempt each.
//!
//! ```text
//! exec/<name>/order.json           what to perform                          runner
//!             submission.json      where it was submitted, under which name runner
//!             job.sh               the script                               runner
//!             system.log           what the batch system prints             batch system
//!             running.json         the attempt that runs                    node
//!             events.<attempt>     the worker's events, a line each         node
//!             out.<attempt>/       its outputs until it has ended           node
//!             outcome.json         how it ended                             node
//!             out/                 the outputs of the attempt that succeeded runner
//! ```

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::Elsewhere;
use super::super::executor::{How, Request, Work};
use crate::plain;
use crate::store::SUBMISSION;

/// What to perform, for the node.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Order {
    /// The version of the program that wrote it: both must be of one version.
    pub(super) version: String,
    /// The job's name.
    pub(super) name: String,
    pub(super) work: Work,
    pub(super) request: Request,
    /// Where the job's messages go.
    pub(super) log: PathBuf,
    /// The lock file of its key, by which processes of the job are known.
    pub(super) belongs_to: PathBuf,
    /// Where inputs are copied to on the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) scratch: Option<String>,
}

/// Where a job was submitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Submitted {
    /// The name of the executor.
    pub(super) executor: String,
    /// Its name in the batch system. Written before it is submitted, so that it is found if this program ends meanwhile.
    pub(super) label: String,
    /// Its place among the tasks of the submission; `None`: it is the only one.
    pub(super) task: Option<usize>,
    /// Its number, once there is one.
    pub(super) job: Option<String>,
    /// When, in seconds since the Unix epoch.
    pub(super) at: f64,
    /// What the resume slot held then.
    pub(super) kept: Option<u64>,
    /// How often it was submitted again because the infrastructure had failed.
    pub(super) again: u32,
}

/// The attempt that runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Running {
    pub(super) attempt: String,
    pub(super) node: String,
    /// The number of the job in the batch system, if that says so.
    pub(super) job: Option<String>,
    /// What people should know of the node.
    #[serde(default)]
    pub(super) note: Option<String>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) attempt: String,
    pub(super) end: End,
    pub(super) elsewhere: Elsewhere,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum End {
    /// By itself, or at its own time limit.
    Ended { how: How, out_of_memory: Option<bool>, timed_out: bool },
    /// It couldn't be started there.
    NotStarted { message: String, help: Vec<String> },
    /// It was asked to end by a signal, and has saved what it can.
    Interrupted { how: How, is_warning: bool },
}

impl Outcome {
    /// Whether nothing can follow it: an interrupted attempt may be followed by another.
    pub(super) fn is_final(&self) -> bool {
        !matches!(self.end, End::Interrupted { .. })
    }
}

/// A job's folder.
#[derive(Clone, Debug)]
pub(super) struct Papers(pub(super) PathBuf);

impl Papers {
    pub(super) fn script(&self) -> PathBuf {
        self.0.join("job.sh")
    }

    pub(super) fn system_log(&self) -> PathBuf {
        self.0.join("system.log")
    }

    pub(super) fn events(&self, attempt: &str) -> PathBuf {
        self.0.join(format!("events.{attempt}"))
    }

    pub(super) fn out_of(&self, attempt: &str) -> PathBuf {
        self.0.join(format!("out.{attempt}"))
    }

    pub(super) fn out(&self) -> PathBuf {
        self.0.join("out")
    }

    pub(super) fn order(&self) -> io::Result<Option<Order>> {
        read(&self.0.join("order.json"))
    }

    pub(super) fn write_order(&self, order: &Order) -> io::Result<()> {
        write(&self.0.join("order.json"), order)
    }

    pub(super) fn submitted(&self) -> io::Result<Option<Submitted>> {
        read(&self.0.join(SUBMISSION))
    }

    pub(super) fn write_submitted(&self, submitted: &Submitted) -> io::Result<()> {
        write(&self.0.join(SUBMISSION), submitted)
    }

    pub(super) fn running(&self) -> io::Result<Option<Running>> {
        read(&self.0.join("running.json"))
    }

    pub(super) fn write_running(&self, running: &Running) -> io::Result<()> {
        write(&self.0.join("running.json"), running)
    }

    pub(super) fn outcome(&self) -> io::Result<Option<Outcome>> {
        read(&self.0.join("outcome.json"))
    }

    pub(super) fn write_outcome(&self, outcome: &Outcome) -> io::Result<()> {
        write(&self.0.join("outcome.json"), outcome)
    }

    pub(super) fn drop_outcome(&self) -> io::Result<()> {
        plain::remove(&self.0.join("outcome.json"))
    }

    /// Takes note that the submission is over, so that no later run adopts it: first what would be adopted.
    pub(super) fn close(&self) -> io::Result<()> {
        for name in [SUBMISSION, "outcome.json", "running.json"] {
            plain::remove(&self.0.join(name))?;
        }
        Ok(())
    }

    /// Takes the order back, so that a node finds nothing to do.
    pub(super) fn withdraw(&self) -> io::Result<()> {
        plain::remove(&self.0.join("order.json"))?;
        self.close()
    }

    /// Removes what earlier attempts have left.
    pub(super) fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == "out" || name.starts_with("out.") || name.starts_with("events.") {
                plain::remove(&entry.path())?;
            }
        }
        self.close()
    }
}

/// Whether the job in this folder was submitted, and no run has yet taken its result.
pub fn was_submitted(folder: &Path) -> bool {
    folder.join("submission.json").exists()
}

fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let Some(bytes) = if_there(plain::read(path))? else { return Ok(None) };
    let damaged = |error| io::Error::other(format!("{} is damaged: {error}", path.display()));
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

/// Only its owner may read it: it may hold the environment of a command.
fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let bytes = serde_json::to_vec_pretty(value).expect("plain data is JSON");
    plain::replace(path, &bytes)?;
    // So that other machines see it; some file systems can't sync a folder.
    let _ = path.parent().map(|folder| File::open(folder)?.sync_all());
    Ok(())
}
