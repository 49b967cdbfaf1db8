//! The lineage of whatever a pipeline has done, for programs that gather such records of many.
//!
//! Makes no folder: the record alone, in the form that stands beside an exported network.

use serde_json::Value as Json;

use super::{Error, provenance};
use crate::sched::done::done;
use crate::sched::session::Session;
use crate::spec::StageId;

/// A description in RO-Crate 1.1 of `stages` and what they need, as far as it is up to date; of no stage named, of all.
///
/// # Errors
/// [`Error::NothingDone`], [`Error::NotDone`] for a stage that is named, [`Error::Sources`].
pub fn lineage(session: &mut Session, stages: &[StageId]) -> Result<Json, Error> {
    let lineage = done(session, stages)?;
    let file = || session.pipeline.file.clone();
    if let Some(open) = stages.iter().find(|stage| lineage.iter().all(|done| done.stage != **stage)) {
        return Err(Error::NotDone { stage: session.pipeline.stage(*open).name.clone(), file: file() });
    }
    provenance::of_pipeline(session, &lineage).ok_or_else(|| Error::NothingDone { file: file() })
}
