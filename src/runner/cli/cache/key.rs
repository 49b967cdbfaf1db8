//! `cache key`: creates and shows the keys that sign results.

use std::io::ErrorKind;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::super::{Answer, DONE, Refusal, show};
use crate::signing::{self, KeyFileError, PublicKey};

/// Create and show keys that sign results
#[derive(Subcommand)]
pub(in crate::cli) enum Key {
    New(New),
    Show(Show),
}

impl Key {
    pub(super) fn answer(self) -> Answer {
        match self {
            Key::New(command) => command.answer(),
            Key::Show(command) => command.answer(),
        }
    }
}

/// Create a private key in a new file
#[derive(Args)]
#[command(
    after_help = "Prints the public key, for `trust` in the [cache] of whoever is to use your results. The file is for `sign` in \
                        your own [cache]; only you can read it, and nothing is ever overwritten.

Examples:
  intrada-run cache key new ~/.config/intrada.key
  intrada-run cache key new team.key >> team.keys"
)]
pub(in crate::cli) struct New {
    /// The file, which must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl New {
    fn answer(self) -> Answer {
        match signing::create(&self.file) {
            Ok(public) => print(&[public]),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let file = self.file.display();
                let text =
                    format!("there is something at `{file}`; choose another name, or see `cache key show {file}`");
                Err(Refusal::Usage(text))
            }
            Err(error) => {
                let text = format!("failed to create the key `{}`", self.file.display());
                Err(anyhow::Error::new(error).context(text).into())
            }
        }
    }
}

/// Print the public key of a private one, or the keys of a file for `trust`
#[derive(Args)]
#[command(after_help = "Examples:
  intrada-run cache key show ~/.config/intrada.key
  intrada-run cache key show ~/.config/intrada.key >> team.keys")]
pub(in crate::cli) struct Show {
    /// A file that `cache key new` has created, or one with public keys
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Show {
    fn answer(self) -> Answer {
        let keys = match signing::read_public(&self.file) {
            Err(KeyFileError::Private) => signing::read_private(&self.file).map(|own| vec![own.public()]),
            keys => keys,
        };
        print(&keys.map_err(|error| Refusal::Usage(format!("`{}`: {error}", self.file.display())))?)
    }
}

fn print(keys: &[PublicKey]) -> Answer {
    show(&keys.iter().map(|key| format!("{key}\n")).collect::<String>())?;
    Ok(DONE)
}
