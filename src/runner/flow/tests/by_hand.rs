//! The engine's answers to small graphs, command for command.

use std::cell::Cell;
use std::rc::Rc;

use crate::digest::{ArtifactDigest, Digest, Key};
use crate::flow::How::{Blocked, Hit, Ran, Unchanged, UpToDate};
use crate::flow::{Command, Edge, Engine, Failed, How, Keyer, NodeId, Outputs};

use super::HashedInputs;

/// An engine over sources 0, 1, … and the stages that follow them; a stage is given by what fills its slots: a node and the
/// number of its output.
fn engine(sources: u32, stages: &[&[(u32, u32)]]) -> Engine {
    let mut engine = Engine::new(Rc::new(HashedInputs));
    super::declare(&mut engine, sources, stages.iter().copied());
    engine
}

/// 0 → 1 → 4 → 5 and 0 → 2 → 3 → 4: the inputs of 4 are at unequal distances from the source.
fn diamond() -> Engine {
    engine(1, &[&[(0, 0)], &[(0, 0)], &[(2, 0)], &[(1, 0), (3, 0)], &[(4, 0)]])
}

fn digest(name: &str) -> ArtifactDigest {
    ArtifactDigest(Digest::of(name.as_bytes()))
}

fn outputs(names: &[&str]) -> Outputs {
    names.iter().map(|name| digest(name)).collect()
}

fn key(stage: u32, inputs: &[&str]) -> Key {
    HashedInputs.key(NodeId(stage), &outputs(inputs))
}

fn sources(engine: &mut Engine, digests: &[(u32, &str)]) -> Vec<Command> {
    let digests: Vec<_> = digests.iter().map(|&(source, name)| (NodeId(source), digest(name))).collect();
    engine.sources(&digests)
}

fn absent(engine: &mut Engine, stage: u32, inputs: &[&str]) -> Vec<Command> {
    engine.absent(NodeId(stage), key(stage, inputs));
    engine.step()
}

fn found(engine: &mut Engine, stage: u32, inputs: &[&str], names: &[&str]) -> Vec<Command> {
    engine.found(NodeId(stage), key(stage, inputs), outputs(names));
    engine.step()
}

fn done(engine: &mut Engine, stage: u32, inputs: &[&str], names: &[&str]) -> Vec<Command> {
    engine.done(NodeId(stage), key(stage, inputs), Ok(outputs(names)));
    engine.step()
}

fn failed(engine: &mut Engine, stage: u32, inputs: &[&str]) -> Vec<Command> {
    engine.done(NodeId(stage), key(stage, inputs), Err(Failed));
    engine.step()
}

fn look_up(stage: u32, inputs: &[&str]) -> Command {
    Command::LookUp { stage: NodeId(stage), key: key(stage, inputs) }
}

fn run(stage: u32, inputs: &[&str]) -> Command {
    Command::Run { stage: NodeId(stage), key: key(stage, inputs) }
}

fn cancel(stage: u32, inputs: &[&str]) -> Command {
    Command::Cancel { stage: NodeId(stage), key: key(stage, inputs) }
}

fn settled(stage: u32, inputs: &[&str], how: How) -> Command {
    Command::Settled { stage: NodeId(stage), key: Some(key(stage, inputs)), how }
}

fn blocked(stage: u32) -> Command {
    Command::Settled { stage: NodeId(stage), key: None, how: Blocked }
}

#[test]
fn a_stage_is_asked_for_once_all_its_inputs_are_new() {
    let mut e = diamond();
    assert_eq!(sources(&mut e, &[(0, "s")]), [look_up(1, &["s"]), look_up(2, &["s"])]);
    assert_eq!(absent(&mut e, 1, &["s"]), [run(1, &["s"])]);
    assert_eq!(done(&mut e, 1, &["s"], &["one"]), [settled(1, &["s"], Ran)]);
    assert_eq!(found(&mut e, 2, &["s"], &["two"]), [settled(2, &["s"], Hit), look_up(3, &["two"])]);
    assert_eq!(found(&mut e, 3, &["two"], &["three"]), [settled(3, &["two"], Hit), look_up(4, &["one", "three"])]);
    assert_eq!(e.unsettled(), [NodeId(4), NodeId(5)]);
    assert_eq!(
        found(&mut e, 4, &["one", "three"], &["four"]),
        [settled(4, &["one", "three"], Hit), look_up(5, &["four"])]
    );
    assert_eq!(found(&mut e, 5, &["four"], &["five"]), [settled(5, &["four"], Hit)]);
    assert_eq!(e.unsettled(), []);

    // The short path to 4 has a new result first; 4 waits for the long one.
    assert_eq!(sources(&mut e, &[(0, "S")]), [look_up(1, &["S"]), look_up(2, &["S"])]);
    assert_eq!(found(&mut e, 1, &["S"], &["ONE"]), [settled(1, &["S"], Hit)]);
    assert_eq!(found(&mut e, 2, &["S"], &["TWO"]), [settled(2, &["S"], Hit), look_up(3, &["TWO"])]);
    assert_eq!(found(&mut e, 3, &["TWO"], &["THREE"]), [settled(3, &["TWO"], Hit), look_up(4, &["ONE", "THREE"])]);
}

