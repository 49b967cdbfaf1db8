//! Networks exported as ONNX graphs, by the real programs, and compared in ONNX Runtime where Python has it.
//!
//! `src/onnx/benches/` has the same comparison for every network, with more images and other weights.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::pipelines::{Pipeline, training};
use crate::space::{Ran, Space, files, grey_png};

const FILES: [&str; 12] = [
    "README.md",
    "SHA256SUMS",
    "config.json",
    "model.onnx",
    "ro-crate-metadata.json",
    "test/1.classes.png",
    "test/1.png",
    "test/2.classes.png",
    "test/2.png",
    "test/3.classes.png",
    "test/3.png",
    "verify.py",
];

fn python() -> String {
    std::env::var("INTRADA_PYTHON").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "python3".to_owned())
}

/// Whether Python has these modules; else it is told that something is skipped.
fn has(modules: &str, skipped: &str) -> bool {
    let ran = Command::new(python()).args(["-c", &format!("import {modules}")]).output();
    let has = ran.is_ok_and(|ran| ran.status.success());
    if !has {
        println!("skipped: {} can't import {modules}, so {skipped}", python());
    }
    has
}

fn in_python(space: &Space, folder: &str, arguments: &[&str]) -> Ran {
    Ran::of(Command::new(python()).args(arguments).current_dir(space.path(folder)).output().unwrap())
}

fn names(space: &Space, folder: &str) -> Vec<String> {
    let folder = space.path(folder);
    files(&folder).iter().map(|path| path.strip_prefix(&folder).unwrap().display().to_string()).collect()
}

/// A network that has learnt enough to tell classes apart.
fn trained() -> Pipeline {
    let steps = "batch = 2\noptimizer = \"adam\"\nlearning_rate = 5e-3\n";
    training().set("stages.inter.iterations", 12).with("stages.inter", steps)
}

/// The entropy and the probabilities beside the classes; the entropy is that of `predict`.
const OUTPUTS: &str = r#"
import numpy, onnxruntime, pathlib, verify

session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
for name in "123":
    image = verify.read_png(pathlib.Path(f"test/{name}.png"))
    classes, entropy, shares = session.run(["classes", "entropy", "probabilities"], {"image": image[None]})
    assert (shares.argmax(1) == classes).all() and abs(shares.sum(1) - 1).max() < 1e-5
    known = numpy.log(numpy.maximum(shares, 1e-30)) / numpy.log(shares.shape[1])
    assert abs(-(shares * known).sum(1) - entropy).max() < 1e-4
    expected = verify.read_png(pathlib.Path(f"../predicted/entropy/{name}.png")).astype(int)
    assert abs(numpy.round(entropy[0] * 255).astype(int) - expected).max() <= 1
    both = session.run(["classes"], {"image": numpy.stack([image, image[::-1]])})[0]
    assert (both[0] == classes[0]).all(), "an image is seen alone, whatever is beside it"
print("as expected", [output.shape for output in session.get_outputs()])
"#;

#[test]
fn a_graph_predicts_what_the_network_predicts_and_its_folder_proves_it() {
    let space = Space::with(trained());
    space.run("p.toml");
    let exported = space.intrada("export p.toml inter out --as onnx --outputs entropy,probabilities");
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    assert_eq!(names(&space, "out"), FILES);
    let config = space.json("out/config.json");
    assert_eq!((&config["num_labels"], &config["precision"]), (&8.into(), &"float32".into()));
    assert_eq!(config["inputs"][0]["shape"], serde_json::json!(["N", "H", "W", 3]));
    assert_eq!(config["outputs"].as_array().unwrap().len(), 3);
    let card = space.read("out/README.md");
    assert!(card.contains("onnxruntime.InferenceSession") && card.contains("* `entropy`, float32"), "{card}");

    // The same result is the same bytes.
    assert_eq!(space.intrada("export p.toml inter again --as onnx --outputs probabilities,entropy").code, Some(0));
    for file in FILES {
        assert!(space.bytes(&format!("out/{file}")) == space.bytes(&format!("again/{file}")), "{file}");
    }
    if !has("numpy, onnxruntime", "no graph was run") {
        assert!(exported.stdout.contains("not verified: "), "{}", exported.stdout);
        return;
    }
    assert!(exported.stdout.contains("verified: ONNX Runtime 1."), "{}", exported.stdout);
    let verified = in_python(&space, "out", &["verify.py"]);
    assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);
    for line in ["1.png: 64 x 32, ", "2.png: 401 x 221, ", "3.png: 33 x 43, ", ": good"] {
        assert!(verified.stdout.contains(line), "{line}: {}", verified.stdout);
    }
    let predicted = space
        .intrada("predict p.toml inter out/test/1.png out/test/2.png out/test/3.png --out predicted --outputs entropy");
    assert_eq!(predicted.code, Some(0), "{}", predicted.stderr);
    let ran = in_python(&space, "out", &["-c", OUTPUTS]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stdout.contains("as expected [['N', 'H', 'W'], ['N', 'H', 'W'], ['N', 8, 'H', 'W']]"),
        "{}",
        ran.stdout
    );
    altered(&space);
}

