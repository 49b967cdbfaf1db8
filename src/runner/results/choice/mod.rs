//! What choosing a training's snapshot without labels costs, where labels tell: the regret of each score, and how well it orders
//! the snapshots.
//!
//! Knows the lines of `candidates.jsonl` and of `evaluations.jsonl`, and no training. Only snapshots that are in both files can be
//! judged. No score is recommended: whether one is worth trust is what these numbers are for.

mod table;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use table::{Column, columns, remarks, summary};

use super::correlation::spearman;
use crate::exec::job::{Candidate, choose};
use crate::kind::OutputRole;
use crate::kind::choosing::Score;
use crate::kind::training::CHOOSE_BY;
use crate::pipeline::{DatasetId, Pipeline, StageId, Value as Parameter};

/// The snapshots of one training.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The score that chose `<stage>.chosen`.
    pub chosen_by: Score,
    /// All snapshots, in the order of their iterations.
    pub candidates: Vec<Candidate>,
    /// Those that were also evaluated with labels.
    pub evaluated: Vec<Evaluated>,
}

/// The mIoU of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Evaluated {
    /// Iterations done.
    pub iteration: u64,
    /// 0 to 1.
    pub miou: f64,
}

/// A training that chooses a snapshot, for comparisons.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// The pipeline that defines it.
    pub pipeline: String,
    /// Its name.
    pub training: String,
    /// The data set without labels on which its snapshots were scored.
    pub scored_on: String,
    /// The data set with labels on which they were evaluated, if it has one.
    pub evaluated_on: Option<String>,
    /// Its snapshots; none if it has no result of the current file.
    pub choice: Option<Choice>,
}

impl Chosen {
    /// For programs.
    pub fn json(&self) -> Value {
        let mut fields: Map<String, Value> = [
            ("pipeline", json!(self.pipeline)),
            ("training", json!(self.training)),
            ("scored_on", json!(self.scored_on)),
            ("evaluated_on", json!(self.evaluated_on)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect();
        fields.extend(self.choice.iter().flat_map(Choice::json));
        Value::Object(fields)
    }
}

/// What a training chose, of which `read` gives the content of an output; none if it chooses no snapshot.
pub fn of_training(pipeline: &Pipeline, id: StageId, read: &dyn Fn(OutputRole) -> Option<Vec<u8>>) -> Option<Chosen> {
    let stage = pipeline.stage(id);
    let name = |dataset: DatasetId| pipeline.dataset(dataset).name.clone();
    let scored_on = name(pipeline.scored_on(stage)?);
    let chosen_by = stage.parameter(CHOOSE_BY).and_then(Parameter::as_text).and_then(Score::find)?;
    let text = |role| read(role).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let evaluations = text(OutputRole::Evaluations).unwrap_or_default();
    Some(Chosen {
        pipeline: pipeline.name.clone(),
        training: stage.name.clone(),
        scored_on,
        evaluated_on: pipeline.dataset_of(stage).map(name),
        choice: text(OutputRole::Candidates).and_then(|lines| Choice::read(&lines, &evaluations, chosen_by)),
    })
}

/// What one way of choosing gives.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// The snapshot that it chooses; none if all have diverged.
    pub iteration: Option<u64>,
    /// Its mIoU, 0 to 1, if it was evaluated.
    pub miou: Option<f64>,
    /// How much lower that is than the best mIoU of all snapshots that were evaluated; 0 to 1, and 0 if the best was chosen.
    pub regret: Option<f64>,
    /// Spearman's ρ between the score and mIoU over the snapshots that were evaluated: 1 if the score orders them as mIoU does,
    /// −1 if it reverses them, for entropy too, of which less is better. None for fewer than three, and of a way without a score.
    pub correlation: Option<f64>,
}

impl Choice {
    /// From the two files' content; `evaluations` may be empty. Ignores invalid lines. None without a snapshot.
    pub fn read(candidates: &str, evaluations: &str, chosen_by: Score) -> Option<Choice> {
        #[derive(Deserialize)]
        struct Line {
            iteration: u64,
            miou: Option<f64>,
        }
        let candidates: Vec<Candidate> =
            candidates.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let is_candidate = |line: &Line| candidates.iter().any(|candidate| candidate.iteration == line.iteration);
        let lines = evaluations.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let evaluated = lines
            .filter(is_candidate)
            .filter_map(|line| Some(Evaluated { iteration: line.iteration, miou: line.miou? }))
            .collect();
        (!candidates.is_empty()).then_some(Choice { chosen_by, candidates, evaluated })
    }

