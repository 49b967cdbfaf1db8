//! One run, from the flow's first commands to the last settled stage.
//!
//! Knows no kind and no file format: commands of the flow come in, jobs go out, messages of their threads come back. All
//! state of a run lives in one struct on one thread; what is shared with job threads is the store and a way to stop them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::digest::{ArtifactDigest, Key};
use crate::exec::job::Event as Said;
use crate::exec::process::Control;
use crate::exec::{self, Failure};
use crate::flow::{Command, Failed, How, NodeId, Outputs};
use crate::plan::sources;
use crate::report::{Advice, Event, Finished, Outcome, Reporter, Totals};
use crate::spec::{Problems, StageId};
use crate::store::index::{PlacedOutput, StageRecord};
use crate::store::{Artifact, Trace};

use super::jobs::{self, GRACE, News, Performed};
use super::planner::{Planner, manner};
use super::session::Session;
use super::slots::{Lent, Slots};
use super::wiring::Node;
use super::{Ended, Options, orders, priority, warning};

/// Signals this close together are one.
const SAME_WISH: Duration = Duration::from_millis(300);
/// The index is written at most this often while stages end: after each of ten thousand would cost more than the stages.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// Lines of its log that a failed stage shows.
const LOG_LINES: usize = 10;

/// The wish to stop, from another thread: once to save, twice to end at once. Without a run it does nothing.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<Mutex<Option<Sender<Message>>>>);

impl Interrupt {
    /// Utters it. `false`: nothing is running that could be stopped.
    pub fn now(&self) -> bool {
        let listener = self.0.lock().expect("no code panics while it holds this lock");
        listener.as_ref().is_some_and(|send| send.send(Message::Interrupt).is_ok())
    }

    fn listen(&self, send: Option<Sender<Message>>) {
        *self.0.lock().expect("no code panics while it holds this lock") = send;
    }
}

/// Runs what is invalid and restores what is cached.
///
/// # Errors
/// What is wrong with the sources, before anything runs.
pub fn run(
    session: &mut Session,
    options: &Options,
    reporter: &mut dyn Reporter,
    interrupt: &Interrupt,
) -> Result<Ended, Problems> {
    let started = Instant::now();
    let planned = Planner::new(session, &options.targets, &options.force);
    if planned.is_err() {
        // What was read of the sources needn't be read again once they are mended.
        let _ = session.save();
    }
    let (planner, commands) = planned?;
    for problem in sources::once_each(planner.keys.warnings()) {
        reporter.tell(&warning(session, &problem));
    }
    let (send, receive) = mpsc::channel();
    interrupt.listen(Some(send.clone()));
    let device = options.device.as_deref().unwrap_or(&session.pipeline.device);
    let slots = Slots::new(&session.pipeline, options.jobs, device);
    let mut run = Run {
        session,
        options,
        reporter,
        planner,
        slots,
        totals: Totals::default(),
        ready: VecDeque::new(),
        is_sorted: true,
        remaining: Vec::new(),
        running: HashMap::new(),
        results: HashMap::new(),
        send,
        changed: false,
        save_at: started,
        interrupted: None,
        told_interrupt: false,
    };
    run.carry_out(commands);
    run.listen_to_the_end(&receive);
    interrupt.listen(None);
    let interrupted = run.interrupted.is_some();
    if interrupted {
        run.give_up_the_rest();
    }
    let artifacts = run.artifacts();
    let mut totals = run.totals;
    totals.seconds = started.elapsed().as_secs_f64();
    run.close(totals);
    Ok(Ended { totals, interrupted, artifacts })
}

/// Until then, but at least a moment: a job that even a kill doesn't end must not make the loop spin.
fn wait_until(moment: Instant) -> Duration {
    moment.saturating_duration_since(Instant::now()).max(Duration::from_millis(500))
}

/// What job threads and signals tell the loop.
enum Message {
    News(NodeId, News),
    Ended(NodeId, Key, Box<Result<Performed, Failure>>),
    Interrupt,
}

struct Running {
    key: Key,
    control: Arc<Control>,
    /// What it occupies.
    lent: Lent,
    started: Instant,
}

