//! A training that is killed goes on in the middle and ends with the bytes of one that never was.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::pipelines::{Pipeline, training};
use crate::space::Space;
use crate::space::processes::{children, is_alive, kill};
use crate::space::waiting::{wait_for, wait_until};

const STEPS: &str = r#"iterations = 40
schedule_iterations = 40
batch = 2
flip = true
colour_jitter = 0.3
optimizer = "adam"
learning_rate = 2e-3
discriminator_width = 8
checkpoint_every = 3
"#;

fn pipeline() -> Pipeline {
    let pipeline = training().adapted().with("stages.inter", STEPS);
    pipeline.without("datasets.source.size").without("datasets.target.size")
}

/// A line an iteration.
const LOSSES: &str = "losses.jsonl";

fn undisturbed() -> BTreeMap<PathBuf, Vec<u8>> {
    let space = Space::with(pipeline());
    space.run("p.toml");
    outputs(&space)
}

fn outputs(space: &Space) -> BTreeMap<PathBuf, Vec<u8>> {
    space.results("runs/p/inter")
}

/// A run of which the training has done so many iterations, or has ended.
fn started(space: &Space, iterations: usize) -> Child {
    let mut run = space.start("p.toml");
    space.wait_for_lines(&mut run, LOSSES, iterations);
    run
}

fn worker_of(runner: u32) -> Option<u32> {
    children(runner).pop()
}

#[test]
fn a_training_killed_again_and_again_ends_with_the_bytes_of_an_undisturbed_one() {
    let expected = undisturbed();
    let space = Space::with(pipeline());
    let mut was_cut = false;
    // At moments that fall before, on and between checkpoints; whom the kill hits alternates.
    for (i, iterations) in [1, 4, 6, 11, 17, 23, 30, 38].into_iter().enumerate() {
        let mut run = started(&space, iterations);
        match (i % 2, worker_of(run.id())) {
            // `false`: on a busy machine it has ended by now.
            (0, Some(worker)) => drop(kill(worker, "-KILL")),
            _ => run.kill().unwrap(),
        }
        was_cut = !run.wait().unwrap().success();
    }
    let ran = space.intrada("run p.toml --format json");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let has_resumed = ran.events().iter().any(|event| event["event"] == "stage-resumed");
    assert_eq!(has_resumed, was_cut, "{}", ran.stdout);
    let found = outputs(&space);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    assert_eq!(found.len(), 3 + 1 + 4 + 4 * 10 * 2, "four photographs, at ten moments prediction and entropy");
    for (path, bytes) in &expected {
        assert!(found[path] == *bytes, "{} differs", path.display());
    }
    assert!(crate::space::files(&space.path("cache/slots")).is_empty(), "the slot goes when the stage is published");
}

#[cfg(target_os = "linux")]
#[test]
fn a_worker_dies_with_its_runner() {
    let space = Space::with(pipeline());
    let mut run = started(&space, 2);
    let worker = worker_of(run.id()).expect("it trains");
    run.kill().unwrap();
    run.wait().unwrap();
    wait_until("the end of the worker", || !is_alive(worker));
}

#[test]
fn an_interrupt_saves_a_checkpoint_and_ends_with_130() {
    let expected = undisturbed();
    let space = Space::with(pipeline().without("stages.inter.checkpoint_every"));
    let mut run = started(&space, 5);
    assert!(kill(run.id(), "-INT"));
    let status = run.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(
        crate::space::files(&space.path("cache/slots")).iter().any(|path| path.ends_with("checkpoint.safetensors"))
    );
    let plan = space.intrada("plan p.toml").stdout;
    let at = plan.split("; resumes at ").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    assert!(at.is_some_and(|at| (5..40).contains(&at)), "{plan}");
    assert_eq!(space.intrada("why p.toml inter").stdout, "inter: its last run did not end\n", "as the plan says");
    space.run("p.toml");
    assert!(outputs(&space) == expected);
}

#[test]
fn a_killed_worker_fails_its_stage_and_is_named_with_its_signal() {
    let space = Space::with(pipeline());
    let run = space.command("run p.toml --format json").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let worker = wait_for("the training", || worker_of(run.id()).filter(|_| space.lines_in_slot(LOSSES) >= 2));
    assert!(kill(worker, "-KILL"));
    let ran = crate::space::Ran::of(run.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(1));
    let settled = ran.outcome("inter");
    assert_eq!(settled.outcome, "failed");
    assert!(settled.reason.contains("signal 9"), "{}", settled.reason);
    // What is left of it, where it was killed after its first checkpoint, and that it goes on there.
    let space = Space::with(pipeline());
    let run = space.command("run p.toml").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let worker = wait_for("the training", || worker_of(run.id()).filter(|_| space.lines_in_slot(LOSSES) >= 8));
    assert!(kill(worker, "-KILL"));
    let failed = crate::space::Ran::of(run.wait_with_output().unwrap()).stderr;
    let kept = failed.split_once("the checkpoint after ").and_then(|(_, rest)| rest.split_once(" iterations is kept"));
    let kept = kept.map(|(number, _)| number.to_owned()).unwrap_or_else(|| panic!("{failed}"));
    let again = space.intrada("run p.toml").stderr;
    let closing = again.lines().find(|line| line.contains(" ran ")).unwrap();
    assert!(closing.contains(&format!("40 iterations, resumed at {kept}, ")), "{again}");
}
