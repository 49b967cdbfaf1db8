//! Self-training through the front door: a teacher, mixed and masked images, the feature distance.
//!
//! The numbers of PyTorch through a pipeline file and both programs; a training killed twenty times; every combination of terms;
//! and what is said where something doesn't fit.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::pipelines::{Pipeline, training};
use crate::space::Space;
use crate::space::processes::{children, kill};
use crate::weights::{formula, parts};

/// The shape of a tensor in such a file, and its bytes.
fn tensor<'f>(header: &Map<String, Value>, data: &'f [u8], name: &str) -> (Vec<usize>, &'f [u8]) {
    let numbers =
        |value: &Value| value.as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect::<Vec<_>>();
    let entry = &header[name];
    let range = numbers(&entry["data_offsets"]);
    (numbers(&entry["shape"]), &data[range[0]..range[1]])
}

/// A network of the same tensors as `file`, with the values of the formula.
fn by_formula(file: &[u8], prefix: &str, seed: u64) -> Vec<u8> {
    let (mut header, data) = parts(file);
    header.remove("__metadata__");
    let mut bytes = data.to_vec();
    for (name, entry) in header.iter().filter(|(_, entry)| entry["dtype"] == "F32") {
        let shape: Vec<usize> = serde_json::from_value(entry["shape"].clone()).unwrap();
        let begin = entry["data_offsets"][0].as_u64().unwrap() as usize;
        let values = formula::modern_values(&format!("{prefix}{name}"), &shape, seed);
        for (i, value) in values.into_iter().enumerate() {
            bytes[begin + 4 * i..][..4].copy_from_slice(&value.to_le_bytes());
        }
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, &bytes].concat()
}

fn png(colour: png::ColorType, width: usize, height: usize, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels).unwrap();
    writer.finish().unwrap();
    bytes
}

/// The pictures of the vectors' three steps, and the choices that PyTorch made.
fn write_steps(space: &Space, golden: &Value, tensors: &[u8]) {
    let (header, data) = parts(tensors);
    let mut iterations = Vec::new();
    for k in 0..3 {
        for (side, folder) in [("source", "source/images"), ("target", "target/images"), ("label", "source/labels")] {
            let (shape, bytes) = tensor(&header, data, &format!("train.{k}.{side}"));
            let (height, width) = (shape[1], shape[2]);
            let colour = if side == "label" { png::ColorType::Grayscale } else { png::ColorType::Rgb };
            for (i, picture) in bytes.chunks(bytes.len() / shape[0]).enumerate() {
                space.write(&format!("{folder}/{k}{i}.png"), png(colour, width, height, picture));
            }
        }
        let (shape, mask) = tensor(&header, data, &format!("train.{k}.mask"));
        let rows: Vec<&[u8]> = mask.chunks(shape[2]).collect();
        let images: Vec<&[&[u8]]> = rows.chunks(shape[1]).collect();
        iterations.push(json!({ "classes": golden["train"]["given"][k]["classes"], "mask": images }));
    }
    space.write("choices.json", json!({ "iterations": iterations }).to_string());
}

const GOLDEN: &str = r#"
format = 1
[pipeline]
name = "golden"
classes = "cityscapes-19"
device = "cpu"
threads = 1

[datasets.source]
format = "folder"
root = "source"

[datasets.target]
format = "folder"
root = "target"
margin_top = 3
margin_bottom = 9

[models.plain]
arch = "ARCH"
head = "HEAD"

[models.begun]
arch = "ARCH"
head = "HEAD"
drop_path = 0.0
dropout = 0.0
init = "weights/i.safetensors"

[stages.shapes]
kind = "inter-training"
method = "source-only"
model = "plain"
source = "source"
iterations = 1

[stages.train]
kind = "inter-training"
method = "mic"
model = "begun"
weights = "weights/g.safetensors"
source = "source"
target = "target"
order = "sequential"
flip = false
precision = "float64"
iterations = 3
schedule_iterations = 8
learning_rate = 2e-4
warmup_iterations = 2
warmup_ratio = 0.25
teacher_alpha = 0.6
masked_block = 16
strong_colour_probability = 0.0
strong_blur_probability = 0.0
choices = "choices.json"
rare_class_sampling = false
"#;

