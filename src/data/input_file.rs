//! A file to read, and its expected content.
//!
//! The caller may have checked the file earlier and mean its content at that time. A user can edit it at any moment, and
//! revert it, so checks before and after prove nothing. Hence a file is read once, as a whole, and the compared bytes are
//! the ones used. Knows no hash function: the caller passes it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// From bytes to their digest.
pub type Hash = fn(&[u8]) -> [u8; 32];

/// A file to read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "PathBuf")]
pub struct InputFile {
    path: PathBuf,
    expected: Option<Expected>,
}

/// The expected digest, and its hash function.
#[derive(Clone, Copy)]
struct Expected {
    digest: [u8; 32],
    hash: Hash,
}

/// The file's content differs from the expected one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} changed: its content differs from when it was checked", path.display())]
pub struct Changed {
    /// The file.
    pub path: PathBuf,
}

/// Why a file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system returned an error.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Its content has changed.
    #[error("{0}")]
    Changed(#[from] Changed),
}

impl InputFile {
    /// A file that is used whatever its content: only its owner writes to it.
    pub fn new(path: impl Into<PathBuf>) -> InputFile {
        InputFile { path: path.into(), expected: None }
    }

    /// A file that is used only if `hash` of its bytes is `digest`.
    pub fn holding(path: impl Into<PathBuf>, digest: [u8; 32], hash: Hash) -> InputFile {
        InputFile { path: path.into(), expected: Some(Expected { digest, hash }) }
    }

    /// Its path, for messages and for code that doesn't read it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The digest of its expected content; none if it is used whatever that is.
    pub fn content(&self) -> Option<[u8; 32]> {
        self.expected.map(|expected| expected.digest)
    }

    /// All its bytes, checked.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(&self) -> Result<Vec<u8>, ReadError> {
        // Read, not mapped: mapped bytes can change after the comparison, and truncating a mapped file kills the process
        // instead of failing.
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
mod tests {
    use super::*;

    /// Good enough to distinguish the contents of tests.
    fn sum(bytes: &[u8]) -> [u8; 32] {
        let mut digest = [0u8; 32];
        bytes.iter().zip(1u64..).for_each(|(byte, place)| {
            let slot = &mut digest[place as usize % 32];
            *slot = slot.wrapping_mul(31).wrapping_add(*byte);
        });
        digest[0] ^= bytes.len() as u8;
        digest
    }

    /// The file with its current content as the expected one.
    fn as_it_is(path: &Path) -> InputFile {
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
