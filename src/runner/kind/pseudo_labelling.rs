//! `pseudo-labelling`: turns the predictions of some images into labels to train on.
//!
//! No threshold and no class balance, as in the released code; the predictions were made by `entropy-inference`.

use super::{ClassFact, Gives, KeySpec, Kind, OutputSpec, Runs, Takes};

pub(super) const KIND: Kind = Kind {
    name: "pseudo-labelling",
    revision: 1,
    summary: "Takes the most likely class of each pixel as the label of an image (IntraDA, section 3.3).",
    keys: &[&[
        KeySpec::new(
            "predictions",
            Takes::Stage(Gives::Predictions),
            "the entropy-inference stage that made the predictions",
        ),
        KeySpec::new("images", Takes::Stage(Gives::ImageList), "the images that are labelled, such as `rank.easy`"),
    ]],
    exactly_one: &[],
    classes: &[ClassFact::Colours],
    outputs: &[OutputSpec::folder("labels", Gives::Labels), OutputSpec::folder("colour", Gives::Colours)],
    runs: Runs::Worker,
};
