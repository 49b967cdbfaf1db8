//! A line of `candidates.jsonl`: the scores that a snapshot of a training got without labels, and which snapshot they choose.
//!
//! The worker writes it and chooses by it; the runner's results read it and choose again by the other scores. Both by
//! [`choose`], so that they agree.

use serde::{Deserialize, Serialize};

use crate::kind::choosing::Score;

/// A snapshot that can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Line", into = "Line")]
pub struct Candidate {
    /// Iterations done.
    pub iteration: u64,
    /// None if its output is not finite somewhere: it has diverged, and is never chosen.
    pub scores: Option<Scores>,
    /// Images that it was shown.
    pub images: u64,
    /// Pixels that were drawn of them for the soft neighbourhood density.
    pub pixels: u64,
}

/// Its scores, each a mean over the images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// In nats, 0 to ln 99.
    pub soft_neighbourhood_density: f64,
    /// 0 to 1.
    pub entropy: f64,
    /// 0 to 1.
    pub agreement: f64,
}

impl Scores {
    /// One of them.
    pub fn of(&self, score: Score) -> f64 {
        match score {
            Score::SoftNeighbourhoodDensity => self.soft_neighbourhood_density,
            Score::Entropy => self.entropy,
            Score::Agreement => self.agreement,
        }
    }
}

impl Candidate {
    /// One of its scores.
    pub fn score(&self, score: Score) -> Option<f64> {
        Some(self.scores.as_ref()?.of(score))
    }
}

/// The snapshot with the best score, the earliest of equals. None if all have diverged.
pub fn choose(candidates: &[Candidate], by: Score) -> Option<&Candidate> {
    let merit = |candidate: &Candidate| candidate.score(by).map(|value| by.merit(value));
    let scored = candidates.iter().filter(|candidate| merit(candidate).is_some_and(f64::is_finite));
    scored.reduce(|best, later| if merit(later) > merit(best) { later } else { best })
}

/// As in the file: the scores of a network that has diverged are null.
#[derive(Serialize, Deserialize)]
struct Line {
    iteration: u64,
    soft_neighbourhood_density: Option<f64>,
    entropy: Option<f64>,
    agreement: Option<f64>,
    images: u64,
    pixels: u64,
}

impl From<Line> for Candidate {
    fn from(line: Line) -> Candidate {
        let Line { iteration, soft_neighbourhood_density, entropy, agreement, images, pixels } = line;
        let scores = match (soft_neighbourhood_density, entropy, agreement) {
            (Some(soft_neighbourhood_density), Some(entropy), Some(agreement)) => {
                Some(Scores { soft_neighbourhood_density, entropy, agreement })
            }
            _ => None,
        };
        Candidate { iteration, scores, images, pixels }
    }
}

impl From<Candidate> for Line {
    fn from(Candidate { iteration, scores, images, pixels }: Candidate) -> Line {
        Line {
            iteration,
            soft_neighbourhood_density: scores.map(|scores| scores.soft_neighbourhood_density),
            entropy: scores.map(|scores| scores.entropy),
            agreement: scores.map(|scores| scores.agreement),
            images,
            pixels,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(all: &[Option<[f64; 3]>]) -> Vec<Candidate> {
        let scores = |[soft_neighbourhood_density, entropy, agreement]: [f64; 3]| Scores {
            soft_neighbourhood_density,
            entropy,
            agreement,
        };
        let candidate = |(iteration, all): (u64, &Option<[f64; 3]>)| Candidate {
            iteration,
            scores: all.map(scores),
            images: 2,
            pixels: 200,
        };
        (1..).zip(all).map(candidate).collect()
    }

    fn chosen(all: &[Option<[f64; 3]>]) -> [Option<u64>; 3] {
        let all = of(all);
        Score::ALL.map(|by| choose(&all, by).map(|candidate| candidate.iteration))
    }

    #[test]
    fn density_and_agreement_are_better_if_large_and_entropy_if_small() {
        assert_eq!(
            chosen(&[Some([1.0, 0.5, 0.7]), Some([2.0, 0.6, 0.6]), Some([1.5, 0.4, 0.8])]),
            [Some(2), Some(3), Some(3)]
        );
    }

    #[test]
    fn the_earliest_of_equals_is_chosen_and_one_that_has_diverged_never() {
        let same = Some([1.0, 0.5, 0.7]);
        assert_eq!(chosen(&[None, same, same]), [Some(2); 3]);
        assert_eq!(chosen(&[Some([f64::NAN, f64::NAN, f64::NAN]), same]), [Some(2); 3]);
        assert_eq!(chosen(&[None, None]), [None; 3]);
        assert_eq!(chosen(&[]), [None; 3]);
    }

    #[test]
    fn a_line_has_each_score_under_its_key_and_null_where_the_network_has_diverged() {
        let all = of(&[Some([1.25, 0.5, 0.75]), None]);
        let lines = all.iter().map(|candidate| serde_json::to_value(candidate).unwrap()).collect::<Vec<_>>();
        for score in Score::ALL {
            assert_eq!(lines[0][score.key()].as_f64(), all[0].score(score));
            assert!(lines[1][score.key()].is_null(), "{}", lines[1]);
        }
        let again: Vec<Candidate> = lines.into_iter().map(|line| serde_json::from_value(line).unwrap()).collect();
        assert_eq!(again, all);
    }
}
