//! Which files change, and which folders grow, whenever a stage fails that reads them: it writes there itself, and a watch
//! would run it for ever.
//!
//! Knows neither the flow nor the file system: failures come in with what had changed, and it says what isn't worth a run any
//! more. A person may save a file at the very moment at which a stage fails, but hardly so often in a row. Of a folder to which
//! files of ever new names are added nothing is worth a run: nobody can tell which of them a person has added. But a stage writes only
//! while it runs: what changes long after it has ended is a person's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::flow::NodeId;

/// So many failures in a row with the same file changed are the stage's own doing.
const OFTEN: u32 = 3;

/// So late after the end of a stage nothing is told any more of what it wrote.
const LATE: Duration = Duration::from_secs(3);

/// What stages seem to write of what they read.
#[derive(Default)]
pub struct SelfWrites {
    times: HashMap<NodeId, BTreeMap<PathBuf, u32>>,
    own: HashMap<NodeId, BTreeSet<PathBuf>>,
    /// When a stage last failed so.
    ended: HashMap<NodeId, Instant>,
}

impl SelfWrites {
    /// A stage has failed, and these files that it reads had changed by then, or these folders grown. Those with which it was
    /// once too often.
    pub fn failed(&mut self, node: NodeId, changed: BTreeSet<PathBuf>) -> Vec<PathBuf> {
        let before = self.times.remove(&node).unwrap_or_default();
        let times = changed.into_iter().map(|path| (before.get(&path).map_or(1, |times| times + 1), path));
        let times: BTreeMap<PathBuf, u32> = times.map(|(times, path)| (path, times)).collect();
        let often = times.iter().filter(|(_, times)| **times >= OFTEN).map(|(path, _)| path.clone());
        let often: Vec<PathBuf> = often.filter(|path| !self.is_own_itself(path)).collect();
        self.own.entry(node).or_default().extend(often.iter().cloned());
        self.ended.insert(node, Instant::now());
        self.times.insert(node, times);
        often
    }

    /// A stage has run to its end while nothing that it reads changed: it doesn't write there any more, and what a person does there
    /// is worth a run again.
    pub fn ran(&mut self, node: NodeId) {
        self.times.remove(&node);
        self.own.remove(&node);
    }

    /// Whether a change of this file that is told now is a stage's own doing. `is_running`: whether the stage is at work.
    pub fn is_own(&self, path: &Path, now: Instant, is_running: impl Fn(NodeId) -> bool) -> bool {
        let may_be = |node: &NodeId| {
            let is_late = self.ended.get(node).is_some_and(|ended| now.saturating_duration_since(*ended) > LATE);
            is_running(*node) || !is_late
        };
        let mut writes = self.own.iter().filter(|(node, _)| may_be(node));
        writes.any(|(_, own)| path.ancestors().any(|path| own.contains(path)))
    }

    fn is_own_itself(&self, path: &Path) -> bool {
        self.own.values().any(|own| own.contains(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_own(self_writes: &SelfWrites, path: &str) -> bool {
        self_writes.is_own(Path::new(path), Instant::now(), |_| false)
    }

    #[test]
    fn what_changes_long_after_a_stage_has_ended_is_a_persons() {
        let mut self_writes = SelfWrites::default();
        for _ in 0..OFTEN {
            self_writes.failed(NodeId(0), [PathBuf::from("log")].into());
        }
        let (log, now) = (Path::new("log"), Instant::now());
        assert!(self_writes.is_own(log, now, |_| false));
        assert!(!self_writes.is_own(log, now + 2 * LATE, |_| false));
        assert!(self_writes.is_own(log, now + 2 * LATE, |node| node == NodeId(0)), "it runs again");
    }

    #[test]
    fn only_a_file_that_changes_at_every_failure_in_a_row_is_a_stages_own_doing() {
        let (node, mut self_writes) = (NodeId(0), SelfWrites::default());
        let files = |names: &[&str]| names.iter().map(PathBuf::from).collect::<BTreeSet<_>>();
        assert!(self_writes.failed(node, files(&["log", "edited"])).is_empty());
        assert!(self_writes.failed(NodeId(1), files(&["log"])).is_empty(), "another stage counts by itself");
        assert!(self_writes.failed(node, files(&["log"])).is_empty());
        assert!(!is_own(&self_writes, "log"));
        assert_eq!(self_writes.failed(node, files(&["log", "edited"])), [Path::new("log")]);
        assert!(is_own(&self_writes, "log") && !is_own(&self_writes, "edited"));
        assert!(self_writes.failed(node, files(&["log", "edited"])).is_empty(), "it is told once");
        self_writes.ran(node);
        assert!(self_writes.failed(node, files(&["edited"])).is_empty(), "a success begins the row anew");
        assert!(!is_own(&self_writes, "log"), "and what was its own doing is followed again");
    }

    #[test]
    fn a_folder_that_grows_at_every_failure_is_left_out_with_all_that_is_in_it() {
        let mut self_writes = SelfWrites::default();
        let mut fail = |file: &str| self_writes.failed(NodeId(0), [file, "in"].map(PathBuf::from).into());
        assert!(fail("in/1").is_empty() && fail("in/2").is_empty());
        assert_eq!(fail("in/deep/3"), [Path::new("in")]);
        assert!(is_own(&self_writes, "in/deep/4") && !is_own(&self_writes, "inner"));
    }
}
