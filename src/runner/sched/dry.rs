//! What a run would do, without doing it.
//!
//! Drives the same flow as a run, but answers a look-up from the trace alone and a `Run` not at all: what waits for it then
//! stays open, and is said to depend.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::rc::Rc;

use crate::digest::Key;
use crate::event::history::Settled;
use crate::exec::job;
use crate::flow::{Command, How, NodeId};
use crate::pipeline::{Problem, Problems, Severity, StageId};
use crate::plan::explain::{self, Difference};
use crate::plan::manifest::Manifest;
use crate::plan::sources;
use crate::results::made_with;
use crate::store::Artifact;

use super::planner::Planner;
use super::session::Session;
use super::wiring::Node;
use super::{missing_instructions, missing_worker, orders, problems, ways_in};

/// What would happen to a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It runs.
    Run,
    /// Its outputs come out of the cache.
    Hit,
    /// Its outputs are in place already.
    UpToDate,
    /// Known only when an upstream output is.
    Depends,
}

impl Decision {
    /// As pinned for programs.
    pub fn name(self) -> &'static str {
        match self {
            Decision::Run => "run",
            Decision::Hit => "hit",
            Decision::UpToDate => "up-to-date",
            Decision::Depends => "depends",
        }
    }
}

/// A stage and what would happen to it.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Which.
    pub stage: StageId,
    /// What.
    pub decision: Decision,
    /// Why, in half a line; empty where nothing happens.
    pub reason: String,
    /// What it goes on from, if an attempt at the same key was stopped or failed.
    pub resumes: Option<Resumes>,
    /// What the computation took when it last ran, where that is known, in seconds.
    pub seconds: Option<f64>,
    /// The name of the computation, as far as it is known.
    pub key: Option<Key>,
    /// The places of its outputs from which something of a person's would be moved away.
    pub in_the_way: Vec<PathBuf>,
    /// What it gives, in the order of its outputs, where nothing has to run for that.
    pub artifacts: Option<Rc<[Artifact]>>,
}

/// What an earlier attempt has left in the resume slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumes {
    /// Iterations that needn't be done again, where it is a training.
    pub at: Option<u64>,
}

/// What a run would do.
pub struct Plan {
    /// The stages, in the order of the graph.
    pub stages: Vec<Planned>,
    /// What is worth knowing of the pipeline and of its data, though nothing is wrong.
    pub warnings: Vec<Problem>,
    /// What a run would refuse: something keeps an output from its place.
    pub obstacles: Vec<Problem>,
}

/// Decides for `targets` and what they need.
///
/// # Errors
/// What is wrong with the sources, or the CPU lacks the instructions that a stage which runs is held to.
pub fn plan(session: &mut Session, targets: &[StageId], force: &[StageId]) -> Result<Plan, Problems> {
    let (planner, decisions) = settle(session, targets, force)?;
    let stages = planner.wiring.iter().filter_map(|(node, what)| match what {
        Node::Stage(stage) => Some((node, *stage)),
        Node::Source { .. } => None,
    });
    let slots = session.store.keys_with_slots();
    let planned = stages.map(|(node, stage)| {
        let decision = decisions.get(&node).copied().unwrap_or(Decision::Depends);
        let reason = match decision {
            Decision::UpToDate => String::new(),
            Decision::Run if force.contains(&stage) => "forced".to_owned(),
            Decision::Run | Decision::Hit => planner.reason(session, node),
            Decision::Depends => on(session, &planner, &decisions, node),
        };
        let seconds = planner.last_run(session, node).map(|(record, _)| record.seconds);
        let is_there = matches!(decision, Decision::Hit | Decision::UpToDate);
        let key = planner.keys.key(node);
        let artifacts = planner.keys.artifacts(node).filter(|_| is_there);
        let has_slot = |key: &Key| decision == Decision::Run && slots.contains(key);
        let resumes = key.filter(has_slot).and_then(|key| resumes(session, stage, key));
        let in_the_way = match decision {
            Decision::UpToDate => Vec::new(),
            _ => orders::in_the_way(session, session.pipeline.stage(stage)),
        };
        Planned { stage, decision, reason, resumes, seconds, key, in_the_way, artifacts }
    });
    let found = sources::once_each(planner.keys.warnings());
    let planned: Vec<Planned> = planned.collect();
    let of = |decision| planned.iter().filter(move |planned| planned.decision == decision).map(|planned| planned.stage);
    if let Some(refused) = missing_instructions(session, of(Decision::Run)) {
        return Err(problems(session, vec![Problem { severity: Severity::Error, ..refused }]));
    }
    let open = || of(Decision::Run).chain(of(Decision::Depends));
    let amiss = [missing_worker(session, open()), missing_instructions(session, open())].into_iter().flatten();
    let in_the_way = planned.iter().flat_map(|planned| in_the_way(session, planned));
    let warnings = session.pipeline.warnings.iter().cloned().chain(found).chain(amiss).chain(in_the_way).collect();
    let certain = |decision| matches!(decision, Decision::Run | Decision::Hit);
    let writing = planned.iter().filter(|planned| planned.decision != Decision::UpToDate);
    let obstacles =
        ways_in::obstacles(&session.pipeline, writing.map(|planned| (planned.stage, certain(planned.decision))));
    Ok(Plan { stages: planned, warnings, obstacles })
}

