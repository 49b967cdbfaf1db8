//! A batch system as the place where jobs run: Slurm, or one behind three commands.
//!
//! Knows no graph, no keys and no cache. On a node runs [`node`], which performs the job as [`super::local`] would; both sides
//! speak through files (`papers`) on a file system that they share. What a batch system says of a job decides only whether it
//! is worth waiting (`verdict`): every source can be silent, late or wrong, and "don't know" is an answer of its own.
//!
//! ```text
//! following ─ submit ─▶ queue (slurm, commands) ─▶ … node ─▶ exec/<name>/
//!     ▲ ◀─ watch ◀─ one question for all ◀┘                      │
//!     └──────────────── running, events, outcome ◀───────────────┘
//! ```

mod client;
mod commands;
pub mod driver;
mod following;
pub mod node;
mod papers;
mod queue;
mod scratch;
mod slurm;
pub mod status;
mod submit;
mod verdict;
mod watch;
mod wishes;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use self::following::{Following, Job};
use self::papers::{Order, Papers};
use self::queue::{Queue, Standing};
use self::submit::{Pending, Submitter};
use self::watch::Watch;
use super::attempt::Attempt;
use super::executor::{Execution, Executor, Start, Work};
use super::job::Description;
use super::{Failure, Visible};
use crate::kind::instruction_set::InstructionSet;
use crate::pipeline;

pub use self::papers::was_submitted;

/// A batch system.
pub struct Batch {
    submitter: Arc<Submitter>,
    watch: Arc<Watch>,
    latency: Duration,
    scratch: Option<String>,
}

impl Batch {
    /// The batch system that the pipeline file describes. `folders`: where the folders of jobs are, on a file system that the
    /// nodes have under the same path.
    ///
    /// # Errors
    /// The path of this program can't be found out.
    pub fn open(executor: &pipeline::Executor, folders: &Path) -> Result<Batch, Failure> {
        let queue: Arc<dyn Queue> = match &executor.system {
            pipeline::System::Slurm(options) => Arc::new(slurm::Slurm::new(options.clone())),
            pipeline::System::Commands(options) => Arc::new(commands::Commands(options.clone())),
        };
        let program = match &executor.program {
            Some(program) => program.clone(),
            None => std::env::current_exe()
                .map_err(|error| Failure::new(format!("failed to find the path of intrada-run: {error}")))?,
        };
        let submitter = Submitter {
            queue: Arc::clone(&queue),
            executor: executor.name.clone(),
            program,
            folders: folders.to_owned(),
            pause: executor.poll / 8,
            pending: Mutex::<Pending>::default(),
        };
        Ok(Batch {
            submitter: Arc::new(submitter),
            watch: Watch::new(queue, executor.poll),
            latency: executor.latency,
            scratch: executor.scratch.clone(),
        })
    }

    /// Writes what the node needs. What an earlier submission has left is removed first.
    fn prepare(&self, papers: &Papers, start: &Start<'_>) -> std::io::Result<()> {
        papers.sweep()?;
        papers.write_order(&Order {
            version: node::version(),
            name: start.name.to_owned(),
            work: start.work.clone(),
            request: start.request.clone(),
            log: start.log.to_owned(),
            belongs_to: PathBuf::from(&start.belongings.name),
            scratch: self.scratch.clone(),
        })
    }

    /// Ends a job that an earlier run submitted and whose result nobody will take, and waits until it has ended.
    ///
    /// # Errors
    /// The batch system has answered neither the request nor the question, or the folder can't be cleared.
    pub fn end(&self, folder: &Path) -> Result<(), Failure> {
        let papers = Papers(folder.to_owned());
        let failed = |error: std::io::Error| Failure::new(format!("failed to clear {}: {error}", folder.display()));
        let job = papers.submitted().ok().flatten().and_then(|submitted| submitted.job);
        if let Some(job) = job {
            let name = format!("job {job} of `{}`", self.submitter.executor);
            let unanswered = |why| Failure::new(format!("failed to end {name}: {why}")).with_help("try again later");
            let jobs = [job.clone()];
            let cancelled = self.submitter.queue.cancel(&jobs);
            while self.submitter.queue.standings(&jobs).map_err(unanswered)?.get(&job).is_some_and(Standing::is_open) {
                // Some systems refuse to cancel a job that has ended: only of an open one is that a failure.
                cancelled.clone().map_err(unanswered)?;
                std::thread::sleep(self.watch.glance());
            }
        }
        papers.close().map_err(failed)
    }
}

/// The command's jobs in these folders that were submitted to an executor, and which one.
///
/// A command writes into the workspace, so it can't go on without the run that moved its earlier outputs aside.
pub fn submitted_commands(folders: &Path) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(folders).into_iter().flatten().flatten();
    let submitted = entries.filter_map(|entry| {
        let papers = Papers(entry.path());
        let submitted = papers.submitted().ok()??;
        let order = papers.order().ok()??;
        matches!(order.work, Work::Command(_)).then(|| (entry.path(), submitted.executor))
    });
    submitted.collect()
}

/// Takes the job in this folder back from whatever executes it: its attempt ends by itself, or finds nothing to do. Returns
/// what messages call it.
///
/// # Errors
/// The folder or the file beside the slot can't be changed.
pub fn withdraw(folder: &Path, attempt: &Path) -> std::io::Result<Option<String>> {
    let papers = Papers(folder.to_owned());
    let Some(submitted) = papers.submitted().unwrap_or_default() else { return Ok(None) };
    papers.withdraw()?;
    Attempt::take(attempt, "withdrawn")?;
    let number = submitted.job.unwrap_or_else(|| "without a number".to_owned());
    Ok(Some(format!("job {number} of `{}`", submitted.executor)))
}

impl Executor for Batch {
    /// Adopts the job if an earlier run has submitted it.
    fn start(&self, start: &Start<'_>) -> Result<Box<dyn Execution>, Failure> {
        let failed = |error| Failure::new(format!("failed to prepare the job in {}: {error}", start.folder.display()));
        let papers = Papers(std::path::absolute(start.folder).map_err(failed)?);
        // One that can't be read was cut off while it was written, before anything was submitted.
        let mut submitted = papers.submitted().unwrap_or_default();
        if submitted.as_ref().is_some_and(|submitted| submitted.executor != self.submitter.executor) {
            // Its new attempt makes the old one end.
            submitted = None;
        }
        if submitted.is_none() {
            self.prepare(&papers, start).map_err(failed)?;
        }
        let (slot, talks) = match start.work {
            Work::Worker(job, _) => (job.slot.clone(), true),
            Work::Command(program) => (program.slot.clone(), false),
        };
        Ok(Box::new(Following::new(Job {
            submitter: Arc::clone(&self.submitter),
            watch: Arc::clone(&self.watch),
            latency: self.latency,
            papers,
            request: start.request.clone(),
            slot,
            talks,
            submitted,
        })))
    }

    fn describe(&self, _: &Visible) -> Result<Description, Failure> {
        Err(Failure::new(format!("the nodes of `{}` can't be asked before a job runs there", self.submitter.executor)))
    }

    fn has_gpu(&self) -> bool {
        false
    }

    /// Only the node's own CPU can tell.
    fn refusal(&self, _: &InstructionSet) -> Option<Failure> {
        None
    }

    fn is_batch(&self) -> bool {
        true
    }
}
