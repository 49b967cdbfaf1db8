//! Evaluation during a training: what is best, what it is called, and that a kill changes nothing about it.

use crate::pipelines::{Pipeline, training};
use crate::space::processes::kill;
use crate::space::{Space, files, grey_png};
use serde_json::Value;

const STEPS: &str = r#"iterations = 24
schedule_iterations = 24
batch = 2
optimizer = "adam"
learning_rate = 2e-2
dataset = "test"
evaluate_every = 5
checkpoint_every = 3
"#;

fn pipeline() -> Pipeline {
    let pipeline = training().evaluated().with("stages.inter", STEPS);
    let pipeline = pipeline.without("datasets.source.size").without("datasets.test.size");
    pipeline.set("stages.evaluate.weights", ["inter", "inter.best"])
}

fn evaluations(space: &Space) -> Vec<Value> {
    let text = space.read("runs/p/inter/evaluations.jsonl");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const OUTPUTS: [&str; 4] = ["model.safetensors", "best.safetensors", "evaluations.jsonl", "losses.jsonl"];

fn outputs(space: &Space) -> Vec<Vec<u8>> {
    OUTPUTS.iter().map(|name| space.bytes(&format!("runs/p/inter/{name}"))).collect()
}

#[test]
fn best_is_the_network_with_the_best_miou_and_the_stage_itself_the_last_one() {
    let space = Space::with(pipeline());
    let ran = space.intrada("run p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let found = evaluations(&space);
    let iterations: Vec<u64> = found.iter().map(|evaluation| evaluation["iteration"].as_u64().unwrap()).collect();
    assert_eq!(iterations, [5, 10, 15, 20, 24], "every fifth and the last");
    let miou = |evaluation: &Value| evaluation["miou"].as_f64().unwrap();
    let best = found.iter().map(miou).fold(0.0, f64::max);

    let metrics = space.json("runs/p/evaluate/metrics.json");
    assert_eq!(metrics["inter"]["miou"].as_f64(), Some(miou(&found[4])));
    assert_eq!(metrics["inter"]["iou"], found[4]["iou"]);
    // As in the released code, what is better by less than a hundredth of a percent is not.
    assert!((metrics["inter.best"]["miou"].as_f64().unwrap() - best).abs() < 1e-4);
    assert!(ran.stdout.contains("inter.best was chosen by its mIoU on test: with labels"), "{}", ran.stdout);

    let traces: Vec<String> =
        files(&space.path("cache/traces")).iter().map(|t| std::fs::read_to_string(t).unwrap()).collect();
    let selected = format!("mIoU {:.2} %", 100.0 * metrics["inter.best"]["miou"].as_f64().unwrap());
    let is_noted = |trace: &&String| {
        trace.contains("selected_on") && trace.contains("test, iteration") && trace.contains(&selected)
    };
    assert_eq!(traces.iter().filter(is_noted).count(), 1, "{traces:?}");
}

#[test]
fn evaluating_changes_nothing_about_the_training() {
    let with = Space::with(pipeline());
    let without = pipeline().without("stages.inter.dataset").without("stages.inter.evaluate_every");
    let without = Space::with(without.set("stages.evaluate.weights", "inter"));
    with.run("p.toml inter");
    without.run("p.toml inter");
    for name in ["model.safetensors", "losses.jsonl"] {
        let name = format!("runs/p/inter/{name}");
        assert!(with.bytes(&name) == without.bytes(&name), "{name} differs");
    }
    assert!(!without.path("runs/p/inter/best.safetensors").exists());
}

#[test]
fn a_training_killed_between_and_in_evaluations_finds_the_same_best_network() {
    let undisturbed = Space::with(pipeline());
    undisturbed.run("p.toml inter");
    let space = Space::with(pipeline());
    // Killed as soon as there is one evaluation more, wherever the loop is then; once interrupted instead.
    for evaluations in 1..=4 {
        let mut run = space.start("run p.toml inter");
        space.wait_for_lines(&mut run, "evaluations.jsonl", evaluations);
        kill(run.id(), if evaluations == 3 { "-INT" } else { "-KILL" });
        run.wait().unwrap();
    }
    space.run("p.toml inter");
    assert_eq!(evaluations(&space), evaluations(&undisturbed));
    for (name, (found, expected)) in OUTPUTS.iter().zip(outputs(&space).into_iter().zip(outputs(&undisturbed))) {
        assert!(found == expected, "{name} differs");
    }
}

#[test]
fn labels_outside_the_classes_are_told_before_the_training_begins() {
    let space = Space::with(pipeline().folder("test"));
    space.write("test/images/a.png", grey_png(64, 32, 90));
    space.write("test/labels/a.png", grey_png(64, 32, 1));
    space.run("p.toml inter");
    space.write("test/labels/a.png", grey_png(64, 32, 9));
    let ran = space.intrada("run p.toml");
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("value 9 is not one of the 8 classes"), "{}", ran.stderr);
}
