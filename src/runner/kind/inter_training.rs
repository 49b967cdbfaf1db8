//! `inter-training`: adaptation from a labelled source domain to an unlabelled target domain.
//!
//! Defines only its own keys, two data sets; the keys of the loop are in `training`.

use super::training::{self, ADAPTING, FEATURE_DISTANCE};
use super::{ClassFact, Interval, KeySpec, Kind, Runs, ValueType};

pub(super) const KIND: Kind = Kind {
    name: "inter-training",
    revision: 4,
    summary: "Inter-domain adaptation: trains on a labelled source domain and adapts to an unlabelled target domain \
              (IntraDA, section 3.1).",
    keys: &[
        &[
            training::METHOD,
            KeySpec::new(
                training::LEARNT_FROM,
                ValueType::Datasets { labels: true },
                "the labelled source domain, a `[datasets.…]`, or a list of several, which have the pipeline's classes",
            ),
            KeySpec::new(
                training::SHARES,
                ValueType::Numbers(Interval::POSITIVE),
                "how often a labelled image is of each of several `source`s, in their order; only the ratios count. Each position \
                 of a batch draws its data set, then takes the next image of it; default: equal shares",
            )
            .optional(),
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
    tensors: true,
    runs: Runs::Worker,
};
