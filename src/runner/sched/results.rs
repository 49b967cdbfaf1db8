//! The results of a pipeline's evaluations, and the parameters behind each network.
//!
//! Runs nothing. Only results of the current pipeline count, wherever they are stored; others are stale.

use std::collections::{BTreeMap, HashMap};

use super::dry::{self, Planned};
use super::session::Session;
use crate::event::Outcome;
use crate::kind::dataset::Scaling;
use crate::kind::{OutputRole, Role, Runs};
use crate::pipeline::{Dataset, DatasetId, Format, InputSource, Pipeline, Problems, Stage, StageId, Value};
use crate::results::compare::{Entry, Measurement, State};
use crate::results::image::{ImageScore, scores};
use crate::results::metrics::Metrics;

/// One entry for each network of these evaluations, evaluated or not, with its results by image.
///
/// # Errors
/// What is wrong with the sources.
pub fn entries(session: &mut Session, evaluations: &[StageId]) -> Result<Vec<Entry>, Problems> {
    let plan = dry::plan(session, evaluations, &[])?;
    let planned: HashMap<StageId, &Planned> = plan.stages.iter().map(|planned| (planned.stage, planned)).collect();
    let mut lineages = HashMap::new();
    let mut entries = Vec::new();
    for &id in evaluations {
        let stage = session.pipeline.stage(id);
        let dataset = session.pipeline.dataset_of(stage);
        let found = Found { session, stage, planned: planned.get(&id).copied() };
        let metrics = found.metrics();
        let images = if metrics.is_some() { found.images() } else { Vec::new() };
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
            entries.push(Entry {
                pipeline: session.pipeline.name.clone(),
                evaluation: stage.family.clone(),
                member: stage.name.clone(),
                dataset: dataset.map_or_else(String::new, |id| session.pipeline.dataset(id).name.clone()),
                weights: row.name,
                parameters: parameters.unwrap_or_default(),
                state,
                seconds,
            });
        }
    }
    Ok(entries)
}

/// Adds to the names of evaluated data sets in what those of one name differ between pipelines: `te (seed 4, count 12)`. Numbers on
/// different images are no repetitions of one experiment, and no parameter of a training shows it.
pub fn tell_apart(pipelines: &mut [(&Pipeline, Vec<Entry>)]) {
    let own = |pipeline: &Pipeline, name: &str| -> Vec<(String, String)> {
        let dataset = pipeline.datasets.iter().find(|dataset| dataset.name == name);
        dataset.map(facts).unwrap_or_default()
    };
    let mut known: BTreeMap<String, Vec<Vec<(String, String)>>> = BTreeMap::new();
    for (pipeline, entries) in &*pipelines {
        for entry in entries {
            let facts = own(pipeline, &entry.dataset);
            let all = known.entry(entry.dataset.clone()).or_default();
            if !all.contains(&facts) {
                all.push(facts);
            }
        }
    }
    for (pipeline, entries) in pipelines {
        for entry in entries {
            let all = &known[&entry.dataset];
            let is_shared = |fact: &(String, String)| all.iter().all(|facts| facts.contains(fact));
            let key = |name: &str| name.strip_prefix(&format!("{}.", entry.dataset)).unwrap_or(name).to_owned();
            let differing = own(pipeline, &entry.dataset).into_iter().filter(|fact| !is_shared(fact));
            let told: Vec<String> = differing.map(|(name, value)| format!("{} {value}", key(&name))).collect();
            if !told.is_empty() {
                entry.dataset += &format!(" ({})", told.join(", "));
            }
        }
    }
}

/// Whether the stage or one of its ancestors failed when it last took part in a run.
fn has_failed(session: &Session, stage: &Stage) -> bool {
    let history = session.history().borrow();
    history.stages.get(&stage.name).is_some_and(|last| matches!(last.outcome, Outcome::Failed | Outcome::Skipped))
}

/// The current results of an evaluation.
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

/// A row of a comparison: a training, with its last and best network; its teacher; or a file.
#[derive(Default)]
struct Compared<'p> {
    training: Option<StageId>,
    /// Its name: of a member of a sweep, its family, as its parameters identify it.
    name: String,
    /// The names under which its numbers are found.
    last: Option<&'p str>,
    best: Option<&'p str>,
}

impl Compared<'_> {
    fn measured(&self, metrics: &Metrics, images: &[ImageScore]) -> Measurement {
        let of = |name: Option<&str>| metrics.get(name?).cloned();
        let name = self.last.or(self.best);
        let miou = |score: &ImageScore| Some((score.image.clone(), score.miou(name?)?));
        let pixels = |score: &ImageScore| Some((score.image.clone(), score.pixels(name?)?));
        Measurement {
            last: of(self.last),
            best: of(self.best),
            images: images.iter().filter_map(miou).collect(),
            pixels: images.iter().filter_map(pixels).collect(),
        }
    }
}

