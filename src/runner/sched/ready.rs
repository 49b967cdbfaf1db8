//! Ready stages that wait for room, and which starts next.
//!
//! Knows neither running jobs nor free resources. Stages with equal needs form one queue, as none has room if its first
//! hasn't: ten thousand stages that wait for one GPU cost one check, and starting one takes logarithmic time.

use std::collections::BTreeMap;

use crate::digest::Key;
use crate::flow::NodeId;

use super::slots::Need;

/// The waiting stages.
#[derive(Default)]
pub struct Ready {
    /// Each waiting node's rank.
    ranks: Vec<u32>,
    lines: BTreeMap<Need, BTreeMap<u32, (NodeId, Key)>>,
}

impl Ready {
    /// Whether ranks are known. They are computed only once a stage has to wait.
    pub fn is_ranked(&self) -> bool {
        !self.ranks.is_empty()
    }

    /// Sets the ranks: a different number for each node; the smallest starts first.
    pub fn rank(&mut self, ranks: Vec<u32>) {
        self.ranks = ranks;
    }

    /// A stage waits for `need`. Call it after ranking, and once per node until it leaves.
    pub fn push(&mut self, node: NodeId, key: Key, need: Need) {
        self.lines.entry(need).or_default().insert(self.ranks[node.0 as usize], (node, key));
    }

    /// The first that may start and has room. It stays until it is removed.
    pub fn first(
        &self,
        has_room: impl Fn(&Need) -> bool,
        may_start: impl Fn(NodeId, Key) -> bool,
    ) -> Option<(NodeId, Key)> {
        let lines = self.lines.iter().filter(|(need, line)| !line.is_empty() && has_room(need));
        let firsts = lines.filter_map(|(_, line)| line.iter().find(|(_, (node, key))| may_start(*node, *key)));
        firsts.min_by_key(|(rank, _)| **rank).map(|(_, first)| *first)
    }

    /// A node leaves, if it waits.
    pub fn remove(&mut self, node: NodeId) {
        if let Some(rank) = self.ranks.get(node.0 as usize) {
            for line in self.lines.values_mut() {
                line.remove(rank);
            }
        }
    }

    /// All leave.
    pub fn clear(&mut self) {
        self.lines.clear();
    }

    /// Whether a node waits.
    pub fn has(&self, node: NodeId) -> bool {
        let waits = |rank| self.lines.values().any(|line| line.contains_key(rank));
        self.ranks.get(node.0 as usize).is_some_and(waits)
    }

    /// The needs of those that wait and may start if there is room.
    pub fn needs(&self, may_start: impl Fn(NodeId) -> bool) -> impl Iterator<Item = &Need> {
        let has_any = move |line: &BTreeMap<u32, (NodeId, Key)>| line.values().any(|(node, _)| may_start(*node));
        self.lines.iter().filter(move |(_, line)| has_any(line)).map(|(need, _)| need)
    }

    /// Those that wait.
    #[cfg(test)]
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.lines.values().flat_map(BTreeMap::values).map(|(node, _)| *node)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use proptest::prelude::*;

    use super::*;
    use crate::digest::Digest;

    fn need(gpus: usize) -> Need {
        Need { executor: None, threads: 1, gpus, sees_uncounted: true, counted: BTreeMap::new(), jobs: 1 }
    }

    fn key(node: u32) -> Key {
        Key(Digest::of(&node.to_le_bytes()))
    }

    /// Nodes 0, 1, 2, … that need these numbers of GPUs, the last of which starts first.
    fn waiting(gpus: &[usize]) -> Ready {
        let mut ready = Ready::default();
        ready.rank((0..gpus.len() as u32).rev().collect());
        for (node, gpus) in (0..).zip(gpus) {
            ready.push(NodeId(node), key(node), need(*gpus));
        }
        ready
    }

    #[test]
    fn ten_thousand_that_need_the_same_are_asked_about_once() {
        let ready = waiting(&[1; 10_000]);
        let asked = RefCell::new(0);
        let has_room = |_: &Need| {
            *asked.borrow_mut() += 1;
            false
        };
        assert_eq!(ready.first(has_room, |_, _| true), None);
        assert_eq!(*asked.borrow(), 1);
        assert!(ready.has(NodeId(0)));
    }

    #[test]
    fn the_needs_are_those_of_whoever_may_start() {
        let ready = waiting(&[0, 1, 1, 2]);
        let gpus = |may_start: &dyn Fn(u32) -> bool| {
            ready.needs(|node| may_start(node.0)).map(|need| need.gpus).collect::<Vec<_>>()
        };
        assert_eq!(gpus(&|_| true), [0, 1, 2]);
        assert_eq!(gpus(&|node| node == 2), [1]);
        assert!(gpus(&|_| false).is_empty());
    }

    #[test]
    fn a_node_that_has_left_does_not_start() {
        let mut ready = waiting(&[0, 1]);
        ready.remove(NodeId(1));
        ready.remove(NodeId(7));
        assert!(!ready.has(NodeId(1)) && !ready.has(NodeId(7)));
        assert_eq!(ready.first(|_| true, |_, _| true), Some((NodeId(0), key(0))));
        ready.remove(NodeId(0));
        assert_eq!(ready.first(|_| true, |_, _| true), None);
        assert_eq!(ready.nodes().count(), 0);
    }

    proptest! {
        #[test]
        fn whoever_may_start_and_has_room_starts_in_the_order_of_the_ranks(
            stages in prop::collection::vec((0usize..4, any::<bool>()), 0..40),
            free in 0usize..4,
        ) {
            let mut ready = waiting(&stages.iter().map(|(gpus, _)| *gpus).collect::<Vec<_>>());
            let may_start = |node: NodeId, _| stages[node.0 as usize].1;
            let started: Vec<NodeId> = std::iter::from_fn(|| {
                let (node, _) = ready.first(|need| need.gpus <= free, may_start)?;
                ready.remove(node);
                Some(node)
            })
            .collect();
            let starts = |node: &NodeId| stages[node.0 as usize].0 <= free && may_start(*node, key(0));
            let expected: Vec<NodeId> = (0..stages.len() as u32).rev().map(NodeId).filter(starts).collect();
            prop_assert_eq!(ready.nodes().count(), stages.len() - expected.len());
            prop_assert_eq!(started, expected);
        }
    }
}
