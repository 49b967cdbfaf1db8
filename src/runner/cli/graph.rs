//! `graph`: draws the graph of stages.

use std::io::{IsTerminal, stdout};

use clap::{Args, ValueEnum};

use super::{Answer, DONE, Source, show, show_json};
use crate::graph::{self, Picture};
use crate::screen::live::size_of;

/// Show the graph of stages
#[derive(Args)]
#[command(after_help = "Examples:
  intrada-run graph p.toml                                 one line per stage
  intrada-run graph p.toml --format dot | dot -Tsvg -o p.svg")]
pub(super) struct Graph {
    #[command(flatten)]
    source: Source,
    /// Output format
    #[arg(long, default_value = "text")]
    format: Language,
}

#[derive(Clone, Copy, ValueEnum)]
enum Language {
    /// For people
    Text,
    /// For Graphviz
    Dot,
    /// For Markdown
    Mermaid,
    /// For programs
    Json,
}

impl Graph {
    pub(super) fn answer(self) -> Answer {
        let (pipeline, graph) = graph::load(&self.source.file, &self.source.options.set)?;
        let picture = match self.format {
            Language::Text => Picture::Text { columns: stdout().is_terminal().then(|| size_of(stdout()).0) },
            Language::Dot => Picture::Dot,
            Language::Mermaid => Picture::Mermaid,
            Language::Json => Picture::Json,
        };
        let text = graph.draw(&pipeline, picture);
        match self.format {
            Language::Json => show_json(&text)?,
            _ => show(&text)?,
        }
        Ok(DONE)
    }
}
