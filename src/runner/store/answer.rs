//! What the system's refusals mean to a store: that a file system doesn't do such a thing, or that there is no room.
//!
//! Knows no path. Network and foreign file systems refuse things that a store can do without, such as syncing a folder; those
//! are told apart here from failures.

use std::io::{self, ErrorKind};

use rustix::io::Errno;

/// Whether the file system says that it doesn't do such a thing, or doesn't let anybody do it, rather than that it failed.
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

/// Whether the system says that there is no room: on the disk, in a quota, in the table of files, or by a limit on sizes.
pub(super) fn is_lack_of_room(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}
