//! `cache stats`: counts files and bytes of the store.

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::super::{Answer, DONE, Format, show, show_json};
use super::Place;
use crate::measures::{count, size};
use crate::sched::session::Access;
use crate::store::Tally;

/// Count files and bytes of the cache
#[derive(Args)]
#[command(after_help = "Examples:
  intrada-run cache stats                  of ./cache
  intrada-run cache stats p.toml           of the pipeline's workspace")]
pub(in crate::cli) struct Stats {
    #[command(flatten)]
    place: Place,
    /// Text for people, or JSON
    #[arg(long, default_value = "text")]
    format: Format,
}

impl Stats {
    pub(super) fn answer(self) -> Answer {
        let store = self.place.open(Access::Look)?;
        let usage = store.usage().context("failed to count the files of the cache")?;
        let rows = [
            ("objects", usage.objects),
            ("traces", usage.traces),
            ("items", usage.items),
            ("samples", usage.samples),
            ("slots", usage.slots),
            ("logs", usage.logs),
        ];
        match self.format {
            Format::Json => {
                let row = |tally: Tally| json!({"files": tally.files, "bytes": tally.bytes});
                let rows: serde_json::Map<_, _> =
                    rows.iter().map(|(name, tally)| ((*name).to_owned(), row(*tally))).collect();
                show_json(&format!("{}\n", serde_json::Value::Object(rows)))?;
            }
            Format::Text => {
                let row = |(name, tally): (&str, Tally)| {
                    format!("  {name:<8}  {:>9}  {}\n", count(tally.files), size(tally.bytes))
                };
                show(&format!("{}\n{}", store.root().display(), rows.map(row).concat()))?;
            }
        }
        Ok(DONE)
    }
}
