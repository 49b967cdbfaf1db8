//! `export`: a network with its model card and lineage, or predictions as a benchmark takes them, in a folder of their own.

use std::path::PathBuf;

use clap::Args;

use super::{Answer, DONE, Refusal, Source, open, show};
use crate::export::{self, Error};
use crate::kind::Gives;
use crate::sched::session::{Access, Session};
use crate::spec::{OutputId, StageId};

/// Write a trained network with model card and lineage, or predictions for a benchmark, into a new folder
#[derive(Args)]
#[command(after_help = "Examples:
  intrada-run export p.toml intra handed-on                         the last network of a training
  intrada-run export p.toml intra.best handed-on                    the one that was best on labelled images
  intrada-run export p.toml entropy out --cityscapes-submission     label ids at 2048 × 1024")]
pub(super) struct Export {
    #[command(flatten)]
    source: Source,
    /// The training, or the entropy inference
    stage: String,
    /// The folder to make; one that is there must be empty
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Of an entropy inference on Cityscapes: its predictions as the benchmark's server takes them
    #[arg(long)]
    cityscapes_submission: bool,
}

impl Export {
    pub(super) fn answer(self) -> Answer {
        let mut session = self.source.open(Access::Look)?;
        let wanted = if self.cityscapes_submission { Gives::Predictions } else { Gives::Weights };
        let output = output(&session, &self.stage, wanted)?;
        let told = if self.cityscapes_submission {
            let count = export::cityscapes_submission(&mut session, output, &self.folder)?;
            format!("{}: {count} predictions\n", self.folder.display())
        } else {
            let files = export::network(&mut session, output, &self.folder)?;
            files.iter().map(|file| format!("{}\n", self.folder.join(file).display())).collect()
        };
        show(&told)?;
        Ok(DONE)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        match error {
            Error::Sources(problems) => Refusal::Problems(problems),
            error @ (Error::Store(_) | Error::Io { .. }) => Refusal::Other(error.into()),
            error => Refusal::Usage(error.to_string()),
        }
    }
}

/// The output that a name means: `intra` its weights, `intra.best` those that were best.
fn output(session: &Session, name: &str, wanted: Gives) -> Result<OutputId, Refusal> {
    let (stage, typed) = match name.rsplit_once('.') {
        // A coordinate of a sweep has dots too, so the whole is tried first.
        Some((stage, output)) if session.pipeline.select(name).is_empty() => {
            (open::stage(session, stage)?, Some(output))
        }
        _ => (open::stage(session, name)?, None),
    };
    find(session, stage, typed, wanted).ok_or_else(|| {
        let kind = session.pipeline.stage(stage).kind.name;
        let other = match wanted {
            Gives::Weights => {
                "; name a training, or say --cityscapes-submission for the predictions of an entropy-inference"
            }
            _ => "; name an entropy-inference",
        };
        Refusal::Usage(format!("`{name}` of kind {kind} gives no {}{other}", wanted.words()))
    })
}

fn find(session: &Session, stage: StageId, typed: Option<&str>, wanted: Gives) -> Option<OutputId> {
    let outputs = session.pipeline.stage(stage).outputs.iter();
    let place = outputs
        .enumerate()
        .find(|(_, output)| output.gives == wanted && typed.map_or(!output.by_name, |typed| typed == output.name));
    place.map(|(output, _)| OutputId { stage, output })
}
