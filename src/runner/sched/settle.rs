//! Outcomes of stages: what their jobs left, passed to the flow, the index and the reporter.
//!
//! Starts nothing. A job's result is kept by node until the flow settles its stage, as only then it is certain that nothing
//! upstream has changed meanwhile.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::digest::Key;
use crate::event::{Advice, Event, Finished, Outcome};
use crate::exec::job::{Event as Said, log};
use crate::exec::local::surroundings;
use crate::exec::{self, Failure};
use crate::flow::{How, NodeId, Outputs};
use crate::kind::Runs;
use crate::measures::now;
use crate::pipeline::StageId;
use crate::plain;
use crate::shell;
use crate::store::index::{PlacedOutput, StageRecord};
use crate::store::{Holder, Sent, Trace};

use super::message::JobId;
use super::news::News;
use super::put_aside_event;
use super::session::ended_orphans;
use super::state::{Known, Run};
use super::wiring::Node;

/// Lines of its log that are shown for a failed stage.
const LOG_LINES: usize = 10;

/// A stage waits for another process.
pub(super) fn waiting(stage: String, holder: Option<Holder>) -> Event {
    let holder = holder.map(|holder| {
        let gone = if holder.is_gone() { ", which was killed; processes that it started still run" } else { "" };
        format!("process {} on {}{gone}", holder.pid, holder.host)
    });
    Event::Waiting { stage, holder: holder.unwrap_or_else(|| "another process".to_owned()) }
}

