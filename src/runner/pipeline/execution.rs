//! How stages are run: `[resources]`, and the keys common to all kinds.
//!
//! Knows no machine: compares the demand of each stage with the declared resources, so that a stage that could never start is
//! an error before anything runs. Only `cpu` defaults to the machine's number; a larger demand then means all of it. What a
//! batch system has is known to it alone, so of a stage there only the custom resources are compared.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ExecutorId;
use super::executors::{Executors, Place};
use super::homes::known_as;
use super::near::did_you_mean;
use super::problem::Problem;
use super::raw::{Entry, Item, Table};
use super::read::Reader;
use super::sections::{is_name, section};
use super::source::Span;
use super::typed::Typed;
use super::value::Value;
use crate::kind::Keys;
use crate::kind::execution::{KEYS, RESOURCES, TIME};

/// The declared `[resources]`. Never part of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// The GPUs as in `CUDA_VISIBLE_DEVICES`; `None` if the file doesn't list them.
    pub gpus: Option<Vec<String>>,
    /// CPU threads; `None`: the machine's.
    pub cpu: Option<usize>,
    /// All other resources by name; `memory` in bytes.
    pub counted: BTreeMap<String, u64>,
}

/// The declared resources of a stage. Never part of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// GPUs.
    pub gpus: Option<usize>,
    /// CPU threads.
    pub cpu: Option<usize>,
    /// The time limit of its job on a batch system; without effect on this machine.
    pub time: Option<Duration>,
    /// All other resources by name; `memory` in bytes.
    pub counted: BTreeMap<String, u64>,
}

/// How a stage is run, whatever its kind. Never part of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Execution {
    /// The batch system on which it runs, after `[pipeline]` and the command line are considered; `None`: this machine.
    pub executor: Option<ExecutorId>,
    /// Its resources.
    pub demand: Demand,
    /// Number of retries after a failure.
    pub retries: u32,
    /// How long an attempt may take.
    pub timeout: Option<Duration>,
}

/// The keys of a stage that aren't its kind's, by name.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.name)
}

/// Reads `[resources]`. `device` is that of the pipeline, with its place.
pub(super) fn read_resources(reader: &mut Reader<'_>, file: &Table, device: (&str, Span)) -> Resources {
    const TABLE: Keys = &[RESOURCES];
    let Some((section, span)) = section(reader, file, "resources") else { return Resources::default() };
    let values = reader.part(section, TABLE, span);
    // Invalid amounts have been reported; they cause no further errors.
    let memory = values.has("memory").then(|| values.integer("memory").map_or(u64::MAX, i64::unsigned_abs));
    let mut counted: BTreeMap<String, u64> = memory.map(|bytes| ("memory".to_owned(), bytes)).into_iter().collect();
    for entry in &section.0 {
        if !is_of_machine(&entry.key) {
            counted.insert(entry.key.clone(), slots(reader, entry).unwrap_or(u64::MAX));
        }
    }
    let gpus = values.get("gpus").map(|typed| typed.texts().into_iter().map(|(name, _)| name.to_owned()).collect());
    if let (Some(typed), true) = (values.get("gpus"), device.0.starts_with("cuda:")) {
        let title = format!("`device = \"{}\"` names one GPU, but `gpus` assigns a GPU to each stage", device.0);
        let problem = Problem::error(title).at(typed.span, "").beside(device.1, "");
        reader.problems.push(problem.help("write `device = \"cuda\"`, or leave it out"));
    }
    Resources { gpus, cpu: values.integer("cpu").and_then(|cpu| cpu.try_into().ok()), counted }
}

/// What we call a resource of the machine that has another name elsewhere.
fn called(name: &str) -> Option<&'static str> {
    match name {
        "threads" | "cores" => Some("cpu"),
        "devices" => Some("gpus"),
        name => known_as(name).filter(|ours| is_of_machine(ours)),
    }
}

/// Whether the machine itself has it: all other resources are custom ones.
fn is_of_machine(name: &str) -> bool {
    RESOURCES.iter().any(|key| key.name == name)
}

