//! Performs one job at a place, from its start to what came of it.
//!
//! Knows neither the place nor what a kind does: the executor starts, events are listened to, and `diagnosis` says what the end
//! means.

use std::sync::Arc;

use super::control::Control;
use super::executor::{Executor, Report, Start};
use super::listen::Said;
use super::{Failure, Finished, Visible, diagnosis};

/// Starts a job under `control`, unless that was told to stop already, and waits for its end.
///
/// # Errors
/// It can't be started, the failure that the worker named, or the way in which the job ended.
pub fn perform(
    executor: &dyn Executor,
    start: &Start<'_>,
    control: &Control,
    mut on_report: impl FnMut(&Report),
) -> Result<Finished, Failure> {
    if control.is_stopping() {
        return Err(Failure::Cancelled { at: None });
    }
    let mut execution = executor.start(start)?;
    let handle = execution.handle();
    control.attach(Arc::clone(&handle));
    let mut said = Said::default();
    while let Some(report) = execution.next_report() {
        on_report(&report);
        if let Report::Event(event) = report {
            said.hear(event);
        }
    }
    let ended = execution.wait();
    control.detach(&handle);
    let ended = ended?;
    if ended.timed_out {
        control.note_expired();
    }
    let is_stopping = control.is_stopping();
    // A node asks its own worker.
    let why_not_loaded = || if executor.is_batch() { None } else { executor.describe(&Visible::All).err() };
    let finished = diagnosis::of(start.work, said, &ended, is_stopping, why_not_loaded)?;
    Ok(Finished { elsewhere: ended.elsewhere, ..finished })
}
