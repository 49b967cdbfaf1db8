//! `completions`: a shell's completion script.

use clap::{Args, CommandFactory};

use super::{Answer, Cli, DONE};

/// Print a completion script for a shell
#[derive(Args)]
pub(super) struct Completions {
    /// Which shell
    shell: clap_complete::Shell,
}

impl Completions {
    pub(super) fn answer(self) -> Answer {
        clap_complete::generate(self.shell, &mut Cli::command(), "intrada-run", &mut std::io::stdout());
        Ok(DONE)
    }
}