impl Run<'_> {
    /// Passes on a job's report.
    pub(super) fn tell(&mut self, job: JobId, news: News) {
        let Some(node) = self.jobs.node_of(job) else { return };
        let Node::Stage(stage) = *self.planner.wiring.node(node) else { return };
        let stage = self.session.pipeline.stage(stage).name.clone();
        let event = match news {
            News::Waiting(holder) => waiting(stage, holder),
            News::Orphans(ended) => match ended_orphans(ended) {
                Some(text) => Event::Warning(format!("before {stage}: {text}")),
                None => return,
            },
            News::PutAside { output, to, unfinished } => {
                put_aside_event(&self.session.pipeline.root, &stage, &output, &to, unfinished)
            }
            News::Storing => Event::Storing { stage },
            News::Pushing(Sent { to, bytes, of }) => Event::Pushing { stage, to, bytes, of },
            News::Remark(text) => Event::Warning(format!("{stage} {text}")),
            News::Retrying(at) => Event::Retrying { stage, attempt: at.attempt, of: at.of, reason: at.reason },
            News::Standing(text) => Event::Standing { stage, text },
            News::Event(Said::Resumed { at }) => Event::Resumed { stage, at },
            News::Event(Said::Progress { done, total, unit, values }) => {
                Event::Progress { stage, done, total, unit, values }
            }
            News::Overtaken(changed) => match self.left_out(node, &stage, changed) {
                Some(text) => Event::Warning(text),
                None => return,
            },
            News::Event(_) => return,
        };
        self.reporter.tell(&event);
    }

    /// A stage has failed while its inputs changed. If it writes them itself, reports which changes are ignored.
    fn left_out(&mut self, node: NodeId, stage: &str, changed: BTreeSet<PathBuf>) -> Option<String> {
        let own = self.self_writes.failed(node, changed.clone());
        let path = own.first()?;
        let name = |path: &Path| path.strip_prefix(&self.session.pipeline.root).unwrap_or(path).display().to_string();
        let inside = changed.iter().find(|inside| *inside != path && inside.starts_with(path));
        let what = match inside {
            Some(inside) => format!("`{}` gets new files, this time `{}`,", name(path), name(inside)),
            None => format!("`{}` changes", name(path)),
        };
        Some(format!("{what} whenever {stage} runs, which reads it; changes there during its runs are ignored"))
    }

    /// Keeps the failure of a job.
    pub(super) fn note_failure(&mut self, node: NodeId, stage: StageId, key: Key, failure: Failure) {
        let known = self.results.entry(node).or_default();
        match failure {
            Failure::Cancelled { at } => {
                known.outcome = Some(Outcome::Cancelled);
                known.reason = match at {
                    Some(at @ 1..) => format!("stopped at {at}; the same command resumes there"),
                    _ => "stopped".to_owned(),
                };
            }
            Failure::Left(text) => {
                known.outcome = Some(Outcome::Submitted);
                known.reason = text;
            }
            Failure::Failed { message, help } => {
                known.outcome = Some(Outcome::Failed);
                let stage = self.session.pipeline.stage(stage);
                let is_worker = stage.kind.runs == Runs::Worker;
                // More than are shown, as most lines of a worker's log tell its course, and the last one the message itself.
                let mut log = exec::tail(&self.session.store.log_path(key), 20 * LOG_LINES).unwrap_or_default();
                log.retain(|line| {
                    let is_said = || message.lines().any(|said| said == line);
                    let is_shown = if is_worker { log::is_about_failure(line, &message) } else { !is_said() };
                    is_shown && !surroundings::is_note(line)
                });
                log.drain(..log.len().saturating_sub(LOG_LINES));
                known.reason = message;
                let more = format!(
                    "intrada-run log {} {}",
                    shell::word(&self.session.pipeline.file.to_string_lossy()),
                    shell::word(&stage.name)
                );
                known.advice = Advice { help, log, more: Some(more) };
            }
        }
    }

    /// Records the outputs in place, and returns their digests for the flow.
    pub(super) fn note_placed(
        &mut self,
        node: NodeId,
        stage: StageId,
        trace: &Trace,
        placed: Vec<PlacedOutput>,
    ) -> Outputs {
        let outputs = self.planner.given(self.session, node, &placed);
        let finished = now();
        let name = self.session.record_name(self.session.pipeline.stage(stage));
        let record = StageRecord { key: trace.key, outputs: placed, finished, seconds: trace.seconds };
        let places: Vec<PathBuf> = record.outputs.iter().map(|output| output.path.clone()).collect();
        if let Some(earlier) = self.session.record(name, record) {
            self.remove_views(&earlier, &places);
        }
        self.changed = true;
        outputs
    }

    /// Outputs that the stage no longer has (another method has no discriminator) would be taken for its own.
    fn remove_views(&self, earlier: &StageRecord, places: &[PathBuf]) {
        let stale = earlier.outputs.iter().map(|output| &output.path);
        for path in stale.filter(|path| path.starts_with("runs") && !places.contains(path)) {
            let _ = plain::remove(&self.session.pipeline.root.join(path));
        }
    }

    /// The flow reports that it is settled.
    pub(super) fn settled(&mut self, node: NodeId, key: Option<Key>, how: How) {
        let Node::Stage(stage) = *self.planner.wiring.node(node) else { return };
        let mut known = self.results.remove(&node).unwrap_or_default();
        if how == How::Blocked
            && let Some(reason) = self.broken_source(node)
        {
            (known.outcome, known.reason) = (Some(Outcome::Failed), reason);
        }
        let outcome = known.outcome.unwrap_or(match how {
            How::UpToDate | How::Unchanged => Outcome::UpToDate,
            How::Hit => Outcome::Hit,
            How::Ran => Outcome::Ran,
            How::Failed => Outcome::Failed,
            How::Blocked => Outcome::Skipped,
        });
        let stage = self.session.pipeline.stage(stage);
        let mut finished = Finished {
            stage: stage.name.clone(),
            outcome,
            key,
            seconds: known.seconds,
            reason: known.reason,
            notes: known.notes,
            advice: known.advice,
        };
        match outcome {
            Outcome::UpToDate => {
                let record = self.session.index.stages.get(&self.session.record_name(stage));
                finished.seconds = record.map_or(0.0, |record| record.seconds);
            }
            Outcome::Skipped => finished.reason = self.planner.blocked_by(self.session, node),
            _ => {}
        }
        self.totals.add(&finished);
        self.planner.note_outcome(node, outcome);
        self.record_settled(node, &finished);
        self.reporter.tell(&Event::Finished(finished));
    }

    /// Why a late source that the stage reads can't be read, if so: then the stage itself has failed.
    fn broken_source(&self, node: NodeId) -> Option<String> {
        let mut sources = self.planner.wiring.slots(node).iter().map(|slot| slot.from);
        let is_source = |from: &NodeId| matches!(self.planner.wiring.node(*from), Node::Source { .. });
        let broken = |from: NodeId| self.results.get(&from).map(|known| known.reason.clone());
        sources.find(|from| is_source(from) && self.results.contains_key(from)).and_then(broken)
    }

    /// After an interrupt: reports stages that hadn't started as cancelled, so that each stage has its line. After the jobs
    /// were left to batch systems: reports those, and the stages that wait for them.
    pub(super) fn give_up_the_rest(&mut self) {
        let wiring = Rc::clone(&self.planner.wiring);
        for (node, what) in wiring.iter() {
            if matches!(what, Node::Stage(_)) && !self.planner.is_settled(node) {
                let is_left = |known: &Known| known.outcome == Some(Outcome::Submitted);
                if !self.results.get(&node).is_some_and(is_left) {
                    let (outcome, reason) = if self.has_left {
                        (Outcome::Pending, "waits for submitted stages")
                    } else {
                        (Outcome::Cancelled, "not started")
                    };
                    let known = Known { outcome: Some(outcome), reason: reason.to_owned(), ..Known::default() };
                    self.results.insert(node, known);
                }
                self.settled(node, None, How::Blocked);
            }
        }
    }
}
