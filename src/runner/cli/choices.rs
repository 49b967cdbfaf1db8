//! `choices`: what choosing snapshots without labels has cost, over many trainings.

use clap::{Args, ValueEnum};
use serde_json::json;

use super::several::{Opened, Several};
use super::{Answer, DONE, Refusal, open, show, show_json};
use crate::pipeline::{Pipeline, StageId};
use crate::results::choice::{Chosen, Column, columns, remarks, summary};
use crate::results::compare::quoted;
use crate::sched::choices::choices;
use crate::shown;

/// Show what choosing snapshots without labels cost
#[derive(Args)]
#[command(after_help = "Examples:
  intrada-run choices p.toml                        every training with candidates_every
  intrada-run choices p.toml inter                  one training or sweep
  intrada-run choices a.toml b.toml --format csv    over several pipelines")]
pub(super) struct Choices {
    #[command(flatten)]
    several: Several,
    /// Output format
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For people, in % and points
    Text,
    /// For programs, as fractions
    Json,
    /// For spreadsheets, in % and points
    Csv,
    /// For a README, in % and points
    Markdown,
}

impl Choices {
    pub(super) fn answer(self) -> Answer {
        let Opened { sessions, stages } = self.several.open(&[], trainings)?;
        let mut all = Vec::new();
        for mut session in sessions {
            let named = || stages.iter().flat_map(|name| session.pipeline.select(name)).collect();
            let wanted: Vec<StageId> = if stages.is_empty() { trainings(&session.pipeline) } else { named() };
            let found = choices(&mut session, &wanted);
            open::tell_not_here(&session);
            all.extend(found?);
        }
        if all.is_empty() {
            return Err(Refusal::Usage(
                "no training here chooses a snapshot without labels\nhelp: give it `candidates_every`".to_owned(),
            ));
        }
        match self.format {
            Format::Text => show(&text(&all)),
            Format::Markdown => show(&markdown(&all)),
            Format::Csv => show(&csv(&all)),
            Format::Json => show_json(&format!(
                "{:#}\n",
                json!({ "trainings": all.iter().map(Chosen::json).collect::<Vec<_>>(), "summary": summary(&all) })
            )),
        }?;
        Ok(DONE)
    }
}

/// Those that score their snapshots.
fn trainings(pipeline: &Pipeline) -> Vec<StageId> {
    pipeline.stage_ids().filter(|id| pipeline.scored_on(pipeline.stage(*id)).is_some()).collect()
}

/// The rows of a table, or none.
fn rows(columns: &[Column]) -> impl Iterator<Item = Vec<&str>> {
    let height = columns.first().map_or(0, |column| column.cells.len());
    (0..height).map(|at| columns.iter().map(|column| column.cells[at].as_str()).collect())
}

fn text(all: &[Chosen]) -> String {
    let columns = columns(all);
    let widths: Vec<usize> = columns
        .iter()
        .map(|column| column.cells.iter().map(String::as_str).chain([column.name]).map(shown::width).max().unwrap_or(0))
        .collect();
    let line = |cells: Vec<&str>| -> String {
        let of = |((cell, column), width): ((&str, &Column), &usize)| {
            if column.is_number { shown::right(cell, *width) } else { shown::left(cell, *width) }
        };
        let cells: Vec<String> = cells.into_iter().zip(&columns).zip(&widths).map(of).collect();
        format!("  {}\n", cells.join("  ").trim_end())
    };
    let mut text = String::new();
    if rows(&columns).next().is_some() {
        text += &line(columns.iter().map(|column| column.name).collect());
        text.extend(rows(&columns).map(line));
    }
    text + &remarks(all).iter().map(|remark| format!("  {remark}\n")).collect::<String>()
}

fn markdown(all: &[Chosen]) -> String {
    let columns = columns(all);
    let escaped = |cell: &&str| {
        let special = |c: char| "\\`*_{}[]<>#|".contains(c);
        cell.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect::<String>()
    };
    let line = |cells: Vec<&str>| format!("| {} |\n", cells.iter().map(escaped).collect::<Vec<_>>().join(" | "));
    let rule: Vec<&str> = columns.iter().map(|column| if column.is_number { "---:" } else { "---" }).collect();
    let head = line(columns.iter().map(|column| column.name).collect()) + &format!("| {} |\n", rule.join(" | "));
    let body: String = rows(&columns).map(line).collect();
    let table = if body.is_empty() { String::new() } else { head + &body + "\n" };
    table + &remarks(all).iter().map(|remark| format!("* {}\n", escaped(&remark.as_str()))).collect::<String>()
}

/// Without median and worst, which are no trainings.
fn csv(all: &[Chosen]) -> String {
    let columns = columns(all);
    let trainings =
        all.iter().filter(|chosen| chosen.choice.as_ref().is_some_and(|choice| !choice.evaluated.is_empty()));
    let cell = |cell: &str| quoted(if cell == "–" { "" } else { cell });
    let line = |cells: Vec<&str>| cells.into_iter().map(cell).collect::<Vec<_>>().join(",") + "\n";
    let head = line(columns.iter().map(|column| column.name).collect());
    head + &rows(&columns).take(trainings.count()).map(line).collect::<String>()
}
