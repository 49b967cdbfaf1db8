//! The lineage of a pipeline's results, for programs that collect provenance.
//!
//! Writes no folder: only the record, in the form used beside an exported network, or as events.

use serde_json::Value as Json;

use super::{Error, openlineage, provenance};
use crate::pipeline::StageId;
use crate::sched::done::{Done, done};
use crate::sched::session::Session;

/// An RO-Crate 1.1 description of the up-to-date `stages` and their dependencies; of all stages if none is named.
///
/// # Errors
/// [`Error::NothingDone`], [`Error::NotDone`] for a stage that is named, [`Error::Sources`].
pub fn lineage(session: &mut Session, stages: &[StageId]) -> Result<Json, Error> {
    let lineage = all_done(session, stages)?;
    provenance::of_pipeline(session, &lineage).ok_or_else(|| nothing_done(session))
}

/// The same as OpenLineage run events, two per stage.
///
/// # Errors
/// As for [`lineage`].
pub fn run_events(session: &mut Session, stages: &[StageId]) -> Result<Vec<Json>, Error> {
    let lineage = all_done(session, stages)?;
    let events = openlineage::events(session, &lineage);
    if events.is_empty() { Err(nothing_done(session)) } else { Ok(events) }
}

fn all_done(session: &mut Session, stages: &[StageId]) -> Result<Vec<Done>, Error> {
    let lineage = done(session, stages)?;
    match stages.iter().find(|stage| lineage.iter().all(|done| done.stage != **stage)) {
        Some(open) => {
            let stage = session.pipeline.stage(*open).name.clone();
            Err(Error::NotDone { stage, file: session.pipeline.file.clone() })
        }
        None => Ok(lineage),
    }
}

fn nothing_done(session: &Session) -> Error {
    Error::NothingDone { file: session.pipeline.file.clone() }
}
