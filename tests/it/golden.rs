//! The golden trainings through the front door: a pipeline file, the two programs, and the numbers of PyTorch.
//!
//! What intrada-ml's own tests show of the loop is shown here of all that lies around it: reading the file, listing the data
//! set, the job, starting from files, and the written losses.

use crate::space::Space;
use crate::weights::formula;
use serde_json::Value;

const PIPELINE: &str = r#"
format = 1
[pipeline]
name = "golden"
classes = "cityscapes-19"
device = "cpu"

[datasets.source]
format = "folder"
root = "source"

[datasets.target]
format = "folder"
root = "target"

[models.whole]
arch = "deeplabv2-resnet50"
init = "weights/whole.safetensors"

[models.backbone]
arch = "deeplabv2-resnet50"
init = "weights/backbone.pth"

[stages.once]
kind = "inter-training"
method = "advent"
model = "whole"
source = "source"
target = "target"
order = "sequential"
precision = "float64"
iterations = 3
discriminator_init = "weights/discriminator.safetensors"

[stages.released]
kind = "inter-training"
method = "advent"
model = "whole"
source = "source"
target = "target"
order = "sequential"
precision = "float64"
iterations = 3
discriminator_init = "weights/discriminator.safetensors"
parameter_repeats = "released"

[stages.fresh-heads]
kind = "inter-training"
method = "source-only"
model = "backbone"
source = "source"
iterations = 1
"#;

#[test]
fn a_pipeline_file_gives_the_golden_losses_and_takes_whole_networks_and_backbones() {
    let Some(golden) = formula::folder(env!("CARGO_MANIFEST_DIR")) else { return };
    let space = Space::with(PIPELINE);
    for k in 0..3 {
        let picture = |role: &str| std::fs::read(golden.join(format!("train_{role}_{k}.png"))).unwrap();
        space.write(&format!("source/images/{k}.png"), picture("source"));
        space.write(&format!("source/labels/{k}.png"), picture("label"));
        space.write(&format!("target/images/{k}.png"), picture("target"));
    }
    let generator = formula::generator([3, 4, 6, 3], 19);
    let backbone = generator.iter().filter(|(key, _)| !key.starts_with("layer5") && !key.starts_with("layer6"));
    let discriminators = ["aux", "main"].into_iter().flat_map(|name| formula::discriminator(name, 19));
    space.write("weights/whole.safetensors", crate::weights::safetensors(&generator, "", "g."));
    space.write(
        "weights/backbone.pth",
        crate::weights::torch_save(&backbone.cloned().collect::<Vec<_>>(), "Scale.", "g."),
    );
    let discriminators: Vec<_> = discriminators.collect();
    space.write("weights/discriminator.safetensors", crate::weights::safetensors(&discriminators, "", "d_"));

    let ran = space.intrada("run p.toml --format json");
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let text = std::fs::read_to_string(golden.join("golden.json")).unwrap();
    let theirs = &serde_json::from_str::<Value>(&text).unwrap()["train"]["float64"];
    for (stage, run) in [("once", "advent"), ("released", "advent_released")] {
        let losses = space.read(&format!("runs/golden/{stage}/losses.jsonl"));
        let ours: Vec<Value> = losses.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let theirs = theirs[run]["losses"].as_array().unwrap();
        assert_eq!((ours.len(), theirs.len()), (3, 3));
        for (i, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
            for (loss, value) in theirs.as_object().unwrap() {
                let (ours, theirs) = (ours[loss].as_f64().unwrap(), value.as_f64().unwrap());
                assert!((ours - theirs).abs() <= 1e-7 * theirs, "{stage} {i} {loss}: {ours} instead of {theirs}");
            }
        }
    }
    let init = |stage: &str| {
        let event = ran.events().into_iter().find(|event| event["stage"] == stage && event["notes"].is_object());
        event.unwrap()["notes"]["init"].as_str().unwrap().to_owned()
    };
    assert_eq!(init("once"), "281 tensors loaded, 0 skipped, 53 missing");
    assert_eq!(init("fresh-heads"), "265 tensors loaded, 0 skipped, 69 missing; read below `Scale.`");
    let log = space.intrada("log p.toml fresh-heads").stdout;
    assert!(log.contains("missing, a head, which a backbone lacks: layer5.conv2d_list.0.bias"), "{log}");
}
