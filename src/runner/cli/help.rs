//! `help`: of a command what clap knows, of a kind or another part of the pipeline file what the tables say.

use std::io::{IsTerminal, stdout};

use clap::{Args, CommandFactory};

use super::{Answer, Cli, DONE, Refusal, show};
use crate::pipeline::manual;
use crate::screen::live::size_of;

/// Longer lines are hard to read on any terminal.
const READABLE: usize = 100;
/// Where no terminal says how wide it is.
const USUAL: usize = 80;

/// Print the help of a command, or what a kind, a data set or a model takes
#[derive(Args)]
#[command(after_help = "Examples:
  intrada-run help compare             a command
  intrada-run help intra-training      a kind of stage: its keys, defaults and origins, and what it gives
  intrada-run help dataset folder      a format of data sets; `help dataset` lists them")]
pub(super) struct Help {
    /// A command, a kind, or: stage, dataset, model, pipeline, resources, classes
    #[arg(value_name = "WORD")]
    words: Vec<String>,
}

impl Help {
    pub(super) fn answer(self) -> Answer {
        let mut cli = Cli::command();
        // So that a command within a command knows its whole name.
        cli.build();
        let mut command = &mut cli;
        for (place, word) in self.words.iter().enumerate() {
            if command.find_subcommand(word).is_none() {
                let others: Vec<&str> = command.get_subcommands().map(|known| known.get_name()).collect();
                let text = manual::page(&self.words[place..], &others, columns());
                show(&text.map_err(|error| Refusal::Usage(error.to_string()))?)?;
                return Ok(DONE);
            }
            command = command.find_subcommand_mut(word).expect("just found");
        }
        show(&command.render_help().to_string())?;
        Ok(DONE)
    }
}

fn columns() -> usize {
    if stdout().is_terminal() { size_of(stdout()).0.min(READABLE) } else { USUAL }
}
