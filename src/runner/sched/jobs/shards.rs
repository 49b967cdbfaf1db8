//! A stage that is split: several jobs find what isn't known of its items, and then its own job has only to write the outputs.
//!
//! Knows numbers of items, not what a kind finds. Each of these jobs, a *shard*, is told what is known and which part of the rest
//! is its own ([`Part`]); it hands in findings through its own slot, inside the slot of the key, and writes no outputs. So a shard
//! that is killed loses only what it was at, and another attempt, split in any way, goes on with what all have found. The outputs
//! don't depend on the split, as the stage's own job writes them, of findings that don't either.
//!
//! A shard that fails doesn't end the others: what they find is kept. Only if one fails before it has found anything, those that
//! haven't started yet are left out, as they would probably fail in the same way.
//!
//! Shards of a batch system go on when this program ends. A later run finds them by their names, and goes on with the same
//! [`Pass`].

mod pass;
mod progress;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};

use crate::digest::Item;
use crate::exec::batch::was_submitted;
use crate::exec::control::Control;
use crate::exec::executor::{Belongings, Executor, Report, Request, Start, Work};
use crate::exec::job::{Event, Job, Known, Part};
use crate::exec::perform::perform;
use crate::exec::{Failure, Visible, with_causes};
use crate::finding::Finding;
use crate::pipeline::Shards;
use crate::plain;
use crate::store::Store;

use super::super::failure::{failed, io_failure};
use super::super::items::{KnownItems, handed_out, shard_slot, shard_slots_in};
use super::super::last_words;
use super::super::news::News;
use super::desk::Desk;
use super::{Context, Order};
use pass::{Pass, clear, shard_name};
use progress::Progress;

/// How a stage is split.
pub struct Split {
    /// Into how many jobs.
    pub into: Shards,
    /// The GPUs of each job that may run at the same time: at most so many do.
    pub places: Vec<Visible>,
}

/// What is heard of a shard.
enum Heard {
    Report(Report),
    Ended(Result<(), Failure>),
}

type Hears = Sender<(usize, Heard)>;

/// What the shards of one attempt have in common.
struct Shared<'a> {
    store: &'a Store,
    executor: &'a dyn Executor,
    control: &'a Control,
    request: &'a Request,
    belongings: &'a Belongings,
    log: &'a Path,
    /// The job of the stage, with what is known of its items.
    job: &'a Job,
    /// The name of that job.
    name: String,
    pass: Pass,
    /// The first shard that has not started.
    next: AtomicUsize,
}

/// How the shards ended.
#[derive(Default)]
struct Ended {
    /// All shards, and those that have started and ended.
    number: usize,
    ended: usize,
    /// By shard.
    failures: BTreeMap<usize, Failure>,
    found: BTreeMap<Item, Finding>,
}

impl Order {
    /// If the stage is split, has shards find what isn't known of its items, and adds that to what `job` is told. Returns the
    /// number of shards; `None`: the job finds everything itself, as it isn't split or there is nothing to share out.
    ///
    /// # Errors
    /// A shard fails; what all have found is kept.
    pub(super) fn perform_shards(
        &self,
        context: &Context<'_>,
        belongings: &Belongings,
        log: &Path,
        job: &mut Job,
    ) -> Result<Option<usize>, Failure> {
        let Context { store, executor, control, tell } = *context;
        let (Some(split), Some(items)) = (&self.split, &self.items) else { return Ok(None) };
        let name = self.key.to_string();
        let Some(pass) = self.pass(context, split, items, job, &name)? else { return Ok(None) };
        let (request, number, next) = (&self.request, pass.number, AtomicUsize::new(0));
        let shared = Shared { store, executor, control, request, belongings, log, job, name, pass, next };
        let ended = shared.perform(&split.places, |heard| shared.follow(heard, items, tell));
        // Findings that can't be kept are found again.
        let _ = items.note(store, ended.found.clone());
        let found = ended.into_found().map_err(|failure| last_words::with_room(failure, store, &self.root))?;
        add(store, job, found);
        Ok(Some(number))
    }

