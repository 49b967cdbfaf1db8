//! Which attempt of a job may write to its resume slot, where several may be running.
//!
//! A batch system can start a job twice: a node that it has given up may still compute, a submission that seemed to fail may
//! have succeeded. Results don't suffer from that, because each attempt has its own folder for outputs. The checkpoints of
//! the slot would: the slower copy would put an older one in the place of a newer one. So an attempt takes the slot by writing
//! its token into a file beside it, and the one before it, which compares before each checkpoint, ends.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::plain;

/// The exit status of an attempt that another one has replaced.
pub const SUPERSEDED: u8 = 76;

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The file that names the attempt that may write.
    pub file: PathBuf,
    /// The name of this one; no other has it.
    pub token: String,
}

impl Attempt {
    /// Takes the right to write from whoever has it. The file is replaced in one step.
    ///
    /// # Errors
    /// It can't be written.
    pub fn take(file: &Path, token: &str) -> io::Result<Attempt> {
        plain::replace(file, token.as_bytes())?;
        Ok(Attempt { file: file.to_owned(), token: token.to_owned() })
    }

    /// Whether this attempt may still write. A file that can't be read for another reason than that it is gone says nothing:
    /// network file systems have moments of weakness.
    pub fn is_current(&self) -> bool {
        match fs::read(&self.file) {
            Ok(token) => token == self.token.as_bytes(),
            Err(error) => error.kind() != ErrorKind::NotFound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attempt_that_came_last_may_write_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key.attempt");
        let first = Attempt::take(&file, "1.0").unwrap();
        assert!(first.is_current());
        let second = Attempt::take(&file, "1.1").unwrap();
        assert!(!first.is_current() && second.is_current());
        fs::remove_file(&file).unwrap();
        assert!(!second.is_current(), "the slot was removed: its result is stored");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
