//! A worker's lines → its events, and what of them decides about the job.
//!
//! Knows the contract of [`super::job`], not where the lines come from: a pipe, or a file that grows.

use super::job::Event;

/// The event on a line. `None`: something else, such as the output of a library, which is not worth a failure.
pub(super) fn event(line: &str) -> Option<Event> {
    serde_json::from_str(line).ok()
}

/// The events that decide.
#[derive(Default)]
pub(super) struct Said {
    /// [`Event::Finished`], [`Event::Interrupted`] or [`Event::Failed`]: the last one counts.
    pub(super) outcome: Option<Event>,
    pub(super) resumed_from: Option<u64>,
}

impl Said {
    pub(super) fn hear(&mut self, event: Event) {
        match event {
            Event::Progress { .. } => {}
            Event::Resumed { at } => self.resumed_from = Some(at),
            outcome => self.outcome = Some(outcome),
        }
    }
}
