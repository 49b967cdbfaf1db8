//! The gate: a small state machine for each node, which collects a stage's inputs; it takes one fact and returns the
//! consequences.
//!
//! Knows no edges, learns outcomes only from facts, and does not know DFIR (the derive only names the branches of
//! [`Verdict`] for it). Plain code instead of operators, because it counts and forgets: an input that becomes dirty again
//! loses its digest, but a dataflow's relations only grow.

use std::mem;
use std::rc::Rc;

use dfir_rs::DemuxEnum;
use smallvec::SmallVec;

use super::{Command, Failed, How, Keyer, NodeId, Outputs};
use crate::digest::{ArtifactDigest, Key};

/// A fact for a gate.
#[derive(Clone, Debug)]
pub(super) enum Fact {
    DeclareSource(NodeId),
    /// With this many slots.
    DeclareStage(NodeId, u32),
    /// The source may have changed.
    MarkSource(NodeId),
    /// The output that fills the slot may have changed.
    Mark(NodeId, u32),
    /// The source, marked before, has this digest.
    Digest(NodeId, ArtifactDigest),
    /// The output that fills the slot has settled, with this digest or, if its stage failed or is blocked, with none.
    Settle(NodeId, u32, Option<ArtifactDigest>),
    /// The outputs of the wanted key were already placed. Its dependents are informed already.
    UpToDate(NodeId, Key, Outputs),
    Found(NodeId, Key, Outputs),
    Absent(NodeId, Key),
    Done(NodeId, Key, Result<Outputs, Failed>),
}

/// The consequence of a fact. The flow sends each variant to another branch.
#[derive(Clone, Debug, PartialEq, Eq, DemuxEnum)]
pub(super) enum Verdict {
    /// Was settled and no longer is: continue the mark wave.
    Dirty { node: NodeId },
    /// Its key is known, and its outputs are not. `touched`: something may have been written to its place since the engine
    /// started, so that the state declared at the start doesn't count any more.
    Wanted { stage: NodeId, key: Key, touched: bool },
    /// Has settled: continue the settle wave. `None`: it failed or is blocked.
    Settled { node: NodeId, outputs: Option<Outputs> },
    /// For the driver.
    Tell { command: Command },
}

/// Most facts give at most two: a settled stage and its news, or a cancellation and a new key.
pub(super) type Verdicts = SmallVec<[Verdict; 2]>;

/// All gates, by node.
pub(super) struct Gates {
    keyer: Rc<dyn Keyer>,
    nodes: Vec<Option<Node>>,
}

enum Node {
    Source { settled: bool },
    Stage(Gate),
}

struct Gate {
    stage: NodeId,
    slots: Vec<InputSlot>,
    /// The number of dirty and of failed slots: the gate must not scan 10,000 slots for each that settles.
    dirty: u32,
    failed: u32,
    state: State,
    /// The outstanding request, also while dirty: if the same key results it must not be requested twice.
    asked: Option<Asked>,
    place: Place,
}

#[derive(Clone, Copy)]
enum InputSlot {
    Dirty,
    Known(ArtifactDigest),
    Failed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits for slots to settle.
    Dirty,
    /// All slots are known; waits for the answer to its request.
    Awaiting,
    /// Outputs are known, or it failed, or it is blocked. A blocked stage may have dirty slots.
    Settled,
}

#[derive(Clone, Copy)]
struct Asked {
    key: Key,
    request: Request,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Request {
    LookUp,
    Run,
}

/// What is known about the place of a stage's outputs.
enum Place {
    /// No request yet: as it was when the engine started.
    Untouched,
    /// The outputs of this key. `news`: how they came there, until the driver is informed.
    Holds { key: Key, outputs: Outputs, news: Option<How> },
    /// A restore or a job may have written there, or cleared it, and didn't finish.
    Unknown,
}

impl Gates {
    pub(super) fn new(keyer: Rc<dyn Keyer>) -> Gates {
        Gates { keyer, nodes: Vec::new() }
    }

