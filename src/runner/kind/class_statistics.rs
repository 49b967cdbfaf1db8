//! `class-statistics`: how many pixels of each class every label has.
//!
//! Counted once and cached, for trainings with rare class sampling. Of labels of a data set it works image by image.

use super::{ClassFact, KeySpec, Kind, OutputRole, OutputSpec, Runs, ValueType, execution};

pub(super) const KIND: Kind = Kind {
    name: "class-statistics",
    revision: 1,
    summary: "Counts the pixels of each class in every label, at the label's full size: what rare class sampling draws by \
              (DAFormer).",
    keys: &[
        &[
            KeySpec::new("dataset", ValueType::Dataset { labels: true }, "the labelled images, a `[datasets.…]`")
                .optional(),
            KeySpec::new(
                "labels",
                ValueType::Stage(OutputRole::Labels),
                "a pseudo-labelling stage instead, for an intra training on its labels",
            )
            .optional(),
        ],
        execution::SHARDS,
    ],
    exactly_one: &["dataset", "labels"],
    computes: false,
    revised: &[],
    classes: &[ClassFact::Count],
    outputs: &[OutputSpec::file("counts", "class_counts.jsonl", OutputRole::ClassCounts)],
    items: Some("dataset"),
    tensors: false,
    runs: Runs::Worker,
};
