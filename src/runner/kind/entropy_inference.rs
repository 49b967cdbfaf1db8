//! `entropy-inference`: one pass over the target images that gives all that the second half of the method needs.
//!
//! Scores, predictions and entropy maps come out of the same pass because the network is the expensive part; the
//! pseudo-labels are later taken from these predictions, and the network doesn't run again. The photographs are small and for
//! people: whoever shows a map can show what it is of, without the data set.

use super::{ClassFact, KeySpec, Kind, OutputRole, OutputSpec, Runs, ValueType};

pub(super) const KIND: Kind = Kind {
    name: "entropy-inference",
    revision: 2,
    summary: "Runs a trained network over the target images: mean entropy, most likely classes and entropy map of each \
              (IntraDA, eq. 4).",
    keys: &[&[
        KeySpec::new(
            "weights",
            ValueType::StageOrFile(OutputRole::Weights),
            "the training whose model looks at the images, or a file",
        ),
        KeySpec::new(
            "images",
            ValueType::Dataset { labels: false },
            "the target images, a `[datasets.…]`; labels are not read",
        ),
        KeySpec::new(
            "model",
            ValueType::Model,
            "the network of `weights`, a `[models.…]`; needed where `weights` is a file, known where it is a training",
        )
        .optional(),
    ]],
    exactly_one: &[],
    computes: true,
    revised: &[],
    classes: &[ClassFact::Count, ClassFact::Rare],
    outputs: &[
        OutputSpec::file("scores", "scores.csv", OutputRole::Scores),
        OutputSpec::folder("predictions", OutputRole::Predictions),
        OutputSpec::folder("entropy", OutputRole::EntropyMaps),
        OutputSpec::folder("photographs", OutputRole::Photographs),
    ],
    items: Some("images"),
    runs: Runs::Worker,
};
