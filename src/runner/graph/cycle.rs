//! Reports stages that wait for each other in a cycle.
//!
//! There is one message per strongly connected component, with a shortest cycle in it: break that one first; other cycles
//! of the same component may break with it.

use std::collections::{HashMap, VecDeque};

use petgraph::Direction;
use petgraph::algo::kosaraju_scc;
use petgraph::graph::DiGraph;
use petgraph::visit::EdgeRef;

use super::{Edge, node};
use crate::pipeline::{Pipeline, Problem, StageId};

/// Edges shown with their line; the others are listed.
const SHOWN: usize = 2;
/// The maximum number of stages and edges named.
const NAMED: usize = 10;

/// One problem for each component that contains a cycle, in the order of the file.
pub(super) fn problems(pipeline: &Pipeline, graph: &DiGraph<StageId, Edge>) -> Vec<Problem> {
    // Kosaraju's algorithm and not Tarjan's: petgraph's Tarjan recurses.
    let mut first_of_part: Vec<StageId> = kosaraju_scc(graph)
        .into_iter()
        .filter_map(|part| part.iter().map(|node| StageId::at(node.index())).min())
        .filter(|first| !shortest(graph, *first).is_empty())
        .collect();
    first_of_part.sort_unstable();
    first_of_part.into_iter().map(|first| problem(pipeline, &shortest(graph, first))).collect()
}

/// A shortest cycle through a stage, as edges; empty if there is none.
fn shortest(graph: &DiGraph<StageId, Edge>, first: StageId) -> Vec<Edge> {
    let mut came_by: HashMap<StageId, Edge> = HashMap::new();
    let mut queue = VecDeque::from([first]);
    while let Some(stage) = queue.pop_front() {
        for edge in graph.edges_directed(node(stage), Direction::Outgoing) {
            let to = StageId::at(edge.target().index());
            if came_by.contains_key(&to) {
                continue;
            }
            came_by.insert(to, *edge.weight());
            if to == first {
                return unwind(&came_by, first);
            }
            queue.push_back(to);
        }
    }
    Vec::new()
}

fn unwind(came_by: &HashMap<StageId, Edge>, first: StageId) -> Vec<Edge> {
    let mut edges = vec![came_by[&first]];
    while let Some(last) = edges.last().filter(|edge| edge.output.stage != first) {
        edges.push(came_by[&last.output.stage]);
    }
    edges.reverse();
    edges
}

fn problem(pipeline: &Pipeline, circle: &[Edge]) -> Problem {
    let name = |stage: StageId| pipeline.stage(stage).name.as_str();
    let span = |edge: &Edge| pipeline.stage(edge.to).inputs[edge.input].span;
    let reads = |edge: &Edge| {
        let verb = if edge.reads { "reads" } else { "waits for" };
        format!("{} {verb} {}", name(edge.to), name(edge.output.stage))
    };
    if let [edge] = circle {
        return Problem::error(format!("stage `{}` waits for itself", name(edge.to)))
            .at(span(edge), "this is, contains or is inside one of its outputs");
    }
    let mut path: Vec<&str> = circle.iter().map(|edge| name(edge.output.stage)).collect();
    path.push(path[0]);
    if path.len() > NAMED {
        path.splice(NAMED / 2..path.len() - NAMED / 2, ["…"]);
    }
    let mut in_file: Vec<&Edge> = circle.iter().collect();
    in_file.sort_by_key(|edge| span(edge));
    let (shown, rest) = in_file.split_at(SHOWN);
    let mut problem = Problem::error(format!("the stages form a cycle: {}", path.join(" → ")));
    for edge in shown {
        problem = problem.at(span(edge), reads(edge));
    }
    let line = |edge: &&Edge| format!("{} (line {})", reads(edge), pipeline.sources.position(span(edge)).0);
    let mut others: Vec<String> = rest.iter().take(NAMED).map(line).collect();
    if rest.len() > NAMED {
        others.push(format!("and {} more", rest.len() - NAMED));
    }
    if others.is_empty() { problem } else { problem.note(others.join(", ")) }
}
