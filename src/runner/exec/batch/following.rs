//! A job of a batch system, for the thread that waits for it: submits or adopts it, passes on what it says, and takes its result.
//!
//! Knows the files of a job and the interface of a batch system; what follows from them, [`super::verdict`] says. Everything that a
//! later run needs to go on is in the job's folder, so this may end at any moment.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::super::executor::{Ended, Execution, Handle, Report, Request};
use super::super::job::{Event, iterations_kept};
use super::super::{Failure, listen, tail};
use super::papers::{Papers, Running, Submitted};
use super::queue::{Phase, Standing};
use super::submit::{ARRAY, Ask, Submitter};
use super::verdict::{self, Seen, Verdict};
use super::watch::{Notice, Watch};
use super::wishes::{Wish, Wishes};

/// After so many answers in which the batch system doesn't know a job, it counts as lost.
const QUESTIONS: u32 = 20;
/// The last lines that a batch system printed for a job, for a message.
const PRINTED: usize = 5;

/// What follows a job, and where it is.
pub(super) struct Job {
    pub(super) submitter: Arc<Submitter>,
    pub(super) watch: Arc<Watch>,
    /// How long files that another machine wrote may stay invisible here.
    pub(super) latency: Duration,
    pub(super) papers: Papers,
    pub(super) request: Request,
    /// Its resume slot.
    pub(super) slot: PathBuf,
    /// Whether a worker performs it, which has events.
    pub(super) talks: bool,
    /// Where an earlier run submitted it.
    pub(super) submitted: Option<Submitted>,
}

/// A job that is followed.
pub(super) struct Following {
    job: Job,
    wishes: Arc<Wishes>,
    state: State,
}

struct State {
    notices: Receiver<Notice>,
    notify: Sender<Notice>,
    /// The last answer of the system; `None` inside: it doesn't know the job. `None`: it hasn't answered yet.
    standing: Option<Option<Standing>>,
    /// When that was first so, and for how long it was so over answered questions.
    since: Option<Instant>,
    is_away: bool,
    is_cancelled: bool,
    events: Events,
    /// What is still to be passed on.
    reports: VecDeque<Report>,
    /// The last thing that was told about its place.
    told: String,
    /// What people were told of its node.
    note: Option<String>,
    end: Option<Result<Ended, Failure>>,
}

/// The events of the attempt that runs. Those that decide are held back until it is known that no other attempt follows.
#[derive(Default)]
struct Events {
    attempt: String,
    /// Bytes that were read.
    read: u64,
    /// An unfinished line.
    rest: String,
    outcome: Option<Event>,
}

impl Following {
    pub(super) fn new(job: Job) -> Following {
        let (notify, notices) = mpsc::channel();
        let wishes = Arc::<Wishes>::default();
        wishes.wake(notify.clone());
        let state = State {
            notices,
            notify,
            standing: None,
            since: None,
            is_away: false,
            is_cancelled: false,
            events: Events::default(),
            reports: VecDeque::new(),
            told: String::new(),
            note: None,
            end: None,
        };
        Following { job, wishes, state }
    }

    /// Its name in messages: ``job 15 of `cluster` ``.
    fn name(&self) -> String {
        let number = self.number().unwrap_or("without a number");
        format!("job {number} of `{}`", self.job.submitter.executor)
    }

    fn number(&self) -> Option<&str> {
        self.job.submitted.as_ref()?.job.as_deref()
    }

    fn tell(&mut self, text: String) {
        if text != self.state.told {
            self.state.told.clone_from(&text);
            self.state.reports.push_back(Report::Standing(text));
        }
    }

    /// Makes sure that the job has a number: that of an earlier run, or a new one.
    fn ensure_submitted(&mut self) -> Result<(), Failure> {
        if self.number().is_some() {
            self.tell(format!("{} was submitted by an earlier run", self.name()));
            return Ok(());
        }
        if let Some(submitted) = self.job.submitted.take() {
            // An earlier run ended between writing this and hearing of a number.
            if let Some(job) = self.found(&submitted)? {
                self.adopt(Submitted { job: Some(job), ..submitted })?;
                self.tell(format!("{} was submitted by an earlier run", self.name()));
                return Ok(());
            }
        }
        self.submit(0)
    }

