//! `inter-training`: adaptation from a labelled source domain to an unlabelled target domain.
//!
//! Defines only its own keys, two data sets; the keys of the loop are in `training`.

use super::training::{self, ADAPTING, FEATURE_DISTANCE};
use super::{ClassFact, KeySpec, Kind, Runs, ValueType};

pub(super) const KIND: Kind = Kind {
    name: "inter-training",
    revision: 2,
    summary: "Inter-domain adaptation: trains on a labelled source domain and adapts to an unlabelled target domain \
              (IntraDA, section 3.1).",
    keys: &[
        &[
            training::METHOD,
            KeySpec::new(
                training::LEARNT_FROM,
                ValueType::Dataset { labels: true },
                "the labelled source domain, a `[datasets.…]`",
            ),
            KeySpec::new(
                "target",
                ValueType::Dataset { labels: false },
                "the target domain, a `[datasets.…]`; labels are not read",
            )
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
    runs: Runs::Worker,
};