fn compared<'p>(pipeline: &'p Pipeline, evaluation: &'p Stage) -> Vec<Compared<'p>> {
    let mut rows: Vec<Compared<'p>> = Vec::new();
    for network in pipeline.measured_by(evaluation) {
        let training = network.training();
        let of_training = training.map(|training| network.which.row(&pipeline.stage(training).family));
        let is_known = |row: &Compared<'_>| row.training == training && Some(&row.name) == of_training.as_ref();
        let place = rows.iter().position(is_known).unwrap_or_else(|| {
            let name = of_training.unwrap_or_else(|| network.name.to_owned());
            rows.push(Compared { training, name, ..Compared::default() });
            rows.len() - 1
        });
        let into = if network.is_chosen() { &mut rows[place].best } else { &mut rows[place].last };
        *into = Some(network.name);
    }
    rows
}

/// All parameters of a training and its ancestors, in the order in which the stages run.
pub fn lineage(session: &Session, training: StageId) -> Vec<(String, String)> {
    let pipeline = &session.pipeline;
    let mut lineage: Vec<(String, String)> = Vec::new();
    let mut datasets: Vec<DatasetId> = Vec::new();
    for id in session.graph.ancestors(&[training]) {
        let stage = pipeline.stage(id);
        let mut note = |key: &str, value: String| lineage.push((format!("{}.{key}", stage.family), value));
        if stage.kind.runs == Runs::Command && !stage.coordinates.is_empty() {
            // The text of its command differs only in these, and says less.
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

pub(super) fn shown(value: &Value) -> String {
    value.as_text().map_or_else(|| value.to_string(), str::to_owned)
}

/// How data sets of one name can differ between pipelines.
pub(super) fn facts(dataset: &Dataset) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut note = |key: &str, value: String| facts.push((format!("{}.{key}", dataset.name), value));
    match &dataset.format {
        Format::Folder { root, list, .. } => {
            note("root", root.display().to_string());
            list.iter().for_each(|list| note("list", list.display().to_string()));
        }
        Format::Published { root, selection, list, .. } => {
            note("root", root.display().to_string());
            note("part", selection.part.clone());
            if !selection.subsets.is_empty() {
                note("subsets", selection.subsets.join(", "));
            }
            if !selection.labels.is_empty() {
                note("labels", selection.labels.clone());
            }
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
    if !dataset.scaling.is_usual() {
        let Scaling { fit, resize } = dataset.scaling;
        note("fit", format!("{fit:?}").to_lowercase());
        note("resize", format!("{resize:?}").to_lowercase());
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline;

    #[test]
    fn data_sets_of_one_name_are_told_apart_by_what_differs() {
        let dir = tempfile::tempdir().unwrap();
        let load = |name: &str, te: &str| {
            let file = dir.path().join(name);
            let scenes = |name: &str, rest: &str| {
                format!("[datasets.{name}]\nformat = \"scenes\"\nstyle = \"target\"\nsize = [64, 48]\n{rest}\n")
            };
            let text = format!(
                "format = 1\n[pipeline]\nclasses = \"scenes-8\"\n[models.m]\narch = \"small\"\n{}{}[stages.e]\n\
                 kind = \"evaluation\"\nmodel = \"m\"\ndataset = \"te\"\nweights = \"w.safetensors\"\n",
                scenes("te", te),
                scenes("other", "seed = 1\ncount = 2"),
            );
            std::fs::write(&file, text).unwrap();
            pipeline::load(&file, &[]).unwrap_or_else(|problems| panic!("{problems}"))
        };
        let [a, b] = [load("a.toml", "seed = 4\ncount = 12"), load("b.toml", "seed = 7\ncount = 12")];
        let entry = |pipeline: &Pipeline, dataset: &str| Entry {
            pipeline: pipeline.name.clone(),
            evaluation: "e".to_owned(),
            member: "e".to_owned(),
            dataset: dataset.to_owned(),
            weights: "w".to_owned(),
            parameters: Vec::new(),
            state: State::NotRun,
            seconds: None,
        };
        let entries = |pipeline: &Pipeline| ["te", "other"].map(|dataset| entry(pipeline, dataset)).to_vec();
        let mut both = [(&a, entries(&a)), (&b, entries(&b))];
        tell_apart(&mut both);
        let names = both.map(|(_, entries)| entries.into_iter().map(|entry| entry.dataset).collect::<Vec<_>>());
        assert_eq!(names, [["te (seed 4)", "other"], ["te (seed 7)", "other"]]);
    }
}
