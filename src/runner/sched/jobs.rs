//! One stage from its lease to its published trace, on a thread of its own.
//!
//! Knows the store, leases and publishing, not the graph, and not how a job runs: an executor is asked for that. An [`Order`]
//! comes in with everything in it; what comes out is the trace with the outputs in place, or a failure that left the workspace
//! as it was. The order of steps is what makes a kill harmless: perform in staging, insert objects, publish the trace, drop the
//! resume slot, copy to shared caches, put in place.

mod command;
mod desk;
mod push;
mod shards;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::digest::{ArtifactDigest, Key};
use crate::exec::batch::{self, was_submitted};
use crate::exec::command::Program;
use crate::exec::control::Control;
use crate::exec::executor::{Belongings, Executor, Report, Request, Start, Work};
use crate::exec::job::{self, Job};
use crate::exec::perform::perform;
use crate::exec::run_info::RunInfo;
use crate::exec::{Failure, Finished};
use crate::measures;
use crate::plan::manifest::Manifest;
use crate::store::claim::Claim;
use crate::store::index::PlacedOutput;
use crate::store::{
    Artifact, Attempt, Durable, Hold, Lease, Placement, Recorded, ResumeSlot, Store, Take, Trace, TracedOutput, Visit,
};

use self::desk::Desk;
use super::failure::{failed, io_failure};
use super::guard::Guard;
use super::items::KnownItems;
use super::last_words;
use super::news::{Attempts, News};
use super::places::{Destination, claim_places, end_orphans, place, when_free};
use super::reads::{Reads, Secured};

pub use shards::Split;

/// How long a job may take to save and stop before it is killed.
pub const GRACE: Duration = Duration::from_secs(60);

/// A stage to run, with everything that this takes.
pub struct Order {
    /// Its pipeline's name, for the trace.
    pub pipeline: String,
    /// Its name, for the trace.
    pub stage: String,
    /// Its kind's name, for the trace.
    pub kind: String,
    /// The key that it computes.
    pub key: Key,
    /// What the key is the hash of.
    pub manifest: Manifest,
    /// Listings of data sets and folders, stored so that `why` can name single files.
    pub listings: Vec<Vec<u8>>,
    /// Outputs of other stages inside the folders and data sets that it reads, for the trace.
    pub after: Vec<ArtifactDigest>,
    /// Its outputs.
    pub outputs: Vec<Destination>,
    /// For a command: the outputs that are still as an earlier run placed them, and so are in the cache.
    pub in_place: Vec<PathBuf>,
    /// The outputs in whose places an unsuccessful attempt left something.
    pub unfinished: BTreeSet<PathBuf>,
    /// What is performed. A job's staging folder and the resume slot are filled in here.
    pub work: Work,
    /// For a kind that works item by item: its items.
    pub items: Option<KnownItems>,
    /// Into how many jobs it is split, if it is.
    pub split: Option<Split>,
    /// The workspace root.
    pub root: PathBuf,
    /// The files in the workspace that it reads, except other stages' outputs.
    pub guard: Guard,
    /// Its run's entry among those at work, which lasts until all processes of the job have ended.
    pub visit: Option<Arc<Visit>>,
    /// The outputs of other stages that it reads in the workspace.
    pub reads: Reads,
    /// Version, machine and commit for the trace.
    pub run_info: Arc<RunInfo>,
    /// Run even if another process has published the key meanwhile.
    pub forced: bool,
    /// How often it is retried when it fails.
    pub retries: u32,
    /// What its jobs need, and how long an attempt may take.
    pub request: Request,
    /// Whether somebody else copies its result to shared caches, after it has ended.
    pub pushes_later: bool,
}

/// What an order is carried out with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The cache.
    pub store: &'a Store,
    /// Where the job runs.
    pub executor: &'a dyn Executor,
    /// How it is told to end.
    pub control: &'a Control,
    /// Receives news on the way.
    pub tell: &'a dyn Fn(News),
}

/// A stage that is done.
pub struct Performed {
    /// Its record.
    pub trace: Trace,
    /// Its outputs in the workspace.
    pub placed: Vec<PlacedOutput>,
    /// Whether it was computed here: another process may have been quicker.
    pub fresh: bool,
    /// The part of the trace's seconds that earlier, interrupted runs spent.
    pub earlier: f64,
}

/// What took longer than this to compute is not risked in a power failure.
const MOMENT: Duration = Duration::from_secs(1);

