//! Messages and advice for a full disk: one wording for every error caused by it.
//!
//! Decides nothing. Code that prints an error asks for the help line; a full disk is recognised by the system's error
//! anywhere in the chain of causes.

use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::unwritten::Unwritten;
use crate::measures::size;
use crate::store::Error;
use crate::store::room::{Full, Lack, Space};

/// How to free space, and what happens to the work.
const CURE: &str = "free some space, for instance with `intrada-run cache gc`, which removes old results; then the same \
                    command resumes, and finished work is kept";

/// The advice, if lack of room caused the error.
pub fn help(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(Error::Io { path, source, .. }) = error.downcast_ref() {
            return help_at(Some(path), source);
        }
        if let Some(unwritten) = error.downcast_ref::<Unwritten>() {
            return help_at(Some(&unwritten.path), unwritten.source()?.downcast_ref()?);
        }
        if let Some(answer) = error.downcast_ref() {
            return help_at(None, answer);
        }
        next = error.source();
    }
    None
}

/// The same for the system's error, with the path if known.
pub fn help_at(path: Option<&Path>, answer: &io::Error) -> Option<String> {
    let space = path.and_then(Space::of);
    let place = space.as_ref().map_or(String::new(), |space| format!(" of `{}`", space.mount.display()));
    let free = space.as_ref().map_or(String::new(), |space| format!(" ({} free)", size(space.free)));
    let what = match answer.kind() {
        ErrorKind::StorageFull if space.is_some_and(|space| space.free_files == Some(0)) => {
            format!("the disk{place} has no room for another file (no free inodes)")
        }
        ErrorKind::StorageFull => format!("the disk{place} is full{free}"),
        ErrorKind::QuotaExceeded => format!("the quota on the disk{place} is used up"),
        ErrorKind::FileTooLarge => {
            return Some("the file size limit was reached: `ulimit -f` shows it, in blocks".to_owned());
        }
        _ => return None,
    };
    Some(format!("{what}; {CURE}"))
}

/// The advice as a line below the error's text; empty if it isn't about room.
pub fn help_line(error: &(dyn std::error::Error + 'static)) -> String {
    help(error).map(|help| format!("\nhelp: {help}")).unwrap_or_default()
}

/// States that something failed while there was no room.
pub fn describe(Full { of, free, lacks }: &Full) -> String {
    let free = free.map(|free| format!(" ({} free)", size(free))).unwrap_or_default();
    let cure = if of.contains("cache") {
        CURE
    } else {
        "free some space, and the same command resumes: finished work is kept"
    };
    let what = match lacks {
        Lack::Bytes => format!("the disk of {of} is full{free}"),
        Lack::Files => format!("the disk of {of} has no room for another file (no free inodes)"),
        Lack::Quota => format!("the disk quota of {of} is used up"),
        Lack::Size => return "the file size limit (`ulimit -f`) was reached, which may be the reason".to_owned(),
        Lack::Writing => return format!("the disk of {of} is no longer writable, which may be the reason"),
    };
    format!("{what}, which may be the reason; {cure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_by_what_lies_on_it_with_what_is_free_and_the_way_out() {
        let full = |lacks| Full { of: "the cache and the workspace".into(), free: Some(4096), lacks };
        let text = describe(&full(Lack::Bytes));
        assert!(text.starts_with("the disk of the cache and the workspace is full (4.0 KiB free)"), "{text}");
        assert!(text.contains("cache gc"), "{text}");
        assert!(describe(&full(Lack::Quota)).contains("quota"));
        assert!(describe(&full(Lack::Files)).contains("inodes"));
        assert!(describe(&full(Lack::Size)).contains("ulimit -f"));
    }

    #[test]
    fn whatever_wraps_the_answer_that_there_is_no_room_the_help_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let answer = |kind: ErrorKind| io::Error::from(kind);
        let of = |source| Error::Io { action: "write", path: dir.path().join("deep/file"), source };
        let text = help(&of(answer(ErrorKind::StorageFull))).unwrap();
        assert!(text.contains("is full (") && text.contains(" free)") && text.contains("cache gc"), "{text}");
        assert!(help(&answer(ErrorKind::QuotaExceeded)).unwrap().contains("quota"));
        assert!(help(&of(answer(ErrorKind::FileTooLarge))).unwrap().contains("ulimit -f"));
        let unwritten = Unwritten { path: dir.path().join("page"), source: answer(ErrorKind::StorageFull) };
        assert!(help(&unwritten).unwrap().contains("is full ("));
        assert_eq!(help(&of(answer(ErrorKind::NotFound))), None);
        assert_eq!(help_line(&answer(ErrorKind::NotFound)), "");
    }
}
