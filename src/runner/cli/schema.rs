//! `schema`: the JSON Schema of the pipeline file.

use clap::Args;

use super::{Answer, DONE, show};
use crate::spec;

/// Print the JSON Schema of the pipeline file, for editors
#[derive(Args)]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn answer(self) -> Answer {
        show(&spec::schema::text())?;
        Ok(DONE)
    }
}
