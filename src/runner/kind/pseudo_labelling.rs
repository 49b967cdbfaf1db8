//! `pseudo-labelling`: turns the predictions of some images into labels to train on.
//!
//! No threshold and no class balance by default, as in the released code; the predictions were made by
//! `entropy-inference`, and so were the entropy maps that a choice of pixels goes by.

use super::{ClassFact, Interval, KeySpec, Kind, Only, OutputRole, OutputSpec, Runs, ValueType};

pub(super) const KIND: Kind = Kind {
    name: "pseudo-labelling",
    revision: 1,
    summary: "Takes the most likely class of each pixel as the label of an image (IntraDA, section 3.3), or of each class \
              only the pixels that the network was sure about.",
    keys: &[&[
        KeySpec::new(
            "predictions",
            ValueType::Stage(OutputRole::Predictions),
            "the entropy-inference stage that made the predictions",
        ),
        KeySpec::new(
            "images",
            ValueType::Stage(OutputRole::ImageList),
            "the images that are labelled, such as `rank.easy`; default: all of them, as with λ = 1",
        )
        .optional(),
        KeySpec::new(
            "entropy",
            ValueType::Stage(OutputRole::EntropyMaps),
            "the same stage again, for its entropy maps: then only the surest pixels are labelled, the others ignored",
        )
        .optional()
        .origin("not in IntraDA, which labels all pixels"),
        KeySpec::new(
            "keep",
            ValueType::Number(Interval { open_above: false, ..Interval::INSIDE_UNIT }),
            "share of each class's pixels, over all these images, that are labelled: those of least entropy. Of pixels with the \
             same entropy, which maps hold in 256 levels, so many as are wanted, evenly spread over the images",
        )
        .or_number(0.8)
        .only(Only::with("entropy")),
    ]],
    exactly_one: &[],
    computes: false,
    revised: &[(Only::with("keep"), 2)],
    classes: &[ClassFact::Colours],
    outputs: &[OutputSpec::folder("labels", OutputRole::Labels), OutputSpec::folder("colour", OutputRole::Colours)],
    items: None,
    runs: Runs::Worker,
};
