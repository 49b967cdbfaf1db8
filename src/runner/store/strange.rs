//! Handles folders, links, pipes and sockets at paths where the store expects a record: moves them out of the way.
//!
//! Knows no record. Anything unexpected at the store's paths is damage, and damage never stops a run: it goes to
//! quarantine, where a person finds it, and the record counts as missing.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::Store;
use super::answer::is_lack_of_room;
use super::error::{At, Error};
use super::later::Durable;
use crate::plain;

/// What is at the path of a record.
pub(super) enum Record {
    Bytes(Vec<u8>),
    Absent,
    /// Not a file. A link counts too: its target may change at any time.
    Strange,
}

impl Record {
    /// The bytes, if there are any.
    pub(super) fn bytes(self) -> Option<Vec<u8>> {
        match self {
            Record::Bytes(bytes) => Some(bytes),
            Record::Absent | Record::Strange => None,
        }
    }
}

/// Reads a record without blocking.
pub(super) fn read(path: &Path) -> io::Result<Record> {
    match path.symlink_metadata() {
        Ok(found) if found.is_file() => match plain::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Record::Absent),
            read => read.map(Record::Bytes),
        },
        Ok(_) => Ok(Record::Strange),
        // With a file in place of its parent folder there is no record.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Record::Absent),
        Err(error) => Err(error),
    }
}

/// Moves `path`, in the store at `root`, to its quarantine, under a name that shows its origin.
pub(super) fn put_away(root: &Path, path: &Path) -> io::Result<()> {
    let folder = root.join("quarantine");
    let folder = if folder == path { root.join("orphans") } else { folder };
    let place = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('/', "-");
    let place = fitting(&place);
    let mut away = folder.join(place);
    for number in 2.. {
        match fs::rename(path, &away) {
            // Another process may have been quicker; what matters is that it is gone.
            Err(error) if error.kind() == ErrorKind::NotFound && path.symlink_metadata().is_err() => return Ok(()),
            // The name is taken by something that can't be replaced.
            Err(error) if is_taken(error.kind()) && away.symlink_metadata().is_ok() => {
                away = folder.join(format!("{place}-{number}"));
            }
            Err(error) if is_lack_of_room(&error) => return plain::remove(path),
            result => return result,
        }
    }
    unreachable!("there are more numbers than names in a folder")
}

/// The names in a folder, in order; none if it is missing.
pub(super) fn names(folder: &Path) -> Result<Vec<OsString>, Error> {
    let entries = match fs::read_dir(folder) {
        // Anything else in place of a folder holds no names.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        entries => entries.at("list", folder)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.at("list", folder)?.file_name());
    }
    names.sort_unstable();
    Ok(names)
}

/// Frees `path` for a folder: anything there but a folder goes to quarantine.
pub(super) fn make_folder(root: &Path, path: &Path) -> io::Result<()> {
    let made = fs::create_dir_all(path);
    // Also a file in place of a parent folder, or a dangling link.
    let in_the_way = |place: &&Path| place.starts_with(root) && place.symlink_metadata().is_ok() && !place.is_dir();
    let strange = made.as_ref().err().and_then(|_| path.ancestors().find(in_the_way));
    match strange {
        Some(strange) if strange != root => put_away(root, strange).and_then(|()| fs::create_dir_all(path)),
        _ => made,
    }
}

/// Shortens a name so that a number can be appended: names have at most 255 bytes.
pub(super) fn fitting(name: &str) -> &str {
    &name[..name.floor_char_boundary(200)]
}

fn is_taken(kind: ErrorKind) -> bool {
    use ErrorKind::{AlreadyExists, DirectoryNotEmpty, IsADirectory, NotADirectory};
    matches!(kind, AlreadyExists | DirectoryNotEmpty | IsADirectory | NotADirectory)
}

impl Store {
    /// Creates the parent folder of a file in the store, and frees its path of anything but a file: the caller is about to
    /// write it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn prepare(&self, path: &Path) -> Result<(), Error> {
        match path.symlink_metadata() {
            Ok(found) if found.is_file() => Ok(()),
            Ok(_) => self.quarantine(path),
            // Its folder may be missing.
            Err(_) => self.ensure_parent(path, Durable::Now),
        }
    }

    /// Moves something damaged out of the way, under a name that shows its origin.
    pub(super) fn quarantine(&self, path: &Path) -> Result<(), Error> {
        if self.only_looks { Ok(()) } else { put_away(&self.root, path).at("quarantine", path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_of_one_name_keeps_its_place_in_quarantine() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let path = store.root().join("pins/a");
        for round in 0..3 {
            fs::create_dir(&path).unwrap();
            fs::write(path.join("file"), round.to_string()).unwrap();
            store.quarantine(&path).unwrap();
            assert!(!path.exists());
        }
        let kept =
            ["pins-a", "pins-a-2", "pins-a-3"].map(|name| store.root().join("quarantine").join(name).join("file"));
        assert_eq!(kept.map(|path| fs::read_to_string(path).unwrap()), ["0", "1", "2"]);
        store.quarantine(&path).unwrap();
    }
}
