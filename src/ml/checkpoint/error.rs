//! Why a file could not be read, written or used. Messages count problems, and show names of the file next to the expected
//! ones.
use std::io;
use std::path::PathBuf;

use intrada_data::input_file::{Changed, ReadError};
use intrada_weights::shown::Shown;
use tch::Kind;

use super::nearest::Nearest;
use crate::pth::PthError;

/// Why a file could not be read, written or used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system returned an error.
    #[error("failed to {action} {}: {source}", path.display())]
    Io {
        /// The operation.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Its content differs from the expected one.
    #[error("{0}")]
    Changed(#[from] Changed),
    /// Another file type.
    #[error("{} is not a checkpoint: {what}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is, and what to do.
        what: String,
    },
    /// A damaged safetensors file.
    #[error("{} is not a whole safetensors file: {}; copy or download it again", path.display(), Shown(problem))]
    Format {
        /// The file.
        path: PathBuf,
        /// The problem; may contain a name from the file.
        problem: String,
    },
    /// A file of PyTorch that can't be read.
    #[error("{}: {source}", path.display())]
    Pth {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: PthError,
    },
    /// An unsupported element type.
    #[error("{}: tensor `{}` has elements of type {dtype}", path.display(), Shown(key))]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The tensor.
        key: String,
        /// The type's name in the format.
        dtype: String,
    },
    /// Two tensors of one name, as in `{"a.b": …, "a": {"b": …}}`.
    #[error("{}: two tensors are called `{}`", path.display(), Shown(key))]
    Twice {
        /// The file.
        path: PathBuf,
        /// Their name.
        key: String,
    },
    /// The file doesn't contain the network under any prefix.
    #[error("{}: {nearest}", path.display())]
    Unfitting {
        /// The file.
        path: PathBuf,
        /// The closest match.
        nearest: Box<Nearest>,
    },
    /// The file contains several that differ.
    #[error(
        "{}: it holds this network {} times, and their values differ: below {}; save the wanted one in a separate file",
        path.display(),
        below.len(),
        below.iter().map(|below| format!("`{}`", Shown(below))).collect::<Vec<_>>().join(" and ")
    )]
    Ambiguous {
        /// The file.
        path: PathBuf,
        /// The prefix of each.
        below: Vec<String>,
    },
    /// The file has no moving average of the network.
    #[error("{}: the teacher of its network (below `ema_model.`) is not in it", path.display())]
    NoTeacher {
        /// The file.
        path: PathBuf,
    },
    /// The file has another network of the same family.
    #[error("{}: it holds {found}, and the model is {wanted}", path.display())]
    Relative {
        /// The file.
        path: PathBuf,
        /// What the file has.
        found: String,
        /// What the model is.
        wanted: String,
        /// What to do.
        cure: &'static str,
    },
    /// A tensor that the network needs is there, but unreadable.
    #[error("{}: `{}` is {what}{}", path.display(), Shown(key), and_more(*others, "more of the network's tensors are such"))]
    Odd {
        /// The file.
        path: PathBuf,
        /// Its name.
        key: String,
        /// What it is, and what to do.
        what: String,
        /// How many others are unreadable.
        others: usize,
    },
    /// The network has a tensor that the file lacks.
    #[error("{}: tensor `{key}` {expected:?} is missing{}", path.display(), and_more(*others, "more are missing"))]
    Missing {
        /// The file.
        path: PathBuf,
        /// The tensor.
        key: String,
        /// Its shape.
        expected: Vec<i64>,
        /// How many others.
        others: usize,
    },
    /// The file has a tensor that the network lacks.
    #[error(
        "{}: tensor `{}` {found:?} has no place in this network{}",
        path.display(),
        Shown(key),
        and_more(*others, "more have none")
    )]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// The tensor.
        key: String,
        /// Its shape.
        found: Vec<i64>,
        /// How many others.
        others: usize,
    },
    /// Same name, other shape.
    #[error(
        "{}: tensor `{key}` has shape {found:?}, expected {expected:?}{}",
        path.display(),
        and_more(*others, "more have another shape")
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        key: String,
        /// The network's shape.
        expected: Vec<i64>,
        /// The file's shape.
        found: Vec<i64>,
        /// How many others.
        others: usize,
    },
    /// Same name, other element type.
    #[error("{}: tensor `{key}` has elements of kind {found:?}, expected {expected:?}", path.display())]
    ElementKind {
        /// The file.
        path: PathBuf,
        /// The tensor.
        key: String,
        /// The network's.
        expected: Kind,
        /// The file's.
        found: Kind,
    },
    /// Discriminators of other levels, or of several.
    #[error(
        "{}: it holds {}, but the discriminator of one level is needed, `{wanted}`",
        path.display(),
        match levels[..] {
            [level] => format!("the discriminator of the level `{level}`"),
            _ => format!("the discriminators of the levels `{}`", levels.join("` and `")),
        }
    )]
    Levels {
        /// The file.
        path: PathBuf,
        /// The levels in the file.
        levels: Vec<&'static str>,
        /// The needed level.
        wanted: String,
    },
    /// Weights with NaN or infinity: with them every prediction would be one class.
    #[error(
        "{}: tensor `{key}` is not finite: {elements} of its {total} elements are NaN or infinite{}; the network had diverged \
         when it was saved, or the file is damaged",
        path.display(),
        and_more(*others, "more tensors are not finite")
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The first such tensor.
        key: String,
        /// How many of its elements.
        elements: i64,
        /// Of how many.
        total: i64,
        /// How many other tensors.
        others: usize,
    },
}