    /// Removes what shards, also those of earlier runs, have left besides their slots.
    pub(super) fn clear_shards(&self, store: &Store) -> Result<(), Failure> {
        if self.items.is_none() {
            return Ok(());
        }
        clear(store, &self.key.to_string()).map_err(failed)
    }

    /// How the items are divided; `None`: they aren't.
    fn pass(
        &self,
        context: &Context<'_>,
        split: &Split,
        items: &KnownItems,
        job: &Job,
        name: &str,
    ) -> Result<Option<Pass>, Failure> {
        let (store, is_batch) = (context.store, context.executor.is_batch());
        if is_batch && was_submitted(store.job_folder(name).path()) {
            // What writes the outputs is under way already, from an earlier run.
            return Ok(None);
        }
        let under_way = is_batch.then(|| Pass::under_way(store, &job.slot, name)).flatten();
        if under_way.is_some() {
            return Ok(under_way);
        }
        if self.forced {
            forget(&shard_slots_in(&job.slot))?;
        }
        let number = split.into.jobs(items.unknown(job));
        if number < 2 {
            return Ok(None);
        }
        let pass = Pass::new(number, job);
        if is_batch {
            clear(store, name).map_err(failed)?;
            pass.note(&job.slot)?;
        }
        Ok(Some(pass))
    }
}

impl Shared<'_> {
    /// Performs all shards, as many at the same time as there are places, while somebody listens to what is heard of them.
    fn perform<T>(&self, places: &[Visible], listen: impl FnOnce(Receiver<(usize, Heard)>) -> T) -> T {
        std::thread::scope(|scope| {
            let (send, heard) = mpsc::channel();
            for gpus in places.iter().take(self.pass.number) {
                let send = send.clone();
                scope.spawn(move || self.perform_in_turn(gpus, &send));
            }
            drop(send);
            listen(heard)
        })
    }

    /// Performs one shard after another until all have started.
    fn perform_in_turn(&self, gpus: &Visible, send: &Hears) {
        loop {
            let shard = self.next.fetch_add(1, Ordering::Relaxed);
            if shard >= self.pass.number {
                return;
            }
            if self.pass.done.contains(&shard) {
                continue;
            }
            let mut has_found = false;
            let result = self.perform_one(shard, gpus, |report| {
                has_found |= matches!(report, Report::Event(Event::Progress { .. }));
                // Whoever listens does so until all have ended.
                let _ = send.send((shard, Heard::Report(report.clone())));
            });
            if !has_found && matches!(result, Err(Failure::Failed { .. })) {
                self.next.fetch_max(self.pass.number, Ordering::Relaxed);
            }
            let _ = send.send((shard, Heard::Ended(result)));
        }
    }

    fn perform_one(&self, shard: usize, gpus: &Visible, on_report: impl FnMut(&Report)) -> Result<(), Failure> {
        let name = shard_name(&self.name, shard, self.pass.number);
        let desk = Desk::open(self.store, &name, self.executor.is_batch())?;
        let work = Work::Worker(Box::new(self.job_of(shard, desk.out()?)?), gpus.clone());
        let Shared { request, log, belongings, .. } = *self;
        let start = Start { work: &work, request, name: &name, folder: desk.path(), log, belongings };
        let result = perform(self.executor, &start, self.control, on_report).map(|_| ());
        if !matches!(result, Err(Failure::Left(_))) {
            self.store.job_folder(&name).remove().map_err(failed)?;
        }
        result
    }

    fn job_of(&self, shard: usize, staging: PathBuf) -> Result<Job, Failure> {
        let slot = self.slot(shard);
        std::fs::create_dir_all(&slot).map_err(|error| io_failure("make", &slot, &error))?;
        let mut job = Job { staging, slot, ..self.job.clone() };
        let items = job.items.get_or_insert_default();
        items.part = Some(Part { index: shard, of: self.pass.number });
        for (item, known) in &mut items.known {
            known.fresh = !self.pass.known.contains(item);
            if !known.partial {
                // It needs to know which items these are, not what was found of them.
                known.files.clear();
                known.values.take();
            }
        }
        Ok(job)
    }

    fn slot(&self, shard: usize) -> PathBuf {
        shard_slot(&self.job.slot, shard, self.pass.number)
    }

    /// Passes on the progress of all shards as one, and takes what each has found once it has ended.
    fn follow(&self, heard: Receiver<(usize, Heard)>, items: &KnownItems, tell: &dyn Fn(News)) -> Ended {
        let mut progress = Progress::of(self.pass.number);
        let mut pass = self.pass.clone();
        let mut ended = Ended { number: pass.number, ..Ended::default() };
        // By an earlier run.
        pass.done.iter().for_each(|shard| ended.take(self, *shard, items, tell));
        for (shard, heard) in heard {
            match heard {
                Heard::Report(Report::Event(Event::Progress { done, total, unit, values })) => {
                    let (done, total) = progress.hear(shard, done, total);
                    tell(News::Event(Event::Progress { done, total, unit, values }));
                }
                Heard::Report(Report::Event(_)) => {}
                Heard::Report(Report::Standing(text)) => {
                    tell(News::Standing(format!("shard {} of {}: {text}", shard + 1, self.pass.number)));
                }
                Heard::Ended(result) => {
                    ended.take(self, shard, items, tell);
                    match result {
                        Ok(()) => drop(pass.done.insert(shard)),
                        Err(failure) => drop(ended.failures.insert(shard, failure)),
                    }
                    if self.executor.is_batch() {
                        // If that fails, a later run starts the shard again, which then has nothing to do.
                        let _ = pass.note(&self.job.slot);
                    }
                }
            }
        }
        ended
    }
}

