//! Detects stages that write to their own inputs: a file that changes, or a folder that grows, whenever the stage that
//! reads it fails. A watch would re-run such a stage forever.
//!
//! Knows neither the flow nor the file system: it gets failures with the changes, and returns which paths to ignore. A user
//! may save a file just when a stage fails, but hardly this often in a row. A folder to which files of ever new names are
//! added is ignored as a whole: nobody can tell which of them the user added. But a stage writes only while it runs: later
//! changes are the user's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::flow::NodeId;

/// After this many failures in a row with the same file changed, the stage itself writes it.
const OFTEN: u32 = 3;

/// Changes reported this long after the end of a stage are not its own.
const LATE: Duration = Duration::from_secs(3);

/// The inputs that stages seem to write.
#[derive(Default)]
pub struct SelfWrites {
    times: HashMap<NodeId, BTreeMap<PathBuf, u32>>,
    own: HashMap<NodeId, BTreeSet<PathBuf>>,
    /// When a stage last failed like this.
    ended: HashMap<NodeId, Instant>,
}

impl SelfWrites {
    /// A stage has failed, and meanwhile these input files had changed, or these folders grown. Returns those that reached
    /// the limit.
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

    /// A stage has succeeded while no input changed: it doesn't write there any more, and changes start it again.
    pub fn ran(&mut self, node: NodeId) {
        self.times.remove(&node);
        self.own.remove(&node);
    }

    /// Whether a change reported now is a stage's own. `is_running`: whether the stage runs.
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
