//! `lineage`: inputs and outputs of the stages, for programs that collect provenance.

use clap::{Args, ValueEnum};

use super::{Answer, DONE, Source, open, show_json};
use crate::export;

/// Print the lineage of results as RO-Crate or OpenLineage
#[derive(Args)]
#[command(after_help = "Examples:
  intrada-run lineage p.toml > ro-crate-metadata.json
  intrada-run lineage p.toml intra         one result and its ancestors
  intrada-run lineage p.toml --format openlineage > events.jsonl")]
pub(super) struct Lineage {
    #[command(flatten)]
    source: Source,
    /// Only these stages; default: all that are up to date
    #[arg(value_name = "STAGE")]
    stages: Vec<String>,
    /// Output format
    #[arg(long, default_value = "ro-crate")]
    format: Form,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// RO-Crate 1.1 in JSON-LD
    RoCrate,
    /// OpenLineage run events as JSON Lines
    #[value(name = "openlineage")]
    OpenLineage,
}

impl Lineage {
    pub(super) fn answer(self) -> Answer {
        let mut session = self.source.open_results()?;
        let stages = open::stages(&session, &self.stages)?;
        let text = match self.format {
            Form::RoCrate => export::lineage(&mut session, &stages).map(|crated| format!("{crated:#}\n")),
            Form::OpenLineage => export::run_events(&mut session, &stages)
                .map(|events| events.iter().map(|event| format!("{event}\n")).collect()),
        };
        open::tell_not_here(&session);
        show_json(&text?)?;
        Ok(DONE)
    }
}
