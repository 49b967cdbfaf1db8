//! The result tables of a run: one per evaluation, with last and best, and the change since the run before.
//!
//! Reads outputs from the cache, as another run may have replaced the files in the workspace. Formats no numbers:
//! `results::metrics` does, and adds the remarks.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::digest::{FileDigest, Key};
use crate::kind::OutputRole;
use crate::kind::choosing::Score;
use crate::kind::training::CHOOSE_BY;
use crate::label::sample::{self, Measured};
use crate::pipeline::{DatasetId, MeasuredNetwork, Pipeline, Stage, StageId, Value, Which};
use crate::results::image::{ImageScore, scores};
use crate::results::metrics::{self, Best, Metrics, Row, Step};
use crate::results::story::{self, Origin};
use crate::sched::Ended;
use crate::sched::session::Session;
use intrada_statistics::evidence::{ByImage, Difference, Pair};

/// The results of each evaluation before the run.
pub(super) type Before = HashMap<StageId, Earlier>;

/// An evaluation's metrics, and the key that it had.
#[derive(Clone, Copy)]
pub(super) struct Earlier {
    metrics: FileDigest,
    key: Key,
}

/// Looks up the metrics of the evaluations among `stages` from their last run in this workspace.
pub(super) fn before(session: &Session, stages: &[StageId]) -> Before {
    let metrics = |id: &StageId| {
        let stage = session.pipeline.stage(*id);
        let output = &stage.outputs[place(stage, OutputRole::Metrics)?];
        let record = session.index.stages.get(&session.record_name(stage))?;
        let placed = record.outputs.iter().find(|placed| placed.path == output.path)?;
        Some((*id, Earlier { metrics: placed.artifact.object, key: record.key }))
    };
    stages.iter().filter_map(metrics).collect()
}

/// A table for each evaluation among `stages`, with remarks.
pub(super) fn tables(session: &Session, stages: &[StageId], ended: &Ended, before: &Before) -> Vec<String> {
    stages.iter().filter_map(|id| Found { session, ended }.table(*id, before.get(id).copied())).collect()
}

/// Whether `stages` holds several evaluations of one sweep, which `compare` shows in one table.
pub(super) fn are_comparable(session: &Session, stages: &[StageId]) -> bool {
    let evaluations = stages.iter().map(|id| session.pipeline.stage(*id));
    let mut families: Vec<&str> = evaluations
        .filter(|stage| place(stage, OutputRole::Metrics).is_some() && !stage.coordinates.is_empty())
        .map(|stage| stage.family.as_str())
        .collect();
    families.sort_unstable();
    families.windows(2).any(|pair| pair[0] == pair[1])
}

/// The results of a run.
struct Found<'a> {
    session: &'a Session,
    ended: &'a Ended,
}

