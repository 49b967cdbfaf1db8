//! Stages that fail and are tried again, and stages that take too long.

use std::process::Command;

use crate::pipelines::{Pipeline, training};
use crate::space::Space;
use crate::space::waiting::wait_until;

/// One command that runs this line.
fn stage(shell: &str) -> Pipeline {
    Pipeline::new().command("a", shell, [], ["out"])
}

#[test]
fn a_stage_that_fails_is_tried_again_as_often_as_it_says() {
    let shell = "echo try >> tries; echo heard; [ $(wc -l < tries) -ge 3 ] && touch out";
    let space = Space::with(stage(shell).set("stages.a.retries", 2));
    let ran = space.intrada("run p.toml --format json");
    assert_eq!((ran.code, &*ran.outcome("a").outcome), (Some(0), "ran"), "{}", ran.stdout);
    let events = ran.events();
    let retries: Vec<_> = events.iter().filter(|event| event["event"] == "stage-retrying").collect();
    assert_eq!(retries.iter().map(|event| event["attempt"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 3]);
    assert!(retries[0]["reason"].as_str().unwrap().ends_with("ended with exit status 1"), "{}", ran.stdout);
    let log = space.intrada("log p.toml a").stdout;
    assert_eq!(log.matches("heard\n").count(), 3, "{log}");
    assert!(log.contains("intrada-run: attempt 3 of 3, as the one before failed: "), "{log}");
    // How often it may fail is no part of its key.
    space.edit("p.toml", "retries = 2\n", "timeout = \"1 h\"\n");
    assert_eq!(space.outcomes(), ["a:up-to-date"]);
}

#[test]
fn a_stage_whose_tries_are_used_up_has_failed() {
    let space = Space::with(stage("echo try >> tries; exit 7").set("stages.a.retries", 1));
    let ran = space.intrada("run p.toml");
    assert_eq!(ran.code, Some(1));
    assert_eq!(space.read("tries"), "try\ntry\n");
    assert!(ran.stderr.contains("retrying") && ran.stderr.contains("attempt 2 of 2"), "{}", ran.stderr);
    assert!(ran.stderr.contains("exit status 7"), "{}", ran.stderr);
}

#[test]
fn a_stage_is_not_tried_again_on_inputs_that_changed_meanwhile() {
    let pipeline = stage("echo try >> tries; echo more >> in; exit 1").set("stages.a.inputs", ["in"]);
    let space = Space::with(pipeline.set("stages.a.retries", 5));
    space.write("in", "as it was\n");
    assert_eq!(space.intrada("run p.toml").code, Some(1));
    assert_eq!(space.read("tries"), "try\n");
}

#[test]
fn a_stage_that_takes_too_long_is_asked_to_save_and_goes_on_when_it_is_tried_again() {
    let shell = r#"
        if [ -e $INTRADA_CKPT/half ]; then cp $INTRADA_CKPT/half out; exit; fi
        trap 'echo half > $INTRADA_CKPT/half; exit 1' TERM
        while :; do sleep 0.02; done
    "#;
    let space = Space::with(stage(shell).set("stages.a.timeout", "0.5 s"));
    let ran = space.intrada("run p.toml");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("it took longer than its `timeout`, 0.5 s, and was stopped"), "{}", ran.stderr);
    assert!(ran.stderr.contains("help: a longer `timeout`"), "{}", ran.stderr);
    assert_eq!(space.outcomes(), ["a:ran"]);
    assert_eq!(space.read("out"), "half\n");

    let space = Space::with(stage(shell).set("stages.a.timeout", "0.5 s").set("stages.a.retries", 1));
    assert_eq!(space.outcomes(), ["a:ran"]);
    assert_eq!(space.read("out"), "half\n");
}

#[test]
fn what_a_stage_wrote_before_it_was_too_late_is_no_result() {
    let shell = "trap 'exit 0' TERM; echo half > out; while :; do sleep 0.02; done";
    let space = Space::with(stage(shell).set("stages.a.timeout", "0.5 s"));
    assert_eq!(space.intrada("run p.toml").code, Some(1));
    assert!(space.objects().is_empty());
}

#[test]
fn of_a_stage_that_only_failed_plan_and_why_say_when_and_how() {
    let space = Space::with(stage("exit 7"));
    assert!(space.intrada("why p.toml a").stdout.contains("has not run in this workspace"));
    assert_eq!(space.intrada("run p.toml").code, Some(1));
    let why = space.intrada("why p.toml a").stdout;
    assert!(
        why.starts_with("a has never succeeded in this workspace; it failed ") && why.contains("with its current key"),
        "{why}"
    );
    assert!(why.contains("ended with exit status 7"), "{why}");
    assert!(space.intrada("plan p.toml").stdout.contains("  failed 0."), "{}", space.intrada("plan p.toml").stdout);
    space.edit("p.toml", "exit 7", "exit 8");
    assert!(space.intrada("why p.toml a").stdout.contains("with another key"));
    space.edit("p.toml", "exit 8", "touch out");
    assert_eq!(space.outcomes(), ["a:ran"]);
    assert!(space.intrada("why p.toml a").stdout.contains("is up to date"));
}

#[test]
fn a_failure_is_known_while_others_still_run_and_after_the_run_was_killed() {
    let space = Space::with(stage("exit 7").command("b", "cat pipe > b", [], ["b"]));
    assert!(Command::new("mkfifo").arg(space.path("pipe")).status().unwrap().success());
    let mut run = space.start("run p.toml --jobs 2");
    wait_until("the failure", || space.intrada("why p.toml a").stdout.contains("ended with exit status 7"));
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(space.intrada("plan p.toml").stdout.contains("  failed "), "{}", space.intrada("plan p.toml").stdout);
}

#[test]
fn python_may_keep_its_bytecode_beside_what_it_imports() {
    let space = Space::with(
        stage("mkdir -p in/__pycache__; date +%N | tee in/__pycache__/a.pyc > out").set("stages.a.inputs", ["in"]),
    );
    space.write("in/a.py", "");
    assert_eq!(space.intrada("run p.toml").code, Some(0));
    let first = space.read("out");
    assert_eq!(space.outcomes(), ["a:up-to-date"]);
    space.write("in/__pycache__/a.pyc", "of another Python");
    space.remove("out");
    assert_eq!(space.outcomes(), ["a:hit"]);
    assert_eq!(space.read("out"), first);
}

#[test]
fn a_file_that_is_added_to_an_input_folder_meanwhile_is_named() {
    let space = Space::with(stage("ls in > out; touch in/new; rm in/old").set("stages.a.inputs", ["in"]));
    space.write("in/old", "");
    let ran = space.intrada("run p.toml");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("`in/new`, `in/old` changed while the stage ran"), "{}", ran.stderr);
    assert!(space.objects().is_empty(), "nothing is kept under the key of the folder as it was");
}

#[test]
fn a_missing_worker_is_told_before_anything_has_run() {
    let space = Space::with(training().command("a", "exit 1", [], ["out"]));
    for command in ["plan p.toml", "run p.toml"] {
        let mut command = space.command(command);
        let ran = crate::space::Ran::of(command.env("INTRADA_WORKER", "no/such").output().unwrap());
        let first = ran.stderr.lines().next().unwrap_or_default();
        assert_eq!(first, "warning: INTRADA_WORKER names no/such, which does not exist", "{}", ran.stderr);
    }
}
