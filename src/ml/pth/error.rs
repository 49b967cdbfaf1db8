//! Why a file is not a readable PyTorch checkpoint. Names from the file are sanitised, never printed raw.
use intrada_weights::shown::Shown;
use zip::result::ZipError;

/// Why a file is not a readable checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum PthError {
    /// It is a pickle, but not PyTorch's.
    #[error(
        "a pickle, but not one of torch.save; if you trust it, load it with the code that wrote it and save its tensors \
         again: `torch.save(state_dict, …)`"
    )]
    NotTorch,
    /// Protocol 0, in which PyTorch's own references to elements are lost.
    #[error(
        "a pickle of protocol 0, which PyTorch writes and can't read again; save it again without `pickle_protocol=0`"
    )]
    Protocol0,
    /// The archive is damaged; described in our own words, as the library's messages name its types.
    #[error("damaged zip archive: {0}; copy or download the file again")]
    Zip(&'static str),
    /// A record differs from what was written.
    #[error("damaged zip archive: record `{}` {problem}; copy or download the file again", Shown(record))]
    Damaged {
        /// Its name.
        record: String,
        /// The problem.
        problem: &'static str,
    },
    /// An entry is compressed or encrypted, which torch.save doesn't do.
    #[error(
        "record `{}` of the archive is compressed or encrypted; torch.save leaves records as they are. Unpack the archive, \
         and pack it with `zip -0 -r`",
        Shown(.0)
    )]
    Compressed(String),
    /// A ZIP archive of other files.
    #[error("a zip archive, but no checkpoint: it holds {records}; if a checkpoint is among them, unpack it")]
    Archive {
        /// Some of their names.
        records: String,
    },
    /// An archive of torch.jit.save.
    #[error(
        "a TorchScript archive (torch.jit.save), which contains code; \
         `torch.save(torch.jit.load(…).state_dict(), …)` makes a checkpoint of it"
    )]
    Script,
    /// The file is truncated.
    #[error("the file ends inside {0}; copy or download it again")]
    Truncated(&'static str),
    /// A pickle operation that no state dict needs.
    #[error("operation {code:#04x} at byte {at} of a pickle doesn't belong in a checkpoint")]
    Operation {
        /// The operation.
        code: u8,
        /// Its offset in its pickle.
        at: usize,
    },
    /// A function that Python would call.
    #[error(
        "it calls `{}.{}` where it is loaded with Python, which no network needs; nothing of it was run. Don't load this \
         file elsewhere unless with `weights_only=True`, which refuses it too",
        Shown(module),
        Shown(name)
    )]
    Call {
        /// The function's module.
        module: String,
        /// The function.
        name: String,
    },
    /// The pickle is invalid.
    #[error("the pickle is broken: {0}")]
    Broken(&'static str),
    /// An unsupported machine or element type.
    #[error("{} is not supported", Shown(.0))]
    Unsupported(String),
    /// A tensor exceeds its storage, or the storage is missing.
    #[error("tensor `{}` reaches beyond its storage `{}`", Shown(tensor), Shown(storage))]
    Outside {
        /// Its name.
        tensor: String,
        /// Its storage.
        storage: String,
    },
    /// More than any checkpoint has.
    #[error("more than {limit} {what}: not a checkpoint of a network")]
    Excessive {
        /// Of what.
        what: &'static str,
        /// The most.
        limit: usize,
    },
    /// Tensors, but in lists.
    #[error(
        "{}; save a state dict, as in torch.save(model.state_dict(), …)",
        if *.0 == 1 {
            "its tensor has no name, as it is in a list".to_owned()
        } else {
            format!("its {0} tensors have no names, as they are in lists", .0)
        }
    )]
    Unnamed(usize),
    /// A single tensor.
    #[error("it holds a single tensor, without a name; save a state dict, as in torch.save(model.state_dict(), …)")]
    Single,
    /// Possibly a whole model object.
    #[error("no tensors in it; save a state dict, as in torch.save(model.state_dict(), …)")]
    Empty,
}

impl From<ZipError> for PthError {
    fn from(error: ZipError) -> PthError {
        PthError::Zip(match error {
            ZipError::Io(_) => "it ends within its list of records",
            ZipError::InvalidArchive(_) | ZipError::FileNotFound => "its list of records can't be read",
            _ => "its list of records is of a kind that torch.save doesn't write",
        })
    }
}

impl PthError {
    /// What to do, if the message doesn't say it.
    pub(crate) fn cure(&self) -> Option<&'static str> {
        const AGAIN: &str = "copy or download the file again and check the result; if PyTorch reads it, save its tensors again: \
                             `torch.save(model.state_dict(), …)`";
        const ELSEWHERE: &str =
            "load it with PyTorch where it was made, and save its tensors again: `torch.save(model.state_dict(), …)`";
        match self {
            PthError::Operation { .. } | PthError::Broken(_) | PthError::Outside { .. } => Some(AGAIN),
            PthError::Unsupported(_) | PthError::Excessive { .. } => Some(ELSEWHERE),
            PthError::Call { .. } => Some("take the network's weights from a source that you trust"),
            PthError::NotTorch
            | PthError::Protocol0
            | PthError::Zip(_)
            | PthError::Damaged { .. }
            | PthError::Compressed(_)
            | PthError::Archive { .. }
            | PthError::Script
            | PthError::Truncated(_)
            | PthError::Unnamed(_)
            | PthError::Single
            | PthError::Empty => None,
        }
    }
}
