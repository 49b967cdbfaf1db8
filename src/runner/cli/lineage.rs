//! `lineage`: what the stages took and gave, as JSON-LD.

use clap::Args;

use super::{Answer, DONE, Source, open, show};
use crate::export;
use crate::sched::session::Access;

/// Print what the stages that are up to date took and gave, as RO-Crate 1.1 in JSON-LD
#[derive(Args)]
#[command(after_help = "Examples:
  intrada-run lineage p.toml > ro-crate-metadata.json
  intrada-run lineage p.toml intra         one result and what it was made from")]
pub(super) struct Lineage {
    #[command(flatten)]
    source: Source,
    /// The stages whose lineage it is; default: all that are up to date
    #[arg(value_name = "STAGE")]
    stages: Vec<String>,
}

impl Lineage {
    pub(super) fn answer(self) -> Answer {
        let mut session = self.source.open(Access::Look)?;
        let stages = open::stages(&session, &self.stages)?;
        let described = export::lineage(&mut session, &stages)?;
        show(&format!("{described:#}\n"))?;
        Ok(DONE)
    }
}
