//! Says how far the sources are read, where no line is drawn again: after two seconds without a word, then once a minute.
//!
//! A thread that looks at the meter beside whatever reads. It ends when there is nothing more to tell it.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::event::{Event, Reporter};
use crate::inputs::{Meter, Reading};
use crate::screen::reading;
use crate::store::index::Index;

/// So long nobody need wonder what happens.
const SILENCE: Duration = Duration::from_secs(2);
/// From one line to the next.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);

/// Another screen, and the thread beside it.
pub(super) struct Beside<R> {
    screen: R,
    /// Dropped first: it tells the thread to end.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl<R: Reporter> Beside<R> {
    /// Looks at `meter` as long as this lives.
    pub(super) fn new(screen: R, meter: Arc<Meter>) -> Beside<R> {
        let (stop, stopped) = channel();
        let look = move || {
            let (mut wait, mut last) = (SILENCE, Reading::default());
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                let now = meter.read();
                let is_going_on = now != last && (now.files[0] < now.files[1] || now.labels > last.labels);
                if is_going_on {
                    talk!("{}", reading::line(&now));
                }
                wait = if is_going_on { SIGN_OF_LIFE } else { SILENCE };
                last = now;
            }
        };
        Beside { screen, stop: Some(stop), thread: Some(std::thread::spawn(look)) }
    }
}

impl<R: Reporter> Reporter for Beside<R> {
    fn tell(&mut self, event: &Event) {
        self.screen.tell(event);
    }

    fn look(&mut self, index: &Index) {
        self.screen.look(index);
    }
}

impl<R> Drop for Beside<R> {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // It writes lines and nothing else; what went wrong there is no failure of the run.
            let _ = thread.join();
        }
    }
}
