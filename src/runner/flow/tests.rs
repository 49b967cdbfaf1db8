//! The engine against an oracle: random graphs, edits, caches, failures and orders of answers.
//!
//! The outcome of a key is fixed in advance (by a hash), so the final state of every stage follows from the sources'
//! digests alone, by one pass in topological order. A simulated driver executes commands in random order, and checks each
//! command against that pass at the moment it is issued.

mod by_hand;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, proptest};
use proptest::test_runner::TestCaseError;
use proptest::{collection, sample};

use super::{Command, Edge, Engine, Failed, How, Keyer, NodeId, Outputs};
use crate::digest::{ArtifactDigest, Digest, Encoder, Key};

/// A key for each stage and inputs.
struct HashedInputs;

impl Keyer for HashedInputs {
    fn key(&self, stage: NodeId, inputs: &[ArtifactDigest]) -> Key {
        let mut encoder = Encoder::new("test/key/1");
        encoder.field("stage", &stage.0.to_le_bytes()).list("inputs", inputs.len());
        for input in inputs {
            encoder.field("input", input.0.as_bytes());
        }
        Key(encoder.finish())
    }
}

/// Declares sources 0, 1, … and the stages that follow them, each given by the node and the output that fill its slots.
fn declare<'a>(engine: &mut Engine, sources: u32, stages: impl Iterator<Item = &'a [(u32, u32)]>) {
    (0..sources).for_each(|source| engine.declare_source(NodeId(source)));
    for (stage, slots) in (sources..).zip(stages) {
        engine.declare_stage(NodeId(stage), slots.len() as u32);
        for (slot, &(from, output)) in (0..).zip(slots) {
            engine.edge(Edge { from: NodeId(from), output, to: NodeId(stage), slot });
        }
    }
}

/// Each stage has this many outputs.
const OUTPUTS: u32 = 2;
/// Sources take few values, so that edits often return to an earlier one.
const VALUES: u8 = 3;

#[derive(Clone, Debug)]
struct World {
    sources: u32,
    /// What fills the slots of each stage. A node may fill several.
    stages: Vec<Vec<(u32, u32)>>,
    /// Decides the outcome of every key.
    salt: u64,
    /// The values of the sources when the workspace was last used, and the stages whose outputs are still in place from
    /// then.
    placed: (Vec<u8>, Vec<bool>),
}

#[derive(Clone, Debug)]
enum Move {
    /// These sources get new values, or the ones they have.
    Edit(Vec<(sample::Index, u8)>),
    /// One outstanding request is answered; `step`: and processed at once.
    Answer { which: sample::Index, step: bool },
    /// A cancelled job turns out to have finished.
    Late(sample::Index),
}

fn world() -> impl Strategy<Value = World> {
    let slots = || collection::vec((any::<sample::Index>(), 0..OUTPUTS), 0..4);
    let stages = || collection::vec((slots(), any::<bool>()), 1..20);
    (1..4u32, stages(), any::<u64>(), collection::vec(0..VALUES, 3)).prop_map(|(sources, stages, salt, then)| {
        let (slots, lies): (Vec<_>, Vec<_>) = stages.into_iter().unzip();
        let fill = |stage: u32, (from, output): (sample::Index, u32)| match from.index(stage as usize) as u32 {
            source if source < sources => (source, 0),
            stage => (stage, output),
        };
        let stages = (sources..).zip(slots).map(|(id, slots)| slots.into_iter().map(|slot| fill(id, slot)).collect());
        World { sources, stages: stages.collect(), salt, placed: (then, lies) }
    })
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let edit = collection::vec((any::<sample::Index>(), 0..VALUES), 1..3).prop_map(Move::Edit);
    let answer = (any::<sample::Index>(), any::<bool>()).prop_map(|(which, step)| Move::Answer { which, step });
    let late = any::<sample::Index>().prop_map(Move::Late);
    collection::vec(proptest::prop_oneof![2 => edit, 6 => answer, 1 => late], 0..60)
}

