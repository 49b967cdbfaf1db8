//! The running jobs and the queues of a run: stages that wait for room, look-ups that wait for a place.
//!
//! Starts nothing and knows neither flow nor pipeline.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use crate::digest::Key;
use crate::exec::control::Control;
use crate::flow::NodeId;

use super::fetching::Fetching;
use super::jobs::GRACE;
use super::message::{JobId, Message};
use super::news::News;
use super::pulse::Pulse;
use super::ready::Ready;
use super::slots::Lent;

/// How long to wait between two checks of a place that another process reads or writes.
const PLACE_INTERVAL: Duration = Duration::from_millis(200);
/// Between kills of a job that doesn't end, so that the loop doesn't spin.
const PATIENCE: Duration = Duration::from_millis(500);

/// What runs and what waits.
#[derive(Default)]
pub(super) struct Jobs {
    pub(super) ready: Ready,
    pub(super) running: HashMap<JobId, Running>,
    /// Look-ups that wait for a job to leave the place of their outputs.
    pub(super) held: VecDeque<(NodeId, Key)>,
    /// Look-ups that wait for another process to leave a place.
    pub(super) waiting: Waiting,
    /// Look-ups that wait for shared caches.
    pub(super) fetching: Fetching,
    pub(super) started: u64,
}

/// Look-ups that are retried at intervals: nothing signals when a place becomes free.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) nodes: HashMap<NodeId, Key>,
    /// Those whose waiting was reported.
    pub(super) told: HashMap<NodeId, Key>,
    pub(super) next: Option<Instant>,
}

/// A job that runs.
pub(super) struct Running {
    /// The node that wants it; `None` once the flow has withdrawn the request, or the pipeline file has changed.
    pub(super) node: Option<NodeId>,
    /// The key that it computes.
    pub(super) key: Key,
    pub(super) stage: String,
    /// Where its outputs are put.
    pub(super) places: Vec<PathBuf>,
    /// For a job started under another version of the pipeline file: the node with the same outputs, which may come to want it.
    pub(super) successor: Option<NodeId>,
    pub(super) control: Arc<Control>,
    /// What it occupies; `None` once it only copies its result to shared caches.
    pub(super) lent: Option<Lent>,
    pub(super) started: Instant,
    pub(super) pulse: Pulse,
    /// When to kill it; `None` until it is asked to stop.
    pub(super) kill_at: Option<Instant>,
    /// Whether it goes on without this program, once it was submitted.
    pub(super) can_be_left: bool,
    /// Whether a batch system has it.
    pub(super) is_submitted: bool,
}

impl Running {
    /// Whether it was asked to stop.
    pub(super) fn is_ending(&self) -> bool {
        self.kill_at.is_some()
    }

    /// Asks it to save and stop, once.
    pub(super) fn end(&mut self) {
        if self.kill_at.is_none() {
            self.control.stop();
            self.kill_at = Some(Instant::now() + GRACE);
        }
    }
}

impl Jobs {
    /// Whether nothing runs. Ready stages are started by the next dispatch.
    pub(super) fn are_done(&self) -> bool {
        self.running.is_empty() && self.waiting.nodes.is_empty() && self.fetching.is_empty()
    }

    /// The node that wants a job, if one still does.
    pub(super) fn node_of(&self, job: JobId) -> Option<NodeId> {
        self.running.get(&job)?.node
    }

    /// An unwanted job that may still write to one of these places.
    pub(super) fn left_over<'p>(&self, places: impl Iterator<Item = &'p Path> + Clone) -> Option<&Running> {
        let writes = |running: &&Running| places.clone().any(|place| running.places.iter().any(|own| own == place));
        self.running.values().filter(|running| running.node.is_none()).find(writes)
    }

    /// Hands the running jobs to the next run of `watch`; until then none is wanted.
    pub(super) fn hand_over(&mut self) -> Jobs {
        let mut running = std::mem::take(&mut self.running);
        running.values_mut().for_each(|running| running.node = None);
        Jobs { running, started: self.started, ..Jobs::default() }
    }

    /// Whether a job of this node runs or waits.
    pub(super) fn has(&self, node: NodeId) -> bool {
        let is_held = || {
            self.held.iter().any(|(held, _)| *held == node)
                || self.waiting.nodes.contains_key(&node)
                || self.fetching.has(node)
        };
        self.running.values().any(|running| running.node == Some(node)) || self.ready.has(node) || is_held()
    }

    /// Holds a look-up back until the place of its outputs is free.
    pub(super) fn hold(&mut self, node: NodeId, key: Key) {
        self.held.push_back((node, key));
    }

    /// A job has reported something.
    pub(super) fn hear(&mut self, job: JobId, news: &News) {
        let Some(running) = self.running.get_mut(&job) else { return };
        match news {
            News::Standing(_) => {
                running.is_submitted = true;
                // It may wait for days.
                running.pulse.excuse();
            }
            News::Waiting(_) | News::Storing | News::Pushing(_) => running.pulse.excuse(),
            _ => running.pulse.hear(Instant::now()),
        }
    }

    /// Holds a look-up back until the next retry. Returns whether this is the first time.
    pub(super) fn wait_for_place(&mut self, node: NodeId, key: Key) -> bool {
        self.waiting.next.get_or_insert_with(|| Instant::now() + PLACE_INTERVAL);
        self.waiting.nodes.insert(node, key);
        self.waiting.told.insert(node, key) != Some(key)
    }

    /// The look-ups that waited for another process and are due for a retry.
    pub(super) fn due_look_ups(&mut self) -> Vec<(NodeId, Key)> {
        if self.waiting.next.is_none_or(|next| next > Instant::now()) {
            return Vec::new();
        }
        self.waiting.next = None;
        std::mem::take(&mut self.waiting.nodes).into_iter().collect()
    }

    /// The next message; `None` when it is time to check the jobs or to retry look-ups.
    pub(super) fn next_message(&self, receive: &Receiver<Message>) -> Option<Message> {
        let moments = |running: &Running| running.kill_at.into_iter().chain(running.pulse.due());
        match self.running.values().flat_map(moments).chain(self.waiting.next).min() {
            None => Some(receive.recv().expect("whoever listens holds a sender, too")),
            Some(moment) => receive.recv_timeout(moment.saturating_duration_since(Instant::now())).ok(),
        }
    }

    /// Kills jobs whose time to stop is over.
    pub(super) fn kill_overdue(&mut self) {
        let now = Instant::now();
        for running in self.running.values_mut().filter(|running| running.kill_at.is_some_and(|at| at <= now)) {
            running.control.kill();
            running.kill_at = Some(now + PATIENCE);
        }
    }
}