/// Reads a custom resource: how many stages can hold it at once.
fn slots(reader: &mut Reader<'_>, entry: &Entry) -> Option<u64> {
    let problem = match &entry.node.item {
        _ if !is_name(&entry.key) => Problem::error(format!("`{}` can't be the name of a resource", entry.key))
            .at(entry.key_span, "expected letters, digits, `-` and `_`, at most 100"),
        _ if entry.key == TIME => Problem::error(format!("`{TIME}` can't be the name of a resource"))
            .at(entry.key_span, "a stage's `resources` has its time limit under this name"),
        Item::Integer(number @ 1..) => {
            if let Some(ours) = called(&entry.key) {
                let title = format!("`{}` is a custom resource here, not the machine's `{ours}`", entry.key);
                reader
                    .problems
                    .push(Problem::warning(title).at(entry.key_span, "").help(format!("did you mean `{ours}`?")));
            }
            return Some(number.unsigned_abs());
        }
        item => Problem::error(format!("`{}` of [resources] takes an integer, not {}", entry.key, item.words()))
            .at(entry.node.span, "expected how many stages can hold it at once, 1 or more"),
    };
    let known = RESOURCES.iter().map(|key| key.name);
    reader.problems.push(problem.help_if(did_you_mean(&entry.key, known)));
    None
}

/// Reads the keys of a stage that aren't its kind's.
pub(super) fn read_execution(
    reader: &mut Reader<'_>,
    table: &Table,
    (resources, executors): (&Resources, &Executors),
    header: Span,
) -> Execution {
    let values = reader.part(table, &[KEYS], header);
    let place = executors.place(reader, &values);
    let executor = match place {
        Place::On(executor) => Some(executor),
        Place::Here | Place::Unknown => None,
    };
    let demand = values.get("resources").map(|typed| read_demand(reader, typed, resources, place)).unwrap_or_default();
    let retries = values.integer("retries").and_then(|retries| retries.try_into().ok()).unwrap_or_default();
    Execution { executor, demand, retries, timeout: values.duration("timeout") }
}

/// What a stage needs. Amounts that `[resources]` lacks are reported and left out.
fn read_demand(reader: &mut Reader<'_>, typed: &Typed, resources: &Resources, place: Place) -> Demand {
    let mut demand = Demand::default();
    for (amount, span) in typed.value.elements().iter().zip(&typed.elements) {
        match amount.elements() {
            [Value::Text(_), Value::Number(seconds)] => demand.time = Some(Duration::from_secs_f64(*seconds)),
            [Value::Text(name), Value::Integer(amount)] => {
                let amount = amount.unsigned_abs();
                let is_checked = place == Place::Here || !is_of_machine(name);
                match is_checked.then(|| check_amount(resources, name, amount, *span)).flatten() {
                    Some(problem) => reader.problems.push(problem),
                    None => demand.add(name, amount),
                }
            }
            _ => {}
        }
    }
    demand
}

impl Demand {
    fn add(&mut self, name: &str, amount: u64) {
        let count = usize::try_from(amount).unwrap_or(usize::MAX);
        match name {
            "gpus" => self.gpus = Some(count),
            "cpu" => self.cpu = Some(count),
            _ => drop(self.counted.insert(name.to_owned(), amount)),
        }
    }
}

/// Checks an amount against the declared resources.
fn check_amount(resources: &Resources, name: &str, amount: u64, span: Span) -> Option<Problem> {
    let there = match name {
        "gpus" => resources.gpus.as_ref().map(|gpus| gpus.len() as u64),
        "cpu" => Some(resources.cpu.map_or(u64::MAX, |cpu| cpu as u64)),
        name => resources.counted.get(name).copied(),
    };
    let Some(there) = there else {
        let problem = Problem::error(format!("[resources] has no `{name}`")).at(span, "");
        let declare = match name {
            "gpus" => {
                let numbers: Vec<String> = (0..amount.min(8)).map(|number| format!("\"{number}\"")).collect();
                format!("declare them: [resources] gpus = [{}]", numbers.join(", "))
            }
            "memory" => format!("declare it: [resources] memory = \"{}\"", super::measure::size(amount)),
            name => format!("declare it: [resources] {name} = {amount}"),
        };
        if is_of_machine(name) {
            return Some(problem.help(declare));
        }
        let known = RESOURCES.iter().map(|key| key.name).chain(resources.counted.keys().map(String::as_str));
        let meant = called(name).map(|ours| format!("did you mean `{ours}`?")).or_else(|| did_you_mean(name, known));
        return Some(problem.help(meant.unwrap_or(declare)));
    };
    (amount > there).then(|| {
        let (amount, there) = match name {
            "memory" => (super::measure::size(amount), super::measure::size(there)),
            _ => (amount.to_string(), there.to_string()),
        };
        Problem::error(format!("the stage needs {amount} of `{name}`, but [resources] has {there}")).at(span, "")
    })
}
