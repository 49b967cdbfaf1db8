//! From the tables as typed to a [`Pipeline`]: the order in which the sections are read, and the checks that span them.
//!
//! Knows no single key; what one table may say is checked where it is read.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::datasets::read_datasets;
use super::header::{Header, read_header};
use super::models::{Model, read_models};
use super::problem::Problem;
use super::raw::Table;
use super::read::Reader;
use super::resolve::{Names, Resolver};
use super::sections::check_format;
use super::source::{Sources, Span};
use super::stages::{StageTable, StageTables, read_stages};
use super::value::Value;
use super::{Dataset, DatasetId, Format, Pipeline, Stage};
use crate::kind::Runs;
use crate::kind::classes::{self, SCENES};

/// Reads everything, reports everything, and answers what could be understood.
pub(super) fn check(
    table: &Table,
    file: &Path,
    root: &Path,
    sources: &Sources,
    problems: &mut Vec<Problem>,
) -> Pipeline {
    let mut reader = Reader { sources, problems };
    check_format(&mut reader, table);
    let header = read_header(&mut reader, table, file);
    let datasets = read_datasets(&mut reader, table, root);
    let models = read_models(&mut reader, table);
    let read = read_stages(&mut reader, table, root, &header);

    let (datasets, mut dataset_list) = known(datasets, DatasetId::at);
    let (models, model_list) = known(models, |index| index);
    note_producers(&mut dataset_list, &read);
    let named = ((datasets, &*dataset_list), (models, &*model_list));
    let (stages, [used_datasets, used_models]) = resolve(root, header.seed, &read, named, problems);
    once_each(problems);

    check_own_file(file, root, &stages, problems);
    let first_of_worker = stages.iter().find(|stage| stage.kind.runs == Runs::Worker);
    check_classes(&header, &dataset_list, first_of_worker.map(|stage| stage.span), problems);
    check_maps(&header, &dataset_list, problems);
    check_rare(&header, &read.stages, problems);
    check_threads(&header, problems);
    let datasets_used = dataset_list.iter().map(|it| ("data set", &it.name, it.span)).zip(used_datasets);
    let models_used = model_list.iter().map(|it| ("model", &it.name, it.span)).zip(used_models);
    check_used(datasets_used.chain(models_used), problems);
    let Header { name, seed, device, device_span, threads, instruction_set, resources, classes, .. } = header;
    Pipeline {
        file: file.to_owned(),
        root: root.to_owned(),
        name,
        seed,
        device,
        device_span,
        threads,
        instruction_set: instruction_set.map(|(set, _)| set),
        resources,
        classes,
        datasets: dataset_list,
        stages,
        warnings: Vec::new(),
        sources: sources.clone(),
    }
}

/// Names and what they are the names of.
type Named<'a, T, Id> = (Names<Id>, &'a [T]);

/// Every stage, and which data sets and which models they use.
fn resolve(
    root: &Path,
    seed: u64,
    read: &StageTables,
    (datasets, models): (Named<'_, Dataset, DatasetId>, Named<'_, Model, usize>),
    problems: &mut Vec<Problem>,
) -> (Vec<Stage>, [Vec<bool>; 2]) {
    let ((datasets, dataset_list), (models, model_list)) = (datasets, models);
    let mut resolver = Resolver {
        root,
        seed,
        tables: &read.stages,
        sweeps: &read.sweeps,
        families: families(read),
        used_datasets: vec![false; dataset_list.len()],
        used_models: vec![false; model_list.len()],
        datasets,
        models,
        dataset_list,
        model_list,
        writers: &read.writers,
        problems: Vec::new(),
        unknown: HashSet::new(),
    };
    let stages = (0..read.stages.len()).map(|place| resolver.stage(place)).collect();
    problems.extend(resolver.problems);
    (stages, [resolver.used_datasets, resolver.used_models])
}

/// Notes of each data set which stages write its files.
fn note_producers(datasets: &mut [Dataset], read: &StageTables) {
    for dataset in datasets {
        dataset.producers = dataset.paths().iter().flat_map(|path| read.writers.touching(path)).collect();
        dataset.producers.sort_unstable();
        dataset.producers.dedup();
    }
}

/// The names under which stages stand in the file. Those without a number can't be read and have been reported.
fn families(read: &StageTables) -> Names<usize> {
    let named = read.sweeps.families.iter().enumerate().map(|(place, family)| {
        // A family without members has been reported as well.
        (family.name.clone(), read.sweeps.all_of(place).next().map(|_| place))
    });
    named.chain(read.unreadable.iter().map(|name| (name.clone(), None))).collect()
}

/// What several members of a sweep do wrong alike is one mistake.
fn once_each(problems: &mut Vec<Problem>) {
    let mut told = HashSet::new();
    problems.retain(|problem| {
        let places: Vec<Span> = problem.labels.iter().map(|label| label.span).collect();
        told.insert((problem.title.clone(), places))
    });
}

