//! What the scheduler wants of a running job: to stop, to be killed, to keep a time limit.
//!
//! Knows no executor. Whatever it is told is passed on to the [`Handle`]s of the jobs that run under it, and to one that is
//! attached later: a request that comes while a job is being started is not lost.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::executor::Handle;

/// How a job is told to end, from any thread. It serves all attempts of a stage, one after another, and all jobs of an attempt.
#[derive(Default)]
pub struct Control {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Of the jobs that run.
    handles: Vec<Arc<dyn Handle>>,
    /// What somebody asked for, once and for all attempts.
    told: Option<Request>,
    /// What the time limit of this attempt has asked for.
    expired: Option<Request>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Request {
    Leave,
    Stop,
    Kill,
}

impl Request {
    fn pass_on(self, handle: &dyn Handle) {
        match self {
            Request::Leave => handle.leave(),
            Request::Stop => handle.stop(),
            Request::Kill => handle.kill(),
        }
    }
}

impl Control {
    /// Asks the job to save what it has and end. A job that hasn't started yet won't.
    pub fn stop(&self) {
        self.tell(Request::Stop);
    }

    /// Ends the job and all that it started, at once.
    pub fn kill(&self) {
        self.tell(Request::Kill);
    }

    /// Stops following the job if it goes on without this program; see [`Handle::leave`].
    pub fn leave(&self) {
        self.tell(Request::Leave);
    }

    /// Whether it was told to end, by anybody or by the time limit.
    pub fn is_stopping(&self) -> bool {
        let state = self.lock();
        state.told.max(state.expired) >= Some(Request::Stop)
    }

    /// Whether [`Control::leave`] was called.
    pub fn is_told_to_leave(&self) -> bool {
        self.lock().told == Some(Request::Leave)
    }

    /// Whether [`Control::stop`] or [`Control::kill`] was called.
    pub fn is_told_to_stop(&self) -> bool {
        self.lock().told >= Some(Request::Stop)
    }

    /// Whether it was told to end by [`Control::within`] alone.
    pub fn has_expired(&self) -> bool {
        let state = self.lock();
        state.expired.is_some() && state.told < Some(Request::Stop)
    }

    /// Does `work`, in which the job is started and waited for. If that takes longer than `limit` the job is asked to save and
    /// end; after `grace` more it is killed. The limit is counted anew each time.
    pub fn within<T>(&self, limit: Option<Duration>, grace: Duration, work: impl FnOnce() -> T) -> T {
        self.lock().expired = None;
        let Some(limit) = limit else { return work() };
        std::thread::scope(|scope| {
            let (done, wait) = mpsc::channel::<()>();
            scope.spawn(move || {
                for (patience, request) in [(limit, Request::Stop), (grace, Request::Kill)] {
                    if wait.recv_timeout(patience) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                    self.request(request, |state| &mut state.expired);
                }
            });
            let result = work();
            drop(done);
            result
        })
    }

    /// The job's executor has stopped it at its time limit.
    pub fn note_expired(&self) {
        self.lock().expired = Some(Request::Stop);
    }

    /// From now on, requests go to this job, too, and those that were made already go to it at once.
    pub fn attach(&self, handle: Arc<dyn Handle>) {
        let mut state = self.lock();
        state.handles.push(Arc::clone(&handle));
        let open = state.told.max(state.expired);
        drop(state);
        if let Some(request) = open {
            request.pass_on(&*handle);
        }
    }

    /// The job with this handle has ended.
    pub fn detach(&self, handle: &Arc<dyn Handle>) {
        self.lock().handles.retain(|other| !Arc::ptr_eq(other, handle));
    }

    fn tell(&self, request: Request) {
        self.request(request, |state| &mut state.told);
    }

    /// Notes a request and passes it on. Not under the lock: a handle may take its time, and others ask meanwhile.
    fn request(&self, request: Request, place: fn(&mut State) -> &mut Option<Request>) {
        let mut state = self.lock();
        let noted = place(&mut state);
        *noted = (*noted).max(Some(request));
        let handles = state.handles.clone();
        drop(state);
        handles.iter().for_each(|handle| request.pass_on(&**handle));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use super::*;

    /// Notes what it is told, and asks the control back meanwhile, as a handle may that takes its time.
    #[derive(Default)]
    struct Noted {
        told: Mutex<Vec<&'static str>>,
        control: Weak<Control>,
    }

    impl Noted {
        fn under(control: &Arc<Control>) -> Arc<Noted> {
            Arc::new(Noted { told: Mutex::default(), control: Arc::downgrade(control) })
        }

        fn told(&self) -> Vec<&'static str> {
            self.told.lock().unwrap().clone()
        }

        fn note(&self, word: &'static str) {
            assert!(self.control.upgrade().is_some_and(|control| control.is_stopping()));
            self.told.lock().unwrap().push(word);
        }
    }

    impl Handle for Noted {
        fn stop(&self) {
            self.note("stop");
        }

        fn kill(&self) {
            self.note("kill");
        }
    }

    #[test]
    fn a_request_reaches_the_job_that_runs_and_one_that_is_attached_later() {
        let control = Arc::<Control>::default();
        let [first, second, third] = [(); 3].map(|()| Noted::under(&control));
        let handle = |noted: &Arc<Noted>| Arc::clone(noted) as Arc<dyn Handle>;
        control.attach(handle(&first));
        control.stop();
        control.detach(&handle(&first));
        control.attach(handle(&second));
        control.kill();
        control.stop();
        control.attach(handle(&third));
        assert_eq!(first.told(), ["stop"]);
        assert_eq!(second.told(), ["stop", "kill", "stop"]);
        assert_eq!(third.told(), ["kill"], "the stronger request is the one that lasts");
    }

    #[test]
    fn a_request_reaches_every_job_that_runs() {
        let control = Arc::<Control>::default();
        let jobs = [(); 3].map(|()| Noted::under(&control));
        jobs.iter().for_each(|job| control.attach(Arc::clone(job) as Arc<dyn Handle>));
        control.stop();
        control.detach(&(Arc::clone(&jobs[1]) as Arc<dyn Handle>));
        control.kill();
        assert_eq!(jobs.map(|job| job.told()), [vec!["stop", "kill"], vec!["stop"], vec!["stop", "kill"]]);
    }

    #[test]
    fn a_time_limit_ends_one_attempt_and_a_request_ends_all() {
        let control = Arc::<Control>::default();
        let handle = Noted::under(&control);
        control.attach(Arc::clone(&handle) as Arc<dyn Handle>);
        let until_killed = || {
            while handle.told().last() != Some(&"kill") {
                std::thread::yield_now();
            }
        };
        control.within(Some(Duration::ZERO), Duration::ZERO, until_killed);
        assert_eq!(handle.told(), ["stop", "kill"]);
        assert!(control.has_expired() && control.is_stopping() && !control.is_told_to_stop());
        control.within(None, Duration::ZERO, || assert!(!control.has_expired() && !control.is_stopping()));
        control.stop();
        control.within(None, Duration::ZERO, || assert!(!control.has_expired() && control.is_stopping()));
    }
}
