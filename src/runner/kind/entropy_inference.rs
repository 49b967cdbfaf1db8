//! `entropy-inference`: one pass over the target images for everything that ranking and pseudo-labelling need.
//!
//! One pass writes scores, predictions and entropy maps, as the network is the expensive part; pseudo-labelling later reads the
//! predictions. The photographs are small copies for display beside the maps without the data set.

use super::{ClassFact, KeySpec, Kind, OutputRole, OutputSpec, Runs, ValueType, execution, viewing};

pub(super) const KIND: Kind = Kind {
    name: "entropy-inference",
    revision: 5,
    summary: "Runs a trained network over the target images: mean entropy, most likely classes and entropy map of each \
              (IntraDA, eq. 4).",
    keys: &[
        &[
            KeySpec::new(
                "weights",
                ValueType::StageOrFile(OutputRole::Weights),
                "the training whose network to use, or a file",
            ),
            KeySpec::new(
                "images",
                ValueType::Dataset { labels: false },
                "the target images, a `[datasets.…]`; labels are not read",
            ),
            KeySpec::new(
                "model",
                ValueType::Model,
                "the network of `weights`, a `[models.…]`; required if `weights` is a file, else that of the training",
            )
            .optional(),
        ],
        viewing::KEYS,
        execution::SHARDS,
    ],
    exactly_one: &[],
    computes: true,
    revised: &[],
    classes: &[ClassFact::Count, ClassFact::Rare],
    outputs: &[
        OutputSpec::file("scores", "scores.csv", OutputRole::Scores),
        OutputSpec::folder("predictions", OutputRole::Predictions),
        OutputSpec::folder("entropy", OutputRole::EntropyMaps),
        OutputSpec::folder("photographs", OutputRole::Photographs),
        OutputSpec::folder("thumbnails", OutputRole::Thumbnails),
    ],
    items: Some("images"),
    tensors: true,
    runs: Runs::Worker,
};
