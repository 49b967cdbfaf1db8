//! A stage that has to run → the order that a job thread executes.
//!
//! Knows where everything is and what the worker's contract requires; decides nothing. An input that is damaged in the
//! cache but intact in the workspace is healed here, before any computation reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::digest::{ArtifactDigest, Key};
use crate::exec::Failure;
use crate::exec::command::Program;
use crate::exec::executor::{Executor, Request, Work};
use crate::exec::job::{self, Job};
use crate::flow::NodeId;
use crate::kind::Runs;
use crate::pipeline::{InputSource, OutputId, Pipeline, Stage, Value};
use crate::plan::found::Content;
use crate::plan::{assemble, margins};
use crate::store::{Artifact, Kind, Take};

use super::failure::failed;
use super::items::KnownItems;
use super::jobs::{Order, Split};
use super::places::Destination;
use super::planner::Planner;
use super::session::Session;
use super::slots::Lent;
use super::wiring::Node;

/// The outputs of a stage: where the job writes them and where they are placed.
pub fn destinations(stage: &Stage) -> Vec<Destination> {
    let made_at = |output: &crate::pipeline::Output| match stage.kind.runs {
        Runs::Command => output.path.clone(),
        Runs::Worker => {
            let spec = stage.kind.outputs.iter().find(|spec| spec.name == output.name);
            PathBuf::from(spec.expect("a built-in kind's outputs are those of its table").path)
        }
    };
    let outputs = stage.outputs.iter();
    outputs
        .map(|output| Destination { name: output.name.clone(), made_at: made_at(output), path: output.path.clone() })
        .collect()
}

/// The output paths where an earlier run's outputs still are: these are in the cache, too.
pub fn in_place(session: &Session, stage: &Stage) -> Vec<PathBuf> {
    let record = session.index.stages.get(&session.record_name(stage));
    let outputs = record.map_or(&[][..], |record| &record.outputs).iter();
    let in_place = outputs.filter(|output| output.is_in_place(&session.pipeline.root, session.store.verified()));
    in_place.map(|output| output.path.clone()).collect()
}

/// The output paths with something that no run has made, or that was edited.
pub fn in_the_way(session: &Session, stage: &Stage) -> Vec<PathBuf> {
    let in_place = in_place(session, stage);
    let outputs = stage.outputs.iter().map(|output| &output.path).filter(|path| !in_place.contains(path));
    // An unreadable one is reported by the run, which has to move it.
    let is_in_the_way =
        |path: &&PathBuf| session.store.holds_unknown(&session.pipeline.root.join(path)).unwrap_or(false);
    outputs.filter(is_in_the_way).cloned().collect()
}

/// The order for a stage whose key is known.
///
/// # Errors
/// An input can't be provided.
pub fn order(
    session: &Session,
    planner: &Planner,
    node: NodeId,
    key: Key,
    lent: &Lent,
    device: &str,
    executor: &dyn Executor,
) -> Result<Order, Failure> {
    let Node::Stage(id) = *planner.wiring.node(node) else { unreachable!("only stages are ordered") };
    let (pipeline, stage) = (&session.pipeline, session.pipeline.stage(id));
    let work = match stage.kind.runs {
        Runs::Command => Work::Command(program(pipeline, stage, lent)),
        Runs::Worker => {
            let set = pipeline.instruction_set.filter(|_| stage.kind.computes);
            if let Some(refusal) = set.and_then(|set| executor.refusal(set)) {
                return Err(refusal);
            }
            let device = if lent.gpus.is_none() { "cpu" } else { device };
            let job = worker_job(session, planner, node, stage, lent.threads, device)?;
            Work::Worker(Box::new(job), lent.gpus_of(0))
        }
    };
    let manifest = (*planner.keys.manifest(node).expect("a stage with a key has a manifest")).clone();
    let guard = planner.guard(session, node);
    let items = match &work {
        Work::Worker(job, _) => {
            stage.kind.items.and_then(|role| Some(KnownItems::new(&manifest, role, job.datasets.get(role)?)))
        }
        Work::Command(_) => None,
    };
    let slots = planner.wiring.slots(node);
    let listings = slots.iter().filter_map(|slot| planner.keys.found(slot.from)?.listing.clone()).collect();
    Ok(Order {
        pipeline: pipeline.name.clone(),
        stage: stage.name.clone(),
        kind: stage.kind.name.to_owned(),
        key,
        manifest,
        listings,
        after: late(planner, node),
        outputs: destinations(stage),
        in_place: if stage.kind.runs == Runs::Command { in_place(session, stage) } else { Vec::new() },
        unfinished: BTreeSet::new(),
        work,
        items,
        split: stage.shards().map(|into| Split { into, places: (0..lent.jobs).map(|job| lent.gpus_of(job)).collect() }),
        root: pipeline.root.clone(),
        guard,
        visit: session.visit.clone(),
        reads: planner.reads(session, node),
        run_info: Arc::clone(&planner.run_info),
        forced: false,
        retries: stage.execution.retries,
        request: request(stage, lent),
        pushes_later: false,
    })
}

