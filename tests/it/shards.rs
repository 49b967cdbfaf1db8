//! Stages that are split over several jobs: the same bytes, and a job that is killed costs what it was at.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::pipelines::{Pipeline, training};
use crate::space::processes::{descendants, is_alive, kill};
use crate::space::waiting::wait_for;
use crate::space::{Ran, Space, files, grey_png};

/// An inference and an evaluation of two networks, on scenes or on the folders `target` and `test`.
fn pipeline() -> Pipeline {
    let other = "[stages.other]\nkind = \"inter-training\"\nmethod = \"source-only\"\nmodel = \"small\"\n\
                 source = \"source\"\niterations = 1\n";
    let pipeline = training().set("pipeline.device", "cpu").set("stages.inter.iterations", 1).add(other);
    let pipeline = pipeline.scenes("target", "target", 2, 5).inferred().evaluated().set("datasets.test.count", 7);
    pipeline.set("stages.evaluate.weights", ["inter", "other"]).set("stages.evaluate.overlays", 3)
}

/// On files: some images are there twice.
fn folders() -> Space {
    let space = Space::with(pipeline().folder("target").folder("test"));
    for number in 0..6u8 {
        space.write(&format!("target/images/{number}.png"), grey_png(64, 32, 20 * (number % 5)));
        space.write(&format!("test/images/town/{number}.png"), grey_png(64, 32, 30 * (number % 5)));
        space.write(&format!("test/labels/town/{number}.png"), grey_png(64, 32, number % 5 % 4));
    }
    space
}

/// Both stages split so.
fn split(space: &Space, how: Option<&str>) {
    let lines = space.read("p.toml");
    let lines = lines.lines().filter(|line| !line.starts_with("shard"));
    let more = |line: &str| match (line, how) {
        ("kind = \"entropy-inference\"" | "kind = \"evaluation\"", Some(how)) => format!("{line}\n{how}\n"),
        _ => format!("{line}\n"),
    };
    space.write("p.toml", lines.map(more).collect::<String>());
}

/// What a stage that ran says of itself.
fn notes(ran: &Ran, stage: &str) -> serde_json::Value {
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let is_it = |event: &&serde_json::Value| event["event"] == "stage-finished" && event["stage"] == stage;
    let events = ran.events();
    let finished = events.iter().find(is_it).expect("the stage settles");
    assert_eq!(finished["outcome"], "ran", "{finished}");
    finished["notes"].clone()
}

fn run(space: &Space, more: &str) -> Ran {
    space.intrada(&format!("run p.toml --format json {more}"))
}

#[test]
fn however_a_stage_is_split_it_gives_the_same_bytes() {
    for space in [Space::with(pipeline()), folders()] {
        let mut expected = None;
        let ways = [
            (None, None),
            (Some("shards = 1"), None),
            (Some("shards = 2"), Some("2")),
            (Some("shards = 4"), Some("4")),
        ];
        for (how, shards) in ways.into_iter().chain([(Some("shard_items = 2"), Some("3")), (Some("shards = 99"), None)])
        {
            split(&space, how);
            let ran = run(&space, "");
            for stage in ["entropy", "evaluate"] {
                let notes = notes(&ran, stage);
                assert!(!notes["summary"].as_str().unwrap().contains("reused"), "{how:?}: {notes}");
                if let Some(shards) = shards.filter(|shards| stage == "entropy" || *shards != "3") {
                    assert_eq!(notes["shards"], shards, "{how:?}");
                }
            }
            let results = space.results("runs/p/entropy").into_iter().chain(space.results("runs/p/evaluate"));
            let results: Vec<(PathBuf, Vec<u8>)> = results.collect();
            assert!(results.len() > 20);
            let expected = expected.get_or_insert_with(|| results.clone());
            for (a, b) in results.iter().zip(&*expected) {
                assert!(a == b, "{how:?}: {} differs from {}", a.0.display(), b.0.display());
            }
            assert_eq!(results.len(), expected.len());
            space.remove("cache");
        }
    }
}

#[test]
fn how_a_stage_is_split_is_no_part_of_its_key() {
    let space = Space::with(pipeline());
    // In any order, as two stages may end at the same time.
    let keys = |space: &Space| space.run("p.toml").into_iter().map(|s| (s.stage, s.key)).collect::<BTreeMap<_, _>>();
    let before = keys(&space);
    split(&space, Some("shards = 3"));
    assert_eq!(keys(&space), before);
    assert!(space.outcomes().iter().all(|outcome| outcome.ends_with(":up-to-date")), "{:?}", space.outcomes());
}