fn and_more(others: usize, what: &str) -> String {
    if others == 0 { String::new() } else { format!(", and {others} {what}") }
}

impl CheckpointError {
    /// Whether the file was read, and its tensors aren't those of the network.
    pub fn is_misfit(&self) -> bool {
        use CheckpointError::{Missing, Shape, Unexpected, Unfitting};
        matches!(self, Missing { .. } | Shape { .. } | Unexpected { .. } | Unfitting { .. })
    }

    /// What to do, if the message doesn't say it.
    pub fn cure(&self) -> Option<&'static str> {
        match self {
            CheckpointError::Pth { source, .. } => source.cure(),
            CheckpointError::Unfitting { nearest, .. } => Some(nearest.cure()),
            CheckpointError::NoTeacher { .. } => {
                Some("take the student, or name a file of DAFormer, HRDA or MIC with both")
            }
            CheckpointError::Relative { cure, .. } => Some(cure),
            CheckpointError::Missing { .. } | CheckpointError::Unexpected { .. } | CheckpointError::Shape { .. } => {
                Some(
                    "the stage's model (`arch`, `multi_level`), the number of classes and a discriminator's width have to be those \
                 of the file",
                )
            }
            CheckpointError::Unsupported { .. } | CheckpointError::ElementKind { .. } => {
                Some("save it with elements of 32 bits: `tensor.float()`")
            }
            CheckpointError::Twice { .. } => {
                Some("save the network's state dict alone: `torch.save(model.state_dict(), …)`")
            }
            CheckpointError::NotFinite { .. } => {
                Some("take a checkpoint from before that, or copy or download the file again")
            }
            CheckpointError::Levels { levels, .. } => Some(match levels[..] {
                ["aux"] => "`discriminator_init_aux` takes it",
                ["main"] => "`discriminator_init_main` takes it",
                _ => {
                    "`discriminator_init` takes a file of several levels, such as `discriminator.safetensors` of a training"
                }
            }),
            CheckpointError::Io { .. }
            | CheckpointError::Changed(_)
            | CheckpointError::Foreign { .. }
            | CheckpointError::Format { .. }
            | CheckpointError::Ambiguous { .. }
            | CheckpointError::Odd { .. } => None,
        }
    }
}

impl From<ReadError> for CheckpointError {
    fn from(error: ReadError) -> CheckpointError {
        match error {
            ReadError::Io { path, source } => CheckpointError::Io { action: "read", path, source },
            ReadError::Changed(changed) => CheckpointError::Changed(changed),
        }
    }
}
