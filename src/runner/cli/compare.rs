//! `compare`: the results of several pipelines or sweep members in one table.

use std::io::{IsTerminal, stdout};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::several::{Opened, Several, known};
use super::{Answer, DONE, Refusal, open, show, show_json};
use crate::pipeline::{Pipeline, StageId, nearest};
use crate::results::compare::{self, Entry, Wishes};
use crate::sched::results;
use crate::sched::session::Session;
use crate::screen::live::size_of;

/// Compare results of pipelines, of a sweep, over seeds
#[derive(Args)]
#[command(
    after_help = "Rows that differ only in seed become one row, mean ± standard deviation. Shows results of the current files \
                        only; results that are missing are counted.

Examples:
  intrada-run compare p.toml                           every evaluation of a pipeline
  intrada-run compare a.toml b.toml --sort last        two pipelines, the best first
  intrada-run compare p.toml 'evaluate[lambda=0.6]'    one member of a sweep
  intrada-run compare p.toml --format latex            a table for a paper"
)]
pub(super) struct Compare {
    #[command(flatten)]
    several: Several,
    /// Baseline training; default: inter, else the first one
    #[arg(long, value_name = "STAGE")]
    against: Option<String>,
    /// One row per run, even if only the seeds differ
    #[arg(long)]
    no_group: bool,
    /// Also show the IoU of each class
    #[arg(long)]
    classes: bool,
    /// Also show the images that gained and lost most
    #[arg(long)]
    by_image: bool,
    /// Also show the parameters that don't differ
    #[arg(long)]
    all: bool,
    /// Only pipelines with this tag; may be repeated
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Sort by last, best, since, time, weights, pipeline or a parameter; default: file order
    #[arg(long, value_name = "COLUMN")]
    sort: Option<String>,
    /// One value per line, as in `2.last 0.451`, for grep
    #[arg(long, conflicts_with_all = ["format", "by_image"])]
    long: bool,
    /// Output format
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For people, mIoU in %
    Text,
    /// For programs, as fractions
    Json,
    /// For spreadsheets, as fractions
    Csv,
    /// For a README, mIoU in %
    Markdown,
    /// For a paper, mIoU in %
    Latex,
}

impl Compare {
    pub(super) fn answer(self) -> Answer {
        if self.by_image && !matches!(self.format, Format::Text | Format::Json) {
            return Err(Refusal::Usage("--by-image needs --format text or json".to_owned()));
        }
        let Opened { mut sessions, stages } =
            self.several.open(&self.tag, |pipeline| pipeline.evaluations().collect())?;
        let mut each = Vec::new();
        let mut classes: Vec<String> = Vec::new();
        for session in &mut sessions {
            let evaluations = evaluations(session, &stages)?;
            let found = results::entries(session, &evaluations);
            open::tell_not_here(session);
            each.push(found?);
            let own = session.pipeline.classes.iter().map(|class| &class.name);
            classes.extend(own.filter(|name| !classes.contains(name)).cloned().collect::<Vec<_>>());
        }
        let mut told: Vec<(&Pipeline, Vec<Entry>)> =
            sessions.iter().map(|session| &*session.pipeline).zip(each).collect();
        results::tell_apart(&mut told);
        let entries: Vec<Entry> = told.into_iter().flat_map(|(_, entries)| entries).collect();
        if let Some(name) = self.against.as_ref().filter(|name| entries.iter().all(|entry| entry.weights != **name)) {
            let near = nearest(name, entries.iter().map(|entry| entry.weights.as_str()));
            let near = near.map(|near| format!("; did you mean `{near}`?"));
            let near = near.unwrap_or_else(|| format!("; they measure {}", measured(&entries)));
            return Err(Refusal::Usage(format!("--against {name}: none of these evaluations measures it{near}")));
        }
        let wishes = Wishes {
            against: self.against,
            each_run: self.no_group,
            sort: self.sort,
            classes: self.classes,
            by_image: self.by_image,
            all: self.all,
        };
        let comparison =
            compare::compare(entries, &wishes).map_err(|error| Refusal::Usage(format!("--sort: {error}")))?;
        let room = || stdout().is_terminal().then(|| size_of(stdout()).0);
        match self.format {
            _ if self.long => show(&compare::long(&comparison, &classes)),
            Format::Text => show(&compare::text(&comparison, &classes, room())),
            Format::Markdown => show(&compare::markdown(&comparison, &classes)),
            Format::Latex => show(&compare::latex(&comparison, &classes)),
            Format::Json => {
                let mut found = compare::json(&comparison);
                found["pipelines"] = sessions.iter().map(about).collect();
                show_json(&format!("{found:#}\n"))
            }
            Format::Csv => show(&compare::csv(&comparison, &classes)),
        }?;
        Ok(DONE)
    }
}

/// A compared pipeline, in its author's words.
fn about(session: &Session) -> serde_json::Value {
    let Pipeline { name, about, .. } = &*session.pipeline;
    json!({"pipeline": name, "description": about.description, "tags": about.tags})
}

/// The named evaluations, or all.
fn evaluations(session: &Session, names: &[&str]) -> Result<Vec<StageId>, Refusal> {
    let all = session.pipeline.evaluations().collect::<Vec<_>>();
    if all.is_empty() {
        let file = session.pipeline.file.display();
        return Err(Refusal::Usage(format!(
            "{file} has no evaluation to compare: add a stage with kind = \"evaluation\""
        )));
    }
    if names.is_empty() {
        return Ok(all);
    }
    let mut named: Vec<StageId> = Vec::new();
    for name in names {
        let meant = session.pipeline.select(name);
        if let Some(other) = meant.iter().find(|id| !all.contains(id)) {
            let kind = session.pipeline.stage(*other).kind.name;
            return Err(Refusal::Usage(format!(
                "`{name}` is of kind {kind}, not evaluation; {}",
                known(&session.pipeline, &all)
            )));
        }
        named.extend(meant.into_iter().filter(|id| !named.contains(id)).collect::<Vec<_>>());
    }
    Ok(named)
}

/// The names of the measured networks, each once.
fn measured(entries: &[Entry]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.weights.is_empty()) {
        if !names.contains(&entry.weights.as_str()) {
            names.push(&entry.weights);
        }
    }
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}
