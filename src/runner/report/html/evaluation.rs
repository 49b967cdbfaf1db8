//! An evaluation as used by the sections: its networks, their origins, and which two are compared.
//!
//! Knows `metrics.json` and decides nothing: numbers stay as they are there.

use super::training::{self, Evaluated};
use super::workspace::Workspace;
use crate::kind::OutputRole;
use crate::pipeline::{Stage, StageId};
use crate::results::image::{ImageScore, scores};
use crate::results::metrics::{Measured, Metrics};
use crate::results::story::{self, Origin};
use intrada_statistics::evidence::ByImage;

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
    /// Whether that is of the source domain.
    pub(super) is_of_source: bool,
    /// The content of `metrics.json`.
    pub(super) raw: serde_json::Value,
    /// The networks, in the file's order.
    pub(super) models: Vec<Model>,
}

/// One network in it.
pub(super) struct Model {
    /// Its name in the evaluation.
    pub(super) name: String,
    /// The same with the coordinates of its training, which tell it from other members of a sweep:
    /// `inter[seed=2].teacher`.
    pub(super) member: String,
    /// The training that it comes from.
    pub(super) training: Option<StageId>,
    /// The data set whose labels selected it, if any.
    pub(super) chosen_on: Option<String>,
    /// Where it comes from.
    pub(super) origin: Origin,
    /// Its measurements.
    pub(super) measured: Measured,
    /// Its pixels by image.
    pub(super) pixels: ByImage,
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
    let is_of_source =
        workspace.pipeline.dataset_of(stage).is_some_and(|id| workspace.pipeline.is_of_a_source_domain(id));
    let lines = workspace.bytes(id, OutputRole::ImageScores).unwrap_or_default();
    let lines: Vec<ImageScore> = scores(&String::from_utf8_lossy(&lines)).collect();
    let models = workspace.pipeline.measured_by(stage).filter_map(|network| {
        let measured = metrics.get(network.name)?.clone();
        let training = network.training();
        let validated_on = training.and_then(|id| workspace.dataset_name(workspace.pipeline.stage(id), "dataset"));
        let best = training
            .filter(|_| network.which.shares_row())
            .filter(|_| validated_on == Some(dataset.as_str()))
            .and_then(|training| training::best(&training::evaluations(workspace, training)));
        let chosen_on = network.chosen_on.map(|id| workspace.pipeline.dataset(id).name.clone());
        let evaluated = workspace.pipeline.dataset_of(stage);
        let origin = Origin::of(workspace.pipeline, workspace.graph, &network, evaluated);
        let name = network.name.to_owned();
        let pixels = |line: &ImageScore| Some((line.image.clone(), line.pixels(&name)?));
        let pixels = lines.iter().filter_map(pixels).collect();
        let member = match training.map(|id| workspace.pipeline.stage(id)) {
            Some(training) => member(&name, training),
            // A file has no coordinates but those of what measures it.
            None if stage.coordinates.is_empty() => name.clone(),
            None => format!("{name} of {}", stage.name),
        };
        Some(Model { name, member, training, chosen_on, origin, measured, pixels, best })
    });
    Some(Evaluation { stage: id, name: stage.name.clone(), models: models.collect(), dataset, is_of_source, raw })
}

/// A network's name with all coordinates of its training: those of the evaluation itself aren't in it.
fn member(name: &str, training: &Stage) -> String {
    let Some(rest) = name.strip_prefix(&training.family) else { return name.to_owned() };
    let written = rest.strip_prefix('[').and_then(|coordinates| coordinates.split_once(']'));
    format!("{}{}", training.name, written.map_or(rest, |(_, rest)| rest))
}

/// The place of an evaluation's results in the page.
pub(super) fn anchor(evaluation: StageId) -> String {
    format!("evaluation-{}", evaluation.0)
}

impl Evaluation {
    /// The indices of the baseline and of the judged network: see [`story::compared`].
    pub(super) fn compared(&self) -> Option<(usize, usize)> {
        story::compared(&self.origins())
    }

    /// The networks that tell what adaptation did: see [`story::steps`].
    pub(super) fn steps(&self) -> Vec<usize> {
        story::steps(&self.origins())
    }

    fn origins(&self) -> Vec<Origin> {
        self.models.iter().map(|model| model.origin.clone()).collect()
    }

    /// By how many points the judged network exceeds the baseline.
    pub(super) fn gain(&self, of: impl Fn(&Measured) -> Option<f64>) -> Option<f64> {
        let (before, judged) = self.compared()?;
        Some(100.0 * (of(&self.models[judged].measured)? - of(&self.models[before].measured)?))
    }
}
