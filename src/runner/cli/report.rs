//! `report`: writes `report.html` again, and what a run does at its end.
//!
//! Knows where the page and the history lie, not what is in them. A page that can't be written is a warning: the results are
//! in the cache either way.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::Context;
use clap::Args;

use super::{Answer, DONE, Source, show};
use crate::report::history::History;
use crate::report::html::{Workspace, gather};
use crate::report::measures::now;
use crate::sched::dry::{self, Decision};
use crate::sched::session::{Access, Session};
use crate::sched::{Ended, Options};
use crate::spec::StageId;

/// Write the pipeline's report.html from what is there
#[derive(Args)]
#[command(after_help = "Examples:
  intrada-run report p.toml                the results that are there
  intrada-run report p.toml --cache /scratch/cache")]
pub(super) struct Report {
    #[command(flatten)]
    source: Source,
}

impl Report {
    pub(super) fn answer(self) -> Answer {
        let mut session = self.source.open(Access::Look)?;
        let history = History::load(&session.history_path());
        let stale = stale(&mut session);
        let path = write(&session, &history, &stale)?;
        show(&format!("{}\n", path.display()))?;
        Ok(DONE)
    }
}

/// The stages that would run again. Where the sources can't be read, none: the results are those of the last run.
fn stale(session: &mut Session) -> Vec<StageId> {
    let planned = dry::plan(session, &[], &[]).map(|plan| plan.stages).unwrap_or_default();
    let again = planned.iter().filter(|planned| planned.decision != Decision::UpToDate);
    again.map(|planned| planned.stage).collect()
}

/// Where the page lies, relative to the workspace's root.
fn place(session: &Session) -> PathBuf {
    Path::new("runs").join(&session.pipeline.name).join("report.html")
}

/// Whether the page is there and no older than the pipeline file.
fn is_fresh(session: &Session) -> bool {
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified());
    match (changed(&session.pipeline.root.join(place(session))), changed(&session.pipeline.file)) {
        (Ok(page), Ok(file)) => page >= file,
        _ => false,
    }
}

/// What is remembered of the pipeline's runs, to be shared with a [`Recorder`](crate::report::history::Recorder).
pub(super) fn history(session: &Session) -> Rc<RefCell<History>> {
    Rc::new(RefCell::new(History::load(&session.history_path())))
}

/// Writes the page and what it is made from, unless nothing happened that it doesn't show, and answers where it lies. What goes
/// wrong is said and fails nothing.
pub(super) fn keep(session: &mut Session, options: &Options, ended: &Ended, history: &History) -> Option<PathBuf> {
    if !ended.totals.is_anything() && is_fresh(session) {
        return None;
    }
    // A run of everything has settled everything; after a run of some stages, others may be out of date.
    let stale = if options.targets.is_empty() { Vec::new() } else { stale(session) };
    let kept = replace(&session.history_path(), &history.encode()).and_then(|()| write(session, history, &stale));
    kept.inspect_err(|error| eprintln!("warning: the report can't be written: {error:#}")).ok()
}

/// Writes the page, by rename.
fn write(session: &Session, history: &History, stale: &[StageId]) -> anyhow::Result<PathBuf> {
    let workspace = Workspace {
        pipeline: &session.pipeline,
        graph: &session.graph,
        store: &session.store,
        index: &session.index,
        history,
        stale,
    };
    let page = gather(&workspace, now()).render();
    let place = place(session);
    replace(&session.pipeline.root.join(&place), page.as_bytes())?;
    Ok(place)
}

/// Whoever reads the file meanwhile sees the old one or the new one, whole.
fn replace(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().expect("a page and a history lie in folders");
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| tempfile::Builder::new().prefix(".report-").permissions(mode()).tempfile_in(folder))
        .and_then(|file| std::fs::write(file.path(), content).map(|()| file))
        .and_then(|file| file.persist(path).map_err(|error| error.error));
    written.map(drop).with_context(|| format!("failed to write {}", path.display()))
}

/// As any new file: temporary ones are for their owner alone.
fn mode() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}
