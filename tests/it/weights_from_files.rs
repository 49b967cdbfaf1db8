//! Weights that somebody else trained, as files: looked at, gone on from and evaluated beside those of a stage.

use crate::pipelines::{Pipeline, training};
use crate::space::{Space, grey_png};

fn pipeline() -> Pipeline {
    training().set("pipeline.device", "cpu")
}

/// With stages that take the network from files.
fn from_files() -> Pipeline {
    let weights = ["inter", "intra", "weights/mine.v2.safetensors"];
    let pipeline = pipeline().ranked().intra().evaluated_on("source").set("stages.evaluate.weights", weights);
    let published = "images = \"source\"\nweights = \"published.pth\"\nmodel = \"small\"\n";
    let pipeline = pipeline.with("stages.entropy", published).set("stages.evaluate.model", "small");
    let pipeline = pipeline.without("stages.evaluate.overlays").without("stages.intra.discriminator_width");
    pipeline.with("stages.intra", "method = \"minent\"\nweights = \"weights/published\"\n")
}

/// A workspace in which `inter` has run, and its weights lie in files of three names.
fn trained() -> Space {
    let space = Space::with(pipeline());
    space.run("p.toml");
    let weights = space.bytes("runs/p/inter/model.safetensors");
    // The content says of what format a file is; its name only that it is one.
    for file in ["published.pth", "weights/published", "weights/mine.v2.safetensors"] {
        space.write(file, &weights);
    }
    space.write("p.toml", from_files());
    space
}

#[test]
fn a_file_serves_wherever_a_training_does_and_measures_the_same() {
    let space = trained();
    let ran = space.intrada("run p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let metrics = space.json("runs/p/evaluate/metrics.json");
    assert_eq!(metrics["inter"], metrics["mine.v2"]);
    assert_ne!(metrics["inter"], metrics["intra"]);
    assert!(space.path("runs/p/evaluate/overlays/mine.v2").is_dir());
}

#[test]
fn weights_of_another_number_of_classes_and_a_cut_file_are_told_before_anything_runs() {
    let space = trained();
    let whole = space.bytes("published.pth");
    space.write("published.pth", &whole[..whole.len() - 10]);
    let ran = space.intrada("plan p.toml entropy");
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("published.pth is truncated: 10 of"), "{}", ran.stderr);
    space.write("published.pth", &whole);

    space.write("p.toml", from_files().set("pipeline.classes", "camvid-11").folder("source"));
    space.write("source/images/a.png", grey_png(64, 48, 90));
    space.write("source/labels/a.png", grey_png(64, 48, 1));
    for command in ["plan p.toml entropy", "run p.toml entropy"] {
        let ran = space.intrada(command);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        let said = "published.pth holds a network of 8 classes (`main.weight`), and the pipeline has 11";
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
}

/// Where in a safetensors file the elements of this tensor are.
fn elements(file: &[u8], tensor: &str) -> std::ops::Range<usize> {
    let length = u64::from_le_bytes(*file.first_chunk().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let at = |end: usize| 8 + length + header[tensor]["data_offsets"][end].as_u64().unwrap() as usize;
    at(0)..at(1)
}

#[test]
fn an_evaluation_of_a_network_that_has_diverged_gives_no_miou_but_the_name_of_what_is_no_number() {
    let space = trained();
    let weights = space.bytes("runs/p/inter/model.safetensors");
    let with = |value: f32| {
        let mut file = weights.clone();
        for element in file[elements(&weights, "main.weight")].as_chunks_mut::<4>().0 {
            *element = value.to_le_bytes();
        }
        file
    };
    space.write("nan.safetensors", with(f32::NAN));
    // Each is a number; their sum with the image is none.
    space.write("large.safetensors", with(f32::MAX));
    // What the file alone tells is told before anything runs.
    for (stage, file, code, said) in [
        ("evaluate", "nan", 2, &["tensor `main.weight` is not finite", "nan.safetensors"][..]),
        ("evaluate", "large", 1, &["`large`: the network gives", "logits that are not finite"]),
        ("entropy", "large", 1, &["the network gives", "logits that are not finite"]),
        ("entropy", "nan", 2, &["tensor `main.weight` is not finite", "nan.safetensors"]),
    ] {
        let list =
            if stage == "evaluate" { format!("[\"{file}.safetensors\"]") } else { format!("\"{file}.safetensors\"") };
        let ran = space.intrada(&format!("run p.toml {stage} --set stages.{stage}.weights={list}"));
        assert_eq!(ran.code, Some(code), "{file}: {}", ran.stderr);
        assert!(said.iter().all(|part| ran.stderr.contains(part)), "{file}: {}", ran.stderr);
    }
}

#[test]
fn what_is_before_the_names_changes_no_result_and_is_said() {
    let space = trained();
    let weights = space.bytes("runs/p/inter/model.safetensors");
    let length = u64::from_le_bytes(*weights.first_chunk().unwrap()) as usize;
    let header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&weights[8..8 + length]).unwrap();
    let below = |prefix: &str| {
        let tensors = header.iter().filter(|(name, _)| *name != "__metadata__");
        let header: serde_json::Map<_, _> =
            tensors.map(|(name, tensor)| (format!("{prefix}{name}"), tensor.clone())).collect();
        let header = serde_json::to_vec(&header).unwrap();
        [&(header.len() as u64).to_le_bytes()[..], &header, &weights[8 + length..]].concat()
    };
    space.write("published.pth", below("state_dict.net._orig_mod."));
    space.write("weights/mine.v2.safetensors", below("model."));
    let import = "\n[stages.imported]\nkind = \"checkpoint-import\"\nfile = \"published.pth\"\nmodel = \"small\"\n";
    space.write("p.toml", from_files().add(import));
    let ran = space.intrada("run p.toml --format json");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let metrics = space.json("runs/p/evaluate/metrics.json");
    assert_eq!(metrics["inter"], metrics["mine.v2"]);
    assert!(space.bytes("runs/p/imported/model.safetensors") == weights);
    let record = space.json("runs/p/imported/import.json");
    assert_eq!(record["below"], "state_dict.net._orig_mod.");
    assert!(ran.stdout.contains("read below `state_dict.net._orig_mod.`"), "{}", ran.stdout);
}