impl Found<'_> {
    fn table(&self, id: StageId, before: Option<Earlier>) -> Option<String> {
        let stage = self.session.pipeline.stage(id);
        let metrics: Metrics = self.metrics(self.object(id, OutputRole::Metrics)?)?;
        let pipeline = &self.session.pipeline;
        let dataset = pipeline.dataset_of(stage);
        let networks: Vec<MeasuredNetwork<'_>> =
            pipeline.measured_by(stage).filter(|network| metrics.contains_key(network.name)).collect();
        if networks.is_empty() {
            // The metrics hold none of these networks.
            return None;
        }
        let weights: Vec<String> = networks.iter().map(|network| network.name.to_owned()).collect();
        let classes: Vec<String> = pipeline.classes.iter().map(|class| class.name.clone()).collect();
        let named = dataset.map_or("", |dataset| &pipeline.dataset(dataset).name);
        let table = metrics::table(&stage.name, named, &weights, &classes, &metrics);
        let before = before.filter(|earlier| self.is_on_the_same_images(id, earlier.key));
        let before = before.and_then(|earlier| self.metrics(earlier.metrics)).unwrap_or_default();
        let rows = self.rows(dataset, &networks, &metrics, &before);
        let steps = self.steps(id, &networks, &metrics);
        let summary = metrics::summary(named, &rows, &steps, self.is_one_seed(&networks));
        let estimate = self.estimate(id, dataset, &networks, &metrics);
        Some(table + &chosen(pipeline, stage) + &self.supervised(&networks) + &summary + &estimate)
    }

    /// Whether an evaluation measures what it measured under an earlier key: a difference of numbers on other images is none of the
    /// networks.
    fn is_on_the_same_images(&self, id: StageId, earlier: Key) -> bool {
        let images = |key: Key| {
            let manifest = self.session.store.here(key)?.manifest;
            manifest["inputs"]["dataset"]["digest"].as_str().map(str::to_owned)
        };
        let record = self.session.index.stages.get(&self.session.record_name(self.session.pipeline.stage(id)));
        record.is_some_and(|record| images(earlier).is_some_and(|before| images(record.key) == Some(before)))
    }

    /// What results on images that `label` has chosen say about all images of their data set; empty for other data sets.
    fn estimate(
        &self,
        id: StageId,
        dataset: Option<DatasetId>,
        networks: &[MeasuredNetwork<'_>],
        metrics: &Metrics,
    ) -> String {
        let pipeline = &self.session.pipeline;
        let Some(dataset) = dataset else { return String::new() };
        let Some(sample) = sample::of(&pipeline.root, pipeline.dataset(dataset)) else { return String::new() };
        let lines = self.lines(id);
        let has_learnt = |network: &MeasuredNetwork<'_>| {
            let came_from = self.origin(network, None).came_from;
            pipeline.has_learnt_from(&came_from, network.chosen_on, dataset)
        };
        let pixels: Vec<ByImage> = networks.iter().map(|network| pixels_of(&lines, network)).collect();
        let measured = networks.iter().zip(&pixels).filter_map(|(network, pixels)| {
            let miou = metrics.get(network.name)?.miou?;
            Some(Measured { name: network.name, miou, pixels, has_learnt: has_learnt(network) })
        });
        sample.told(&measured.collect::<Vec<_>>())
    }

    /// What an evaluation knows of each image.
    fn lines(&self, id: StageId) -> Vec<ImageScore> {
        let table = self.object(id, OutputRole::ImageScores).and_then(|object| self.session.store.read(object).ok()?);
        scores(&String::from_utf8_lossy(&table.unwrap_or_default())).collect()
    }

    fn origin(&self, network: &MeasuredNetwork<'_>, dataset: Option<DatasetId>) -> Origin {
        Origin::of(&self.session.pipeline, &self.session.graph, network, dataset)
    }

    /// What each step of the adaptation gave on these images.
    fn steps(&self, id: StageId, networks: &[MeasuredNetwork<'_>], metrics: &Metrics) -> Vec<Step> {
        let lines = self.lines(id);
        let dataset = self.session.pipeline.dataset_of(self.session.pipeline.stage(id));
        let origins: Vec<Origin> = networks.iter().map(|network| self.origin(network, dataset)).collect();
        let mut pairs: Vec<[usize; 2]> = story::steps(&origins).windows(2).map(|pair| [pair[0], pair[1]]).collect();
        if pairs.is_empty() {
            pairs = beside_source_only(&origins);
        }
        let told: BTreeSet<usize> = pairs.iter().copied().flatten().collect();
        let pixels: BTreeMap<usize, ByImage> =
            told.into_iter().map(|at| (at, pixels_of(&lines, &networks[at]))).collect();
        let network = |at: usize| Some((metrics.get(networks[at].name)?.miou?, &pixels[&at]));
        let step = |[from, to]: [usize; 2]| {
            let difference = Difference::of(&[Pair { base: network(from)?, own: network(to)? }])?;
            let [from, to] = [from, to].map(|at| networks[at].name.to_owned());
            Some(Step { from, to, difference })
        };
        pairs.into_iter().filter_map(step).collect()
    }

    /// A row per training, of its last and its best network, and a row per teacher and per network chosen without labels.
    fn rows(
        &self,
        dataset: Option<DatasetId>,
        networks: &[MeasuredNetwork<'_>],
        metrics: &Metrics,
        before: &Metrics,
    ) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for network in networks {
            let of = |metrics: &Metrics| metrics.get(network.name).and_then(|measured| measured.miou);
            let training = network.training();
            let of_training = |training| network.which.row(&self.session.pipeline.stage(training).name);
            let title = training.map_or_else(|| network.name.to_owned(), of_training);
            let best = training.filter(|_| network.which.shares_row());
            let best = best.and_then(|training| self.best(training, dataset));
            let place = rows.iter().position(|row| row.name == title).unwrap_or_else(|| {
                rows.push(Row { name: title.clone(), best, ..Row::default() });
                rows.len() - 1
            });
            if network.is_chosen() {
                // Measured by this evaluation, on the same images as the other numbers.
                rows[place].best = of(metrics).map(|miou| Best { miou, iteration: best.and_then(|b| b.iteration) });
            } else {
                (rows[place].last, rows[place].before) = (of(metrics), of(before));
            }
        }
        rows
    }

    /// The best evaluation within a training, if it was on the same data set.
    fn best(&self, training: StageId, on: Option<DatasetId>) -> Option<Best> {
        let pipeline = &self.session.pipeline;
        pipeline.dataset_of(pipeline.stage(training)).filter(|dataset| Some(*dataset) == on)?;
        let bytes = self.session.store.read(self.object(training, OutputRole::Evaluations)?).ok()??;
        metrics::best_of(&String::from_utf8(bytes).ok()?)
    }

    /// Which of the networks come from trainings on labels of the target, themselves or by their ancestors.
    fn supervised(&self, networks: &[MeasuredNetwork<'_>]) -> String {
        let line = |network: &MeasuredNetwork<'_>| {
            let ancestors = self.session.graph.ancestors(&[network.training()?]);
            let sets = self.session.pipeline.target_labels(&ancestors);
            (!sets.is_empty())
                .then(|| format!("  {} has learnt from target labels of {}\n", network.name, sets.join(", ")))
        };
        networks.iter().filter_map(line).collect()
    }

    /// Whether there are several trainings and no two of one kind have different seeds.
    fn is_one_seed(&self, networks: &[MeasuredNetwork<'_>]) -> bool {
        let trainings = networks.iter().filter_map(|network| Some(self.session.pipeline.stage(network.training()?)));
        let trainings: Vec<&Stage> = trainings.collect();
        let is_any = |part: &dyn Fn(&Stage, &Stage) -> bool| {
            trainings.iter().any(|one| trainings.iter().any(|other| part(one, other)))
        };
        let differ = |one: &Stage, other: &Stage| one.parameter("seed") != other.parameter("seed");
        is_any(&|one, other| one.name != other.name)
            && !is_any(&|one, other| one.kind.name == other.kind.name && differ(one, other))
    }

    fn metrics(&self, object: FileDigest) -> Option<Metrics> {
        serde_json::from_slice(&self.session.store.read(object).ok()??).ok()
    }

    fn object(&self, id: StageId, role: OutputRole) -> Option<FileDigest> {
        let place = place(self.session.pipeline.stage(id), role)?;
        self.ended.artifacts.get(&id)?.get(place).map(|artifact| artifact.object)
    }
}

/// Source-only with each adapted network, by their places, where an evaluation measures no last network of an adaptation: a story
/// is of networks of one sort, but what a best or a chosen one gained is asked all the same.
fn beside_source_only(networks: &[Origin]) -> Vec<[usize; 2]> {
    let is_adapted = |network: &Origin| {
        network.training.is_some() && !network.is_source_only && !network.is_supervised && !network.has_learnt_these
    };
    let Some(base) = networks.iter().position(Origin::is_baseline) else { return Vec::new() };
    (0..networks.len()).filter(|at| is_adapted(&networks[*at])).map(|at| [base, at]).collect()
}

/// A network's pixels by image.
fn pixels_of(lines: &[ImageScore], network: &MeasuredNetwork<'_>) -> ByImage {
    let line = |line: &ImageScore| Some((line.image.clone(), line.pixels(network.name)?));
    lines.iter().filter_map(line).collect()
}

fn place(stage: &Stage, role: OutputRole) -> Option<usize> {
    stage.outputs.iter().position(|output| output.role == role)
}

/// Says how each network was chosen that isn't the last: the number of one that labels have chosen isn't that of a method without
/// labels.
fn chosen(pipeline: &Pipeline, stage: &Stage) -> String {
    let line = |network: MeasuredNetwork<'_>| {
        let name = network.name;
        if network.which == Which::Chosen {
            let training = pipeline.stage(network.training()?);
            let dataset = &pipeline.dataset(pipeline.scored_on(training)?).name;
            let score = training.parameter(CHOOSE_BY).and_then(Value::as_text).and_then(Score::find)?.words();
            return Some(format!("  {name} was chosen by its {score} on {dataset}: without labels\n"));
        }
        let dataset = &pipeline.dataset(network.chosen_on?).name;
        Some(format!("  {name} was chosen by its mIoU on {dataset}: with labels\n"))
    };
    pipeline.measured_by(stage).filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_best_and_a_chosen_network_are_told_beside_source_only_where_no_last_one_is() {
        let of = |stage: u32, which: Which| {
            let training = Some(StageId(stage));
            Origin { training, which, is_chosen: which == Which::Best, is_source_only: stage == 0, ..Origin::default() }
        };
        let [source_only, best, chosen] = [of(0, Which::Last), of(1, Which::Best), of(1, Which::Chosen)];
        let taught = Origin { has_learnt_these: true, is_supervised: true, ..of(2, Which::Last) };
        let networks = [source_only, best.clone(), chosen, taught];
        assert_eq!(beside_source_only(&networks), [[0, 1], [0, 2]]);
        assert!(beside_source_only(&[best]).is_empty(), "without a baseline there is no difference");
    }
}
