//! Exported networks in PyTorch and in `transformers`: what they predict is what the worker predicts. Logits are compared in the
//! worker's own tests.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::pipelines::training;
use crate::space::{Ran, Space, grey_png};

/// A Python that has these modules, in this folder; `None`, and it is said, where there is none. `.ci/run` installs them into
/// `target/torch`, apart from those that other tests read files with, which start quicker without.
fn python(folder: &Path, modules: &str) -> Option<Command> {
    let made = || {
        let mut python = Command::new("python3");
        let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/torch");
        if packages.is_dir() {
            python.env("PYTHONPATH", packages);
        }
        python.current_dir(folder).env("HF_HOME", folder.join("hub")).env("HF_HUB_OFFLINE", "1");
        python
    };
    let needs = format!("import {modules}");
    let has = made().args(["-c", &needs]).output().is_ok_and(|ran| ran.status.success());
    if !has {
        println!("skipped: no python3 that can `{needs}`");
    }
    has.then(made)
}

/// A photograph whose colours differ from place to place.
fn picture([width, height]: [u32; 2], seed: u32) -> Vec<u8> {
    let wave = |x: u32, y: u32, c: u32| {
        let (x, y) = (f64::from(x), f64::from(y));
        let phase = f64::from(seed + c);
        127.5 + 60.0 * (x / (3.0 + phase)).sin() + 60.0 * (y / (7.0 - phase / 2.0) + phase).cos()
    };
    let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| (0..3).map(move |c| wave(x, y, c) as u8)));
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().unwrap().write_image_data(&pixels.collect::<Vec<_>>()).unwrap();
    bytes
}

/// Trainings of one step from random weights, `model-N` a training, and what each predicts of the photographs in `target`.
fn networks(models: &[&str], dataset: &str) -> Space {
    let mut text = String::new();
    for (number, model) in models.iter().enumerate() {
        let _ = write!(
            text,
            r#"[models.model-{number}]
{model}
[stages.train-{number}]
kind = "inter-training"
method = "advent"
model = "model-{number}"
source = "source"
target = "target"
iterations = 1
discriminator_width = 4
[stages.seen-{number}]
kind = "entropy-inference"
weights = "train-{number}"
images = "target"
"#
        );
    }
    let space = Space::with(training().folder("target").with("datasets.target", dataset).add(&text));
    for (number, size) in [[70, 45], [42, 57]].into_iter().enumerate() {
        space.write(&format!("target/images/{number}.png"), picture(size, number as u32));
    }
    space
}