#[test]
fn what_lies_in_place_under_the_same_key_needs_no_request() {
    let mut e = diamond();
    e.placed(NodeId(1), key(1, &["s"]), outputs(&["one"]));
    e.placed(NodeId(2), key(2, &["s"]), outputs(&["two"]));
    e.placed(NodeId(3), key(3, &["older"]), outputs(&["three"]));
    assert_eq!(
        sources(&mut e, &[(0, "s")]),
        [settled(1, &["s"], UpToDate), settled(2, &["s"], UpToDate), look_up(3, &["two"])]
    );
}

#[test]
fn a_source_that_is_as_it_was_leaves_everything_below_unchanged() {
    let mut e = diamond();
    for (stage, input, name) in [(1, "s", "one"), (2, "s", "two"), (3, "two", "three")] {
        e.placed(NodeId(stage), key(stage, &[input]), outputs(&[name]));
    }
    sources(&mut e, &[(0, "s")]);
    found(&mut e, 4, &["one", "three"], &["four"]);
    failed_after_look_up(&mut e, 5, &["four"]);
    assert_eq!(
        sources(&mut e, &[(0, "s")]),
        [
            settled(1, &["s"], Unchanged),
            settled(2, &["s"], Unchanged),
            settled(3, &["two"], Unchanged),
            settled(4, &["one", "three"], Unchanged),
            // A failure isn't kept: a marked stage is retried.
            look_up(5, &["four"]),
        ]
    );
}

fn failed_after_look_up(engine: &mut Engine, stage: u32, inputs: &[&str]) {
    assert_eq!(absent(engine, stage, inputs), [run(stage, inputs)]);
    assert_eq!(failed(engine, stage, inputs)[0], settled(stage, inputs, How::Failed));
}

#[test]
fn a_dependent_of_the_part_that_came_out_the_same_is_cut_off() {
    // 2 and 3 read one output of 1 each; 4 is below 2.
    let mut e = engine(1, &[&[(0, 0)], &[(1, 0)], &[(1, 1)], &[(2, 0)]]);
    sources(&mut e, &[(0, "s")]);
    assert_eq!(
        found(&mut e, 1, &["s"], &["easy", "hard"]),
        [settled(1, &["s"], Hit), look_up(2, &["easy"]), look_up(3, &["hard"])]
    );
    found(&mut e, 2, &["easy"], &["two"]);
    found(&mut e, 3, &["hard"], &["three"]);
    found(&mut e, 4, &["two"], &["four"]);

    assert_eq!(sources(&mut e, &[(0, "S")]), [look_up(1, &["S"])]);
    absent(&mut e, 1, &["S"]);
    assert_eq!(
        done(&mut e, 1, &["S"], &["easy", "harder"]),
        [
            settled(1, &["S"], Ran),
            settled(2, &["easy"], Unchanged),
            look_up(3, &["harder"]),
            settled(4, &["two"], Unchanged),
        ]
    );
}

#[test]
fn a_failure_blocks_what_is_below_until_it_is_mended() {
    let mut e = diamond();
    sources(&mut e, &[(0, "s")]);
    found(&mut e, 1, &["s"], &["one"]);
    absent(&mut e, 2, &["s"]);
    assert_eq!(failed(&mut e, 2, &["s"]), [settled(2, &["s"], How::Failed), blocked(3), blocked(4), blocked(5)]);
    assert_eq!(e.unsettled(), []);

    assert_eq!(sources(&mut e, &[(0, "S")]), [look_up(1, &["S"]), look_up(2, &["S"])]);
    assert_eq!(found(&mut e, 1, &["S"], &["one"]), [settled(1, &["S"], Hit)]);
    assert_eq!(found(&mut e, 2, &["S"], &["two"]), [settled(2, &["S"], Hit), look_up(3, &["two"])]);
    assert_eq!(found(&mut e, 3, &["two"], &["three"]), [settled(3, &["two"], Hit), look_up(4, &["one", "three"])]);
}

