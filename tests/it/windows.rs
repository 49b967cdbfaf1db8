//! Stages that look at images through a sliding window, or also at their mirror images.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::pipelines::{Pipeline, training};
use crate::space::Space;

/// An inference and an evaluation of one network, of scenes of the size of their labels.
fn pipeline() -> Pipeline {
    let pipeline = training().set("pipeline.device", "cpu").set("stages.inter.iterations", 1);
    let pipeline = pipeline.scenes("target", "target", 2, 3).inferred().evaluated();
    let pipeline =
        ["target", "test"].iter().fold(pipeline, |all, set| all.set(&format!("datasets.{set}.size"), [128, 64]));
    pipeline.set("stages.evaluate.overlays", 1)
}

/// Both stages with these keys.
fn looking(pipeline: Pipeline, lines: &str) -> Pipeline {
    pipeline.with("stages.entropy", lines).with("stages.evaluate", lines)
}

/// What a stage gave. TensorBoard's events also tell of its earlier runs; their files have no ending.
fn outputs(space: &Space, stage: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    space.results(stage).into_iter().filter(|(path, _)| path.extension().is_some()).collect()
}

const SEEN: [&str; 2] = ["runs/p/entropy", "runs/p/evaluate"];

#[test]
fn defaults_are_the_results_of_before_and_other_views_are_others() {
    let space = Space::with(pipeline());
    assert_eq!(space.outcomes(), ["entropy:ran", "evaluate:ran", "inter:ran"]);
    let whole = SEEN.map(|stage| outputs(&space, stage));
    space.write("p.toml", looking(pipeline(), "flip_test = false\n"));
    assert_eq!(space.outcomes(), ["entropy:up-to-date", "evaluate:up-to-date", "inter:up-to-date"]);

    // As large as the scenes: the same bytes, but nobody could know.
    space.write("p.toml", looking(pipeline(), "window = [128, 64]\n"));
    assert_eq!(space.outcomes(), ["entropy:ran", "evaluate:ran", "inter:up-to-date"]);
    assert!(SEEN.map(|stage| outputs(&space, stage)) == whole);
    space.write("p.toml", looking(pipeline(), "window = [128, 64]\nstride = [96, 48]\n"));
    assert_eq!(
        space.outcomes(),
        ["entropy:up-to-date", "evaluate:up-to-date", "inter:up-to-date"],
        "the default stride"
    );

    let mut all = vec![whole.clone()];
    for lines in ["window = [80, 64]\n", "window = [80, 64]\nstride = [24, 64]\n", "flip_test = true\n"] {
        space.write("p.toml", looking(pipeline(), lines));
        assert_eq!(space.outcomes(), ["entropy:ran", "evaluate:ran", "inter:up-to-date"], "{lines}");
        let these = SEEN.map(|stage| outputs(&space, stage));
        assert!(all.iter().all(|others| others[0] != these[0] && others[1] != these[1]), "{lines}");
        all.push(these);
    }

    space.write("p.toml", pipeline());
    assert_eq!(space.outcomes(), ["entropy:hit", "evaluate:hit", "inter:up-to-date"]);
    assert!(SEEN.map(|stage| outputs(&space, stage)) == whole);
}

#[test]
fn images_seen_through_one_window_are_not_taken_for_those_seen_through_another() {
    let windows = |lines: &str, count: u32| looking(pipeline(), lines).set("datasets.target.count", count);
    let space = Space::with(windows("window = [32, 32]\n", 3));
    let run = || {
        let ran = space.intrada("run p.toml entropy --format json");
        assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
        let events = ran.events();
        let of_stage = |event: &&serde_json::Value| event["event"] == "stage-finished" && event["stage"] == "entropy";
        events.iter().find(of_stage).unwrap()["notes"]["summary"].as_str().unwrap().to_owned()
    };
    assert_eq!(run(), "3 images");
    space.write("p.toml", windows("window = [32, 32]\n", 4));
    assert_eq!(run(), "4 images, 3 reused");
    space.write("p.toml", windows("window = [32, 16]\n", 4));
    assert_eq!(run(), "4 images");
    space.write("p.toml", windows("window = [32, 32]\nflip_test = true\n", 4));
    assert_eq!(run(), "4 images");
    space.write("p.toml", windows("flip_test = false\n", 4));
    assert_eq!(run(), "4 images");
    space.write("p.toml", pipeline().set("datasets.target.count", 5));
    assert_eq!(run(), "5 images, 4 reused", "those that were seen whole");
}

#[test]
fn shards_of_windows_give_the_bytes_of_one_pass() {
    let lines = "window = [40, 20]\nflip_test = true\n";
    let space = Space::with(looking(pipeline(), lines));
    space.outcomes();
    let expected = SEEN.map(|stage| outputs(&space, stage));
    space.write("p.toml", looking(pipeline(), &format!("{lines}shards = 2\n")));
    let ran = space.run("p.toml --force entropy --force evaluate");
    assert!(ran.iter().filter(|settled| settled.outcome == "ran").count() >= 2);
    assert!(SEEN.map(|stage| outputs(&space, stage)) == expected);
}
