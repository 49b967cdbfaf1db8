//! Live views of a run: TensorBoard's events, which grow during a training, and `report.html`.
//!
//! A reporter among others: it receives a run's events, passes them on, and maintains files in `runs/` from the cache and
//! from jobs' resume slots. Decides nothing; a failed write doesn't fail the run and is reported once.

mod snapshots;
mod event_file;
mod events;
mod failures;
mod settings;
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

/// Passes events on and maintains the views.
pub struct Views<R> {
    inner: Recorder<R>,
    events: EventFiles,
    page: LivePage,
    failures: Failures,
    has_warned: bool,
}

impl<R: Reporter> Views<R> {
    /// For a run of the stages `needed`. Its outcomes are recorded in `history`, and failures at once in its file.
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
            events: EventFiles::new(pipeline, graph, store),
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
            let text = format!("the live views of this run are incomplete: {}{help}", with_causes(&error));
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
