//! Files with keys: text, a key a line; lines that begin with `#` are for people.
//!
//! A private key is alone in its file, and only its owner can read that.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::{PRIVATE, PrivateKey, PublicKey};
use crate::digest::Digest;
use crate::plain;

/// The largest file that is read: a thousand keys.
const MOST: u64 = 1 << 17;

/// Why a file has no key to use.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It is missing.
    #[error("there is no such file")]
    Missing,
    /// It can't be read.
    #[error("it can't be read: {0}")]
    Io(io::Error),
    /// A private key was expected, and it holds something else.
    #[error("it holds no private key")]
    NotPrivate,
    /// Public keys were expected; the line with this number, from 1, is none.
    #[error("line {0} is no public key")]
    NotPublic(usize),
    /// Public keys were expected, and it holds a private one.
    #[error("it holds a private key, which only its owner may know")]
    Private,
    /// Public keys were expected, and it has none.
    #[error("it holds no public key")]
    Empty,
    /// Others than the owner may read or write it; its mode.
    #[error("others can read or write it: its mode is {0:04o}")]
    Open(u32),
}

/// Creates the file of a new private key, which only its owner can read.
///
/// # Errors
/// Errors of the file system; [`ErrorKind::AlreadyExists`] if anything is there, which stays as it is.
pub fn create(path: &Path) -> io::Result<PublicKey> {
    let key = PrivateKey::random()?;
    let text = format!(
        "# A private key of intrada-run, which signs results. Show it to nobody.\n# Its public key: {}\n{}\n",
        key.public(),
        key.secret_text()
    );
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).inspect_err(|_| {
        // Half a key is none, and would be in the way of the next attempt.
        let _ = fs::remove_file(path);
    })?;
    Ok(key.public())
}

/// The private key of a file.
///
/// # Errors
/// [`KeyFileError`].
pub fn read_private(path: &Path) -> Result<PrivateKey, KeyFileError> {
    let text = read(path)?;
    let [(_, line)] = *Vec::from_iter(lines(&text)) else { return Err(KeyFileError::NotPrivate) };
    let seed = line.strip_prefix(PRIVATE).and_then(|digits| digits.parse::<Digest>().ok());
    let key = PrivateKey::of_seed(seed.ok_or(KeyFileError::NotPrivate)?.as_bytes());
    let mode = fs::metadata(path).map_err(KeyFileError::Io)?.mode() & 0o777;
    if mode & 0o077 == 0 { Ok(key) } else { Err(KeyFileError::Open(mode)) }
}

/// The public keys of a file, at least one.
///
/// # Errors
/// [`KeyFileError`].
pub fn read_public(path: &Path) -> Result<Vec<PublicKey>, KeyFileError> {
    let text = read(path)?;
    let key = |(number, line): (usize, &str)| match line.parse() {
        Ok(key) => Ok(key),
        Err(_) if line.starts_with(PRIVATE) => Err(KeyFileError::Private),
        Err(_) => Err(KeyFileError::NotPublic(number)),
    };
    let keys = lines(&text).map(key).collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() { Err(KeyFileError::Empty) } else { Ok(keys) }
}

fn read(path: &Path) -> Result<String, KeyFileError> {
    match plain::read_at_most(path, MOST) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(KeyFileError::Missing),
        Err(error) => Err(KeyFileError::Io(error)),
    }
}

/// The lines that count, with their numbers from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_new_key_is_its_owner_s_alone_and_never_takes_a_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let public = create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read_private(&path).unwrap().public(), public);
        let text = fs::read(&path).unwrap();
        assert_eq!(create(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), text);
        std::os::unix::fs::symlink("nowhere", dir.path().join("link")).unwrap();
        assert_eq!(create(&dir.path().join("link")).unwrap_err().kind(), ErrorKind::AlreadyExists);
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert!(matches!(read_private(&path), Err(KeyFileError::Open(found)) if found == mode));
        }
    }

    #[test]
    fn a_file_of_public_keys_holds_one_a_line_and_never_a_private_one() {
        let dir = tempfile::tempdir().unwrap();
        let [path, private] = ["team", "private"].map(|name| dir.path().join(name));
        let keys = [1, 2].map(|seed| PrivateKey::of_seed(&[seed; 32]).public());
        fs::write(&path, format!("# anna\n{}\n\n  {}\r\n", keys[0], keys[1])).unwrap();
        assert_eq!(read_public(&path).unwrap(), keys);
        assert!(matches!(read_private(&path), Err(KeyFileError::NotPrivate)));
        create(&private).unwrap();
        assert!(matches!(read_public(&private), Err(KeyFileError::Private)));
        fs::write(&path, format!("{}\n{}\n", keys[0], "ed25519:12")).unwrap();
        assert!(matches!(read_public(&path), Err(KeyFileError::NotPublic(2))));
        fs::write(&path, "# nobody yet\n").unwrap();
        assert!(matches!(read_public(&path), Err(KeyFileError::Empty)));
        assert!(matches!(read_public(&dir.path().join("none")), Err(KeyFileError::Missing)));
    }
}
