//! Builds a [`Pipeline`] from the raw tables: reads the sections in order and runs the checks across them.
//!
//! Knows no single key; each table is checked where it is read.

use std::collections::HashSet;
use std::path::Path;
use std::sync::OnceLock;

use super::datasets::read_datasets;
use super::header::{Header, read_header};
use super::models::{Model, read_models};
use super::names::{Names, known};
use super::problem::Problem;
use super::raw::Table;
use super::read::Reader;
use super::resolve::Resolver;
use super::sections::check_format;
use super::source::{Sources, Span};
use super::stages::{StageTable, StageTables, read_stages};
use super::value::Value;
use super::{Dataset, DatasetId, Format, Pipeline, Stage};
use crate::by_name;
use crate::kind::Runs;
use crate::kind::classes::{self, SCENES};

/// Reads everything, reports all errors, and returns the valid parts.
pub(super) fn check(
    table: &Table,
    file: &Path,
    root: &Path,
    sources: &Sources,
    problems: &mut Vec<Problem>,
) -> Pipeline {
    let mut reader = Reader { sources, problems };
    check_format(&mut reader, table);
    let header = read_header(&mut reader, table, file, root);
    let datasets = read_datasets(&mut reader, table, root, &header.classes);
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
    check_precision(&header, &read.stages, problems);
    check_seeds(&header, &read.stages, &stages, problems);
    let datasets_used = dataset_list.iter().map(|it| ("data set", &it.name, it.span)).zip(used_datasets);
    let models_used = model_list.iter().map(|it| ("model", &it.name, it.span)).zip(used_models);
    check_used(datasets_used.chain(models_used), problems);
    let Header {
        name,
        about,
        seed,
        device,
        device_span,
        threads,
        instruction_set,
        resources,
        executors,
        cache,
        classes,
        ..
    } = header;
    Pipeline {
        file: file.to_owned(),
        root: root.to_owned(),
        name,
        about,
        seed,
        device,
        device_span,
        threads,
        instruction_set: instruction_set.map(|(set, _)| set),
        resources,
        executors: executors.list,
        upstreams: cache.upstreams,
        signing: cache.signing,
        classes,
        datasets: dataset_list,
        stages,
        warnings: Vec::new(),
        sources: sources.clone(),
        domains: OnceLock::new(),
        by_name: OnceLock::new(),
    }
}

/// Names and what they refer to.
type Named<'a, T, Id> = (Names<Id>, &'a [T]);

/// All stages, and the data sets and models that they use.
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

/// Records for each data set which stages write its files.
fn note_producers(datasets: &mut [Dataset], read: &StageTables) {
    for dataset in datasets {
        dataset.producers = dataset.paths().iter().flat_map(|path| read.writers.touching(path)).collect();
        dataset.producers.sort_unstable();
        dataset.producers.dedup();
    }
}

/// The names of the stages in the file. Those without a number are invalid and have been reported.
fn families(read: &StageTables) -> Names<usize> {
    let named = read.sweeps.families.iter().enumerate().map(|(place, family)| {
        // A family without members has been reported too.
        (family.name.clone(), read.sweeps.all_of(place).next().map(|_| place))
    });
    named.chain(read.unreadable.iter().map(|name| (name.clone(), None))).collect()
}

/// Merges equal errors of several members of a sweep.
fn once_each(problems: &mut Vec<Problem>) {
    let mut told = HashSet::new();
    problems.retain(|problem| {
        let places: Vec<Span> = problem.labels.iter().map(|label| label.span).collect();
        told.insert((problem.title.clone(), places))
    });
}

/// Reports `map` targets that are not a class. (Labels without any class value are reported when they are read.)
fn check_maps(header: &Header, datasets: &[Dataset], problems: &mut Vec<Problem>) {
    let count = header.classes.len();
    for dataset in datasets.iter().filter(|_| count > 0) {
        let is_wrong = |(_, to): &&(u8, u8)| *to != u8::MAX && usize::from(*to) >= count;
        if let Some((from, to)) = dataset.map.iter().find(is_wrong) {
            let title = format!("`map` of `{}` maps value {from} to class {to}, which doesn't exist", dataset.name);
            let help = format!("the classes are 0 to {}, and 255 is ignored", count - 1);
            problems.push(Problem::error(title).at(dataset.span, "this data set").help(help));
        }
    }
}

/// Reports a ranking that normalizes by rare classes without any, as it would fail only after a training.
fn check_rare(header: &Header, stages: &[StageTable], problems: &mut Vec<Problem>) {
    if header.classes.is_empty() || header.classes.iter().any(|class| class.rare) {
        return;
    }
    for stage in stages {
        let normalize = stage.values.value("normalize").filter(|value| value.as_text() != Some("none"));
        if let Some(normalize) = normalize.as_ref().and_then(Value::as_text) {
            let title = format!("`normalize = \"{normalize}\"` needs rare classes, but no class is rare");
            let problem = Problem::error(title).at(stage.values.span("normalize"), "");
            problems.push(problem.help("set `rare = true` in some [[classes]], or `normalize = \"none\"`"));
        }
    }
    once_each(problems);
}

