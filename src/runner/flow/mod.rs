//! Invalidation: which stages have to be looked up, run, cut off, blocked or cancelled, as facts arrive.
//!
//! Knows no manifest, no store, no process and no clock: facts go in, [`Command`]s come out; the driver does the work and
//! reports back. So every law is tested without a file or a thread. It assumes an acyclic graph (`graph` ensures that): the
//! stages of a cycle would silently wait for each other. It is also the only room that names `dfir_rs`, a young crate whose
//! semantics change from release to release (docs/decisions/dfir.md).
//!
//! # Two waves
//!
//! ```text
//! sources changed                                           found · absent · done
//!       │                                                            │
//!       ▼    ┌────────────◀── one tick a hop ◀───────────┐           ▼
//!   ┌────────┴───┐  dirty   ┌─────────────┐              │  ┌─────────────────┐
//!   │    gate    ├─────────▶│   ⋈ edges   ├─ mark wave ──┘  │      gate       │
//!   └────────────┘          └─────────────┘                 └─┬────────────┬──┘
//!                                                     key     │            │ settled
//!                       up to date  ┌──────────┐◀─────────────┘            ▼
//!                      ┌────────────┤ ⋈ placed │                    ┌─────────────┐
//!                      │            │ ▷ placed ├─▶ LookUp           │   ⋈ edges   ├─▶ settle wave, back into the gate
//!                      │            └──────────┘                    └─────────────┘
//!                      └──────────────────────────────────────────────────▲
//! ```
//!
//! The mark wave visits everything that a change can reach before the settle wave starts. Without it a stage whose inputs
//! are at unequal distances from the change would get a key from one new and one old input, and a training would start on
//! it. [`Engine::sources`] is the barrier between the two.
//!
//! An edge carries one output of a stage, so a dependent's key depends on that output alone: if a stage ran and the output
//! is unchanged, so is the dependent's key, and it settles without work (early cutoff).

mod gate;
mod port;
mod program;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;

use crate::digest::{ArtifactDigest, Key};

use gate::{Fact, Gates};
use port::{Port, port};
use program::{Arriving, Program};

/// A source or a stage. Dense from 0, in one numbering: it indexes the engine's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// One digest for each declared output of a stage, in declared order. A source has exactly one.
pub type Outputs = Rc<[ArtifactDigest]>;

/// Output number `output` of `from` fills input slot `slot` of the stage `to`. A slot has one edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// A source (then `output` is 0) or a stage.
    pub from: NodeId,
    /// Counts the outputs of `from`.
    pub output: u32,
    /// A stage.
    pub to: NodeId,
    /// Counts the input slots of `to`.
    pub slot: u32,
}

/// Computes keys: the flow knows a stage's input digests, not what else determines its outputs.
pub trait Keyer {
    /// The key of `stage` for these inputs, in slot order. Must be deterministic.
    fn key(&self, stage: NodeId, inputs: &[ArtifactDigest]) -> Key;
}

/// A job that didn't produce its outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

/// An instruction for the driver, to be executed in order.
///
/// A stage has at most one outstanding request: a `LookUp` or a `Run` ends with its answer or with a `Cancel`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Look the key up; if the cache has it, put its outputs in place. Answer [`Engine::found`] or [`Engine::absent`].
    LookUp {
        /// The stage.
        stage: NodeId,
        /// The key to look up.
        key: Key,
    },
    /// Run the stage and put its outputs in place. Answer [`Engine::done`].
    Run {
        /// The stage.
        stage: NodeId,
        /// The key for which it was requested.
        key: Key,
    },
    /// The outstanding request under this key is no longer wanted: nothing more of it may reach the stage's place.
    Cancel {
        /// The stage.
        stage: NodeId,
        /// The key of the outstanding `LookUp` or `Run`.
        key: Key,
    },
    /// Information only: the stage has settled. It may be marked and settle again later. Sources settle silently.
    Settled {
        /// The stage.
        stage: NodeId,
        /// Its key; `None` if it is blocked.
        key: Option<Key>,
        /// How it settled.
        how: How,
    },
}

/// How a stage settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// Its outputs were in place before the engine started.
    UpToDate,
    /// The cache had its outputs.
    Hit,
    /// Its job produced them.
    Ran,
    /// It was marked, but its key is unchanged, and its outputs are still in place.
    Unchanged,
    /// Its job failed. Requested again as soon as anything upstream is marked: failures are not kept.
    Failed,
    /// Something upstream failed.
    Blocked,
}

