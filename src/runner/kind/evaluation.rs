//! `evaluation`: mIoU of one or several trainings on labelled images.
//!
//! One stage takes several trainings so that they are compared on the same images, in one table.

use super::{ClassFact, KeySpec, Kind, OutputRole, OutputSpec, Runs, ValueType};

pub(super) const KIND: Kind = Kind {
    name: "evaluation",
    revision: 4,
    summary: "Compares trained networks with the labels of a data set: IoU by class, mIoU and confusion matrix. Of Cityscapes' \
              19 classes, or 16, also the mean over SYNTHIA's 16 and 13.",
    keys: &[&[
        KeySpec::new(
            "weights",
            ValueType::StagesOrFiles(OutputRole::Weights),
            "the training or file, or a list of them; each is called after its stage, or its file without the ending",
        ),
        KeySpec::new("dataset", ValueType::Dataset { labels: true }, "labelled images, a `[datasets.…]`"),
        KeySpec::new(
            "model",
            ValueType::Model,
            "the network of those `weights` that are files, a `[models.…]`; a training has its own",
        )
        .optional(),
        KeySpec::new(
            "overlays",
            ValueType::Integer { min: 0, max: i64::MAX },
            "how many images to lay the predictions over, for looking at",
        )
        .or_integer(8),
    ]],
    exactly_one: &[],
    computes: true,
    revised: &[],
    classes: &[ClassFact::Names, ClassFact::Colours],
    outputs: &[
        OutputSpec::file("metrics", "metrics.json", OutputRole::Metrics),
        OutputSpec::folder("overlays", OutputRole::Overlays),
        OutputSpec::file("images", "images.jsonl", OutputRole::ImageScores),
        OutputSpec::folder("pictures", OutputRole::Pictures),
    ],
    items: None,
    runs: Runs::Worker,
};