/// The final state of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    Known { key: Option<Key>, outputs: Outputs },
    Failed { key: Key },
    Blocked,
}

impl Fate {
    fn key(&self) -> Option<Key> {
        match self {
            Fate::Known { key, .. } => *key,
            Fate::Failed { key } => Some(*key),
            Fate::Blocked => None,
        }
    }
}

fn value(source: u32, value: u8) -> ArtifactDigest {
    ArtifactDigest(Digest::of(&[source as u8, value]))
}

impl World {
    /// A number below `below` that depends only on the key and the purpose.
    fn dice(&self, purpose: &str, key: Key, below: u8) -> u8 {
        let mut encoder = Encoder::new("test/dice/1");
        let digest = encoder.field(purpose, key.0.as_bytes()).field("salt", &self.salt.to_le_bytes()).finish();
        digest.as_bytes()[0] % below
    }

    /// Each output has two values, so that a stage with another key often has an unchanged output.
    fn outputs(&self, stage: u32, key: Key) -> Outputs {
        let part = |output: u32| [stage as u8, output as u8, self.dice(["first", "second"][output as usize], key, 2)];
        (0..OUTPUTS).map(|output| ArtifactDigest(Digest::of(&part(output)))).collect()
    }

    fn stored_from_the_beginning(&self, key: Key) -> bool {
        self.dice("stored", key, 4) == 0
    }

    fn fails(&self, key: Key) -> bool {
        !self.stored_from_the_beginning(key) && self.dice("fails", key, 8) == 0
    }

    /// The final state of every node for these values of the sources: one pass in topological order.
    fn fates(&self, values: &[u8]) -> Vec<Fate> {
        let source = |(id, &now): (u32, &u8)| Fate::Known { key: None, outputs: Rc::from([value(id, now)]) };
        let mut fates: Vec<Fate> = (0..self.sources).zip(values).map(source).collect();
        for (stage, slots) in (self.sources..).zip(&self.stages) {
            let input = |&(from, output): &(u32, u32)| match &fates[from as usize] {
                Fate::Known { outputs, .. } => Some(outputs[output as usize]),
                Fate::Failed { .. } | Fate::Blocked => None,
            };
            let inputs: Option<Vec<_>> = slots.iter().map(input).collect();
            let key = inputs.map(|inputs| HashedInputs.key(NodeId(stage), &inputs));
            fates.push(match key {
                None => Fate::Blocked,
                Some(key) if self.fails(key) => Fate::Failed { key },
                Some(key) => Fate::Known { key: Some(key), outputs: self.outputs(stage, key) },
            });
        }
        fates
    }

    /// The stages whose outputs are in place at the beginning, with their keys.
    fn placed(&self) -> HashMap<NodeId, Key> {
        let (then, lies) = &self.placed;
        let fates = self.fates(then);
        let placed = (self.sources..).zip(lies).filter(|&(_, &lies)| lies).filter_map(|(stage, _)| {
            let fate = &fates[stage as usize];
            matches!(fate, Fate::Known { .. }).then_some((NodeId(stage), fate.key()?))
        });
        placed.collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    LookUp,
    Run,
}

/// Executes the engine's commands, and checks each against the sources.
struct Driver<'a> {
    world: &'a World,
    engine: Engine,
    values: Vec<u8>,
    fates: Vec<Fate>,
    /// The key whose outputs are complete in a stage's place.
    place: HashMap<NodeId, Key>,
    /// Stages that had a request.
    touched: HashSet<NodeId>,
    published: HashSet<Key>,
    outstanding: Vec<(NodeId, Key, Request)>,
    /// Whether the last look-up of the stage found its key, if it was answered.
    answered: HashMap<NodeId, (Key, bool)>,
    cancelled: Vec<(NodeId, Key)>,
    /// What was put in place and how, until the stage has settled with it.
    news: HashMap<NodeId, (Key, How)>,
    last: HashMap<NodeId, (Option<Key>, How)>,
}