/// Labels that no value would be a class of are told once they are read; a class that isn't there needs no reading.
fn check_maps(header: &Header, datasets: &[Dataset], problems: &mut Vec<Problem>) {
    let count = header.classes.len();
    for dataset in datasets.iter().filter(|_| count > 0) {
        let is_wrong = |(_, to): &&(u8, u8)| *to != u8::MAX && usize::from(*to) >= count;
        if let Some((from, to)) = dataset.map.iter().find(is_wrong) {
            let title = format!("`map` of `{}` makes value {from} the class {to}, and there is none", dataset.name);
            let help = format!("the classes are 0 to {}, and 255 is ignored", count - 1);
            problems.push(Problem::error(title).at(dataset.span, "this data set").help(help));
        }
    }
}

/// A ranking that favours rare classes needs some, and is only reached after a training.
fn check_rare(header: &Header, stages: &[StageTable], problems: &mut Vec<Problem>) {
    if header.classes.is_empty() || header.classes.iter().any(|class| class.rare) {
        return;
    }
    for stage in stages {
        let normalize = stage.values.value("normalize").filter(|value| value.as_text() != Some("none"));
        if let Some(normalize) = normalize.as_ref().and_then(Value::as_text) {
            let title = format!("`normalize = \"{normalize}\"` needs classes that are rare, and none is");
            let problem = Problem::error(title).at(stage.values.span("normalize"), "");
            problems.push(problem.help("`rare = true` in the [[classes]] that are, or `normalize = \"none\"`"));
        }
    }
    once_each(problems);
}

/// Who asks for the same instructions everywhere wants the same bytes, and these take the same number of threads as well.
fn check_threads(header: &Header, problems: &mut Vec<Problem>) {
    if let (Some((set, span)), None) = (header.instruction_set, header.threads) {
        let title = "`instruction_set` without `threads`: results still differ with the number of cores of a machine";
        let problem = Problem::warning(title).at(span, format!("holds stages to {} alone", set.name));
        problems.push(problem.help("in [pipeline]: `threads = 1`, or as many as every machine has"));
    }
}

/// A command's earlier outputs are replaced when it runs: the pipeline file must not be among them.
fn check_own_file(file: &Path, root: &Path, stages: &[Stage], problems: &mut Vec<Problem>) {
    let Ok(file) = std::path::absolute(file) else { return };
    let outputs = stages.iter().flat_map(|stage| &stage.outputs);
    // Where the file is a link, what it leads to is no output either.
    let real = std::fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
    let holds = |path: &Path| file.starts_with(path) || real.starts_with(path);
    for output in outputs.filter(|output| holds(&root.join(&output.path))) {
        let title = format!("`{}` can't be an output: it is, or holds, this pipeline file", output.name);
        problems.push(Problem::error(title).at(output.span, ""));
    }
}

/// Splits what was read into its names and the list of those that are right.
fn known<T, Id>(read: Vec<(String, Option<T>)>, id: impl Fn(usize) -> Id) -> (HashMap<String, Option<Id>>, Vec<T>) {
    let mut names = HashMap::new();
    let mut list = Vec::new();
    for (name, value) in read {
        names.insert(name, value.is_some().then(|| id(list.len())));
        list.extend(value);
    }
    (names, list)
}

/// What nobody uses is probably named wrongly somewhere. Where a stage couldn't be read, it may have used it.
fn check_used<'a>(things: impl Iterator<Item = ((&'static str, &'a String, Span), bool)>, problems: &mut Vec<Problem>) {
    if problems.iter().any(Problem::is_error) {
        return;
    }
    for ((what, name, span), used) in things {
        if !used {
            problems.push(Problem::warning(format!("no stage uses the {what} `{name}`")).at(span, ""));
        }
    }
}

/// Classes are needed by every stage that isn't a command, and the scenes are drawn with classes of their own.
fn check_classes(header: &Header, datasets: &[Dataset], worker: Option<Span>, problems: &mut Vec<Problem>) {
    if let (false, Some(span)) = (header.has_classes, worker) {
        let problem =
            Problem::error("the pipeline doesn't say which classes there are").at(span, "this stage needs them");
        problems.push(problem.help(format!("in [pipeline]: classes = \"…\" ({})", classes::NAMES.join(", "))));
    }
    let drawn = classes::find(SCENES).map_or(0, |set| set.classes.len());
    let is_scenes = |dataset: &&Dataset| matches!(dataset.format, Format::Scenes { .. });
    if let (false, Some(scenes)) = (header.classes.is_empty(), datasets.iter().find(is_scenes))
        && header.classes.len() != drawn
    {
        let title = format!(
            "scenes are drawn with the {drawn} classes of `{SCENES}`, this pipeline has {}",
            header.classes.len()
        );
        problems.push(Problem::error(title).at(scenes.span, "").help(format!("in [pipeline]: classes = \"{SCENES}\"")));
    }
}
