//! One job under way: its typed parameters, its files, and the line to the runner.
//!
//! Knows the job's contract and no kind. Parameters become typed here once, at the edge: what a kind's file works with is its
//! own struct, and a value that doesn't fit is reported before anything is computed.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use intrada_runner::exec::job::{Event, Input, Job};
use intrada_runner::exec::with_causes;
use serde::de::DeserializeOwned;
use tch::Device;

/// Why a job gave no result.
#[derive(Debug)]
pub enum Failure {
    /// It was asked to stop; it goes on at this iteration.
    Interrupted {
        /// Iterations or images that are kept.
        at: u64,
    },
    /// It can't be done.
    Failed {
        /// What failed, where.
        message: String,
        /// What to do.
        help: Vec<String>,
    },
}

impl Failure {
    /// A failure with advice.
    pub fn advised(message: impl Into<String>, help: impl Into<String>) -> Failure {
        Failure::Failed { message: message.into(), help: vec![help.into()] }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Failed { message: with_causes(&error), help: Vec::new() }
    }
}

/// What a kind answers when it is done; goes into the trace.
pub type Notes = BTreeMap<String, String>;

/// A job under way.
pub struct Work {
    /// As it came in.
    pub job: Job,
    /// Where tensors live.
    pub device: Device,
    /// Set by a signal: save and stop.
    stop: Arc<AtomicBool>,
}

impl Work {
    /// Begins `job`. `stop` is set when the process is asked to end.
    pub fn new(job: Job, device: Device, stop: Arc<AtomicBool>) -> Work {
        Work { job, device, stop }
    }

    /// The parameters as the kind's own struct; a model's are called `model.arch` and so on.
    ///
    /// # Errors
    /// A parameter is missing or of another type: runner and worker are of different versions.
    pub fn parameters<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        self.typed(self.job.parameters.clone().into_iter().collect())
    }

    /// Like [`Work::parameters`], of those whose names begin with `from`, which is replaced by `to`.
    ///
    /// # Errors
    /// As there.
    pub fn parameters_below<T: DeserializeOwned>(&self, from: &str, to: &str) -> Result<T, Failure> {
        let below = |(name, value): (&String, &serde_json::Value)| {
            name.strip_prefix(from).map(|rest| (format!("{to}{rest}"), value.clone()))
        };
        self.typed(self.job.parameters.iter().filter_map(below).collect())
    }

    fn typed<T: DeserializeOwned>(&self, map: serde_json::Map<String, serde_json::Value>) -> Result<T, Failure> {
        serde_json::from_value(serde_json::Value::Object(map)).map_err(|error| {
            Failure::advised(
                format!("the parameters of a {} stage don't fit this worker: {error}", self.job.kind),
                "build intrada-run and intrada-worker from the same sources",
            )
        })
    }

    /// The path of the input file of this role.
    ///
    /// # Errors
    /// The job has none: runner and worker are of different versions.
    pub fn file(&self, role: &str) -> Result<&Path, Failure> {
        match self.job.inputs.get(role) {
            Some(Input::File(path)) => Ok(path),
            _ => Err(self.lacks(role, "file")),
        }
    }

    /// The path of the input file of this role, where the job has one.
    pub fn optional_file(&self, role: &str) -> Option<&Path> {
        self.file(role).ok()
    }

    /// The files of the input folder of this role: relative path → path.
    ///
    /// # Errors
    /// The job has none: runner and worker are of different versions.
    pub fn folder(&self, role: &str) -> Result<&BTreeMap<String, PathBuf>, Failure> {
        match self.job.inputs.get(role) {
            Some(Input::Folder(files)) => Ok(files),
            _ => Err(self.lacks(role, "folder")),
        }
    }

    fn lacks(&self, role: &str, what: &str) -> Failure {
        Failure::advised(
            format!("the job for `{}` names no {what} for `{role}`", self.job.stage),
            "build intrada-run and intrada-worker from the same sources",
        )
    }

    /// A path in the staging folder; the folders above it are made.
    ///
    /// # Errors
    /// They can't be made.
    pub fn output(&self, relative: &str) -> Result<PathBuf, Failure> {
        let path = self.job.staging.join(relative);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        Ok(path)
    }

    /// A folder in the staging folder, made.
    ///
    /// # Errors
    /// It can't be made.
    pub fn output_folder(&self, name: &str) -> Result<PathBuf, Failure> {
        let folder = self.job.staging.join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// The files of the input folder of this role as a folder of links, under the names that they have there.
    ///
    /// # Errors
    /// The job has none, or the links can't be made.
    pub fn linked_folder(&self, role: &str) -> Result<PathBuf, Failure> {
        let folder = self.job.staging.join(".inputs").join(role);
        std::fs::create_dir_all(&folder)?;
        for (name, path) in self.folder(role)? {
            let link = folder.join(name);
            if let Some(parent) = link.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::os::unix::fs::symlink(path, &link)?;
        }
        Ok(folder)
    }

    /// The number of classes; 255 stands for "ignore" in labels, so there are at most as many.
    ///
    /// # Errors
    /// There are none, or more.
    pub fn class_count(&self) -> Result<u8, Failure> {
        let classes = self.job.classes.len();
        u8::try_from(classes).ok().filter(|classes| (2..255).contains(classes)).ok_or_else(|| {
            Failure::advised(format!("the pipeline has {classes} classes"), "2 to 254 can be told apart")
        })
    }

    /// Whether the process was asked to save and stop.
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Tells the runner how far the work is.
    pub fn progress(&self, done: u64, total: u64, unit: &str, values: Vec<(String, f64)>) {
        say(&Event::Progress { done, total, unit: unit.to_owned(), values });
    }
}

/// Writes an event. A runner that has gone takes this process with it, so a closed pipe needs no answer.
pub fn say(event: &Event) {
    let mut out = std::io::stdout().lock();
    let line = serde_json::to_string(event).expect("an event is plain data");
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
