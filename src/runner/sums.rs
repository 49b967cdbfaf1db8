//! `SHA256SUMS`: the digests of a folder's files, in the form that `sha256sum --check` reads.
//!
//! Knows no file's meaning. An exported folder has one, because a damaged weight is still a number: nothing else would tell.
//! SHA-256 and not BLAKE3, as Python's standard library and every Unix can check it.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::plain;

/// The name of the file.
pub const FILE: &str = "SHA256SUMS";

/// Why a folder's files can't be trusted.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It isn't what it was.
    #[error("{} was altered or damaged: its SHA-256 is not the one in {FILE}; export or copy the folder again", path.display())]
    Altered {
        /// Which file.
        path: PathBuf,
    },
    /// It can't be read.
    #[error("failed to read {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The line for a file with this name and content.
pub fn line(name: &str, content: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    content.iter().for_each(|part| hasher.update(part));
    // Two spaces: read as binary or as text makes no difference here.
    format!("{}  {name}\n", hex(&hasher.finalize()))
}

/// The content of a file in `folder`, checked against the folder's list if that has it. Older exports have no list.
///
/// # Errors
/// [`Fault`].
pub fn read(folder: &Path, name: &str) -> Result<Vec<u8>, Fault> {
    let unreadable = |path: PathBuf| move |source| Fault::Unreadable { path, source };
    let path = folder.join(name);
    let bytes = plain::read(&path).map_err(unreadable(path.clone()))?;
    let list = folder.join(FILE);
    let lines = match plain::read_to_string(&list) {
        Ok(lines) => lines,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(bytes),
        Err(source) => return Err(Fault::Unreadable { path: list, source }),
    };
    let said = lines.lines().filter_map(|line| line.split_once("  ")).find(|(_, file)| *file == name);
    match said {
        Some((digest, _)) if digest != hex(&Sha256::digest(&bytes)) => Err(Fault::Altered { path }),
        _ => Ok(bytes),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_sha256sum_writes() {
        let line = line("a b.bin", &[b"ab", b"c"]);
        // SHA-256 of "abc" (FIPS 180-2, appendix B.1).
        assert_eq!(line, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a b.bin\n");
    }

    #[test]
    fn a_flipped_bit_is_told_and_a_file_that_is_not_listed_is_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("weights"), b"1234").unwrap();
        assert_eq!(read(dir.path(), "weights").unwrap(), b"1234", "without a list");
        std::fs::write(dir.path().join(FILE), line("weights", &[b"1234"])).unwrap();
        std::fs::write(dir.path().join("notes"), b"mine").unwrap();
        assert_eq!(read(dir.path(), "weights").unwrap(), b"1234");
        assert_eq!(read(dir.path(), "notes").unwrap(), b"mine");
        std::fs::write(dir.path().join("weights"), b"1235").unwrap();
        assert!(matches!(read(dir.path(), "weights"), Err(Fault::Altered { .. })));
        assert!(matches!(read(dir.path(), "absent"), Err(Fault::Unreadable { .. })));
    }
}
