//! Reporting a failure when the disk is full: the message must not depend on that disk.
//!
//! Knows no stage. A job writes its messages directly into its log, a file. So some space of that file is reserved before
//! the job starts: then its last messages fit even if everything else is full. And whether there is room is checked right
//! after a failure, before partial outputs are removed.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::digest::Key;
use crate::event::full_disk;
use crate::exec::Failure;
use crate::store::{Store, room};

use super::failure::{failed, io_failure};

/// A traceback has a few hundred lines at most.
const RESERVED: u64 = 64 << 10;

/// Prepares the log of a job; `is_followed`: of one that this program waits for until it ends. A resumed training or a further attempt appends to it, after a line `before`; a new run starts
/// a new log.
///
/// # Errors
/// It can't be opened.
pub(super) fn prepare_log(
    store: &Store,
    key: Key,
    resumes: bool,
    before: Option<&str>,
    is_followed: bool,
) -> Result<(PathBuf, Option<Release>), Failure> {
    let path = store.log_path(key);
    store.prepare(&path).map_err(failed)?;
    let goes_on = resumes || before.is_some();
    let mut options = File::options();
    options.create(true).write(true).append(goes_on).truncate(!goes_on);
    let mut log = options.open(&path).map_err(|error| io_failure("write", &path, &error))?;
    // If there is no room for it, the job will report why.
    let _ = before.map(|line| log.write_all(line.as_bytes()));
    reserve(&log);
    Ok((path, is_followed.then_some(Release(log))))
}

/// Reserves space for a job's last messages in its log. Skipped if the file system doesn't support it.
fn reserve(log: &File) {
    #[cfg(target_os = "linux")]
    if let Ok(metadata) = log.metadata() {
        let keep_size = rustix::fs::FallocateFlags::KEEP_SIZE;
        let _ = rustix::fs::fallocate(log, keep_size, metadata.len(), RESERVED);
    }
}

/// Releases the unused part of the reservation when dropped.
pub(super) struct Release(File);

impl Drop for Release {
    fn drop(&mut self) {
        // Setting the current size drops reserved space after it.
        let _ = self.0.metadata().and_then(|found| self.0.set_len(found.len()));
    }
}

/// The failure, with a note if there is no room where the job writes.
pub(super) fn with_room(failure: Failure, store: &Store, root: &Path) -> Failure {
    if matches!(failure, Failure::Cancelled { .. } | Failure::Left(_)) {
        return failure;
    }
    let tmp = std::env::temp_dir();
    let full = room::full(&[("the cache", store.root()), ("the workspace", root), ("TMPDIR", &tmp)]);
    full.iter().fold(failure, |failure, full| failure.with_help(full_disk::describe(full)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn what_is_reserved_is_no_part_of_the_log_and_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = File::create(&path).unwrap();
        reserve(&log);
        log.write_all(b"heard").unwrap();
        assert_eq!(log.metadata().unwrap().len(), 5);
        drop(Release(log));
        let after = std::fs::metadata(&path).unwrap();
        assert_eq!(after.len(), 5);
        assert!(after.blocks() * 512 < RESERVED, "{} blocks", after.blocks());
    }
}
