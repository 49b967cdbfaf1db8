//! `choices`: what choosing snapshots without labels has cost, over many trainings.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{Answer, DONE, Refusal, Source, open, show, show_json};
use crate::pipeline::StageId;
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
    /// Pipeline files, and names of trainings; default: all of them
    #[arg(value_name = "PIPELINE.toml|STAGE", required = true)]
    names: Vec<String>,
    /// Override a value of the files, as in stages.inter.iterations=100; TOML syntax
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Cache folder; default: cache/ in the workspace; also INTRADA_CACHE
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Read-only fallback cache; may be repeated; also INTRADA_SHARED_CACHES
    #[arg(long, value_name = "DIR|URL")]
    shared_cache: Vec<OsString>,
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
        let is_pipeline = |name: &&String| name.ends_with(".toml") || Path::new(name).is_file();
        let (files, stages): (Vec<&String>, Vec<&String>) = self.names.iter().partition(is_pipeline);
        if files.is_empty() {
            return Err(Refusal::Usage(format!("`{}` is not a pipeline file; name one", self.names[0])));
        }
        let mut all = Vec::new();
        let mut unknown = stages.clone();
        for file in &files {
            let (set, cache, shared_cache) = (self.set.clone(), self.cache.clone(), self.shared_cache.clone());
            let mut session = Source { file: file.into(), set, cache, shared_cache }.open_results()?;
            let named: Vec<String> = stages
                .iter()
                .filter(|name| !session.pipeline.select(name).is_empty())
                .map(|name| (*name).clone())
                .collect();
            unknown.retain(|name| !named.contains(name));
            let wanted: Vec<StageId> = match (stages.is_empty(), files.len()) {
                (true, _) => session.pipeline.stage_ids().collect(),
                // Says which names it has.
                (false, 1) => open::stages(&session, &self.stages(&stages))?,
                (false, _) => open::stages(&session, &named)?,
            };
            let found = choices(&mut session, &wanted);
            open::tell_not_here(&session);
            all.extend(found?);
        }
        if let Some(name) = unknown.first() {
            return Err(Refusal::Usage(format!("no stage of these pipelines is called `{name}`")));
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

    fn stages(&self, stages: &[&String]) -> Vec<String> {
        stages.iter().map(|name| (*name).clone()).collect()
    }
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