/// What a stage's jobs need.
fn request(stage: &Stage, lent: &Lent) -> Request {
    let demand = &stage.execution.demand;
    Request {
        stage: stage.name.clone(),
        threads: lent.threads,
        gpus: demand.gpus,
        memory: demand.counted.get("memory").copied(),
        time: demand.time,
        timeout: stage.execution.timeout,
        heeds_warning: stage.kind.runs == Runs::Worker,
    }
}

/// How many jobs of a stage may run at the same time: into so many it is split at most.
pub fn most_jobs(planner: &Planner, node: NodeId, stage: &Stage) -> usize {
    let (Some(shards), Some(role)) = (stage.shards(), stage.kind.items) else { return 1 };
    let mut images = planner.wiring.slots(node).iter().filter(|slot| slot.role == role);
    let items = images.find_map(|slot| match &planner.keys.found(slot.from)?.content {
        Content::Dataset(dataset) => Some(dataset.len_at_most()),
        Content::File(_) | Content::Folder(_) => None,
    });
    shards.jobs(items.unwrap_or(1)).max(1)
}

/// The outputs of other stages that are part of a stage's inputs.
fn late(planner: &Planner, node: NodeId) -> Vec<ArtifactDigest> {
    let sources = planner.wiring.slots(node).iter().map(|slot| planner.wiring.node(slot.from));
    let producers = sources.filter_map(|source| match source {
        Node::Source { producers, .. } => Some(producers),
        Node::Stage(_) => None,
    });
    producers.flatten().filter_map(|output| artifact(planner, output)).map(|artifact| artifact.digest()).collect()
}

/// The outputs that stages have written into a late source.
pub(super) fn given(planner: &Planner, source: NodeId) -> Vec<ArtifactDigest> {
    let Node::Source { producers, .. } = planner.wiring.node(source) else { return Vec::new() };
    producers.iter().filter_map(|output| artifact(planner, output)).map(|artifact| artifact.digest()).collect()
}

fn artifact(planner: &Planner, output: &OutputId) -> Option<Artifact> {
    planner.keys.artifacts(planner.wiring.of_stage(output.stage))?.get(output.output).copied()
}

