//! The graph of stages, acyclic once it is built: which stage reads which, and in which order they can run.
//!
//! Knows no keys and no files; an edge is any reason for a stage to wait for another. The only room that names petgraph.
//! Nothing here recurses: a chain of 100,000 stages must not need a deep stack.

mod cycle;
mod draw;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{Dfs, Reversed};

pub use draw::Picture;

use crate::pipeline::{Draft, InputSource, OutputId, Pipeline, Problem, Problems, StageId};

/// Reads a pipeline file and builds its graph.
///
/// # Errors
/// Every mistake of the file and of the arguments, including cycles.
pub fn load(file: &Path, set: &[String]) -> Result<(Pipeline, StageGraph), Problems> {
    load_for(file, set, None)
}

/// The same for a run of all stages on one executor, if the command line names one.
///
/// # Errors
/// Those of [`load`]; also that there is no such executor.
pub fn load_for(file: &Path, set: &[String], executor: Option<&str>) -> Result<(Pipeline, StageGraph), Problems> {
    let draft = Draft::read(file, set, executor)?;
    match draft.pipeline().map(build) {
        Some(Ok(graph)) => Ok((draft.finish()?, graph)),
        Some(Err(cycles)) => Err(draft.refuse(cycles)),
        None => Err(draft.refuse(Vec::new())),
    }
}

/// The stages of a pipeline and what each waits for. Without cycles.
#[derive(Debug)]
pub struct StageGraph {
    /// One node per stage, by its number; an edge from a stage to each that waits for it.
    graph: DiGraph<StageId, Edge>,
    order: Vec<StageId>,
}

/// Why one stage waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The output that is needed.
    pub output: OutputId,
    /// The waiting stage.
    pub to: StageId,
    /// The index of the input in its [`Stage::inputs`](crate::pipeline::Stage::inputs).
    pub input: usize,
    /// Whether the input is the output itself; else it is a data set or folder that contains the output.
    pub reads: bool,
}

/// Builds the graph.
///
/// # Errors
/// One problem for each group of stages that wait for each other in a cycle.
pub fn build(pipeline: &Pipeline) -> Result<StageGraph, Vec<Problem>> {
    let mut graph = DiGraph::with_capacity(pipeline.stages.len(), pipeline.stages.len());
    for stage in pipeline.stage_ids() {
        graph.add_node(stage);
    }
    for stage in pipeline.stage_ids() {
        for edge in edges_into(pipeline, stage) {
            graph.add_edge(node(edge.output.stage), node(stage), edge);
        }
    }
    let order = order(&graph);
    if order.len() < pipeline.stages.len() {
        return Err(cycle::problems(pipeline, &graph));
    }
    Ok(StageGraph { graph, order })
}

fn edges_into(pipeline: &Pipeline, to: StageId) -> impl Iterator<Item = Edge> + '_ {
    pipeline.stage(to).inputs.iter().enumerate().flat_map(move |(input, source)| {
        let (read, waited): (Option<OutputId>, &[OutputId]) = match &source.from {
            InputSource::Output { output, .. } => (Some(*output), &[]),
            InputSource::Dataset { dataset, .. } => (None, &pipeline.dataset(*dataset).producers),
            InputSource::Path { producers, .. } => (None, producers),
        };
        let edge = move |reads| move |output| Edge { output, to, input, reads };
        read.into_iter().map(edge(true)).chain(waited.iter().copied().map(edge(false)))
    })
}

fn node(stage: StageId) -> NodeIndex {
    NodeIndex::new(stage.index())
}

/// Every stage after those it waits for; otherwise in the order of the file. Incomplete if there is a cycle.
fn order(graph: &DiGraph<StageId, Edge>) -> Vec<StageId> {
    let mut waits: Vec<usize> =
        graph.node_indices().map(|node| graph.edges_directed(node, Direction::Incoming).count()).collect();
    let mut ready: BinaryHeap<Reverse<usize>> =
        (0..waits.len()).filter(|stage| waits[*stage] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(waits.len());
    while let Some(Reverse(stage)) = ready.pop() {
        order.push(StageId::at(stage));
        for next in graph.neighbors(NodeIndex::new(stage)) {
            waits[next.index()] -= 1;
            if waits[next.index()] == 0 {
                ready.push(Reverse(next.index()));
            }
        }
    }
    order
}

impl StageGraph {
    /// Every stage after all that it waits for; otherwise in the order of the file.
    pub fn order(&self) -> &[StageId] {
        &self.order
    }

    /// The edges into a stage: what it waits for, in the order of its inputs.
    pub fn into_stage(&self, stage: StageId) -> Vec<Edge> {
        let mut edges: Vec<Edge> =
            self.graph.edges_directed(node(stage), Direction::Incoming).map(|edge| *edge.weight()).collect();
        edges.sort_by_key(|edge| (edge.input, edge.output));
        edges
    }

    /// The stages that wait for this one directly, each once, in the order of the file.
    pub fn dependents(&self, stage: StageId) -> Vec<StageId> {
        self.neighbours(stage, Direction::Outgoing)
    }

    /// The stages that this one waits for directly, each once, in the order of the file.
    pub fn dependencies(&self, stage: StageId) -> Vec<StageId> {
        self.neighbours(stage, Direction::Incoming)
    }

    /// These stages and all that they wait for, directly or indirectly, in [`order`](StageGraph::order).
    pub fn ancestors(&self, stages: &[StageId]) -> Vec<StageId> {
        let upstream = Reversed(&self.graph);
        let mut search = Dfs::empty(upstream);
        let mut wanted = vec![false; self.order.len()];
        for stage in stages {
            search.move_to(node(*stage));
            while let Some(found) = search.next(upstream) {
                wanted[found.index()] = true;
            }
        }
        self.order.iter().copied().filter(|stage| wanted[stage.index()]).collect()
    }

    fn neighbours(&self, stage: StageId, direction: Direction) -> Vec<StageId> {
        let mut stages: Vec<StageId> =
            self.graph.neighbors_directed(node(stage), direction).map(|node| StageId::at(node.index())).collect();
        stages.sort_unstable();
        stages.dedup();
        stages
    }
}

#[cfg(test)]
mod tests;