/// Runs the stages of these networks and exports each as `FORMAT-N`.
fn exported(space: &Space, models: &[&str], formats: &[&str]) {
    let stages: String = (0..models.len()).map(|number| format!(" seen-{number}")).collect();
    space.run(&format!("p.toml{stages}"));
    for (number, format) in (0..models.len()).flat_map(|number| formats.iter().map(move |format| (number, format))) {
        let ran = space.intrada(&format!("export p.toml train-{number} {format}-{number} --as {format}"));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
}

/// Runs a program in Python; what its last line says, as JSON.
fn answer(mut python: Command, program: &str, arguments: &[String]) -> Value {
    let ran = Ran::of(python.args(["-c", program]).args(arguments).output().unwrap());
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap()
}

/// The share of pixels that have another class than in the predictions of the worker, at the size of these, by folder.
const AGREEMENT: &str = r#"
import importlib, json, os, sys
import numpy, torch
from PIL import Image

def share(predictions, logits_of, aligned):
    others, all, classes = 0, 0, set()
    for name in sorted(os.listdir(predictions)):
        expected = numpy.asarray(Image.open(f"{predictions}/{name}"))
        with Image.open(f"target/images/{name}") as picture, torch.no_grad():
            logits = logits_of(picture.convert("RGB"))
        logits = torch.nn.functional.interpolate(logits, size=expected.shape, mode="bilinear", align_corners=aligned)
        found = logits.argmax(1)[0].numpy()
        others, all = others + (found != expected).sum().item(), all + found.size
        classes |= set(expected.ravel().tolist())
    return {"others": others / all, "classes": len(classes)}

def of_pytorch(folder, predictions):
    sys.path.insert(0, folder)
    sys.modules.pop("load", None)
    load = importlib.import_module("load")
    sys.path.pop(0)
    assert load.predict(Image.open("target/images/0.png")).shape == (45, 70)
    return share(predictions, lambda picture: load.network()(load.network_input(picture)), load.config()["align_corners"])

def of_transformers(folder, predictions):
    from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation
    trust = os.path.exists(f"{folder}/modeling_intrada.py")
    network = AutoModelForSemanticSegmentation.from_pretrained(f"./{folder}", trust_remote_code=trust).eval()
    processor = AutoImageProcessor.from_pretrained(f"./{folder}")
    assert network.config.id2label[2] == "road" and network.config.label2id["road"] == 2
    whole = Image.open("target/images/0.png").convert("RGB")
    output = network(**processor(whole, return_tensors="pt"))
    assert processor.post_process_semantic_segmentation(output, [(whole.height, whole.width)])[0].shape == (45, 70)
    return share(predictions, lambda picture: network(**processor(picture, return_tensors="pt")).logits, False)

of = {"pytorch": of_pytorch, "transformers": of_transformers}
shares = {}
for folder in sys.argv[1:]:
    form, number = folder.split("-")
    shares[folder] = of[form](folder, f"runs/p/seen-{number}/predictions")
print(json.dumps(shares))
"#;

/// No more than a pixel of a thousand differs, where two classes are nearly alike. The first network must tell several classes apart,
/// as others hardly do after one step.
fn agree(space: &Space, modules: &str, folders: Vec<String>) {
    let Some(python) = python(&space.path(""), modules) else { return };
    let shares = answer(python, AGREEMENT, &folders);
    println!("{shares}");
    assert!(shares[&folders[0]]["classes"].as_i64().unwrap() > 1, "{shares}");
    for folder in folders {
        let share = shares[&folder]["others"].as_f64().unwrap();
        assert!(share <= 1e-3, "{folder}: {share} of the pixels have another class");
    }
}

fn of_each(formats: &[&str], numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.flat_map(|number| formats.iter().map(move |format| format!("{format}-{number}"))).collect()
}

#[test]
fn every_network_predicts_in_pytorch_what_the_worker_predicts() {
    let models = [
        "arch = \"small\"",
        "arch = \"small\"\nmulti_level = false",
        "arch = \"efficientnet-lite0\"\noutput_stride = 16",
        "arch = \"deeplabv2-resnet50\"\nbranches = 2",
        "arch = \"segformer-b0\"",
        "arch = \"dinov2-vits14\"",
    ];
    let space = networks(&models, "");
    exported(&space, &models, &["pytorch"]);
    agree(&space, "PIL, numpy, safetensors, torch", of_each(&["pytorch"], 0..models.len()));
    if let Some(python) = python(&space.path(""), "PIL, numpy, safetensors, torch") {
        assert!(answer(python, INPUT, &[]).as_f64().unwrap() < 1e-4, "blue comes first");
        tuned(&space);
    }
}

/// A step of training in PyTorch, as docs/export.md says, on the SegFormer.
const TUNED: &str = r#"
import json, sys
import torch
from PIL import Image
from safetensors.torch import save_file
sys.path.insert(0, "pytorch-4")
import load
network = load.network().train()
optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.01)
logits = network(load.network_input(Image.open("target/images/0.png")))
torch.nn.functional.cross_entropy(logits, torch.zeros(1, *logits.shape[2:], dtype=int)).backward()
optimizer.step()
save_file(network.state_dict(), "tuned.safetensors")
print(json.dumps(len(network.state_dict())))
"#;

/// What was trained on in PyTorch is what a training here begins from.
fn tuned(space: &Space) {
    let python = python(&space.path(""), "PIL, numpy, safetensors, torch").expect("it was there before");
    let count = answer(python, TUNED, &[]);
    let model = "[models.tuned]\narch = \"segformer-b0\"\ninit = \"tuned.safetensors\"\n";
    let on =
        "[stages.on]\nkind = \"inter-training\"\nmethod = \"source-only\"\nmodel = \"tuned\"\nsource = \"source\"\n";
    space.write("p.toml", format!("{}{model}{on}iterations = 1\n", space.read("p.toml")));
    space.run("p.toml on");
    let said = space.intrada("log p.toml on").stdout;
    assert!(said.contains(&format!("{count} tensors loaded, 0 skipped, 0 missing")), "{said}");
}

