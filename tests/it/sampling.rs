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

/// `inter` on two data sets.
fn two_sources() -> Pipeline {
    let pipeline = training().scenes("other", "source", 7, 3).set("stages.inter.source", ["source", "other"]);
    pipeline.set("stages.inter.batch", 2).set("stages.inter.iterations", 6)
}

#[test]
fn a_training_on_two_data_sets_depends_on_both_and_a_list_of_one_is_that_one() {
    let space = Space::with(training());
    space.run("p.toml");
    space.write("p.toml", training().set("stages.inter.source", ["source"]));
    assert_eq!(space.outcomes(), ["inter:up-to-date"]);
    space.write("p.toml", two_sources());
    assert_eq!(space.outcomes(), ["inter:ran"]);
    let equal = space.bytes("runs/p/inter/model.safetensors");
    space.write("p.toml", two_sources().set("stages.inter.source_shares", [0.1, 0.9]));
    assert_eq!(space.outcomes(), ["inter:ran"]);
    assert!(space.bytes("runs/p/inter/model.safetensors") != equal, "the shares have no effect");
    space.edit("p.toml", "seed = 7", "seed = 8");
    let why = space.intrada("why p.toml inter");
    assert!(why.stdout.contains("source[1] (data set other)"), "{}", why.stdout);
    assert_eq!(space.outcomes(), ["inter:ran"]);
}

#[test]
fn shares_and_counts_must_be_those_of_the_data_sets() {
    let refused = |pipeline: Pipeline, text: &str| {
        let ran = Space::with(pipeline).intrada("plan p.toml");
        assert_eq!(ran.code, Some(2), "{}", ran.stdout);
        assert!(ran.stderr.contains(text), "{text:?}: {}", ran.stderr);
    };
    refused(two_sources().set("stages.inter.source_shares", [0.5]), "has 1 numbers for 2 data sets");
    refused(
        two_sources().set("datasets.other.size", [32, 32]),
        "a batch of 2 can't hold images of `source`, 64 × 32, and of `other`, 32 × 32",
    );
    refused(two_sources().set("stages.inter.source", ["source", "source"]), "`source` is listed twice");
    refused(
        rare(two_sources().add(&counted("source")), "stages.inter", 0),
        "learns from 2 sets of labels, but `class_counts` names 1",
    );
}

#[test]
fn each_of_several_data_sets_is_drawn_by_its_own_counts() {
    let other = "[stages.counts2]\nkind = \"class-statistics\"\ndataset = \"other\"\n";
    let pipeline = rare(two_sources().add(&counted("source")).add(other), "stages.inter", 0);
    let space = Space::with(pipeline.set("stages.inter.class_counts", ["counts", "counts2"]));
    let said = notes(&space.intrada("run p.toml --format json"), "inter");
    let said = said["rare_classes"].as_str().unwrap();
    assert!(said.starts_with("source: ") && said.contains("; other: "), "{said}");
}

#[test]
fn labelled_target_images_join_any_training_and_results_say_so() {
    let few = method().scenes("few", "target", 9, 2).without("datasets.few.size");
    let few = few.set("stages.inter.labelled", "few").set("stages.intra.labelled", "few");
    let space = Space::with(few.set("stages.intra.labelled_share", 0.25));
    let ran = space.intrada("p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for network in ["inter", "intra"] {
        let line = format!("{network} has learnt from target labels of few");
        assert!(ran.stdout.contains(&line), "{}", ran.stdout);
    }
    assert!(space.read("runs/p/report.html").contains("learnt from target labels"));
    let ran = space.intrada("export p.toml intra exported");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(space.read("exported/README.md").contains("has learnt from labels of target images"));
    let ran = space.intrada("run p.toml --force intra --format json");
    assert_eq!(
        notes(&ran, "intra")["target_labels"],
        "learns from labels of few (2 images): 25 % of the labelled images drawn"
    );
    space.edit("p.toml", "seed = 9", "seed = 10");
    assert!(space.outcomes().contains(&"inter:ran".to_owned()));
}