impl Ended {
    /// A shard has ended: takes what it has found.
    fn take(&mut self, shared: &Shared<'_>, shard: usize, items: &KnownItems, tell: &dyn Fn(News)) {
        self.ended += 1;
        match items.take(shared.store, &shared.slot(shard)) {
            Ok(found) => self.found.extend(found),
            Err(error) => tell(News::Remark(format!(
                "has to compute again what one of its jobs has computed: {}",
                with_causes(&error)
            ))),
        }
    }

    /// What was found, if no shard failed or was stopped.
    fn into_found(self) -> Result<BTreeMap<Item, Finding>, Failure> {
        let (mut was_stopped, mut at) = (false, None::<u64>);
        let mut failed = Vec::new();
        for (shard, failure) in self.failures {
            match failure {
                // It goes on, and what came of the others is asked again.
                Failure::Left(text) => return Err(Failure::Left(text)),
                Failure::Cancelled { at: one } => {
                    was_stopped = true;
                    at = one.map(|one| at.unwrap_or(0) + one).or(at);
                }
                Failure::Failed { message, help } => failed.push((shard + 1, message, help)),
            }
        }
        let mut failed = failed.into_iter();
        let Some((shard, message, help)) = failed.next() else {
            return if was_stopped { Err(Failure::Cancelled { at }) } else { Ok(self.found) };
        };
        let message = format!("shard {shard} of {}: {message}", self.number);
        let failure = Failure::Failed { message, help };
        let others =
            [(failed.count(), "failed, too"), (self.number - self.ended, "did not start, as this one found nothing")];
        let others = others.into_iter().filter(|(number, _)| *number > 0);
        Err(others.fold(failure, |failure, (number, what)| {
            let noun = if number == 1 { "shard" } else { "shards" };
            failure.with_help(format!("{number} more {noun} {what}"))
        }))
    }
}

/// Adds what shards have found to what the job knows. What an earlier attempt had left in their slots it knows already.
fn add(store: &Store, job: &mut Job, found: BTreeMap<Item, Finding>) {
    let items = job.items.get_or_insert_default();
    for (item, finding) in found {
        let known = handed_out(store, finding);
        if items.known.get(&item) != Some(&known) {
            items.known.insert(item, Known { fresh: true, ..known });
        }
    }
}

/// Removes the slots of earlier shards: everything is to be found again.
fn forget(slots: &Path) -> Result<(), Failure> {
    plain::remove(slots).map_err(|error| io_failure("remove", slots, &error))
}
