//! `report`: rewrites `report.html`; also called at the end of a run.
//!
//! Knows when to write the page, not what is on it. A page that can't be written is a warning: the results are in the cache.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use clap::Args;

use super::{Answer, DONE, Source, open, show};
use crate::event::full_disk;
use crate::event::history::History;
use crate::pipeline::{Pipeline, StageId};
use crate::report::html::Workspace;
use crate::report::views::page;
use crate::sched::done;
use crate::sched::dry::{self, Decision};
use crate::sched::session::Session;
use crate::sched::{Ended, Options};

/// Rewrite report.html from existing results
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
        let mut session = self.source.open_results()?;
        let stale = stale(&mut session);
        open::tell_not_here(&session);
        let not_here = session.not_here();
        let history = session.history().borrow();
        let workspace = Workspace { not_here: &not_here, ..workspace(&session, &history, &stale) };
        page::write(&workspace).map_err(anyhow::Error::new)?;
        show(&format!("{}\n", from_here(&session.pipeline, &page::place(&session.pipeline)).display()))?;
        Ok(DONE)
    }
}

/// A path below the workspace's root as seen from the current folder, so that it can be copied into another command.
pub(super) fn from_here(pipeline: &Pipeline, path: &Path) -> PathBuf {
    seen_from_here(&pipeline.root.join(path))
}

/// An absolute path as seen from the current folder, if it is below that.
pub(super) fn seen_from_here(path: &Path) -> PathBuf {
    let here = std::env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok());
    here.unwrap_or(path).to_owned()
}

/// The stages that would re-run. None if the sources can't be read: the results are those of the last run. Where sources are not
/// here, results that are only in the cache count as if they were in place.
pub(super) fn stale(session: &mut Session) -> Vec<StageId> {
    without_results(session, Session::recalls_any)
}

/// The same for a command that shows numbers and no files: results that are only in the cache always count.
pub(super) fn stale_in_the_cache(session: &mut Session) -> Vec<StageId> {
    without_results(session, |_| true)
}

/// `counts_the_cache` is asked after the plan, which finds what is not here.
fn without_results(session: &mut Session, counts_the_cache: impl Fn(&Session) -> bool) -> Vec<StageId> {
    let planned = dry::plan(session, &[], &[]).map(|plan| plan.stages).unwrap_or_default();
    let is_adopted = counts_the_cache(session) && done::adopt(session, &[]).is_ok();
    let is_current = |decision| decision == Decision::UpToDate || is_adopted && decision == Decision::Hit;
    let again = planned.iter().filter(|planned| !is_current(planned.decision));
    again.map(|planned| planned.stage).collect()
}

/// The page just written.
pub(super) struct Kept {
    /// Relative to the workspace's root.
    pub(super) page: PathBuf,
    /// Its findings, worst first.
    pub(super) findings: Vec<String>,
}

/// Writes the page and its data if anything changed. Errors are printed as warnings.
pub(super) fn keep(session: &mut Session, options: &Options, ended: &Ended) -> Option<Kept> {
    let history = Rc::clone(session.history());
    let history = &*history.borrow();
    // After a run of some stages only, others may be out of date.
    let of_everything = options.targets.is_empty();
    if !ended.totals.is_anything() && page::is_current(&workspace(session, history, &[]), of_everything) {
        return None;
    }
    let stale = if of_everything { Vec::new() } else { stale(session) };
    let kept = page::replace(&session.store, &session.history_path(), &history.encode())
        .and_then(|()| page::write(&workspace(session, history, &stale)));
    match kept {
        Ok(findings) => Some(Kept { page: page::place(&session.pipeline), findings }),
        Err(error) => {
            let help = full_disk::help(&error);
            talk!("warning: failed to write the report: {:#}", anyhow::Error::new(error));
            help.inspect(|help| talk!("help: {help}"));
            None
        }
    }
}

/// The workspace of a session for a page.
pub(super) fn workspace<'a>(session: &'a Session, history: &'a History, stale: &'a [StageId]) -> Workspace<'a> {
    Workspace {
        pipeline: &session.pipeline,
        graph: &session.graph,
        store: &session.store,
        index: &session.index,
        history,
        stale,
        not_here: &[],
    }
}