/// A label more, or a network less, and what is known of the other images is reused.
#[test]
fn an_evaluation_measures_images_that_are_new_or_changed_and_no_other() {
    let space = folders();
    let summary = |space: &Space| {
        let said = notes(&run(space, "evaluate"), "evaluate")["summary"].as_str().unwrap().to_owned();
        said.split_once(" (").map(|(_, rest)| rest.to_owned())
    };
    assert_eq!(summary(&space), None);
    space.write("test/labels/town/2.png", grey_png(64, 32, 1));
    assert_eq!(summary(&space).as_deref(), Some("5 of 6 images reused)"));
    let found = space.results("runs/p/evaluate");
    assert_eq!(
        notes(&run(&space, "evaluate --cache fresh"), "evaluate")["summary"].as_str().unwrap().matches('(').count(),
        0
    );
    assert!(space.results("runs/p/evaluate") == found, "the bytes are those of a full pass");
}

/// A split inference of images large enough to be caught in the middle.
fn space_with_large_images() -> Space {
    let space = Space::with(
        pipeline()
            .folder("target")
            .set("stages.entropy.shards", 2)
            .with("stages.entropy", "resources = { cpu = 1 }")
            .add("[resources]\ncpu = 2\n"),
    );
    for number in 0..40u8 {
        space.write(&format!("target/images/{number:03}.png"), grey_png(512, 256, 6 * number));
    }
    space.run("p.toml inter");
    space
}

/// The findings of all jobs under way or ended.
fn handed_in(space: &Space) -> Vec<usize> {
    let found = files(&space.path("cache/slots")).into_iter().filter(|path| path.ends_with("items/findings"));
    let lines = |path: PathBuf| std::fs::read_to_string(path).unwrap().lines().filter(|line| !line.is_empty()).count();
    found.map(lines).collect()
}

fn start(space: &Space) -> Child {
    let run = space.command("run p.toml entropy --format json").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut run = run.unwrap();
    let both = || (handed_in(space).iter().filter(|lines| **lines >= 2).count() == 2).then_some(());
    wait_for("findings of two jobs", || both().or_else(|| run.try_wait().unwrap().map(|_| ())));
    assert!(run.try_wait().unwrap().is_none(), "the pass ended before it was to be disturbed");
    run
}

/// The workers of a run.
fn workers(run: &Child) -> Vec<u32> {
    let is_worker = |pid: &u32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.starts_with("intrada-worker")
    };
    descendants(run.id()).into_iter().filter(is_worker).collect()
}

fn reused(notes: &serde_json::Value) -> usize {
    let said = notes["summary"].as_str().unwrap();
    let reused = said.strip_prefix("40 images, ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    reused.unwrap_or_else(|| panic!("{said}"))
}

#[test]
fn a_job_that_is_killed_costs_the_rest_of_its_own_part() {
    let space = space_with_large_images();
    let run_under_way = start(&space);
    let workers = workers(&run_under_way);
    let [one, _] = workers[..] else { panic!("two workers: {workers:?}") };
    assert!(kill(one, "-KILL"));
    let ran = Ran::of(run_under_way.wait_with_output().unwrap());
    let settled = ran.outcome("entropy");
    assert_eq!(settled.outcome, "failed");
    assert!(settled.reason.contains(" of 2: the worker was killed by signal 9"), "{}", settled.reason);
    let left = handed_in(&space);
    assert!(left.contains(&20) && left.iter().sum::<usize>() < 40, "the other job went on to its end: {left:?}");

    let notes = notes(&run(&space, "entropy"), "entropy");
    assert_eq!(reused(&notes), left.iter().sum::<usize>());
    let found = space.results("runs/p/entropy");
    run(&space, "entropy --cache fresh");
    assert!(space.results("runs/p/entropy") == found, "the bytes are those of an undisturbed pass");
}

#[test]
fn an_interrupt_reaches_all_jobs_and_the_next_run_goes_on_though_it_is_split_in_another_way() {
    let space = space_with_large_images();
    let run_under_way = start(&space);
    let workers = workers(&run_under_way);
    assert!(kill(run_under_way.id(), "-INT"));
    let ran = Ran::of(run_under_way.wait_with_output().unwrap());
    assert_eq!(ran.outcome("entropy").outcome, "cancelled", "{}", ran.stdout);
    assert!(workers.iter().all(|worker| !is_alive(*worker)));
    let left: usize = handed_in(&space).iter().sum();
    assert_eq!(ran.outcome("entropy").reason, format!("stopped at {left}; the same command resumes there"));
    space.edit("p.toml", "shards = 2", "shard_items = 9");
    assert_eq!(reused(&notes(&run(&space, "entropy"), "entropy")), left);
}
