//! Progress of reading the sources, on screens without live lines: after two seconds of silence, then once a minute.
//!
//! A thread polls the meter while another reads. It ends when its channel is closed.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::event::{Event, Reporter};
use crate::inputs::{Meter, Reading};
use crate::screen::reading;
use crate::store::index::Index;

/// Silence before the first line.
const SILENCE: Duration = Duration::from_secs(2);
/// Time between lines.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);

/// A screen and the progress thread.
pub(super) struct Beside<R> {
    screen: R,
    /// Dropped first, which ends the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl<R: Reporter> Beside<R> {
    /// Polls `meter` for the lifetime of this value.
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
            // The thread only prints, so its panic doesn't fail the run.
            let _ = thread.join();
        }
    }
}
