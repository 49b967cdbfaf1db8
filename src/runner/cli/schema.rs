//! `schema`: the JSON Schema of the pipeline file.

use clap::Args;

use super::{Answer, DONE};
use crate::spec;

/// Print the JSON Schema of the pipeline file, for editors
#[derive(Args)]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn answer(self) -> Answer {
        print!("{}", spec::schema::text());
        Ok(DONE)
    }
}
