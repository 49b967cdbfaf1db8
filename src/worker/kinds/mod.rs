//! The kinds that the worker performs: one file each, and this table.
//!
//! A kind's parameters, defaults and outputs are declared in the runner (`intrada_runner::kind`); here is what it does.

mod checkpoint_import;
mod entropy_inference;
mod evaluation;
mod inter_training;
mod intra_training;
mod pseudo_labelling;
mod ranking;

use crate::work::{Failure, Notes, Work};

/// Performs the work, or says why it can't.
type Perform = fn(&Work) -> Result<Notes, Failure>;

/// Every kind by its name in the pipeline file.
pub(crate) const ALL: &[(&str, Perform)] = &[
    ("checkpoint-import", checkpoint_import::perform),
    ("inter-training", inter_training::perform),
    ("entropy-inference", entropy_inference::perform),
    ("ranking", ranking::perform),
    ("pseudo-labelling", pseudo_labelling::perform),
    ("intra-training", intra_training::perform),
    ("evaluation", evaluation::perform),
];

/// Notes of one line that a person sees behind the stage's name.
fn summary(text: impl Into<String>) -> Notes {
    Notes::from([("summary".to_owned(), text.into())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use intrada_runner::kind::{self, Runs};

    #[test]
    fn the_worker_performs_exactly_the_kinds_that_the_runner_sends_to_it() {
        let sent: Vec<&str> = kind::ALL.iter().filter(|kind| kind.runs == Runs::Worker).map(|kind| kind.name).collect();
        assert_eq!(ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>(), sent);
    }
}
