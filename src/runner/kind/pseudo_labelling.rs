//! `pseudo-labelling`: turns the predictions on some images into training labels.
//!
//! No threshold and no class balance by default, as in the released code. The predictions, and the entropy maps for selecting
//! pixels, come from `entropy-inference`.

use super::{ClassFact, Interval, KeySpec, Kind, Only, OutputRole, OutputSpec, Runs, ValueType};

pub(super) const KIND: Kind = Kind {
    name: "pseudo-labelling",
    revision: 1,
    summary: "Labels each pixel with its most likely class (IntraDA, section 3.3), optionally only the most confident pixels \
              of each class.",
    keys: &[&[
        KeySpec::new(
            "predictions",
            ValueType::Stage(OutputRole::Predictions),
            "the entropy-inference stage with the predictions",
        ),
        KeySpec::new(
            "images",
            ValueType::Stage(OutputRole::ImageList),
            "the images to label, such as `rank.easy`; default: all, as with λ = 1",
        )
        .optional(),
        KeySpec::new(
            "entropy",
            ValueType::Stage(OutputRole::EntropyMaps),
            "the same stage, for its entropy maps: only the most confident pixels are then labelled, the others ignored",
        )
        .optional()
        .origin("not in IntraDA, which labels all pixels"),
        KeySpec::new(
            "keep",
            ValueType::Number(Interval { open_above: false, ..Interval::INSIDE_UNIT }),
            "fraction of each class's pixels to label, over all these images: those of lowest entropy. Maps have 256 levels; \
             among pixels of equal entropy the choice is spread evenly over the images",
        )
        .or_number(0.8)
        .only(Only::with("entropy")),
    ]],
    exactly_one: &[],
    computes: false,
    revised: &[(Only::with("keep"), 4)],
    classes: &[ClassFact::Colours],
    outputs: &[
        OutputSpec::folder("labels", OutputRole::Labels),
        OutputSpec::folder("colour", OutputRole::Colours),
        // Otherwise the labels are the predictions, of which there are thumbnails.
        OutputSpec::folder("thumbnails", OutputRole::Thumbnails).only(Only::with("keep")),
    ],
    items: None,
    tensors: false,
    runs: Runs::Worker,
};