#[test]
fn every_form_of_segformer_and_dinov2_is_loaded_by_transformers_and_predicts_what_the_worker_predicts() {
    let models = [
        "arch = \"segformer-b0\"",
        "arch = \"segformer-b0\"\nhead = \"segformer-mmseg\"",
        "arch = \"segformer-b0\"\nhead = \"daformer\"",
        "arch = \"dinov2-vits14\"\nhead = \"linear-4\"",
        "arch = \"dinov2-vits14-reg\"",
    ];
    let space = networks(&models, "size = [64, 48]\n");
    exported(&space, &models, &["pytorch", "transformers"]);
    let config = space.json("transformers-2/config.json");
    assert_eq!(
        (&config["arch"], &config["head"], &config["num_labels"]),
        (&"segformer-b0".into(), &"daformer".into(), &8.into())
    );
    let card = space.read("transformers-2/README.md");
    assert!(
        card.contains("from_pretrained(folder, trust_remote_code=True)") && card.contains("`modeling_intrada.py`"),
        "{card}"
    );
    assert!(space.read("transformers-0/README.md").contains("from_pretrained(folder)"));
    for (folder, code) in [("transformers-0", false), ("transformers-2", true)] {
        let described = space.json(&format!("{folder}/ro-crate-metadata.json"));
        let root = described["@graph"].as_array().unwrap().iter().find(|entity| entity["@id"] == "./").unwrap();
        let parts: Vec<&str> =
            root["hasPart"].as_array().unwrap().iter().map(|part| part["@id"].as_str().unwrap()).collect();
        assert!(parts.iter().all(|part| space.path(folder).join(part).is_file()), "{folder}: {parts:?}");
        for name in ["modeling_intrada.py", "model.py"] {
            let is_there = space.path(folder).join(name).exists();
            assert_eq!([parts.contains(&name), is_there], [code; 2], "only where there is no class for the head");
        }
    }
    agree(
        &space,
        "PIL, numpy, safetensors, torch, transformers",
        of_each(&["pytorch", "transformers"], 0..models.len()),
    );

    // A file under the names of `transformers` is read again as a network, and is the same.
    let import = "kind = \"checkpoint-import\"\nfile = \"transformers-0/model.safetensors\"\nmodel = \"model-0\"\n";
    space.write("p.toml", space.read("p.toml") + "[stages.read]\n" + import);
    space.run("p.toml read");
    assert!(space.bytes("runs/p/read/model.safetensors") == space.bytes("runs/p/train-0/model.safetensors"));
}

#[test]
fn pictures_are_resized_as_in_the_training() {
    for dataset in [
        "size = [50, 33]\n",
        "size = [50, 33]\nresize = \"bilinear\"\n",
        "size = [60, 33]\nfit = \"box\"\nresize = \"bilinear\"\n",
    ] {
        let models = ["arch = \"small\""];
        let space = networks(&models, dataset);
        exported(&space, &models, &["pytorch"]);
        agree(&space, "PIL, numpy, safetensors, torch", of_each(&["pytorch"], 0..models.len()));
    }
}

/// What `load.py` hands a network that was trained on blue before red.
const INPUT: &str = r#"
import json, sys
import numpy
from PIL import Image
sys.path.insert(0, "pytorch-3")
import load
picture = Image.open("target/images/0.png")
blue, green, red = load.network_input(picture)[0, :, 2, 5].tolist()
wanted = numpy.array(picture)[2, 5] - numpy.array([122.67892, 116.66877, 104.00699])
print(json.dumps(abs(wanted - [red, green, blue]).max()))
"#;

#[test]
fn a_network_that_transformers_lacks_is_refused_and_the_former_name_of_the_default_is_taken() {
    let space = Space::with(training());
    space.run("p.toml");
    let refused = space.intrada("export p.toml inter out --as transformers");
    assert_eq!(refused.code, Some(2));
    let told = "transformers has no network like that of `inter`, small; export it --as pytorch";
    assert!(refused.stderr.contains(told), "{}", refused.stderr);
    assert!(!space.path("out").exists());
    for (arguments, folder) in [("", "default"), (" --as pytorch", "named"), (" --as network", "former")] {
        let ran = space.intrada(&format!("export p.toml inter {folder}{arguments}"));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(space.bytes(&format!("{folder}/model.py")) == space.bytes("default/model.py"));
    }
    let help = space.intrada("export --help").stdout;
    assert!(help.contains("pytorch") && !help.contains("network:"), "{help}");
}