/// Warns of an `instruction_set` without `threads`: equal bytes on all machines need both.
fn check_threads(header: &Header, problems: &mut Vec<Problem>) {
    if let (Some((set, span)), None) = (header.instruction_set, header.threads) {
        let title = "`instruction_set` without `threads`: results still depend on the number of cores";
        let problem = Problem::warning(title).at(span, format!("restricts stages to {} only", set.name));
        problems.push(problem.help("in [pipeline]: `threads = 1`, or the number that every machine has"));
    }
}

/// Warns of bfloat16 with an `instruction_set`, once: without oneDNN it takes many times as long as float32.
fn check_precision(header: &Header, stages: &[StageTable], problems: &mut Vec<Problem>) {
    let Some((_, span)) = header.instruction_set else { return };
    let is_rounded =
        |stage: &&StageTable| stage.values.value("precision").is_some_and(|value| value.as_text() == Some("bfloat16"));
    if let Some(stage) = stages.iter().find(is_rounded) {
        let title = "`precision = \"bfloat16\"` is slow with an `instruction_set`, which leaves out oneDNN: many times slower than float32";
        let problem = Problem::warning(title).at(stage.values.span("precision"), "").beside(span, "");
        problems.push(problem.help("leave one of them out; on a GPU this is no problem"));
    }
}

/// Warns of a stage with the default seed in a sweep over the seeds of others: its members are called `[seed=2]` and all have the
/// same one, so that their spread is smaller than that of trainings with seeds of their own.
fn check_seeds(header: &Header, tables: &[StageTable], stages: &[Stage], problems: &mut Vec<Problem>) {
    let mut told = HashSet::new();
    for (table, stage) in tables.iter().zip(stages) {
        let values = || {
            let members = tables.iter().filter(|other| other.family == table.family);
            let mut values: Vec<&str> = members.filter_map(|member| member.coordinate(SEED)).collect();
            values.sort_by_key(|value| (value.len(), *value));
            values.dedup();
            values.join(", ")
        };
        let has_default = !table.values.has(SEED) && stage.parameter(SEED).is_some();
        if has_default && table.coordinate(SEED).is_some() && told.insert(&table.family) {
            let title = format!("`{}` has seed {} in all members of the sweep over seeds", table.family, header.seed);
            let problem = Problem::warning(title).at(table.span, "only the stages before it differ");
            let help = format!(
                "[stages.{}.matrix] seed = [{}]; or `seed = {}` if that is meant",
                table.family,
                values(),
                header.seed
            );
            problems.push(problem.help(help));
        }
    }
}

/// The key, and the axis of a sweep over it.
const SEED: &str = "seed";

/// Reports the pipeline file as an output, as a command's earlier outputs are replaced when it runs.
fn check_own_file(file: &Path, root: &Path, stages: &[Stage], problems: &mut Vec<Problem>) {
    let Ok(file) = std::path::absolute(file) else { return };
    let outputs = stages.iter().flat_map(|stage| &stage.outputs);
    // If the file is a link, its target can't be an output either.
    let real = std::fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
    let holds = |path: &Path| [&file, &real].into_iter().any(|file| by_name::below(file, path).is_some());
    for output in outputs.filter(|output| holds(&by_name::join(root, &output.path))) {
        let title = format!("`{}` can't be an output: it is or contains this pipeline file", output.name);
        problems.push(Problem::error(title).at(output.span, ""));
    }
}

/// Warns of unused data sets and models, which probably indicate a wrong name, unless an invalid stage may use them.
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

/// Checks that there are classes if a stage needs them, and that synthetic scenes have their own class set.
fn check_classes(header: &Header, datasets: &[Dataset], worker: Option<Span>, problems: &mut Vec<Problem>) {
    if let (false, Some(span)) = (header.has_classes, worker) {
        let problem = Problem::error("the pipeline doesn't define its classes").at(span, "this stage needs them");
        problems.push(problem.help(format!("in [pipeline]: classes = \"…\" ({})", classes::NAMES.join(", "))));
    }
    let drawn = classes::find(SCENES).map_or(0, |set| set.classes.len());
    let is_scenes = |dataset: &&Dataset| matches!(dataset.format, Format::Scenes { .. });
    if let (false, Some(scenes)) = (header.classes.is_empty(), datasets.iter().find(is_scenes))
        && header.classes.len() != drawn
    {
        let title = format!(
            "synthetic scenes have the {drawn} classes of `{SCENES}`, but this pipeline has {}",
            header.classes.len()
        );
        problems.push(Problem::error(title).at(scenes.span, "").help(format!("in [pipeline]: classes = \"{SCENES}\"")));
    }
}
