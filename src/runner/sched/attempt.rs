//! The latest attempt at a stage in a workspace: under which key, and how it failed if it did.
//!
//! A note for people and for `log`, beside the index: no decision rests on it, so what can't be written or read is no failure.
//! The key, and after a failure the moment in seconds since the Unix epoch and the message, a line each.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::digest::Key;
use crate::spec::Stage;

use super::session::Session;

/// An attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// What was to be computed.
    pub key: Key,
    /// How it failed; none while it runs, and after it has ended well or was stopped.
    pub failed: Option<Failed>,
}

/// How an attempt failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    /// When, in seconds since the Unix epoch.
    pub at: f64,
    /// The first line of what was said.
    pub message: String,
}

impl Attempt {
    /// One that begins.
    pub fn new(key: Key) -> Attempt {
        Attempt { key, failed: None }
    }

    /// One that has just failed.
    pub fn failed(key: Key, message: &str) -> Attempt {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let message = message.lines().next().unwrap_or("").to_owned();
        Attempt { key, failed: Some(Failed { at, message }) }
    }

    fn write(&self) -> String {
        let failed = self.failed.as_ref().map(|failed| format!("{}\n{}\n", failed.at, failed.message));
        format!("{}\n{}", self.key, failed.unwrap_or_default())
    }

    fn read(text: &str) -> Option<Attempt> {
        let mut lines = text.lines();
        let key = lines.next()?.parse().ok()?;
        let failed = lines.next().and_then(|at| at.parse().ok()).zip(lines.next());
        Some(Attempt { key, failed: failed.map(|(at, message)| Failed { at, message: message.to_owned() }) })
    }
}

impl Session {
    /// The latest attempt at a stage, if there was one.
    pub fn attempt(&self, stage: &Stage) -> Option<Attempt> {
        Attempt::read(&std::fs::read_to_string(self.attempt_path(stage)).ok()?)
    }

    /// Notes it.
    pub(super) fn note_attempt(&self, stage: &Stage, attempt: &Attempt) {
        let path = self.attempt_path(stage);
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let _ = written.and_then(|()| std::fs::write(&path, attempt.write()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn an_attempt_reads_back_as_it_was_noted() {
        let key = Key(Digest::of(b"key"));
        for attempt in [Attempt::new(key), Attempt::failed(key, "it broke\nbadly"), Attempt::failed(key, "")] {
            assert_eq!(Attempt::read(&attempt.write()).as_ref(), Some(&attempt));
        }
        assert_eq!(Attempt::read(&key.to_string()), Some(Attempt::new(key)), "as earlier versions wrote it");
        assert_eq!(Attempt::read("nonsense"), None);
    }
}
