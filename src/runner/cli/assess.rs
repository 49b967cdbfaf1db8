//! `assess`: whether adaptation was worth it, in a paragraph and on a page.
//!
//! Knows no rule: `results::assess` has it.

use std::io::{IsTerminal, stdout};
use std::path::Path;

use clap::Args;

use super::report::{from_here, stale_in_the_cache, workspace};
use super::{Answer, DONE, Format, Refusal, STAGE_FAILED, Source, open, show, show_json};
use crate::report::html::Workspace;
use crate::report::html::assess::{self, Assessment, HEADS, Unknown};
use crate::report::views::page;
use crate::screen::live::size_of;
use crate::shown;

/// Was adaptation worth it: keep source-only, adapt, or label
#[derive(Args)]
#[command(
    after_help = "Compares the network without adaptation, the adapted one, and one that has learnt from labels of the target, as
far as the pipeline's evaluations measure them, and says what follows from a written rule (docs/assess.md). Runs nothing.
The page is runs/PIPELINE/assess.html.

Examples:
  intrada-run assess p.toml
  intrada-run assess p.toml --minutes-per-image 7      coarse labels
  intrada-run assess p.toml --format json"
)]
pub(super) struct Assess {
    #[command(flatten)]
    source: Source,
    /// Minutes that a person needs to label an image; 90: Cityscapes' fine labels
    #[arg(long, value_name = "MINUTES", default_value_t = 90.0, value_parser = minutes)]
    minutes_per_image: f64,
    /// Output format
    #[arg(long, default_value = "text")]
    format: Format,
}

fn minutes(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|minutes| minutes.is_finite() && *minutes >= 0.0);
    number.ok_or_else(|| "not a number of minutes".to_owned())
}

impl Assess {
    pub(super) fn answer(self) -> Answer {
        let mut session = self.source.open_results()?;
        if session.pipeline.evaluations().next().is_none() {
            let file = session.pipeline.file.display();
            return Err(Refusal::Usage(format!("{file} has no evaluation: add a stage with kind = \"evaluation\"")));
        }
        let stale = stale_in_the_cache(&mut session);
        open::tell_not_here(&session);
        let not_here = session.not_here();
        let history = session.history().borrow();
        let workspace = Workspace { not_here: &not_here, ..workspace(&session, &history, &stale) };
        let (known, unknown) = assess::assess(&workspace, self.minutes_per_image);
        let place = Path::new("runs").join(&session.pipeline.name).join("assess.html");
        let path = session.pipeline.root.join(&place);
        let text = assess::page(&workspace, &known, &unknown, self.minutes_per_image);
        let written = page::replace(&session.store, &path, text.as_bytes());
        let page = written.is_ok().then(|| from_here(&session.pipeline, &place).display().to_string());
        match self.format {
            Format::Json => {
                let all = serde_json::json!({ "assessments": known, "unknown": unknown, "page": page });
                show_json(&format!("{all:#}\n"))?;
            }
            Format::Text => {
                let room = stdout().is_terminal().then(|| size_of(stdout()).0);
                show(&in_words(&known, &unknown, page.as_deref(), room))?;
            }
        }
        if let Err(error) = written {
            // The answer is here; a page beside results that only their owner may write is not worth failing for.
            talk!("warning: there is no page: {:#}", anyhow::Error::new(error));
        }
        Ok(if known.is_empty() { STAGE_FAILED } else { DONE })
    }
}

/// A paragraph and a table for each; on a terminal of `room` columns the paragraph is wrapped.
fn in_words(known: &[Assessment], unknown: &[Unknown], page: Option<&str>, room: Option<usize>) -> String {
    let mut text = String::new();
    for assessment in known {
        text += &format!("{}: {}\n", assessment.place(), assessment.advice.words());
        let room = room.unwrap_or(usize::MAX);
        let paragraph = shown::wrapped(&assessment.paragraph, room, room).join("\n");
        text += &format!("{paragraph}\n\n{}\n", table(assessment));
    }
    for Unknown { evaluation, why, is_part } in unknown {
        let what = if *is_part { "missing above" } else { "nothing to say" };
        text += &format!("{}: {what}: {}\n", shown::line(evaluation), shown::line(why));
    }
    if known.is_empty() {
        text += "no evaluation here tells whether adaptation helps\n";
    }
    text + &page.map(|page| format!("page  {page}\n")).unwrap_or_default()
}

fn table(assessment: &Assessment) -> String {
    let row = |network: &assess::Weighted| {
        let difference = network.difference.clone().unwrap_or_default();
        [shown::cut(&network.name, 40), network.miou.clone(), difference, network.computing(), network.labelling()]
    };
    let rows: Vec<[String; 5]> =
        [HEADS.map(str::to_owned)].into_iter().chain(assessment.networks.iter().map(row)).collect();
    let width = |at: usize| rows.iter().map(|row| shown::width(&row[at])).max().unwrap_or(0);
    let line = |row: &[String; 5]| {
        let cells: Vec<String> = row.iter().enumerate().map(|(at, cell)| shown::left(cell, width(at))).collect();
        format!("  {}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}
