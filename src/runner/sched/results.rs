//! What the evaluations of a pipeline found, and the parameters behind each network.
//!
//! Runs nothing. Only numbers that the pipeline would find again as it is now are taken for its results, wherever they lie;
//! whatever else there is, is out of date.

use std::collections::HashMap;

use super::dry::{self, Planned};
use super::session::Session;
use crate::event::Outcome;
use crate::kind::{OutputRole, Role, Runs};
use crate::pipeline::{Dataset, DatasetId, Format, InputSource, Pipeline, Problems, Stage, StageId, Value};
use crate::results::compare::{Measurement, Run, State};
use crate::results::image::{ImageScore, scores};
use crate::results::metrics::Metrics;

/// A run for each network that each of these evaluations measures, measured or not. `by_image`: with what was measured of each
/// image.
///
/// # Errors
/// What is wrong with the sources.
pub fn runs(session: &mut Session, evaluations: &[StageId], by_image: bool) -> Result<Vec<Run>, Problems> {
    let plan = dry::plan(session, evaluations, &[])?;
    let planned: HashMap<StageId, &Planned> = plan.stages.iter().map(|planned| (planned.stage, planned)).collect();
    let mut lineages = HashMap::new();
    let mut runs = Vec::new();
    for &id in evaluations {
        let stage = session.pipeline.stage(id);
        let dataset = session.pipeline.dataset_of(stage);
        let found = Found { session, stage, planned: planned.get(&id).copied() };
        let metrics = found.metrics();
        let images = if by_image && metrics.is_some() { found.images() } else { Vec::new() };
        for row in compared(&session.pipeline, stage) {
            let state = match &metrics {
                Some(metrics) => State::Measured(Box::new(row.measured(metrics, &images))),
                None if session.index.stages.contains_key(&session.record_name(stage)) => State::Stale,
                None if has_failed(session, stage) => State::Failed,
                None => State::NotRun,
            };
            let parameters = row
                .training
                .map(|training| lineages.entry(training).or_insert_with(|| lineage(session, training)).clone());
            let seconds = row.training.and_then(|training| planned.get(&training)).and_then(|planned| {
                let trace = session.store.load(planned.key?).ok().flatten()?;
                Some(trace.seconds)
            });
            runs.push(Run {
                pipeline: session.pipeline.name.clone(),
                evaluation: stage.family.clone(),
                member: stage.name.clone(),
                dataset: dataset.map_or_else(String::new, |id| session.pipeline.dataset(id).name.clone()),
                weights: row.name.to_owned(),
                parameters: parameters.unwrap_or_default(),
                state,
                seconds,
            });
        }
    }
    Ok(runs)
}

/// Whether the stage or something that it needs failed when it last took part in a run.
fn has_failed(session: &Session, stage: &Stage) -> bool {
    let history = session.history().borrow();
    history.stages.get(&stage.name).is_some_and(|last| matches!(last.outcome, Outcome::Failed | Outcome::Skipped))
}

/// What an evaluation gives as the pipeline is now.
struct Found<'a> {
    session: &'a Session,
    stage: &'a Stage,
    planned: Option<&'a Planned>,
}

impl Found<'_> {
    fn metrics(&self) -> Option<Metrics> {
        serde_json::from_slice(&self.read(OutputRole::Metrics)?).ok()
    }

    fn images(&self) -> Vec<ImageScore> {
        let bytes = self.read(OutputRole::ImageScores).unwrap_or_default();
        scores(&String::from_utf8_lossy(&bytes)).collect()
    }

    fn read(&self, role: OutputRole) -> Option<Vec<u8>> {
        let place = self.stage.outputs.iter().position(|output| output.role == role)?;
        let artifact = self.planned?.artifacts.as_ref()?.get(place)?;
        self.session.store.read(artifact.object).ok()?
    }
}

