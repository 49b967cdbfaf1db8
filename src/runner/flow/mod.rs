//! Invalidation: which stages have to be looked up, run, cut off, blocked or cancelled, as facts come in.
//!
//! Knows no manifest, no store, no process and no clock: facts in, [`Command`]s out, and whoever drives it does the
//! work and reports back. So every law of it is tested without a file or a thread. It takes the graph to be acyclic
//! (`graph` sees to that): the stages of a cycle would wait for each other in silence. It is also the only room that
//! names `dfir_rs`, a young crate whose meaning changes from release to release (docs/decisions/dfir.md).
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
//! The mark wave goes through everything that a change can reach before the settle wave starts. Without it a stage
//! whose inputs lie at unequal distances from the change would get a key from one new and one old input, and a training
//! would start on it. [`Engine::sources`] is the barrier between the two.
//!
//! An edge carries one output of a stage, so a dependent's key sees that part alone: if a stage ran and the part came
//! out as it was, the dependent's key did too, and it settles without work (early cutoff).

mod gate;
mod port;
mod program;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;

use crate::digest::{ArtifactDigest, Key};

use gate::{Event, Gates};
use port::{Port, port};
use program::{Arriving, Program};

/// A source or a stage. Dense from 0, in one numbering: it indexes the engine's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// One digest for each declared output of a stage, in declared order. A source has exactly one.
pub type Outputs = Rc<[ArtifactDigest]>;

/// Output number `output` of `from` is what input slot `slot` of the stage `to` receives. A slot has one edge.
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

/// Computes keys: the flow knows which digests meet in a stage, not what else determines its outputs.
pub trait Keyer {
    /// The key of `stage` for these inputs, in slot order. Called again for the same inputs, it must answer the same.
    fn key(&self, stage: NodeId, inputs: &[ArtifactDigest]) -> Key;
}

/// A job didn't bring forth its outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

/// What the driver is to do, in the order given.
///
/// A stage has at most one request outstanding: a `LookUp` or a `Run` is over with its answer or with a `Cancel`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Look the key up; if the cache has it, put its outputs in place. Answer [`Engine::found`] or [`Engine::absent`].
    LookUp {
        /// The stage whose place is meant.
        stage: NodeId,
        /// What to look up.
        key: Key,
    },
    /// Run the stage and put its outputs in place. Answer [`Engine::done`].
    Run {
        /// The stage.
        stage: NodeId,
        /// The key it was asked for under.
        key: Key,
    },
    /// The outstanding request under this key is no longer wanted: nothing more of it may reach the stage's place.
    Cancel {
        /// The stage.
        stage: NodeId,
        /// The key of the outstanding `LookUp` or `Run`.
        key: Key,
    },
    /// News, no work: the stage has settled. It may be marked and settle again later. Sources settle without a word.
    Settled {
        /// The stage.
        stage: NodeId,
        /// Its key; `None` if it is blocked, for then it has none.
        key: Option<Key>,
        /// In which way.
        how: How,
    },
}

/// How a stage settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// Its outputs lay in place before the engine began.
    UpToDate,
    /// The cache had its outputs.
    Hit,
    /// Its job brought them forth.
    Ran,
    /// It was marked, but the key came out as before, and its outputs still lie in place.
    Unchanged,
    /// Its job failed. Asked for anew as soon as anything upstream is marked: a failure is not an output to be kept.
    Failed,
    /// Something upstream failed.
    Blocked,
}

/// The flow and its ports.
///
/// Declare the graph, say what lies in place, then give the digests of all sources; carry out the commands and report
/// until none is outstanding. Facts are taken in when [`Engine::step`] or [`Engine::sources`] is called, not before.
/// Nothing can be undeclared: for an edited pipeline, build a new engine, which costs microseconds. Not `Send`: the
/// thread that builds it drives it.
///
/// Facts that contradict the declarations (an undeclared node, a slot with two edges, an output that doesn't exist) are
/// the caller's mistake, and the step that takes them in panics with the node's number.
pub struct Engine {
    events: Port<Event>,
    edges: Port<Edge>,
    placed: Port<(NodeId, Key, Outputs)>,
    gates: Rc<RefCell<Gates>>,
    commands: Rc<RefCell<Vec<Command>>>,
    program: Program,
}

