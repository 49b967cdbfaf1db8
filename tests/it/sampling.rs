//! Trainings that choose their labelled images: by rare classes, which a stage has counted.

use serde_json::{Value, json};

use crate::pipelines::{Pipeline, method, training};
use crate::space::{Ran, Space, grey_png};

/// Counts the labels of a data set.
fn counted(dataset: &str) -> String {
    format!("[stages.counts]\nkind = \"class-statistics\"\ndataset = \"{dataset}\"\n")
}

/// A training on `counts`, whatever these are of.
fn rare(pipeline: Pipeline, stage: &str, min_pixels: u32) -> Pipeline {
    let lines = format!(
        "rare_class_sampling = true\nclass_counts = \"counts\"\nrare_class_min_pixels = {min_pixels}\n\
         rare_class_temperature = 0.5\ncrop = [32, 32]\ncrop_max_share = 0.75\n"
    );
    pipeline.with(stage, &lines)
}

fn notes(ran: &Ran, stage: &str) -> Value {
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let events = ran.events();
    let is_it = |event: &&Value| event["event"] == "stage-finished" && event["stage"] == stage;
    events.iter().find(is_it).expect("the stage settles")["notes"].clone()
}

/// Three labels of 64 × 32: one of class 0, one of class 1, one of class 255.
fn folder() -> Space {
    let pipeline = training().classes(["ground", "sky"]).folder("source").add(&counted("source"));
    let space = Space::with(pipeline);
    for (name, class) in [("a", 0), ("b", 1), ("c", 255)] {
        add(&space, name, class);
    }
    space
}

fn add(space: &Space, name: &str, class: u8) {
    space.write(&format!("source/images/{name}.png"), grey_png(64, 32, name.as_bytes()[0]));
    space.write(&format!("source/labels/{name}.png"), grey_png(64, 32, class));
}

fn counts(space: &Space) -> Vec<Value> {
    let text = space.read("runs/p/counts/class_counts.jsonl");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn labels_are_counted_once_each_and_shards_give_the_same_bytes() {
    let space = folder();
    let run = |space: &Space| notes(&space.intrada("run p.toml counts --format json"), "counts");
    let said = run(&space);
    assert_eq!(said["summary"], "3 labels, 66.7 % of their pixels labelled");
    assert_eq!(said["classes"], "ground 50.000 %, sky 50.000 %");
    let of =
        |image: &str, pixels: [u32; 2], ignored: u32| json!({ "image": image, "pixels": pixels, "ignored": ignored });
    let expected = [
        json!({ "images": 3, "pixels": [2048, 2048], "ignored": 2048 }),
        of("a.png", [2048, 0], 0),
        of("b.png", [0, 2048], 0),
        of("c.png", [0, 0], 2048),
    ];
    assert_eq!(counts(&space), expected);
    add(&space, "d", 1);
    assert_eq!(run(&space)["summary"], "4 labels, 3 reused, 75.0 % of their pixels labelled");
    let bytes = space.bytes("runs/p/counts/class_counts.jsonl");
    space.remove("cache");
    space.edit("p.toml", "kind = \"class-statistics\"", "kind = \"class-statistics\"\nshards = 2");
    assert_eq!(run(&space)["shards"], "2");
    assert_eq!(space.bytes("runs/p/counts/class_counts.jsonl"), bytes);
}

#[test]
fn counting_takes_a_labels_own_size_and_the_map_of_its_data_set() {
    let space = folder();
    space.edit("p.toml", "root = \"source\"", "root = \"source\"\nsize = [32, 16]\nmap = { 1 = 255 }");
    space.run("p.toml counts");
    assert_eq!(counts(&space)[0], json!({ "images": 3, "pixels": [2048, 0], "ignored": 4096 }));
}

#[test]
fn a_training_draws_by_rare_classes_and_a_default_changes_no_key() {
    let plain = training().set("stages.inter.crop", [32, 32]);
    let space = Space::with(&*plain);
    space.run("p.toml");
    let more = "rare_class_sampling = false\ncrop_max_share = 1.0\n";
    space.write("p.toml", plain.clone().with("stages.inter", more));
    assert_eq!(space.outcomes(), ["inter:up-to-date"]);
    space.write("p.toml", rare(plain.add(&counted("source")), "stages.inter", 0));
    let said = notes(&space.intrada("run p.toml --format json"), "inter");
    assert!(said["rare_classes"].as_str().unwrap().contains("pole "), "{said}");
    assert_eq!(space.outcomes(), ["counts:up-to-date", "inter:up-to-date"]);
}

#[test]
fn classes_that_no_image_has_enough_of_are_told_before_the_first_step() {
    let space = Space::with(rare(training().add(&counted("source")), "stages.inter", 1_000_000));
    let ran = space.intrada("p.toml");
    assert_ne!(ran.code, Some(0));
    for text in ["rare_class_min_pixels = 1000000", "pole (at most ", "lower `rare_class_min_pixels`"] {
        assert!(ran.stderr.contains(text) || ran.stdout.contains(text), "{text:?}: {}{}", ran.stdout, ran.stderr);
    }
    assert!(!space.path("runs/p/inter/losses.jsonl").exists());
}

#[test]
fn counts_of_other_labels_are_refused_by_name() {
    let pipeline = rare(training().add(&counted("other")), "stages.inter", 0).scenes("other", "source", 9, 2);
    let ran = Space::with(pipeline).intrada("plan p.toml");
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("`counts` counts the labels of `other`, not of `source`"), "{}", ran.stderr);
}

#[test]
fn pseudo_labels_can_be_counted_too() {
    let counts = "[stages.counts]\nkind = \"class-statistics\"\nlabels = \"pseudo\"\n";
    let space = Space::with(rare(method().add(counts), "stages.intra", 0));
    let ran = space.intrada("run p.toml intra --format json");
    assert_eq!(notes(&ran, "counts")["summary"], "6 labels, 100.0 % of their pixels labelled");
    assert!(notes(&ran, "intra")["rare_classes"].is_string());
}