#[test]
fn a_blocked_stage_says_nothing_as_long_as_one_input_blocks_it() {
    // 3 reads 2, which fails, and by itself the source 1; 4 is below 3.
    let mut e = engine(2, &[&[(0, 0)], &[(2, 0), (1, 0)], &[(3, 0)]]);
    sources(&mut e, &[(0, "s"), (1, "t")]);
    absent(&mut e, 2, &["s"]);
    assert_eq!(failed(&mut e, 2, &["s"]), [settled(2, &["s"], How::Failed), blocked(3), blocked(4)]);
    assert_eq!(sources(&mut e, &[(1, "T")]), []);
    assert_eq!(sources(&mut e, &[(0, "S")]), [look_up(2, &["S"])]);
    assert_eq!(found(&mut e, 2, &["S"], &["two"]), [settled(2, &["S"], Hit), look_up(3, &["two", "T"])]);
}

#[test]
fn a_failure_upstream_cancels_the_job_it_blocks() {
    // 3 reads the source 0 and, by way of 2, the source 1.
    let mut e = engine(2, &[&[(1, 0)], &[(0, 0), (2, 0)]]);
    sources(&mut e, &[(0, "s"), (1, "t")]);
    found(&mut e, 2, &["t"], &["two"]);
    assert_eq!(absent(&mut e, 3, &["s", "two"]), [run(3, &["s", "two"])]);
    assert_eq!(sources(&mut e, &[(1, "T")]), [look_up(2, &["T"])]);
    absent(&mut e, 2, &["T"]);
    assert_eq!(failed(&mut e, 2, &["T"]), [settled(2, &["T"], How::Failed), cancel(3, &["s", "two"]), blocked(3)]);
}

#[test]
fn a_change_cancels_the_job_of_the_old_key_and_its_late_result_settles_nothing() {
    let mut e = engine(1, &[&[(0, 0)]]);
    sources(&mut e, &[(0, "s")]);
    absent(&mut e, 1, &["s"]);
    assert_eq!(sources(&mut e, &[(0, "S")]), [cancel(1, &["s"]), look_up(1, &["S"])]);
    assert_eq!(done(&mut e, 1, &["s"], &["one"]), []);
    assert_eq!(e.unsettled(), [NodeId(1)]);
    assert_eq!(absent(&mut e, 1, &["S"]), [run(1, &["S"])]);
    // Reverted: the driver has published the late result, but not put it in place, so it is requested.
    assert_eq!(sources(&mut e, &[(0, "s")]), [cancel(1, &["S"]), look_up(1, &["s"])]);
    assert_eq!(found(&mut e, 1, &["s"], &["one"]), [settled(1, &["s"], Hit)]);
}

#[test]
fn a_request_stands_when_its_key_comes_out_the_same() {
    let mut e = engine(1, &[&[(0, 0)]]);
    sources(&mut e, &[(0, "s")]);
    assert_eq!(sources(&mut e, &[(0, "s")]), []);
    absent(&mut e, 1, &["s"]);
    assert_eq!(sources(&mut e, &[(0, "s")]), []);
    assert_eq!(done(&mut e, 1, &["s"], &["one"]), [settled(1, &["s"], Ran)]);
}

#[test]
fn a_job_that_ends_while_its_inputs_are_in_doubt_settles_when_they_come_out_the_same() {
    let mut e = engine(2, &[&[(1, 0)], &[(0, 0), (2, 0)]]);
    sources(&mut e, &[(0, "s"), (1, "t")]);
    found(&mut e, 2, &["t"], &["two"]);
    absent(&mut e, 3, &["s", "two"]);
    assert_eq!(sources(&mut e, &[(1, "T")]), [look_up(2, &["T"])]);
    assert_eq!(done(&mut e, 3, &["s", "two"], &["three"]), []);
    assert_eq!(found(&mut e, 2, &["T"], &["two"]), [settled(2, &["T"], Hit), settled(3, &["s", "two"], Ran)]);
}

