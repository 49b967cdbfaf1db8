//! `history`: the earlier runs of a pipeline, and what can be done with one of them. One file per use.

mod delete;
mod restore;
mod shown;

use clap::Args;

use self::delete::Wishes;
use super::{Answer, DONE, Format, Refusal, Source, show, show_json};
use crate::event::runs::Runs;
use crate::pipeline::Pipeline;
use crate::sched::past::{self, Past};
use crate::sched::session::{Access, Session};

/// Show earlier runs and what changed; restore or delete one
#[derive(Args)]
#[command(after_help = "Runs have numbers; the newest comes first. Each is compared with the run before it.

Examples:
  intrada-run history p.toml                       the last 20 runs
  intrada-run history p.toml --restore 3           run 3 again, in runs/p-run3
  intrada-run history p.toml --delete 2 --dry-run  what only run 2 uses")]
pub(super) struct History {
    #[command(flatten)]
    source: Source,
    /// Only runs of a file with this tag; may be repeated
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Show the last N runs
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    last: u32,
    /// Print the pipeline file as it was for this run
    #[arg(long, value_name = "RUN")]
    show: Option<u32>,
    /// Put the results of this run beside the current ones
    #[arg(long, value_name = "RUN", conflicts_with = "show")]
    restore: Option<u32>,
    /// Delete the results that only this run uses
    #[arg(long, value_name = "RUN", conflicts_with_all = ["show", "restore"])]
    delete: Option<u32>,
    /// With --delete: also results that are in place in runs/
    #[arg(long, requires = "delete")]
    in_place: bool,
    /// With --delete: show what would go; change nothing
    #[arg(long, requires = "delete")]
    dry_run: bool,
    /// Text for people, or JSON
    #[arg(long, default_value = "text")]
    format: Format,
}

impl History {
    pub(super) fn answer(self) -> Answer {
        let History { show, restore, delete, in_place, dry_run, format, .. } = self;
        match (show, restore, delete) {
            (Some(number), ..) => self.show(number),
            (_, Some(number), _) => restore::restore(&self.source, number),
            (.., Some(number)) => delete::delete(&self.source, &Wishes { number, in_place, dry_run, format }),
            _ => self.list(),
        }
    }

    fn list(&self) -> Answer {
        let session = self.source.open(Access::Look)?;
        let found = past::history(&session.pipeline, &session.store, self.last as usize, &self.tag);
        let runs = session.runs();
        // Older ones than those that are shown are not looked at.
        let oldest = found.last().filter(|_| found.len() == self.last as usize).map_or(0, |past| past.run.number);
        for number in runs.damaged(oldest) {
            talk!("note: {}", damaged(&runs, number));
        }
        let name = &session.pipeline.name;
        match self.format {
            Format::Json => show_json(&format!("{}\n", shown::as_json(name, &found)))?,
            Format::Text if found.is_empty() => show(&none(&session.pipeline, &self.tag))?,
            Format::Text => show(&found.iter().map(shown::as_text).collect::<Vec<_>>().join("\n"))?,
        }
        Ok(DONE)
    }

    /// As a file that can be run again: what else belongs to that run is a comment.
    fn show(&self, number: u32) -> Answer {
        let session = self.source.open(Access::Look)?;
        let past = find(&session, number)?;
        match self.format {
            Format::Json => show_json(&format!("{}\n", shown::one_as_json(&past)))?,
            Format::Text => show(&shown::file_of(&past))?,
        }
        Ok(DONE)
    }
}

/// The run of this number.
fn find(session: &Session, number: u32) -> Result<Past, Refusal> {
    past::one(&session.pipeline, &session.store, number).ok_or_else(|| {
        let name = &session.pipeline.name;
        let runs = session.runs();
        let numbers = runs.numbers();
        if numbers.contains(&number) {
            return Refusal::Usage(damaged(&runs, number));
        }
        let known = match (numbers.first(), numbers.last()) {
            (Some(first), Some(last)) if first < last => format!("there are runs {first} to {last}"),
            (Some(only), _) => format!("there is run {only}"),
            _ => "nothing has run yet".to_owned(),
        };
        Refusal::Usage(format!("`{name}` has no run {number} in this workspace; {known}"))
    })
}

/// What is said of a run whose record can't be read.
fn damaged(runs: &Runs, number: u32) -> String {
    format!("the record of run {number} is damaged: {}", runs.path(number).display())
}

fn none(pipeline: &Pipeline, tags: &[String]) -> String {
    let name = &pipeline.name;
    match tags {
        [] => format!("no run of `{name}` is recorded in this workspace\n"),
        tags => format!("no recorded run of `{name}` had the tags {}\n", tags.join(", ")),
    }
}
