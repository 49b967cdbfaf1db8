//! Everything between a session and the flow: reads sources, passes facts, keeps keys and reasons.
//!
//! Runs nothing. A run and a dry run start with the same planner, so that `plan` and `run` agree.

mod recall;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use crate::by_name::Hashing;
use crate::digest::{ArtifactDigest, FileDigest};
use crate::event::Outcome;
use crate::exec::run_info::RunInfo;
use crate::flow::{Command, Engine, NodeId, Outputs};
use crate::inputs::Inputs;
use crate::inputs::listing::{self, Files};
use crate::kind::Runs;
use crate::measures::ago;
use crate::pipeline::{DatasetId, Output, Problem, Problems, Span, Stage, StageId};
use crate::plan::aliases::Aliases;
use crate::plan::explain::{self, Difference};
use crate::plan::found::Surveyor;
use crate::plan::manifest::Manifest;
use crate::plan::sources::{self, Origin};
use crate::plan::{split, together};
use crate::store::index::{PlacedOutput, StageRecord};
use crate::store::{Artifact, Placement};

use super::behind::Behind;
use super::guard::Guard;
use super::keys::Keys;
use super::problems;
use super::reads::Reads;
use super::session::Session;
use super::wiring::{InputSlot, Node, Wiring};

/// A planned run.
pub struct Planner {
    /// The nodes.
    pub wiring: Rc<Wiring>,
    /// The flow.
    pub engine: Engine,
    /// What is known of the nodes.
    pub keys: Rc<Keys>,
    /// Machine and version of this run, for the traces of its jobs.
    pub run_info: Arc<RunInfo>,
    inputs: Inputs,
    aliases: RefCell<Aliases>,
    outcomes: HashMap<NodeId, Outcome, Hashing>,
}

impl Planner {
    /// For `targets` and their ancestors; for all stages if there are none. Returns the flow's first commands.
    ///
    /// # Errors
    /// All problems of the sources.
    pub fn new(
        session: &mut Session,
        targets: &[StageId],
        force: &[StageId],
    ) -> Result<(Planner, Vec<Command>), Problems> {
        let needed = if targets.is_empty() { session.graph.order().to_vec() } else { session.graph.ancestors(targets) };
        let wiring = Rc::new(Wiring::new(&session.pipeline, &needed));
        let keys = Rc::new(Keys::new(Rc::clone(&session.pipeline), Rc::clone(&wiring)));
        let files = std::mem::take(&mut session.index.files);
        let root = std::fs::canonicalize(&session.pipeline.root).unwrap_or_else(|_| session.pipeline.root.clone());
        let inputs = Inputs::new(&root, session.store.root(), files).metered(&session.meter);
        let engine = Engine::new(Rc::clone(&keys) as Rc<dyn crate::flow::Keyer>);
        let (aliases, found) = Aliases::of(Rc::clone(&session.pipeline), session.store.root());
        let mut planner = Planner {
            wiring,
            engine,
            keys,
            run_info: Arc::default(),
            inputs,
            aliases: RefCell::new(aliases),
            outcomes: HashMap::default(),
        };
        let looked = planner.look_at_sources(session, found, &needed);
        planner.records_into(session);
        let digests = looked.map_err(|found| problems(session, found))?;
        let wiring = Rc::clone(&planner.wiring);
        wiring.declare(&mut planner.engine);
        for &stage in needed.iter().filter(|stage| !force.contains(stage)) {
            planner.tell_placed(session, stage);
        }
        let commands = planner.engine.sources(&digests);
        Ok((planner, commands))
    }

    /// `found`: earlier problems.
    fn look_at_sources(
        &mut self,
        session: &Session,
        mut found: Vec<Problem>,
        needed: &[StageId],
    ) -> Result<Vec<(NodeId, ArtifactDigest)>, Vec<Problem>> {
        found.extend(needed.iter().flat_map(|stage| self.aliases.get_mut().inputs(*stage)));
        if !found.is_empty() {
            // If the file doesn't exist, that is reported for the link as well.
            return Err(sources::once_each(found));
        }
        let wiring = Rc::clone(&self.wiring);
        let (mut digests, mut unknown) = (Vec::new(), Vec::new());
        for (node, what) in wiring.iter() {
            if matches!(what, Node::Source { producers, .. } if producers.is_empty()) {
                match self.look(session, node) {
                    Ok(digest) => digests.push((node, digest)),
                    Err(problems) => match self.recall(session, node, &[]) {
                        Some(Ok(digest)) => digests.push((node, digest)),
                        Some(Err(why)) => unknown.extend(problems.into_iter().map(|problem| problem.note(why.clone()))),
                        None => found.extend(problems),
                    },
                }
            }
        }
        found.extend(self.empty_parts(session));
        found.extend(self.unlike_sizes(session));
        if !session.recalls_any() {
            // Nothing can be shown without them, and their problems say more than that they are away.
            found.extend(unknown);
        }
        if found.is_empty() { Ok(digests) } else { Err(sources::once_each(found)) }
    }

