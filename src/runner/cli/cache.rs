//! `cache`: what the store holds.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Answer, DONE, Format, Refusal, Source, cache_folder, show};
use crate::report::measures::{count, size};
use crate::sched::session::Access;
use crate::store::{Store, Tally};

/// Look after the cache
#[derive(Subcommand)]
pub(super) enum Cache {
    Stats(Stats),
}

impl Cache {
    pub(super) fn answer(self) -> Answer {
        match self {
            Cache::Stats(stats) => stats.answer(),
        }
    }
}

/// Count what the cache holds
#[derive(Args)]
pub(super) struct Stats {
    /// A pipeline file, whose workspace's cache is meant; default: ./cache
    #[arg(value_name = "PIPELINE.toml")]
    file: Option<PathBuf>,
    /// The cache folder; also INTRADA_CACHE
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Lines for people, or JSON for programs
    #[arg(long, default_value = "text")]
    format: Format,
}

impl Stats {
    fn answer(self) -> Answer {
        let asked = cache_folder(self.cache.as_ref());
        let store = match (&asked, &self.file) {
            (None, Some(file)) => {
                let source = Source { file: file.clone(), set: Vec::new(), cache: None };
                source.open(Access::Look)?.store
            }
            (place, _) => {
                let place = place.clone().unwrap_or_else(|| PathBuf::from("cache"));
                if !place.join("version").exists() {
                    return Err(Refusal::Usage(format!("{} is no cache of intrada-run", place.display())));
                }
                Store::open(&place).context("failed to open the cache")?.into()
            }
        };
        let usage = store.usage().context("failed to count what the cache holds")?;
        let rows = [
            ("objects", usage.objects),
            ("traces", usage.traces),
            ("items", usage.items),
            ("slots", usage.slots),
            ("logs", usage.logs),
        ];
        match self.format {
            Format::Json => {
                let row = |tally: Tally| json!({"files": tally.files, "bytes": tally.bytes});
                let rows: serde_json::Map<_, _> =
                    rows.iter().map(|(name, tally)| ((*name).to_owned(), row(*tally))).collect();
                show(&format!("{}\n", serde_json::Value::Object(rows)))?;
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
