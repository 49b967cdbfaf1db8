//! Export: a result with all that somebody needs who has neither the pipeline nor the cache.
//!
//! Runs nothing and links nothing: a network's file gets another header, and what stands beside it is told from the pipeline
//! file and the traces. Only what is up to date is exported, out of the store and not out of `runs/`, where a person may have
//! edited it. The same result gives the same bytes whenever it is exported: no time of the export and no name of a machine
//! goes in. A folder is complete or it isn't there.

mod card;
mod config;
mod definition;
pub mod format;
mod lineage;
mod network;
mod openlineage;
mod package;
mod provenance;
pub mod safetensors;
mod seeds;
mod subject;
mod submission;

use std::io;
use std::path::{Path, PathBuf};

use crate::kind::OutputRole;
use crate::pipeline::{OutputId, Problems};
use crate::sched::session::Session;
use crate::shell::word;
use crate::store;

pub use lineage::{lineage, run_events};

/// A form in which a result is exported.
pub struct Format {
    /// What `--as` takes.
    pub name: &'static str,
    /// What it is, for the help.
    pub about: &'static str,
    /// What an output has to be.
    pub exports: OutputRole,
    /// The kind of stage that gives such an output, with its article.
    pub stage: &'static str,
    /// Writes it into a folder that isn't there yet or is empty. Answers with a line for each thing that was written.
    ///
    /// # Errors
    /// [`Error`]; the folder is as it was then.
    pub write: fn(&mut Session, OutputId, &Path) -> Result<Vec<String>, Error>,
}

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pipeline's data are wrong.
    #[error("the sources of the pipeline are wrong")]
    Sources(Box<Problems>),
    /// The stage would run.
    #[error("`{stage}` is not up to date, so there is nothing to export; run it first: intrada-run {} {}", word(&file.to_string_lossy()), word(stage))]
    NotDone {
        /// Which.
        stage: String,
        /// The pipeline file.
        file: PathBuf,
    },
    /// No stage is done.
    #[error("no stage of {} is up to date; run it first: intrada-run {}", file.display(), word(&file.to_string_lossy()))]
    NothingDone {
        /// The pipeline file.
        file: PathBuf,
    },
    /// There is something already.
    #[error("`{}` exists and is not an empty folder; name another", path.display())]
    Occupied {
        /// Where.
        path: PathBuf,
    },
    /// The cache lost it.
    #[error("the cache no longer has {what} of `{stage}`; run it again: intrada-run {} {}", word(&file.to_string_lossy()), word(stage))]
    Gone {
        /// What.
        what: &'static str,
        /// Whose.
        stage: String,
        /// The pipeline file.
        file: PathBuf,
    },
    /// Weights that a newer or older program wrote otherwise.
    #[error("the weights of `{stage}` are no safetensors file: {reason}")]
    NotSafetensors {
        /// Whose.
        stage: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A submission is wanted of classes that it isn't made of.
    #[error("a submission to Cityscapes needs its 19 classes in their order; set classes = \"cityscapes-19\"")]
    OtherClasses,
    /// An image that can't be one of Cityscapes.
    #[error("prediction `{name}` of `{stage}`: {reason}")]
    NotCityscapes {
        /// Its name.
        name: String,
        /// Whose.
        stage: String,
        /// What is wrong.
        reason: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The file system failed.
    #[error("failed to {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Error {
        Error::Sources(Box::new(problems))
    }
}
