//! One run, from the flow's first commands to the last settled stage.
//!
//! Knows no kind and no file format: commands of the flow come in, jobs go out, messages of their threads come back. All
//! state of a run lives in one struct on one thread; what is shared with job threads is the store and a way to stop them.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::digest::Key;
use crate::event::{Advice, Event, Outcome, Reporter, Totals, full_disk};
use crate::exec::with_causes;
use crate::flow::{Command, NodeId};
use crate::pipeline::{Problem, Problems, StageId};
use crate::plan::sources;
use crate::store::index::PlacedOutput;
use crate::store::{Artifact, Error, Holder, Recorded};
use crate::watch::Change;

use super::message::Message;
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

/// The index is written at most this often while stages end: after each of ten thousand would cost more than the stages.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// The wish to stop, from another thread: once to save, twice to end at once. Without a run it does nothing.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<Mutex<Option<Sender<Message>>>>);

impl Interrupt {
    /// Asks the run to stop. `false`: no run is under way.
    pub fn now(&self) -> bool {
        let listener = self.0.lock().expect("no code panics while it holds this lock");
        listener.as_ref().is_some_and(|send| send.send(Message::Interrupt).is_ok())
    }

    pub(super) fn listen(&self, send: Option<Sender<Message>>) {
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
    session.recover(reporter);
    let planned = plan(session, options);
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
    let mut run = Run::new(session, options, reporter, planner, send.clone());
    run.carry_out(commands);
    run.warn_of_the_machine();
    // Nothing runs yet, so that an interrupt ends the program at once.
    interrupt.listen(None);
    if let Err(refused) = run.try_device().and_then(|()| run.try_weights()) {
        run.save();
        return Err(refused);
    }
    interrupt.listen(Some(send));
    // Nobody tells of changes here.
    while run.listen(&receive).is_some() {}
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

/// What there is to do, if the outputs that come of it can be put in their places.
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

/// What came of looking a key up.
enum LookedUp {
    /// Its outputs lie in place.
    Found(Box<Recorded>, Vec<PlacedOutput>),
    /// The cache doesn't have them, or not whole.
    Missing,
    /// Somebody else reads or writes in their places.
    Busy(Option<Holder>),
    /// They can't be put in their places.
    Refused(Error),
}

impl Run<'_> {
    /// Dispatches and listens until nothing is left to do, or until files have changed.
    pub(super) fn listen(&mut self, receive: &Receiver<Message>) -> Option<Change> {
        loop {
            // One that can't be started has come out already, and what follows from that may be ready.
            while self.dispatch() {
                self.follow();
            }
            if self.jobs.are_done() {
                break;
            }
            self.reporter.look(&self.session.index);
            let look_ups = match self.jobs.next_message(receive) {
                Some(Message::News(job, news)) => {
                    self.jobs.hear(job, &news);
                    self.tell(job, news);
                    continue;
                }
                Some(Message::Interrupt) => {
                    self.interrupt();
                    continue;
                }
                Some(Message::Changed(change)) => return Some(change),
                Some(Message::Ended(job, result)) => self.ended(job, *result),
                None => {
                    self.jobs.kill_overdue();
                    self.tell_of_silence();
                    self.jobs.due_look_ups()
                }
            };
            look_ups.into_iter().for_each(|(node, key)| self.look_up(node, key));
            self.follow();
        }
        if self.interrupted.is_none() {
            let unsettled = self.planner.engine.unsettled();
            assert!(
                unsettled.is_empty(),
                "the graph is acyclic and every request was answered, yet {unsettled:?} wait"
            );
        }
        None
    }

    /// Does what the flow says by now.
    fn follow(&mut self) {
        let commands = self.planner.engine.step();
        self.carry_out(commands);
        if self.changed && Instant::now() >= self.save_at {
            self.save();
            self.save_at = Instant::now() + SAVE_INTERVAL;
        }
    }

    /// Said before anything has run.
    pub(super) fn warn_of_the_machine(&mut self) {
        let open = self.planner.engine.unsettled();
        let stages = || open.iter().filter_map(|node| self.planner.wiring.node(*node).stage());
        let amiss = [missing_worker(self.session, stages()), missing_instructions(self.session, stages())];
        for problem in amiss.into_iter().flatten() {
            self.reporter.tell(&warning(self.session, &problem));
        }
    }

    /// Asks whether the device is there that the stages which have to run need.
    ///
    /// # Errors
    /// It isn't.
    fn try_device(&mut self) -> Result<(), Problems> {
        let open: Vec<NodeId> = self.planner.engine.unsettled();
        // All that a stage reads is known of one that has a key, and nothing was found for it.
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

    /// Tries the files of weights of the stages that have to run.
    ///
    /// # Errors
    /// Some don't serve.
    fn try_weights(&mut self) -> Result<(), Problems> {
        let open = self.planner.engine.unsettled();
        let stages: BTreeSet<StageId> =
            open.iter().filter_map(|node| self.planner.wiring.node(*node).stage()).collect();
        for problem in try_weights(self.session, stages.iter().copied(), &|stage| !stages.contains(&stage))? {
            self.reporter.tell(&warning(self.session, &problem));
        }
        Ok(())
    }

    /// The same where the run goes on whatever is found: a file may be mended before its stage comes to it.
    pub(super) fn warn_of_weights(&mut self) {
        for problem in self.try_weights().err().iter().flat_map(Problems::iter) {
            self.reporter.tell(&warning(self.session, problem));
        }
    }

    /// What each stage gives that was brought up to date. What lies in place of one that failed, was skipped or was stopped is
    /// of an earlier key, and no result of this run.
    pub(super) fn artifacts(&self) -> HashMap<StageId, Rc<[Artifact]>> {
        let stages = self.planner.wiring.iter().filter_map(|(node, what)| match what {
            Node::Stage(stage) if self.planner.outcome(node).is_some_and(Outcome::has_results) => {
                Some((*stage, self.planner.keys.artifacts(node)?))
            }
            _ => None,
        });
        stages.collect()
    }

    /// Does what the flow says, and what follows from that.
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
            // It is being computed already: it is told to run, and takes that job over.
            Some(job) if job.key == key && !job.is_ending() => return self.planner.engine.absent(node, key),
            // A job that is no longer wanted may still write there.
            Some(_) => return self.jobs.hold(node, key),
            None => {}
        }
        if self.options.force.contains(&stage) {
            return self.planner.engine.absent(node, key);
        }
        let restored = self.restore(stage, key);
        self.tell_complaints();
        match restored {
            LookedUp::Busy(holder) => self.wait_for_place(node, key, holder),
            LookedUp::Found(recorded, placed) => {
                let trace = &recorded.trace;
                let reason = self.planner.reason(self.session, node);
                let mut notes = trace.note.clone();
                notes.extend(recorded.pulled_from().map(|from| ("from".to_owned(), from.to_owned())));
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
                let reason = format!("what the cache has of it can't be put in place: {}", with_causes(&error));
                let help = Vec::from_iter(full_disk::help(&error));
                let advice = Advice { help, ..Advice::default() };
                let known = Known { outcome: Some(Outcome::Failed), reason, advice, ..Known::default() };
                self.results.insert(node, known);
                self.refused.insert((node, key));
                self.planner.engine.absent(node, key);
            }
        }
    }

