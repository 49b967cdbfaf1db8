//! `intra-training`: adaptation from the easy to the hard part of the target domain.
//!
//! Defines only its own keys: pseudo-labels and a list. The loop is that of `inter-training`, hence the same other keys. Its
//! images are those of the data set behind the lists, which `pipeline` finds, so that it can't be named wrongly.

use super::training::{self, ADAPTING, FEATURE_DISTANCE};
use super::{ClassFact, KeySpec, Kind, OutputRole, Runs, ValueType};

pub(super) const KIND: Kind = Kind {
    name: "intra-training",
    revision: 4,
    summary: "Intra-domain adaptation: trains on the easy split with its pseudo-labels and adapts to the hard split \
              (IntraDA, section 3.3). With `method = \"source-only\"`: self-training on the easy split.",
    keys: &[
        &[
            training::METHOD,
            KeySpec::new(
                training::PSEUDO_LABELLED,
                ValueType::Stage(OutputRole::Labels),
                "the pseudo-labelling stage that labelled the easy split",
            ),
            KeySpec::new("hard", ValueType::Stage(OutputRole::ImageList), "the hard split, such as `rank.hard`")
                .only(ADAPTING),
        ],
        training::KEYS,
    ],
    exactly_one: &[],
    computes: true,
    revised: &[],
    classes: &[ClassFact::Count, ClassFact::Things(FEATURE_DISTANCE)],
    outputs: training::OUTPUTS,
    items: None,
    tensors: true,
    runs: Runs::Worker,
};