#[test]
fn a_pipeline_file_gives_the_golden_losses_of_mic_with_choices_that_are_given() {
    let Some(golden) = formula::folder(env!("CARGO_MANIFEST_DIR")).map(|folder| folder.join("modern")) else { return };
    let Ok(text) = std::fs::read_to_string(golden.join("golden_modern.json")) else {
        eprintln!("skipped: there are no vectors of modern networks in {}", golden.display());
        return;
    };
    let tensors = std::fs::read(golden.join("golden_modern.safetensors")).unwrap();
    let golden: Value = serde_json::from_str(&text).unwrap();
    let seed = golden["seed"].as_u64().unwrap();
    for (run, arch, head) in
        [("b0.daformer.mic", "segformer-b0", "daformer"), ("b1.segformer.mic", "segformer-b1", "segformer")]
    {
        let space = Space::with(GOLDEN.replace("ARCH", arch).replace("HEAD", head));
        write_steps(&space, &golden, &tensors);
        space.run("p.toml shapes");
        let shapes = space.bytes("runs/golden/shapes/model.safetensors");
        space.write("weights/g.safetensors", by_formula(&shapes, "g.", seed));
        space.write("weights/i.safetensors", by_formula(&shapes, "i.", seed));
        let ran = space.intrada("run p.toml train");
        assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
        let losses = space.read("runs/golden/train/losses.jsonl");
        let steps = golden["train"]["runs"][run]["float64"]["steps"].as_array().unwrap();
        assert_eq!(losses.lines().count(), steps.len());
        for (line, theirs) in losses.lines().zip(steps) {
            let ours: Value = serde_json::from_str(line).unwrap();
            let pairs = [("seg", "seg_main", 1.0), ("fd", "feature_distance", 0.005), ("mix", "mixed_main", 1.0)];
            for (key, loss, weight) in pairs.into_iter().chain([("masked", "masked_main", 1.0), ("q", "sure", 1.0)]) {
                let (ours, theirs) = (ours[loss].as_f64().unwrap() * weight, theirs[key].as_f64().unwrap());
                assert!((ours - theirs).abs() <= 1e-9 * theirs, "{run} {loss}: {ours} instead of {theirs}");
            }
        }
    }
}

/// A pretrained network `pre`, and a training `inter` by `method` that its features stay near.
fn taught(method: &str, iterations: usize) -> Pipeline {
    let pre = "[stages.pre]\nkind = \"inter-training\"\nmethod = \"source-only\"\nmodel = \"plain\"\nsource = \"source\"\niterations = 1\n";
    let begun = "[models.plain]\narch = \"small\"\nmulti_level = true\n";
    training()
        .adapted()
        .set("stages.inter.method", method)
        .set("stages.inter.iterations", iterations)
        .without("stages.inter.discriminator_width")
        .with("stages.inter", "batch = 2\nschedule_iterations = 200\nlearning_rate = 1e-3\nteacher_threshold = 0.2\nrare_class_sampling = false\n")
        .with("models.small", "multi_level = true\ninit = \"runs/p/pre/model.safetensors\"\n")
        .add(begun)
        .add(pre)
}

fn outputs(space: &Space) -> BTreeMap<PathBuf, Vec<u8>> {
    space.results("runs/p/inter")
}

#[test]
fn a_training_with_a_teacher_killed_twenty_times_ends_with_the_bytes_of_an_undisturbed_one() {
    const KILLS: usize = 20;
    let pipeline = || {
        taught("mic", 3 * KILLS + 10)
            .with("stages.inter", "masked_block = 8\nfeature_distance_share = 0.3\ncheckpoint_every = 2\n")
    };
    let undisturbed = Space::with(pipeline());
    undisturbed.run("p.toml");
    let expected = outputs(&undisturbed);
    let teacher = PathBuf::from("teacher.safetensors");
    assert!(expected.keys().any(|path| path.ends_with(&teacher)), "{:?}", expected.keys());
    let losses = undisturbed.read("runs/p/inter/losses.jsonl");
    let has = |loss: &str| losses.lines().filter(|line| line.contains(loss)).count();
    assert!(has("\"feature_distance\"") > 10 && has("\"masked_main\"") == 3 * KILLS + 10, "{losses}");

    let space = Space::with(pipeline());
    space.run("p.toml pre");
    let mut cut = 0;
    for i in 0..KILLS {
        let mut run = space.start("p.toml");
        space.wait_for_lines(&mut run, "losses.jsonl", 3 * i + 1 + i % 3);
        // Whom the kill hits alternates; on a busy machine the training may have ended.
        match (i % 2, children(run.id()).pop()) {
            (0, Some(worker)) => drop(kill(worker, "-KILL")),
            _ => run.kill().unwrap(),
        }
        cut += usize::from(!run.wait().unwrap().success());
    }
    assert!(cut > 0);
    space.run("p.toml");
    let found = outputs(&space);
    assert!(found.keys().eq(expected.keys()));
    for (path, bytes) in &expected {
        assert!(found[path] == *bytes, "{} differs after {cut} kills", path.display());
    }
}

