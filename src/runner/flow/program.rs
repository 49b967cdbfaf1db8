//! The dataflow program: the relations of this room and their joins. One tick is one hop along the edges.
//!
//! Knows no state of a stage: the gate does. Every operator here passes on only what is new. The textbook's
//! `join::<'static>` and `fold_keyed` would repeat their whole state in every tick, which makes a chain of stages
//! quadratic; `join_multiset_half` and `anti_join` store one side and probe it with the other. A loop must go through
//! `defer_tick`, as this release has no fixpoint inside a tick.

use std::cell::RefCell;
use std::rc::Rc;

use dfir_rs::dfir_syntax;

use super::gate::{Fact, Gates, Verdict};
use super::port::Arrivals;
use super::{Command, Edge, How, NodeId, Outputs};
use crate::digest::{ArtifactDigest, Key};

/// Runs the flow until all facts are processed. The flow's own type can't be named.
pub(super) type Program = Box<dyn FnMut()>;

/// The receiving ends of the engine's ports.
pub(super) struct Arriving {
    pub(super) facts: Arrivals<Fact>,
    pub(super) edges: Arrivals<Edge>,
    pub(super) placed: Arrivals<(NodeId, Key, Outputs)>,
}

/// The key to look up for a stage, and whether anything was written to its place since the engine started. The facts about
/// placed outputs say `false`, so that a stage with an earlier request never matches one: a fact can't be removed from a
/// join, but it can be made unreachable.
type Wanted = (NodeId, Key, bool);

/// The program over these ports. It appends its conclusions to `commands`.
pub(super) fn build(arriving: Arriving, gates: Rc<RefCell<Gates>>, commands: Rc<RefCell<Vec<Command>>>) -> Program {
    let Arriving { facts, edges, placed } = arriving;
    let (told, up_to_date, looked_up) = (Rc::clone(&commands), Rc::clone(&commands), commands);
    let mut flow = dfir_syntax! {
        edge = source_stream(edges) -> map(|edge: Edge| (edge.from, edge)) -> tee();
        place = source_stream(placed)
            -> map(|(stage, key, outputs): (NodeId, Key, Outputs)| ((stage, key, false), outputs))
            -> tee();

        // The gate: collects a stage's inputs and returns the consequences.
        fact = union();
        source_stream(facts) -> fact;
        verdict = fact
            -> map(|fact: Fact| gates.borrow_mut().step(fact))
            -> flatten()
            -> demux_enum::<Verdict>();
        verdict[Tell] -> for_each(|(command,): (Command,)| told.borrow_mut().push(command));

        // The mark wave.
        verdict[Dirty] -> map(|(node,): (NodeId,)| (node, ())) -> [probe]mark;
        edge -> [build]mark;
        mark = join_multiset_half::<'static, 'tick>()
            -> map(|(_, ((), edge)): (NodeId, ((), Edge))| Fact::Mark(edge.to, edge.slot))
            -> defer_tick()
            -> fact;

        // Joins a new key with what is in place: up to date, or to be looked up.
        wanted = verdict[Wanted] -> map(|wanted: Wanted| (wanted, ())) -> tee();
        wanted -> [probe]hit;
        place -> [build]hit;
        hit = join_multiset_half::<'static, 'tick>()
            -> map(|((stage, key, _), ((), outputs)): (Wanted, ((), Outputs))| (stage, key, outputs))
            -> tee();
        hit -> for_each(|(stage, key, _): (NodeId, Key, Outputs)| {
            up_to_date.borrow_mut().push(Command::Settled { stage, key: Some(key), how: How::UpToDate })
        });
        hit -> map(|(stage, key, outputs)| Fact::UpToDate(stage, key, outputs)) -> defer_tick() -> fact;

        wanted -> [pos]miss;
        place -> map(|(place, _): (Wanted, Outputs)| place) -> [neg]miss;
        miss = anti_join::<'tick, 'static>()
            -> for_each(|((stage, key, _), ()): (Wanted, ())| {
                looked_up.borrow_mut().push(Command::LookUp { stage, key })
            });

        // The settle wave. Up-to-date stages start it without going through the gate first: that would double the ticks of
        // a run without work.
        settled = union();
        hit -> map(|(stage, _, outputs)| (stage, Some(outputs))) -> settled;
        verdict[Settled] -> settled;
        settled -> [probe]settle;
        edge -> [build]settle;
        settle = join_multiset_half::<'static, 'tick>()
            -> map(|(_, (outputs, edge)): (NodeId, (Option<Outputs>, Edge))| {
                let input = outputs.map(|outputs| part(&outputs, edge));
                Fact::Settle(edge.to, edge.slot, input)
            })
            -> defer_tick()
            -> fact;
    };
    Box::new(move || flow.run_available_sync())
}

/// The part of a node's outputs that the edge carries.
fn part(outputs: &Outputs, edge: Edge) -> ArtifactDigest {
    match outputs.get(edge.output as usize) {
        Some(&digest) => digest,
        None => panic!("node {} has no output {}, which its edge carries", edge.from.0, edge.output),
    }
}
