//! Under which key a stage was last attempted in a workspace, so that its log is found while it runs and after it failed; and
//! which of its outputs nobody had when that began: what lies there after a kill, the attempt had left.
//!
//! A note beside the index: no decision rests on it, so what can't be written or read is no failure. How an attempt came out is
//! in the history of the pipeline's runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::digest::Key;
use crate::pipeline::Stage;
use crate::plain;

use super::session::Session;

impl Session {
    /// The key of the latest attempt at a stage, if there was one.
    pub fn attempted(&self, stage: &Stage) -> Option<Key> {
        // Earlier versions wrote more below it.
        plain::read_to_string(&self.attempt_path(stage)).ok()?.lines().next()?.parse().ok()
    }

    /// The outputs in whose places lies what an attempt has left that came to nothing.
    pub(super) fn unfinished(&self, stage: &Stage) -> BTreeSet<PathBuf> {
        let noted = plain::read_to_string(&self.attempt_path(stage)).unwrap_or_default();
        let mut lines = noted.lines();
        let key = lines.next().and_then(|line| line.parse::<Key>().ok());
        // The slot goes when the attempt comes to a result.
        if key.is_some_and(|key| self.store.slot(key).path().exists()) {
            lines.next().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default()
        } else {
            BTreeSet::new()
        }
    }

    /// Notes an attempt that begins. What an earlier one has left is still there.
    pub(super) fn note_attempt(&self, stage: &Stage, key: Key, unfinished: &BTreeSet<PathBuf>) {
        let path = self.attempt_path(stage);
        let outputs = stage.outputs.iter().map(|output| &output.path);
        let free: Vec<&PathBuf> = outputs.filter(|output| unfinished.contains(*output) || !self.lies(output)).collect();
        let free = serde_json::to_string(&free).unwrap_or_default();
        if self.store.prepare(&path).is_ok() {
            let _ = std::fs::write(&path, format!("{key}\n{free}\n"));
        }
    }

    /// Whether anything lies in the place of an output.
    fn lies(&self, output: &Path) -> bool {
        self.pipeline.root.join(output).symlink_metadata().is_ok()
    }
}
