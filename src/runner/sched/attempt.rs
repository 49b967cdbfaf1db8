//! Records under which key a stage was last attempted in a workspace, to find its log while it runs and after a failure;
//! and which of its outputs didn't exist before: after a kill, files there are the attempt's.
//!
//! The record is next to the index; no decision depends on it, so failing to write or read it is no error. The history of
//! the pipeline's runs has the attempt's outcome.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::digest::Key;
use crate::pipeline::Stage;
use crate::plain;

use super::session::Session;

impl Session {
    /// The key of the latest attempt at a stage, if there was one.
    pub fn attempted(&self, stage: &Stage) -> Option<Key> {
        if self.store.is_absent() {
            return None;
        }
        // Earlier versions wrote more lines after it.
        plain::read_to_string(&self.attempt_path(stage)).ok()?.lines().next()?.parse().ok()
    }

    /// The output paths with files of an attempt that failed.
    pub(super) fn unfinished(&self, stage: &Stage) -> BTreeSet<PathBuf> {
        if self.store.is_absent() {
            return BTreeSet::new();
        }
        let noted = plain::read_to_string(&self.attempt_path(stage)).unwrap_or_default();
        let mut lines = noted.lines();
        let key = lines.next().and_then(|line| line.parse::<Key>().ok());
        // The slot is removed when the attempt succeeds.
        if key.is_some_and(|key| self.store.slot(key).path().exists()) {
            lines.next().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default()
        } else {
            BTreeSet::new()
        }
    }

    /// Records the start of an attempt. Keeps the record of an earlier one's files.
    pub(super) fn note_attempt(&self, stage: &Stage, key: Key, unfinished: &BTreeSet<PathBuf>) {
        let path = self.attempt_path(stage);
        let outputs = stage.outputs.iter().map(|output| &output.path);
        let free: Vec<&PathBuf> = outputs.filter(|output| unfinished.contains(*output) || !self.lies(output)).collect();
        let free = serde_json::to_string(&free).unwrap_or_default();
        if self.store.prepare(&path).is_ok() {
            let _ = std::fs::write(&path, format!("{key}\n{free}\n"));
        }
    }

    /// Whether anything exists at an output's path.
    fn lies(&self, output: &Path) -> bool {
        self.pipeline.root.join(output).symlink_metadata().is_ok()
    }
}
