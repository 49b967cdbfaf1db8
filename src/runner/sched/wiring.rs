//! Stages, data sets and source paths → the nodes and edges of the flow.
//!
//! Knows the pipeline and doesn't access the file system. A data set or folder that other stages write into is *late*: the
//! flow treats it as a stage, whose "run" is to read the files once its producers are done; all others are sources, known
//! before anything starts.

use std::collections::{BTreeSet, HashMap};

use crate::by_name::Hashing;
use crate::flow::{Edge, Engine, NodeId};
use crate::pipeline::{InputSource, OutputId, Pipeline, StageId};
use crate::plan::sources::Origin;

/// What a node represents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A stage.
    Stage(StageId),
    /// Files, synthetic scenes or a path: its digest is found by reading.
    Source {
        /// The source.
        source: Origin,
        /// Outputs that it needs before it can be read.
        producers: Vec<OutputId>,
    },
}

impl Node {
    /// The stage, if it is one.
    pub fn stage(&self) -> Option<StageId> {
        match self {
            Node::Stage(stage) => Some(*stage),
            Node::Source { .. } => None,
        }
    }
}

/// One input slot of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputSlot {
    /// The role as the stage calls it.
    pub role: String,
    /// Where it comes from.
    pub from: NodeId,
    /// The output's number.
    pub output: u32,
}

/// All nodes that a run needs.
pub struct Wiring {
    nodes: Vec<Node>,
    slots: HashMap<NodeId, Vec<InputSlot>, Hashing>,
    by_stage: HashMap<StageId, NodeId, Hashing>,
    /// For each node, its readers and their slots.
    readers: HashMap<NodeId, Vec<(NodeId, usize)>, Hashing>,
}

impl Wiring {
    /// For the stages `needed`, a set that contains all ancestors of its members.
    pub fn new(pipeline: &Pipeline, needed: &[StageId]) -> Wiring {
        let (slots, by_stage, readers) = Default::default();
        let mut wiring = Wiring { nodes: Vec::new(), slots, by_stage, readers };
        for &stage in needed {
            let node = wiring.add(Node::Stage(stage));
            wiring.by_stage.insert(stage, node);
        }
        let mut origins = HashMap::default();
        for &stage in needed {
            let node = wiring.by_stage[&stage];
            let mut slots = Vec::new();
            for input in &pipeline.stage(stage).inputs {
                let (from, output) = match &input.from {
                    InputSource::Output { output, .. } => (wiring.by_stage[&output.stage], output.output as u32),
                    InputSource::Dataset { dataset, labels } => {
                        let origin = Origin::Dataset { dataset: *dataset, labels: *labels };
                        (wiring.origin(&mut origins, origin, &pipeline.dataset(*dataset).producers), 0)
                    }
                    InputSource::Path { path, producers } => {
                        (wiring.origin(&mut origins, Origin::Path(path.clone()), producers), 0)
                    }
                };
                wiring.readers.entry(from).or_default().push((node, slots.len()));
                slots.push(InputSlot { role: input.role.clone(), from, output });
            }
            wiring.slots.insert(node, slots);
        }
        wiring
    }

    fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(self.nodes.len() as u32 - 1)
    }

    fn origin(
        &mut self,
        known: &mut HashMap<Origin, NodeId, Hashing>,
        origin: Origin,
        producers: &[OutputId],
    ) -> NodeId {
        if let Some(&node) = known.get(&origin) {
            return node;
        }
        let node = self.add(Node::Source { source: origin.clone(), producers: producers.to_vec() });
        let slots = producers.iter().map(|output| InputSlot {
            role: String::new(),
            from: self.by_stage[&output.stage],
            output: output.output as u32,
        });
        let slots = slots.collect();
        self.slots.insert(node, slots);
        known.insert(origin, node);
        node
    }

    /// Declares every node and edge to the engine.
    pub fn declare(&self, engine: &mut Engine) {
        for (node, what) in self.iter() {
            match what {
                Node::Source { producers, .. } if producers.is_empty() => engine.declare_source(node),
                _ => engine.declare_stage(node, self.slots(node).len() as u32),
            }
        }
        for (node, _) in self.iter() {
            for (slot, from) in self.slots(node).iter().enumerate() {
                engine.edge(Edge { from: from.from, output: from.output, to: node, slot: slot as u32 });
            }
        }
    }

    /// Every node with its number.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(i, node)| (NodeId(i as u32), node))
    }

    /// What a node represents.
    pub fn node(&self, node: NodeId) -> &Node {
        &self.nodes[node.0 as usize]
    }

    /// The node of a needed stage.
    pub fn of_stage(&self, stage: StageId) -> NodeId {
        self.by_stage[&stage]
    }

    /// The input slots of a node, in order.
    pub fn slots(&self, node: NodeId) -> &[InputSlot] {
        self.slots.get(&node).map_or(&[], Vec::as_slice)
    }

    /// The nodes that read a node, each with the slot.
    pub fn readers(&self, node: NodeId) -> impl Iterator<Item = (NodeId, usize)> {
        self.readers.get(&node).map_or(&[][..], Vec::as_slice).iter().copied()
    }

    /// The stages that a node reads from directly, including through late sources.
    pub fn producers(&self, node: NodeId) -> BTreeSet<StageId> {
        let mut stages = BTreeSet::new();
        for slot in self.slots(node) {
            match self.node(slot.from) {
                Node::Stage(stage) => drop(stages.insert(*stage)),
                Node::Source { producers, .. } => stages.extend(producers.iter().map(|output| output.stage)),
            }
        }
        stages
    }
}
