//! What can go wrong in the store.
//!
//! A damaged or missing object is no failure of the store but an answer: the caller treats it as a miss and makes the
//! artifact again. Everything else is about the file system, and names the file.

use std::io;
use std::path::{Path, PathBuf};

use super::answer::{is_lack_of_room, is_refusal};
use super::tree::WalkError;
use crate::digest::{ArtifactDigest, FileDigest};

/// Why the store couldn't do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("failed to {action} `{}`", path.display())]
    Io {
        /// What was tried: a verb that fits before the path.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The cache was made by a newer program.
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
    /// The folder is somebody else's or on a read-only file system.
    #[error(
        "the cache `{}` can't be written to, and a run keeps its results there: make it writable, or name another folder \
         with --cache",
        path.display()
    )]
    ReadOnly {
        /// The cache folder.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The file system has no locks, and a run can't do without.
    #[error(
        "the file system of `{}` has no locks, and without them two runs would disturb each other: name a folder on another \
         file system with --cache",
        path.display()
    )]
    NoLocks {
        /// What was to be locked.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The file system refuses what a run can't do without.
    #[error(
        "a run {needs} in its cache, which the file system of `{}` refuses: name a folder on another file system with --cache",
        path.display()
    )]
    Unfit {
        /// A folder on it.
        path: PathBuf,
        /// What a run does, in words.
        needs: &'static str,
        /// What the system answered.
        source: io::Error,
    },
    /// The folder is no longer there.
    #[error("the cache `{}` was deleted while it was in use", path.display())]
    Gone {
        /// The cache folder.
        path: PathBuf,
    },
    /// The folder holds things that aren't a store's.
    #[error(
        "`{}` is no cache {what}; nothing was written into it: name another folder with --cache, or a new one within it",
        path.display()
    )]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// What shows that.
        what: String,
    },
    /// There is a folder that is none of ours.
    #[error("`{}` is no cache of intrada-run", path.display())]
    NotAStore {
        /// The folder.
        path: PathBuf,
    },
    /// An artifact can't be restored: an object of it isn't in the store.
    #[error("artifact {artifact} is incomplete: object {object} is not in the cache")]
    Missing {
        /// What was asked for.
        artifact: ArtifactDigest,
        /// What of it is missing.
        object: FileDigest,
    },
    /// An artifact can't be restored: an object of it was damaged, and lies in quarantine now.
    #[error("artifact {artifact} is damaged: object {object} no longer has the content it is named after")]
    Damaged {
        /// What was asked for.
        artifact: ArtifactDigest,
        /// What of it was damaged.
        object: FileDigest,
    },
    /// A file was written to while it was being stored, twice in a row.
    #[error("`{}` is changing while it is being stored", path.display())]
    Changing {
        /// Which file.
        path: PathBuf,
    },
    /// A folder can't be stored or compared.
    #[error(transparent)]
    Walk(#[from] WalkError),
}

impl Error {
    /// Does the file system refuse something, rather than fail at it?
    pub fn is_refusal(&self) -> bool {
        matches!(self, Error::Io { source, .. } if is_refusal(source))
    }

    /// Is the file system one that is only read?
    pub(super) fn is_read_only(&self) -> bool {
        matches!(self, Error::Io { source, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem)
    }

    /// Is there no room, on the disk, in a quota or in the table of files?
    pub fn is_lack_of_room(&self) -> bool {
        matches!(self, Error::Io { source, .. } if is_lack_of_room(source))
    }

    /// Is it about something outside of the cache at `root`?
    pub fn is_elsewhere(&self, root: &Path) -> bool {
        match self {
            Error::Io { path, .. } | Error::Walk(WalkError::Unreadable { path, .. } | WalkError::Special { path }) => {
                !path.starts_with(root)
            }
            _ => false,
        }
    }

    /// Does it only mean that the artifact must be made again?
    pub fn is_miss(&self) -> bool {
        matches!(self, Error::Missing { .. } | Error::Damaged { .. })
    }
}

/// Says what was tried on which file when the file system refuses.
pub(super) trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, Error>;

    /// The same of a lock, which some file systems haven't.
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
