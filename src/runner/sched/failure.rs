//! Turns errors of the store and of the file system into failures of a stage, with advice.
//!
//! Knows no stage.

use std::path::Path;

use crate::event::full_disk;
use crate::exec::{Failure, with_causes};
use crate::store::Error;

/// Advice when a file system doesn't support an operation.
const ELSEWHERE: &str = "`intrada-run doctor` checks what a file system can do; --cache names a folder on another one for the cache; \
     `lsattr` shows whether a single file that resists is immutable";

/// The failure of a stage after a store error.
pub(super) fn failed(error: Error) -> Failure {
    let failure = Failure::new(with_causes(&error));
    let help = match &error {
        Error::Gone { .. } => Some("run again: a new cache is made".to_owned()),
        error if error.is_refusal() => Some(ELSEWHERE.to_owned()),
        error => full_disk::help(error),
    };
    help.into_iter().fold(failure, Failure::with_help)
}

/// The failure of a stage after a file system error: `verb` is the operation and fits before the path.
pub(super) fn io_failure(verb: &str, path: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::new(format!("failed to {verb} {}: {error}", path.display()));
    full_disk::help_at(Some(path), error).into_iter().fold(failure, Failure::with_help)
}
