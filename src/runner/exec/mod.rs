//! Running jobs: a worker for the built-in kinds, any program for `command`.
//!
//! Knows no graph, no keys and no cache: a description of the work comes in, events come out, outputs are written to a given
//! folder. [`executor`] is the interface to the place where jobs run; so far [`local`], this machine, is the only one.
//! [`perform`](mod@perform) starts a job there, follows its events and returns its result.
//!
//! Each job is a process of its own, because a crash, an out-of-memory kill or a CUDA error must fail one stage, not the run.
//! All built-in kinds run in the worker, even ranking: a second implementation of kinds would cost more than the 0.4 s that a
//! ranking spends on loading libtorch.

pub mod attempt;
pub mod batch;
pub mod command;
pub mod control;
mod diagnosis;
pub mod executor;
pub mod job;
mod listen;
pub mod local;
pub mod perform;
pub mod run_info;
#[cfg(test)]
mod scripted;

#[cfg(test)]
pub(crate) use scripted::{Script, Scripted};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a job that ended well leaves besides its files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finished {
    /// Goes into the trace; see [`job::Event::Finished`].
    pub notes: BTreeMap<String, String>,
    /// Iterations that an earlier, interrupted attempt had done.
    pub resumed_from: Option<u64>,
    /// Where it ran, if not on this machine.
    pub elsewhere: Option<Elsewhere>,
}

/// Another machine's report about a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// The machine, as [`run_info`] describes this one.
    pub machine: String,
    /// How long the job's last attempt ran there, without waiting, in seconds.
    pub seconds: f64,
    /// How long the attempts took whose checkpoint it resumed from, in seconds.
    pub earlier: f64,
}

/// Why a job gave no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It stopped on request; the same command resumes from what it saved.
    Cancelled {
        /// The iteration or image from which it resumes, if it said so.
        at: Option<u64>,
    },
    /// It was left to a batch system, where it goes on: in the words of that system, what and where.
    Left(String),
    /// It failed.
    Failed {
        /// What failed, where.
        message: String,
        /// What to do.
        help: Vec<String>,
    },
}

/// The GPUs that a job may see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Visible {
    /// The same as the runner.
    #[default]
    All,
    /// These, as values for `CUDA_VISIBLE_DEVICES`; possibly none.
    Only(Vec<String>),
}

impl Visible {
    /// Whether the job sees no GPU.
    pub fn is_none(&self) -> bool {
        matches!(self, Visible::Only(gpus) if gpus.is_empty())
    }
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Failure {
        Failure::Failed { message: message.into(), help: Vec::new() }
    }

    pub(crate) fn with_help(self, line: impl Into<String>) -> Failure {
        match self {
            Failure::Failed { message, mut help } => {
                help.push(line.into());
                Failure::Failed { message, help }
            }
            other => other,
        }
    }
}

/// An error with all its causes; the system's own message comes last.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Many errors print their cause themselves.
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

/// The last `count` lines of a log, as text.
///
/// # Errors
/// Whatever opening or reading the file answers.
pub fn tail(log: &std::path::Path, count: usize) -> std::io::Result<Vec<String>> {
    use std::io::{Read, Seek, SeekFrom};
    const ENOUGH: u64 = 64 << 10; // ten lines of a traceback are far below; a log can be gigabytes
    let mut file = crate::plain::open(log)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(ENOUGH)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(count)..].iter().map(|line| shown(line)).collect())
}

/// The last state of a line, safe for a terminal and cut to a maximal length: a progress bar writes many states into one line.
fn shown(line: &str) -> String {
    const LONGEST: usize = 300;
    let last = line.trim_end_matches('\r').rsplit('\r').next().unwrap_or("");
    let mut text: String = last.chars().take(LONGEST).collect();
    if last.chars().nth(LONGEST).is_some() {
        text.push('…');
    }
    crate::shown::lines(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_log_is_its_last_lines_whatever_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        std::fs::write(&log, b"one\n\xff\xfe\nthree\nfour").unwrap();
        assert_eq!(tail(&log, 2).unwrap(), ["three", "four"]);
        assert_eq!(tail(&log, 10).unwrap().len(), 4);
        std::fs::write(&log, "10 %\r20 %\r\x1b[2Jdone\r\n".to_owned() + &"x".repeat(1000)).unwrap();
        let lines = tail(&log, 2).unwrap();
        assert_eq!((lines[0].as_str(), lines[1].chars().count()), ("�[2Jdone", 301));
        std::fs::write(&log, b"").unwrap();
        assert!(tail(&log, 2).unwrap().is_empty());
    }
}
