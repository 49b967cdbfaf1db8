//! The scores by which a training chooses one of its snapshots without labels: their names, and which of two values is better.
//!
//! Whoever computes, compares or shows them takes names and order from here: the key `choose_by`, the lines of
//! `candidates.jsonl`, the report, TensorBoard's events. Computes nothing: `ml::label_free` does.

use serde::{Deserialize, Serialize};

/// A score of a network's predictions on images without labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Score {
    /// Soft neighbourhood density (Saito et al. 2021); more is better.
    SoftNeighbourhoodDensity,
    /// Mean entropy of a pixel; less is better.
    Entropy,
    /// Share of pixels that keep their class when the image is mirrored and its colours change; more is better.
    Agreement,
}

impl Score {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Score; 3] = [Score::SoftNeighbourhoodDensity, Score::Entropy, Score::Agreement];
    /// Their names as values of `choose_by`.
    pub const NAMES: &[&str] = &["soft-neighbourhood-density", "entropy", "agreement"];

    /// The value of `choose_by`.
    pub fn name(self) -> &'static str {
        Score::NAMES[self as usize]
    }

    /// The name in prose.
    pub fn words(self) -> &'static str {
        ["soft neighbourhood density", "entropy", "agreement"][self as usize]
    }

    /// The key in a line of `candidates.jsonl`.
    pub fn key(self) -> &'static str {
        ["soft_neighbourhood_density", "entropy", "agreement"][self as usize]
    }

    /// What it measures, for the reference.
    pub fn doc(self) -> &'static str {
        [
            "for 100 random pixels of an image the entropy of their similarities to the other 99; mean over images",
            "entropy of a pixel's class probabilities; mean over pixels and images",
            "share of pixels whose class stays when the image is mirrored and its colours change; mean over images",
        ][self as usize]
    }

    /// Its range, for the reference.
    pub fn range(self) -> &'static str {
        ["0 to ln 99 = 4.6 nats", "0 to 1", "0 to 1"][self as usize]
    }

    /// Whether a larger value is better.
    pub fn prefers_large(self) -> bool {
        self != Score::Entropy
    }

    /// A value as a merit: more is better for every score.
    pub fn merit(self, value: f64) -> f64 {
        if self.prefers_large() { value } else { -value }
    }

    /// The score of this name.
    pub fn find(name: &str) -> Option<Score> {
        Score::ALL.into_iter().find(|score| score.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_called_the_same_in_a_pipeline_file_and_in_json() {
        for score in Score::ALL {
            assert_eq!(serde_json::to_value(score).unwrap(), score.name());
            assert_eq!(Score::find(score.name()), Some(score));
            assert_eq!(score.name().replace('-', "_"), score.key());
            assert_eq!(score.name().replace('-', " "), score.words());
        }
        assert_eq!(Score::find("mIoU"), None);
    }
}