/// How a node came out, kept until the flow has heard of it and says that it is settled.
#[derive(Default)]
struct Known {
    outcome: Option<Outcome>,
    seconds: f64,
    reason: String,
    notes: BTreeMap<String, String>,
    advice: Advice,
}

struct Run<'a> {
    session: &'a mut Session,
    options: &'a Options,
    reporter: &'a mut dyn Reporter,
    planner: Planner,
    slots: Slots,
    totals: Totals,
    /// Stages that have to run and wait for a slot, the most urgent first once they are sorted.
    ready: VecDeque<(NodeId, Key)>,
    is_sorted: bool,
    /// Of each stage the seconds from its start to the end of all; empty until there is a choice.
    remaining: Vec<f64>,
    running: HashMap<NodeId, Running>,
    results: HashMap<NodeId, Known>,
    send: Sender<Message>,
    /// Whether the index on disk is out of date. A run killed before it is written finds its results in the cache.
    changed: bool,
    /// When the index is written next.
    save_at: Instant,
    /// When the first interrupt came.
    interrupted: Option<Instant>,
    /// Whether the jobs have been told of it.
    told_interrupt: bool,
}

impl Run<'_> {
    /// Dispatches and listens until nothing is left to do.
    fn listen_to_the_end(&mut self, receive: &Receiver<Message>) {
        loop {
            self.dispatch();
            if self.running.is_empty() {
                break;
            }
            let message = match self.interrupted {
                None => receive.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(since) => receive.recv_timeout(wait_until(since + GRACE)),
            };
            match message {
                Ok(Message::News(node, news)) => self.tell(node, news),
                Ok(Message::Ended(node, key, result)) => self.ended(node, key, *result),
                Ok(Message::Interrupt) => self.interrupt(),
                Err(_) => self.running.values().for_each(|running| running.control.kill()),
            }
        }
        if self.interrupted.is_none() {
            let unsettled = self.planner.engine.unsettled();
            assert!(
                unsettled.is_empty(),
                "the graph is acyclic and every request was answered, yet {unsettled:?} wait"
            );
        }
    }

    /// After an interrupt: stages that hadn't begun are said to be cancelled, so that each stage has its line.
    fn give_up_the_rest(&mut self) {
        let wiring = Rc::clone(&self.planner.wiring);
        for (node, what) in wiring.iter() {
            if matches!(what, Node::Stage(_)) && !self.planner.is_settled(node) {
                let reason = "not begun".to_owned();
                self.results.insert(node, Known { outcome: Some(Outcome::Cancelled), reason, ..Known::default() });
                self.settled(node, None, How::Blocked);
            }
        }
    }

    /// What each stage gave or had given.
    fn artifacts(&self) -> HashMap<StageId, Rc<[Artifact]>> {
        let stages = self.planner.wiring.iter().filter_map(|(node, what)| match what {
            Node::Stage(stage) => Some((*stage, self.planner.keys.artifacts(node)?)),
            Node::Source { .. } => None,
        });
        stages.collect()
    }

    fn carry_out(&mut self, commands: Vec<Command>) {
        let mut queue = VecDeque::from(commands);
        while let Some(command) = queue.pop_front() {
            match command {
                Command::LookUp { stage, key } => {
                    self.look_up(stage, key);
                    queue.extend(self.planner.engine.step());
                }
                Command::Run { stage, key } => {
                    self.ready.push_back((stage, key));
                    self.is_sorted = false;
                }
                // A run takes its sources as they were when it began, so no key changes under a job.
                Command::Cancel { .. } => unreachable!("sources are told once a run"),
                Command::Settled { stage, key, how } => self.settled(stage, key, how),
            }
        }
    }

    fn look_up(&mut self, node: NodeId, key: Key) {
        let Node::Stage(stage) = *self.planner.wiring.node(node) else { return self.look_at_late_source(node, key) };
        if self.options.force.contains(&stage) {
            return self.planner.engine.absent(node, key);
        }
        match self.restore(stage, key) {
            Some((trace, placed)) => {
                let reason = self.planner.reason(self.session, node);
                let notes = trace.note.clone();
                let result = Known {
                    outcome: Some(Outcome::Hit),
                    seconds: trace.seconds,
                    reason,
                    notes,
                    advice: Advice::default(),
                };
                self.results.insert(node, result);
                let outputs = self.note_placed(node, stage, &trace, placed);
                self.planner.engine.found(node, key, outputs);
            }
            None => self.planner.engine.absent(node, key),
        }
    }

    /// Puts the outputs of a cached key in place. Whatever is wrong with them makes it a miss.
    fn restore(&mut self, stage: StageId, key: Key) -> Option<(Trace, Vec<PlacedOutput>)> {
        let pipeline = &self.session.pipeline;
        let stage = pipeline.stage(stage);
        let placed = match self.session.store.load(key) {
            Ok(None) => return None,
            Ok(Some(trace)) => {
                let outputs = orders::destinations(stage);
                jobs::place(&self.session.store, &pipeline.root, &outputs, manner(stage), &trace)
                    .map(|placed| placed.map(|placed| (trace, placed)))
            }
            Err(error) => Err(error),
        };
        match placed {
            Ok(placed) => placed,
            Err(error) => {
                let text = format!("the cached outputs of {stage} can't be used, so it runs: {}", jobs::whole(&error));
                self.reporter.tell(&Event::Warning(text));
                None
            }
        }
    }

    /// Its producers are done, so now it can be looked at.
    fn look_at_late_source(&mut self, node: NodeId, key: Key) {
        match self.planner.look(self.session, node) {
            Ok(digest) => {
                for problem in self.planner.keys.found(node).iter().flat_map(|found| &found.warnings) {
                    self.reporter.tell(&warning(self.session, problem));
                }
                self.planner.engine.found(node, key, Rc::new([digest]));
            }
            Err(problems) => {
                let text: Vec<String> = problems.into_iter().map(|problem| problem.title).collect();
                self.results.insert(node, Known { reason: text.join("; "), ..Known::default() });
                self.planner.engine.absent(node, key);
            }
        }
    }

    fn dispatch(&mut self) {
        if self.interrupted.is_some() {
            return self.ready.clear();
        }
        self.sort_ready();
        let mut waiting = Vec::new();
        while let Some((node, key)) = self.ready.pop_front() {
            let Node::Stage(stage) = *self.planner.wiring.node(node) else {
                self.fail_late_source(node, key);
                continue;
            };
            // A twin with the same key is on its way: its result will be ours, too.
            let has_twin = self.running.values().any(|running| running.key == key);
            let lent = if has_twin { None } else { self.slots.lend(self.session.pipeline.stage(stage)) };
            match lent {
                None => waiting.push((node, key)),
                Some(lent) => self.start(node, stage, key, lent),
            }
            if self.slots.are_all_lent() {
                break;
            }
        }
        waiting.into_iter().rev().for_each(|entry| self.ready.push_front(entry));
    }

    /// The longest way to the end comes first; where there is no choice nobody asks for it.
    fn sort_ready(&mut self) {
        if std::mem::replace(&mut self.is_sorted, true) || self.ready.len() < 2 {
            return;
        }
        let wiring = Rc::clone(&self.planner.wiring);
        if self.remaining.is_empty() {
            let needed = wiring.iter().filter_map(|(_, what)| what.stage());
            self.remaining = priority::remaining(&self.session.graph, &priority::expected(self.session, needed));
        }
        let remaining = |(node, _): &(NodeId, Key)| match wiring.node(*node).stage() {
            Some(stage) => self.remaining[stage.index()],
            // Nothing runs: its reader fails at once.
            None => f64::INFINITY,
        };
        self.ready.make_contiguous().sort_by(|a, b| remaining(b).total_cmp(&remaining(a)));
    }

    fn fail_late_source(&mut self, node: NodeId, key: Key) {
        self.planner.engine.done(node, key, Err(Failed));
        let commands = self.planner.engine.step();
        self.carry_out(commands);
    }

    fn start(&mut self, node: NodeId, stage: StageId, key: Key, lent: Lent) {
        let reason = if self.options.force.contains(&stage) {
            "forced".to_owned()
        } else {
            self.planner.reason(self.session, node)
        };
        let device = self.options.device.as_deref().unwrap_or(&self.session.pipeline.device);
        let mut order = match self.planner.order(self.session, node, key, &lent, device) {
            Ok(order) => order,
            Err(failure) => {
                self.slots.take_back(lent);
                return self.ended(node, key, Err(failure));
            }
        };
        order.forced = self.options.force.contains(&stage);
        let name = self.session.pipeline.stage(stage).name.clone();
        self.note_attempt(stage, key);
        self.reporter.tell(&Event::Started { stage: name, reason: reason.clone() });
        self.results.insert(node, Known { reason, ..Known::default() });
        let control = Arc::new(Control::default());
        self.running.insert(node, Running { key, control: Arc::clone(&control), lent, started: Instant::now() });
        let (store, send) = (Arc::clone(&self.session.store), self.send.clone());
        std::thread::spawn(move || {
            let tell = |news| drop(send.send(Message::News(node, news)));
            let result = order.perform(&store, &control, &tell);
            // The loop listens until every job it started has answered.
            let _ = send.send(Message::Ended(node, key, Box::new(result)));
        });
    }

    /// So that `log` finds the log while the stage runs and after it failed. Not worth failing for.
    fn note_attempt(&self, stage: StageId, key: Key) {
        let path = self.session.attempt_path(self.session.pipeline.stage(stage));
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let _ = written.and_then(|()| std::fs::write(&path, key.to_string()));
    }

    fn tell(&mut self, node: NodeId, news: News) {
        let Node::Stage(stage) = *self.planner.wiring.node(node) else { return };
        let stage = self.session.pipeline.stage(stage).name.clone();
        let event = match news {
            News::Waiting(Some(holder)) => {
                Event::Waiting { stage, holder: format!("process {} on {}", holder.pid, holder.host) }
            }
            News::Waiting(None) => Event::Waiting { stage, holder: "another process".to_owned() },
            News::Retrying(at) => Event::Retrying { stage, attempt: at.attempt, of: at.of, reason: at.reason },
            News::Event(Said::Resumed { at }) => Event::Resumed { stage, at },
            News::Event(Said::Progress { done, total, unit, values }) => {
                Event::Progress { stage, done, total, unit, values }
            }
            News::Event(_) => return,
        };
        self.reporter.tell(&event);
    }

    fn ended(&mut self, node: NodeId, key: Key, result: Result<Performed, Failure>) {
        if let Some(running) = self.running.remove(&node) {
            self.slots.take_back(running.lent);
            self.results.entry(node).or_default().seconds = running.started.elapsed().as_secs_f64();
        }
        let Node::Stage(stage) = *self.planner.wiring.node(node) else { return };
        let result = match result {
            Ok(Performed { trace, placed, fresh }) => {
                let known = self.results.entry(node).or_default();
                known.outcome = Some(if fresh { Outcome::Ran } else { Outcome::Hit });
                (known.seconds, known.notes) = (trace.seconds, trace.note.clone());
                Ok(self.note_placed(node, stage, &trace, placed))
            }
            Err(failure) => {
                self.note_failure(node, stage, key, failure);
                Err(Failed)
            }
        };
        self.planner.engine.done(node, key, result);
        let commands = self.planner.engine.step();
        self.carry_out(commands);
        if self.changed && Instant::now() >= self.save_at {
            self.save();
            self.save_at = Instant::now() + SAVE_INTERVAL;
        }
    }

    fn note_failure(&mut self, node: NodeId, stage: StageId, key: Key, failure: Failure) {
        let known = self.results.entry(node).or_default();
        let log = || exec::tail(&self.session.store.log_path(key), LOG_LINES).unwrap_or_default();
        match failure {
            Failure::Cancelled { at } => {
                known.outcome = Some(Outcome::Cancelled);
                known.reason = match at {
                    Some(at @ 1..) => format!("stopped at {at}; the same command goes on from there"),
                    _ => "stopped".to_owned(),
                };
            }
            Failure::Failed { message, help } => {
                known.outcome = Some(Outcome::Failed);
                // The worker writes its last words into the log, too.
                let mut log = log();
                log.retain(|line| !message.lines().any(|said| said == line));
                known.reason = message;
                let stage = &self.session.pipeline.stage(stage).name;
                let more = format!("intrada-run log {} {stage}", self.session.pipeline.file.display());
                known.advice = Advice { help, log, more: Some(more) };
            }
        }
    }

    /// Records what lies in place now, and gives it the form that the flow wants.
    fn note_placed(&mut self, node: NodeId, stage: StageId, trace: &Trace, placed: Vec<PlacedOutput>) -> Outputs {
        let artifacts: Vec<Artifact> = placed.iter().map(|output| output.artifact).collect();
        let outputs: Vec<ArtifactDigest> = artifacts.iter().map(Artifact::digest).collect();
        self.planner.keys.note_artifacts(node, artifacts);
        let finished = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let name = self.session.record_name(self.session.pipeline.stage(stage));
        let record = StageRecord { key: trace.key, outputs: placed, finished, seconds: trace.seconds };
        let places: Vec<PathBuf> = record.outputs.iter().map(|output| output.path.clone()).collect();
        if let Some(earlier) = self.session.index.stages.insert(name, record) {
            self.remove_views(&earlier, &places);
        }
        self.changed = true;
        outputs.into()
    }

    /// Views of outputs that the stage no longer has (another method has no discriminator) would be taken for its own.
    fn remove_views(&self, earlier: &StageRecord, places: &[PathBuf]) {
        let stale = earlier.outputs.iter().map(|output| &output.path);
        for path in stale.filter(|path| path.starts_with("runs") && !places.contains(path)) {
            let path = self.session.pipeline.root.join(path);
            let _ = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        }
    }

    fn settled(&mut self, node: NodeId, key: Option<Key>, how: How) {
        let Node::Stage(stage) = *self.planner.wiring.node(node) else { return };
        let mut known = self.results.remove(&node).unwrap_or_default();
        if let Some(reason) = self.broken_source(node).filter(|_| how == How::Blocked) {
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
        self.reporter.tell(&Event::Finished(finished));
    }

    /// Why a late source that the stage reads can't be read, if that is so: then the stage itself has failed.
    fn broken_source(&self, node: NodeId) -> Option<String> {
        let mut sources = self.planner.wiring.slots(node).iter().map(|slot| slot.from);
        let is_source = |from: &NodeId| matches!(self.planner.wiring.node(*from), Node::Source { .. });
        let broken = |from: NodeId| self.results.get(&from).map(|known| known.reason.clone());
        sources.find(|from| is_source(from) && self.results.contains_key(from)).and_then(broken)
    }

    fn interrupt(&mut self) {
        // `timeout` and batch systems send a signal to the process and to its group: that is one wish, not two.
        let since = *self.interrupted.get_or_insert_with(Instant::now);
        let again = since.elapsed() > SAME_WISH;
        if !again && self.told_interrupt {
            return;
        }
        self.told_interrupt = true;
        for running in self.running.values() {
            if again { running.control.kill() } else { running.control.stop() }
        }
        if !again {
            let text = "interrupted: running stages save what they have; once more kills them".to_owned();
            self.reporter.tell(&Event::Warning(text));
        }
    }

    fn save(&mut self) {
        self.changed = false;
        if self.planner.has_read_files() {
            self.planner.records_into(self.session);
        }
        if let Err(error) = self.session.save() {
            self.reporter
                .tell(&Event::Warning(format!("the index of this workspace can't be saved: {}", jobs::whole(&error))));
        }
    }

    fn close(&mut self, totals: Totals) {
        if self.changed || self.planner.has_read_files() {
            self.save();
        }
        // Garbage of killed runs. What resists stays for the next time.
        let _ = self.session.store.sweep();
        self.reporter.tell(&Event::Closed(totals));
    }
}
