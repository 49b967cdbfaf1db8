//! `why`: the fields of a stage's key that differ from its last run, old → new, down to the file.

use clap::Args;
use serde_json::json;

use super::{Answer, DONE, Format, Source, open, show, show_json};
use crate::measures::{ago, date};
use crate::plan::explain::Difference;
use crate::sched::dry::{self, Near, Why as Found};
use crate::sched::session::Access;
use crate::shown;

/// Maximum characters of a difference: both values may be whole shell scripts.
const SAID: usize = 4000;
/// Number of files shown per field.
const FILES: usize = 10;

/// Show what changed since a stage's last run, old → new
#[derive(Args)]
#[command(after_help = "Examples:
  intrada-run why p.toml intra                             since it last ran
  intrada-run why p.toml rank --set stages.rank.lambda=0.6")]
pub(super) struct Why {
    #[command(flatten)]
    source: Source,
    /// The stage
    stage: String,
    /// Show every file that differs
    #[arg(long)]
    all: bool,
    /// Text for people, or JSON
    #[arg(long, default_value = "text")]
    format: Format,
}

impl Why {
    pub(super) fn answer(self) -> Answer {
        let mut session = self.source.open(Access::Look)?;
        let stage = open::stage(&session, &self.stage)?;
        let found = dry::why(&mut session, stage)?;
        match self.format {
            Format::Json => show_json(&format!("{}\n", as_json(&self.stage, &found)))?,
            Format::Text => show(&self.as_text(&found))?,
        }
        Ok(DONE)
    }

    fn as_text(&self, found: &Found) -> String {
        let name = &self.stage;
        match found {
            Found::Depends(on) => format!("{name} depends {on}: its inputs are known only after that has run\n"),
            Found::NeverRan => format!("{name} has not run in this workspace\n"),
            Found::NeverEnded => format!("{name}: its last run did not end\n"),
            Found::Failed { failure, is_same } => {
                let which = if *is_same { "its current key" } else { "another key" };
                let key = failure.key.map(|key| format!(" ({})", key.0.short())).unwrap_or_default();
                let said = failure.reason.lines().next().unwrap_or("");
                format!(
                    "{name} has never succeeded in this workspace; it failed {} with {which}{key}: {said}\n",
                    ago(failure.at)
                )
            }
            Found::UpToDate { since, made_with } => {
                let made = made_with.as_ref().map(|line| format!("computed with {line}\n")).unwrap_or_default();
                format!("{name} is up to date since {}\n{made}", date(*since))
            }
            Found::OutputsChanged => {
                format!("{name}: its key is unchanged, but its outputs are missing or modified\n")
            }
            Found::RecordGone => format!("{name} runs: the record of its last run is no longer in the cache\n"),
            Found::Differs { differences, same, fields, since, is_hit, nearest } => {
                let verb = if *is_hit { "is a cache hit" } else { "runs" };
                let mut text = format!(
                    "{name} {verb}: {} of {fields} key fields differ from its run of {}\n",
                    differences.len(),
                    date(*since)
                );
                for difference in differences {
                    let difference_text = difference.to_string();
                    text += &format!("  {}\n", shown::line(&shown::brief(&difference_text, SAID)));
                    text += &self.files(difference);
                }
                text += &same_fields(same);
                if let Some(Near { key, at, fields }) = nearest {
                    let (key, at) = (key.0.short(), date(*at));
                    text += &format!("nearest in the cache: {key} of {at}, differs in {} only\n", fields.join(", "));
                }
                text
            }
        }
    }

    fn files(&self, difference: &Difference) -> String {
        let most = if self.all { usize::MAX } else { FILES };
        let mut text: String = difference
            .files
            .iter()
            .take(most)
            .map(|file| format!("    {}\n", shown::line(&file.to_string())))
            .collect();
        if difference.files.len() > most {
            text += &format!("    … and {} more (--all)\n", difference.files.len() - most);
        }
        text
    }
}

/// `same  batch, seed`, wrapped.
fn same_fields(names: &[String]) -> String {
    const WIDTH: usize = 80;
    let mut text = String::from("same");
    let mut width = text.len();
    for (at, name) in names.iter().enumerate() {
        let comma = if at + 1 < names.len() { "," } else { "" };
        let length = 1 + shown::width(name) + comma.len();
        if at == 0 || width + length > WIDTH {
            text += if at == 0 { " " } else { "\n     " };
            width = 5;
        }
        text += &format!(" {name}{comma}");
        width += length;
    }
    text + "\n"
}

fn as_json(stage: &str, found: &Found) -> serde_json::Value {
    let (state, differences) = match found {
        Found::Depends(_) => ("depends", &[][..]),
        Found::NeverRan => ("never-ran", &[][..]),
        Found::NeverEnded => ("never-ended", &[][..]),
        Found::Failed { .. } => ("failed", &[][..]),
        Found::UpToDate { .. } => ("up-to-date", &[][..]),
        Found::OutputsChanged => ("outputs-changed", &[][..]),
        Found::RecordGone => ("record-gone", &[][..]),
        Found::Differs { differences, .. } => ("differs", &differences[..]),
    };
    let differences: Vec<_> = differences
        .iter()
        .map(|difference| {
            let files: Vec<String> = difference.files.iter().map(ToString::to_string).collect();
            json!({"field": difference.field, "old": difference.old, "new": difference.new, "files": files})
        })
        .collect();
    let mut answer = json!({"stage": stage, "state": state, "differences": differences});
    if let Found::UpToDate { made_with, .. } = found {
        answer["made_with"] = json!(made_with);
    }
    if let Found::Differs { same, nearest, .. } = found {
        answer["same"] = json!(same);
        if let Some(Near { key, fields, .. }) = nearest {
            answer["nearest"] = json!({"key": key, "fields": fields});
        }
    }
    answer
}
