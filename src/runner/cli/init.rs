//! `init`: a commented pipeline to start from.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::{Answer, DONE, Refusal};
use crate::spec;

/// Write a commented pipeline to start from; never overwrites
#[derive(Args)]
pub(super) struct Init {
    /// The folder; made if it isn't there
    #[arg(default_value = ".")]
    dir: PathBuf,
}

impl Init {
    pub(super) fn answer(self) -> Answer {
        let path = self.dir.join("pipeline.toml");
        std::fs::create_dir_all(&self.dir).with_context(|| format!("failed to make {}", self.dir.display()))?;
        let mut file = match std::fs::File::create_new(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(Refusal::Usage(format!("{} is there already and is not overwritten", path.display())));
            }
            Err(error) => {
                return Err(anyhow::Error::new(error).context(format!("failed to write {}", path.display())).into());
            }
        };
        file.write_all(spec::template::TEMPLATE.as_bytes())
            .with_context(|| format!("failed to write {}", path.display()))?;
        eprintln!("wrote {}", path.display());
        eprintln!("next  intrada-run {}", path.display());
        Ok(DONE)
    }
}