/// Tries the files of weights of the stages that would run, and of those that depend on them. Answers with what is worth knowing.
/// Not a part of [`plan`], since it starts a worker, and who asks what is in the cache can do without.
///
/// # Errors
/// Some don't serve: a run would be refused.
pub fn try_weights(session: &Session, planned: &[Planned]) -> Result<Vec<Problem>, Problems> {
    let is_open = |planned: &&Planned| matches!(planned.decision, Decision::Run | Decision::Depends);
    let in_place = |planned: &&Planned| planned.decision == Decision::UpToDate;
    let in_place: HashSet<StageId> = planned.iter().filter(in_place).map(|planned| planned.stage).collect();
    let open = planned.iter().filter(is_open).map(|planned| planned.stage);
    super::try_weights(session, open, &|stage| in_place.contains(&stage))
}

/// Asks whether the device is there, where a stage that would run needs a GPU; `device`: instead of the pipeline's. Answers with
/// what is worth knowing. Not a part of [`plan`] for the same reason as [`try_weights`].
///
/// # Errors
/// It isn't: a run would be refused.
pub fn try_device(session: &Session, device: Option<&str>, planned: &[Planned]) -> Result<Option<Problem>, Problems> {
    let of = |decision| planned.iter().filter(move |planned| planned.decision == decision).map(|planned| planned.stage);
    super::try_device(session, device, of(Decision::Run), of(Decision::Depends))
}

/// That something of a person's lies in the place of an output.
fn in_the_way(session: &Session, planned: &Planned) -> Vec<Problem> {
    let stage = session.pipeline.stage(planned.stage);
    let (span, unfinished) = (stage.span, session.unfinished(stage));
    let problem = |path: &PathBuf| {
        let why = if unfinished.contains(path) {
            "a run of this stage that was killed or failed has left it incomplete"
        } else {
            "nothing here has made it, or somebody has edited it"
        };
        let text = format!("`{}` is in the way: {why}", path.display());
        Problem::warning(text)
            .at(span, "puts its output there")
            .help("a run moves it to `orphans` in the cache and says where; to keep it in place, give it another name")
    };
    planned.in_the_way.iter().map(problem).collect()
}

/// A training that came to no checkpoint begins again, whatever else it left; of other stages only they know what it is worth.
fn resumes(session: &Session, stage: StageId, key: Key) -> Option<Resumes> {
    let slot = session.store.slot(key);
    let at = job::iterations_kept(slot.path());
    let begins_again = at.is_none() && session.pipeline.stage(stage).is_training();
    (slot.exists() && !begins_again).then_some(Resumes { at })
}

/// Why a stage would run, or that it wouldn't.
pub enum Why {
    /// An input isn't known before something upstream has run.
    Depends(String),
    /// It has never run here.
    NeverRan,
    /// It has run here, and never to a good end.
    Failed {
        /// When and how, the latest time.
        failure: Settled,
        /// Whether it was the key that it has now.
        is_same: bool,
    },
    /// Nothing differs.
    UpToDate {
        /// When it was made, in seconds since the Unix epoch.
        since: f64,
        /// With what, where that was noted.
        made_with: Option<String>,
    },
    /// The key is the same, but the outputs are missing or were changed.
    OutputsChanged,
    /// The record of its last run is no longer in the cache.
    RecordGone,
    /// These fields differ from its run of that time.
    Differs {
        /// The fields.
        differences: Vec<Difference>,
        /// The fields that don't.
        same: Vec<String>,
        /// How many fields there are.
        fields: usize,
        /// When that run ended, in seconds since the Unix epoch.
        since: f64,
        /// Whether the cache has the present key.
        is_hit: bool,
        /// The result in the cache from which the present key differs in fewer fields, where there is one.
        nearest: Option<Near>,
    },
}

/// A result in the cache that is not the one that is wanted.
pub struct Near {
    /// The name of its computation.
    pub key: Key,
    /// When it was computed, in seconds since the Unix epoch.
    pub at: f64,
    /// The fields in which it differs from what is wanted.
    pub fields: Vec<String>,
}

