//! Starts stages as jobs, each on its own thread, while there is room, and handles their end.
//!
//! Knows slots, keys and threads; not what a stage does, nor whether it is needed. A job belongs to the node that requested it
//! until the flow withdraws the request; then the job is asked to save and stop, and frees its place when it has ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::digest::Key;
use crate::event::{Event, Outcome};
use crate::exec::Failure;
use crate::exec::control::Control;
use crate::exec::executor::Work;
use crate::flow::{Failed, NodeId};
use crate::measures::duration;
use crate::pipeline::{Stage, StageId};
use crate::shell;

use super::fetching::Fetching;
use super::jobs::{Context, Order, Performed};
use super::lookout::Lookout;
use super::message::{JobId, Message};
use super::news::News;
use super::orders;
use super::priority;
use super::pulse::{self, Pulse};
use super::slots::Need;
use super::state::{Known, Run};
use super::under_way::{Jobs, Running, Waiting};
use super::wiring::Node;

/// Signals this close together count as one.
const SAME_WISH: Duration = Duration::from_millis(300);

impl Run<'_> {
    /// Warns of jobs that have been silent for long.
    pub(super) fn tell_of_silence(&mut self) {
        let now = Instant::now();
        for running in self.jobs.running.values_mut() {
            let log = self.session.store.log_path(running.key);
            let length = || std::fs::metadata(&log).map_or(0, |metadata| metadata.len());
            if running.pulse.is_news(now, length) {
                let file = self.session.pipeline.file.to_string_lossy();
                let file = shell::word(&file);
                let text = format!(
                    "{stage} has written nothing for {silence}: no progress, no line in its log. It may still be computing; \
                     `intrada-run log {file} {stage_word}` shows its log, `top` and `nvidia-smi` whether it computes",
                    stage = running.stage,
                    silence = duration(running.pulse.limit().as_secs_f64()),
                    stage_word = shell::word(&running.stage),
                );
                self.reporter.tell(&Event::Warning(text));
            }
        }
    }

    /// The flow wants a stage to run: now, when there is room, or as the job that already computes it. A late source that has to
    /// run can't be read, and a refused stage that has to run has failed.
    pub(super) fn want(&mut self, node: NodeId, key: Key) {
        if self.planner.wiring.node(node).stage().is_none() || self.refused.remove(&(node, key)) {
            return self.planner.engine.done(node, key, Err(Failed));
        }
        let is_it = |running: &&mut Running| {
            running.node.is_none() && !running.is_ending() && running.key == key && running.successor == Some(node)
        };
        if let Some(running) = self.jobs.running.values_mut().find(is_it) {
            running.node = Some(node);
            let (stage, reason) = (running.stage.clone(), "is running already".to_owned());
            self.record_start(&stage, key);
            self.reporter.tell(&Event::Started { stage, key, reason: reason.clone() });
            self.results.insert(node, Known { reason, ..Known::default() });
            return;
        }
        self.wait(node, key);
    }

    /// Queues a stage until there is room.
    fn wait(&mut self, node: NodeId, key: Key) {
        if !self.jobs.ready.is_ranked() {
            let wiring = &self.planner.wiring;
            let needed = wiring.iter().filter_map(|(_, what)| what.stage());
            let remaining = priority::remaining(&self.session.graph, &priority::expected(self.session, needed));
            let nodes = wiring.iter().map(|(_, what)| what.stage().map(|stage| remaining[stage.index()]));
            self.jobs.ready.rank(priority::ranks(&nodes.collect::<Vec<_>>()));
        }
        let need = self.need(node);
        self.jobs.ready.push(node, key, need);
    }

    /// What a stage needs whose inputs are known.
    fn need(&self, node: NodeId) -> Need {
        let pipeline = &self.session.pipeline;
        let stage = pipeline.stage(self.stage(node));
        Need { jobs: orders::most_jobs(&self.planner, node, stage), ..self.slots.need(pipeline, stage) }
    }

    /// The flow no longer wants it. Its resume slot is kept in case the key comes back.
    pub(super) fn cancel(&mut self, node: NodeId, key: Key) {
        self.jobs.ready.remove(node);
        self.jobs.held.retain(|waiting| *waiting != (node, key));
        self.jobs.fetching.cancel((node, key));
        if self.jobs.waiting.nodes.get(&node) == Some(&key) {
            self.jobs.waiting.nodes.remove(&node);
        }
        let wanted = |running: &&mut Running| running.node == Some(node) && running.key == key;
        if let Some(running) = self.jobs.running.values_mut().find(wanted) {
            running.node = None;
            running.end();
            self.reporter.tell(&Event::Dropped { stage: running.stage.clone() });
        }
    }

    /// Starts ready stages while there is room. Returns whether one failed at once because it couldn't be started.
    pub(super) fn dispatch(&mut self) -> bool {
        if self.interrupted.is_some() || self.has_left {
            self.jobs.waiting = Waiting::default();
            self.jobs.fetching = Fetching::default();
            self.jobs.ready.clear();
            return false;
        }
        self.end_left_over();
        let mut came_out = false;
        while let Some((node, key)) = self.next_to_start() {
            self.jobs.ready.remove(node);
            came_out |= !self.start(node, key);
        }
        self.preempt();
        came_out
    }

    fn next_to_start(&self) -> Option<(NodeId, Key)> {
        let has_room = |need: &Need| self.slots.has_room(need);
        // Not before its key is certain, though the flow still wants it.
        let may_start = |node, key| !self.planner.engine.is_in_doubt(node) && !self.is_in_the_way(node, key);
        self.jobs.ready.first(has_room, may_start)
    }

    /// If every running job may be obsolete, stops them all to make room for the stages that decide it: a long training must not
    /// delay the stage that re-makes its input. Their checkpoints are kept in case their keys stay the same. Of jobs in several
    /// places only those count that take room from such a stage.
    fn preempt(&mut self) {
        let engine = &self.planner.engine;
        let in_doubt = |running: &Running| running.node.is_none_or(|node| engine.is_in_doubt(node));
        if !self.jobs.running.values().any(in_doubt) {
            return;
        }
        let needs: Vec<&Need> = self.jobs.ready.needs(|node| !engine.is_in_doubt(node)).collect();
        let is_in_its_way = |running: &Running| {
            needs.iter().any(|need| running.lent.as_ref().is_some_and(|lent| lent.competes_with(need)))
        };
        if !self.jobs.running.values().filter(|running| is_in_its_way(running)).all(in_doubt) {
            return;
        }
        let mut taken = Vec::new();
        let running = self.jobs.running.values_mut().filter(|running| is_in_its_way(running));
        for running in running.filter(|running| !running.is_ending()) {
            running.end();
            self.reporter.tell(&Event::Dropped { stage: running.stage.clone() });
            // The flow still wants it.
            taken.extend(running.node.take().map(|node| (node, running.key)));
        }
        taken.into_iter().for_each(|(node, key)| self.wait(node, key));
    }

    /// Takes over the jobs of another pipeline file: each is wanted here too, may become wanted, or is stopped.
    pub(super) fn take_over(&mut self, jobs: Jobs) {
        self.jobs = jobs;
        let (wiring, pipeline) = (&self.planner.wiring, &self.session.pipeline);
        for running in self.jobs.running.values_mut() {
            running.lent.iter().for_each(|lent| self.slots.reserve(lent));
            let is_there = |stage: &Stage| stage.outputs.iter().map(|output| &output.path).eq(&running.places);
            let successor =
                wiring.iter().find(|(_, what)| what.stage().is_some_and(|stage| is_there(pipeline.stage(stage))));
            running.successor = successor.map(|(node, _)| node);
        }
    }

    /// Stops jobs that no stage can want any more: no stage has their outputs, or its key differs.
    fn end_left_over(&mut self) {
        let planner = &self.planner;
        let may_want = |node: NodeId| !planner.is_settled(node) && planner.keys.manifest(node).is_none();
        for running in self.jobs.running.values_mut() {
            if running.node.is_none() && !running.is_ending() && !running.successor.is_some_and(may_want) {
                running.end();
                self.reporter.tell(&Event::Dropped { stage: running.stage.clone() });
            }
        }
    }

    /// Whether a running job keeps a stage from starting: one with the same key, whose result it will share, or an unwanted job
    /// that writes to the places of its outputs.
    fn is_in_the_way(&self, node: NodeId, key: Key) -> bool {
        let places = self.session.pipeline.stage(self.stage(node)).outputs.iter().map(|output| &*output.path);
        self.jobs.running.values().any(|running| running.key == key) || self.jobs.left_over(places).is_some()
    }

    /// The stage of a waiting or running node.
    fn stage(&self, node: NodeId) -> StageId {
        self.planner.wiring.node(node).stage().expect("a late source never waits for room")
    }

    /// Returns whether it could be started; if not, its failure is already reported to the flow.
    fn start(&mut self, node: NodeId, key: Key) -> bool {
        let stage = self.stage(node);
        let need = self.need(node);
        let lent = self.slots.lend(&need).expect("whoever starts a stage has asked whether there is room");
        let is_forced = self.options.force.contains(&stage);
        let reason = if is_forced { "forced".to_owned() } else { self.planner.reason(self.session, node, false) };
        let device = self.options.device.as_deref().unwrap_or(&self.session.pipeline.device);
        let described = self.session.pipeline.stage(stage);
        let executor = self.session.executor_of(described);
        let order = executor.and_then(|executor| {
            let order = orders::order(self.session, &self.planner, node, key, &lent, device, &*executor)?;
            Ok((order, executor))
        });
        let (mut order, executor) = match order {
            Ok(order) => order,
            Err(failure) => {
                self.slots.take_back(lent);
                self.came_out(node, key, Err(failure));
                return false;
            }
        };
        order.forced = is_forced;
        order.pushes_later = self.options.pushes_later;
        let name = self.session.pipeline.stage(stage).name.clone();
        order.unfinished = self.session.unfinished(self.session.pipeline.stage(stage));
        self.session.note_attempt(self.session.pipeline.stage(stage), key, &order.unfinished);
        self.record_start(&name, key);
        self.reporter.tell(&Event::Started { stage: name.clone(), key, reason: reason.clone() });
        self.results.insert(node, Known { reason, ..Known::default() });
        let control = Arc::new(Control::default());
        let running = Running {
            node: Some(node),
            key,
            stage: name,
            places: order.outputs.iter().map(|output| output.path.clone()).collect(),
            successor: None,
            control: Arc::clone(&control),
            lent: Some(lent),
            started: Instant::now(),
            pulse: Pulse::new(Instant::now(), pulse::limit()),
            kill_at: None,
            can_be_left: executor.is_batch() && matches!(order.work, Work::Worker(..)),
            is_submitted: false,
        };
        let lookout = self.lookout(node, &order);
        let job = JobId(self.jobs.started);
        self.jobs.started += 1;
        self.jobs.running.insert(job, running);
        let store = Arc::clone(&self.session.store);
        let send = self.send.clone();
        std::thread::spawn(move || {
            let tell = |news| drop(send.send(Message::News(job, news)));
            let context = Context { store: &store, executor: &*executor, control: &control, tell: &tell };
            let pushes_later = order.pushes_later;
            let perform = || order.perform(&context);
            let result = match lookout {
                Some(lookout) => lookout.during(&control, |text| tell(News::Remark(text)), perform),
                None => perform(),
            };
            // The loop listens until every job has answered.
            let _ = send.send(Message::Ended(job, Box::new(result)));
            if pushes_later {
                // As far as it gets until the run ends. The rest stays noted.
                let _ = store.push(key, &mut |_| true);
            }
        });
        true
    }

    /// The lookout for a worker's job, unless changes are reported by a watch.
    fn lookout(&self, node: NodeId, order: &Order) -> Option<Lookout> {
        let Work::Worker(job, _) = &order.work else { return None };
        let kind = self.session.pipeline.stage(self.stage(node)).kind;
        let guard = || self.planner.guard(self.session, node);
        (!self.hears_of_changes).then(|| Lookout::new(guard(), &order.root, kind, job))
    }

    /// A job occupies nothing any more, though it hasn't ended.
    pub(super) fn release(&mut self, job: JobId) {
        let lent = self.jobs.running.get_mut(&job).and_then(|running| running.lent.take());
        lent.into_iter().for_each(|lent| self.slots.take_back(lent));
    }

    /// A job has ended. Returns the look-ups that waited for its place.
    pub(super) fn ended(&mut self, job: JobId, result: Result<Performed, Failure>) -> Vec<(NodeId, Key)> {
        let running = self.jobs.running.remove(&job).expect("a job ends once");
        running.lent.into_iter().for_each(|lent| self.slots.take_back(lent));
        match running.node {
            Some(node) => {
                self.results.entry(node).or_default().seconds = running.started.elapsed().as_secs_f64();
                self.came_out(node, running.key, result);
                Vec::new()
            }
            // Its result is in the cache if it is wanted again.
            None => std::mem::take(&mut self.jobs.held).into(),
        }
    }

    /// Leaves the jobs to their batch systems, if that was asked for and nothing else is left to do here.
    pub(super) fn leave_if_due(&mut self) {
        let running = &self.jobs.running;
        let is_due = self.options.detach
            && !self.has_left
            && self.jobs.waiting.nodes.is_empty()
            && self.jobs.fetching.is_empty()
            && running.values().all(|running| running.can_be_left && running.is_submitted);
        if is_due {
            self.leave();
        }
    }

    /// Leaves the jobs to their batch systems. Those that can't go on without this program save and stop.
    pub(super) fn leave(&mut self) {
        self.has_left = true;
        for running in self.jobs.running.values_mut() {
            if running.can_be_left { running.control.leave() } else { running.end() }
        }
    }

    /// Tells the flow how a stage came out.
    fn came_out(&mut self, node: NodeId, key: Key, result: Result<Performed, Failure>) {
        let Node::Stage(stage) = *self.planner.wiring.node(node) else { return };
        let result = match result {
            Ok(Performed { trace, placed, fresh, earlier }) => {
                self.self_writes.ran(node);
                let known = self.results.entry(node).or_default();
                known.outcome = Some(if fresh { Outcome::Ran } else { Outcome::Hit });
                (known.seconds, known.notes) = (trace.seconds - earlier, trace.note.clone());
                Ok(self.note_placed(node, stage, &trace, placed))
            }
            // Not settled: it goes on elsewhere.
            Err(failure @ Failure::Left(_)) => return self.note_failure(node, stage, key, failure),
            Err(failure) => {
                self.note_failure(node, stage, key, failure);
                Err(Failed)
            }
        };
        self.planner.engine.done(node, key, result);
    }

    /// The user or the system asks the run to stop.
    pub(super) fn interrupt(&mut self) {
        // `timeout` and batch systems signal both the process and its group: one request, not two.
        let since = *self.interrupted.get_or_insert_with(Instant::now);
        let again = since.elapsed() > SAME_WISH;
        if !again && self.told_interrupt {
            return;
        }
        self.told_interrupt = true;
        for running in self.jobs.running.values_mut() {
            if again { running.control.kill() } else { running.end() }
        }
        if !again {
            let text = "interrupted: saving checkpoints and stopping; Ctrl-C again kills immediately".to_owned();
            self.reporter.tell(&Event::Warning(text));
        }
    }
}