impl Engine {
    /// An engine without nodes.
    pub fn new(keyer: Rc<dyn Keyer>) -> Engine {
        let (events, events_arriving) = port();
        let (edges, edges_arriving) = port();
        let (placed, placed_arriving) = port();
        let gates = Rc::new(RefCell::new(Gates::new(keyer)));
        let commands = Rc::default();
        let arriving = Arriving { events: events_arriving, edges: edges_arriving, placed: placed_arriving };
        let program = program::build(arriving, Rc::clone(&gates), Rc::clone(&commands));
        Engine { events, edges, placed, gates, commands, program }
    }

    /// Declares a source. It is unsettled until [`Engine::sources`] names its digest.
    pub fn declare_source(&mut self, source: NodeId) {
        self.events.send(Event::DeclareSource(source));
    }

    /// Declares a stage with `slots` inputs, each to be filled by one [`Engine::edge`]. A stage without inputs has its
    /// key at the next step.
    pub fn declare_stage(&mut self, stage: NodeId, slots: u32) {
        self.events.send(Event::DeclareStage(stage, slots));
    }

    /// Declares an edge between two declared nodes.
    pub fn edge(&mut self, edge: Edge) {
        self.edges.send(edge);
    }

    /// The outputs of this key already lie in the stage's place, intact: if the key comes out the same the stage is up
    /// to date without a look-up.
    ///
    /// To be said at most once a stage and before its inputs are known; from then on the engine knows from its own
    /// commands and their answers what lies there, and heeds the fact only as long as it has commanded nothing.
    pub fn placed(&mut self, stage: NodeId, key: Key, outputs: Outputs) {
        self.placed.send((stage, key, outputs));
    }

    /// These sources have, perhaps newly, these digests: marks all they reach, then settles what can be settled.
    ///
    /// Answers that came in before are taken in first. A digest that is the same as before is allowed, and has stages
    /// below that failed tried again.
    ///
    /// # Panics
    /// If one source is named twice in a call.
    pub fn sources(&mut self, digests: &[(NodeId, ArtifactDigest)]) -> Vec<Command> {
        let mut commands = self.step();
        for &(source, _) in digests {
            self.events.send(Event::MarkSource(source));
        }
        commands.extend(self.step());
        for &(source, digest) in digests {
            self.events.send(Event::Digest(source, digest));
        }
        commands.extend(self.step());
        commands
    }

    /// Answers a `LookUp`: the cache had the key, and its outputs now lie in place. Dropped if cancelled meanwhile.
    pub fn found(&mut self, stage: NodeId, key: Key, outputs: Outputs) {
        self.events.send(Event::Found(stage, key, outputs));
    }

    /// Answers a `LookUp`: the cache doesn't have the key, or couldn't restore it. Dropped if cancelled meanwhile.
    pub fn absent(&mut self, stage: NodeId, key: Key) {
        self.events.send(Event::Absent(stage, key));
    }

    /// Answers a `Run`: the outputs now lie in place, or the job failed. Dropped if cancelled meanwhile.
    ///
    /// A job that was cancelled and couldn't be stopped may still be reported, but not after the same key was commanded
    /// to `Run` anew: the engine couldn't tell the two jobs apart.
    pub fn done(&mut self, stage: NodeId, key: Key, result: Result<Outputs, Failed>) {
        self.events.send(Event::Done(stage, key, result));
    }

    /// Takes in all facts, to quiescence, and returns what follows from them.
    pub fn step(&mut self) -> Vec<Command> {
        (self.program)();
        self.commands.take()
    }

    /// Whether a request of this stage is outstanding that may turn out to be in vain: something upstream was marked and hasn't
    /// settled yet.
    pub fn is_in_doubt(&self, stage: NodeId) -> bool {
        self.gates.borrow().is_in_doubt(stage)
    }

    /// The nodes, in order, that have not settled. Empty once no request is outstanding and every source has a digest;
    /// if it isn't then, the graph that was declared has a cycle or a slot without an edge.
    pub fn unsettled(&self) -> Vec<NodeId> {
        self.gates.borrow().unsettled().collect()
    }
}