    /// The number of a job that was submitted under this name, if it was.
    fn found(&mut self, submitted: &Submitted) -> Result<Option<String>, Failure> {
        let queue = Arc::clone(&self.job.submitter.queue);
        // A node knows the number that Slurm gave it. In a system that itself runs in jobs of Slurm's that is another number.
        if let (true, Ok(Some(Running { job: Some(job), .. }))) = (queue.tells_labels(), self.job.papers.running()) {
            return Ok(Some(job));
        }
        let mut denials = 0;
        while queue.tells_labels() && denials < 2 {
            match queue.labelled(&submitted.label) {
                Ok(Some(job)) => {
                    let task = |task| queue.task(&job, task);
                    return Ok(Some(submitted.task.map_or_else(|| job.clone(), task)));
                }
                Ok(None) => denials += 1,
                Err(why) => self.tell(format!("`{}` can't be asked: {why}", self.job.submitter.executor)),
            }
            self.stop_if_wished()?;
            std::thread::sleep(self.job.watch.glance());
        }
        Ok(None)
    }

    fn stop_if_wished(&self) -> Result<(), Failure> {
        match self.wishes.wish() {
            Some(Wish::Stop | Wish::Kill) => Err(Failure::Cancelled { at: iterations_kept(&self.job.slot) }),
            Some(Wish::Leave) => Err(Failure::Left(format!("`{}` can't be reached", self.job.submitter.executor))),
            None => Ok(()),
        }
    }

    fn adopt(&mut self, submitted: Submitted) -> Result<(), Failure> {
        let written = self.job.papers.write_submitted(&submitted);
        written
            .map_err(|error| Failure::new(format!("failed to write into {}: {error}", self.job.papers.0.display())))?;
        self.job.submitted = Some(submitted);
        Ok(())
    }

    fn submit(&mut self, again: u32) -> Result<(), Failure> {
        let kept = iterations_kept(&self.job.slot);
        let ask = Ask { papers: self.job.papers.clone(), request: self.job.request.clone(), kept, again };
        let mut told = Vec::new();
        let submitted = self.job.submitter.submit(ask, &self.wishes, &mut |text| told.push(text));
        told.into_iter().for_each(|text| self.tell(text));
        self.job.submitted = Some(submitted?);
        self.tell(format!("{} was submitted", self.name()));
        Ok(())
    }

    /// Follows a job that has a number.
    fn follow(&mut self) {
        let Some(number) = self.number().map(str::to_owned) else { return };
        self.state.standing = None;
        self.state.since = None;
        self.job.watch.follow(&number, self.state.notify.clone());
    }

    fn forget(&mut self) {
        if let Some(number) = self.number().map(str::to_owned) {
            self.job.watch.forget(&number);
        }
    }

    /// One turn: waits for news or for the next look at the files, and acts on what is known.
    fn turn(&mut self) {
        match self.state.notices.recv_timeout(self.job.watch.glance()) {
            Ok(notice) => self.hear(notice),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => unreachable!("this holds a sender"),
        }
        if self.heed_wishes() {
            return;
        }
        if let Err(error) = self.look() {
            self.tell(format!("its files can't be read now: {error}"));
            return;
        }
        self.act();
    }

    fn hear(&mut self, notice: Notice) {
        match notice {
            Notice::Wish => {}
            Notice::Away(why) => {
                if !std::mem::replace(&mut self.state.is_away, true) {
                    self.tell(format!("`{}` can't be asked, and is asked again: {why}", self.job.submitter.executor));
                }
            }
            Notice::Answer(standing) => {
                self.state.is_away = false;
                let is_new =
                    self.state.standing.as_ref().is_none_or(|before| !is_alike(before.as_ref(), standing.as_ref()));
                if is_new {
                    self.state.since = Some(Instant::now());
                    self.hasten(standing.as_ref());
                    self.tell_of(standing.as_ref());
                }
                self.state.standing = Some(standing);
            }
        }
    }

    fn hasten(&self, standing: Option<&Standing>) {
        let is_requeued = |standing: &Standing| standing.phase == Phase::Waiting && standing.restarts > 0;
        if let (true, Some(number)) = (standing.is_some_and(is_requeued), self.number()) {
            self.job.submitter.queue.hasten(number);
        }
    }