    /// The stages that read a source, with the positions of their inputs.
    fn readers(&self, session: &Session, node: NodeId) -> Vec<(StageId, Span)> {
        let readers = self.wiring.readers(node).filter_map(|(reader, slot)| match self.wiring.node(reader) {
            // The slots of a stage are its inputs, in order.
            Node::Stage(stage) => Some((*stage, session.pipeline.stage(*stage).inputs[slot].span)),
            Node::Source { .. } => None,
        });
        readers.collect()
    }

    /// The rankings that would leave the easy or the hard part empty.
    fn empty_parts(&self, session: &Session) -> Vec<Problem> {
        let images = |wanted| self.datasets(wanted).find_map(|node| self.keys.images(node));
        split::problems(&session.pipeline, self.stages(), images)
    }

    /// The trainings that would put images of different sizes together.
    fn unlike_sizes(&self, session: &Session) -> Vec<Problem> {
        let size = |wanted| self.datasets(wanted).find_map(|node| self.keys.found(node)?.size);
        together::problems(&session.pipeline, self.stages(), size)
    }

    fn stages(&self) -> impl Iterator<Item = StageId> {
        self.wiring.iter().filter_map(|(_, what)| match what {
            Node::Stage(stage) => Some(*stage),
            Node::Source { .. } => None,
        })
    }

    /// The sources that are this data set: with its labels, and without them.
    fn datasets(&self, wanted: DatasetId) -> impl Iterator<Item = NodeId> {
        self.wiring.iter().filter_map(move |(node, what)| match what {
            Node::Source { source: Origin::Dataset { dataset, .. }, .. } => (*dataset == wanted).then_some(node),
            _ => None,
        })
    }

    /// Reads a source and keeps the result.
    pub fn look(&self, session: &Session, node: NodeId) -> Result<ArtifactDigest, Vec<Problem>> {
        let Node::Source { source, producers } = self.wiring.node(node) else {
            unreachable!("only sources are looked at")
        };
        let surveyor = Surveyor { pipeline: &session.pipeline, inputs: &self.inputs };
        let readers = self.readers(session, node);
        let mut found = surveyor.look(source, &readers)?;
        if found.seen.folder.is_some() {
            found.warnings.extend(cache_within(session, source, &readers));
        }
        if let Some(problem) = self.aliases.borrow_mut().behind_links(&found.seen, producers, &readers) {
            return Err(vec![problem]);
        }
        let digest = found.ingredient.digest;
        self.keys.note_found(node, found);
        Ok(digest)
    }

    /// Tells the flow which outputs of an earlier run are still in place.
    fn tell_placed(&mut self, session: &Session, stage: StageId) {
        let what = session.pipeline.stage(stage);
        let Some(record) = session.index.stages.get(&session.record_name(what)) else { return };
        let same_places =
            record.outputs.iter().map(|output| &output.path).eq(what.outputs.iter().map(|output| &output.path));
        if !same_places || !record.is_in_place(&session.pipeline.root, session.store.verified()) {
            return;
        }
        let node = self.wiring.of_stage(stage);
        let outputs = self.given(session, node, &record.outputs);
        self.engine.placed(node, record.key, outputs);
    }

    /// Records a stage's outputs, which are in place; returns their digests for the flow.
    pub fn given(&self, session: &Session, node: NodeId, placed: &[PlacedOutput]) -> Outputs {
        let has_links = |output: &&PlacedOutput| output.entries.iter().any(|entry| entry.stat.is_link());
        let behind = |output: &PlacedOutput| {
            Some(output).filter(has_links).and_then(|output| self.behind(session, &output.path, &output.artifact))
        };
        self.keys.note_outputs(node, placed.iter().map(|output| (output.artifact, behind(output))).collect())
    }

