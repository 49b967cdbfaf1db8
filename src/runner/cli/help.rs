//! `help`: clap's help of a command, or the manual page of a kind or another part of the pipeline file.

use std::io::{IsTerminal, stdout};

use clap::{Args, CommandFactory};

use super::{Answer, Cli, DONE, Refusal, show};
use crate::pipeline::manual;
use crate::screen::live::size_of;

/// Maximum line width: longer lines are hard to read.
const READABLE: usize = 100;
/// Line width without a terminal.
const USUAL: usize = 80;

/// Print the help of a command, or the keys of a kind
#[derive(Args)]
#[command(after_help = "Examples:
  intrada-run help compare             a command
  intrada-run help intra-training      a kind: keys, defaults, origins, outputs
  intrada-run help dataset folder      a data set format; `help dataset` lists them")]
pub(super) struct Help {
    /// A command, a kind, or: stage, dataset, model, pipeline, resources, classes
    #[arg(value_name = "WORD")]
    words: Vec<String>,
}

impl Help {
    pub(super) fn answer(self) -> Answer {
        let mut cli = Cli::command();
        // Sets the full names of subcommands.
        cli.build();
        let mut command = &mut cli;
        for (place, word) in self.words.iter().enumerate() {
            if command.find_subcommand(word).is_none() {
                let others: Vec<&str> = command.get_subcommands().map(|known| known.get_name()).collect();
                let text = manual::page(&self.words[place..], &others, columns());
                let unknown =
                    |error| Refusal::Usage(format!("{error}\nhelp: the kinds of stages are {}", manual::kinds()));
                show(&text.map_err(unknown)?)?;
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