#[test]
fn load_py_says_in_a_sentence_what_keeps_it_from_predicting() {
    let space = Space::with(training());
    space.run("p.toml");
    assert_eq!(space.intrada("export p.toml inter out").code, Some(0));
    space.write("picture.png", picture([70, 45], 1));
    space.write("old/torch.py", "__version__ = '1.13.1+cpu'\n");
    space.write("none/torch.py", "raise ModuleNotFoundError('No module named torch', name='torch')\n");
    let run = |python: &mut Command| {
        let ran = python.args(["out/load.py", "picture.png", "--out", "classes.png"]).current_dir(space.path(""));
        Ran::of(ran.output().unwrap())
    };
    if Command::new("python3").arg("--version").output().is_err() {
        return println!("skipped: there is no python3");
    }
    for (packages, told) in
        [("old", "needs PyTorch 2.0 or newer, and this is 1.13.1+cpu"), ("none", "needs torch, which isn't there")]
    {
        let ran = run(Command::new("python3").env("PYTHONPATH", space.path(packages)));
        assert_eq!((ran.code, ran.stderr.lines().count()), (Some(1), 1), "{}", ran.stderr);
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
    }

    let folder = space.path("");
    let needed = || python(&folder, "PIL, numpy, safetensors, torch");
    let Some(mut python) = needed() else { return };
    let ran = run(&mut python);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.lines().next().is_some_and(|line| line.contains(" % ")), "{}", ran.stdout);
    let classes = space.bytes("classes.png");

    let again = run(&mut needed().unwrap());
    assert!(again.code == Some(1) && again.stderr.contains("File exists"), "{}", again.stderr);
    assert!(space.bytes("classes.png") == classes, "nothing is overwritten");
    space.remove("classes.png");
    for name in ["config.json", "model.py", "model.safetensors"] {
        let whole = space.bytes(&format!("out/{name}"));
        let mut damaged = whole.clone();
        *damaged.last_mut().unwrap() ^= 1;
        space.write(&format!("out/{name}"), &damaged);
        let ran = run(&mut needed().unwrap());
        assert_eq!((ran.code, ran.stderr.lines().count()), (Some(1), 1), "{name}: {}", ran.stderr);
        assert!(ran.stderr.contains(&format!("{name} is not the file that was exported")), "{}", ran.stderr);
        assert!(!space.path("classes.png").exists());
        space.write(&format!("out/{name}"), &whole);
    }
}

#[test]
fn the_example_trains_a_network_on_and_a_pipeline_begins_with_its_weights() {
    let space = Space::with(training());
    space.run("p.toml");
    assert_eq!(space.intrada("export p.toml inter exported --as pytorch").code, Some(0));
    for number in 0..3 {
        space.write(&format!("own/images/{number}.png"), picture([128, 64], number));
        space.write(&format!("own/labels/{number}.png"), grey_png(128, 64, number as u8));
    }
    let Some(mut python) = python(&space.path(""), "torch, numpy, PIL, safetensors") else { return };
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/fine_tune.py");
    python.args(["-B", example, "exported", "own/images", "own/labels", "tuned", "3"]);
    let ran = Ran::of(python.output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("iteration 3  loss "), "{}", ran.stdout);
    let [before, after] = ["exported", "tuned"].map(|folder| space.bytes(&format!("{folder}/model.safetensors")));
    assert!(before != after, "it has learnt");
    let predicted = space.intrada("predict tuned own/images --out predictions");
    assert_eq!(predicted.code, Some(0), "{}", predicted.stderr);
    let pipeline = training().folder("own").set("stages.inter.source", "own");
    space.write("again.toml", pipeline.set("stages.inter.weights", "tuned/model.safetensors"));
    space.run("again.toml");

    // A label that is no class of the network is named.
    space.write("own/labels/1.png", grey_png(128, 64, 8));
    let mut python = self::python(&space.path(""), "torch").unwrap();
    python.args(["-B", example, "exported", "own/images", "own/labels", "other", "3"]);
    let refused = Ran::of(python.output().unwrap());
    assert!(
        refused.code == Some(1)
            && refused.stderr.contains("own/labels/1.png: expected one class index")
            && !space.path("other").exists(),
        "{}",
        refused.stderr
    );
}