    /// The best of the snapshots that were evaluated, the earliest of equals.
    pub fn best(&self) -> Option<Evaluated> {
        self.evaluated.iter().copied().reduce(|best, later| if later.miou > best.miou { later } else { best })
    }

    /// What a score gives.
    pub fn by(&self, score: Score) -> Judged {
        let chosen = choose(&self.candidates, score).map(|candidate| candidate.iteration);
        let pair = |of: &Evaluated| {
            let candidate = self.candidates.iter().find(|candidate| candidate.iteration == of.iteration)?;
            Some((score.merit(candidate.score(score)?), of.miou))
        };
        let pairs: Vec<(f64, f64)> = self.evaluated.iter().filter_map(pair).collect();
        Judged { correlation: spearman(&pairs), ..self.judged(chosen) }
    }

    /// What keeping the last snapshot gives, without a choice.
    pub fn last(&self) -> Judged {
        self.judged(self.candidates.last().map(|candidate| candidate.iteration))
    }

    /// The mean regret of choosing at random: of any score that means nothing. 0 to 1.
    pub fn by_chance(&self) -> Option<f64> {
        let best = self.best()?.miou;
        let sum: f64 = self.evaluated.iter().map(|of| best - of.miou).sum();
        Some(sum / self.evaluated.len() as f64)
    }

    /// All of this for programs; shares from 0 to 1.
    pub fn json(&self) -> Map<String, Value> {
        let scores: Map<String, Value> =
            Score::ALL.into_iter().map(|score| (score.key().to_owned(), json!(self.by(score)))).collect();
        let fields = [
            ("choose_by", json!(self.chosen_by)),
            ("snapshots", json!(self.candidates.len())),
            ("evaluated", json!(self.evaluated.len())),
            ("best", json!(self.best())),
            ("scores", Value::Object(scores)),
            ("last", json!(self.last())),
            ("regret_by_chance", json!(self.by_chance())),
        ];
        fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
    }

