//! What tests of several rooms need.

use std::path::Path;
use std::sync::Arc;

use intrada_runner::exec::job::Job;
use intrada_work::Work;

/// A job that reads nothing, on the CPU; its folders are `staging` and `slot` in `folder`.
pub(crate) fn empty_job(folder: &Path) -> Job {
    Job::bare("inter", "inter-training", folder.join("staging"), folder.join("slot"))
}

/// That job in progress.
pub(crate) fn begun(job: Job) -> Work {
    Work::new(job, String::new(), Arc::default())
}