/// The stored outputs. While this lives, gc doesn't take them; then a trace names them.
struct Stored {
    artifacts: Vec<Artifact>,
    /// How they were stored, and their record is to be.
    durable: Durable,
    _hold: Hold,
}

impl Order {
    /// Carries it out.
    ///
    /// # Errors
    /// The job or the store fails; the job's slot is kept.
    pub fn perform(mut self, context: &Context<'_>) -> Result<Performed, Failure> {
        let Context { store, control, tell, .. } = *context;
        let lease = self.lease(store, control, tell)?;
        let claims = self.secure(store, control, tell)?;
        let belongings = self.belongings(store, &lease, &claims)?;
        if !self.forced
            && let Some(done) = self.done_meanwhile(store, control, tell)?
        {
            return Ok(done);
        }
        let slot = store.slot(self.key);
        let (mut trace, stored, earlier) = self.attempts(context, &belongings)?;
        self.was_alone(&claims)?;
        let _lease = if lease.holds() {
            lease
        } else {
            // This machine was suspended for long, and another computes the key. The first result counts.
            drop(lease);
            let lease = self.lease(store, control, tell)?;
            if !self.forced
                && let Some(done) = self.done_meanwhile(store, control, tell)?
            {
                return Ok(done);
            }
            lease
        };
        trace.after.clone_from(&self.after);
        trace.outputs = self.traced(&stored.artifacts);
        let insert = |listing: &Vec<u8>| store.insert_bytes_by(listing, stored.durable).map_err(failed);
        let listings = self.listings.iter().map(insert).collect::<Result<Vec<_>, _>>()?;
        store.publish_by(&trace, &listings, stored.durable).map_err(failed)?;
        slot.remove().map_err(failed)?;
        store.job_folder(&self.key.to_string()).remove().map_err(failed)?;
        self.clear_shards(store)?;
        if let Work::Worker(..) = self.work {
            // It has read everything. A run that waits for these places may hold those of its outputs.
            drop(claims);
        }
        // The trace names them now. A long transfer must not hold gc back.
        drop(stored);
        let (recorded, placed) = self.push_and_place(context, Recorded::own(trace))?;
        Ok(Performed { trace: recorded.trace, placed, fresh: true, earlier })
    }

    /// What every process of its jobs has: their name, and the leases, which last until the last process has ended.
    fn belongings(&self, store: &Store, lease: &Lease, claims: &[Claim]) -> Result<Belongings, Failure> {
        let mut leases = Vec::from_iter(lease.share().map_err(failed)?);
        for claim in claims {
            leases.extend(claim.share().map_err(failed)?);
        }
        if let Some(visit) = &self.visit {
            leases.extend(visit.share().map_err(failed)?);
        }
        let workspace = store.workspace_root().map(|root| root.as_os_str().to_owned());
        Ok(Belongings { name: store.lock_path(self.key).into_os_string(), workspace, leases: Arc::new(leases) })
    }

    /// Makes attempts until one succeeds or none is left.
    fn attempts(&mut self, context: &Context<'_>, belongings: &Belongings) -> Result<(Trace, Stored, f64), Failure> {
        let Context { control, tell, .. } = *context;
        let mut at = Attempts { attempt: 1, of: self.retries + 1, reason: String::new() };
        loop {
            let limit = self.request.timeout.filter(|_| !context.executor.is_batch());
            let done = control.within(limit, GRACE, || self.attempt(context, belongings, &at));
            let message = match done.map_err(|failure| self.in_time(failure, control)) {
                Err(Failure::Failed { message, help }) => {
                    // The key stands for the inputs as they were; once they have changed, a retry is useless.
                    let mut changed = self.guard.changed();
                    let is_overtaken = !changed.is_empty();
                    // A worker never writes to what it reads.
                    if is_overtaken && matches!(self.work, Work::Command(_)) {
                        changed.extend(self.guard.grown().map(Path::to_owned));
                        tell(News::Overtaken(changed));
                    }
                    if at.attempt == at.of || control.is_told_to_stop() || is_overtaken {
                        return Err(Failure::Failed { message, help });
                    }
                    message
                }
                result => return result,
            };
            at = Attempts { attempt: at.attempt + 1, reason: message, ..at };
            tell(News::Retrying(at.clone()));
        }
    }

