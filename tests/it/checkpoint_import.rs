//! Published checkpoints: what of a file is taken, what isn't and why, and that the result serves as a training's would.

use std::collections::BTreeSet;

use crate::space::{Space, grey_png};
use crate::weights::formula;
use serde_json::Value;

const PIPELINE: &str = r#"format = 1
[pipeline]
name = "p"
classes = "cityscapes-19"
device = "cpu"

[datasets.mine]
format = "folder"
root = "mine"

[models.fifty]
arch = "deeplabv2-resnet50"

[models.begun]
arch = "deeplabv2-resnet50"
init = "runs/p/backbone/backbone.safetensors"

[stages.imported]
kind = "checkpoint-import"
file = "weights/published.pth"
model = "fifty"

[stages.backbone]
kind = "checkpoint-import"
file = "weights/imagenet.pth"
model = "fifty"
part = "backbone"

[stages.trained]
kind = "inter-training"
method = "source-only"
model = "begun"
source = "mine"
iterations = 1

[stages.evaluate]
kind = "evaluation"
weights = ["imported", "weights/published.pth"]
model = "fifty"
dataset = "mine"
"#;

fn record(space: &Space, stage: &str) -> Value {
    space.json(&format!("runs/p/{stage}/import.json"))
}

/// Names in one list of a record.
fn names<'a>(record: &'a Value, list: &str) -> BTreeSet<&'a str> {
    record[list].as_array().unwrap().iter().map(|tensor| tensor["name"].as_str().unwrap()).collect()
}

/// Names in a safetensors file.
fn keys(file: &[u8]) -> BTreeSet<String> {
    let length = u64::from_le_bytes(*file.first_chunk().unwrap()) as usize;
    let header: serde_json::Map<String, Value> = serde_json::from_slice(&file[8..8 + length]).unwrap();
    header.into_iter().map(|(key, _)| key).filter(|key| key != "__metadata__").collect()
}

#[test]
fn an_import_says_what_it_took_and_serves_as_weights_and_as_a_beginning() {
    let space = Space::with(PIPELINE);
    space.write("mine/images/a.png", grey_png(64, 64, 90));
    space.write("mine/labels/a.png", grey_png(64, 64, 1));
    let network = formula::generator([3, 4, 6, 3], 19);
    space.write("weights/published.pth", crate::weights::torch_save(&network, "", "g."));
    let is_head = |key: &str| key.starts_with("layer5.") || key.starts_with("layer6.");
    let mut backbone: Vec<_> = network.iter().filter(|(key, _)| !is_head(key)).cloned().collect();
    backbone.push(("layer5.conv2d_list.0.weight".to_owned(), vec![21, 2048, 3, 3]));
    space.write("weights/imagenet.pth", crate::weights::torch_save(&backbone, "Scale.", "g."));

    let ran = space.intrada("run p.toml --format json");
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let said = |stage: &str, note: &str| {
        let event = ran.events().into_iter().find(|event| event["stage"] == stage && event["notes"].is_object());
        event.unwrap()["notes"][note].as_str().unwrap().to_owned()
    };

    // The names are those of the released code: those in the file, and the counters that newer files have too.
    assert_eq!(said("imported", "summary"), "281 tensors loaded, 0 skipped, 53 missing");
    let published = record(&space, "imported");
    assert_eq!(names(&published, "loaded"), network.iter().map(|(key, _)| key.as_str()).collect());
    assert!(names(&published, "missing").iter().all(|key| key.ends_with(".num_batches_tracked")));
    let counters = network.iter().filter_map(|(key, _)| key.strip_suffix("running_var"));
    let counters: BTreeSet<_> = counters.map(|layer| format!("{layer}num_batches_tracked")).collect();
    let all: BTreeSet<_> = network.iter().map(|(key, _)| key.clone()).chain(counters).collect();
    assert_eq!(keys(&space.bytes("runs/p/imported/model.safetensors")), all);

    assert_eq!(said("backbone", "summary"), "265 tensors loaded, 1 skipped, 69 missing; read below `Scale.`");
    let backbone = record(&space, "backbone");
    assert_eq!((&published["below"], &backbone["below"]), (&Value::Null, &Value::from("Scale.")));
    // The message counts what the record lists.
    for (stage, record) in [("imported", &published), ("backbone", &backbone)] {
        let counted = ["loaded", "skipped", "missing"].map(|list| record[list].as_array().unwrap().len());
        let [loaded, skipped, missing] = counted;
        let begin = format!("{loaded} tensors loaded, {skipped} skipped, {missing} missing");
        assert!(said(stage, "summary").starts_with(&begin), "{}", said(stage, "summary"));
    }
    let old_head = serde_json::json!({
        "name": "layer5.conv2d_list.0.weight",
        "shape": [21, 2048, 3, 3],
        "why": "a head of older networks, on another layer",
    });
    assert_eq!(backbone["skipped"], serde_json::json!([old_head]));
    assert_eq!(names(&backbone, "missing").iter().filter(|key| is_head(key)).count(), 16);
    // The counters are in the file that was written.
    assert_eq!(said("trained", "init"), "318 tensors loaded, 0 skipped, 16 missing");

    let metrics = space.json("runs/p/evaluate/metrics.json");
    assert_eq!(metrics["imported"], metrics["published"]);
    assert_eq!(metrics["imported"]["images"], 1);
}