#[test]
fn terms_of_self_training_are_keys_of_any_method_and_a_teacher_is_used_like_any_network() {
    let of = |name: &str, method: &str, more: &str| {
        let target = if more.contains("no target") { "" } else { "target = \"target\"\n" };
        let more = more.replace("no target", "");
        format!(
            "[stages.{name}]\nkind = \"inter-training\"\nmethod = \"{method}\"\nmodel = \"small\"\nsource = \"source\"\n\
             {target}iterations = 2\nbatch = 2\nteacher_threshold = 0.1\n{more}"
        )
    };
    let pipeline = taught("mic", 2)
        .ranked()
        .set("stages.entropy.weights", "inter.teacher")
        .add(&of("advent-mic", "advent", "masked = true\ndiscriminator_width = 4\nmasked_block = 8\n"))
        .add(&of("minent-mixed", "minent", "mixed = true\nclip_gradient = 1.0\noptimizer = \"adamw\"\n"))
        .add(&of("masked-source", "source-only", "no targetmasked = true\n").replace("teacher_threshold = 0.1\n", ""))
        .add(&of("both", "dacs", "masked = true\nmasked_images = \"both\"\n"))
        .add(&of("averaged", "source-only", "no targetteacher = true\n").replace("teacher_threshold = 0.1\n", ""))
        .add(
            "[stages.intra]\nkind = \"intra-training\"\nmethod = \"dacs\"\nmodel = \"small\"\nweights = \"inter.teacher\"\n\
             easy = \"pseudo\"\nhard = \"rank.hard\"\niterations = 2\nteacher_threshold = 0.1\n",
        )
        .add("[stages.judged]\nkind = \"evaluation\"\nweights = [\"intra\", \"intra.teacher\", \"averaged.teacher\"]\ndataset = \"source\"\n");
    let space = Space::with(pipeline);
    let ran = space.intrada("p.toml");
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let keys = |stage: &str| {
        let line = space.read(&format!("runs/p/{stage}/losses.jsonl"));
        let first: Map<String, Value> = serde_json::from_str(line.lines().next().unwrap()).unwrap();
        first
            .into_iter()
            .map(|(key, _)| key)
            .filter(|key| !["iteration", "lr"].contains(&key.as_str()))
            .collect::<Vec<_>>()
    };
    assert_eq!(keys("masked-source"), ["masked_aux", "masked_main", "seg_aux", "seg_main"]);
    assert_eq!(keys("averaged"), ["seg_aux", "seg_main"]);
    let minent = ["ent_aux", "ent_main", "mixed_aux", "mixed_main", "seg_aux", "seg_main", "sure"];
    assert_eq!(keys("minent-mixed"), minent);
    assert!(
        keys("advent-mic").iter().any(|key| key == "d_main_t")
            && keys("advent-mic").contains(&"masked_main".to_owned())
    );
    assert!(space.path("runs/p/advent-mic/teacher.safetensors").exists());
    assert!(!space.path("runs/p/masked-source/teacher.safetensors").exists());
    let judged = space.json("runs/p/judged/metrics.json");
    assert_eq!(judged.as_object().unwrap().keys().collect::<Vec<_>>(), ["averaged.teacher", "intra", "intra.teacher"]);
    let exported = space.intrada("export p.toml intra.teacher out");
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    let card = space.read("out/README.md");
    assert!(card.contains("the teacher of the training") && card.contains("| teacher, this file:"), "{card}");
    assert!(!card.contains("best"), "no label has chosen it: {card}");
    let compared = space.intrada("compare p.toml").stdout;
    assert!(compared.lines().any(|line| line.contains("intra.teacher")), "{compared}");
    let percent = |network: &str| format!("{:.1}", 100.0 * judged[network]["miou"].as_f64().unwrap());
    for network in ["intra", "intra.teacher"] {
        let is_row = |line: &&str| line.split_whitespace().next() == Some(network);
        let row = compared.lines().find(is_row).unwrap_or_else(|| panic!("{network}: {compared}"));
        assert!(row.contains(&percent(network)), "{row}");
    }
    let none = space.intrada("export p.toml pre.teacher other");
    assert!(none.stderr.contains("`pre` has no teacher; set its `teacher = true`"), "{}", none.stderr);
}