    fn judged(&self, iteration: Option<u64>) -> Judged {
        let miou = self.evaluated.iter().find(|of| Some(of.iteration) == iteration).map(|of| of.miou);
        let regret = miou.zip(self.best()).map(|(miou, best)| best.miou - miou);
        Judged { iteration, miou, regret, correlation: None }
    }
}

/// The middle of some numbers, the mean of the two middle ones of an even number, and the largest. None without numbers.
pub fn median_and_largest(numbers: impl Iterator<Item = f64>) -> Option<[f64; 2]> {
    let mut sorted: Vec<f64> = numbers.collect();
    sorted.sort_by(f64::total_cmp);
    let largest = *sorted.last()?;
    let half = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 { sorted[half] } else { (sorted[half - 1] + sorted[half]) / 2.0 };
    Some([median, largest])
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    pub(crate) const CANDIDATES: &str = concat!(
        r#"{"iteration":2,"soft_neighbourhood_density":1.0,"entropy":0.5,"agreement":0.7,"images":3,"pixels":300}"#,
        "\n",
        r#"{"iteration":4,"soft_neighbourhood_density":3.0,"entropy":0.3,"agreement":0.8,"images":3,"pixels":300}"#,
        "\n",
        r#"{"iteration":6,"soft_neighbourhood_density":2.0,"entropy":0.2,"agreement":0.9,"images":3,"pixels":300}"#,
        "\n",
        r#"{"iteration":8,"soft_neighbourhood_density":null,"entropy":null,"agreement":null,"images":3,"pixels":0}"#,
        "\n",
    );
    pub(crate) const EVALUATIONS: &str = concat!(
        r#"{"iteration":1,"miou":0.9,"iou":{}}"#,
        "\n",
        r#"{"iteration":2,"miou":0.25,"iou":{}}"#,
        "\n",
        r#"{"iteration":4,"miou":0.5,"iou":{}}"#,
        "\n",
        r#"{"iteration":6,"miou":0.375,"iou":{}}"#,
        "\n",
        r#"{"iteration":8,"miou":0.125,"iou":{}}"#,
        "\n",
    );

    #[test]
    fn regret_is_what_the_choice_lost_against_the_best_snapshot_and_only_snapshots_count() {
        let choice = Choice::read(CANDIDATES, EVALUATIONS, Score::Entropy).unwrap();
        assert_eq!(choice.best(), Some(Evaluated { iteration: 4, miou: 0.5 }), "iteration 1 is no snapshot");
        let density = choice.by(Score::SoftNeighbourhoodDensity);
        assert_eq!((density.iteration, density.regret), (Some(4), Some(0.0)));
        assert!((density.correlation.unwrap() - 1.0).abs() < 1e-12);
        let entropy = choice.by(Score::Entropy);
        assert_eq!((entropy.iteration, entropy.miou, entropy.regret), (Some(6), Some(0.375), Some(0.125)));
        // Ranks 1, 2, 3 and 1, 3, 2.
        assert!((entropy.correlation.unwrap() - 0.5).abs() < 1e-12, "less entropy is better");
        assert_eq!(choice.by(Score::Agreement), Judged { correlation: entropy.correlation, ..entropy });
        assert_eq!((choice.last().iteration, choice.last().regret), (Some(8), Some(0.375)));
        assert_eq!(choice.by_chance(), Some((0.25 + 0.0 + 0.125 + 0.375) / 4.0));
    }

    #[test]
    fn without_labels_there_is_a_choice_and_nothing_to_say_of_it() {
        let choice = Choice::read(CANDIDATES, "", Score::Entropy).unwrap();
        let nothing = Judged { iteration: Some(6), miou: None, regret: None, correlation: None };
        assert_eq!(choice.by(Score::Entropy), nothing);
        assert_eq!((choice.best(), choice.by_chance(), choice.last().regret), (None, None, None));
        assert_eq!(Choice::read("", EVALUATIONS, Score::Entropy), None);
    }

    #[test]
    fn the_regret_of_a_snapshot_that_was_not_evaluated_is_unknown() {
        let evaluations: String =
            EVALUATIONS.lines().filter(|line| !line.contains(":6,")).map(|line| format!("{line}\n")).collect();
        let entropy = Choice::read(CANDIDATES, &evaluations, Score::Entropy).unwrap().by(Score::Entropy);
        assert_eq!((entropy.iteration, entropy.miou, entropy.regret), (Some(6), None, None));
        assert_eq!(entropy.correlation, None, "two pairs are too few");
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_middle_ones() {
        assert_eq!(median_and_largest([3.0, 1.0, 2.0].into_iter()), Some([2.0, 3.0]));
        assert_eq!(median_and_largest([4.0, 1.0, 3.0, 2.0].into_iter()), Some([2.5, 4.0]));
        assert_eq!(median_and_largest(std::iter::empty()), None);
    }

    proptest! {
        #[test]
        fn no_regret_is_negative_and_that_of_a_score_like_miou_is_none(of in vec((0u8..20, 0u8..20), 1..12)) {
            let lines = |line: &dyn Fn(usize, (u8, u8)) -> String| -> String {
                of.iter().enumerate().map(|(at, of)| line(at + 1, *of) + "\n").collect()
            };
            let candidates = lines(&|at, (score, miou)| format!(
                "{{\"iteration\":{at},\"soft_neighbourhood_density\":{score},\"entropy\":{},\"agreement\":{miou},\
                 \"images\":1,\"pixels\":1}}",
                255 - miou
            ));
            let evaluations = lines(&|at, (_, miou)| format!("{{\"iteration\":{at},\"miou\":{}}}", f64::from(miou) / 100.0));
            let choice = Choice::read(&candidates, &evaluations, Score::Entropy).unwrap();
            prop_assert!(choice.by(Score::SoftNeighbourhoodDensity).regret.unwrap() >= 0.0);
            for like_miou in [Score::Entropy, Score::Agreement] {
                let judged = choice.by(like_miou);
                prop_assert_eq!(judged.regret, Some(0.0));
                prop_assert!(judged.correlation.is_none_or(|rho| (rho - 1.0).abs() < 1e-12));
            }
            let chance = choice.by_chance().unwrap();
            prop_assert!(chance >= 0.0 && chance <= choice.best().unwrap().miou);
        }
    }
}
