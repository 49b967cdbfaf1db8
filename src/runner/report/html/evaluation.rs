//! An evaluation as used by the sections: its networks, their origins, and which two are compared.
//!
//! Knows `metrics.json` and decides nothing: numbers stay as they are there.

use super::training::{self, Evaluated};
use super::workspace::Workspace;
use crate::kind::OutputRole;
use crate::pipeline::{StageId, Which};
use crate::results::metrics::{Measured, Metrics};

/// How many evaluations have matrices and pictures; the others of a large sweep have only numbers.
pub(super) const IN_FULL: usize = 8;

/// The results of one evaluation stage.
pub(super) struct Evaluation {
    /// The stage.
    pub(super) stage: StageId,
    /// Its name.
    pub(super) name: String,
    /// The data set.
    pub(super) dataset: String,
    /// The content of `metrics.json`.
    pub(super) raw: serde_json::Value,
    /// The networks, in the file's order.
    pub(super) models: Vec<Model>,
}

/// One network in it.
pub(super) struct Model {
    /// Its name in the evaluation.
    pub(super) name: String,
    /// The training that it comes from.
    pub(super) training: Option<StageId>,
    /// The data set whose labels selected it, if any.
    pub(super) chosen_on: Option<String>,
    /// Whether it has learnt from labels of target images.
    pub(super) target_labels: bool,
    /// All its ancestors and itself.
    pub(super) came_from: Vec<StageId>,
    /// Its measurements.
    pub(super) measured: Measured,
    /// Which network of its training it is.
    pub(super) which: Which,
    /// The best evaluation in its training on the same images.
    pub(super) best: Option<Evaluated>,
}

/// Every evaluation with current results, in the order of the graph.
pub(super) fn gather(workspace: &Workspace) -> Vec<Evaluation> {
    workspace.stages().filter_map(|(id, _)| evaluation(workspace, id)).collect()
}

fn evaluation(workspace: &Workspace, id: StageId) -> Option<Evaluation> {
    let stage = workspace.pipeline.stage(id);
    let bytes = workspace.bytes(id, OutputRole::Metrics)?;
    let raw: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    let metrics: Metrics = serde_json::from_slice(&bytes).ok()?;
    let dataset = workspace.dataset_name(stage, "dataset").unwrap_or_default().to_owned();
    let models = workspace.pipeline.measured_by(stage).filter_map(|network| {
        let measured = metrics.get(network.name)?.clone();
        let training = network.training();
        let validated_on = training.and_then(|id| workspace.dataset_name(workspace.pipeline.stage(id), "dataset"));
        let best = training
            .filter(|_| network.which != Which::Teacher)
            .filter(|_| validated_on == Some(dataset.as_str()))
            .and_then(|training| training::best(&training::evaluations(workspace, training)));
        let chosen_on = network.chosen_on.map(|id| workspace.pipeline.dataset(id).name.clone());
        let came_from = training.map(|training| workspace.graph.ancestors(&[training])).unwrap_or_default();
        let target_labels = !workspace.pipeline.target_labels(&came_from).is_empty();
        let (name, which) = (network.name.to_owned(), network.which);
        Some(Model { name, training, chosen_on, target_labels, came_from, measured, which, best })
    });
    Some(Evaluation { stage: id, name: stage.name.clone(), models: models.collect(), dataset, raw })
}

/// The place of an evaluation's results in the page.
pub(super) fn anchor(evaluation: StageId) -> String {
    format!("evaluation-{}", evaluation.0)
}

impl Evaluation {
    /// The indices of the baseline and of the judged network. The judged network is the last one that was derived from
    /// another, like intra training from the network that ranked the images, and the baseline its nearest ancestor; if
    /// there is no such pair, the last network and the nearest one before it. Both were selected in the same way, with
    /// labels or without, and both or none are teachers.
    pub(super) fn compared(&self) -> Option<(usize, usize)> {
        let models = &self.models;
        let nearest = |judged: usize, fits: &dyn Fn(&Model) -> bool| {
            let is_alike = |other: &Model| {
                let judged = &models[judged];
                other.chosen_on.is_some() == judged.chosen_on.is_some()
                    && (other.which == Which::Teacher) == (judged.which == Which::Teacher)
            };
            let before = (0..judged).rev().find(|at| is_alike(&models[*at]) && fits(&models[*at]))?;
            Some((before, judged))
        };
        let is_origin = |of: usize| {
            move |other: &Model| {
                let (own, other) = (&models[of], other.training);
                other != own.training && other.is_some_and(|training| own.came_from.contains(&training))
            }
        };
        let last = models.len().checked_sub(1)?;
        (0..=last).rev().find_map(|at| nearest(at, &is_origin(at))).or_else(|| nearest(last, &|_| true))
    }

    /// By how many points the judged network exceeds the baseline.
    pub(super) fn gain(&self, of: impl Fn(&Measured) -> Option<f64>) -> Option<f64> {
        let (before, judged) = self.compared()?;
        Some(100.0 * (of(&self.models[judged].measured)? - of(&self.models[before].measured)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(name: &str, chosen_on: Option<&str>, miou: f64) -> Model {
        let measured = Measured {
            images: 1,
            miou: Some(miou),
            miou_16: None,
            miou_13: None,
            iou: [].into(),
            confusion: Vec::new(),
        };
        let (name, chosen_on, came_from) = (name.to_owned(), chosen_on.map(str::to_owned), Vec::new());
        let which = Which::of(name.rsplit('.').next().unwrap_or_default());
        Model { name, training: None, chosen_on, target_labels: false, came_from, measured, which, best: None }
    }

    #[test]
    fn what_was_chosen_with_labels_is_compared_with_nothing_that_was_not() {
        let compared = |models: Vec<Model>| {
            let (name, dataset) = (String::new(), String::new());
            let evaluation = Evaluation { stage: StageId(0), name, dataset, raw: serde_json::Value::Null, models };
            (evaluation.compared(), evaluation.gain(|measured| measured.miou).map(|gain| gain.round()))
        };
        let (inter, best, intra) = (
            || network("inter", None, 0.5),
            || network("inter.best", Some("val"), 0.6),
            || network("intra", None, 0.55),
        );
        assert_eq!(compared(vec![inter(), best(), intra()]), (Some((0, 2)), Some(5.0)));
        assert_eq!(compared(vec![inter(), best()]), (None, None));
        assert_eq!(compared(vec![intra()]), (None, None));
        // An upper bound is no step of the method, whatever its position.
        let from = |model: Model, training: u32, came_from: &[u32]| Model {
            training: Some(StageId(training)),
            came_from: came_from.iter().map(|id| StageId(*id)).collect(),
            ..model
        };
        let (source_only, supervised) = (|| network("source-only", None, 0.4), || network("supervised", None, 0.9));
        let all = vec![
            from(source_only(), 0, &[]),
            from(inter(), 1, &[]),
            from(intra(), 2, &[1, 2]),
            from(supervised(), 3, &[]),
        ];
        assert_eq!(compared(all), (Some((1, 2)), Some(5.0)));
    }
}
