//! Whether a stage heeds the margins of a data set: then they enter its key and its job, else neither.
//!
//! Only a training that learns from pseudo-labels of its own teacher does, and only on its target: a ranking or an evaluation of
//! the same images isn't repeated when margins change. So they are no part of the data set's digest.

use crate::kind::training::ASKS_TEACHER;
use crate::pipeline::{Dataset, InputSource, Pipeline, Stage};

/// The data set whose margins the stage heeds, with its role. `None`: the stage heeds none, or the data set has none.
pub fn heeded<'p>(pipeline: &'p Pipeline, stage: &'p Stage) -> Option<(&'p str, &'p Dataset)> {
    let input = stage.input(target(stage)?)?;
    let InputSource::Dataset { dataset, .. } = input.from else { return None };
    let dataset = pipeline.dataset(dataset);
    (!dataset.margins.is_none()).then_some((&*input.role, dataset))
}

/// The role of the data set whose images such a training adapts to: of an intra training, the one behind the hard split.
fn target(stage: &Stage) -> Option<&'static str> {
    if !stage.is_training() || !stage.meets(&ASKS_TEACHER) {
        return None;
    }
    if stage.input("hard").is_some() { Some("images") } else { Some("target") }
}