#[test]
fn what_self_training_cannot_work_with_is_told_before_or_at_its_first_step() {
    let plan = |pipeline: Pipeline| {
        let ran = Space::with(pipeline).intrada("plan p.toml");
        (ran.code, ran.stderr)
    };
    let (code, told) = plan(taught("dacs", 2).with("stages.inter", "teacher = false\n"));
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("`teacher` is false, but this training learns from a teacher's labels"), "{told}");

    let (code, told) = plan(taught("daformer", 2).without("models.small.init"));
    assert_eq!(code, Some(2), "{told}");
    assert!(
        told.contains("`inter` keeps its features near those of the model's `init`, and `small` has none"),
        "{told}"
    );
    assert!(told.contains("feature_distance = false"), "{told}");

    let (code, told) = plan(taught("dacs", 2).with("stages.inter", "strong_blur_sigma = [2.0, 1.0]\n"));
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("`strong_blur_sigma` takes the least and then the largest deviation"), "{told}");
    let (code, told) = plan(taught("dacs", 2));
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("still rising when the training ends: `warmup_iterations` is 1500, `iterations` 2"),
        "{told}"
    );

    let (code, told) = plan(taught("dacs", 2).without("stages.inter.target"));
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("needs `target`"), "{told}");

    let (code, told) = plan(taught("daformer", 2).with("stages.inter", "crop = [30, 32]\n"));
    assert_eq!(code, Some(2), "{told}");
    let what = "cropped to 30 × 32: not of sides that the feature distance takes, multiples of 4";
    assert!(told.contains(what) && told.contains("`inter` would stop at the first of them"), "{told}");

    // Of a data set with images of several sizes it isn't known before which comes first.
    let street = taught("dacs", 2).folder("street").set("stages.inter.target", "street").set("stages.inter.batch", 1);
    let space = Space::with(street.set("stages.inter.order", "sequential"));
    for (at, width) in [48, 56].into_iter().enumerate() {
        space.write(&format!("street/images/{at}.png"), crate::space::grey_png(width, 32, 9));
    }
    let ran = space.intrada("run p.toml");
    assert_eq!(ran.code, Some(1), "{}\n{}", ran.stdout, ran.stderr);
    let told = ran.stdout + &ran.stderr;
    assert!(told.contains("source images of 64×32 pixels and target images of 48×32 can't be mixed"), "{told}");
    assert!(told.contains("set a `crop`"), "{told}");
    let none = taught("daformer", 2).set("pipeline.name", "p").with("pipeline", "things = []\n");
    let ran = Space::with(none).intrada("run p.toml");
    assert!(ran.code != Some(0), "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn a_batch_without_a_thing_has_no_feature_distance_and_the_training_goes_on() {
    // No cell is filled by one class to a hundredth part more than all of it.
    let pipeline = taught("daformer", 3)
        .with("stages.inter", "feature_distance_share = 1.0\n")
        .with("pipeline", "things = [\"pole\"]\n");
    let space = Space::with(pipeline);
    space.run("p.toml");
    let losses = space.read("runs/p/inter/losses.jsonl");
    assert_eq!(losses.lines().count(), 3);
    assert!(!losses.contains("NaN") && !losses.contains("null"), "{losses}");
    assert!(losses.lines().any(|line| !line.contains("feature_distance")), "{losses}");
    let never = Space::with(
        taught("daformer", 2)
            .with("stages.inter", "feature_distance_share = 1.0\n")
            .with("pipeline", "things = [\"sky\"]\n")
            .set("datasets.source.size", [16, 8])
            .set("datasets.target.size", [16, 8]),
    );
    let ran = never.intrada("run p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let is_never = !never.read("runs/p/inter/losses.jsonl").contains("feature_distance");
    assert_eq!((ran.stdout + &ran.stderr).contains("2 iterations, none with a feature distance"), is_never);
}

#[test]
fn domains_of_different_sizes_that_a_training_mixes_are_told_before_anything_runs() {
    let of = |method: &str| {
        let pipeline = training().adapted().set("datasets.source.size", [64, 32]).set("datasets.target.size", [64, 40]);
        let pipeline = pipeline.without("stages.inter.discriminator_width").set("stages.inter.method", method);
        match method {
            "daformer" | "mic" => {
                pipeline.set("stages.inter.feature_distance", false).set("stages.inter.rare_class_sampling", false)
            }
            _ => pipeline,
        }
    };
    let planned = |pipeline: Pipeline| {
        let ran = Space::with(pipeline).intrada("plan p.toml");
        (ran.code, ran.stderr)
    };
    for method in ["dacs", "daformer", "mic"] {
        let (code, said) = planned(of(method));
        let told =
            "images of `source` are 64 × 32 and those of `target` 64 × 40: `inter` puts both into one image or batch";
        assert!(code == Some(2) && said.contains(told), "{method}: {said}");
        let (code, said) = planned(of(method).set("stages.inter.crop", [32, 32]));
        assert_eq!(code, Some(0), "{method}: {said}");
    }
    let (code, said) = planned(of("minent"));
    assert_eq!(code, Some(0), "each side has its own batch: {said}");
    let (code, said) = planned(of("dacs").set("datasets.target.size", [64, 32]));
    assert_eq!(code, Some(0), "{said}");
    // Of images of several sizes nothing is certain.
    let space =
        Space::with(of("dacs").folder("street").set("stages.inter.target", "street").set("stages.inter.batch", 1));
    for (at, height) in [32, 40].into_iter().enumerate() {
        space.write(&format!("street/images/{at}.png"), crate::space::grey_png(64, height, 9));
    }
    let ran = space.intrada("plan p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}
