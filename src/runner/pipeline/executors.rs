//! `[executors.…]`: the batch systems on which stages can run, and which of them a stage means.
//!
//! Starts no program and asks no system: whether a partition exists is found out when a job is submitted. `line` reads the
//! lines of `kind = "commands"`, `sbatch` the options of `kind = "slurm"`.

mod line;
mod sbatch;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use line::filled;

use super::ExecutorId;
use super::names::{Names, known, named};
use super::near::WORTH;
use super::paths::normalize;
use super::problem::Problem;
use super::raw::{Entry, Table};
use super::read::{Reader, Values};
use super::sections::{read_variant, tables};
use super::source::Span;
use super::typed::Typed;
use super::value::Value;
use crate::kind::executor::{self, LOCAL};

/// A batch system that the pipeline file names. Never part of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executor {
    /// Its name in the file.
    pub name: String,
    /// How many jobs may be in its queue or run there at once.
    pub max_jobs: usize,
    /// Time between two questions about all jobs.
    pub poll: Duration,
    /// How long a new file may stay invisible to other machines on the shared file system.
    pub latency: Duration,
    /// Where a job copies its inputs to on its node: absolute once the node has replaced the variables in it.
    pub scratch: Option<String>,
    /// `intrada-run` on the nodes, absolute; `None`: the path of the running program.
    pub program: Option<PathBuf>,
    /// How jobs are submitted.
    pub system: System,
    /// Its name in the header of its table.
    pub span: Span,
}

/// How an executor's jobs are submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum System {
    /// By Slurm's programs.
    Slurm(Slurm),
    /// By commands that the file gives.
    Commands(Commands),
}

/// `kind = "slurm"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slurm {
    /// The partition; `None`: the cluster's default.
    pub partition: Option<String>,
    /// The account that is charged; `None`: the user's default.
    pub account: Option<String>,
    /// The quality of service.
    pub qos: Option<String>,
    /// Features that a node must have.
    pub constraint: Option<String>,
    /// The type of the GPUs; `None`: any.
    pub gpu_type: Option<String>,
    /// The time limit of jobs whose stage has none.
    pub time: Option<Duration>,
    /// Whether Slurm itself starts a job again whose node failed or that was preempted.
    pub requeue: bool,
    /// More options of `sbatch`, each an argument. None of those that the program sets.
    pub extra: Vec<String>,
}

/// `kind = "commands"`. The lines are for `sh -c`, their placeholders are replaced by [`filled`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commands {
    /// Submits a job and prints its id. Contains `{script}`.
    pub submit: String,
    /// Prints the states of jobs. May contain `{jobs}`.
    pub status: String,
    /// Cancels jobs. Contains `{jobs}`.
    pub cancel: String,
    /// The time limit of jobs whose stage has none.
    pub time: Option<Duration>,
    /// States of a job that waits. No state is in two lists, however it is capitalized.
    pub waiting: Vec<String>,
    /// States of a job that runs.
    pub running: Vec<String>,
    /// States of a job that has ended.
    pub ended: Vec<String>,
}

/// Where a stage runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On this machine.
    Here,
    /// On a batch system.
    On(ExecutorId),
    /// Invalid, which has been reported.
    Unknown,
}

/// The contents of the section, and what `[pipeline]` says.
pub(super) struct Executors {
    /// The valid ones, in the order of the file.
    pub list: Vec<Executor>,
    names: Names<Place>,
    /// Where stages run that don't say it themselves.
    otherwise: Place,
}

impl Executors {
    /// Where a stage runs. `values`: its keys.
    pub(super) fn place(&self, reader: &mut Reader<'_>, values: &Values) -> Place {
        match values.get("executor") {
            Some(typed) => self.named(reader, typed),
            None if values.has("executor") => Place::Unknown,
            None => self.otherwise,
        }
    }

    fn named(&self, reader: &mut Reader<'_>, typed: &Typed) -> Place {
        let is_worth_it = reader.problems.len() < WORTH;
        named(&self.names, typed, "executor", is_worth_it).unwrap_or_else(|problem| {
            reader.problems.extend(problem);
            Place::Unknown
        })
    }
}

/// Reads `[executors.…]`. `header`: the keys of `[pipeline]`.
pub(super) fn read_executors(reader: &mut Reader<'_>, file: &Table, root: &Path, header: &Values) -> Executors {
    let mut read = Vec::new();
    for (entry, table) in tables(reader, file, "executors", "executor") {
        if entry.key == LOCAL {
            let problem = Problem::error(format!("`{LOCAL}` is this machine, so no other executor can have this name"));
            reader.problems.push(problem.at(entry.key_span, "").help("choose another name"));
            continue;
        }
        let before = reader.problems.len();
        let executor = read_executor(reader, (entry, table), root)
            .filter(|_| reader.problems[before..].iter().all(|problem| !problem.is_error()));
        read.push((entry.key.clone(), executor));
    }
    let (names, list) = known(read, ExecutorId::at);
    let mut names: Names<Place> = names.into_iter().map(|(name, id)| (name, id.map(Place::On))).collect();
    names.insert(LOCAL.to_owned(), Some(Place::Here));
    let mut executors = Executors { list, names, otherwise: Place::Here };
    executors.otherwise = executors.place(reader, header);
    executors
}

