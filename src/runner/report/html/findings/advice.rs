//! What advice fits: where a network comes from, and what its training has that could be changed.
//!
//! Knows the pipeline file, no number.

use std::fmt;

use super::super::evaluation::Model;
use super::super::pseudo_labels::PseudoLabels;
use super::super::workspace::Workspace;
use crate::kind::OutputRole;
use crate::pipeline::{InputSource, Pipeline, StageId, Value};

/// A key of a training, and the direction in which its adaptation becomes weaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Knob {
    pub(super) key: &'static str,
    weaker: &'static str,
}

/// A training has the keys of its method alone.
pub(super) const KNOBS: [Knob; 3] = [
    Knob { key: "entropy_weight", weaker: "lower" },
    Knob { key: "adversarial_weight", weaker: "lower" },
    Knob { key: "teacher_threshold", weaker: "higher" },
];

impl fmt::Display for Knob {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "a {} {}", self.weaker, self.key)
    }
}

/// Where a network comes from, which determines the advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A file; its training is unknown.
    File,
    /// A training here, and what decides how strongly its method adapts; `source-only` has nothing of the kind.
    Training(Option<Knob>),
}

impl Origin {
    pub(super) fn of(pipeline: &Pipeline, stage: Option<StageId>) -> Origin {
        let Some(stage) = stage.map(|id| pipeline.stage(id)).filter(|stage| stage.is_training()) else {
            return Origin::File;
        };
        Origin::Training(KNOBS.into_iter().find(|knob| stage.parameter(knob.key).is_some()))
    }
}

/// The stage whose network an entropy inference uses.
pub(super) fn training_behind(workspace: &Workspace, inference: StageId) -> Option<StageId> {
    match workspace.pipeline.stage(inference).input("weights")?.from {
        InputSource::Output { output, .. } => Some(output.stage),
        _ => None,
    }
}

/// What decides which pixels get a pseudo-label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cut {
    /// Only the images of a ranking's easy part.
    pub(super) is_ranked: bool,
    /// That ranking already weights rare classes like the released code.
    pub(super) counts_rare: bool,
    /// Only a share of each class's pixels.
    pub(super) keeps_a_share: bool,
}

impl Cut {
    pub(super) fn of(pipeline: &Pipeline, labels: &PseudoLabels) -> Cut {
        let Some(stage) = pipeline.find(&labels.name).map(|id| pipeline.stage(id)) else { return Cut::default() };
        let ranking = stage.input("images").and_then(|input| match input.from {
            InputSource::Output { output, .. } => Some(pipeline.stage(output.stage)),
            _ => None,
        });
        let normalize = ranking.and_then(|ranking| ranking.parameter("normalize")).and_then(Value::as_text);
        Cut {
            is_ranked: ranking.is_some_and(|ranking| ranking.parameter("lambda").is_some()),
            counts_rare: normalize == Some("rare-classes-code"),
            keeps_a_share: stage.parameter("keep").is_some(),
        }
    }

    pub(super) fn advice(self) -> String {
        let cures = [
            (self.is_ranked, "raise lambda"),
            (self.is_ranked && !self.counts_rare, "rank with normalize = \"rare-classes-code\""),
            (self.keeps_a_share, "raise keep"),
        ];
        let cures: Vec<&str> = cures.iter().filter(|(fits, _)| *fits).map(|(_, cure)| *cure).collect();
        let cures =
            if cures.is_empty() { "train the network behind them longer".to_owned() } else { cures.join(", or ") };
        format!("classes without pseudo-labels are forgotten: {cures}")
    }
}

/// What a network learns from in the step that led to it.
pub(super) struct Basis {
    pub(super) origin: Origin,
    pub(super) learns_pseudo_labels: bool,
    pub(super) is_ranked: bool,
}

impl Basis {
    pub(super) fn of(pipeline: &Pipeline, model: Option<&Model>) -> Basis {
        let makes = |wanted: OutputRole| {
            let stages = model.into_iter().flat_map(|model| &model.origin.came_from);
            stages.map(|id| pipeline.stage(*id)).any(|stage| stage.outputs.iter().any(|o| o.role == wanted))
        };
        Basis {
            origin: Origin::of(pipeline, model.and_then(|model| model.training)),
            learns_pseudo_labels: makes(OutputRole::Labels),
            is_ranked: makes(OutputRole::RankingTable),
        }
    }
}