fn program(pipeline: &Pipeline, stage: &Stage, lent: &Lent) -> Program {
    let arguments = match (stage.parameter("command"), stage.parameter("shell")) {
        (Some(Value::List(words)), _) => words.iter().filter_map(text).collect(),
        (_, Some(Value::Text(line))) => Program::shell(line),
        _ => unreachable!("a command stage has `command` or `shell`"),
    };
    // The job thread sets the slot: it holds the lease.
    Program {
        arguments,
        folder: pipeline.root.clone(),
        environment: assemble::environment(stage),
        slot: PathBuf::new(),
        gpus: lent.gpus.clone(),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

fn worker_job(
    session: &Session,
    planner: &Planner,
    node: NodeId,
    stage: &Stage,
    threads: usize,
    device: &str,
) -> Result<Job, Failure> {
    let (mut datasets, mut inputs) = (BTreeMap::new(), BTreeMap::new());
    for (slot, input) in planner.wiring.slots(node).iter().zip(&stage.inputs) {
        match (planner.wiring.node(slot.from), planner.keys.found(slot.from)) {
            (Node::Source { .. }, Some(found)) => match &found.content {
                Content::Dataset(dataset) => drop(datasets.insert(slot.role.clone(), dataset.clone())),
                Content::File(source) => drop(inputs.insert(slot.role.clone(), job::Input::Source(source.clone()))),
                // No built-in kind reads one: the code that looks for the file in it reports that.
                Content::Folder(path) => drop(inputs.insert(slot.role.clone(), job::Input::File(path.clone()))),
            },
            (Node::Stage(producer), _) => {
                let artifacts = planner.keys.artifacts(slot.from).expect("a settled stage has artifacts");
                let artifact = artifacts[slot.output as usize];
                let output = &session.pipeline.stage(*producer).outputs[slot.output as usize];
                inputs.insert(slot.role.clone(), hand_out(session, &artifact, output, within(input))?);
            }
            (Node::Source { .. }, None) => unreachable!("a stage is ordered after its sources were found"),
        }
    }
    if let Some((role, heeded)) = margins::heeded(&session.pipeline, stage) {
        datasets.entry(role.to_owned()).and_modify(|dataset: &mut job::Dataset| dataset.set_margins(heeded.margins));
    }
    let dataset_names = stage.inputs.iter().filter_map(|input| match &input.from {
        InputSource::Dataset { dataset, .. } => {
            Some((input.role.clone(), session.pipeline.dataset(*dataset).name.clone()))
        }
        _ => None,
    });
    let input_names = stage.inputs.iter().filter_map(|input| {
        let InputSource::Output { output, within } = &input.from else { return None };
        let maker = session.pipeline.stage(output.stage);
        let place = &maker.outputs[output.output].path;
        let path = within.as_ref().map_or_else(|| place.clone(), |within| place.join(within));
        Some((input.role.clone(), format!("{} (made by {})", path.display(), maker.name)))
    });
    Ok(Job {
        datasets,
        input_names: input_names.collect(),
        dataset_names: dataset_names.collect(),
        inputs,
        device: device.to_owned(),
        threads: threads as u32,
        ..assemble::job(&session.pipeline, stage)
    })
}

fn within(input: &crate::pipeline::Input) -> Option<&PathBuf> {
    match &input.from {
        InputSource::Output { within, .. } => within.as_ref(),
        _ => None,
    }
}

/// The paths of an artifact's objects, healed from the workspace if necessary.
fn hand_out(
    session: &Session,
    artifact: &Artifact,
    output: &crate::pipeline::Output,
    within: Option<&PathBuf>,
) -> Result<job::Input, Failure> {
    let files = match session.store.hand_out(artifact) {
        Err(error) if error.is_miss() => {
            let place = session.pipeline.root.join(&output.path);
            let healed = session.store.insert(&place, Take::Copy).is_ok_and(|again| again == *artifact);
            if !healed {
                return Err(failed(error).with_help("run again: the stage that made it will run, too"));
            }
            session.store.hand_out(artifact)
        }
        files => files,
    };
    let mut files = files.map_err(failed)?;
    if let Some(part) = within {
        files.retain_mut(|(path, _)| path.strip_prefix(part).map(PathBuf::from).map(|rest| *path = rest).is_ok());
    }
    let is_file = matches!(artifact.kind, Kind::File { .. }) || (files.len() == 1 && files[0].0.as_os_str().is_empty());
    match (is_file, files.pop()) {
        (true, Some((_, object))) => Ok(job::Input::File(object)),
        (_, last) => {
            let name = |path: PathBuf| path.to_string_lossy().into_owned();
            Ok(job::Input::Folder(files.into_iter().chain(last).map(|(path, object)| (name(path), object)).collect()))
        }
    }
}
