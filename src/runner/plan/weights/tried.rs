//! Lets the worker try weights files before any stage runs, with the same code that reads them later.
//!
//! Knows neither networks nor formats. The programs share no network code, and a second table of names and shapes here
//! would be another reader; a worker that only reads takes about a second. So it is asked once, for all files, and only
//! about stages that have to run. The result is not kept: a valid file is read again by its stage, with its content at that
//! time.

use std::path::{Path, PathBuf};

use super::{is_of_weights, of_reader};
use crate::exec::Failure;
use crate::exec::job::{Fault, Input, Job};
use crate::exec::local::{ask, find_worker};
use crate::kind::Runs;
use crate::pipeline::{InputSource, OutputId, Pipeline, Problem, Span, Stage, StageId};
use crate::plan::assemble;
use crate::plan::sources::once_each;

/// Parameters besides those of a model that determine which network reads a file, and how. A file is tried once for all
/// stages with equal values: the members of a sweep.
const DECISIVE: &[&str] = &["part", "precision", "method", "discriminator_width", "adversarial_weight_aux"];

/// The result of trying.
#[derive(Debug, Default)]
pub struct Tried {
    /// The invalid files, and those that couldn't be tried.
    pub problems: Vec<Problem>,
    /// Number of files tried.
    pub files: usize,
}

/// A file to be read by its own job, and its readers.
struct Trial<'a> {
    path: PathBuf,
    role: &'a str,
    stage: &'a Stage,
    spans: Vec<Span>,
}

/// Tries the weights files of these stages, if they exist. `is_in_place`: whether a stage's outputs are in place, as this
/// run will read them.
pub fn tried(
    pipeline: &Pipeline,
    stages: impl IntoIterator<Item = StageId>,
    is_in_place: &dyn Fn(StageId) -> bool,
) -> Tried {
    try_all(pipeline, &trials(pipeline, stages, is_in_place))
}

/// The same for all stages, whose files haven't been checked yet: a file with a problem visible here needs no worker.
pub fn examined(pipeline: &Pipeline) -> Tried {
    let mut seen = Vec::new();
    let mut trials = trials(pipeline, pipeline.stage_ids(), &|_| false);
    trials.retain(|trial| {
        let problem = of_reader(pipeline, &trial.path, trial.stage, trial.spans[0]);
        let is_sound = problem.is_none();
        seen.extend(problem);
        is_sound
    });
    let Tried { problems, files } = try_all(pipeline, &trials);
    Tried { problems: once_each(seen.into_iter().chain(problems).collect()), files }
}

/// The files to try, each once.
fn trials<'a>(
    pipeline: &'a Pipeline,
    stages: impl IntoIterator<Item = StageId>,
    is_in_place: &dyn Fn(StageId) -> bool,
) -> Vec<Trial<'a>> {
    let mut trials: Vec<Trial> = Vec::new();
    for stage in stages.into_iter().map(|id| pipeline.stage(id)).filter(|stage| stage.kind.runs == Runs::Worker) {
        for input in stage.inputs.iter().filter(|input| is_of_weights(&input.role)) {
            let Some(path) = is_there(pipeline, &input.from, is_in_place) else { continue };
            let trial = Trial { path, role: &input.role, stage, spans: vec![input.span] };
            match trials.iter_mut().find(|other| other.is_like(&trial)) {
                Some(other) => other.spans.extend(trial.spans),
                None => trials.push(trial),
            }
        }
    }
    trials
}

/// The file that a stage would read, if it exists already: no stage's output, or that of a command that needn't run.
/// Outputs of built-in stages are valid.
fn is_there(pipeline: &Pipeline, from: &InputSource, is_in_place: &dyn Fn(StageId) -> bool) -> Option<PathBuf> {
    let has_run = |output: &OutputId| is_in_place(output.stage);
    let path = match from {
        InputSource::Path { path, producers } => producers.iter().all(has_run).then(|| path.clone())?,
        InputSource::Output { output, within } => {
            let writer = pipeline.stage(output.stage);
            let place = &writer.outputs[output.output].path;
            let path = within.as_ref().map_or_else(|| place.clone(), |within| place.join(within));
            (writer.kind.runs == Runs::Command && has_run(output)).then_some(path)?
        }
        InputSource::Dataset { .. } => return None,
    };
    has_bytes(&pipeline.root.join(&path)).then_some(path)
}

fn try_all(pipeline: &Pipeline, trials: &[Trial<'_>]) -> Tried {
    let mut files: Vec<&Path> = trials.iter().map(|trial| &*trial.path).collect();
    files.sort_unstable();
    files.dedup();
    let Some(first) = trials.first() else { return Tried::default() };
    let jobs: Vec<Job> = trials.iter().map(|trial| trial.job(pipeline)).collect();
    match ask::try_weights(&pipeline.root, &jobs) {
        Ok(answer) => {
            let told = trials.iter().zip(answer.faults.into_iter().zip(answer.warnings));
            let problems = told.flat_map(|(trial, (fault, warnings))| {
                let error = |fault: Fault| fault.help.into_iter().fold(Problem::error(fault.message), Problem::help);
                let all: Vec<Problem> =
                    fault.map(error).into_iter().chain(warnings.into_iter().map(Problem::warning)).collect();
                let of = |span: &Span| all.iter().map(|problem| problem.clone().at(*span, "")).collect::<Vec<_>>();
                trial.spans.iter().flat_map(of).collect::<Vec<_>>()
            });
            Tried { problems: once_each(problems.collect()), files: files.len() }
        }
        Err(failure) => Tried { problems: vec![untried(&files, failure).at(first.spans[0], "")], files: 0 },
    }
}

/// An unreadable or empty one was reported when it was digested.
fn has_bytes(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|found| found.is_dir() || (found.is_file() && found.len() > 0))
}

fn untried(files: &[&Path], failure: Failure) -> Problem {
    let what = match files {
        [file] => format!("`{}` was not checked as weights", file.display()),
        [first, ..] => format!("{} files of weights were not checked, including `{}`", files.len(), first.display()),
        [] => unreachable!("there is one at least"),
    };
    match failure {
        // Reported elsewhere, with advice.
        _ if find_worker().is_err() => Problem::warning(format!("{what}, as there is no worker")),
        Failure::Failed { message, help } => {
            help.into_iter().fold(Problem::warning(format!("{what}: {message}")), Problem::help)
        }
        Failure::Cancelled { .. } | Failure::Left(_) => Problem::warning(format!("{what}: the worker was stopped")),
    }
}

impl Trial<'_> {
    /// Whether the same network reads the same file in the same way.
    fn is_like(&self, other: &Trial<'_>) -> bool {
        let is_decisive = |name: &str| name.starts_with("model.") || DECISIVE.contains(&name);
        let decisive = |stage: &Stage| {
            let parameters = stage.parameters.iter().filter(|parameter| is_decisive(&parameter.name));
            parameters.map(|parameter| (parameter.name.clone(), parameter.value.clone())).collect::<Vec<_>>()
        };
        (&self.path, self.role, self.stage.kind.name) == (&other.path, other.role, other.stage.kind.name)
            && decisive(self.stage) == decisive(other.stage)
    }

    /// The stage's job, with only this file as input; relative to the root, like names in messages.
    fn job(&self, pipeline: &Pipeline) -> Job {
        let inputs = [(self.role.to_owned(), Input::File(self.path.clone()))].into();
        Job { inputs, ..assemble::job(pipeline, self.stage) }
    }
}
