//! Tries weights files before any stage runs: reads them as their stage will, and drops them.
//!
//! Knows no format and no network: each kind reads its own files. A failing file is reported with the message that its
//! stage would fail with hours later.

use std::path::Path;
use std::sync::Arc;

use intrada_runner::exec::job::{FORMAT, Fault, Job, Tried};
use intrada_work::work::Advise;
use intrada_work::{Failure, Work};

use crate::kinds;

/// Tries the weights of the jobs in the file at `path`.
pub(crate) fn tried(path: &Path, advise: Advise) -> Result<Tried, Failure> {
    let jobs: Vec<Job> = serde_json::from_slice(&std::fs::read(path)?)?;
    let (faults, warnings) = jobs.into_iter().map(|job| try_job(job, advise)).unzip();
    Ok(Tried { format: FORMAT, faults, warnings })
}

/// The failure of a job's weights, if they fail, and warnings about them.
fn try_job(job: Job, advise: Advise) -> (Option<Fault>, Vec<String>) {
    let try_weights = kinds::find(&job.kind).and_then(|kind| kind.try_weights);
    let work = Work::new(Job { device: "cpu".to_owned(), ..job }, String::new(), Arc::default());
    let tried = try_weights.map_or(Ok(()), |try_weights| try_weights(&work));
    let fault = match tried.map_err(|failure| failure.advised_by(advise)) {
        Err(Failure::Failed { message, help, .. }) => Some(Fault { message, help }),
        Ok(()) | Err(Failure::Interrupted { .. }) => None,
    };
    (fault, work.into_warnings())
}
