//! The resume slot: a folder in which a run leaves what it needs to go on after it was killed.
//!
//! ```text
//! checkpoint.safetensors   all weights and optimiser states; which iteration is next, what it took, how long losses.jsonl was
//! losses.jsonl             the log, perhaps with lines beyond that length, which are dropped on resume
//! ```
//! The checkpoint is replaced by renaming, so there is always one whole checkpoint once there was one. It doesn't know what
//! the tensors are. Data order and random numbers need no place in it: both are functions of (seed, iteration).
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::losses::{LossLog, LossRow};
use crate::checkpoint::{self, CheckpointError, Rule};

/// Why a slot can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// The checkpoint can't be read, written, or is of another network.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A safetensors file, but not a checkpoint of this loop.
    #[error("{} lacks the record of its iteration: {problem}", path.display())]
    Record {
        /// The checkpoint.
        path: PathBuf,
        /// What is missing.
        problem: String,
    },
    /// The file system said no.
    #[error("failed to write {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
}

/// What a checkpoint records beside its tensors.
#[derive(Serialize, Deserialize)]
struct Record {
    /// Iterations done; the next one's number. Also every optimiser's number of steps.
    iteration: u64,
    /// Length of losses.jsonl when the checkpoint was taken.
    losses_bytes: u64,
    /// What it took to get there, over all runs that went on from one another, in seconds of wall time. What a kill destroyed
    /// isn't in it. Absent in older checkpoints.
    #[serde(default)]
    seconds: f64,
    /// Threads of libtorch. Another number sums in another order and changes last bits, so a run keeps its own.
    threads: i32,
}

/// An open slot. The caller makes sure that no other process has it.
pub(super) struct Slot {
    checkpoint: PathBuf,
    log: LossLog,
    kept: Option<u64>,
    /// Seconds behind the checkpoint that it went on from, and when it did.
    earlier: f64,
    opened: Instant,
}

impl Slot {
    /// Opens the slot, and goes on from its checkpoint if it has one: copies it into `live` and gives libtorch the number
    /// of threads with which the run began.
    pub(super) fn open(folder: &Path, live: &[(String, Tensor)]) -> Result<Slot, SlotError> {
        fs::create_dir_all(folder).map_err(|source| SlotError::Io { path: folder.to_owned(), source })?;
        let checkpoint = folder.join("checkpoint.safetensors");
        let record = if checkpoint.exists() { Some(resume(&checkpoint, live)?) } else { None };
        let (kept, bytes, earlier) = match record {
            Some(record) => {
                tch::set_num_threads(record.threads);
                (Some(record.iteration), record.losses_bytes, record.seconds)
            }
            None => (None, 0, 0.0),
        };
        let path = folder.join("losses.jsonl");
        let log = LossLog::open(&path, bytes).map_err(|source| SlotError::Io { path, source })?;
        Ok(Slot { checkpoint, log, kept, earlier, opened: Instant::now() })
    }

    /// How many iterations the slot's checkpoint has behind it, if it has one.
    pub(super) fn kept(&self) -> Option<u64> {
        self.kept
    }

    pub(super) fn append(&mut self, row: &LossRow) -> Result<(), SlotError> {
        self.log.append(row).map_err(|source| SlotError::Io { path: self.log.path().to_owned(), source })
    }

    /// Replaces the checkpoint. The log comes first: a checkpoint must not count on lines that a power cut could take.
    pub(super) fn save(&mut self, iteration: u64, live: &[(String, Tensor)]) -> Result<(), SlotError> {
        let losses_bytes =
            self.log.sync().map_err(|source| SlotError::Io { path: self.log.path().to_owned(), source })?;
        let seconds = self.earlier + self.opened.elapsed().as_secs_f64();
        let record = Record { iteration, losses_bytes, seconds, threads: tch::get_num_threads() };
        let text = serde_json::to_string(&record).expect("four numbers have a JSON form");
        checkpoint::write(&self.checkpoint, live, Some(&text))?;
        self.kept = Some(iteration);
        Ok(())
    }

    /// Copies the log to where results go.
    pub(super) fn copy_log(&mut self, path: &Path) -> Result<(), SlotError> {
        self.log.copy_to(path).map_err(|source| SlotError::Io { path: path.to_owned(), source })
    }
}

fn resume(path: &Path, live: &[(String, Tensor)]) -> Result<Record, SlotError> {
    let stored = checkpoint::read(path)?;
    let problem = |problem: String| SlotError::Record { path: path.to_owned(), problem };
    let text = stored.metadata.as_deref().ok_or_else(|| problem("no metadata".to_owned()))?;
    let record = serde_json::from_str(text).map_err(|error| problem(error.to_string()))?;
    checkpoint::copy_into(path, &stored, live, Rule::RESUME)?;
    Ok(record)
}

/// The first tensor with an infinite element or one that is not a number. All answers are read in one copy.
pub(super) fn not_finite(live: &[(String, Tensor)]) -> Option<&str> {
    let answers: Vec<Tensor> = live.iter().map(|(_, tensor)| tensor.isfinite().all()).collect();
    let answers = Tensor::stack(&answers, 0).to_kind(Kind::Int64);
    let answers = Vec::<i64>::try_from(answers).expect("an answer for each tensor");
    live.iter().zip(answers).find(|(_, finite)| *finite == 0).map(|((name, _), _)| name.as_str())
}
