//! The kinds that compute with networks: one file each, and this table. `intrada-work` has the others.
//!
//! The runner (`intrada_runner::kind`) declares a kind's parameters, defaults and outputs; its behaviour is here.

mod checkpoint_import;
mod entropy_inference;
mod evaluation;
mod inter_training;
mod intra_training;
mod predict;

use intrada_runner::exec::job::predict::PREDICT;
use intrada_work::kinds::Perform;
use intrada_work::{Failure, Work};

use crate::training;

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
    kind("inter-training", inter_training::perform, Some(training::try_weights)),
    kind("entropy-inference", entropy_inference::perform, Some(entropy_inference::try_weights)),
    kind("intra-training", intra_training::perform, Some(training::try_weights)),
    kind("evaluation", evaluation::perform, Some(evaluation::try_weights)),
];

/// What commands ask for that is no stage: predictions of images.
const OF_COMMANDS: &[Kind] = &[kind(PREDICT, predict::perform, None)];

/// What performs the kind of this name, with a network or without: a user may name this program for all jobs (`INTRADA_WORKER`).
pub(crate) fn performer(name: &str) -> Option<Perform> {
    find(name).map(|kind| kind.perform).or_else(|| intrada_work::kinds::find(name))
}

/// The kind of this name.
pub(crate) fn find(name: &str) -> Option<&'static Kind> {
    ALL.iter().chain(OF_COMMANDS).find(|kind| kind.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use intrada_runner::kind::{self, KeySpec, Runs, ValueType};

    #[test]
    fn the_worker_performs_exactly_the_kinds_that_the_runner_sends_to_it() {
        let sent: Vec<&str> = kind::ALL.iter().filter(|kind| kind.tensors).map(|kind| kind.name).collect();
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
            let tries = find(kind.name).is_some_and(|kind| kind.try_weights.is_some());
            assert_eq!(tries, takes_weights, "{}", kind.name);
        }
    }
}
