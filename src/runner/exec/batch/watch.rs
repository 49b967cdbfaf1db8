//! Asks the batch system about all jobs of an executor with one question at a time, and passes each its answer.
//!
//! Knows numbers of jobs, not what they do. How often the system is asked doesn't depend on how many jobs there are; while it
//! doesn't answer, it is asked less and less often. Its thread lives as long as there is something to ask.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::queue::{Queue, Standing};

/// The longest time between two questions while the system doesn't answer.
const LONGEST: Duration = Duration::from_secs(300);

/// News for the thread that follows a job.
#[derive(Debug)]
pub(super) enum Notice {
    /// An answer: its standing, or that the system doesn't know it.
    Answer(Option<Standing>),
    /// The system couldn't be asked; why.
    Away(String),
    /// Somebody wants something of the job.
    Wish,
}

/// The jobs of one executor.
pub(super) struct Watch {
    queue: Arc<dyn Queue>,
    poll: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: BTreeMap<String, Sender<Notice>>,
    to_cancel: BTreeSet<String>,
    has_thread: bool,
    /// Ask now.
    is_urgent: bool,
}

impl Watch {
    pub(super) fn new(queue: Arc<dyn Queue>, poll: Duration) -> Arc<Watch> {
        Arc::new(Watch { queue, poll, state: Mutex::default(), changed: Condvar::new() })
    }

    pub(super) fn poll(&self) -> Duration {
        self.poll
    }

    /// How long between two looks at the files of a job, so that all looks together stay few.
    pub(super) fn glance(&self) -> Duration {
        const OFTEN: Duration = Duration::from_secs(1);
        const EACH: Duration = Duration::from_millis(10);
        let jobs = u32::try_from(self.lock().jobs.len()).unwrap_or(u32::MAX);
        self.poll.min(OFTEN).max(EACH * jobs.min(1000))
    }

    /// From now on, answers about `job` go to `to`.
    pub(super) fn follow(self: &Arc<Watch>, job: &str, to: Sender<Notice>) {
        let mut state = self.lock();
        state.jobs.insert(job.to_owned(), to);
        self.ensure_thread(&mut state);
    }

    pub(super) fn forget(&self, job: &str) {
        self.lock().jobs.remove(job);
        self.changed.notify_all();
    }

    /// Cancels a job, with all others that are to be cancelled at this moment.
    pub(super) fn cancel(self: &Arc<Watch>, job: &str) {
        let mut state = self.lock();
        state.to_cancel.insert(job.to_owned());
        self.ensure_thread(&mut state);
        self.changed.notify_all();
    }

    /// Asks as soon as possible.
    pub(super) fn hurry(&self) {
        self.lock().is_urgent = true;
        self.changed.notify_all();
    }

    fn ensure_thread(self: &Arc<Watch>, state: &mut State) {
        if !std::mem::replace(&mut state.has_thread, true) {
            let watch = Arc::clone(self);
            std::thread::spawn(move || watch.work());
        }
    }

    fn work(&self) {
        let mut pause = self.poll;
        loop {
            if !self.sleep(pause) {
                return;
            }
            self.cancel_all();
            pause = if self.ask() { self.poll } else { (2 * pause).min(LONGEST.max(self.poll)) };
        }
    }

    /// Waits until the next question or cancellation is due. `false`: there is nothing left to do.
    fn sleep(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let mut state = self.lock();
        loop {
            if state.jobs.is_empty() && state.to_cancel.is_empty() {
                state.has_thread = false;
                return false;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !state.to_cancel.is_empty() || std::mem::take(&mut state.is_urgent) {
                return true;
            }
            state = self.changed.wait_timeout(state, left).expect("no code panics while it holds this lock").0;
        }
    }

    /// What can't be cancelled now, as the system is away, is cancelled later.
    fn cancel_all(&self) {
        let jobs: Vec<String> = std::mem::take(&mut self.lock().to_cancel).into_iter().collect();
        if !jobs.is_empty() && self.queue.cancel(&jobs).is_err() {
            let mut state = self.lock();
            let followed: Vec<String> = jobs.into_iter().filter(|job| state.jobs.contains_key(job)).collect();
            state.to_cancel.extend(followed);
            drop(state);
            std::thread::sleep(self.poll);
        }
    }

    /// Returns whether the system answered.
    fn ask(&self) -> bool {
        let jobs: Vec<String> = self.lock().jobs.keys().cloned().collect();
        if jobs.is_empty() {
            return true;
        }
        let answer = self.queue.standings(&jobs);
        let state = self.lock();
        let is_answer = answer.is_ok();
        for job in &jobs {
            let Some(to) = state.jobs.get(job) else { continue };
            let _ = to.send(match &answer {
                Ok(standings) => Notice::Answer(standings.get(job).cloned()),
                Err(why) => Notice::Away(why.clone()),
            });
        }
        is_answer
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds this lock")
    }
}
