//! One run, from the flow's first commands to the last settled stage.
//!
//! Knows no kind and no file format: executes the flow's commands, starts jobs, receives messages of their threads. All
//! state of a run is in one struct on one thread; job threads share only the store and a way to stop them.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::digest::{ArtifactDigest, Key};
use crate::event::{Advice, Event, Outcome, Reporter, Totals, full_disk};
use crate::exec::with_causes;
use crate::flow::{Command, NodeId};
use crate::pipeline::{Problem, Problems, StageId};
use crate::plan::sources;
use crate::store::index::PlacedOutput;
use crate::store::{Artifact, Error, Holder, Recorded};
use crate::watch::Change;

use super::message::{Fetched, Message};
use super::news::News;
use super::places;
use super::planner::{Planner, placement};
use super::reads::Secured;
use super::session::Session;
use super::settle;
use super::state::{Known, Run};
use super::wiring::Node;
use super::{
    Ended, Options, missing_instructions, missing_worker, orders, problems, put_aside_event, try_device, try_weights,
    warning, ways_in,
};

/// The index is written at most this often while stages end: after each of ten thousand it would cost more than the stages.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// An interrupt from another thread: the first one saves, the second one kills. Without a run it does nothing.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<Mutex<Option<Sender<Message>>>>);

impl Interrupt {
    /// Asks the run to stop. `false`: there is no run.
    pub fn now(&self) -> bool {
        self.ask(Message::Interrupt)
    }

    /// Asks the run to leave its jobs to their batch systems and to stop the others. `false`: there is no run.
    pub fn leave(&self) -> bool {
        self.ask(Message::Leave)
    }

    fn ask(&self, message: Message) -> bool {
        let listener = self.0.lock().expect("no code panics while it holds this lock");
        listener.as_ref().is_some_and(|send| send.send(message).is_ok())
    }

    pub(super) fn listen(&self, send: Option<Sender<Message>>) {
        *self.0.lock().expect("no code panics while it holds this lock") = send;
    }
}

/// Runs changed stages and restores cached results.
///
/// # Errors
/// Problems of the sources, before anything runs.
pub fn run(
    session: &mut Session,
    options: &Options,
    reporter: &mut dyn Reporter,
    interrupt: &Interrupt,
) -> Result<Ended, Problems> {
    let started = Instant::now();
    session.recover(reporter);
    let planned = plan(session, options);
    if planned.is_err() {
        // Files that were read needn't be read again after the problems are fixed.
        let _ = session.save();
    }
    let (planner, commands) = planned?;
    for problem in sources::once_each(planner.keys.warnings()) {
        reporter.tell(&warning(session, &problem));
    }
    let (send, receive) = mpsc::channel();
    interrupt.listen(Some(send.clone()));
    let mut run = Run::new(session, options, reporter, planner, send.clone());
    run.carry_out(commands);
    run.warn_of_the_machine();
    // Nothing runs yet, so an interrupt ends the program at once.
    interrupt.listen(None);
    if let Err(refused) = run.try_device().and_then(|()| run.try_weights()) {
        run.save();
        run.record_end(&Totals { seconds: started.elapsed().as_secs_f64(), ..Totals::default() }, true);
        return Err(refused);
    }
    interrupt.listen(Some(send));
    // No file changes are reported here.
    while run.listen(&receive).is_some() {}
    interrupt.listen(None);
    let interrupted = run.interrupted.is_some();
    let has_left = run.has_left;
    if interrupted || has_left {
        run.give_up_the_rest();
    }
    let artifacts = run.artifacts();
    let mut totals = run.totals;
    totals.seconds = started.elapsed().as_secs_f64();
    run.close(totals);
    Ok(Ended { totals, interrupted, has_left, artifacts, _planner: Some(run.planner) })
}

