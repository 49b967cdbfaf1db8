//! Checks of a pipeline's inputs: its data sets, counted and sampled, and the files that it names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Check, State};
use crate::dataset::labels;
use crate::dataset::survey::SAMPLED;
use crate::inputs::{self, Inputs};
use crate::kind::Runs;
use crate::measures::{count, pixels, plural, size};
use crate::pipeline::{Dataset, DatasetId, Format, InputSource, OutputId, Pipeline, Problem, Span, StageId};
use crate::plain;
use crate::plan::found::Surveyor;
use crate::plan::sources::Sampled;
use crate::plan::weights::{self, Tried};

/// Checks everything that exists before the first stage runs.
pub(super) fn checks(pipeline: &Pipeline, cache: &Path, all_labels: bool) -> Vec<Check> {
    let inputs = Inputs::new(&pipeline.root, cache, Default::default());
    let surveyor = Surveyor { pipeline, inputs: &inputs };
    let most = (!all_labels).then_some(SAMPLED);
    let mut checks: Vec<Check> = (0..pipeline.datasets.len())
        .map(DatasetId::at)
        .map(|id| {
            let dataset = pipeline.dataset(id);
            if let Some(writers) = writers(pipeline, &dataset.producers) {
                return Check::new(State::Good, &dataset.name, format!("written by {writers}; checked after that"));
            }
            let (readers, labels) = readers(pipeline, id);
            let check = of_dataset(dataset, surveyor.sample(id, labels, &readers, most));
            if readers.is_empty() { unused(check) } else { check }
        })
        .collect();
    checks.extend(files(pipeline));
    checks.extend(weights(pipeline));
    checks
}

/// The weight files, read as their stages would read them.
fn weights(pipeline: &Pipeline) -> Vec<Check> {
    let Tried { problems, files } = weights::examined(pipeline);
    if problems.is_empty() && files > 0 {
        let what = plural(files, "weight file");
        return vec![Check::new(State::Good, what, "loaded into the networks of the stages that name them")];
    }
    let check = |problem: Problem| {
        let state = if problem.is_error() { State::Failure } else { State::Warning };
        let (line, column) = pipeline.sources.position(problem.span());
        let file = &pipeline.sources.of(problem.span()).name;
        let mut check = Check::new(state, "weights", problem.title);
        check.notes.push(format!("named at {file}:{line}:{column}"));
        check.notes.extend(problem.notes);
        check.help = problem.help;
        check
    };
    problems.into_iter().map(check).collect()
}

/// The stages that write a data set's folders, if any.
fn writers(pipeline: &Pipeline, producers: &[OutputId]) -> Option<String> {
    let mut names: Vec<&str> = producers.iter().map(|output| pipeline.stage(output.stage).name.as_str()).collect();
    names.dedup();
    (!names.is_empty()).then(|| names.join(", "))
}

/// The stages that read a data set, with the span of each, and whether one of them reads its labels.
fn readers(pipeline: &Pipeline, id: DatasetId) -> (Vec<(StageId, Span)>, bool) {
    let (mut readers, mut reads_labels) = (Vec::new(), false);
    for stage in pipeline.stage_ids() {
        for input in &pipeline.stage(stage).inputs {
            if let InputSource::Dataset { dataset, labels } = input.from
                && dataset == id
            {
                readers.push((stage, input.span));
                reads_labels |= labels;
            }
        }
    }
    (readers, reads_labels)
}

/// A data set that no stage reads can't fail a run.
fn unused(mut check: Check) -> Check {
    check.state = State::Good;
    check.found = format!("no stage uses it; {}", check.found);
    check
}

fn of_dataset(dataset: &Dataset, sampled: Sampled) -> Check {
    let worst = sampled.problems.iter().map(|problem| if problem.is_error() { State::Failure } else { State::Warning });
    let mut check = Check::new(worst.max().unwrap_or(State::Good), &dataset.name, counted(dataset, &sampled));
    for problem in sampled.problems {
        if check.found.is_empty() {
            check.found = problem.title;
        } else {
            check.notes.push(problem.title);
        }
        let own = problem.notes.into_iter().filter(|line| !check.notes.contains(line)).collect::<Vec<_>>();
        check.notes.extend(own);
        let own = problem.help.into_iter().filter(|line| !check.help.contains(line)).collect::<Vec<_>>();
        check.help.extend(own);
    }
    check
}

/// "1,200 images, 1,198 labels, 200 of them read: values 0 1 2 255, 1280 × 720"; empty if it can't be listed.
fn counted(dataset: &Dataset, sampled: &Sampled) -> String {
    if sampled.images == 0 {
        return String::new();
    }
    let mut parts = vec![plural(sampled.images, "image")];
    match sampled.labelled {
        None if matches!(dataset.format, Format::Scenes { .. }) => parts.push("generated on demand".to_owned()),
        None => parts.push("no labels needed".to_owned()),
        Some(labels) => {
            parts.push(plural(labels, "label"));
            if !sampled.values.is_empty() {
                let of = if sampled.read < labels {
                    format!("{} of them read: ", count(sampled.read as u64))
                } else {
                    String::new()
                };
                parts.push(format!("{of}values {}", labels::listed(&sampled.values)));
            }
        }
    }
    parts.extend(sampled.size.map(pixels));
    parts.join(", ")
}

/// Files and folders that stages read and no stage writes: weights, the inputs of commands.
fn files(pipeline: &Pipeline) -> Vec<Check> {
    let mut named: BTreeMap<&PathBuf, (Vec<&str>, bool)> = BTreeMap::new();
    for stage in &pipeline.stages {
        for input in &stage.inputs {
            if let InputSource::Path { path, producers } = &input.from
                && producers.is_empty()
            {
                let (readers, is_for_worker) = named.entry(path).or_default();
                readers.push(&stage.name);
                *is_for_worker |= stage.kind.runs == Runs::Worker;
            }
        }
    }
    let (mut checks, mut found, mut bytes) = (Vec::new(), 0, 0);
    for (path, (mut readers, is_for_worker)) in named {
        match look(&pipeline.root, path, is_for_worker) {
            Ok(size) => (found, bytes) = (found + 1, bytes + size),
            Err(reason) => {
                readers.dedup();
                let mut check = Check::new(State::Failure, "input", reason);
                check.notes.push(format!("read by {}", readers.join(", ")));
                checks.push(check);
            }
        }
    }
    if found > 0 {
        let what = plural(found, "other input");
        checks.push(Check::new(State::Good, what, format!("found, {} in files", size(bytes))));
    }
    checks
}

/// The size of a file, 0 for a folder; or why it can't be read.
fn look(root: &Path, path: &Path, is_for_worker: bool) -> Result<u64, String> {
    let place = root.join(path);
    if !place.exists() {
        return Err(inputs::missing(root, path).to_string());
    }
    let refused = |error: std::io::Error| format!("`{}` can't be read: {error}", path.display());
    if place.is_dir() {
        return fs::read_dir(&place).map(|_| 0).map_err(refused);
    }
    let size = plain::open(&place).and_then(|file| file.metadata()).map_err(refused)?.len();
    if is_for_worker && size == 0 { Err(format!("`{}` is empty", path.display())) } else { Ok(size) }
}
