//! Errors of the store.
//!
//! A damaged or missing object is not an error but an answer: the caller treats it as a miss and re-computes the artifact.
//! All other errors are about the file system and name the file.

use std::io;
use std::path::{Path, PathBuf};

use super::answer::{is_lack_of_room, is_refusal};
use super::tree::WalkError;
use crate::digest::{ArtifactDigest, FileDigest};

/// Why a store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system returned an error.
    #[error("failed to {action} `{}`", path.display())]
    Io {
        /// The operation: a verb that fits before the path.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A newer program made the cache.
    #[error(
        "the cache `{}` has version {found}, and this program reads up to version {}: use a newer intrada-run, or another \
         folder with --cache",
        path.display(), super::VERSION
    )]
    NewerVersion {
        /// The cache folder.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The folder belongs to somebody else or is on a read-only file system.
    #[error(
        "the cache `{}` is not writable, and a run stores its results there: make it writable, or name another folder \
         with --cache",
        path.display()
    )]
    ReadOnly {
        /// The cache folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file system has no locks, which a run needs.
    #[error(
        "the file system of `{}` has no locks of the kernel: set INTRADA_LOCKS=renewed for the first run with this cache, or \
         name a folder on another file system with --cache",
        path.display()
    )]
    NoLocks {
        /// The file to lock.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The cache has another kind of locks than the environment wants.
    #[error(
        "INTRADA_LOCKS says `{said}`, and all who use the cache have `{noted}`, as `{}` says: unset the variable, or change that \
         file while nothing uses the cache",
        path.display()
    )]
    OtherLocks {
        /// The file with the kind.
        path: PathBuf,
        /// The kind in it.
        noted: &'static str,
        /// The wanted kind.
        said: &'static str,
    },
    /// The environment wants an unknown kind of locks.
    #[error("INTRADA_LOCKS says `{said}`, for the cache `{}`: it can be `kernel` or `renewed`", path.display())]
    NoSuchLocks {
        /// The cache folder.
        path: PathBuf,
        /// The word.
        said: String,
    },
    /// The file system doesn't support a required operation.
    #[error(
        "a run {needs} in its cache, which the file system of `{}` refuses: name a folder on another file system with --cache",
        path.display()
    )]
    Unfit {
        /// A folder on it.
        path: PathBuf,
        /// The operation, in words.
        needs: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// This process was suspended, or its file server didn't answer, and another took over its lock.
    #[error(
        "the lock on the cache `{}` was taken over by another process, as this one was stopped for long: run the command again",
        path.display()
    )]
    Overtaken {
        /// The cache folder.
        path: PathBuf,
    },
    /// The folder no longer exists.
    #[error("the cache `{}` was deleted while it was in use", path.display())]
    Gone {
        /// The cache folder.
        path: PathBuf,
    },
    /// The folder holds other files than a store's.
    #[error(
        "`{}` is no cache {what}; nothing was written to it: name another folder with --cache, or a new one within it",
        path.display()
    )]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// The evidence.
        what: String,
    },
    /// A folder that isn't a cache.
    #[error("`{}` is no cache of intrada-run", path.display())]
    NotAStore {
        /// The folder.
        path: PathBuf,
    },
    /// An artifact can't be restored: an object is missing.
    #[error("artifact {artifact} is incomplete: object {object} is not in the cache")]
    Missing {
        /// The artifact.
        artifact: ArtifactDigest,
        /// The missing object.
        object: FileDigest,
    },
    /// An artifact can't be restored: an object was damaged, and is now in quarantine.
    #[error("artifact {artifact} is damaged: the content of object {object} no longer matches its digest")]
    Damaged {
        /// The artifact.
        artifact: ArtifactDigest,
        /// The damaged object.
        object: FileDigest,
    },
    /// A file was modified while it was being stored, twice in a row.
    #[error("`{}` is changing while it is being stored", path.display())]
    Changing {
        /// The file.
        path: PathBuf,
    },
    /// A folder can't be stored or compared.
    #[error(transparent)]
    Walk(#[from] WalkError),
}

impl Error {
    /// Whether the file system refuses an operation, rather than failing at it.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Error::Io { source, .. } if is_refusal(source))
    }

    /// Whether the file system is read-only.
    pub(super) fn is_read_only(&self) -> bool {
        matches!(self, Error::Io { source, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem)
    }

    /// Whether there is no room, on the disk, in a quota or in the inode table.
    pub fn is_lack_of_room(&self) -> bool {
        matches!(self, Error::Io { source, .. } if is_lack_of_room(source))
    }

    /// Whether the error is about something outside of the cache at `root`.
    pub fn is_elsewhere(&self, root: &Path) -> bool {
        match self {
            Error::Io { path, .. } | Error::Walk(WalkError::Unreadable { path, .. } | WalkError::Special { path }) => {
                !path.starts_with(root)
            }
            _ => false,
        }
    }

    /// Whether re-computing the artifact is all that is needed.
    pub fn is_miss(&self) -> bool {
        matches!(self, Error::Missing { .. } | Error::Damaged { .. })
    }
}

/// Adds the operation and the file to an error of the file system.
pub(super) trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, Error>;

    /// The same for a lock, which some file systems don't support.
    fn locked(self, path: &Path) -> Result<T, Error>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io { action, path: path.to_owned(), source })
    }

    fn locked(self, path: &Path) -> Result<T, Error> {
        self.map_err(|source| {
            if is_refusal(&source) {
                Error::NoLocks { path: path.to_owned(), source }
            } else {
                Error::Io { action: "lock", path: path.to_owned(), source }
            }
        })
    }
}
