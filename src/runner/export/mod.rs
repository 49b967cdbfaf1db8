//! Export: a result in a self-contained folder, usable without the pipeline and the cache.
//!
//! Runs nothing and doesn't link libtorch: the weight file gets a new header, and the other files are generated from the pipeline
//! file and the traces. Exports only up-to-date results, from the store and not from `runs/`, where users may have edited them.
//! The same result always exports to the same bytes, as no export time and no machine name is written. A folder appears only
//! when it is complete.

mod card;
mod config;
pub mod format;
mod lineage;
mod network;
mod onnx;
mod openlineage;
mod package;
mod provenance;
pub mod pytorch;
pub mod safetensors;
mod seeds;
mod subject;
mod submission;
pub mod transformers;
mod wishes;

use std::io;
use std::path::{Path, PathBuf};

use crate::kind::OutputRole;
use crate::pipeline::{OutputId, Problems};
use crate::predict;
use crate::sched::session::Session;
use crate::shell::word;
use crate::store;

pub use lineage::{lineage, run_events};
pub use wishes::{Output, Wishes};

/// Writes an output into a new or empty folder; the lines to print, one for each file.
type Write = fn(&mut Session, OutputId, &Path, &Wishes) -> Result<Vec<String>, Error>;

/// An export format.
pub struct Format {
    /// Its name for `--as`.
    pub name: &'static str,
    /// Its description, for the help.
    pub about: &'static str,
    /// The role of the outputs that it exports.
    pub exports: OutputRole,
    /// The kind of stage with such an output, with its article.
    pub stage: &'static str,
    /// Whether it is a graph, for which there is a choice: [`Wishes`].
    pub is_graph: bool,
    /// Writes it into a new or empty folder. Returns a line for each file written, and what else there is to say.
    ///
    /// # Errors
    /// [`Error`]; the folder is then unchanged.
    pub write: Write,
}

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pipeline's data are wrong.
    #[error("the sources of the pipeline are wrong")]
    Sources(Box<Problems>),
    /// The stage is not up to date.
    #[error("`{stage}` is not up to date, so there is nothing to export; run it first: intrada-run {} {}", word(&file.to_string_lossy()), word(stage))]
    NotDone {
        /// Which.
        stage: String,
        /// The pipeline file.
        file: PathBuf,
    },
    /// No stage is up to date.
    #[error("no stage of {} is up to date; run it first: intrada-run {}", file.display(), word(&file.to_string_lossy()))]
    NothingDone {
        /// The pipeline file.
        file: PathBuf,
    },
    /// The folder exists and isn't empty.
    #[error("`{}` exists and is not an empty folder; name another", path.display())]
    Occupied {
        /// Where.
        path: PathBuf,
    },
    /// The cache has lost the result.
    #[error("the cache no longer has {what} of `{stage}`; run it again: intrada-run {} {}", word(&file.to_string_lossy()), word(stage))]
    Gone {
        /// What.
        what: &'static str,
        /// Whose.
        stage: String,
        /// The pipeline file.
        file: PathBuf,
    },
    /// The weights were written in another format, by another version.
    #[error("the weights of `{stage}` are not a safetensors file: {reason}")]
    NotSafetensors {
        /// Whose.
        stage: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// `transformers` has no such network.
    #[error("transformers has no network like that of `{stage}`, {arch}; export it {}", other_formats("transformers"))]
    NotOfTransformers {
        /// Whose.
        stage: String,
        /// Which it is.
        arch: String,
    },
    /// The weights don't make a graph.
    #[error("the network of `{stage}` can't be written as a graph: {reason}")]
    NoGraph {
        /// Whose.
        stage: String,
        /// What is wrong.
        reason: intrada_onnx::Error,
    },
    /// The graph predicts something else.
    #[error(
        "the graph of `{stage}` does not predict what the network does, so it is not exported: {compared}; \
         set INTRADA_PYTHON to a Python with another ONNX Runtime, or report this"
    )]
    Disagrees {
        /// Whose.
        stage: String,
        /// How much of it.
        compared: String,
    },
    /// A test picture can't be used.
    #[error("the graph can't be tested on {name}: {reason}")]
    TestPicture {
        /// Which.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The test pictures can't be predicted.
    #[error("failed to predict the test pictures: {0}")]
    Predict(predict::Error),
    /// The classes don't fit the submission.
    #[error("a submission to Cityscapes needs its 19 classes in their order; set classes = \"cityscapes-19\"")]
    OtherClasses,
    /// A prediction that can't belong to an image of Cityscapes.
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

/// The formats of networks but for one, as a command line names them.
fn other_formats(name: &str) -> String {
    let others = format::ALL.iter().filter(|format| format.exports == OutputRole::Weights && format.name != name);
    others.map(|format| format!("--as {}", format.name)).collect::<Vec<_>>().join(" or ")
}

impl From<predict::Error> for Error {
    fn from(error: predict::Error) -> Error {
        match error {
            predict::Error::Sources(problems) => Error::Sources(problems),
            predict::Error::NotDone { stage, file } => Error::NotDone { stage, file },
            predict::Error::Gone { stage, file } => Error::Gone { what: "the weights", stage, file },
            predict::Error::Store(error) => Error::Store(error),
            error => Error::Predict(error),
        }
    }
}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Error {
        Error::Sources(Box::new(problems))
    }
}