    /// The same for outputs in the cache.
    pub fn would_give(&self, session: &Session, node: NodeId, artifacts: Vec<Artifact>) -> Outputs {
        let places = self.stage(session, node).into_iter().flat_map(|stage| &stage.outputs);
        let outputs = artifacts.into_iter().zip(places);
        let behind =
            |(artifact, output): (Artifact, &Output)| (artifact, self.behind(session, &output.path, &artifact));
        self.keys.note_outputs(node, outputs.map(behind).collect())
    }

    fn behind(&self, session: &Session, place: &Path, artifact: &Artifact) -> Option<Behind> {
        // An unreadable output is detected when it is restored.
        let links = session.store.links_of(artifact).ok().filter(|links| !links.is_empty())?;
        Behind::of(&session.pipeline.root, place, artifact, &links, &self.inputs)
    }

    /// The stage's inputs in the workspace that are no stage's outputs, in the state from which its key was computed.
    pub fn guard(&self, session: &Session, node: NodeId) -> Guard {
        let mut guard = Guard::new(&session.pipeline.root);
        for slot in self.wiring.slots(node) {
            if let Some(found) = self.keys.found(slot.from) {
                guard.source(&found.seen);
            }
            if let Some(behind) = self.keys.behind(slot.from, slot.output) {
                behind.seen.iter().for_each(|seen| guard.source(seen));
            }
        }
        guard
    }

    /// Other stages' outputs that the stage reads at their places in the workspace: all of a command's, and those inside
    /// folders and data sets that it reads. The worker gets the others as objects of the store.
    pub fn reads(&self, session: &Session, node: NodeId) -> Reads {
        let mut reads = Reads::default();
        let is_command = self.stage(session, node).is_some_and(|stage| stage.kind.runs == Runs::Command);
        for slot in self.wiring.slots(node) {
            match self.wiring.node(slot.from) {
                Node::Stage(_) if is_command => self.read_output(session, slot, &mut reads),
                Node::Stage(_) => {}
                // For a late source: the outputs inside it.
                Node::Source { .. } => {
                    self.wiring.slots(slot.from).iter().for_each(|slot| self.read_output(session, slot, &mut reads));
                }
            }
        }
        reads
    }

    /// What has to be in place before a late source is read.
    pub fn producers(&self, session: &Session, source: NodeId) -> Reads {
        let mut reads = Reads::default();
        self.wiring.slots(source).iter().for_each(|slot| self.read_output(session, slot, &mut reads));
        reads
    }

    fn read_output(&self, session: &Session, slot: &InputSlot, reads: &mut Reads) {
        let Some(producer) = self.stage(session, slot.from) else { return };
        let artifacts = self.keys.artifacts(slot.from).expect("a settled stage has artifacts");
        let artifact = artifacts[slot.output as usize];
        let record = session.index.stages.get(&session.record_name(producer));
        let placed = record.and_then(|record| record.outputs.get(slot.output as usize));
        // Nobody else writes the session's index, so it has what this run has placed.
        let entries = placed.filter(|placed| placed.artifact == artifact).map_or(&[][..], |placed| &placed.entries);
        let path = producer.outputs[slot.output as usize].path.clone();
        reads.add(PlacedOutput { path, artifact, entries: entries.to_vec() }, placement(producer));
    }

