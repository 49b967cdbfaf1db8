//! The one event file of a stage, in the folder of its views.
//!
//! Knows names and modes, not contents. Its name starts with a later time than any earlier file's, as TensorBoard reads the
//! files of a folder in the order of their names, and never goes back. An earlier file is emptied but its name is kept for
//! a while: TensorBoard stops if the file that it reads disappears. A complete file is read-only: so a file whose run was
//! killed isn't taken for one.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::digest::Digest;
use crate::event::unwritten::Unwritten;
use crate::measures::now;

/// The name prefix of TensorBoard's files.
const PREFIX: &str = "events.out.tfevents.";

/// How long an emptied file is kept. TensorBoard polls every few seconds, unless it is stopped.
const LINGER: Duration = Duration::from_secs(3600);

/// A file that is still written.
#[derive(Debug)]
pub(super) struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Starts a file with these bytes, replacing those in `folder`. `content` identifies its complete content.
    ///
    /// # Errors
    /// It can't be written, or an earlier one can't be emptied.
    pub(super) fn begin(folder: &Path, content: Digest, bytes: &[u8]) -> Result<EventFile, Unwritten> {
        let mut least = 0;
        for (path, name) in files(folder) {
            least = least.max(moment(&name) + 1);
            // Before the next one exists: files behind TensorBoard's position must not change any more.
            empty(&path).map_err(|source| Unwritten { path, source })?;
        }
        let mut file = EventFile::create(folder, content, least)?;
        file.append(bytes)?;
        Ok(file)
    }

    /// A new, empty file, named after the current time, which is at least `least`.
    fn create(folder: &Path, content: Digest, least: u64) -> Result<EventFile, Unwritten> {
        fs::create_dir_all(folder).map_err(|source| Unwritten { path: folder.to_owned(), source })?;
        let mut moment = (now() as u64).max(least);
        loop {
            let path = folder.join(format!("{PREFIX}{moment:010}.{}", name_of(content)));
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => return Ok(EventFile { path, file }),
                // Another run of the same stage, at the same time.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => moment += 1,
                Err(source) => return Err(Unwritten { path, source }),
            }
        }
    }

    /// Adds complete records.
    ///
    /// # Errors
    /// They can't be written. The file may end with a partial record, and must not be continued.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Unwritten> {
        self.file.write_all(bytes).map_err(|source| Unwritten { path: self.path.clone(), source })
    }

    /// Whether it still exists at its path.
    pub(super) fn is_there(&self) -> bool {
        self.path.exists()
    }

    /// Completes the file.
    ///
    /// # Errors
    /// Its mode can't be set.
    pub(super) fn complete(self) -> Result<(), Unwritten> {
        let read_only = Permissions::from_mode(0o444);
        self.file.set_permissions(read_only).map_err(|source| Unwritten { path: self.path, source })
    }
}

/// Whether the file has all events of `content`.
pub(super) fn is_complete(folder: &Path, content: Digest) -> bool {
    let name = name_of(content);
    let is_whole = |path: &Path| path.metadata().is_ok_and(|metadata| metadata.permissions().readonly());
    files(folder).any(|(path, file)| file.ends_with(&name) && is_whole(&path))
}

/// Empties a file, or removes it if it was emptied long ago.
fn empty(path: &Path) -> io::Result<()> {
    let metadata = path.metadata()?;
    let is_left = metadata.len() == 0;
    if is_left && metadata.modified()?.elapsed().is_ok_and(|since| since <= LINGER) {
        return Ok(());
    }
    fs::remove_file(path)?;
    if is_left { Ok(()) } else { File::create_new(path).map(drop) }
}

fn name_of(content: Digest) -> String {
    content.to_string()[..16].to_owned()
}

/// Path and name without the common prefix of each event file in `folder`.
fn files(folder: &Path) -> impl Iterator<Item = (PathBuf, String)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let name = entry.file_name().to_string_lossy().strip_prefix(PREFIX)?.to_owned();
        Some((entry.path(), name))
    })
}

/// When a file was started; 0 if its name has another form.
fn moment(name: &str) -> u64 {
    name.split('.').next().and_then(|moment| moment.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and sizes, in TensorBoard's reading order.
    fn names(folder: &Path) -> Vec<(String, u64)> {
        let mut names: Vec<(String, u64)> =
            files(folder).map(|(path, name)| (name, path.metadata().unwrap().len())).collect();
        names.sort();
        names
    }

    #[test]
    fn each_file_comes_after_those_before_it_of_which_only_the_names_are_left() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        fs::write(dir.path().join(format!("{PREFIX}1.0123")), "of an earlier version").unwrap();
        fs::write(dir.path().join("losses.jsonl"), "of the stage").unwrap();
        for (before, content) in [one, other, one, one].into_iter().enumerate() {
            EventFile::begin(dir.path(), content, b"x").unwrap().complete().unwrap();
            let sizes: Vec<u64> = names(dir.path()).into_iter().map(|(_, size)| size).collect();
            assert_eq!(sizes, [vec![0; before + 1], vec![1]].concat());
        }
        assert!(dir.path().join("losses.jsonl").exists());
    }

    #[test]
    fn a_name_is_not_left_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(format!("{PREFIX}1.0123"));
        let file = File::create(&path).unwrap();
        empty(&path).unwrap();
        assert!(path.exists());
        file.set_modified(std::time::SystemTime::now() - 2 * LINGER).unwrap();
        empty(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_file_is_complete_only_once_it_was_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let (content, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let mut file = EventFile::begin(dir.path(), content, b"be").unwrap();
        file.append(b"gin").unwrap();
        assert!(!is_complete(dir.path(), content));
        file.complete().unwrap();
        assert!(is_complete(dir.path(), content) && !is_complete(dir.path(), other));
        let (name, _) = names(dir.path()).remove(0);
        assert_eq!(fs::read(dir.path().join(format!("{PREFIX}{name}"))).unwrap(), b"begin");
    }

    #[test]
    fn a_folder_that_cannot_be_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let error = EventFile::begin(&dir.path().join("file"), Digest::of(b"x"), b"").unwrap_err().to_string();
        assert!(error.starts_with("failed to write ") && error.contains("file"), "{error}");
    }
}
