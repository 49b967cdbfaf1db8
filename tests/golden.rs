//! The golden trainings through the front door: a pipeline file, the two programs, and the numbers of PyTorch.
//!
//! What intrada-ml's own tests show of the loop is shown here of all that lies around it: reading the file, listing the data
//! set, the job, starting from files, and the written losses.

#[path = "../src/ml/golden/formula.rs"]
mod formula;
mod space;

use serde_json::Value;
use space::Space;

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
    space.write("weights/whole.safetensors", safetensors(&generator, "", "g."));
    space.write("weights/backbone.pth", torch_save(&backbone.cloned().collect::<Vec<_>>(), "Scale.", "g."));
    let discriminators: Vec<_> = discriminators.collect();
    space.write("weights/discriminator.safetensors", safetensors(&discriminators, "", "d_"));

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
    assert_eq!(init("once"), "281 tensors loaded, 0 of the file skipped, 0 not in it");
    assert_eq!(init("fresh-heads"), "265 tensors loaded, 0 of the file skipped, 16 not in it");
    let log = space.intrada("log p.toml fresh-heads").stdout;
    assert!(log.contains("not in the file, random: layer5.conv2d_list.0.bias"), "{log}");
}

/// A file of these tensors with the formula's values; `before` begins the keys in the file, `hashed` those that the values
/// come from.
fn safetensors(tensors: &[(String, Vec<usize>)], before: &str, hashed: &str) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (key, shape) in tensors {
        let begin = data.len();
        data.extend(formula::values(&format!("{hashed}{key}"), shape).into_iter().flat_map(f32::to_le_bytes));
        let entry = serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()] });
        header.insert(format!("{before}{key}"), entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

/// The same as PyTorch wrote it before 1.6: five pickles, then each tensor's number of elements and the elements.
fn torch_save(tensors: &[(String, Vec<usize>)], before: &str, hashed: &str) -> Vec<u8> {
    let text = |text: &str| [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let integer = |value: usize| [b"J", &(value as i32).to_le_bytes()[..]].concat();
    let tuple =
        |sizes: &[usize]| [b"(", &sizes.iter().flat_map(|&size| integer(size)).collect::<Vec<_>>()[..], b"t"].concat();
    let (mut object, mut keys, mut data) = (b"\x80\x02}".to_vec(), b"\x80\x02](".to_vec(), Vec::new());
    for (key, shape) in tensors {
        let count: usize = shape.iter().product();
        let strides: Vec<usize> = (1..=shape.len()).map(|side| shape[side..].iter().product()).collect();
        let storage =
            [&b"("[..], &text("storage"), b"ctorch\nFloatStorage\n", &text(key), &text("cpu"), &integer(count), b"tQ"];
        object.extend([&text(&format!("{before}{key}"))[..], b"ctorch._utils\n_rebuild_tensor_v2\n("].concat());
        object.extend([&storage.concat()[..], b"K\x00", &tuple(shape), &tuple(&strides), b"\x89}tRs"].concat());
        keys.extend(text(key));
        data.extend((count as u64).to_le_bytes());
        data.extend(formula::values(&format!("{hashed}{key}"), shape).into_iter().flat_map(f32::to_le_bytes));
    }
    let head = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.";
    [&head[..], &object, b".", &keys, b"e.", &data].concat()
}
