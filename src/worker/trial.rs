//! Tries weights files before any stage runs: reads them as their stage will, and drops them.
//!
//! Knows no format and no network: each kind reads its own files. A failing file is reported with the message that its
//! stage would fail with hours later.

use std::path::Path;
use std::sync::Arc;

use intrada_runner::exec::job::{FORMAT, Fault, Job, Tried};
use tch::Device;

use crate::kinds;
use crate::work::{Failure, Work};

/// Tries the weights of the jobs in the file at `path`.
pub(crate) fn tried(path: &Path) -> Result<Tried, Failure> {
    let jobs: Vec<Job> = serde_json::from_slice(&std::fs::read(path)?)?;
    let (faults, warnings) = jobs.into_iter().map(try_job).unzip();
    Ok(Tried { format: FORMAT, faults, warnings })
}

/// The failure of a job's weights, if they fail, and warnings about them.
fn try_job(job: Job) -> (Option<Fault>, Vec<String>) {
    let kind = kinds::find(&job.kind);
    let work = Work::new(job, Device::Cpu, Arc::default());
    let tried = kind.and_then(|kind| kind.try_weights.map_or(Ok(()), |try_weights| try_weights(&work)));
    let fault = match tried {
        Err(Failure::Failed { message, help }) => Some(Fault { message, help }),
        Ok(()) | Err(Failure::Interrupted { .. }) => None,
    };
    (fault, work.into_warnings())
}