type Checked = Result<(), TestCaseError>;

impl<'a> Driver<'a> {
    fn new(world: &'a World) -> Driver<'a> {
        let mut engine = Engine::new(Rc::new(HashedInputs));
        declare(&mut engine, world.sources, world.stages.iter().map(Vec::as_slice));
        let place = world.placed();
        for (&stage, &key) in &place {
            engine.placed(stage, key, world.outputs(stage.0, key));
        }
        let values = vec![0; world.sources as usize];
        Driver {
            fates: world.fates(&values),
            world,
            engine,
            values,
            place,
            touched: HashSet::new(),
            published: HashSet::new(),
            outstanding: Vec::new(),
            answered: HashMap::new(),
            cancelled: Vec::new(),
            news: HashMap::new(),
            last: HashMap::new(),
        }
    }

    fn make(&mut self, movement: &Move) -> Checked {
        match movement {
            Move::Edit(edits) => {
                // With the values that were valid then: the engine would process earlier answers before the edit.
                self.step()?;
                let edits: HashMap<_, _> =
                    edits.iter().map(|(source, value)| (source.index(self.values.len()), *value)).collect();
                edits.iter().for_each(|(&source, &value)| self.values[source] = value);
                self.edited(edits.into_keys())
            }
            Move::Answer { which, step } if !self.outstanding.is_empty() => {
                let (stage, key, request) = self.outstanding.swap_remove(which.index(self.outstanding.len()));
                self.answer(stage, key, request);
                if *step { self.step() } else { Ok(()) }
            }
            Move::Late(which) if !self.cancelled.is_empty() => {
                self.step()?;
                let (stage, key) = self.cancelled.swap_remove(which.index(self.cancelled.len()));
                self.late(stage, key)
            }
            Move::Answer { .. } | Move::Late(_) => Ok(()),
        }
    }

    fn edited(&mut self, sources: impl Iterator<Item = usize>) -> Checked {
        self.fates = self.world.fates(&self.values);
        let digests: Vec<_> =
            sources.map(|source| (NodeId(source as u32), value(source as u32, self.values[source]))).collect();
        let commands = self.engine.sources(&digests);
        self.obey(commands)
    }

    fn step(&mut self) -> Checked {
        let commands = self.engine.step();
        self.obey(commands)
    }

    fn answer(&mut self, stage: NodeId, key: Key, request: Request) {
        let outputs = self.world.outputs(stage.0, key);
        if request == Request::LookUp {
            let stored = self.world.stored_from_the_beginning(key) || self.published.contains(&key);
            self.answered.insert(stage, (key, stored));
            if stored {
                self.place.insert(stage, key);
                self.news.insert(stage, (key, How::Hit));
                self.engine.found(stage, key, outputs);
            } else {
                self.engine.absent(stage, key);
            }
        } else if self.world.fails(key) {
            self.engine.done(stage, key, Err(Failed));
        } else {
            self.published.insert(key);
            self.place.insert(stage, key);
            self.news.insert(stage, (key, How::Ran));
            self.engine.done(stage, key, Ok(outputs));
        }
    }

    /// Publishes the result of a cancelled job, but doesn't touch the stage's place.
    fn late(&mut self, stage: NodeId, key: Key) -> Checked {
        let again = self.outstanding.contains(&(stage, key, Request::Run));
        if self.world.fails(key) || again {
            return Ok(());
        }
        self.published.insert(key);
        self.engine.done(stage, key, Ok(self.world.outputs(stage.0, key)));
        let commands = self.engine.step();
        prop_assert_eq!(commands, [], "a late result settles nothing");
        Ok(())
    }

    fn obey(&mut self, commands: Vec<Command>) -> Checked {
        for command in commands {
            match command {
                Command::LookUp { stage, key } => {
                    prop_assert!(self.place.get(&stage) != Some(&key) || self.touched.contains(&stage), "placed");
                    self.ask(stage, key, Request::LookUp)?;
                }
                Command::Run { stage, key } => {
                    let absent = self.answered.remove(&stage);
                    prop_assert_eq!(absent, Some((key, false)), "a job is preceded by a look-up of its own");
                    self.place.remove(&stage);
                    self.ask(stage, key, Request::Run)?;
                }
                Command::Cancel { stage, key } => {
                    let asked = self.outstanding.iter().position(|&(s, k, _)| (s, k) == (stage, key));
                    prop_assert!(asked.is_some(), "there is something to cancel");
                    prop_assert!(self.fates[stage.0 as usize].key() != Some(key), "what is wanted goes on");
                    let (.., request) = self.outstanding.swap_remove(asked.unwrap());
                    self.cancelled.extend((request == Request::Run).then_some((stage, key)));
                }
                Command::Settled { stage, key, how } => self.settled(stage, key, how)?,
            }
        }
        Ok(())
    }

    fn ask(&mut self, stage: NodeId, key: Key, request: Request) -> Checked {
        prop_assert_eq!(self.fates[stage.0 as usize].key(), Some(key), "a key mixes old and new inputs");
        prop_assert!(self.outstanding.iter().all(|&(other, ..)| other != stage), "one request a stage");
        self.touched.insert(stage);
        self.news.remove(&stage);
        self.outstanding.push((stage, key, request));
        Ok(())
    }

    fn settled(&mut self, stage: NodeId, key: Option<Key>, how: How) -> Checked {
        let fate = &self.fates[stage.0 as usize];
        prop_assert_eq!(key, fate.key());
        // The place holds what the engine expects, whatever was cancelled or reverted in between.
        let in_place = key.is_some() && key == self.place.get(&stage).copied();
        let right = match (fate, how) {
            (Fate::Blocked, How::Blocked) | (Fate::Failed { .. }, How::Failed) => true,
            (Fate::Known { .. }, How::UpToDate) => in_place && !self.touched.contains(&stage),
            (Fate::Known { .. }, How::Hit | How::Ran | How::Unchanged) => in_place,
            _ => false,
        };
        prop_assert!(right, "settled {how:?}, must come to {fate:?}");
        match how {
            How::Hit | How::Ran => {
                prop_assert_eq!(self.news.remove(&stage), key.map(|key| (key, how)), "each answer is news once")
            }
            How::Unchanged => prop_assert_eq!(self.news.get(&stage), None),
            How::UpToDate | How::Failed | How::Blocked => {}
        }
        prop_assert!(self.outstanding.iter().all(|&(other, ..)| other != stage), "settled with a request outstanding");
        self.last.insert(stage, (key, how));
        Ok(())
    }

    /// Answers everything, and compares the states of all stages with the expected ones.
    fn finish(&mut self) -> Checked {
        self.step()?;
        while let Some((stage, key, request)) = self.outstanding.pop() {
            self.answer(stage, key, request);
            self.step()?;
        }
        prop_assert_eq!(self.engine.unsettled(), []);
        for stage in (self.world.sources..).map(NodeId).take(self.world.stages.len()) {
            let fate = &self.fates[stage.0 as usize];
            let (key, how) = self.last[&stage];
            prop_assert_eq!(key, fate.key());
            prop_assert_eq!(how == How::Blocked, *fate == Fate::Blocked);
            prop_assert_eq!(how == How::Failed, matches!(fate, Fate::Failed { .. }));
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_whatever_order_answers_come_every_stage_comes_to_what_the_sources_say(world in world(), moves in moves()) {
        let mut driver = Driver::new(&world);
        driver.edited(0..world.sources as usize)?;
        for movement in &moves {
            driver.make(movement)?;
        }
        driver.finish()?;
    }
}
