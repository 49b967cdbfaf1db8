//! `evaluation`: mIoU of one or several trainings on labelled images.
//!
//! One stage evaluates several trainings, so that one table compares them on the same images.

use super::{ClassFact, KeySpec, Kind, Only, OutputRole, OutputSpec, Runs, ValueType, execution, viewing};

pub(super) const KIND: Kind = Kind {
    name: "evaluation",
    revision: 7,
    summary: "Evaluates trained networks on the labels of a data set: IoU per class, mIoU and confusion matrix. For \
              Cityscapes' 19 or 16 classes also the mean over SYNTHIA's 16 and 13.",
    keys: &[
        &[
            KeySpec::new(
                "weights",
                ValueType::StagesOrFiles(OutputRole::Weights),
                "a training or file, or a list of them; named after the stage, or the file without extension",
            ),
            KeySpec::new("dataset", ValueType::Dataset { labels: true }, "labelled images, a `[datasets.…]`"),
            KeySpec::new("model", ValueType::Model, "the network of those `weights` that are files, a `[models.…]`")
                .optional(),
            KeySpec::new(
                "overlays",
                ValueType::Integer { min: 0, max: i64::MAX },
                "number of images with overlaid predictions",
            )
            .or_integer(8),
            KeySpec::new(
                "predictions",
                ValueType::Flag,
                "keeps the prediction of every image with each network, at the label's size: a PNG whose indices are the classes",
            )
            .or_flag(false)
            .added(),
        ],
        viewing::KEYS,
        execution::SHARDS,
    ],
    exactly_one: &[],
    computes: true,
    revised: &[],
    classes: &[ClassFact::Names, ClassFact::Colours],
    outputs: &[
        OutputSpec::file("metrics", "metrics.json", OutputRole::Metrics),
        OutputSpec::folder("overlays", OutputRole::Overlays),
        OutputSpec::file("images", "images.jsonl", OutputRole::ImageScores),
        OutputSpec::folder("pictures", OutputRole::Pictures),
        OutputSpec::folder("thumbnails", OutputRole::Thumbnails),
        OutputSpec::folder("predictions", OutputRole::MeasuredPredictions).only(Only::on("predictions")),
    ],
    items: Some("dataset"),
    tensors: true,
    runs: Runs::Worker,
};
