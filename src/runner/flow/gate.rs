//! The gate: where a stage's inputs meet. For each node a small state machine that takes one event and says what
//! follows.
//!
//! Knows no edges and no commands' outcome but what it is told, and does not know DFIR (the derive names the branches
//! of [`Verdict`] for it, no more). Plain code and not operators, because it counts and forgets: a slot that is dirty
//! again takes back what was known of it, and a dataflow's relations only grow.

use std::mem;
use std::rc::Rc;

use dfir_rs::DemuxEnum;
use smallvec::SmallVec;

use super::{Command, Failed, How, Keyer, NodeId, Outputs};
use crate::digest::{ArtifactDigest, Key};

/// What a gate can be told.
#[derive(Clone, Debug)]
pub(super) enum Event {
    DeclareSource(NodeId),
    /// With this many slots.
    DeclareStage(NodeId, u32),
    /// The source may have changed.
    MarkSource(NodeId),
    /// What fills the slot may have changed.
    Mark(NodeId, u32),
    /// The source, marked before, has this digest.
    Digest(NodeId, ArtifactDigest),
    /// What fills the slot has settled, with this digest or, if it failed or is blocked, with none.
    Settle(NodeId, u32, Option<ArtifactDigest>),
    /// The wanted key was placed. Its dependents know already.
    UpToDate(NodeId, Key, Outputs),
    Found(NodeId, Key, Outputs),
    Absent(NodeId, Key),
    Done(NodeId, Key, Result<Outputs, Failed>),
}

/// What follows from an event. The flow takes each variant to another branch.
#[derive(Clone, Debug, PartialEq, Eq, DemuxEnum)]
pub(super) enum Verdict {
    /// Was settled and no longer is: on with the mark wave.
    Dirty { node: NodeId },
    /// Its key is known, and its outputs are not. `touched`: something may have been written into its place since the
    /// engine began, so that what was said to lie there at the beginning doesn't count any more.
    Wanted { stage: NodeId, key: Key, touched: bool },
    /// Has settled: on with the settle wave. `None`: it failed or is blocked.
    Settled { node: NodeId, outputs: Option<Outputs> },
    /// For the driver.
    Tell { command: Command },
}

/// Two are the most that most events give: a settled stage and the news of it, or a cancellation and a new key.
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
    slots: Vec<Slot>,
    /// How many slots are dirty, how many failed: the gate must not look through 10,000 slots for each that settles.
    dirty: u32,
    failed: u32,
    state: State,
    /// The request that is outstanding, also while dirty: if the same key comes out it must not be made twice.
    asked: Option<Asked>,
    place: Place,
}

#[derive(Clone, Copy)]
enum Slot {
    Dirty,
    Known(ArtifactDigest),
    Failed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits for slots to settle.
    Dirty,
    /// All slots are known; waits for the answer to what it asked.
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

/// What is known about the place where a stage's outputs lie.
enum Place {
    /// Nothing was asked for yet: as it was when the engine began.
    Untouched,
    /// The outputs of this key. `news`: how they came there, as long as the driver hasn't been told.
    Holds { key: Key, outputs: Outputs, news: Option<How> },
    /// A restore or a job may have written there, or have cleared it away, and didn't finish.
    Unknown,
}

impl Gates {
    pub(super) fn new(keyer: Rc<dyn Keyer>) -> Gates {
        Gates { keyer, nodes: Vec::new() }
    }

    /// Takes in one event.
    pub(super) fn step(&mut self, event: Event) -> Verdicts {
        let mut verdicts = Verdicts::new();
        let out = &mut verdicts;
        match event {
            Event::DeclareSource(source) => self.declare(source, Node::Source { settled: false }),
            Event::DeclareStage(stage, slots) => {
                self.declare(stage, Node::Stage(Gate::new(stage, slots)));
                let (gate, keyer) = self.gate(stage);
                gate.fire(keyer, out);
            }
            Event::MarkSource(source) => {
                if mem::replace(self.source(source), false) {
                    out.push(Verdict::Dirty { node: source });
                }
            }
            Event::Digest(source, digest) => {
                let settled = mem::replace(self.source(source), true);
                assert!(!settled, "source {} has two digests in one wave", source.0);
                out.push(Verdict::Settled { node: source, outputs: Some(Rc::from([digest])) });
            }
            Event::Mark(stage, slot) => self.gate(stage).0.mark(slot, out),
            Event::Settle(stage, slot, input) => {
                let (gate, keyer) = self.gate(stage);
                gate.settle(slot, input);
                gate.fire(keyer, out);
            }
            Event::UpToDate(stage, key, outputs) => self.gate(stage).0.up_to_date(key, outputs),
            Event::Found(stage, key, outputs) => self.gate(stage).0.found(key, outputs, out),
            Event::Absent(stage, key) => self.gate(stage).0.absent(key, out),
            Event::Done(stage, key, result) => self.gate(stage).0.done(key, result, out),
        }
        verdicts
    }

