//! What is told of a failure when the disk is full: the reason of it must not travel through that disk.
//!
//! Knows no stage. A job's words go straight into its log, a file. So a little of that file is reserved before the job begins:
//! its last words have a place though everything else is full. And whether there is room is asked right after a failure, before
//! what the job has written so far is taken away.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::exec::Failure;
use crate::report::measures::size;
use crate::store::Store;
use crate::store::room::{self, Full, Lack};

/// A traceback has a few hundred lines at most.
const RESERVED: u64 = 64 << 10;

/// Reserves room for what a job is going to say at the end of its log. Where the file system can't, it is done without.
pub(super) fn reserve(log: &File) {
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
    full.iter().fold(failure, |failure, full| failure.with_help(told(full)))
}

fn told(Full { of, free, lacks }: &Full) -> String {
    let free = free.map(|free| format!(" ({} free)", size(free))).unwrap_or_default();
    let gc = if of.contains("cache") { "; `intrada-run cache gc` removes old results" } else { "" };
    match lacks {
        Lack::Bytes => format!("the disk of {of} is full{free}, which may be the reason{gc}"),
        Lack::Files => {
            format!("the disk of {of} has no room for another file (no free inodes), which may be the reason{gc}")
        }
        Lack::Quota => format!("the disk quota of {of} is used up, which may be the reason{gc}"),
        Lack::Size => "files may not grow any larger here (`ulimit -f`), which may be the reason".to_owned(),
        Lack::Writing => format!("the disk of {of} can't be written to any more, which may be the reason"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
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

    #[test]
    fn a_full_disk_is_named_by_what_lies_on_it_with_what_is_free_and_the_way_out() {
        let full = |lacks| Full { of: "the cache and the workspace".into(), free: Some(4096), lacks };
        let text = told(&full(Lack::Bytes));
        assert!(text.starts_with("the disk of the cache and the workspace is full (4.0 KiB free)"), "{text}");
        assert!(text.contains("cache gc"), "{text}");
        assert!(told(&full(Lack::Quota)).contains("quota"));
        assert!(told(&full(Lack::Files)).contains("inodes"));
        assert!(told(&full(Lack::Size)).contains("ulimit -f"));
    }
}
