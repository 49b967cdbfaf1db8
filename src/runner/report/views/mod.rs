//! What can be looked at while a run goes on: TensorBoard's events grow as a training does.
//!
//! A listener among others: it hears what a run tells, passes it on, and keeps files in `runs/` that are made from the cache
//! and from what a job has left in its resume slot so far. Decides nothing, and what it can't write fails no run: it is
//! said once.

mod event_file;
mod events;

use std::sync::Arc;

use super::{Event, Reporter};
use crate::spec::Pipeline;
use crate::store::Store;

use events::EventFiles;

/// Passes events on and keeps the views.
pub struct Views<R> {
    inner: R,
    events: EventFiles,
    has_warned: bool,
}

impl<R: Reporter> Views<R> {
    /// Of the stages of `pipeline`, whose results are in `store`.
    pub fn new(inner: R, pipeline: &Pipeline, store: &Arc<Store>) -> Views<R> {
        Views { inner, events: EventFiles::new(pipeline, store), has_warned: false }
    }
}

impl<R: Reporter> Reporter for Views<R> {
    fn tell(&mut self, event: &Event) {
        if let Err(error) = self.events.hear(event)
            && !std::mem::replace(&mut self.has_warned, true)
        {
            self.inner.tell(&Event::Warning(format!("TensorBoard shows less than there is: {error}")));
        }
        self.inner.tell(event);
    }
}
