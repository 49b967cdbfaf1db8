//! What is told of a failure when the disk is full: the reason of it must not travel through that disk.
//!
//! Knows no stage. A job's words go straight into its log, a file. So a little of that file is reserved before the job begins:
//! its last words have a place though everything else is full. And whether there is room is asked right after a failure, before
//! what the job has written so far is taken away.

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

/// Makes the log of a job ready for it to write at its end. That of a resumed training goes on, and so does that of a further attempt, which says so in a line
/// `before` it; a fresh run's begins anew.
///
/// # Errors
/// It can't be opened.
pub(super) fn prepare_log(store: &Store, key: Key, resumes: bool, before: Option<&str>) -> Result<PathBuf, Failure> {
    let path = store.log_path(key);
    store.prepare(&path).map_err(failed)?;
    let goes_on = resumes || before.is_some();
    let mut options = File::options();
    options.create(true).write(true).append(goes_on).truncate(!goes_on);
    let mut log = options.open(&path).map_err(|error| io_failure("write", &path, &error))?;
    // Where there is no room for it, the job will say why.
    let _ = before.map(|line| log.write_all(line.as_bytes()));
    reserve(&log);
    Ok(path)
}

/// Reserves room for what a job is going to say at the end of its log. Where the file system can't, it is done without.
fn reserve(log: &File) {
    #[cfg(target_os = "linux")]
    if let Ok(metadata) = log.metadata() {
        let keep_size = rustix::fs::FallocateFlags::KEEP_SIZE;
        let _ = rustix::fs::fallocate(log, keep_size, metadata.len(), RESERVED);
    }
}

/// Gives back what was reserved of this log and not used, when dropped.
pub(super) struct Release(pub(super) PathBuf);

impl Drop for Release {
    fn drop(&mut self) {
        // Setting the size that it has drops what is reserved behind it.
        let _ = File::options().write(true).open(&self.0).and_then(|log| log.set_len(log.metadata()?.len()));
    }
}

/// The failure, with what there is no room for, if there is none where the job writes.
pub(super) fn with_room(failure: Failure, store: &Store, root: &Path) -> Failure {
    if matches!(failure, Failure::Cancelled { .. }) {
        return failure;
    }
    let tmp = std::env::temp_dir();
    let full = room::full(&[("the cache", store.root()), ("the workspace", root), ("TMPDIR", &tmp)]);
    full.iter().fold(failure, |failure, full| failure.with_help(full_disk::told(full)))
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
        drop(Release(path.clone()));
        let after = std::fs::metadata(&path).unwrap();
        assert_eq!(after.len(), 5);
        assert!(after.blocks() * 512 < RESERVED, "{} blocks", after.blocks());
    }
}