    fn tell_complaints(&mut self) {
        for complaint in self.session.store.complaints() {
            self.reporter.tell(&Event::Warning(complaint));
        }
    }

    /// Puts the outputs of a cached key in place. Whatever is wrong with them makes it a miss.
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
            // To run would take time, and end with the same.
            Err(error) if error.is_lack_of_room() || error.is_elsewhere(store.root()) => LookedUp::Refused(error),
            Err(error) => {
                let text = format!("the cached outputs of {stage} can't be used, so it runs: {}", with_causes(&error));
                self.reporter.tell(&Event::Warning(text));
                LookedUp::Missing
            }
        }
    }

    /// Its producers are done, so now it can be looked at, with what they gave lying in place: another run of the workspace
    /// may have put something else there in the meantime.
    fn look_at_late_source(&mut self, node: NodeId, key: Key) {
        let mut producers = self.planner.producers(self.session, node);
        let root = self.session.pipeline.root.clone();
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
            Ok(Secured::Held(_claims)) => {
                let titles = |problems: Vec<Problem>| problems.into_iter().map(|problem| problem.title);
                let looked = self.planner.look(self.session, node);
                looked.map_err(|problems| titles(problems).collect::<Vec<String>>().join("; "))
            }
            Err(error) => Err(with_causes(&error)),
        };
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

    /// Another process reads or writes what lies in a place: the look-up is tried again until it doesn't.
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

    /// The last words.
    pub(super) fn close(&mut self, totals: Totals) {
        if self.changed || self.planner.has_read_files() {
            self.save();
        }
        // Garbage of killed runs. What resists stays for the next time.
        let _ = self.session.store.sweep();
        self.reporter.tell(&Event::Closed(totals));
    }
}
