//! Moves files and folders, also to another file system, where a rename isn't possible.
//!
//! Knows only paths. The files may exist nowhere else, so the copy is synced to the disk before the original is removed.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::plain::remove;

/// Moves the file or folder at `from` to `to`, which must not exist. A link is moved as a link.
///
/// # Errors
/// Errors of the file system, also for a pipe, a socket or a device, which can only be renamed; then `from` is unchanged,
/// and a partial copy is left at `to`.
pub(super) fn carry(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => {
            copy(from, to)?;
            remove(from)
        }
        result => result,
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let found = from.symlink_metadata()?;
    if found.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    if found.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else if found.is_file() {
        fs::copy(from, to)?;
        let times = fs::FileTimes::new().set_modified(found.modified()?);
        let file = File::open(to)?;
        // Keep the owner and times if possible, but don't lose the file over them.
        let _ = file.set_times(times);
        file.sync_all()?;
    } else {
        return Err(io::Error::new(ErrorKind::Unsupported, "it is neither a file nor a folder"));
    }
    fs::set_permissions(to, found.permissions())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A folder on another file system than the temporary files, if the machine has one.
    fn elsewhere() -> Option<tempfile::TempDir> {
        use std::os::unix::fs::MetadataExt;
        let here = fs::metadata(std::env::temp_dir()).ok()?.dev();
        let there = Path::new("/dev/shm");
        let is_other = fs::metadata(there).is_ok_and(|found| found.dev() != here);
        let folder = is_other.then(|| tempfile::tempdir_in(there).ok()).flatten();
        if folder.is_none() {
            eprintln!("skipped: there is no second file system");
        }
        folder
    }

    #[test]
    fn what_is_carried_to_another_file_system_is_there_whole_and_no_longer_here() {
        let Some(far) = elsewhere() else { return };
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("plots");
        fs::create_dir_all(from.join("deep/empty")).unwrap();
        fs::write(from.join("deep/1.txt"), "one").unwrap();
        fs::set_permissions(from.join("deep/1.txt"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("nowhere", from.join("link")).unwrap();
        let written = fs::metadata(from.join("deep/1.txt")).unwrap().modified().unwrap();
        let to = far.path().join("kept");
        carry(&from, &to).unwrap();
        assert!(!from.exists() && to.join("deep/empty").is_dir());
        let file = fs::metadata(to.join("deep/1.txt")).unwrap();
        assert_eq!((file.permissions().mode() & 0o777, file.modified().unwrap()), (0o640, written));
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("nowhere"));
        carry(&to.join("deep/1.txt"), &dir.path().join("1.txt")).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("1.txt")).unwrap(), "one");
    }

    #[test]
    fn what_can_only_be_renamed_stays_where_it_is() {
        let Some(far) = elsewhere() else { return };
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("folder");
        fs::create_dir(&from).unwrap();
        fs::write(from.join("a"), "a").unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(from.join("socket")).unwrap();
        assert!(carry(&from, &far.path().join("kept")).is_err());
        assert_eq!(fs::read_dir(&from).unwrap().count(), 2);
    }
}
