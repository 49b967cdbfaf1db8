//! The dataflow program: the relations of the room and how they are joined. One tick is one hop along the edges.
//!
//! Knows no state of a stage: that is the gate's. Every operator here passes on what is new and nothing else. The
//! textbook's `join::<'static>` and `fold_keyed` would repeat all they hold in every tick, which makes a chain of
//! stages quadratic; `join_multiset_half` and `anti_join` keep one side and are probed by the other. A loop must go
//! through `defer_tick`, as this release has no fixpoint inside a tick.

use std::cell::RefCell;
use std::rc::Rc;

use dfir_rs::dfir_syntax;

use super::gate::{Event, Gates, Verdict};
use super::port::Arrivals;
use super::{Command, Edge, How, NodeId, Outputs};
use crate::digest::{ArtifactDigest, Key};

/// Runs the flow until no fact is left to be taken in. The flow's own type can't be named.
pub(super) type Program = Box<dyn FnMut()>;

/// The receiving ends of the engine's ports.
pub(super) struct Arriving {
    pub(super) events: Arrivals<Event>,
    pub(super) edges: Arrivals<Edge>,
    pub(super) placed: Arrivals<(NodeId, Key, Outputs)>,
}

/// Where a key is looked for, and with it whether anything was written there since the engine began. The facts about
/// what was placed say `false`, so that a stage that has been asked for anything never matches one again: a fact can't
/// be taken back from a join, but it can be made unreachable.
type Wanted = (NodeId, Key, bool);

/// The program over these ports. It appends what it concludes to `commands`.
pub(super) fn build(arriving: Arriving, gates: Rc<RefCell<Gates>>, commands: Rc<RefCell<Vec<Command>>>) -> Program {
    let Arriving { events, edges, placed } = arriving;
    let (told, up_to_date, looked_up) = (Rc::clone(&commands), Rc::clone(&commands), commands);
    let mut flow = dfir_syntax! {
        edge = source_stream(edges) -> map(|edge: Edge| (edge.from, edge)) -> tee();
        place = source_stream(placed)
            -> map(|(stage, key, outputs): (NodeId, Key, Outputs)| ((stage, key, false), outputs))
            -> tee();

        // The gate: a stage's inputs meet, and it says what follows.
        event = union();
        source_stream(events) -> event;
        verdict = event
            -> map(|event: Event| gates.borrow_mut().step(event))
            -> flatten()
            -> demux_enum::<Verdict>();
        verdict[Tell] -> for_each(|(command,): (Command,)| told.borrow_mut().push(command));

        // The mark wave.
        verdict[Dirty] -> map(|(node,): (NodeId,)| (node, ())) -> [probe]mark;
        edge -> [build]mark;
        mark = join_multiset_half::<'static, 'tick>()
            -> map(|(_, ((), edge)): (NodeId, ((), Edge))| Event::Mark(edge.to, edge.slot))
            -> defer_tick()
            -> event;

        // A new key meets what lies in place: up to date, or to be looked up.
        wanted = verdict[Wanted] -> map(|wanted: Wanted| (wanted, ())) -> tee();
        wanted -> [probe]hit;
        place -> [build]hit;
        hit = join_multiset_half::<'static, 'tick>()
            -> map(|((stage, key, _), ((), outputs)): (Wanted, ((), Outputs))| (stage, key, outputs))
            -> tee();
        hit -> for_each(|(stage, key, _): (NodeId, Key, Outputs)| {
            up_to_date.borrow_mut().push(Command::Settled { stage, key: Some(key), how: How::UpToDate })
        });
        hit -> map(|(stage, key, outputs)| Event::UpToDate(stage, key, outputs)) -> defer_tick() -> event;

        wanted -> [pos]miss;
        place -> map(|(place, _): (Wanted, Outputs)| place) -> [neg]miss;
        miss = anti_join::<'tick, 'static>()
            -> for_each(|((stage, key, _), ()): (Wanted, ())| {
                looked_up.borrow_mut().push(Command::LookUp { stage, key })
            });

        // The settle wave. What is up to date sets it off without going through the gate first: that would double the
        // ticks of a run in which nothing is to be done.
        settled = union();
        hit -> map(|(stage, _, outputs)| (stage, Some(outputs))) -> settled;
        verdict[Settled] -> settled;
        settled -> [probe]settle;
        edge -> [build]settle;
        settle = join_multiset_half::<'static, 'tick>()
            -> map(|(_, (outputs, edge)): (NodeId, (Option<Outputs>, Edge))| {
                let input = outputs.map(|outputs| part(&outputs, edge));
                Event::Settle(edge.to, edge.slot, input)
            })
            -> defer_tick()
            -> event;
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
