//! Which ready stage starts first: the one with the longest remaining path.
//!
//! Knows durations and the graph, no slots and no keys. Delaying a stage off the critical path costs nothing; delaying one
//! on it delays the whole run. Durations are those of the last runs; a stage that has never run is assumed to take as long
//! as others of its kind.

use std::collections::HashMap;

use crate::graph::StageGraph;
use crate::pipeline::{Stage, StageId};

use super::session::Session;

/// The assumed seconds of a stage if no stage of its kind has ever run. If all are unknown the value doesn't matter: the
/// longest path is then the one with the most stages.
const UNKNOWN: f64 = 1.0;

/// For each stage, by its number: the seconds from its start to the end of its last dependent, direct or indirect.
pub fn remaining(graph: &StageGraph, seconds: &[f64]) -> Vec<f64> {
    let mut remaining = seconds.to_vec();
    for &stage in graph.order().iter().rev() {
        let after = graph.dependents(stage).into_iter().map(|next| remaining[next.index()]);
        remaining[stage.index()] += after.fold(0.0, f64::max);
    }
    remaining
}

/// The expected duration of each stage, by its number, in seconds; none for stages that aren't `needed`.
pub fn expected(session: &Session, needed: impl Iterator<Item = StageId>) -> Vec<f64> {
    let stages = &session.pipeline.stages;
    let recorded: Vec<Option<f64>> = stages
        .iter()
        .map(|stage| session.index.stages.get(&session.record_name(stage)).map(|record| record.seconds))
        .collect();
    let mut kinds: HashMap<&str, Vec<f64>> = HashMap::new();
    for (stage, seconds) in stages.iter().zip(&recorded) {
        kinds.entry(stage.kind.name).or_default().extend(seconds);
    }
    let like = |stage: &Stage| mean(&kinds[stage.kind.name]);
    let all: Vec<f64> = recorded.iter().flatten().copied().collect();
    let otherwise = mean(&all).unwrap_or(UNKNOWN);
    let mut expected = vec![0.0; stages.len()];
    for id in needed {
        let stage = session.pipeline.stage(id);
        expected[id.index()] = recorded[id.index()].or_else(|| like(stage)).unwrap_or(otherwise);
    }
    expected
}

/// The rank of each node: the one with the longest remaining path first, then in the given order. `remaining`: in seconds,
/// none if it doesn't run.
pub fn ranks(remaining: &[Option<f64>]) -> Vec<u32> {
    let mut nodes: Vec<usize> = (0..remaining.len()).collect();
    let seconds = |node: usize| remaining[node].unwrap_or(0.0);
    nodes.sort_by(|a, b| seconds(*b).total_cmp(&seconds(*a)));
    let mut ranks = vec![0; nodes.len()];
    for (rank, node) in (0..).zip(nodes) {
        ranks[node] = rank;
    }
    ranks
}

fn mean(seconds: &[f64]) -> Option<f64> {
    (!seconds.is_empty()).then(|| seconds.iter().sum::<f64>() / seconds.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph;

    /// `a` before `b` before `c`, and `d` on its own.
    fn chain_and_one() -> StageGraph {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.toml");
        let stage = |name: &str, inputs: &str| {
            format!("[stages.{name}]\nkind = \"command\"\nshell = \"x\"\ninputs = [{inputs}]\noutputs = [\"{name}\"]\n")
        };
        let stages = [stage("a", ""), stage("b", "\"a\""), stage("c", "\"b\""), stage("d", "")].concat();
        std::fs::write(&file, format!("format = 1\n{stages}")).unwrap();
        graph::load(&file, &[]).unwrap().1
    }

    #[test]
    fn what_remains_is_the_longest_way_and_not_the_sum_of_all_ways() {
        let graph = chain_and_one();
        assert_eq!(remaining(&graph, &[1.0, 1.0, 1.0, 2.5]), [3.0, 2.0, 1.0, 2.5]);
        assert_eq!(remaining(&graph, &[1.0, 0.0, 0.5, 9.0]), [1.5, 0.5, 0.5, 9.0]);
    }

    #[test]
    fn the_longest_way_starts_first_and_equals_start_as_they_come() {
        assert_eq!(ranks(&[Some(1.0), None, Some(3.5), Some(1.0)]), [1, 3, 0, 2]);
    }
}
