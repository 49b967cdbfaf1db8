//! What other threads want of a submitted job: to cancel it, not to wait for its end, or to leave it alone.
//!
//! Knows no batch system. The thread that follows the job is woken and acts; nothing here waits.

use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard};

use super::super::executor::Handle;
use super::watch::Notice;

/// The wishes about one job.
#[derive(Default)]
pub(super) struct Wishes(Mutex<State>);

#[derive(Default)]
struct State {
    wish: Option<Wish>,
    wake: Option<Sender<Notice>>,
}

/// The strongest wish counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    /// To end this program's part, and let the job go on.
    Leave,
    /// To cancel the job, and wait until it has saved.
    Stop,
    /// To cancel it and not to wait.
    Kill,
}

impl Wishes {
    pub(super) fn wake(&self, wake: Sender<Notice>) {
        self.lock().wake = Some(wake);
    }

    pub(super) fn wish(&self) -> Option<Wish> {
        self.lock().wish
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.wish() >= Some(Wish::Stop)
    }

    fn want(&self, wish: Wish) {
        let mut state = self.lock();
        state.wish = state.wish.max(Some(wish));
        // Whoever followed it may have ended.
        state.wake.as_ref().map(|wake| wake.send(Notice::Wish));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no code panics while it holds this lock")
    }
}

impl Handle for Wishes {
    fn stop(&self) {
        self.want(Wish::Stop);
    }

    fn kill(&self) {
        self.want(Wish::Kill);
    }

    fn leave(&self) {
        self.want(Wish::Leave);
    }
}
