//! Runs a pipeline: drives the flow, looks keys up, dispatches jobs on slots, puts outputs in place.
//!
//! Knows what a stage needs (threads), not what it does; the flow decides which stages to run. One thread owns the flow and
//! the index ([`run`]); each job has its own thread (`jobs`) and sends messages. No lock is held during work, so a second
//! run may work concurrently. [`dry`] drives the same flow without side effects.

mod aside;
mod attempt;
mod behind;
pub mod changes;
pub mod choices;
pub mod dry;
mod dispatch;
pub mod done;
mod failure;
mod fetching;
mod self_writes;
mod guard;
mod items;
mod jobs;
mod news;
mod places;
pub mod live;
mod keys;
mod last_words;
mod lookout;
mod message;
mod orders;
pub mod past;
pub mod recalled;
pub mod planner;
pub mod restored;
pub mod results;
mod priority;
mod pulse;
mod reads;
pub mod recorded;
mod ready;
mod run;
pub mod session;
mod settle;
mod state;
pub mod slots;
mod under_way;
pub mod ways_in;
pub mod wiring;

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use crate::event::{Event, Totals};
use crate::exec::Failure;
use crate::exec::local::find_worker;
use crate::graph::StageGraph;
use crate::pipeline::{Look, Problem, Problems, Severity, StageId};
use crate::plan::{device, weights};
use crate::store::Artifact;

pub use run::{Interrupt, run};

use session::Session;

/// The options of a run on the command line.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The stages to bring up to date, with their ancestors; empty: all.
    pub targets: Vec<StageId>,
    /// Stages to run even if nothing changed.
    pub force: Vec<StageId>,
    /// The maximum number of concurrent jobs.
    pub jobs: Option<usize>,
    /// Overrides the pipeline's device.
    pub device: Option<String>,
    /// End once only jobs of batch systems are left, which go on.
    pub detach: bool,
    /// Whether neither stages nor the run wait until results are copied to shared caches.
    pub pushes_later: bool,
}

impl Options {
    /// The stages that a run brings up to date, in the order of the graph.
    pub fn needed(&self, graph: &StageGraph) -> Vec<StageId> {
        if self.targets.is_empty() { graph.order().to_vec() } else { graph.ancestors(&self.targets) }
    }
}

/// The result of a run.
pub struct Ended {
    /// The totals.
    pub totals: Totals,
    /// Whether it was interrupted.
    pub interrupted: bool,
    /// Whether jobs were left to batch systems.
    pub has_left: bool,
    /// Each stage's outputs, in order; without stages that failed.
    pub artifacts: HashMap<StageId, Rc<[Artifact]>>,
    /// Kept for a program that ends after it: taking a large plan apart takes as long as a tenth of making it.
    _planner: Option<planner::Planner>,
}

/// Problems of sources as one report.
fn problems(session: &Session, problems: Vec<Problem>) -> Problems {
    Problems::new(problems, session.pipeline.sources.clone())
}

/// Those of these stages that run on this machine: what it has doesn't matter to the others.
fn here(session: &Session, open: impl Iterator<Item = StageId>) -> impl Iterator<Item = StageId> {
    open.filter(|stage| session.pipeline.executor_of(session.pipeline.stage(*stage)).is_none())
}

/// The problem if one of these stages has to run here: there is no worker. A long run of commands must not find out at its end.
fn missing_worker(session: &Session, open: impl Iterator<Item = StageId>) -> Option<Problem> {
    let mut open = here(session, open);
    let stage = session.pipeline.stage(open.find(|stage| session.pipeline.stage(*stage).kind.tensors)?);
    let Err(Failure::Failed { message, help }) = find_worker() else { return None };
    let problem = Problem::warning(message).at(stage.span, "needs it");
    Some(help.into_iter().fold(problem, Problem::help))
}

/// The problem if one of these stages has to run here: the CPU lacks the instruction set.
fn missing_instructions(session: &Session, open: impl Iterator<Item = StageId>) -> Option<Problem> {
    let mut open = here(session, open);
    let Failure::Failed { message, help } = session.executor.refusal(session.pipeline.instruction_set?)? else {
        return None;
    };
    let stage = session.pipeline.stage(open.find(|stage| session.pipeline.stage(*stage).kind.computes)?);
    let problem = Problem::warning(message).at(stage.span, "this stage would compute with it");
    Some(help.into_iter().fold(problem, Problem::help))
}

/// Checks that the device exists if one of `certain`, which have to run, or of `open`, which may have to, computes on a
/// GPU of this machine. Returns warnings.
///
/// # Errors
/// It doesn't exist, and one of `certain` needs it.
fn try_device(
    session: &Session,
    device: Option<&str>,
    certain: impl Iterator<Item = StageId>,
    open: impl Iterator<Item = StageId>,
) -> Result<Option<Problem>, Problems> {
    let certain: Vec<StageId> = here(session, certain).collect();
    let open = certain.iter().copied().chain(here(session, open));
    let Some((stage, amiss)) = device::missing(&session.pipeline, device, open, &*session.executor) else {
        return Ok(None);
    };
    if certain.contains(&stage) {
        Err(problems(session, vec![amiss]))
    } else {
        Ok(Some(Problem { severity: Severity::Warning, ..amiss }))
    }
}

/// Tries the weights files of these stages, which are to run. Returns warnings. A machine without a worker tries none of the
/// stages that run elsewhere: it needs none for them.
///
/// # Errors
/// A file is invalid.
fn try_weights(
    session: &Session,
    open: impl IntoIterator<Item = StageId>,
    is_in_place: &dyn Fn(StageId) -> bool,
) -> Result<Vec<Problem>, Problems> {
    let mut open = open.into_iter().peekable();
    if open.peek().is_none() {
        return Ok(Vec::new());
    }
    let tried = if find_worker().is_ok() {
        weights::tried(&session.pipeline, open, is_in_place)
    } else {
        weights::tried(&session.pipeline, here(session, open), is_in_place)
    };
    let (faults, warnings): (Vec<_>, Vec<_>) = tried.problems.into_iter().partition(Problem::is_error);
    if faults.is_empty() { Ok(warnings) } else { Err(problems(session, faults)) }
}

/// A warning with the line of the pipeline file that it concerns.
pub fn warning(session: &Session, problem: &Problem) -> Event {
    let text = problems(session, vec![problem.clone()]).render(Look::Plain);
    Event::Warning(text.trim().trim_start_matches("warning: ").to_owned())
}

/// Something at an output's path was moved: a user's file, or one left by a failed attempt.
fn put_aside_event(root: &Path, stage: &str, output: &Path, to: &Path, unfinished: bool) -> Event {
    let shown = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
    Event::PutAside { stage: stage.to_owned(), output: shown(output), to: shown(to), unfinished }
}
