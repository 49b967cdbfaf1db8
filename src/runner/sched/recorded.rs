//! Tells the journal of a run what happens: the beginning, jobs that start, stages that settle, the end.
//!
//! Decides nothing, and no decision reads a journal. What is recorded of an evaluation is small enough to be kept when its
//! results are deleted.

use std::collections::BTreeMap;

use crate::digest::Key;
use crate::event::runs::{End, Head, Runs, Settled, Source};
use crate::event::{Event, Finished, Outcome, Totals, full_disk};
use crate::exec::with_causes;
use crate::flow::NodeId;
use crate::kind::OutputRole;
use crate::pipeline::{Pipeline, Span, StageId};
use crate::results::metrics::Metrics;
use crate::store::{Artifact, Store};

use super::Options;
use super::planner::Planner;
use super::session::Session;
use super::state::Run;
use super::wiring::Node;

impl Session {
    /// The records of the pipeline's runs in this workspace.
    pub fn runs(&self) -> Runs {
        runs_of(&self.pipeline, &self.store)
    }
}

/// The records of a pipeline's runs in its workspace.
pub fn runs_of(pipeline: &Pipeline, store: &Store) -> Runs {
    Runs::at(store.runs_folder(&pipeline.root).join(&pipeline.name))
}

impl Run<'_> {
    /// A stage is computed.
    pub(super) fn record_start(&mut self, stage: &str, key: Key) {
        self.record_unrecorded();
        let (session, options, planner) = (&*self.session, self.options, &self.planner);
        self.journal.start(stage, key, &|| head(session, options, planner));
    }

    /// A stage has settled. That it was in place is only recorded in a run in which something else happens: most runs find all in place.
    pub(super) fn record_settled(&mut self, node: NodeId, finished: &Finished) {
        let is_news = !matches!(finished.outcome, Outcome::UpToDate);
        if is_news {
            self.record_unrecorded();
        } else if !self.journal.is_open() {
            return self.unrecorded.push(node);
        }
        self.record(node, finished, is_news);
    }

    /// Records which stages were in place before the first thing happened.
    fn record_unrecorded(&mut self) {
        for node in std::mem::take(&mut self.unrecorded) {
            self.record_in_place(node);
        }
    }

    fn record(&mut self, node: NodeId, finished: &Finished, is_news: bool) {
        let (settled, read) = self.settled_as(node, finished, is_news);
        let (session, options, planner) = (&*self.session, self.options, &self.planner);
        self.journal.settle(settled, read, is_news, &|| head(session, options, planner));
    }

    /// The run has ended, or another version of the pipeline takes over. Stages to which nothing happened since the last end
    /// are recorded as up to date: of a watch, each round is a run.
    pub(super) fn record_end(&mut self, totals: &Totals, is_cut_off: bool) {
        if self.journal.is_open() {
            self.record_unchanged();
        }
        let interrupted = is_cut_off || self.interrupted.is_some();
        self.recorded.clear();
        self.unrecorded.clear();
        if let Some(error) = self.journal.close(End { seconds: totals.seconds, interrupted }) {
            let (error, help) = (with_causes(&error), full_disk::help_line(&error));
            self.reporter.tell(&Event::Warning(format!("this run is missing in the history: {error}{help}")));
        }
    }

    fn record_unchanged(&mut self) {
        let stages: Vec<NodeId> =
            self.planner.wiring.iter().filter_map(|(node, what)| what.stage().map(|_| node)).collect();
        for node in stages {
            let is_done = self.planner.outcome(node).is_some_and(Outcome::has_results);
            if !self.recorded.contains(&node) && is_done {
                self.record_in_place(node);
            }
        }
    }

    /// Records that nothing happened to a stage.
    fn record_in_place(&mut self, node: NodeId) {
        let Node::Stage(stage) = *self.planner.wiring.node(node) else { return };
        let stage = self.session.pipeline.stage(stage);
        let record = self.session.index.stages.get(&self.session.record_name(stage));
        let finished = Finished {
            stage: stage.name.clone(),
            outcome: Outcome::UpToDate,
            key: self.planner.keys.key(node),
            seconds: record.map_or(0.0, |record| record.seconds),
            reason: String::new(),
            notes: BTreeMap::new(),
            advice: Default::default(),
        };
        self.record(node, &finished, false);
    }

    fn settled_as(&mut self, node: NodeId, finished: &Finished, is_news: bool) -> (Settled, Vec<(String, Source)>) {
        self.recorded.insert(node);
        let has_results = finished.outcome.has_results();
        let settled = Settled {
            stage: finished.stage.clone(),
            outcome: finished.outcome,
            key: finished.key,
            at: 0.0,
            seconds: finished.seconds,
            reason: finished.reason.clone(),
            summary: finished.summary().filter(|_| has_results).map(str::to_owned),
            // Of one that was in place, an earlier run tells.
            miou: if is_news && has_results { self.miou(node) } else { BTreeMap::new() },
            data: BTreeMap::new(),
        };
        (settled, self.sources_of(node))
    }

    /// The sources that a stage reads, by role.
    fn sources_of(&self, node: NodeId) -> Vec<(String, Source)> {
        let Some(manifest) = self.planner.keys.manifest(node) else { return Vec::new() };
        let slots = self.planner.wiring.slots(node).iter();
        let of_sources = slots.filter(|slot| matches!(self.planner.wiring.node(slot.from), Node::Source { .. }));
        let source = |role: &String| {
            let input = manifest.inputs.get(role)?;
            let source = Source { what: input.what.clone(), digest: input.digest, listing: input.listing };
            Some((role.clone(), source))
        };
        of_sources.filter_map(|slot| source(&slot.role)).collect()
    }

    /// Of an evaluation that has results: the mIoU of each network.
    fn miou(&self, node: NodeId) -> BTreeMap<String, Option<f64>> {
        let Node::Stage(stage) = self.planner.wiring.node(node) else { return BTreeMap::new() };
        let outputs = &self.session.pipeline.stage(*stage).outputs;
        let place = outputs.iter().position(|output| output.role == OutputRole::Metrics);
        let artifact = || self.planner.keys.artifacts(node)?.get(place?).copied();
        artifact().map(|artifact| mious(&self.session.store, &artifact)).unwrap_or_default()
    }
}

/// The mIoU of each network in the metrics of an evaluation; empty if they can't be read.
pub(super) fn mious(store: &Store, metrics: &Artifact) -> BTreeMap<String, Option<f64>> {
    let bytes = store.read(metrics.object).ok().flatten();
    let metrics: Option<Metrics> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    metrics.into_iter().flatten().map(|(network, measured)| (network, measured.miou)).collect()
}

fn head(session: &Session, options: &Options, planner: &Planner) -> Head {
    let pipeline = &session.pipeline;
    let mut about = planner.run_info.now(&pipeline.root);
    let names = |stages: &[StageId]| stages.iter().map(|id| pipeline.stage(*id).name.clone()).collect();
    Head {
        program: about.remove("intrada").unwrap_or_default(),
        commit: about.remove("commit"),
        machine: about.remove("machine"),
        file: pipeline.file.display().to_string(),
        text: pipeline.sources.of(Span::FILE).text.clone(),
        tags: pipeline.about.tags.clone(),
        set: pipeline.sources.decisive().skip(1).map(|source| source.text.clone()).collect(),
        targets: names(&options.targets),
        forced: names(&options.force),
        by: session.store.own_entry(),
        ..Head::default()
    }
}