/// The planned run, if its outputs can be placed.
pub(super) fn plan(session: &mut Session, options: &Options) -> Result<(Planner, Vec<Command>), Problems> {
    let (planner, commands) = Planner::new(session, &options.targets, &options.force)?;
    let wanted = |command: &Command| match command {
        Command::LookUp { stage, .. } | Command::Run { stage, .. } => Some(*stage),
        Command::Cancel { .. } | Command::Settled { .. } => None,
    };
    let wanted: HashSet<NodeId> = commands.iter().filter_map(wanted).collect();
    let open = planner.engine.unsettled();
    let stages = open.iter().filter_map(|node| Some((planner.wiring.node(*node).stage()?, wanted.contains(node))));
    let obstacles = ways_in::obstacles(&session.pipeline, stages);
    if obstacles.is_empty() { Ok((planner, commands)) } else { Err(problems(session, obstacles)) }
}

/// The result of looking a key up.
enum LookedUp {
    /// Its outputs are in place.
    Found(Box<Recorded>, Vec<PlacedOutput>),
    /// The cache doesn't have them, or not all.
    Missing,
    /// Another process reads or writes their places.
    Busy(Option<Holder>),
    /// They can't be placed.
    Refused(Error),
}

impl Run<'_> {
    /// Dispatches and listens until nothing is left to do, or until files have changed.
    pub(super) fn listen(&mut self, receive: &Receiver<Message>) -> Option<Change> {
        loop {
            // A stage that can't be started has already failed, which may make others ready.
            while self.dispatch() {
                self.follow();
            }
            if self.jobs.are_done() {
                break;
            }
            self.leave_if_due();
            self.reporter.look(&self.session.index);
            let look_ups = match self.jobs.next_message(receive) {
                Some(Message::News(job, news)) => {
                    self.jobs.hear(job, &news);
                    if matches!(news, News::Pushing(_)) {
                        self.release(job);
                    }
                    self.tell(job, news);
                    continue;
                }
                Some(Message::Interrupt) => {
                    self.interrupt();
                    continue;
                }
                Some(Message::Leave) => {
                    self.leave();
                    continue;
                }
                Some(Message::Changed(change)) => return Some(change),
                Some(Message::Fetching(node, key)) => {
                    self.tell_of_fetching(node, key);
                    continue;
                }
                Some(Message::Fetched(node, key, fetched)) => {
                    self.tell_complaints();
                    let (store, jobs) = (&self.session.store, &mut self.jobs);
                    if jobs.fetching.came((node, key), fetched, store, &self.send) {
                        vec![(node, key)]
                    } else {
                        Vec::new()
                    }
                }
                Some(Message::Ended(job, result)) => {
                    let look_ups = self.ended(job, *result);
                    self.tell_complaints();
                    look_ups
                }
                None => {
                    self.jobs.kill_overdue();
                    self.tell_of_silence();
                    self.jobs.due_look_ups()
                }
            };
            look_ups.into_iter().for_each(|(node, key)| self.look_up(node, key));
            self.follow();
        }
        if self.interrupted.is_none() && !self.has_left {
            let unsettled = self.planner.engine.unsettled();
            assert!(
                unsettled.is_empty(),
                "the graph is acyclic and every request was answered, yet {unsettled:?} wait"
            );
        }
        None
    }

    /// Executes the flow's pending commands.
    fn follow(&mut self) {
        let commands = self.planner.engine.step();
        self.carry_out(commands);
        if self.changed && Instant::now() >= self.save_at {
            self.save();
            self.save_at = Instant::now() + SAVE_INTERVAL;
        }
    }

    /// Warnings before anything has run.
    pub(super) fn warn_of_the_machine(&mut self) {
        let open = self.planner.engine.unsettled();
        let stages = || open.iter().filter_map(|node| self.planner.wiring.node(*node).stage());
        let amiss = [missing_worker(self.session, stages()), missing_instructions(self.session, stages())];
        for problem in amiss.into_iter().flatten() {
            self.reporter.tell(&warning(self.session, &problem));
        }
    }

    /// Checks that the device of the stages that have to run exists.
    ///
    /// # Errors
    /// It doesn't.
    fn try_device(&mut self) -> Result<(), Problems> {
        let open: Vec<NodeId> = self.planner.engine.unsettled();
        // A stage with a key has all its inputs, and the cache has no result for it.
        let (certain, waiting): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|node| self.planner.keys.key(*node).is_some());
        let stage = |node: &NodeId| self.planner.wiring.node(*node).stage();
        let device = self.options.device.as_deref();
        let told =
            try_device(self.session, device, certain.iter().filter_map(stage), waiting.iter().filter_map(stage))?;
        if let Some(problem) = told {
            self.reporter.tell(&warning(self.session, &problem));
        }
        Ok(())
    }

    /// Tries the weights files of the stages that have to run.
    ///
    /// # Errors
    /// A file is invalid.
    fn try_weights(&mut self) -> Result<(), Problems> {
        let open = self.planner.engine.unsettled();
        let stages: BTreeSet<StageId> =
            open.iter().filter_map(|node| self.planner.wiring.node(*node).stage()).collect();
        for problem in try_weights(self.session, stages.iter().copied(), &|stage| !stages.contains(&stage))? {
            self.reporter.tell(&warning(self.session, &problem));
        }
        Ok(())
    }

    /// The same for a run that continues in any case: a file may be fixed before its stage runs.
    pub(super) fn warn_of_weights(&mut self) {
        for problem in self.try_weights().err().iter().flat_map(Problems::iter) {
            self.reporter.tell(&warning(self.session, problem));
        }
    }

    /// The outputs of each stage that was brought up to date. Files in place of a failed, skipped or stopped stage belong
    /// to an earlier key and are not results of this run.
    pub(super) fn artifacts(&self) -> HashMap<StageId, Rc<[Artifact]>> {
        let stages = self.planner.wiring.iter().filter_map(|(node, what)| match what {
            Node::Stage(stage) if self.planner.outcome(node).is_some_and(Outcome::has_results) => {
                Some((*stage, self.planner.keys.artifacts(node)?))
            }
            _ => None,
        });
        stages.collect()
    }

    /// Executes the flow's commands, and those that follow.
    pub(super) fn carry_out(&mut self, commands: Vec<Command>) {
        let mut queue = VecDeque::from(commands);
        while let Some(command) = queue.pop_front() {
            match command {
                Command::LookUp { stage, key } => {
                    self.look_up(stage, key);
                    queue.extend(self.planner.engine.step());
                }
                Command::Run { stage, key } => {
                    self.want(stage, key);
                    queue.extend(self.planner.engine.step());
                }
                Command::Cancel { stage, key } => self.cancel(stage, key),
                Command::Settled { stage, key, how } => self.settled(stage, key, how),
            }
        }
    }

    pub(super) fn look_up(&mut self, node: NodeId, key: Key) {
        let Node::Stage(stage) = *self.planner.wiring.node(node) else { return self.look_at_late_source(node, key) };
        let places = self.session.pipeline.stage(stage).outputs.iter().map(|output| &*output.path);
        match self.jobs.left_over(places) {
            // It is being computed already: the `Run` that follows takes that job over.
            Some(job) if job.key == key && !job.is_ending() => return self.planner.engine.absent(node, key),
            // A job that is no longer wanted may still write there.
            Some(_) => return self.jobs.hold(node, key),
            None => {}
        }
        if self.options.force.contains(&stage) {
            return self.planner.engine.absent(node, key);
        }
        let from = match self.jobs.fetching.take((node, key)) {
            None if self.session.store.may_fetch(key) => {
                return self.jobs.fetching.ask((node, key), &self.session.store, &self.send);
            }
            Some(Fetched::Nowhere) => return self.planner.engine.absent(node, key),
            Some(Fetched::From(from)) => Some(from),
            Some(Fetched::Failed) | None => None,
        };
        let restored = self.restore(stage, key);
        self.tell_complaints();
        match restored {
            LookedUp::Busy(holder) => self.wait_for_place(node, key, holder),
            LookedUp::Found(recorded, placed) => {
                let trace = &recorded.trace;
                let reason = self.planner.reason(self.session, node, true);
                let mut notes = trace.note.clone();
                let from = from.or_else(|| recorded.pulled_from().map(str::to_owned));
                notes.extend(from.map(|from| ("from".to_owned(), from)));
                let result = Known {
                    outcome: Some(Outcome::Hit),
                    seconds: trace.seconds,
                    reason,
                    notes,
                    advice: Advice::default(),
                };
                self.results.insert(node, result);
                let outputs = self.note_placed(node, stage, trace, placed);
                self.planner.engine.found(node, key, outputs);
            }
            LookedUp::Missing => self.planner.engine.absent(node, key),
            LookedUp::Refused(error) => {
                let reason = format!("its cached outputs can't be restored: {}", with_causes(&error));
                let help = Vec::from_iter(full_disk::help(&error));
                let advice = Advice { help, ..Advice::default() };
                let known = Known { outcome: Some(Outcome::Failed), reason, advice, ..Known::default() };
                self.results.insert(node, known);
                self.refused.insert((node, key));
                self.planner.engine.absent(node, key);
            }
        }
    }

    fn tell_of_fetching(&mut self, node: NodeId, key: Key) {
        if self.jobs.fetching.waits((node, key))
            && let Some(stage) = self.planner.wiring.node(node).stage()
        {
            let stage = self.session.pipeline.stage(stage).name.clone();
            self.reporter.tell(&Event::Restoring { stage });
        }
    }

    fn tell_complaints(&mut self) {
        for complaint in self.session.store.complaints() {
            self.reporter.tell(&Event::Warning(complaint));
        }
    }

    /// Restores the outputs of a cached key. Any problem with them makes it a miss.
    fn restore(&mut self, stage: StageId, key: Key) -> LookedUp {
        let pipeline = &self.session.pipeline;
        let stage = pipeline.stage(stage);
        let outputs = orders::destinations(stage);
        let store = &self.session.store;
        let found = store.hold().and_then(|hold| Ok((hold, store.look_up(key)?)));
        let placed = match found {
            Ok((_, None)) => return LookedUp::Missing,
            Ok((_hold, Some(recorded))) => match places::claim_places(store, &pipeline.root, &outputs) {
                Ok(Err(holder)) => return LookedUp::Busy(holder),
                Ok(Ok(_claims)) => {
                    self.reporter.tell(&Event::Restoring { stage: stage.name.clone() });
                    let put_aside = RefCell::new(Vec::new());
                    let note = |output, to| put_aside.borrow_mut().push((output, to));
                    let placed = places::place(store, &pipeline.root, &outputs, placement(stage), &recorded, &note);
                    for (output, to) in put_aside.take() {
                        let unfinished = self.session.unfinished(stage).contains(&output);
                        self.reporter.tell(&put_aside_event(&pipeline.root, &stage.name, &output, &to, unfinished));
                    }
                    placed.map(|placed| placed.map(|placed| (recorded, placed)))
                }
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        match placed {
            Ok(Some((recorded, placed))) => LookedUp::Found(Box::new(recorded), placed),
            Ok(None) => LookedUp::Missing,
            // Running it would take time and fail in the same way.
            Err(error) if error.is_lack_of_room() || error.is_elsewhere(store.root()) => LookedUp::Refused(error),
            Err(error) => {
                let text = format!("the cached outputs of {stage} can't be used, so it runs: {}", with_causes(&error));
                self.reporter.tell(&Event::Warning(text));
                LookedUp::Missing
            }
        }
    }

    /// Its producers are done, so now it can be read, with their outputs in place: another run of the workspace may have
    /// placed other outputs there in the meantime.
    fn look_at_late_source(&mut self, node: NodeId, key: Key) {
        let mut producers = self.planner.producers(self.session, node);
        let root = self.session.pipeline.root.clone();
        // Claiming the outputs of a thousand members takes longer than all else of a run with nothing to do.
        if producers.are_untouched(&root) {
            let looked = self.look_at_source(node);
            if producers.are_untouched(&root) {
                return self.settle_late_source(node, key, looked);
            }
        }
        let put_aside = RefCell::new(Vec::new());
        let note = |output, to| put_aside.borrow_mut().push((output, to));
        let secured = producers.secure(&self.session.store, &root, &[], &note);
        for (output, to) in put_aside.take() {
            let reader =
                self.planner.wiring.readers(node).find_map(|(reader, _)| self.planner.wiring.node(reader).stage());
            let reader = reader.map_or("", |stage| &self.session.pipeline.stage(stage).name).to_owned();
            self.reporter.tell(&put_aside_event(&root, &reader, &output, &to, false));
        }
        let looked = match secured {
            Ok(Secured::Busy(holder)) => return self.wait_for_place(node, key, holder),
            Ok(Secured::Held(_claims)) => self.look_at_source(node),
            Err(error) => Err(with_causes(&error)),
        };
        self.settle_late_source(node, key, looked);
    }

    /// Its digest, or why it has none.
    fn look_at_source(&self, node: NodeId) -> Result<ArtifactDigest, String> {
        let titles = |problems: Vec<Problem>| problems.into_iter().map(|problem| problem.title);
        let looked = self.planner.look(self.session, node);
        looked.map_err(|problems| titles(problems).collect::<Vec<String>>().join("; "))
    }

    fn settle_late_source(&mut self, node: NodeId, key: Key, looked: Result<ArtifactDigest, String>) {
        match looked {
            Ok(digest) => {
                for problem in self.planner.keys.found(node).iter().flat_map(|found| &found.warnings) {
                    self.reporter.tell(&warning(self.session, problem));
                }
                self.results.remove(&node);
                self.planner.engine.found(node, key, Rc::new([digest]));
            }
            Err(reason) => {
                self.results.insert(node, Known { reason, ..Known::default() });
                self.planner.engine.absent(node, key);
            }
        }
    }

    /// Another process uses a place: the look-up is retried.
    fn wait_for_place(&mut self, node: NodeId, key: Key, holder: Option<Holder>) {
        if self.jobs.wait_for_place(node, key)
            && let Some(stage) = self.planner.wiring.node(node).stage()
        {
            let stage = self.session.pipeline.stage(stage).name.clone();
            self.reporter.tell(&settle::waiting(stage, holder));
        }
    }

    /// Writes the index.
    pub(super) fn save(&mut self) {
        self.changed = false;
        if self.planner.has_read_files() {
            self.planner.records_into(self.session);
        }
        if let Err(error) = self.session.save() {
            let (error, help) = (with_causes(&error), full_disk::help_line(&error));
            self.reporter.tell(&Event::Warning(format!("the index of this workspace can't be saved: {error}{help}")));
        }
    }

    /// Cleans up and reports the end.
    pub(super) fn close(&mut self, totals: Totals) {
        if self.changed || self.planner.has_read_files() || self.session.is_unsaved() {
            self.save();
        }
        if let Err(error) = self.session.store.settle() {
            let (error, help) = (with_causes(&error), full_disk::help_line(&error));
            self.reporter.tell(&Event::Warning(format!("a power failure may lose the last results: {error}{help}")));
        }
        for distrust in self.session.store.distrust() {
            self.reporter.tell(&Event::Warning(distrust));
        }
        let store = &self.session.store;
        // What can't be listed is told by the command that copies it.
        let unpushed = if store.pushes() { store.unpushed().map_or(0, |unpushed| unpushed.len()) } else { 0 };
        let totals = Totals { unpushed, ..totals };
        self.record_end(&totals, false);
        // Garbage of killed runs. What can't be removed stays for the next time.
        let _ = self.session.store.sweep();
        self.reporter.tell(&Event::Closed(totals));
    }
}
