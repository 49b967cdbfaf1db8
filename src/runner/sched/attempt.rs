//! Under which key a stage was last attempted in a workspace, so that its log is found while it runs and after it failed.
//!
//! A note beside the index: no decision rests on it, so what can't be written or read is no failure. How an attempt came out is
//! in the history of the pipeline's runs.

use crate::digest::Key;
use crate::plain;
use crate::spec::Stage;

use super::session::Session;

impl Session {
    /// The key of the latest attempt at a stage, if there was one.
    pub fn attempted(&self, stage: &Stage) -> Option<Key> {
        // Earlier versions wrote more below it.
        plain::read_to_string(&self.attempt_path(stage)).ok()?.lines().next()?.parse().ok()
    }

    /// Notes it.
    pub(super) fn note_attempt(&self, stage: &Stage, key: Key) {
        let path = self.attempt_path(stage);
        if self.store.prepare(&path).is_ok() {
            let _ = std::fs::write(&path, format!("{key}\n"));
        }
    }
}
