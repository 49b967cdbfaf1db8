//! `inter-training`: from the labelled source domain to the unlabelled target.

use crate::training;
use crate::work::{Failure, Notes, Work};

pub(super) fn perform(work: &Work) -> Result<Notes, Failure> {
    let sources = work.sources("source")?;
    let target = work.job.datasets.contains_key("target").then(|| work.source("target")).transpose()?;
    training::train(work, sources, target.as_ref())
}