#[test]
fn outputs_do_not_count_as_in_place_once_another_key_was_asked_for() {
    let mut e = engine(1, &[&[(0, 0)]]);
    e.placed(NodeId(1), key(1, &["s"]), outputs(&["one"]));
    assert_eq!(sources(&mut e, &[(0, "s")]), [settled(1, &["s"], UpToDate)]);
    assert_eq!(sources(&mut e, &[(0, "S")]), [look_up(1, &["S"])]);
    assert_eq!(sources(&mut e, &[(0, "s")]), [cancel(1, &["S"]), look_up(1, &["s"])]);

    let mut e = engine(1, &[&[(0, 0)]]);
    e.placed(NodeId(1), key(1, &["s"]), outputs(&["one"]));
    assert_eq!(sources(&mut e, &[(0, "S")]), [look_up(1, &["S"])]);
    assert_eq!(sources(&mut e, &[(0, "s")]), [cancel(1, &["S"]), look_up(1, &["s"])]);
}

#[test]
fn an_answer_that_waits_is_taken_in_before_anything_is_marked() {
    // 4 reads 2 and 3, each of which reads a source of its own. The answer reaches 4 one hop ahead of the mark.
    let mut e = engine(2, &[&[(0, 0)], &[(1, 0)], &[(2, 0), (3, 0)]]);
    e.placed(NodeId(4), key(4, &["two", "three"]), outputs(&["four"]));
    sources(&mut e, &[(0, "s"), (1, "t")]);
    found(&mut e, 2, &["s"], &["two"]);
    e.found(NodeId(3), key(3, &["t"]), outputs(&["three"]));
    assert_eq!(
        sources(&mut e, &[(0, "S")]),
        [settled(3, &["t"], Hit), settled(4, &["two", "three"], UpToDate), look_up(2, &["S"])]
    );
}

#[test]
fn a_stage_without_inputs_needs_no_source() {
    let mut e = engine(0, &[&[], &[(0, 0)]]);
    assert_eq!(e.step(), [look_up(0, &[])]);
    assert_eq!(found(&mut e, 0, &[], &["zero"]), [settled(0, &[], Hit), look_up(1, &["zero"])]);
}

#[test]
fn what_cannot_settle_is_named() {
    let mut e = engine(2, &[&[(0, 0)], &[(1, 0)]]);
    sources(&mut e, &[(0, "s")]);
    found(&mut e, 2, &["s"], &["two"]);
    assert_eq!(e.unsettled(), [NodeId(1), NodeId(3)], "source 1 was never given");

    let mut e = engine(0, &[&[(1, 0)], &[(0, 0)]]);
    assert_eq!(e.step(), []);
    assert_eq!(e.unsettled(), [NodeId(0), NodeId(1)], "a cycle");
}

#[test]
#[should_panic(expected = "source 0 has two digests in one wave")]
fn a_source_named_twice_in_a_call_is_refused() {
    sources(&mut engine(1, &[]), &[(0, "s"), (0, "S")]);
}

/// Counts how often it is asked.
#[derive(Default)]
struct Counting(Cell<u32>);

impl Keyer for Counting {
    fn key(&self, _: NodeId, inputs: &[ArtifactDigest]) -> Key {
        self.0.set(self.0.get() + 1);
        Key(inputs[0].0)
    }
}

#[test]
fn each_key_is_computed_once_a_wave_along_a_chain_of_any_length() {
    const STAGES: u32 = 20_000;
    let keyer = Rc::new(Counting::default());
    let mut e = Engine::new(keyer.clone());
    e.declare_source(NodeId(0));
    // Declared from the end, so that the order of declaration is of no help.
    for stage in (1..=STAGES).rev() {
        e.declare_stage(NodeId(stage), 1);
        e.edge(Edge { from: NodeId(stage - 1), output: 0, to: NodeId(stage), slot: 0 });
        e.placed(NodeId(stage), Key(digest("s").0), outputs(&["s"]));
    }
    for (wave, how) in (1..).zip([UpToDate, Unchanged]) {
        let commands = sources(&mut e, &[(0, "s")]);
        let settled = |stage| Command::Settled { stage: NodeId(stage), key: Some(Key(digest("s").0)), how };
        assert!(commands.iter().cloned().eq((1..=STAGES).map(settled)));
        assert_eq!(keyer.0.get(), wave * STAGES);
    }
}