    /// A job that was stopped because it took too long has failed.
    fn in_time(&self, failure: Failure, control: &Control) -> Failure {
        match (failure, self.request.timeout) {
            (Failure::Cancelled { at }, Some(timeout)) if control.has_expired() => {
                // Exact: rounded to tenths, a short limit would read as 0.
                let seconds = timeout.as_secs_f64();
                let limit = if seconds < 1.0 { format!("{seconds} s") } else { measures::duration(seconds) };
                let kept = match at {
                    Some(at @ 1..) => format!("; it resumes from {at} when it is run again"),
                    _ => String::new(),
                };
                Failure::new(format!("it took longer than its `timeout`, {limit}, and was stopped{kept}")).with_help(
                    if self.retries == 0 {
                        "a longer `timeout` gives it more time; `retries` repeats a failed stage"
                    } else {
                        "a longer `timeout` gives it more time"
                    },
                )
            }
            (failure, _) => failure,
        }
    }

    /// One attempt: performs the work and stores its outputs.
    fn attempt(
        &mut self,
        context: &Context<'_>,
        belongings: &Belongings,
        at: &Attempts,
    ) -> Result<(Trace, Stored, f64), Failure> {
        let store = context.store;
        let is_batch = context.executor.is_batch();
        let name = self.key.to_string();
        let slot = store.slot(self.key);
        let desk = match self.work {
            Work::Command(_) if !is_batch => Desk::Unneeded(slot.path().to_owned()),
            _ => Desk::open(store, &name, is_batch)?,
        };
        let resumes = slot.exists();
        slot.create().map_err(failed)?;
        let before = (at.attempt > 1).then(|| {
            format!("intrada-run: attempt {} of {}, as the one before failed: {}\n", at.attempt, at.of, at.reason)
        });
        if !is_batch {
            self.withdraw(store, &name, &slot, context.tell)?;
        }
        let goes_on = resumes || (is_batch && was_submitted(desk.path()));
        let (log, _release) = last_words::prepare_log(store, self.key, goes_on, before.as_deref(), !is_batch)?;
        let mut trace = Trace::new(self.key, &self.pipeline, &self.stage, &self.kind, self.manifest_as_json());
        trace.note = self.run_info.now(&self.root);
        let (started, kept) = (Instant::now(), job::kept(slot.path()));
        let (request, name, folder, log) = (&self.request.clone(), &*name, desk.path(), &*log);
        let (finished, stored) = match &self.work {
            Work::Worker(job, gpus) => {
                let (slot_path, samples) = (slot.path().to_owned(), samples(store, job));
                let job = Job { staging: desk.out()?, slot: slot_path, samples, ..Job::clone(job) };
                let durable = || self.durable(started, resumes, is_batch);
                self.perform_by_items(store, &slot, job, (desk.take(), &durable), |mut job| {
                    let shards = self.perform_shards(context, belongings, log, &mut job)?;
                    let work = Work::Worker(Box::new(job), gpus.clone());
                    let mut finished =
                        self.run(context, &Start { work: &work, request, name, folder, log, belongings })?;
                    finished.notes.extend(shards.map(|shards| ("shards".to_owned(), shards.to_string())));
                    Ok(finished)
                })?
            }
            Work::Command(program) => {
                let work = Work::Command(Program { slot: slot.path().to_owned(), ..program.clone() });
                let start = Start { work: &work, request, name, folder, log, belongings };
                self.perform_undisturbed(context, &start, started, resumes)?
            }
        };
        trace.resumed_from = finished.resumed_from;
        // The cost is the sum over all runs that resumed from one another.
        let (own, kept) = match &finished.elsewhere {
            Some(elsewhere) => (elsewhere.seconds, Some(elsewhere.earlier)),
            None => (started.elapsed().as_secs_f64(), kept.map(|kept| kept.seconds)),
        };
        let earlier = trace.resumed_from.and(kept).unwrap_or(0.0);
        trace.seconds = earlier + own;
        trace.note.extend(finished.elsewhere.map(|elsewhere| ("machine".to_owned(), elsewhere.machine)));
        trace.note.extend(finished.notes);
        Ok((trace, stored, earlier))
    }

    /// Takes the job back from a batch system to which an earlier run had submitted it: two must not write to one slot.
    fn withdraw(&self, store: &Store, name: &str, slot: &ResumeSlot<'_>, tell: &dyn Fn(News)) -> Result<(), Failure> {
        let folder = store.job_folder(name);
        let withdrawn = batch::withdraw(folder.path(), &slot.attempt_path());
        if let Some(job) = withdrawn.map_err(|error| io_failure("clear", folder.path(), &error))? {
            tell(News::Remark(format!("was also submitted, as {job}: that job ends by itself")));
        }
        Ok(())
    }

