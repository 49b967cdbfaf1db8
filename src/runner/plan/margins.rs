//! Whether a stage heeds the margins of a data set: then they enter its key and its job, else neither.
//!
//! Only a training that learns from pseudo-labels of its own teacher does, and only on its target: a ranking or an evaluation of
//! the same images isn't repeated when margins change. So they are no part of the data set's digest.

use crate::kind::dataset::Margins;
use crate::kind::training::ASKS_TEACHER;
use crate::pipeline::{InputSource, Pipeline, Stage};

/// The margins that the stage heeds, with the role of their data set. `None`: there are none, or it ignores them.
pub fn heeded<'s>(pipeline: &Pipeline, stage: &'s Stage) -> Option<(&'s str, Margins)> {
    let input = stage.input(target(stage)?)?;
    let InputSource::Dataset { dataset, .. } = input.from else { return None };
    let margins = pipeline.dataset(dataset).margins;
    (!margins.is_none()).then_some((&*input.role, margins))
}

/// The role of the data set whose images such a training adapts to: of an intra training, the one behind the hard split.
fn target(stage: &Stage) -> Option<&'static str> {
    if !stage.is_training() || !stage.meets(&ASKS_TEACHER) {
        return None;
    }
    if stage.input("hard").is_some() { Some("images") } else { Some("target") }
}
