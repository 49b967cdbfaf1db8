//! Classifies system errors for a store: the file system doesn't support an operation, or there is no room.
//!
//! Knows no path. Network and foreign file systems refuse operations that a store can do without, such as syncing a folder;
//! this tells such refusals from failures.

use std::io::{self, ErrorKind};

use rustix::io::Errno;

/// Whether the file system doesn't support or permit the operation, rather than failing at it.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    const REFUSALS: [Errno; 9] = [
        Errno::INVAL,
        Errno::NOTSUP,
        Errno::OPNOTSUPP,
        Errno::NOSYS,
        Errno::PERM,
        Errno::ACCESS,
        Errno::BADF,
        Errno::ISDIR,
        Errno::NOLCK,
    ];
    error.raw_os_error().is_some_and(|code| REFUSALS.iter().any(|refusal| refusal.raw_os_error() == code))
}

/// Whether there is no room: on the disk, in a quota, in the inode table, or by a file size limit.
pub(super) fn is_lack_of_room(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}