/// Explains one stage against its last run in this workspace.
///
/// # Errors
/// What is wrong with the sources.
pub fn why(session: &mut Session, stage: StageId) -> Result<Why, Problems> {
    let (planner, decisions) = settle(session, &[stage], &[])?;
    let node = planner.wiring.of_stage(stage);
    let Some(new) = planner.keys.manifest(node) else {
        return Ok(Why::Depends(on(session, &planner, &decisions, node)));
    };
    let Some((record, old)) = planner.last_run(session, node) else {
        return Ok(match session.failure(session.pipeline.stage(stage)) {
            Some(failure) => Why::Failed { is_same: failure.key == planner.keys.key(node), failure },
            None => Why::NeverRan,
        });
    };
    if decisions.get(&node) == Some(&Decision::UpToDate) {
        let trace = session.store.load(record.key).ok().flatten();
        let made_with = trace.and_then(|trace| made_with::line(&trace.note));
        return Ok(Why::UpToDate { since: record.finished, made_with });
    }
    if Some(record.key) == planner.keys.key(node) {
        return Ok(Why::OutputsChanged);
    }
    let Some(old) = old else { return Ok(Why::RecordGone) };
    let differences = planner.differences(session, &old, &new);
    let is_hit = decisions.get(&node) == Some(&Decision::Hit);
    Ok(Why::Differs {
        nearest: nearest(session, &new).filter(|near| !is_hit && near.fields.len() < differences.len()),
        differences,
        same: explain::agreements(&old, &new),
        fields: new.fields().len(),
        since: record.finished,
        is_hit,
    })
}

/// Of all results of the same kind in the cache, the one whose manifest differs least from `wanted`; of several, the latest.
fn nearest(session: &Session, wanted: &Manifest) -> Option<Near> {
    let keys = session.store.keys().ok()?.into_iter();
    let traces = keys.filter_map(|key| session.store.load(key).ok()?).filter(|trace| trace.kind == wanted.kind);
    let near = traces.filter_map(|trace| {
        let manifest: Manifest = serde_json::from_value(trace.manifest).ok()?;
        let fields = explain::disagreements(&manifest, wanted);
        Some(Near { key: trace.key, at: trace.started + trace.seconds, fields })
    });
    near.min_by(|a, b| a.fields.len().cmp(&b.fields.len()).then(b.at.total_cmp(&a.at)))
}

pub(super) fn settle(
    session: &mut Session,
    targets: &[StageId],
    force: &[StageId],
) -> Result<(Planner, HashMap<NodeId, Decision>), Problems> {
    let (mut planner, mut commands) = Planner::new(session, targets, force)?;
    let mut decisions = HashMap::new();
    while !commands.is_empty() {
        for command in std::mem::take(&mut commands) {
            match command {
                Command::LookUp { stage: node, key } => {
                    let forced = matches!(planner.wiring.node(node), Node::Stage(stage) if force.contains(stage));
                    match planner.wiring.node(node) {
                        Node::Stage(_) => match cached(session, &planner, node, key).filter(|_| !forced) {
                            Some(artifacts) => {
                                let outputs = planner.would_give(session, node, artifacts);
                                planner.engine.found(node, key, outputs);
                                decisions.insert(node, Decision::Hit);
                            }
                            None => planner.engine.absent(node, key),
                        },
                        Node::Source { .. } => look_at_late_source(session, &mut planner, &decisions, node, key),
                    }
                }
                Command::Run { stage: node, .. } => {
                    decisions.insert(node, Decision::Run);
                }
                Command::Settled { stage: node, how: How::UpToDate | How::Unchanged, .. } => {
                    decisions.insert(node, Decision::UpToDate);
                }
                Command::Settled { .. } | Command::Cancel { .. } => {}
            }
        }
        commands = planner.engine.step();
    }
    Ok((planner, decisions))
}

/// A late source can be looked at if all that its producers give is in place; else what reads it depends.
fn look_at_late_source(
    session: &Session,
    planner: &mut Planner,
    decisions: &HashMap<NodeId, Decision>,
    node: NodeId,
    key: Key,
) {
    let in_place = |stage: &StageId| decisions.get(&planner.wiring.of_stage(*stage)) == Some(&Decision::UpToDate);
    if planner.wiring.producers(node).iter().all(in_place)
        && let Ok(digest) = planner.look(session, node)
    {
        planner.engine.found(node, key, [digest].into());
    }
}

/// The artifacts of a cached key, in the order of the stage's outputs, if the cache has all of them.
fn cached(session: &Session, planner: &Planner, node: NodeId, key: Key) -> Option<Vec<Artifact>> {
    let Node::Stage(stage) = planner.wiring.node(node) else { return None };
    let trace = session.store.load(key).ok().flatten()?;
    let outputs = session.pipeline.stage(*stage).outputs.iter();
    let artifacts: Vec<Artifact> = outputs
        .map(|output| trace.outputs.iter().find(|traced| traced.name == output.name).map(|traced| traced.artifact))
        .collect::<Option<_>>()?;
    artifacts.iter().all(|artifact| session.store.could_restore(artifact).unwrap_or(false)).then_some(artifacts)
}

/// The stages whose outputs a stage waits for.
fn on(session: &Session, planner: &Planner, decisions: &HashMap<NodeId, Decision>, node: NodeId) -> String {
    let is_open = |stage: &StageId| {
        let decision = decisions.get(&planner.wiring.of_stage(*stage));
        matches!(decision, None | Some(Decision::Run | Decision::Depends))
    };
    let names: Vec<&str> = planner
        .wiring
        .producers(node)
        .iter()
        .filter(|stage| is_open(stage))
        .map(|stage| session.pipeline.stage(*stage).name.as_str())
        .collect();
    if names.is_empty() { "on files that are not in place yet".to_owned() } else { format!("on {}", names.join(", ")) }
}