    /// Handles one fact.
    pub(super) fn step(&mut self, fact: Fact) -> Verdicts {
        let mut verdicts = Verdicts::new();
        let out = &mut verdicts;
        match fact {
            Fact::DeclareSource(source) => self.declare(source, Node::Source { settled: false }),
            Fact::DeclareStage(stage, slots) => {
                self.declare(stage, Node::Stage(Gate::new(stage, slots)));
                let (gate, keyer) = self.gate(stage);
                gate.fire(keyer, out);
            }
            Fact::MarkSource(source) => {
                if mem::replace(self.source(source), false) {
                    out.push(Verdict::Dirty { node: source });
                }
            }
            Fact::Digest(source, digest) => {
                let settled = mem::replace(self.source(source), true);
                assert!(!settled, "source {} has two digests in one wave", source.0);
                out.push(Verdict::Settled { node: source, outputs: Some(Rc::from([digest])) });
            }
            Fact::Mark(stage, slot) => self.gate(stage).0.mark(slot, out),
            Fact::Settle(stage, slot, input) => {
                let (gate, keyer) = self.gate(stage);
                gate.settle(slot, input);
                gate.fire(keyer, out);
            }
            Fact::UpToDate(stage, key, outputs) => self.gate(stage).0.up_to_date(key, outputs),
            Fact::Found(stage, key, outputs) => self.gate(stage).0.found(key, outputs, out),
            Fact::Absent(stage, key) => self.gate(stage).0.absent(key, out),
            Fact::Done(stage, key, result) => self.gate(stage).0.done(key, result, out),
        }
        verdicts
    }

    /// Whether a request is outstanding for a key that may no longer be right.
    pub(super) fn is_in_doubt(&self, stage: NodeId) -> bool {
        match self.nodes.get(stage.0 as usize) {
            Some(Some(Node::Stage(gate))) => gate.state == State::Dirty && gate.asked.is_some(),
            _ => false,
        }
    }

    /// The nodes that have not settled, in order.
    pub(super) fn unsettled(&self) -> impl Iterator<Item = NodeId> {
        let unsettled = |node: &Option<Node>| match node {
            None => false,
            Some(Node::Source { settled }) => !settled,
            Some(Node::Stage(gate)) => gate.state != State::Settled,
        };
        (0..).zip(&self.nodes).filter(move |(_, node)| unsettled(node)).map(|(id, _)| NodeId(id))
    }

    fn declare(&mut self, id: NodeId, node: Node) {
        let index = id.0 as usize;
        if self.nodes.len() <= index {
            self.nodes.resize_with(index + 1, || None);
        }
        assert!(self.nodes[index].replace(node).is_none(), "node {index} is declared twice");
    }

    fn source(&mut self, id: NodeId) -> &mut bool {
        match self.nodes.get_mut(id.0 as usize) {
            Some(Some(Node::Source { settled })) => settled,
            _ => panic!("node {} is not declared as a source", id.0),
        }
    }

    fn gate(&mut self, id: NodeId) -> (&mut Gate, &dyn Keyer) {
        match self.nodes.get_mut(id.0 as usize) {
            Some(Some(Node::Stage(gate))) => (gate, &*self.keyer),
            _ => panic!("node {} is not declared as a stage", id.0),
        }
    }
}

impl Gate {
    fn new(stage: NodeId, slots: u32) -> Gate {
        Gate {
            stage,
            slots: vec![InputSlot::Dirty; slots as usize],
            dirty: slots,
            failed: 0,
            state: State::Dirty,
            asked: None,
            place: Place::Untouched,
        }
    }

    fn mark(&mut self, slot: u32, out: &mut Verdicts) {
        match mem::replace(&mut self.slots[slot as usize], InputSlot::Dirty) {
            InputSlot::Dirty => {}
            InputSlot::Known(_) => self.dirty += 1,
            InputSlot::Failed => {
                self.dirty += 1;
                self.failed -= 1;
            }
        }
        // Still blocked by another slot, whatever arrives in this one: its dependents are unchanged.
        if self.failed == 0 && mem::replace(&mut self.state, State::Dirty) == State::Settled {
            out.push(Verdict::Dirty { node: self.stage });
        }
    }

    fn settle(&mut self, slot: u32, input: Option<ArtifactDigest>) {
        let settled = input.map_or(InputSlot::Failed, InputSlot::Known);
        let before = mem::replace(&mut self.slots[slot as usize], settled);
        assert!(
            matches!(before, InputSlot::Dirty),
            "slot {slot} of stage {} settled without being marked",
            self.stage.0
        );
        self.dirty -= 1;
        self.failed += u32::from(input.is_none());
    }

