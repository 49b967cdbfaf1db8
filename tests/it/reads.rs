//! A built-in stage works with the bytes that its key says or with none: a file that is another one while it is read fails the
//! stage, also where it is put back before anybody else looks; and once it is put back, the stage gives what it always gives.
//!
//! The file is exchanged by a program in the place of the worker, before it starts the real one, and put back after that has
//! ended. So nothing depends on who is quicker.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use crate::pipelines::{Pipeline, training};
use crate::space::{Ran, Space, grey_png};

const FROM_FILES: &str = r#"[models.given]
arch = "small"
init = "given.safetensors"
[stages.train]
kind = "inter-training"
method = "advent"
model = "given"
source = "source"
target = "target"
order = "sequential"
iterations = 6
discriminator_width = 4
discriminator_init = "judge.safetensors"
dataset = "test"
evaluate_every = 4
[stages.again]
kind = "inter-training"
method = "source-only"
model = "small"
weights = "given.safetensors"
source = "source"
iterations = 1
[stages.import]
kind = "checkpoint-import"
file = "given.safetensors"
model = "small"
"#;

/// A training, and whatever may begin with a file of weights.
fn pipeline() -> Pipeline {
    let pipeline = training().set("pipeline.device", "cpu").adapted().inferred().evaluated().add(FROM_FILES);
    let given = "weights = \"given.safetensors\"\nmodel = \"small\"\n";
    let pipeline = pipeline.with("stages.entropy", given).with("stages.evaluate", given);
    pipeline.folder("source").folder("target").folder("test")
}

/// With six images of each data set, and weights in files: those that the pipeline names, and others.
fn prepared() -> Space {
    let space = Space::with(pipeline());
    for number in 0..6u8 {
        for (set, base) in [("source", 0), ("target", 80), ("test", 160)] {
            space.write(&format!("{set}/images/{number}.png"), grey_png(64, 32, base + 10 * number));
            space.write(&format!("{set}/labels/{number}.png"), grey_png(64, 32, number));
        }
    }
    for (seed, weights, judge) in [("1", "given", "judge"), ("2", "other", "other-judge")] {
        space.run(&format!("p.toml inter --set stages.inter.seed={seed}"));
        space.write(&format!("{weights}.safetensors"), space.bytes("runs/p/inter/model.safetensors"));
        space.write(&format!("{judge}.safetensors"), space.bytes("runs/p/inter/discriminator.safetensors"));
    }
    space.write("other.png", grey_png(64, 32, 5));
    space
}

/// Runs a stage, with nothing in the cache `cache` but what was run with that before.
fn run(space: &Space, stage: &str, cache: &str, worker: Option<PathBuf>) -> Ran {
    let cache = space.path(cache).display().to_string();
    let mut command = space.command(&format!("run p.toml {stage} --cache {cache} --format json"));
    worker.map(|worker| command.env("INTRADA_WORKER", worker));
    Ran::of(command.output().unwrap())
}

fn results(space: &Space, stage: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    space.results(&format!("runs/p/{stage}"))
}

/// A worker during which `file` is what `swap` makes of it; it then is again what it was.
fn disturbing(space: &Space, file: &str, swap: &str) -> PathBuf {
    let real = PathBuf::from(env!("CARGO_BIN_EXE_intrada-run")).with_file_name("intrada-worker");
    let (top, real) = (space.path(""), real.display().to_string());
    // Asked to end, the shell waits for the worker, which was asked as well.
    let script = format!(
        "#!/bin/sh\ncase $1 in --describe|--try-weights) exec {real} \"$@\";; esac\ntrap : TERM\ncd {}\n\
         cp -p {file} kept; {swap}\n{real} \"$@\"; end=$?\nrm {file}; mv kept {file}; exit $end\n",
        top.display()
    );
    space.write("worker", script);
    std::fs::set_permissions(space.path("worker"), std::fs::Permissions::from_mode(0o755)).unwrap();
    space.path("worker")
}

/// That each of these files, exchanged while the stage runs, fails it by name, and that with the file put back it goes on to
/// the results of a run that nobody disturbed.
fn assert_nothing_is_made_of_another(space: &Space, stage: &str, files: &[(&str, &str)]) {
    let undisturbed = run(space, stage, "undisturbed", None);
    assert_eq!(undisturbed.code, Some(0), "{}\n{}", undisturbed.stdout, undisturbed.stderr);
    let expected = results(space, stage);
    for (number, (file, other)) in files.iter().enumerate() {
        // Written into, and exchanged for a link.
        let swaps = [format!("cp {other} {file}"), format!("ln -sf $PWD/{other} {file}")];
        let swap = &swaps[number % 2];
        let (before, cache) = (space.bytes(file), format!("cache-{stage}-{}", file.replace('/', "-")));
        let disturbed = run(space, stage, &cache, Some(disturbing(space, file, swap)));
        assert_eq!(disturbed.code, Some(1), "{swap}: {}\n{}", disturbed.stdout, disturbed.stderr);
        let settled = disturbed.outcome(stage);
        assert_eq!(settled.outcome, "failed", "{swap}: {settled:?}");
        assert!(settled.reason.contains(file) && settled.reason.contains("changed"), "{swap}: {settled:?}");
        assert!(space.bytes(file) == before, "it was put back");
        let again = run(space, stage, &cache, None);
        assert_eq!(again.outcome(stage).outcome, "ran", "{swap}: {}\n{}", again.stdout, again.stderr);
        let found = results(space, stage);
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{swap}");
        found.iter().for_each(|(path, bytes)| assert!(expected[path] == *bytes, "{swap}: {} differs", path.display()));
    }
}

