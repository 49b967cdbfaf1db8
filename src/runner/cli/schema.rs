//! `schema`: the JSON Schema of the pipeline file.

use clap::Args;

use super::{Answer, DONE, show_json};
use crate::pipeline;

/// Print the JSON Schema of the pipeline file, for editors
#[derive(Args)]
#[command(after_help = "Examples:
  intrada-run schema > pipeline.schema.json
  intrada-run schema | jq '.properties.stages'

Editors find it through the first line of a pipeline file: #:schema pipeline.schema.json")]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn answer(self) -> Answer {
        show_json(&pipeline::schema::text())?;
        Ok(DONE)
    }
}