/// What `verify.py` says of a folder that was changed.
fn altered(space: &Space) {
    let refused = |told: &str| {
        let ran = in_python(space, "again", &["verify.py"]);
        assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
        assert!(format!("{}{}", ran.stdout, ran.stderr).contains(told), "{told}: {}{}", ran.stdout, ran.stderr);
    };
    let config = space.read("again/config.json");
    let mut other: serde_json::Value = serde_json::from_str(&config).unwrap();
    other["num_labels"] = 7.into();
    space.write("again/config.json", other.to_string());
    refused("model.onnx is a network of 8 classes");
    space.write("again/config.json", config);
    let classes = space.bytes("again/test/2.classes.png");
    space.write("again/test/2.classes.png", grey_png(401, 221, 200));
    refused("test/2.classes.png was altered or damaged");
    // Without a list, as while the folder is exported.
    let sums = space.bytes("again/SHA256SUMS");
    space.remove("again/SHA256SUMS");
    refused("NOT good, under 99.99 %");
    space.write("again/test/2.classes.png", grey_png(400, 221, 200));
    refused("2.png: classes of (221, 401) pixels, expected (221, 400)");
    space.write("again/test/2.classes.png", classes);
    space.write("again/SHA256SUMS", sums);
    let mut graph = space.bytes("again/model.onnx");
    let middle = graph.len() / 2;
    graph[middle] ^= 1;
    space.write("again/model.onnx", graph);
    refused("model.onnx was altered or damaged");
    space.remove("again/model.onnx");
    refused("model.onnx is missing");
}

