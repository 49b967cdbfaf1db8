//! Determines what a run would do, without running anything.
//!
//! Drives the same flow as a run, but answers a look-up from the trace alone and never answers a `Run`: stages that wait
//! for one stay open, and are reported to depend on it.

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
    /// Its outputs are restored from the cache.
    Hit,
    /// Its outputs are in place already.
    UpToDate,
    /// Unknown until an upstream output is known.
    Depends,
}

impl Decision {
    /// The name for programs, which doesn't change.
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
    /// The stage.
    pub stage: StageId,
    /// The decision.
    pub decision: Decision,
    /// Why, in a short phrase; empty if nothing happens.
    pub reason: String,
    /// Where it would resume, if an attempt at the same key was stopped or failed.
    pub resumes: Option<Resumes>,
    /// How long the computation last took, in seconds, if known.
    pub seconds: Option<f64>,
    /// Its key, if known.
    pub key: Option<Key>,
    /// Output paths with files of the user that would be moved away.
    pub in_the_way: Vec<PathBuf>,
    /// Its outputs, in order, if they are known without running anything.
    pub artifacts: Option<Rc<[Artifact]>>,
}

/// What an earlier attempt left in the resume slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumes {
    /// Iterations that are already done, for a training.
    pub at: Option<u64>,
}

/// What a run would do.
pub struct Plan {
    /// The stages, in the order of the graph.
    pub stages: Vec<Planned>,
    /// Warnings about the pipeline and its data.
    pub warnings: Vec<Problem>,
    /// Why a run would be refused: something prevents writing an output.
    pub obstacles: Vec<Problem>,
    /// Kept for a program that ends after it: taking a large plan apart takes as long as a tenth of making it.
    _planner: Planner,
}

/// Plans `targets` and their ancestors.
///
/// # Errors
/// Problems of the sources, or the CPU lacks the instruction set of a stage that has to run.
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
            Decision::Run | Decision::Hit => planner.reason(session, node, decision == Decision::Hit),
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
    Ok(Plan { stages: planned, warnings, obstacles, _planner: planner })
}

/// Tries the weights files of the stages that would run, and of their dependents. Returns warnings. Not part of [`plan`],
/// since it starts a worker, which queries of the cache don't need.
///
/// # Errors
/// A file is invalid: a run would be refused.
pub fn try_weights(session: &Session, planned: &[Planned]) -> Result<Vec<Problem>, Problems> {
    let is_open = |planned: &&Planned| matches!(planned.decision, Decision::Run | Decision::Depends);
    let in_place = |planned: &&Planned| planned.decision == Decision::UpToDate;
    let in_place: HashSet<StageId> = planned.iter().filter(in_place).map(|planned| planned.stage).collect();
    let open = planned.iter().filter(is_open).map(|planned| planned.stage);
    super::try_weights(session, open, &|stage| in_place.contains(&stage))
}

/// Checks that the device exists, if a stage that would run needs a GPU; `device` overrides the pipeline's. Returns
/// warnings. Not part of [`plan`] for the same reason as [`try_weights`].
///
/// # Errors
/// It doesn't exist: a run would be refused.
pub fn try_device(session: &Session, device: Option<&str>, planned: &[Planned]) -> Result<Option<Problem>, Problems> {
    let of = |decision| planned.iter().filter(move |planned| planned.decision == decision).map(|planned| planned.stage);
    super::try_device(session, device, of(Decision::Run), of(Decision::Depends))
}

/// Warns of a user's file at an output's path.
fn in_the_way(session: &Session, planned: &Planned) -> Vec<Problem> {
    let stage = session.pipeline.stage(planned.stage);
    let (span, unfinished) = (stage.span, session.unfinished(stage));
    let problem = |path: &PathBuf| {
        let why = if unfinished.contains(path) {
            "a killed or failed run of this stage left it incomplete"
        } else {
            "no run made it, or it was edited"
        };
        let text = format!("`{}` is in the way: {why}", path.display());
        Problem::warning(text)
            .at(span, "puts its output there")
            .help("a run moves it to `orphans` in the cache and reports where; rename it to keep it in place")
    };
    planned.in_the_way.iter().map(problem).collect()
}

