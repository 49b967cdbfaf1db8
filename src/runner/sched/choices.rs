//! The trainings of a pipeline that choose a snapshot without labels, with their current results.
//!
//! Runs nothing. Only results of the current pipeline count, wherever they are stored.

use super::dry;
use super::session::Session;
use crate::kind::OutputRole;
use crate::pipeline::{Problems, StageId};
use crate::results::choice::{self, Chosen};

/// Those of these stages that choose one, in their order; all of the pipeline's without names.
///
/// # Errors
/// Problems of the sources.
pub fn choices(session: &mut Session, stages: &[StageId]) -> Result<Vec<Chosen>, Problems> {
    let is_one = |id: &StageId| session.pipeline.scored_on(session.pipeline.stage(*id)).is_some();
    let stages: Vec<StageId> = stages.iter().copied().filter(is_one).collect();
    let plan = dry::plan(session, &stages, &[])?;
    let chosen = |id: StageId| {
        let planned = plan.stages.iter().find(|planned| planned.stage == id);
        let read = |role: OutputRole| {
            let place = session.pipeline.stage(id).outputs.iter().position(|output| output.role == role)?;
            session.store.read(planned?.artifacts.as_ref()?.get(place)?.object).ok()?
        };
        choice::of_training(&session.pipeline, id, &read)
    };
    Ok(stages.into_iter().filter_map(chosen).collect())
}