    /// Advances as far as the slots allow.
    fn fire(&mut self, keyer: &dyn Keyer, out: &mut Verdicts) {
        if self.state != State::Dirty {
            return;
        }
        if self.failed > 0 {
            self.cancel(out);
            self.settled(None, None, How::Blocked, out);
        } else if self.dirty == 0 {
            let inputs: SmallVec<[ArtifactDigest; 8]> = self.slots.iter().map(InputSlot::known).collect();
            self.want(keyer.key(self.stage, &inputs), out);
        }
    }

    fn want(&mut self, key: Key, out: &mut Verdicts) {
        self.state = State::Awaiting;
        if self.asked.is_some_and(|asked| asked.key == key) {
            return;
        }
        self.cancel(out);
        if matches!(&self.place, Place::Holds { key: held, .. } if *held == key) {
            return self.settle_in_place(out);
        }
        let touched = !matches!(self.place, Place::Untouched);
        self.place = Place::Unknown;
        self.asked = Some(Asked { key, request: Request::LookUp });
        out.push(Verdict::Wanted { stage: self.stage, key, touched });
    }

    fn up_to_date(&mut self, key: Key, outputs: Outputs) {
        let wanted = self.answered(key, Request::LookUp) && self.state == State::Awaiting;
        assert!(wanted, "stage {} was told twice what lies in its place", self.stage.0);
        self.state = State::Settled;
        self.place = Place::Holds { key, outputs, news: None };
    }

    fn found(&mut self, key: Key, outputs: Outputs, out: &mut Verdicts) {
        if self.answered(key, Request::LookUp) {
            self.hold(key, outputs, How::Hit, out);
        }
    }

    fn absent(&mut self, key: Key, out: &mut Verdicts) {
        // Answered while dirty: if the same key results it is looked up again, which is cheap, and may be found then.
        if self.answered(key, Request::LookUp) && self.state == State::Awaiting {
            self.asked = Some(Asked { key, request: Request::Run });
            out.push(Verdict::Tell { command: Command::Run { stage: self.stage, key } });
        }
    }

    fn done(&mut self, key: Key, result: Result<Outputs, Failed>, out: &mut Verdicts) {
        if !self.answered(key, Request::Run) {
            return;
        }
        match result {
            Ok(outputs) => self.hold(key, outputs, How::Ran, out),
            Err(Failed) if self.state == State::Awaiting => self.settled(Some(key), None, How::Failed, out),
            // Failed while dirty: if the same key results it is retried, as after any mark.
            Err(Failed) => {}
        }
    }

    /// Whether this answers the outstanding request, which it then clears.
    fn answered(&mut self, key: Key, request: Request) -> bool {
        self.asked.take_if(|asked| asked.key == key && asked.request == request).is_some()
    }

    fn cancel(&mut self, out: &mut Verdicts) {
        if let Some(Asked { key, .. }) = self.asked.take() {
            out.push(Verdict::Tell { command: Command::Cancel { stage: self.stage, key } });
        }
    }

    fn hold(&mut self, key: Key, outputs: Outputs, how: How, out: &mut Verdicts) {
        self.place = Place::Holds { key, outputs, news: Some(how) };
        if self.state == State::Awaiting {
            self.settle_in_place(out);
        }
    }

    fn settle_in_place(&mut self, out: &mut Verdicts) {
        let Place::Holds { key, outputs, news } = &mut self.place else {
            unreachable!("both callers have just seen that the place holds the wanted key")
        };
        let (key, outputs, how) = (*key, Rc::clone(outputs), news.take().unwrap_or(How::Unchanged));
        self.settled(Some(key), Some(outputs), how, out);
    }