    /// Has the executor run the job.
    fn run(&self, context: &Context<'_>, start: &Start<'_>) -> Result<Finished, Failure> {
        let Context { store, executor, control, tell } = *context;
        let on_report = |report: &Report| match report {
            Report::Event(event) => tell(News::Event(event.clone())),
            Report::Standing(text) => tell(News::Standing(text.clone())),
        };
        let finished = perform(executor, start, control, on_report)
            // Check for a full disk before anything is removed.
            .map_err(|failure| last_words::with_room(failure, store, &self.root))?;
        tell(News::Storing);
        Ok(finished)
    }

    /// For a kind that works item by item: passes what is known of the items to the worker, and keeps what it finds, even if the
    /// job fails.
    fn perform_by_items(
        &self,
        store: &Store,
        slot: &ResumeSlot<'_>,
        mut job: Job,
        (take, durable): (Take, &dyn Fn() -> Durable),
        perform: impl FnOnce(Job) -> Result<Finished, Failure>,
    ) -> Result<(Finished, Stored), Failure> {
        if let Some(items) = &self.items {
            // Left by an attempt that was killed together with its runner.
            items.keep(store, slot.path()).map_err(failed)?;
            job.items = Some(items.for_job(store, self.forced).map_err(failed)?);
        }
        let staging = job.staging.clone();
        let result = perform(job).and_then(|finished| {
            // The worker has compared all that it read with the key (`job::Source`). So this is the key's result, even if the
            // files have changed since.
            Ok((finished, self.collect(store, &staging, take, durable())?))
        });
        if let Some(items) = &self.items {
            // Findings that can't be kept are found again. That must neither fail the job nor hide its failure.
            let _ = items.take(store, slot.path()).and_then(|found| items.note(store, found));
        }
        result
    }

    /// The right to compute the key.
    fn lease(&self, store: &Store, control: &Control, tell: &dyn Fn(News)) -> Result<Lease, Failure> {
        let lease = when_free(store, control, tell, || match store.try_lease(self.key).map_err(failed)? {
            Attempt::Held(lease) => Ok(Ok(lease)),
            Attempt::Busy(holder) => Ok(Err(holder)),
        })?;
        if lease.left_by().is_some() {
            end_orphans(store, tell);
        }
        Ok(lease)
    }

    /// Places the outputs of other stages that it reads and claims them; for a command it also claims the places of its outputs:
    /// two commands with different keys must not take each other's bytes for their own.
    fn secure(&mut self, store: &Store, control: &Control, tell: &dyn Fn(News)) -> Result<Vec<Claim>, Failure> {
        let writes = match self.work {
            Work::Command(_) => self.places(),
            Work::Worker(..) => Vec::new(),
        };
        let told = |output, to| tell(News::PutAside { output, to, unfinished: false });
        let claims = when_free(store, control, tell, || match self.reads.secure(store, &self.root, &writes, &told) {
            Ok(Secured::Held(claims)) => Ok(Ok(claims)),
            Ok(Secured::Busy(holder)) => Ok(Err(holder)),
            Err(error) => Err(failed(error).with_help("run again: the stage that made it will run, too")),
        })?;
        if claims.iter().any(|claim| claim.left_by().is_some()) {
            end_orphans(store, tell);
        }
        self.reads.outputs().for_each(|output| self.guard.output(output));
        writes.iter().for_each(|place| self.guard.place(place));
        Ok(claims)
    }

    /// Fails if somebody has deleted the claims meanwhile: another run may then have written to the places. A worker isn't
    /// affected: it compares what it reads, and writes elsewhere.
    fn was_alone(&self, claims: &[Claim]) -> Result<(), Failure> {
        if matches!(self.work, Work::Worker(..)) {
            return Ok(());
        }
        for claim in claims {
            if !claim.holds().map_err(failed)? {
                let lost = "the locks that keep other runs away from the stage's files (`.intrada`) were deleted while it ran, so its result \
                            is not kept";
                return Err(Failure::new(lost).with_help("run again; the folder goes by itself when the run ends"));
            }
        }
        Ok(())
    }

    fn places(&self) -> Vec<PathBuf> {
        self.outputs.iter().map(|output| output.path.clone()).collect()
    }

