//! `doctor`: checks everything that a run needs, by trying it where that is cheap. One line per check.
//!
//! Changes nothing and creates no cache. Each check decides whether a run would fail; this file only sets the exit status.

mod data;
mod machine;
mod storage;

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{
    Answer, DONE, Format, STAGE_FAILED, cache_folder, is_coloured, keyring, shared_caches, show, show_json, tell_of,
};
use crate::graph;
use crate::pipeline::{Pipeline, Problems, Stage};
use crate::sched::session::{Access, Caches, Session};
use crate::shown;

/// Check machine, cache and data sets before a long run
#[derive(Args)]
#[command(
    after_help = "Exit status: 0 with or without warnings, 1 if something would fail, 2 if the command line or the file is wrong.

Examples:
  intrada-run doctor                       this machine
  intrada-run doctor p.toml --all-labels   and everything a pipeline reads"
)]
pub(super) struct Doctor {
    /// A pipeline file; also checks its data sets and files
    #[arg(value_name = "PIPELINE.toml")]
    file: Option<PathBuf>,
    /// Override a value of the file, as in stages.rank.lambda=0.6; TOML syntax
    #[arg(long, value_name = "PATH=VALUE", requires = "file")]
    set: Vec<String>,
    /// The cache folder; also INTRADA_CACHE
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Read every label and image instead of 200 per data set
    #[arg(long, requires = "file")]
    all_labels: bool,
    /// Text for people, or JSON Lines
    #[arg(long, default_value = "text")]
    format: Format,
}

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// Passed.
    Good,
    /// A run would continue.
    Warning,
    /// A run would fail.
    Failure,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Check {
    state: State,
    /// What was checked.
    what: String,
    /// The finding, in half a line.
    found: String,
    /// Details, one per line.
    notes: Vec<String>,
    /// Advice, one per line.
    help: Vec<String>,
}

impl Check {
    fn new(state: State, what: impl Into<String>, found: impl Into<String>) -> Check {
        Check { state, what: what.into(), found: found.into(), notes: Vec::new(), help: Vec::new() }
    }

    fn help(mut self, line: impl Into<String>) -> Check {
        self.help.push(line.into());
        self
    }
}

impl Doctor {
    pub(super) fn answer(self) -> Answer {
        let read = self.file.as_deref().map(|file| graph::load(file, &self.set)).transpose()?;
        let cache = cache_folder(self.cache.as_ref());
        let root = read.as_ref().map_or(Path::new(""), |(pipeline, _)| &pipeline.root);
        let place = cache.clone().unwrap_or_else(|| root.join("cache"));
        let pipeline = read.as_ref().map(|(pipeline, _)| pipeline.clone());
        // A cache that can't be opened is reported by its own check.
        let keyring = pipeline.as_ref().map(keyring::read).transpose()?.unwrap_or_default();
        let session = read.and_then(|(pipeline, graph)| {
            let caches = Caches { own: cache, shared: shared_caches(&[], Some(&pipeline)), keyring };
            Session::open(pipeline, graph, caches, Access::Look).ok()
        });
        let mut failed = self.tell(&machine::checks(pipeline.as_ref()))?;
        failed |= self.tell(&storage::checks(&place, session.as_ref()))?;
        if let Some(pipeline) = &pipeline {
            let warnings = Problems::new(pipeline.warnings.clone(), pipeline.sources.clone());
            tell_of(&warnings, is_coloured(&std::io::stderr()));
            failed |= self.tell(&storage::places(pipeline))?;
            failed |= self.tell(&data::checks(pipeline, &place, self.all_labels))?;
        }
        Ok(if failed { STAGE_FAILED } else { DONE })
    }

    /// Prints checks as they complete. Returns whether a run would fail.
    fn tell(&self, checks: &[Check]) -> Result<bool, super::Refusal> {
        match self.format {
            Format::Text => show(&checks.iter().map(text).collect::<String>())?,
            Format::Json => show_json(&checks.iter().map(json_line).collect::<String>())?,
        }
        Ok(checks.iter().any(|check| check.state == State::Failure))
    }
}

fn text(check: &Check) -> String {
    let state = match check.state {
        State::Good => "ok",
        State::Warning => "warn",
        State::Failure => "FAIL",
    };
    let mut text = format!("  {state:<4}  {}: {}\n", shown::line(&check.what), shown::line(&check.found));
    let help = check.help.iter().map(|line| format!("help: {line}"));
    for line in check.notes.iter().cloned().chain(help) {
        text += &format!("        {}\n", shown::line(&line));
    }
    text
}

fn json_line(check: &Check) -> String {
    let state = match check.state {
        State::Good => "ok",
        State::Warning => "warn",
        State::Failure => "fail",
    };
    let Check { what, found, notes, help, .. } = check;
    let line = json!({"check": what, "state": state, "found": found, "notes": notes, "help": help});
    format!("{line}\n")
}

/// Whether the pipeline has stages for the worker of this machine. Without a pipeline, true.
fn needs_worker(pipeline: Option<&Pipeline>) -> bool {
    let is_for_worker =
        |pipeline: &Pipeline, stage: &Stage| stage.kind.tensors && pipeline.executor_of(stage).is_none();
    pipeline.is_none_or(|pipeline| pipeline.stages.iter().any(|stage| is_for_worker(pipeline, stage)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_a_line_with_what_more_there_is_below_it() {
        let mut check = Check::new(State::Failure, "val", "3 images").help("map them");
        check.notes.push("values 34".to_owned());
        assert_eq!(text(&check), "  FAIL  val: 3 images\n        values 34\n        help: map them\n");
        let line: serde_json::Value = serde_json::from_str(&json_line(&check)).unwrap();
        assert_eq!((&line["state"], &line["help"][0]), (&json!("fail"), &json!("map them")));
    }
}