    fn tell_of(&mut self, standing: Option<&Standing>) {
        // An end is told with what follows from it.
        if let Some(standing) = standing.filter(|standing| standing.is_open()) {
            self.tell(format!("{} {}", self.name(), standing.words()));
        }
    }

    /// Returns whether this is the end.
    fn heed_wishes(&mut self) -> bool {
        match self.wishes.wish() {
            None => return false,
            Some(Wish::Leave) => {
                let text = if self.state.told.is_empty() { self.name() } else { self.state.told.clone() };
                self.state.end = Some(Err(Failure::Left(text)));
                return true;
            }
            Some(Wish::Stop | Wish::Kill) if !self.state.is_cancelled => {
                self.state.is_cancelled = true;
                if let Some(number) = self.number().map(str::to_owned) {
                    self.job.watch.cancel(&number);
                }
            }
            Some(Wish::Stop | Wish::Kill) => {}
        }
        if self.wishes.wish() == Some(Wish::Kill) {
            self.state.end = Some(Err(Failure::Cancelled { at: iterations_kept(&self.job.slot) }));
            return true;
        }
        false
    }

    /// Reads what the job has written since the last look.
    fn look(&mut self) -> io::Result<()> {
        let running = self.job.papers.running()?;
        if let Some(running) = &running
            && running.attempt != self.state.events.attempt
        {
            self.state.events = Events { attempt: running.attempt.clone(), ..Events::default() };
            let text = format!("{} runs on {}", self.name(), running.node);
            self.tell(text);
        }
        if let Some(note) = running.and_then(|running| running.note)
            && self.state.note.as_ref() != Some(&note)
        {
            self.tell(note.clone());
            self.state.note = Some(note);
        }
        if self.job.talks && !self.state.events.attempt.is_empty() {
            self.read_events()?;
        }
        Ok(())
    }

    fn read_events(&mut self) -> io::Result<()> {
        let events = &mut self.state.events;
        let mut file = match File::open(self.job.papers.events(&events.attempt)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file?,
        };
        file.seek(SeekFrom::Start(events.read))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        events.read += bytes.len() as u64;
        events.rest.push_str(&String::from_utf8_lossy(&bytes));
        while let Some(end) = events.rest.find('\n') {
            let line: String = events.rest.drain(..=end).collect();
            match listen::event(line.trim_end()) {
                Some(event @ (Event::Progress { .. } | Event::Resumed { .. })) => {
                    self.state.reports.push_back(Report::Event(event));
                }
                Some(decides) => events.outcome = Some(decides),
                None => {}
            }
        }
        Ok(())
    }

    fn act(&mut self) {
        let seen = match self.seen() {
            Ok(seen) => seen,
            Err(error) => return self.tell(format!("its files can't be read now: {error}")),
        };
        // Whether an attempt that was interrupted is followed by another, only the system knows.
        let is_open = seen.outcome.as_ref().is_some_and(|outcome| !outcome.is_final());
        if is_open && (self.state.standing.is_none() || self.state.is_cancelled) {
            self.job.watch.hurry();
        }
        match verdict::of(&seen) {
            Verdict::Wait => {}
            Verdict::Take(ended) => self.take(ended, seen.outcome.map(|outcome| outcome.attempt)),
            Verdict::Again { why, counts, cancel } => {
                if let (true, Some(number)) = (cancel, self.number()) {
                    self.job.watch.cancel(number);
                }
                let again = seen.again + u32::from(counts);
                self.forget();
                self.tell(format!("{} is submitted again: {why}", seen.job));
                self.state.end =
                    self.job.papers.drop_outcome().map_err(|error| Failure::new(error.to_string())).err().map(Err);
                if let Err(failure) = self.submit(again) {
                    self.state.end = Some(Err(failure));
                }
                self.follow();
            }
            Verdict::Fail { failure, cancel } => {
                if let (true, Some(number)) = (cancel, self.number()) {
                    self.job.watch.cancel(number);
                }
                self.state.end = Some(Err(failure));
            }
        }
    }

