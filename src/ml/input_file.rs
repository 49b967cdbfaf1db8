//! A file that is to be read, and what it must hold.
//!
//! Whoever hands over a file may have looked at it before, and mean what was in it then. A user can edit it at any moment, and
//! put it back at any other, so what lies there before and after proves nothing. Hence a file is read once, as a whole, and the
//! bytes that are compared are the bytes that are used. Knows no hash function: the caller brings it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// From bytes to their digest.
pub type Hash = fn(&[u8]) -> [u8; 32];

/// A file that is to be read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "PathBuf")]
pub struct InputFile {
    path: PathBuf,
    expected: Option<Expected>,
}

/// The digest of what must be found, and how it is made.
#[derive(Clone, Copy)]
struct Expected {
    digest: [u8; 32],
    hash: Hash,
}

/// The file holds something else than was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} changed: it no longer holds what it held when it was looked at", path.display())]
pub struct Changed {
    /// The file.
    pub path: PathBuf,
}

/// Why a file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refused.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// It is another file by now.
    #[error("{0}")]
    Changed(#[from] Changed),
}

impl InputFile {
    /// A file that is used whatever it holds: nobody but its owner writes to it.
    pub fn new(path: impl Into<PathBuf>) -> InputFile {
        InputFile { path: path.into(), expected: None }
    }

    /// A file that is used only if `hash` of its bytes is `digest`.
    pub fn holding(path: impl Into<PathBuf>, digest: [u8; 32], hash: Hash) -> InputFile {
        InputFile { path: path.into(), expected: Some(Expected { digest, hash }) }
    }

    /// Where it is, for messages and for what doesn't read it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All its bytes, which are those that were expected.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(&self) -> Result<Vec<u8>, ReadError> {
        // Read, not mapped: mapped bytes can change after they were compared, and a mapped file that somebody truncates kills
        // the process instead of failing.
        let bytes = std::fs::read(&self.path).map_err(|source| ReadError::Io { path: self.path.clone(), source })?;
        match self.expected {
            Some(Expected { digest, hash }) if hash(&bytes) != digest => {
                Err(ReadError::Changed(Changed { path: self.path.clone() }))
            }
            _ => Ok(bytes),
        }
    }
}

impl<P: Into<PathBuf>> From<P> for InputFile {
    fn from(path: P) -> InputFile {
        InputFile::new(path)
    }
}

impl PartialEq for Expected {
    fn eq(&self, other: &Expected) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Expected {}

impl fmt::Debug for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Good enough to tell the contents of tests apart.
    pub(crate) fn sum(bytes: &[u8]) -> [u8; 32] {
        let mut digest = [0u8; 32];
        bytes.iter().zip(1u64..).for_each(|(byte, place)| {
            let slot = &mut digest[place as usize % 32];
            *slot = slot.wrapping_mul(31).wrapping_add(*byte);
        });
        digest[0] ^= bytes.len() as u8;
        digest
    }

    /// The file as it is now, and must be when it is read.
    pub(crate) fn as_it_is(path: &Path) -> InputFile {
        InputFile::holding(path, sum(&std::fs::read(path).unwrap()), sum)
    }

    #[test]
    fn a_file_is_given_out_only_while_it_holds_what_was_expected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "one").unwrap();
        let file = as_it_is(&path);
        assert_eq!(file.read().unwrap(), b"one");
        std::fs::write(&path, "two").unwrap();
        assert!(matches!(file.read(), Err(ReadError::Changed(changed)) if changed.path == path));
        assert_eq!(InputFile::new(&path).read().unwrap(), b"two", "nobody expected anything of it");
        std::fs::write(&path, "one").unwrap();
        assert_eq!(file.read().unwrap(), b"one", "what was put back is what it was");
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(file.read(), Err(ReadError::Io { .. })));
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two, link] = ["one", "two", "link"].map(|name| folder.path().join(name));
        std::fs::write(&one, "one").unwrap();
        std::fs::write(&two, "two").unwrap();
        std::os::unix::fs::symlink(&one, &link).unwrap();
        let file = as_it_is(&link);
        assert_eq!(file.read().unwrap(), b"one");
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&two, &link).unwrap();
        assert!(matches!(file.read(), Err(ReadError::Changed(_))));
    }
}
