//! `ranking`: sorts the images by entropy and splits the list in two.
//!
//! Reads scores, not images, so another λ takes a fraction of a second.

use super::{ClassFact, Interval, KeySpec, Kind, OutputRole, OutputSpec, Runs, ValueType};

pub(super) const KIND: Kind = Kind {
    name: "ranking",
    revision: 1,
    summary: "Entropy-based ranking: splits the target images into an easy part, the fraction λ of lowest score, and a hard \
              part (IntraDA, section 3.2).",
    keys: &[&[
        KeySpec::new(
            "scores",
            ValueType::Stage(OutputRole::Scores),
            "the entropy-inference stage that scored the images",
        ),
        KeySpec::new(
            "lambda",
            ValueType::Number(Interval::INSIDE_UNIT),
            "λ = |easy| / |target|, the fraction of easy images",
        )
        .or_number(0.67)
        .origin("IntraDA, entropy.py: --lambda1"),
        KeySpec::new(
            "normalize",
            ValueType::Choice(&["none", "rare-classes-paper", "rare-classes-code"]),
            "factor of a score if n of R rare classes are predicted: 1, 1 / n, or (R − n) / R + 0.5",
        )
        .or_text("none")
        .origin("IntraDA, section 3.2 and entropy.py: --normalize"),
    ]],
    exactly_one: &[],
    computes: false,
    revised: &[],
    classes: &[ClassFact::Rare],
    outputs: &[
        OutputSpec::file("easy", "easy_split.txt", OutputRole::ImageList),
        OutputSpec::file("hard", "hard_split.txt", OutputRole::ImageList),
        OutputSpec::file("ranking", "ranking.csv", OutputRole::RankingTable),
    ],
    items: None,
    tensors: false,
    runs: Runs::Worker,
};