    /// The latest record of a stage and the manifest of that run, if it is still in the cache.
    pub fn last_run<'a>(&self, session: &'a Session, node: NodeId) -> Option<(&'a StageRecord, Option<Manifest>)> {
        let stage = self.stage(session, node)?;
        let record = session.index.stages.get(&session.record_name(stage))?;
        let trace = session.store.load(record.key).ok().flatten();
        Some((record, trace.and_then(|trace| serde_json::from_value(trace.manifest).ok())))
    }

    /// The differences between an earlier manifest of a stage and its current one.
    pub fn differences(&self, session: &Session, old: &Manifest, new: &Manifest) -> Vec<Difference> {
        explain::differences(old, new, |manifest, role| {
            let listing = manifest.inputs.get(role)?.listing?;
            self.keys.files(listing).or_else(|| stored_files(session, listing))
        })
    }

    /// Why a stage isn't up to date, as a short phrase. `is_hit`: its result is in the cache.
    pub fn reason(&self, session: &Session, node: NodeId, is_hit: bool) -> String {
        let Some(new) = self.keys.manifest(node) else { return String::new() };
        let Some((record, old)) = self.last_run(session, node) else {
            return match self.stage(session, node).and_then(|stage| session.failure(stage)) {
                Some(failure) => format!("failed {}", ago(failure.at)),
                None if self.stage(session, node).is_some_and(|stage| session.attempted(stage).is_some()) => {
                    "its last run did not end".to_owned()
                }
                None if is_hit => "in the cache, not yet restored here".to_owned(),
                None => "has not run in this workspace".to_owned(),
            };
        };
        if Some(record.key) == self.keys.key(node) {
            return "its outputs are missing or modified".to_owned();
        }
        let Some(old) = old else { return "the record of its last run is gone".to_owned() };
        brief(&self.differences(session, &old, &new))
    }

    /// Which of its producers failed, were skipped or cancelled.
    pub fn blocked_by(&self, session: &Session, node: NodeId) -> String {
        let came_to_nothing = |stage: &StageId| {
            let outcome = self.outcomes.get(&self.wiring.of_stage(*stage));
            matches!(
                outcome,
                Some(Outcome::Failed | Outcome::Skipped | Outcome::Cancelled | Outcome::Submitted | Outcome::Pending)
            )
        };
        let producers: BTreeSet<StageId> = self.wiring.producers(node);
        let names: Vec<&str> = producers
            .iter()
            .filter(|stage| came_to_nothing(stage))
            .map(|stage| session.pipeline.stage(*stage).name.as_str())
            .collect();
        if names.is_empty() { "its inputs can't be read".to_owned() } else { format!("needs {}", names.join(", ")) }
    }

    /// The outcome of a stage, if known.
    pub fn outcome(&self, node: NodeId) -> Option<Outcome> {
        self.outcomes.get(&node).copied()
    }

    /// Whether the outcome of a stage is known.
    pub fn is_settled(&self, node: NodeId) -> bool {
        self.outcomes.contains_key(&node)
    }

    /// Records the outcome of a stage, for [`Planner::blocked_by`].
    pub fn note_outcome(&mut self, node: NodeId, outcome: Outcome) {
        self.outcomes.insert(node, outcome);
    }

    /// Whether files had to be read that the index didn't have.
    pub fn has_read_files(&self) -> bool {
        self.inputs.has_news()
    }

    /// Adds the records of the source files to the index.
    pub fn records_into(&self, session: &mut Session) {
        session.take_files(&self.inputs);
    }

    fn stage<'a>(&self, session: &'a Session, node: NodeId) -> Option<&'a Stage> {
        match self.wiring.node(node) {
            Node::Stage(stage) => Some(session.pipeline.stage(*stage)),
            Node::Source { .. } => None,
        }
    }
}

/// Warns that a folder read by commands contains the cache: it is part of no key, but a command can list it.
fn cache_within(session: &Session, source: &Origin, readers: &[(StageId, Span)]) -> Option<Problem> {
    let Origin::Path(path) = source else { return None };
    let reads = |(stage, _): &&(StageId, Span)| session.pipeline.stage(*stage).kind.runs == Runs::Command;
    let (stage, span) = readers.iter().find(reads)?;
    let folder = std::fs::canonicalize(session.pipeline.root.join(path)).ok()?;
    session.store.root().starts_with(&folder).then(|| {
        let title =
            format!("the cache is inside `{}`, which `{}` reads", path.display(), session.pipeline.stage(*stage).name);
        Problem::warning(title)
            .at(*span, "the cache is not part of the key, but the command sees it")
            .help("name the files and folders that it reads, or another folder with --cache")
    })
}

/// How the outputs of a stage are placed: for reading, or, for a command's, also for writing.
pub fn placement(stage: &Stage) -> Placement {
    match stage.kind.runs {
        Runs::Worker => Placement::View,
        Runs::Command => Placement::Writable,
    }
}

/// The files of a data set or folder, from a listing that an earlier run stored.
fn stored_files(session: &Session, listing: FileDigest) -> Option<Files> {
    if let Some(files) = session.store.files_of(listing) {
        let name = |path: &Path| path.to_string_lossy().into_owned();
        return Some(files.into_iter().map(|(path, object)| (name(&path), object.0.short())).collect());
    }
    listing::decode(&session.store.read(listing).ok().flatten()?)
}

fn brief(differences: &[Difference]) -> String {
    const SHOWN: usize = 2;
    let files = |difference: &Difference| match difference.files.len() {
        0 => difference.to_string(),
        1 => format!("{}: {}", difference.field, difference.files[0]),
        number => format!("{}: {number} files differ", difference.field),
    };
    let mut parts: Vec<String> = differences.iter().take(SHOWN).map(files).collect();
    if differences.len() > SHOWN {
        parts.push(format!("and {} more", differences.len() - SHOWN));
    }
    parts.join(", ")
}