/// A training without a checkpoint starts over, whatever else it left; for other stages only the stage itself knows.
fn resumes(session: &Session, stage: StageId, key: Key) -> Option<Resumes> {
    let slot = session.store.slot(key);
    let at = job::iterations_kept(slot.path());
    let begins_again = at.is_none() && session.pipeline.stage(stage).is_training();
    (slot.exists() && !begins_again).then_some(Resumes { at })
}

/// Why a stage would run, or that it wouldn't.
pub enum Why {
    /// An input is unknown until an upstream stage has run.
    Depends(String),
    /// It has never run here.
    NeverRan,
    /// It has started here, but no run of it has ended: it was interrupted or killed.
    NeverEnded,
    /// It has run here, but never successfully.
    Failed {
        /// The latest failure: when and how.
        failure: Settled,
        /// Whether its key was the current one.
        is_same: bool,
    },
    /// Nothing differs.
    UpToDate {
        /// When it was computed, in seconds since the Unix epoch.
        since: f64,
        /// How it was computed, if recorded.
        made_with: Option<String>,
    },
    /// The key is the same, but the outputs are missing or were changed.
    OutputsChanged,
    /// The trace of its last run is no longer in the cache.
    RecordGone,
    /// These fields differ from its last run.
    Differs {
        /// The differing fields.
        differences: Vec<Difference>,
        /// The equal fields.
        same: Vec<String>,
        /// How many fields there are.
        fields: usize,
        /// When that run ended, in seconds since the Unix epoch.
        since: f64,
        /// Whether the cache has the current key.
        is_hit: bool,
        /// The result in the cache that differs in the fewest fields, if any.
        nearest: Option<Near>,
    },
}

/// A result in the cache for another key.
pub struct Near {
    /// Its key.
    pub key: Key,
    /// When it was computed, in seconds since the Unix epoch.
    pub at: f64,
    /// The fields in which it differs from the wanted manifest.
    pub fields: Vec<String>,
}

/// Explains one stage by comparing it with its last run in this workspace.
///
/// # Errors
/// Problems of the sources.
pub fn why(session: &mut Session, stage: StageId) -> Result<Why, Problems> {
    let (planner, decisions) = settle(session, &[stage], &[])?;
    let node = planner.wiring.of_stage(stage);
    let Some(new) = planner.keys.manifest(node) else {
        return Ok(Why::Depends(on(session, &planner, &decisions, node)));
    };
    let Some((record, old)) = planner.last_run(session, node) else {
        return Ok(match session.failure(session.pipeline.stage(stage)) {
            Some(failure) => Why::Failed { is_same: failure.key == planner.keys.key(node), failure },
            None if session.attempted(session.pipeline.stage(stage)).is_some() => Why::NeverEnded,
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

/// The result of the same kind in the cache whose manifest differs least from `wanted`; of several, the latest.
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

/// A late source can be read if all outputs of its producers are in place; otherwise its readers depend on them, unless the session
/// shows finished results and one with these outputs recorded it.
fn look_at_late_source(
    session: &Session,
    planner: &mut Planner,
    decisions: &HashMap<NodeId, Decision>,
    node: NodeId,
    key: Key,
) {
    let in_place = |stage: &StageId| decisions.get(&planner.wiring.of_stage(*stage)) == Some(&Decision::UpToDate);
    let digest = if planner.wiring.producers(node).iter().all(in_place) {
        planner.look(session, node).ok()
    } else {
        planner.recall(session, node, &orders::given(planner, node)).and_then(Result::ok)
    };
    if let Some(digest) = digest {
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

/// The unfinished stages that a stage waits for.
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