    fn settled(&mut self, key: Option<Key>, outputs: Option<Outputs>, how: How, out: &mut Verdicts) {
        self.state = State::Settled;
        out.push(Verdict::Settled { node: self.stage, outputs });
        out.push(Verdict::Tell { command: Command::Settled { stage: self.stage, key, how } });
    }
}

impl InputSlot {
    fn known(&self) -> ArtifactDigest {
        match self {
            InputSlot::Known(digest) => *digest,
            InputSlot::Dirty | InputSlot::Failed => unreachable!("the gate fires when no slot is dirty or failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    /// Keys are the digest of the first input.
    struct First;

    impl Keyer for First {
        fn key(&self, _: NodeId, inputs: &[ArtifactDigest]) -> Key {
            Key(inputs[0].0)
        }
    }

    const SOURCE: NodeId = NodeId(0);
    const STAGE: NodeId = NodeId(1);

    /// A source and a stage with this many slots.
    fn gates(slots: u32) -> Gates {
        let mut gates = Gates::new(Rc::new(First));
        assert!(gates.step(Fact::DeclareSource(SOURCE)).is_empty());
        assert!(gates.step(Fact::DeclareStage(STAGE, slots)).is_empty());
        gates
    }

    fn digest(number: u8) -> ArtifactDigest {
        ArtifactDigest(Digest::of(&[number]))
    }

    fn blocked() -> [Verdict; 2] {
        let command = Command::Settled { stage: STAGE, key: None, how: How::Blocked };
        [Verdict::Settled { node: STAGE, outputs: None }, Verdict::Tell { command }]
    }

    #[test]
    fn a_gate_fires_with_its_last_slot_whatever_their_order() {
        let mut gates = gates(3);
        for slot in [2, 0] {
            assert!(gates.step(Fact::Settle(STAGE, slot, Some(digest(slot as u8)))).is_empty());
        }
        let key = Key(digest(0).0);
        let wanted = Verdict::Wanted { stage: STAGE, key, touched: false };
        assert_eq!(gates.step(Fact::Settle(STAGE, 1, Some(digest(1))))[..], [wanted]);
    }

    #[test]
    fn a_gate_is_blocked_by_its_first_failed_slot_and_freed_by_its_last() {
        let mut gates = gates(2);
        assert_eq!(gates.step(Fact::Settle(STAGE, 0, None))[..], blocked());
        assert!(gates.step(Fact::Settle(STAGE, 1, None)).is_empty());
        assert!(gates.step(Fact::Mark(STAGE, 0)).is_empty());
        assert_eq!(gates.step(Fact::Mark(STAGE, 1))[..], [Verdict::Dirty { node: STAGE }]);
        assert!(gates.step(Fact::Settle(STAGE, 0, Some(digest(0)))).is_empty());
        assert_eq!(gates.step(Fact::Settle(STAGE, 1, None))[..], blocked());
    }

    #[test]
    fn only_the_first_mark_of_a_settled_node_is_passed_on() {
        let mut gates = gates(1);
        assert!(gates.step(Fact::MarkSource(SOURCE)).is_empty(), "never settled");
        gates.step(Fact::Digest(SOURCE, digest(0)));
        assert_eq!(gates.step(Fact::MarkSource(SOURCE))[..], [Verdict::Dirty { node: SOURCE }]);
        assert!(gates.step(Fact::MarkSource(SOURCE)).is_empty());

        gates.step(Fact::Settle(STAGE, 0, None));
        assert_eq!(gates.step(Fact::Mark(STAGE, 0))[..], [Verdict::Dirty { node: STAGE }]);
        assert!(gates.step(Fact::Mark(STAGE, 0)).is_empty());
    }

    #[test]
    fn what_was_asked_for_is_in_doubt_from_a_mark_until_the_slots_are_known_again() {
        let mut gates = gates(1);
        gates.step(Fact::Settle(STAGE, 0, Some(digest(0))));
        assert!(!gates.is_in_doubt(STAGE));
        gates.step(Fact::Mark(STAGE, 0));
        assert!(gates.is_in_doubt(STAGE));
        gates.step(Fact::Settle(STAGE, 0, Some(digest(0))));
        assert!(!gates.is_in_doubt(STAGE));
    }

    #[test]
    #[should_panic(expected = "slot 0 of stage 1 settled without being marked")]
    fn a_slot_with_two_edges_is_refused() {
        let mut gates = gates(2);
        gates.step(Fact::Settle(STAGE, 0, Some(digest(0))));
        gates.step(Fact::Settle(STAGE, 0, Some(digest(1))));
    }

    #[test]
    #[should_panic(expected = "node 7 is not declared as a stage")]
    fn a_node_that_was_not_declared_is_refused() {
        gates(1).step(Fact::Mark(NodeId(7), 0));
    }
}
