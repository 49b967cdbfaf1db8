//! The kinds that the worker performs: one file each, and this table.
//!
//! The runner (`intrada_runner::kind`) declares a kind's parameters, defaults and outputs; its behaviour is here.

mod checkpoint_import;
mod class_statistics;
mod entropy_inference;
mod evaluation;
mod inter_training;
mod intra_training;
mod predict;
mod pseudo_labelling;
mod ranking;
mod scene_pictures;

use intrada_runner::exec::job::predict::PREDICT;
use intrada_runner::exec::job::scenes::PAINTING;

use crate::training;
use crate::work::{Failure, Notes, Work};

/// Performs the work, or returns why it failed.
type Perform = fn(&Work) -> Result<Notes, Failure>;

/// Reads the weights files that the job names, as at the start of the work, and nothing more.
type TryWeights = fn(&Work) -> Result<(), Failure>;

/// The worker's implementation of a kind.
pub(crate) struct Kind {
    /// The name in the pipeline file.
    pub(crate) name: &'static str,
    pub(crate) perform: Perform,
    /// Reads weights that a user may name, if the kind has any.
    pub(crate) try_weights: Option<TryWeights>,
}

const fn kind(name: &'static str, perform: Perform, try_weights: Option<TryWeights>) -> Kind {
    Kind { name, perform, try_weights }
}

/// Every kind.
pub(crate) const ALL: &[Kind] = &[
    kind("checkpoint-import", checkpoint_import::perform, Some(checkpoint_import::try_weights)),
    kind("class-statistics", class_statistics::perform, None),
    kind("inter-training", inter_training::perform, Some(training::try_weights)),
    kind("entropy-inference", entropy_inference::perform, Some(entropy_inference::try_weights)),
    kind("ranking", ranking::perform, None),
    kind("pseudo-labelling", pseudo_labelling::perform, None),
    kind("intra-training", intra_training::perform, Some(training::try_weights)),
    kind("evaluation", evaluation::perform, Some(evaluation::try_weights)),
];

/// What commands ask for that is no stage: predictions of images, and files of synthetic scenes.
const OF_COMMANDS: &[Kind] = &[kind(PREDICT, predict::perform, None), kind(PAINTING, scene_pictures::perform, None)];

/// The kind of this name.
///
/// # Errors
/// There is none.
pub(crate) fn find(name: &str) -> Result<&'static Kind, Failure> {
    ALL.iter().chain(OF_COMMANDS).find(|kind| kind.name == name).ok_or_else(|| {
        let help = "build intrada-run and intrada-worker from the same sources";
        Failure::advised(format!("this worker has no kind `{name}`"), help)
    })
}

/// One-line notes that are printed after the stage's name.
fn summary(text: impl Into<String>) -> Notes {
    Notes::from([("summary".to_owned(), text.into())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use intrada_runner::kind::{self, KeySpec, Runs, ValueType};

    #[test]
    fn the_worker_performs_exactly_the_kinds_that_the_runner_sends_to_it() {
        let sent: Vec<&str> = kind::ALL.iter().filter(|kind| kind.runs == Runs::Worker).map(|kind| kind.name).collect();
        assert_eq!(ALL.iter().map(|kind| kind.name).collect::<Vec<_>>(), sent);
    }

    #[test]
    fn each_kind_that_takes_weights_from_a_file_can_try_them() {
        for kind in kind::ALL.iter().filter(|kind| kind.runs == Runs::Worker) {
            let may_be_weights = |key: &KeySpec| {
                use ValueType::{Model, Path, StageOrFile, StagesOrFiles};
                matches!(key.value_type, Path | Model | StageOrFile(_) | StagesOrFiles(_))
            };
            let takes_weights = kind.keys.iter().copied().flatten().any(may_be_weights);
            assert_eq!(find(kind.name).unwrap().try_weights.is_some(), takes_weights, "{}", kind.name);
        }
    }
}