    /// Whether something is asked for under a key that may no longer be the right one.
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
            slots: vec![Slot::Dirty; slots as usize],
            dirty: slots,
            failed: 0,
            state: State::Dirty,
            asked: None,
            place: Place::Untouched,
        }
    }

    fn mark(&mut self, slot: u32, out: &mut Verdicts) {
        match mem::replace(&mut self.slots[slot as usize], Slot::Dirty) {
            Slot::Dirty => {}
            Slot::Known(_) => self.dirty += 1,
            Slot::Failed => {
                self.dirty += 1;
                self.failed -= 1;
            }
        }
        // Blocked by another slot still, whatever comes into this one: its dependents are as they were.
        if self.failed == 0 && mem::replace(&mut self.state, State::Dirty) == State::Settled {
            out.push(Verdict::Dirty { node: self.stage });
        }
    }

    fn settle(&mut self, slot: u32, input: Option<ArtifactDigest>) {
        let settled = input.map_or(Slot::Failed, Slot::Known);
        let before = mem::replace(&mut self.slots[slot as usize], settled);
        assert!(matches!(before, Slot::Dirty), "slot {slot} of stage {} settled without being marked", self.stage.0);
        self.dirty -= 1;
        self.failed += u32::from(input.is_none());
    }

    /// Goes on as far as the slots allow.
    fn fire(&mut self, keyer: &dyn Keyer, out: &mut Verdicts) {
        if self.state != State::Dirty {
            return;
        }
        if self.failed > 0 {
            self.cancel(out);
            self.settled(None, None, How::Blocked, out);
        } else if self.dirty == 0 {
            let inputs: SmallVec<[ArtifactDigest; 8]> = self.slots.iter().map(Slot::known).collect();
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
        // Answered while dirty: should the same key come out it is looked up again, which is cheap, and may be there
        // then.
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
            // Failed while dirty: should the same key come out it is tried again, as after any mark.
            Err(Failed) => {}
        }
    }

    /// Whether this answers what is outstanding, which then no longer is.
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

impl Slot {
    fn known(&self) -> ArtifactDigest {
        match self {
            Slot::Known(digest) => *digest,
            Slot::Dirty | Slot::Failed => unreachable!("the gate fires when no slot is dirty or failed"),
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
        assert!(gates.step(Event::DeclareSource(SOURCE)).is_empty());
        assert!(gates.step(Event::DeclareStage(STAGE, slots)).is_empty());
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
            assert!(gates.step(Event::Settle(STAGE, slot, Some(digest(slot as u8)))).is_empty());
        }
        let key = Key(digest(0).0);
        let wanted = Verdict::Wanted { stage: STAGE, key, touched: false };
        assert_eq!(gates.step(Event::Settle(STAGE, 1, Some(digest(1))))[..], [wanted]);
    }

    #[test]
    fn a_gate_is_blocked_by_its_first_failed_slot_and_freed_by_its_last() {
        let mut gates = gates(2);
        assert_eq!(gates.step(Event::Settle(STAGE, 0, None))[..], blocked());
        assert!(gates.step(Event::Settle(STAGE, 1, None)).is_empty());
        assert!(gates.step(Event::Mark(STAGE, 0)).is_empty());
        assert_eq!(gates.step(Event::Mark(STAGE, 1))[..], [Verdict::Dirty { node: STAGE }]);
        assert!(gates.step(Event::Settle(STAGE, 0, Some(digest(0)))).is_empty());
        assert_eq!(gates.step(Event::Settle(STAGE, 1, None))[..], blocked());
    }

    #[test]
    fn only_the_first_mark_of_a_settled_node_is_passed_on() {
        let mut gates = gates(1);
        assert!(gates.step(Event::MarkSource(SOURCE)).is_empty(), "never settled");
        gates.step(Event::Digest(SOURCE, digest(0)));
        assert_eq!(gates.step(Event::MarkSource(SOURCE))[..], [Verdict::Dirty { node: SOURCE }]);
        assert!(gates.step(Event::MarkSource(SOURCE)).is_empty());

        gates.step(Event::Settle(STAGE, 0, None));
        assert_eq!(gates.step(Event::Mark(STAGE, 0))[..], [Verdict::Dirty { node: STAGE }]);
        assert!(gates.step(Event::Mark(STAGE, 0)).is_empty());
    }

    #[test]
    fn what_was_asked_for_is_in_doubt_from_a_mark_until_the_slots_are_known_again() {
        let mut gates = gates(1);
        gates.step(Event::Settle(STAGE, 0, Some(digest(0))));
        assert!(!gates.is_in_doubt(STAGE));
        gates.step(Event::Mark(STAGE, 0));
        assert!(gates.is_in_doubt(STAGE));
        gates.step(Event::Settle(STAGE, 0, Some(digest(0))));
        assert!(!gates.is_in_doubt(STAGE));
    }

    #[test]
    #[should_panic(expected = "slot 0 of stage 1 settled without being marked")]
    fn a_slot_with_two_edges_is_refused() {
        let mut gates = gates(2);
        gates.step(Event::Settle(STAGE, 0, Some(digest(0))));
        gates.step(Event::Settle(STAGE, 0, Some(digest(1))));
    }

    #[test]
    #[should_panic(expected = "node 7 is not declared as a stage")]
    fn a_node_that_was_not_declared_is_refused() {
        gates(1).step(Event::Mark(NodeId(7), 0));
    }
}
