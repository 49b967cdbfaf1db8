//! The sources of a report: the pipeline, the cache, the index and the history of its runs.
//!
//! Knows no page. Returns only results of the current pipeline: those of a failed or out-of-date stage must not be shown
//! next to unrelated numbers. Unreadable results count as missing.

use std::path::PathBuf;

use crate::digest::FileDigest;
use crate::event::Outcome;
use crate::event::history::{History, Settled};
use crate::graph::StageGraph;
use crate::kind::OutputRole;
use crate::pipeline::{InputSource, Pipeline, Stage, StageId};
use crate::shell;
use crate::store::index::{Index, StageRecord, record_name};
use crate::store::{Artifact, Store, Trace};

/// The state of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its results are current.
    Done,
    /// Its results are of another version of the pipeline or its data.
    Stale,
    /// It failed.
    Failed,
    /// One of its ancestors failed.
    Skipped,
    /// It was stopped.
    Stopped,
    /// It hasn't run in this workspace.
    NotRun,
    /// It is in progress.
    Running,
}

impl State {
    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            State::Done => "done",
            State::Stale => "out of date",
            State::Failed => "failed",
            State::Skipped => "skipped",
            State::Stopped => "stopped",
            State::NotRun => "not run",
            State::Running => "running",
        }
    }

    /// The same as a CSS class.
    pub(super) fn class(self) -> String {
        self.name().replace(' ', "-")
    }
}

/// A pipeline in its workspace, for a report.
pub struct Workspace<'a> {
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// Its graph.
    pub graph: &'a StageGraph,
    /// The cache.
    pub store: &'a Store,
    /// The index.
    pub index: &'a Index,
    /// The outcomes of the last runs.
    pub history: &'a History,
    /// The out-of-date stages: at the end of a run, or at the start of a current one.
    pub stale: &'a [StageId],
    /// What is to be said of sources that are not here and could not be compared.
    pub not_here: &'a [String],
}

impl Workspace<'_> {
    /// The stages in the order in which they can run.
    pub(super) fn stages(&self) -> impl Iterator<Item = (StageId, &Stage)> {
        self.graph.order().iter().map(|id| (*id, self.pipeline.stage(*id)))
    }

    /// The command that reproduces everything, including values set on the command line.
    pub(super) fn command(&self) -> String {
        format!("intrada-run {}{}", shell::word(&self.pipeline.file.to_string_lossy()), self.sets())
    }

    /// The values set on the command line, as its options with a space before each; empty without any.
    pub(super) fn sets(&self) -> String {
        let sets = self.pipeline.sources.decisive().skip(1);
        sets.map(|source| format!(" --set {}", shell::word(&source.text))).collect()
    }

    /// A stage's outputs here when it was last up to date.
    pub(super) fn record(&self, stage: StageId) -> Option<&StageRecord> {
        self.index.stages.get(&record_name(&self.pipeline.name, &self.pipeline.stage(stage).name))
    }

    /// The outcome of a stage when it last took part in a run.
    pub(super) fn settled(&self, stage: StageId) -> Option<&Settled> {
        self.history.stages.get(&self.pipeline.stage(stage).name)
    }

    /// The state of a stage. During a run, outcomes of earlier runs don't count.
    pub(super) fn state(&self, stage: StageId) -> State {
        let name = &self.pipeline.stage(stage).name;
        let going = self.history.going.as_ref();
        let turn = going.and_then(|going| going.turns.get(name)).map(|turn| turn.outcome);
        let outcome = if going.is_some() { turn } else { self.settled(stage).map(|settled| settled.outcome) };
        match outcome {
            _ if going.is_some_and(|going| going.running.contains_key(name)) => State::Running,
            Some(Outcome::Failed) => State::Failed,
            Some(Outcome::Skipped) => State::Skipped,
            Some(Outcome::Cancelled | Outcome::Submitted | Outcome::Pending) => State::Stopped,
            _ if self.record(stage).is_none() => State::NotRun,
            _ if turn.is_none() && self.stale.contains(&stage) => State::Stale,
            _ => State::Done,
        }
    }

    /// The trace behind a stage's results.
    pub(super) fn trace(&self, stage: StageId) -> Option<Trace> {
        self.store.load(self.record(stage)?.key).ok().flatten()
    }

    /// A stage's output with this role, if its results are current.
    pub(super) fn artifact(&self, stage: StageId, role: OutputRole) -> Option<Artifact> {
        let record = self.record(stage).filter(|_| self.state(stage) == State::Done)?;
        let output = self.pipeline.stage(stage).outputs.iter().position(|output| output.role == role)?;
        record.outputs.get(output).map(|placed| placed.artifact)
    }

    /// The content of a file that a stage outputs.
    pub(super) fn bytes(&self, stage: StageId, role: OutputRole) -> Option<Vec<u8>> {
        self.object(self.artifact(stage, role)?.object)
    }

    /// The files of a folder that a stage outputs: path in it, content.
    pub(super) fn files(&self, stage: StageId, role: OutputRole) -> Vec<(PathBuf, FileDigest)> {
        self.artifact(stage, role).and_then(|artifact| self.store.files_of(artifact.object)).unwrap_or_default()
    }

    /// The content of an object.
    pub(super) fn object(&self, object: FileDigest) -> Option<Vec<u8>> {
        self.store.read(object).ok().flatten()
    }

    /// The stage whose output is this input, if it is one.
    pub(super) fn producer(&self, stage: &Stage, role: &str) -> Option<StageId> {
        match stage.input(role)?.from {
            InputSource::Output { output, .. } => Some(output.stage),
            _ => None,
        }
    }

    /// The pipeline's name for the data set of this role.
    pub(super) fn dataset_name(&self, stage: &Stage, role: &str) -> Option<&str> {
        match stage.input(role)?.from {
            InputSource::Dataset { dataset, .. } => Some(&self.pipeline.dataset(dataset).name),
            _ => None,
        }
    }
}
