//! What `inspect` says of one image and of weights, against the files that say it.

use crate::pipelines::{Pipeline, training};
use crate::space::Space;

fn pipeline() -> Pipeline {
    training().scenes("target", "target", 2, 4).ranked().evaluated()
}

#[test]
fn an_image_is_followed_through_all_that_looked_at_its_data_set_and_no_other() {
    let space = Space::with(pipeline());
    assert!(space.intrada("inspect p.toml rank --image scene").stderr.contains("has not run in this workspace"));
    space.run("p.toml");
    let easiest = space.read("runs/p/rank/easy_split.txt").lines().next().unwrap().to_owned();
    let told = space.intrada(&format!("inspect p.toml rank --image {easiest}"));
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert!(told.stdout.starts_with(&format!("{easiest} of target\n")), "{}", told.stdout);
    assert!(told.stdout.contains("  rank     easy: place 1 of 4, score "), "{}", told.stdout);
    assert!(!told.stdout.contains("evaluate"), "an image of `test` may be called the same: {}", told.stdout);
    for folder in ["entropy/entropy", "entropy/predictions", "entropy/photographs", "pseudo/labels"] {
        let path = format!("runs/p/{folder}/");
        let named = told.stdout.split_whitespace().find(|word| word.starts_with(&path)).expect("its file is named");
        assert!(space.path(named).is_file(), "{named}");
    }
    let hardest = space.read("runs/p/rank/hard_split.txt").lines().last().unwrap().to_owned();
    let told = space.intrada(&format!("inspect p.toml pseudo --image {hardest}")).stdout;
    assert!(told.contains("hard: place 4 of 4") && !told.contains("runs/p/pseudo/labels"), "{told}");

    let measured = space.intrada("inspect p.toml evaluate --image 00001").stdout;
    assert!(measured.starts_with("scene-00001 of test\n  evaluate  mean IoU in %: inter "), "{measured}");
    for (arguments, expected) in [
        (
            "rank --image scene-0000",
            "no result on target names an image `scene-0000`; 4 names contain it: scene-00000, ",
        ),
        ("rank --image secne-00001", "did you mean `scene-00001`?"),
        ("inter --image scene-00001", "has no data per image; name one of entropy, rank, pseudo, evaluate"),
    ] {
        let refused = space.intrada(&format!("inspect p.toml {arguments}"));
        assert_eq!(refused.code, Some(2), "{}", refused.stdout);
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    }
}

#[test]
fn a_training_is_told_by_its_last_losses_and_its_weights_by_their_tensors() {
    let space = Space::with(pipeline());
    space.run("p.toml inter");
    let told = space.intrada("inspect p.toml inter").stdout;
    assert!(told.contains("  recorded  losses of iteration 1: seg_aux "), "{told}");
    let tensors = space.intrada("inspect p.toml inter --tensors").stdout;
    assert!(tensors.starts_with("runs/p/inter/model.safetensors\n") && tensors.contains(" F32 "), "{tensors}");
    assert!(tensors.trim_end().ends_with("KiB") && tensors.contains(" numbers, "), "{tensors}");
    space.run("p.toml");
    let refused = space.intrada("inspect p.toml rank --tensors");
    assert_eq!(
        (refused.code, refused.stderr.contains("`rank` is of kind ranking, which writes no weights")),
        (Some(2), true)
    );
}

#[test]
fn all_stages_are_told_to_a_program_with_the_objects_that_hold_their_results() {
    let space = Space::with(pipeline().set("stages.inter.iterations", 2));
    let refused = space.intrada("inspect p.toml");
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("name a stage: `intrada-run status p.toml` lists them"), "{}", refused.stderr);
    let whole = || {
        let told = space.intrada("inspect p.toml --format json");
        assert_eq!(told.code, Some(0), "{}", told.stderr);
        serde_json::from_str::<serde_json::Value>(&told.stdout).unwrap()
    };
    let stage = |whole: &serde_json::Value, name: &str| {
        let mut stages = whole["stages"].as_array().unwrap().iter();
        stages.find(|stage| stage["name"] == name).unwrap().clone()
    };
    let before = whole();
    assert_eq!((&before["format"], &before["pipeline"]), (&1.into(), &"p".into()));
    assert_eq!(before["classes"][0], serde_json::json!({ "name": "sky", "colour": [70, 130, 180] }));
    let inter = stage(&before, "inter");
    assert_eq!((&inter["decision"], &inter["outputs"][0]["artifact"]), (&"run".into(), &serde_json::Value::Null));
    assert_eq!(inter["parameters"]["iterations"], 2);
    space.run("p.toml");
    let after = whole();
    let rank = stage(&after, "rank");
    assert_eq!((&rank["decision"], &rank["kind"]), (&"up-to-date".into(), &"ranking".into()));
    assert_eq!(rank["inputs"][0], serde_json::json!({ "key": "scores", "stage": "entropy", "output": "scores" }));
    let table = rank["outputs"].as_array().unwrap().iter().find(|output| output["name"] == "ranking").unwrap().clone();
    let object = table["artifact"]["object"].as_str().unwrap();
    let path = format!("{}/objects/{}/{}", after["cache"].as_str().unwrap(), &object[..2], &object[2..]);
    assert_eq!(std::fs::read(path).unwrap(), space.bytes("runs/p/rank/ranking.csv"));
    let measured = stage(&after, "evaluate")["networks"].clone();
    let network = serde_json::json!({
        "name": "inter",
        "training": "inter",
        "is_teacher": false,
        "is_chosen_with_labels": false,
        "is_chosen_without_labels": false,
    });
    assert_eq!(measured, serde_json::json!([network]));

    // What a change leaves behind belongs to another version of the pipeline.
    let changed = space.intrada("inspect p.toml --format json --set stages.rank.lambda=0.7").stdout;
    let changed: serde_json::Value = serde_json::from_str(&changed).unwrap();
    assert_eq!(stage(&changed, "rank")["outputs"][0]["artifact"], serde_json::Value::Null);
    assert_eq!(stage(&changed, "entropy")["decision"], "up-to-date");
}