/// A program in the place of Python.
fn stand_in(space: &Space, name: &str, script: &str) -> String {
    space.write(name, format!("#!/bin/sh\n{script}\n"));
    let path = space.path(name);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[test]
fn a_graph_that_disagrees_is_not_exported_and_one_that_was_not_compared_is_not_called_good() {
    let space = Space::with(training());
    space.run("p.toml");
    let export = |python: &str, arguments: &str| {
        let mut command = space.command(&format!("export p.toml inter {arguments} --as onnx"));
        Ran::of(command.env("INTRADA_PYTHON", python).output().unwrap())
    };
    let few = r#"echo '{"onnxruntime": "9.9", "pictures": 3, "equal": 9998, "pixels": 10000}'; exit 1"#;
    let few = stand_in(&space, "few", few);
    let refused = export(&few, "out");
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    for told in ["the graph of `inter` does not predict what the network does", "99.9800 %", "(2 of 10,000 differ)"] {
        assert!(refused.stderr.contains(told), "{told}: {}", refused.stderr);
    }
    assert!(!space.path("out").exists(), "nothing is left");
    let half = export(&few, "half --fp16");
    assert_eq!(half.code, Some(0), "{}", half.stderr);
    assert!(half.stdout.contains("NOT verified, under 99.99 %: ONNX Runtime 9.9 gives 99.9800 %"), "{}", half.stdout);
    assert_eq!(space.json("half/config.json")["precision"], "float16");
    let other = stand_in(&space, "other", "echo '1.png: classes of (1, 2) pixels, expected (3, 4)' >&2; exit 1");
    assert_eq!(export(&other, "out").code, Some(1));

    let without = stand_in(&space, "without", "echo 'no module named onnxruntime' >&2; exit 3");
    let broken = stand_in(&space, "broken", "exit 7");
    for (place, python, told) in [
        ("a", without.as_str(), "not verified: no module named onnxruntime"),
        ("b", broken.as_str(), "failed with exit status: 7"),
        ("c", "/no/such/python", "/no/such/python doesn't start"),
    ] {
        let exported = export(python, place);
        assert_eq!(exported.code, Some(0), "{}", exported.stderr);
        assert!(exported.stdout.contains(told), "{told}: {}", exported.stdout);
        assert!(exported.stdout.contains("pip install onnxruntime numpy; python3 "), "{}", exported.stdout);
    }
}

#[test]
fn a_graph_is_tested_on_the_users_own_images() {
    let space = Space::with(training());
    space.run("p.toml");
    space.write("own/b.png", grey_png(40, 60, 90));
    space.write("own/deep/a.png", grey_png(33, 35, 190));
    space.write("own/notes.txt", "no image");
    let exported = space.intrada("export p.toml inter out --as onnx --test-images own");
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    let names: Vec<_> = names(&space, "out").into_iter().filter(|name| name.starts_with("test/")).collect();
    assert_eq!(names, ["test/1.classes.png", "test/1.png", "test/2.classes.png", "test/2.png"]);

    space.write("own/c.png", &grey_png(40, 60, 90)[..60]);
    let refused = space.intrada("export p.toml inter more --as onnx --test-images own");
    assert_eq!(refused.code, Some(2), "{}", refused.stdout);
    assert!(
        refused.stderr.contains("can't be tested on") && refused.stderr.contains("own/c.png: "),
        "{}",
        refused.stderr
    );
    let none = space.intrada("export p.toml inter more --as onnx --test-images none");
    assert!(none.code == Some(2) && none.stderr.contains("none"), "{}", none.stderr);
    for wish in ["--fp16", "--outputs entropy", "--test-images own"] {
        let refused = space.intrada(&format!("export p.toml inter more {wish}"));
        assert_eq!(refused.code, Some(2));
        assert!(refused.stderr.contains("add --as onnx"), "{}", refused.stderr);
    }
    assert!(!space.path("more").exists());
}

/// Every kind of network and every option that the graph depends on, each in its smallest form.
const NETWORKS: &[(&str, &str)] = &[
    ("small", "multi_level = false\n"),
    ("efficientnet-lite0", "output_stride = 8\n"),
    ("efficientnet-lite0", "output_stride = 32\nmulti_level = false\n"),
    ("deeplabv2-resnet50", "branches = 2\nmulti_level = false\n"),
    ("deeplabv2-resnet50", "branches = 4\n"),
    ("segformer-b0", "head = \"segformer\"\n"),
    ("segformer-b0", "head = \"daformer\"\n"),
    ("segformer-b0", "head = \"segformer-mmseg\"\n"),
    ("dinov2-vits14", "head = \"linear\"\n"),
    ("dinov2-vits14-reg", "head = \"linear-4\"\n"),
];

/// Strict checks of a file by ONNX's own library.
const CHECK: &str = "
import onnx
model = onnx.load('model.onnx')
onnx.checker.check_model(model, full_check=True)
onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
";

#[test]
fn every_network_is_a_graph_that_predicts_the_same() {
    // Images of one colour, which are seen in a box, as OpenCV resizes: 96×48.
    let images = "format = \"folder\"\nroot = \"images\"\nsize = [96, 64]\nfit = \"box\"\nresize = \"bilinear\"\n";
    let mut pipeline = training().set("stages.inter.iterations", 1).add(&format!("[datasets.boxed]\n{images}"));
    for (place, (arch, options)) in NETWORKS.iter().enumerate() {
        let source = if place % 2 == 0 { "source" } else { "boxed" };
        pipeline = pipeline.add(&format!("[models.m{place}]\narch = \"{arch}\"\n{options}"));
        pipeline = pipeline.add(&format!(
            "[stages.t{place}]\nkind = \"inter-training\"\nmethod = \"source-only\"\nmodel = \"m{place}\"\nsource = \"{source}\"\n\
             iterations = 1\n"
        ));
    }
    let space = Space::with(pipeline);
    for (name, value) in [("a", 40), ("b", 200)] {
        space.write(&format!("images/images/{name}.png"), grey_png(100, 50, value));
        space.write(&format!("images/labels/{name}.png"), grey_png(100, 50, value / 50));
    }
    space.run("p.toml");
    let has_runtime = has("numpy, onnxruntime", "no graph was run");
    let has_onnx = has("onnx", "no graph was checked by ONNX's library");
    for (place, (arch, options)) in NETWORKS.iter().enumerate() {
        let exported = space.intrada(&format!("export p.toml t{place} out/{place} --as onnx --outputs entropy"));
        assert_eq!(exported.code, Some(0), "{arch} {options}: {}", exported.stderr);
        if has_runtime {
            assert!(exported.stdout.contains("\nverified: "), "{arch} {options}: {}", exported.stdout);
        }
        if has_onnx {
            let checked = in_python(&space, &format!("out/{place}"), &["-c", CHECK]);
            assert_eq!(checked.code, Some(0), "{arch} {options}: {}", checked.stderr);
        }
    }
}
