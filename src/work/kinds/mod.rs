//! The kinds that need no tensor: one file each, and this table.
//!
//! The runner (`intrada_runner::kind`) declares a kind's parameters, defaults and outputs; its behaviour is here.

mod class_statistics;
mod pseudo_labelling;
mod ranking;
mod scene_pictures;

use intrada_runner::exec::job::scenes::PAINTING;

use crate::work::{Failure, Notes, Work};

/// Performs the work, or returns why it failed.
pub type Perform = fn(&Work) -> Result<Notes, Failure>;

/// Every kind, by its name in the pipeline file.
pub const ALL: &[(&str, Perform)] = &[
    ("class-statistics", class_statistics::perform),
    ("ranking", ranking::perform),
    ("pseudo-labelling", pseudo_labelling::perform),
];

/// What commands ask for that is no stage: files of synthetic scenes.
const OF_COMMANDS: &[(&str, Perform)] = &[(PAINTING, scene_pictures::perform)];

/// What performs the kind of this name, if it needs no tensor.
pub fn find(name: &str) -> Option<Perform> {
    ALL.iter().chain(OF_COMMANDS).find(|kind| kind.0 == name).map(|kind| kind.1)
}

/// One-line notes that are printed after the stage's name.
pub fn summary(text: impl Into<String>) -> Notes {
    Notes::from([("summary".to_owned(), text.into())])
}

#[cfg(test)]
mod tests {
    use intrada_runner::kind::{self, Runs};

    use super::*;

    #[test]
    fn these_are_the_kinds_for_which_the_runner_starts_no_worker() {
        let without = kind::ALL.iter().filter(|kind| kind.runs == Runs::Worker && !kind.tensors);
        let mut without: Vec<&str> = without.map(|kind| kind.name).collect();
        let mut here: Vec<&str> = ALL.iter().map(|kind| kind.0).collect();
        without.sort_unstable();
        here.sort_unstable();
        assert_eq!(here, without);
    }
}