/// A row of a comparison: a training, whose last network and best are one, or a file.
#[derive(Default)]
struct Compared<'p> {
    training: Option<StageId>,
    /// What it is called: of a member of a sweep, its family, as its parameters say where it stands.
    name: &'p str,
    /// By which names the numbers are found.
    last: Option<&'p str>,
    best: Option<&'p str>,
}

impl Compared<'_> {
    fn measured(&self, metrics: &Metrics, images: &[ImageScore]) -> Measurement {
        let of = |name: Option<&str>| metrics.get(name?).cloned();
        let name = self.last.or(self.best);
        let miou = |score: &ImageScore| Some((score.image.clone(), score.miou(name?)?));
        Measurement { last: of(self.last), best: of(self.best), images: images.iter().filter_map(miou).collect() }
    }
}

fn compared<'p>(pipeline: &'p Pipeline, evaluation: &'p Stage) -> Vec<Compared<'p>> {
    let mut rows: Vec<Compared<'p>> = Vec::new();
    for network in pipeline.measured_by(evaluation) {
        let training = network.training();
        let known = rows.iter().position(|row| training.is_some() && row.training == training);
        let place = known.unwrap_or_else(|| {
            let name = training.map_or(network.name, |training| &pipeline.stage(training).family);
            rows.push(Compared { training, name, ..Compared::default() });
            rows.len() - 1
        });
        let into = if network.is_chosen() { &mut rows[place].best } else { &mut rows[place].last };
        *into = Some(network.name);
    }
    rows
}

/// Everything that was chosen for a training and for what came before it, in the order in which the stages run.
pub fn lineage(session: &Session, training: StageId) -> Vec<(String, String)> {
    let pipeline = &session.pipeline;
    let mut lineage: Vec<(String, String)> = Vec::new();
    let mut datasets: Vec<DatasetId> = Vec::new();
    for id in session.graph.ancestors(&[training]) {
        let stage = pipeline.stage(id);
        let mut note = |key: &str, value: String| lineage.push((format!("{}.{key}", stage.family), value));
        if stage.kind.runs == Runs::Command && !stage.coordinates.is_empty() {
            // Its strings differ in these, and say less.
            stage.coordinates.iter().for_each(|coordinate| note(&coordinate.axis, coordinate.value.clone()));
            continue;
        }
        for parameter in stage.parameters.iter().filter(|parameter| parameter.role == Role::Meaning) {
            note(&parameter.name, shown(&parameter.value));
        }
        for input in &stage.inputs {
            match &input.from {
                InputSource::Dataset { dataset, .. } => {
                    note(&input.role, pipeline.dataset(*dataset).name.clone());
                    datasets.push(*dataset);
                }
                InputSource::Path { path, .. } => note(&input.role, path.display().to_string()),
                InputSource::Output { .. } => {}
            }
        }
    }
    datasets.sort_unstable();
    datasets.dedup();
    let facts = datasets.into_iter().map(|id| pipeline.dataset(id)).flat_map(facts);
    lineage.extend(facts);
    lineage
}

fn shown(value: &Value) -> String {
    value.as_text().map_or_else(|| value.to_string(), str::to_owned)
}

/// What a data set of one name may be differently in another pipeline.
fn facts(dataset: &Dataset) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut note = |key: &str, value: String| facts.push((format!("{}.{key}", dataset.name), value));
    match &dataset.format {
        Format::Folder { root, list, .. } => {
            note("root", root.display().to_string());
            list.iter().for_each(|list| note("list", list.display().to_string()));
        }
        Format::Published { root, part, list, .. } => {
            note("root", root.display().to_string());
            note("part", part.clone());
            list.iter().for_each(|list| note("list", list.display().to_string()));
        }
        Format::Scenes { style, part, seed, count, .. } => {
            note("style", style.clone());
            note("part", part.clone());
            note("seed", seed.to_string());
            note("count", count.to_string());
        }
    }
    if let Some([width, height]) = dataset.size {
        note("size", format!("{width}x{height}"));
    }
    facts
}