/// The flow and its ports.
///
/// Declare the graph, declare which outputs are in place, then give the digests of all sources; execute the commands and
/// report until none is outstanding. Facts are processed when [`Engine::step`] or [`Engine::sources`] is called, not
/// before. Nothing can be undeclared: for an edited pipeline, build a new engine, which costs microseconds. Not `Send`: it
/// stays on its thread.
///
/// Facts that contradict the declarations (an undeclared node, a slot with two edges, an output that doesn't exist) are
/// bugs of the caller, and the step that processes them panics with the node's number.
pub struct Engine {
    facts: Port<Fact>,
    edges: Port<Edge>,
    placed: Port<(NodeId, Key, Outputs)>,
    gates: Rc<RefCell<Gates>>,
    commands: Rc<RefCell<Vec<Command>>>,
    program: Program,
}

impl Engine {
    /// An engine without nodes.
    pub fn new(keyer: Rc<dyn Keyer>) -> Engine {
        let (facts, facts_arriving) = port();
        let (edges, edges_arriving) = port();
        let (placed, placed_arriving) = port();
        let gates = Rc::new(RefCell::new(Gates::new(keyer)));
        let commands = Rc::default();
        let arriving = Arriving { facts: facts_arriving, edges: edges_arriving, placed: placed_arriving };
        let program = program::build(arriving, Rc::clone(&gates), Rc::clone(&commands));
        Engine { facts, edges, placed, gates, commands, program }
    }

    /// Declares a source. It is unsettled until [`Engine::sources`] gives its digest.
    pub fn declare_source(&mut self, source: NodeId) {
        self.facts.send(Fact::DeclareSource(source));
    }

    /// Declares a stage with `slots` inputs, each filled by one [`Engine::edge`]. A stage without inputs has its key at the
    /// next step.
    pub fn declare_stage(&mut self, stage: NodeId, slots: u32) {
        self.facts.send(Fact::DeclareStage(stage, slots));
    }

    /// Declares an edge between two declared nodes.
    pub fn edge(&mut self, edge: Edge) {
        self.edges.send(edge);
    }

    /// Declares that the outputs of this key are already in the stage's place, intact: if the key is the same the stage is
    /// up to date without a look-up.
    ///
    /// To be declared at most once per stage and before its inputs are known; from then on the engine knows the place from
    /// its own commands and their answers, and ignores this fact once it has issued a command.
    pub fn placed(&mut self, stage: NodeId, key: Key, outputs: Outputs) {
        self.placed.send((stage, key, outputs));
    }

    /// Sets the digests of these sources: marks everything that they reach, then settles what can be settled.
    ///
    /// Earlier answers are processed first. An unchanged digest is allowed; it makes failed dependents retry.
    ///
    /// # Panics
    /// If one source is named twice in a call.
    pub fn sources(&mut self, digests: &[(NodeId, ArtifactDigest)]) -> Vec<Command> {
        let mut commands = self.step();
        for &(source, _) in digests {
            self.facts.send(Fact::MarkSource(source));
        }
        commands.extend(self.step());
        for &(source, digest) in digests {
            self.facts.send(Fact::Digest(source, digest));
        }
        commands.extend(self.step());
        commands
    }

    /// Answers a `LookUp`: the cache had the key, and its outputs are now in place. Dropped if cancelled meanwhile.
    pub fn found(&mut self, stage: NodeId, key: Key, outputs: Outputs) {
        self.facts.send(Fact::Found(stage, key, outputs));
    }

    /// Answers a `LookUp`: the cache doesn't have the key, or couldn't restore it. Dropped if cancelled meanwhile.
    pub fn absent(&mut self, stage: NodeId, key: Key) {
        self.facts.send(Fact::Absent(stage, key));
    }

    /// Answers a `Run`: the outputs are now in place, or the job failed. Dropped if cancelled meanwhile.
    ///
    /// A cancelled job that couldn't be stopped may still be reported, but not after another `Run` of the same key: the
    /// engine couldn't tell the two jobs apart.
    pub fn done(&mut self, stage: NodeId, key: Key, result: Result<Outputs, Failed>) {
        self.facts.send(Fact::Done(stage, key, result));
    }

    /// Processes all facts until nothing more follows, and returns the commands.
    pub fn step(&mut self) -> Vec<Command> {
        (self.program)();
        self.commands.take()
    }

    /// Whether a request of this stage is outstanding that may be in vain: something upstream was marked and hasn't settled
    /// yet.
    pub fn is_in_doubt(&self, stage: NodeId) -> bool {
        self.gates.borrow().is_in_doubt(stage)
    }

    /// The nodes, in order, that have not settled. Empty once no request is outstanding and every source has a digest;
    /// otherwise the declared graph has a cycle or a slot without an edge.
    pub fn unsettled(&self) -> Vec<NodeId> {
        self.gates.borrow().unsettled().collect()
    }
}
