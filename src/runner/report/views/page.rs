//! `report.html` in `runs/`: written at the end of a run, and repeatedly during one.
//!
//! Knows when to write a page, not its content. A short run writes only the last page; a long one spends at most a few
//! hundredths of its time on pages, however large they are. An unchanged page isn't written.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::event::history::{Going, History};
use crate::event::unwritten::Unwritten;
use crate::event::{Event, Finished, Outcome};
use crate::graph::StageGraph;
use crate::measures::now;
use crate::pipeline::{Pipeline, StageId};
use crate::plain;
use crate::report::html::{Mark, Workspace, gather};
use crate::store::Store;
use crate::store::index::Index;

/// A shorter run has only its last page. Also the minimum interval between two pages.
const REST: Duration = Duration::from_secs(10);
/// The interval is also at least this many times the writing time.
const REST_PER_COST: u32 = 50;

/// The path of a pipeline's page, relative to the workspace's root.
pub fn place(pipeline: &Pipeline) -> PathBuf {
    Path::new("runs").join(&pipeline.name).join("report.html")
}

/// Writes the page, and returns its findings.
///
/// # Errors
/// It can't be written.
pub fn write(workspace: &Workspace) -> Result<Vec<String>, Unwritten> {
    let page = gather(workspace, now());
    let path = workspace.pipeline.root.join(place(workspace.pipeline));
    replace(workspace.store, &path, page.render().as_bytes())?;
    Ok(page.findings())
}

/// Whether the existing page is up to date. `knows_stale`: whether the workspace knows the out-of-date stages; otherwise
/// that part isn't compared.
pub fn is_current(workspace: &Workspace, knows_stale: bool) -> bool {
    let mut beginning = Vec::with_capacity(Mark::WITHIN as usize);
    let read = plain::open(&workspace.pipeline.root.join(place(workspace.pipeline)))
        .and_then(|file| file.take(Mark::WITHIN).read_to_end(&mut beginning));
    let Some(mark) = Mark::of(workspace).filter(|_| read.is_ok()) else { return false };
    let wanted = if knows_stale { mark.all } else { mark.but_stale }.to_string();
    String::from_utf8_lossy(&beginning).contains(&wanted)
}

/// Writes a file atomically: readers see the old file or the complete new one.
///
/// # Errors
/// It can't be written.
pub fn replace(store: &Store, path: &Path, content: &[u8]) -> Result<(), Unwritten> {
    store.put_file(path, content).map_err(|source| Unwritten { path: path.to_owned(), source })
}

/// The page of a current run.
pub(super) struct LivePage {
    pipeline: Rc<Pipeline>,
    graph: Rc<StageGraph>,
    store: Arc<Store>,
    history: Rc<RefCell<History>>,
    /// The stages of the run.
    needed: BTreeSet<StageId>,
    /// When the next page may be written, if something has changed.
    due: Option<Instant>,
    has_news: bool,
}

impl LivePage {
    pub(super) fn new(
        pipeline: &Rc<Pipeline>,
        graph: &Rc<StageGraph>,
        store: &Arc<Store>,
        history: Rc<RefCell<History>>,
        needed: BTreeSet<StageId>,
    ) -> LivePage {
        let (pipeline, graph, store) = (Rc::clone(pipeline), Rc::clone(graph), Arc::clone(store));
        LivePage { pipeline, graph, store, history, needed, due: None, has_news: false }
    }

    /// Handles an event.
    pub(super) fn hear(&mut self, event: &Event) {
        match event {
            Event::Started { .. } => {}
            Event::Finished(Finished { outcome, .. }) if *outcome != Outcome::UpToDate => {}
            // A watch writes the last page of each round itself.
            Event::Closed(_) => return (self.due, self.has_news) = (None, false),
            _ => return,
        }
        self.has_news = true;
        self.due.get_or_insert_with(|| Instant::now() + REST);
    }

    /// Writes the page if it is due.
    ///
    /// # Errors
    /// It can't be written.
    pub(super) fn look(&mut self, index: &Index) -> Result<(), Unwritten> {
        let began = Instant::now();
        if !self.has_news || self.due.is_none_or(|due| began < due) {
            return Ok(());
        }
        let history = self.history.borrow();
        let Some(going) = &history.going else { return Ok(()) };
        let stale = unsettled(&self.pipeline, &self.graph, &self.needed, going);
        let (pipeline, graph, store) = (&*self.pipeline, &*self.graph, &*self.store);
        let written =
            write(&Workspace { pipeline, graph, store, index, history: &history, stale: &stale, not_here: &[] });
        self.has_news = false;
        self.due = Some(Instant::now() + REST.max(began.elapsed() * REST_PER_COST));
        written.map(drop)
    }
}

/// The stages whose results may change in this run: those not yet settled, and those that depend on anything changed.
fn unsettled(pipeline: &Pipeline, graph: &StageGraph, needed: &BTreeSet<StageId>, going: &Going) -> Vec<StageId> {
    let (mut moved, mut stale) = (BTreeSet::new(), Vec::new());
    for id in graph.order() {
        match going.turns.get(&pipeline.stage(*id).name) {
            Some(turn) if turn.outcome == Outcome::UpToDate => continue,
            Some(_) => {}
            None if needed.contains(id) || graph.dependencies(*id).iter().any(|needs| moved.contains(needs)) => {
                stale.push(*id);
            }
            None => continue,
        }
        moved.insert(*id);
    }
    stale
}

#[cfg(test)]
mod tests;
