//! `inter-training`: from the labelled source domain to the unlabelled target.

use intrada_work::{Failure, Notes, Work};

use crate::training;

pub(super) fn perform(work: &Work) -> Result<Notes, Failure> {
    let sources = work.sources("source")?;
    let target = work.job.datasets.contains_key("target").then(|| work.source("target")).transpose()?;
    training::train(work, sources, target.as_ref())
}