    fn seen(&self) -> io::Result<Seen> {
        let outcome = self.job.papers.outcome()?;
        let submitted = self.job.submitted.as_ref();
        let standing = self.state.standing.clone().unwrap_or_else(unanswered);
        // While it waits or runs these decide nothing, and each look would read them on a shared file system.
        let may_have_ended = outcome.is_some() || !standing.as_ref().is_some_and(Standing::is_open);
        let kept = may_have_ended.then(|| iterations_kept(&self.job.slot)).flatten();
        let printed = may_have_ended.then(|| tail(&self.system_log(), PRINTED).ok()).flatten();
        Ok(Seen {
            outcome,
            standing,
            since: self.state.since.map_or(Duration::ZERO, |since| since.elapsed()),
            latency: self.job.latency,
            lost_after: QUESTIONS * self.job.watch.poll(),
            is_cancelled: self.state.is_cancelled,
            kept: [submitted.and_then(|submitted| submitted.kept), kept],
            again: submitted.map_or(0, |submitted| submitted.again),
            printed: printed.unwrap_or_default(),
            job: self.name(),
        })
    }

    /// What the batch system and its starter have printed.
    fn system_log(&self) -> PathBuf {
        match self.job.submitted.as_ref().and_then(|submitted| Some((submitted.task?, &submitted.label))) {
            Some((task, label)) => {
                self.job.submitter.folders.join(format!("{ARRAY}{label}")).join(format!("{task}.log"))
            }
            None => self.job.papers.system_log(),
        }
    }

    /// The job has ended by itself: its last words, and its outputs in their place.
    fn take(&mut self, ended: Ended, attempt: Option<String>) {
        let attempt = attempt.unwrap_or_default();
        if self.state.events.attempt != attempt {
            self.state.events = Events { attempt: attempt.clone(), ..Events::default() };
        }
        if self.job.talks
            && let Err(error) = self.read_events()
        {
            return self.tell(format!("its files can't be read now: {error}"));
        }
        self.state.reports.extend(self.state.events.outcome.take().map(Report::Event));
        let out = self.job.papers.out_of(&attempt);
        self.state.end = Some(match std::fs::rename(&out, self.job.papers.out()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound && ended.how.is_success() => {
                Err(Failure::new(format!("failed to take the outputs from {}: {error}", out.display())))
            }
            // Without outputs, or an earlier run has taken them and ended before it stored them.
            _ => Ok(ended),
        });
    }
}

/// Before the first answer a job counts as waiting, not as unknown.
fn unanswered() -> Option<Standing> {
    Some(Standing { phase: Phase::Waiting, node: None, reason: String::new(), restarts: 0 })
}

/// Whether two answers say the same as far as time counts.
fn is_alike(one: Option<&Standing>, other: Option<&Standing>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            (&one.phase, &one.reason, one.restarts) == (&other.phase, &other.reason, other.restarts)
        }
        (None, None) => true,
        _ => false,
    }
}

impl Execution for Following {
    fn handle(&self) -> Arc<dyn Handle> {
        Arc::clone(&self.wishes) as Arc<dyn Handle>
    }

    fn next_report(&mut self) -> Option<Report> {
        if self.state.end.is_none() && self.state.standing.is_none() && self.state.told.is_empty() {
            match self.ensure_submitted() {
                Ok(()) => self.follow(),
                Err(failure) => self.state.end = Some(Err(failure)),
            }
        }
        loop {
            if let Some(report) = self.state.reports.pop_front() {
                return Some(report);
            }
            if self.state.end.is_some() {
                return None;
            }
            self.turn();
        }
    }

    fn wait(&mut self) -> Result<Ended, Failure> {
        self.forget();
        let end = self.state.end.take().expect("the last report came before");
        let is_over = match &end {
            // The result stays until it is stored.
            Ok(ended) => !ended.how.is_success(),
            Err(Failure::Left(_)) => false,
            Err(_) => true,
        };
        if is_over {
            // It would be adopted as it is: a failed stage would fail again without being tried.
            let closed = self.job.papers.close();
            closed
                .map_err(|error| Failure::new(format!("failed to clear {}: {error}", self.job.papers.0.display())))?;
        }
        end
    }
}