fn read_executor(reader: &mut Reader<'_>, (entry, table): (&Entry, &Table), root: &Path) -> Option<Executor> {
    let (variant, values) = read_variant(reader, (entry, table), "kind", executor::SYSTEMS, "executor")?;
    let system = match variant.name {
        "slurm" => System::Slurm(read_slurm(reader, &values)),
        _ => System::Commands(read_commands(reader, &values)),
    };
    Some(Executor {
        name: entry.key.clone(),
        max_jobs: values.integer("max_jobs").and_then(|jobs| jobs.try_into().ok()).unwrap_or_default(),
        poll: values.duration("poll").unwrap_or_default(),
        latency: values.duration("latency").unwrap_or_default(),
        scratch: read_scratch(reader, &values),
        program: text(&values, "program").map(|path| root.join(normalize(root, &path))),
        system,
        span: entry.key_span,
    })
}

fn read_scratch(reader: &mut Reader<'_>, values: &Values) -> Option<String> {
    let typed = values.get("scratch")?;
    if !typed.text().starts_with(['/', '$']) {
        let problem = Problem::error("`scratch` is not an absolute path".to_owned()).at(typed.span, "");
        reader.problems.push(problem.help("name a folder that each node has: `\"$TMPDIR\"` or `\"/scratch\"`"));
    }
    Some(typed.text().to_owned())
}

fn read_slurm(reader: &mut Reader<'_>, values: &Values) -> Slurm {
    if let Some(extra) = values.get("extra") {
        sbatch::check(reader, &extra.texts());
    }
    Slurm {
        partition: text(values, "partition"),
        account: text(values, "account"),
        qos: text(values, "qos"),
        constraint: text(values, "constraint"),
        gpu_type: text(values, "gpu_type"),
        time: values.duration("time"),
        requeue: values.value("requeue").and_then(|requeue| requeue.as_flag()).unwrap_or_default(),
        extra: texts(values, "extra"),
    }
}

fn read_commands(reader: &mut Reader<'_>, values: &Values) -> Commands {
    // `status` may ask for all jobs of the person and not name them.
    for (key, needed, known) in [
        ("submit", Some("script"), executor::SUBMIT),
        ("status", None, executor::JOBS),
        ("cancel", Some("jobs"), executor::JOBS),
    ] {
        if let Some(typed) = values.get(key) {
            line::check(reader, (key, typed), needed, known);
        }
    }
    check_states(reader, values);
    // A missing line has been reported, and the executor isn't used then.
    let line = |key| text(values, key).unwrap_or_default();
    Commands {
        submit: line("submit"),
        status: line("status"),
        cancel: line("cancel"),
        time: values.duration("time"),
        waiting: texts(values, "waiting"),
        running: texts(values, "running"),
        ended: texts(values, "ended"),
    }
}

/// Reports states in two lists: such a job would wait and run at the same time.
fn check_states(reader: &mut Reader<'_>, values: &Values) {
    for [one, other] in [["waiting", "running"], ["waiting", "ended"], ["running", "ended"]] {
        let place = |list: &str, state: &str| {
            let typed = values.get(list)?;
            typed.texts().into_iter().find(|(text, _)| text.eq_ignore_ascii_case(state)).map(|(_, span)| span)
        };
        let others = texts(values, other);
        let is_in_both = |state: &String| others.iter().any(|other| other.eq_ignore_ascii_case(state));
        for state in texts(values, one).into_iter().filter(is_in_both) {
            let (first, second) = (place(one, &state), place(other, &state));
            let title = format!("the state `{state}` is in `{one}` and in `{other}`");
            let problem = Problem::error(title).at(second.or(first).unwrap_or(values.header), "");
            reader.problems.push(match (first, second) {
                (Some(first), Some(_)) => problem.beside(first, ""),
                _ => problem.help("a list that isn't set has the usual states: set that one, too"),
            });
        }
    }
}

fn text(values: &Values, key: &str) -> Option<String> {
    values.get(key).map(|typed| typed.text().to_owned())
}

/// The strings of a list or of its default; empty if there is neither.
fn texts(values: &Values, key: &str) -> Vec<String> {
    let list = values.value(key);
    list.iter().flat_map(Value::elements).filter_map(Value::as_text).map(str::to_owned).collect()
}