#[test]
fn a_training_is_made_of_the_images_labels_and_weights_that_its_key_says() {
    let space = prepared();
    let pictures = [
        ("source/images/4.png", "other.png"),
        ("source/labels/3.png", "source/labels/1.png"),
        ("target/images/4.png", "other.png"),
        ("test/images/2.png", "other.png"),
        ("test/labels/2.png", "test/labels/1.png"),
    ];
    assert_nothing_is_made_of_another(&space, "train", &pictures);
    let weights = [("given.safetensors", "other.safetensors"), ("judge.safetensors", "other-judge.safetensors")];
    assert_nothing_is_made_of_another(&space, "train", &weights);
    assert_nothing_is_made_of_another(&space, "again", &[("given.safetensors", "other.safetensors")]);
}

#[test]
fn an_import_an_evaluation_and_an_inference_are_made_of_the_files_that_their_keys_say() {
    let space = prepared();
    let weights = ("given.safetensors", "other.safetensors");
    assert_nothing_is_made_of_another(&space, "import", &[weights]);
    let test = [weights, ("test/images/2.png", "other.png"), ("test/labels/2.png", "test/labels/1.png")];
    assert_nothing_is_made_of_another(&space, "evaluate", &test);
    assert_nothing_is_made_of_another(&space, "entropy", &[weights, ("target/images/5.png", "other.png")]);
}

#[test]
fn what_changes_after_it_was_read_leaves_the_result_what_it_is() {
    let space = prepared();
    assert_eq!(run(&space, "import", "undisturbed", None).code, Some(0));
    let expected = results(&space, "import");
    // The worker has read the file when it has ended; the runner hasn't taken the result in yet.
    let real = PathBuf::from(env!("CARGO_BIN_EXE_intrada-run")).with_file_name("intrada-worker");
    let script = format!(
        "#!/bin/sh\n{0} \"$@\" || exit 1\n[ $1 = --try-weights ] || cp {2} {1}\n",
        real.display(),
        space.path("given.safetensors").display(),
        space.path("other.safetensors").display()
    );
    let worker = disturbing(&space, "given.safetensors", "");
    space.write("worker", script);
    let given = space.bytes("given.safetensors");
    let ran = run(&space, "import", "late", Some(worker));
    assert_eq!(ran.outcome("import").outcome, "ran", "{}\n{}", ran.stdout, ran.stderr);
    assert!(space.bytes("given.safetensors") != given, "it was edited");
    assert!(results(&space, "import") == expected);
    assert_eq!(run(&space, "import", "late", None).outcome("import").outcome, "ran", "another file has another key");
    assert!(results(&space, "import") != expected);
    space.write("given.safetensors", given);
    assert_eq!(run(&space, "import", "late", None).outcome("import").outcome, "hit", "the first is still there");
    assert!(results(&space, "import") == expected);
}

#[test]
fn a_training_is_stopped_with_all_it_did_when_a_picture_changes_that_it_does_not_even_read_again() {
    let space = prepared();
    // Small enough to be kept in memory once they were read, and far from the end.
    let ever =
        "run p.toml again --set stages.again.iterations=100000000 --set stages.again.schedule_iterations=100000000";
    let run = space.command(&format!("{ever} --format json")).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut run = run.unwrap();
    space.wait_for_lines(&mut run, "losses.jsonl", 20);
    assert!(run.try_wait().unwrap().is_none(), "the training ended before it was to be disturbed");
    let before = space.bytes("source/images/2.png");
    space.write("source/images/2.png", grey_png(64, 32, 201));
    let ran = Ran::of(run.wait_with_output().unwrap());
    let settled = ran.outcome("again");
    assert_eq!((ran.code, settled.outcome.as_str()), (Some(1), "failed"), "{}", ran.stdout);
    assert!(settled.reason.starts_with("`source/images/2.png` changed while it ran"), "{settled:?}");
    let warned = |event: &serde_json::Value| event["event"] == "warning" && event.to_string().contains("2.png");
    assert!(ran.events().iter().any(warned), "{}", ran.stdout);
    let plan = || space.intrada(&ever.replace("run ", "plan ")).stdout;
    assert!(!plan().contains("resumes at"), "another picture has another key: {}", plan());
    space.write("source/images/2.png", before);
    assert!(plan().contains("resumes at"), "{}", plan());
}
