//! `init`: a commented pipeline to start from.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

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
        std::fs::create_dir_all(&self.dir).with_context(|| format!("failed to make {}", self.dir.display()))?;
        let pipeline = self.dir.join("pipeline.toml");
        write_new(&pipeline, &spec::template::TEMPLATE)?;
        // For editors; the pipeline's first line names it. One that is there already is as good.
        let schema = self.dir.join("pipeline.schema.json");
        if !schema.exists() {
            write_new(&schema, &spec::schema::text())?;
        }
        eprintln!("wrote {}", pipeline.display());
        eprintln!("next  intrada-run {}", pipeline.display());
        Ok(DONE)
    }
}

fn write_new(path: &Path, text: &str) -> Result<(), Refusal> {
    let written = std::fs::File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(Refusal::Usage(format!("{} is there already and is not overwritten", path.display())))
        }
        Err(error) => Err(anyhow::Error::new(error).context(format!("failed to write {}", path.display())).into()),
    }
}