    /// Another process may have published the key between the look-up and the lease.
    fn done_meanwhile(
        &self,
        store: &Store,
        control: &Control,
        tell: &dyn Fn(News),
    ) -> Result<Option<Performed>, Failure> {
        if !matches!(store.load(self.key), Ok(Some(_))) {
            return Ok(None);
        }
        let _claims = self.claim_outputs(store, control, tell)?;
        // Not earlier: gc waits for the hold, and claims may take long.
        let _hold = store.hold().map_err(failed)?;
        // An unreadable trace is replaced by this run's.
        let Ok(Some(recorded)) = store.look_up(self.key) else { return Ok(None) };
        let placed = self.place_if_whole(store, &recorded, tell)?;
        Ok(placed.map(|placed| Performed { trace: recorded.trace, placed, fresh: false, earlier: 0.0 }))
    }

    /// The claims on the places of its outputs. A command has had them from the beginning.
    fn claim_outputs(&self, store: &Store, control: &Control, tell: &dyn Fn(News)) -> Result<Vec<Claim>, Failure> {
        match self.work {
            Work::Command(_) => Ok(Vec::new()),
            Work::Worker(..) => {
                when_free(store, control, tell, || claim_places(store, &self.root, &self.outputs).map_err(failed))
            }
        }
    }

    fn place_if_whole(
        &self,
        store: &Store,
        recorded: &Recorded,
        tell: &dyn Fn(News),
    ) -> Result<Option<Vec<PlacedOutput>>, Failure> {
        let told = |output, to| {
            let unfinished = self.unfinished.contains(&output);
            tell(News::PutAside { output, to, unfinished });
        };
        match place(store, &self.root, &self.outputs, self.placement(), recorded, &told) {
            Ok(placed) => Ok(placed),
            Err(error) if error.is_miss() => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    fn place(
        &self,
        store: &Store,
        recorded: &Recorded,
        control: &Control,
        tell: &dyn Fn(News),
    ) -> Result<Vec<PlacedOutput>, Failure> {
        let _claims = self.claim_outputs(store, control, tell)?;
        self.place_if_whole(store, recorded, tell)?
            .ok_or_else(|| Failure::new("an object vanished from the cache while the stage was published"))
    }

    fn placement(&self) -> Placement {
        match self.work {
            Work::Worker(..) => Placement::View,
            Work::Command(_) => Placement::Writable,
        }
    }

    /// How the result of a job that began then is stored. A checkpoint, or what a batch system left, is removed with the record, so
    /// that must be durable first.
    fn durable(&self, began: Instant, resumes: bool, is_batch: bool) -> Durable {
        let is_cheap = began.elapsed() < MOMENT && !resumes && !is_batch && self.split.is_none();
        if is_cheap { Durable::Soon } else { Durable::Now }
    }

    fn collect(&self, store: &Store, folder: &Path, take: Take, durable: Durable) -> Result<Stored, Failure> {
        let missing: Vec<String> = self
            .outputs
            .iter()
            .filter(|output| std::fs::symlink_metadata(folder.join(&output.made_at)).is_err())
            .map(|output| output.made_at.display().to_string())
            .collect();
        if !missing.is_empty() {
            return Err(Failure::new(format!("it ended well, but did not write {}", missing.join(", ")))
                .with_help("every path in `outputs` must be there when the stage ends"));
        }
        let hold = store.hold().map_err(failed)?;
        let insert =
            |output: &Destination| store.insert_by(&folder.join(&output.made_at), take, durable).map_err(failed);
        Ok(Stored { artifacts: self.outputs.iter().map(insert).collect::<Result<_, _>>()?, durable, _hold: hold })
    }

    fn traced(&self, artifacts: &[Artifact]) -> Vec<TracedOutput> {
        let pairs = self.outputs.iter().zip(artifacts);
        pairs
            .map(|(output, artifact)| TracedOutput {
                name: output.name.clone(),
                path: output.made_at.to_string_lossy().into_owned(),
                artifact: *artifact,
            })
            .collect()
    }

    fn manifest_as_json(&self) -> serde_json::Value {
        serde_json::to_value(&self.manifest).expect("a manifest is plain data")
    }
}

/// The folder of decoded samples, if a data set of the job is cached.
fn samples(store: &Store, job: &Job) -> Option<PathBuf> {
    job.datasets.values().any(job::Dataset::is_cached).then(|| {
        // If it can't be made, the worker says so, and keeps none.
        let _ = store.make_samples();
        store.samples()
    })
}
