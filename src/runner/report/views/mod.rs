//! What can be looked at while a run goes on: TensorBoard's events, which grow as a training does, and `report.html`.
//!
//! A listener among others: it hears what a run tells, passes it on, and keeps files in `runs/` that are made from the cache
//! and from what a job has left in its resume slot so far. Decides nothing, and what it can't write fails no run: it is
//! said once.

mod snapshots;
mod event_file;
mod events;
mod failures;
pub mod page;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use crate::event::history::{History, Recorder};
use crate::event::unwritten::Unwritten;
use crate::event::{Event, Reporter, full_disk};
use crate::exec::with_causes;
use crate::graph::StageGraph;
use crate::pipeline::{Pipeline, StageId};
use crate::store::Store;
use crate::store::index::Index;

use events::EventFiles;
use failures::Failures;
use page::LivePage;

/// Passes events on and keeps the views.
pub struct Views<R> {
    inner: Recorder<R>,
    events: EventFiles,
    page: LivePage,
    failures: Failures,
    has_warned: bool,
}

impl<R: Reporter> Views<R> {
    /// Of a run of the stages `needed`. What it comes to is recorded in `history`, and failures at once in its file.
    pub fn new(
        inner: R,
        pipeline: &Rc<Pipeline>,
        graph: &Rc<StageGraph>,
        store: &Arc<Store>,
        (history, history_path): (Rc<RefCell<History>>, PathBuf),
        needed: BTreeSet<StageId>,
    ) -> Views<R> {
        Views {
            inner: Recorder::new(inner, Rc::clone(&history)),
            events: EventFiles::new(pipeline, store),
            failures: Failures::new(Arc::clone(store), history_path, Rc::clone(&history)),
            page: LivePage::new(pipeline, graph, store, history, needed),
            has_warned: false,
        }
    }

    fn warn(&mut self, written: Result<(), Unwritten>) {
        if let Err(error) = written
            && !std::mem::replace(&mut self.has_warned, true)
        {
            let help = full_disk::help_line(&error);
            let text = format!("what can be looked at while this runs is incomplete: {}{help}", with_causes(&error));
            self.inner.tell(&Event::Warning(text));
        }
    }
}

impl<R: Reporter> Reporter for Views<R> {
    fn tell(&mut self, event: &Event) {
        let written = self.events.hear(event);
        self.warn(written);
        self.page.hear(event);
        self.inner.tell(event);
        let written = self.failures.hear(event);
        self.warn(written);
    }

    fn look(&mut self, index: &Index) {
        let written = self.page.look(index);
        self.warn(written);
    }
}
