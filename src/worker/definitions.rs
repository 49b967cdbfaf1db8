//! Tests alone: the networks as an export hands them to PyTorch and `transformers`, against ours.
//!
//! Random weights and images go to a program in Python, which loads them strictly and compares logits with ours. It needs `torch`
//! and `transformers`, of `target/torch` where they are there (`.ci/run` installs them); without them the tests are skipped.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use intrada_ml::checkpoint;
use intrada_ml::network::{Network, Statistics};
use intrada_runner::export::{pytorch, transformers};
use intrada_runner::kind::model::{ARCHS, is_segformer};
use serde_json::{Map, Value, json};
use tch::{Device, Kind, Tensor, no_grad};

use crate::model::Model;

const CLASSES: i64 = 5;

/// The largest difference of a logit, as a share of the largest.
const AT_MOST: f64 = 1e-4;

/// What a network's `config.json` has, as far as a definition reads it; nothing is dropped.
fn options(arch: &str, more: Value) -> Map<String, Value> {
    let mut own = json!({"arch": arch, "num_labels": CLASSES, "drop_path": 0.0, "dropout": 0.0});
    own["id2label"] = (0..CLASSES).map(|class| (class.to_string(), format!("c{class}"))).collect();
    own["label2id"] = (0..CLASSES).map(|class| (format!("c{class}"), class)).collect();
    own["preprocessing"] =
        json!({"size": [84, 61], "fit": "exact", "resample": "bicubic", "mean": [0, 0, 0], "scale": [1, 1, 1]});
    let (Value::Object(mut own), Value::Object(more)) = (own, more) else { panic!("two objects") };
    own.extend(more);
    own
}

/// The network, with statistics and scales that differ from the first ones, which would hide a mistake in using them.
fn network(own: &Map<String, Value>) -> Box<dyn Network> {
    let parameters = own.iter().map(|(name, value)| (format!("model.{name}"), value.clone()));
    let model: Model = serde_json::from_value(Value::Object(parameters.collect())).unwrap();
    let network = model.arch.build(model.options(CLASSES), 1, Device::Cpu, Kind::Float);
    for (index, (name, tensor)) in network.state().iter().enumerate() {
        let moved = ["bn", "norm", "gamma", "downsample.1", "token"].iter().any(|part| name.contains(part));
        if moved && tensor.kind() == Kind::Float {
            let values = Tensor::arange(tensor.numel() as i64, (Kind::Float, Device::Cpu)) + index as i64;
            no_grad(|| tensor.shallow_clone().copy_(&(values.sin() * 0.3 + 0.8).reshape(tensor.size())));
        }
    }
    network
}

/// Writes what Python compares with: the two folders, images and our logits, in prediction and in training.
fn write(folder: &Path, own: &Map<String, Value>) {
    let file = |name: &str| folder.join(name);
    std::fs::create_dir(folder).unwrap();
    let network = network(own);
    let state: Vec<_> = network.state().into_iter().map(|(name, tensor)| (name, tensor.detach().copy())).collect();
    checkpoint::write(&file("model.safetensors"), &state, None).unwrap();
    std::fs::write(file("config.json"), Value::Object(own.clone()).to_string()).unwrap();
    std::fs::write(file("model.py"), pytorch::definition(own["arch"].as_str().unwrap())).unwrap();

    let images = (Tensor::arange(2 * 3 * 61 * 84, (Kind::Float, Device::Cpu)) * 0.37).sin().view([2, 3, 61, 84]) * 2.0;
    let mut arrays = vec![("main".to_owned(), network.predictor()(&images))];
    let trained = no_grad(|| network.forward(&images, Statistics::Batch, None));
    arrays.push(("trained".to_owned(), trained.main));
    arrays.extend(trained.aux.map(|aux| ("trained_aux".to_owned(), aux)));
    arrays.push(("images".to_owned(), images));
    checkpoint::write(&file("logits.safetensors"), &arrays, None).unwrap();
    let trainable: Vec<String> = network.parameters().into_iter().map(|parameter| parameter.name).collect();
    std::fs::write(file("trainable.json"), json!(trainable).to_string()).unwrap();

    if let Some(form) = transformers::Form::of(own) {
        std::fs::create_dir(file("transformers")).unwrap();
        let weights = std::fs::read(file("model.safetensors")).unwrap();
        let (header, data) = form.weights(&weights, &[("format", "pt".to_owned())]).unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(file("transformers").join(name), bytes).unwrap();
        write("model.safetensors", &[&header, data].concat());
        write("config.json", Value::Object(form.config(own)).to_string().as_bytes());
        for (name, _, text) in form.code() {
            write(name, text.as_bytes());
        }
    }
}

/// The program that compares, which reads names of folders and answers each in a line.
struct Python {
    process: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Python {
    /// In this folder; `None`, and it is said, where Python has no PyTorch or no `transformers`.
    fn new(folder: &Path) -> Option<Python> {
        let mut python = Command::new("python3");
        let packages = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/torch"));
        if packages.is_dir() {
            python.env("PYTHONPATH", packages);
        }
        python.current_dir(folder).env("HF_HOME", folder.join("home")).env("HF_HUB_OFFLINE", "1");
        python.args(["-c", include_str!("definitions.py")]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = python.spawn().inspect_err(|_| println!("skipped: there is no python3")).ok()?;
        let (ask, answers) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        let mut python = Python { process, ask, answers };
        let ready = python.line();
        if ready != "ready" {
            println!("skipped: no definition was compared: {ready}");
            return None;
        }
        Some(python)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// What it found in a folder.
    fn compared(&mut self, folder: &str) -> Value {
        writeln!(self.ask, "{folder}").unwrap();
        serde_json::from_str(&self.line()).expect("it has told why it has failed")
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Compares each of these networks, one after the other, as the large ones take gigabytes.
fn compare(networks: &[Map<String, Value>]) {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut python) = Python::new(folder.path()) else { return };
    println!("largest difference of a logit, as a share of the largest logit");
    println!("{:<60} {:>9} {:>11} {:>12}", "network", "PyTorch", "in training", "transformers");
    for (number, own) in networks.iter().enumerate() {
        // A name for each, as `transformers` keeps the code of a folder by its name.
        let place = format!("network_{number}");
        write(&folder.path().join(&place), own);
        let found = python.compared(&place);
        std::fs::remove_dir_all(folder.path().join(&place)).unwrap();
        let arch = own["arch"].as_str().unwrap();
        let choices = ["multi_level", "output_stride", "branches", "head"];
        let choices = choices.iter().filter_map(|name| Some(format!(" {name} = {}", own.get(*name)?)));
        let name = format!("{arch}{}", choices.collect::<String>());
        let shares = ["pytorch", "training", "transformers"].map(|key| found[key].as_f64());
        let [pytorch, training, transformers] =
            shares.map(|share| share.map_or("–".to_owned(), |share| format!("{share:.1e}")));
        println!("{name:<60} {pytorch:>9} {training:>11} {transformers:>12}");
        assert_eq!(shares.map(|share| share.is_some()), [true, true, transformers::Form::of(own).is_some()], "{name}");
        assert!(shares.iter().flatten().all(|share| *share <= AT_MOST), "{name}: {found}");
    }
}

#[test]
fn logits_in_pytorch_and_transformers_are_ours() {
    let mut networks = vec![
        options("small", json!({"multi_level": true})),
        options("small", json!({"multi_level": false})),
        options("efficientnet-lite0", json!({"multi_level": true, "output_stride": 8})),
        options("efficientnet-lite0", json!({"multi_level": true, "output_stride": 16})),
        options("efficientnet-lite0", json!({"multi_level": false, "output_stride": 32})),
        options("deeplabv2-resnet50", json!({"multi_level": true, "branches": 4})),
        options("deeplabv2-resnet50", json!({"multi_level": false, "branches": 2})),
    ];
    networks.extend(
        ["segformer", "segformer-mmseg", "daformer"].map(|head| options("segformer-b0", json!({"head": head}))),
    );
    networks.push(options("dinov2-vits14", json!({"head": "linear-4"})));
    networks.push(options("dinov2-vits14-reg", json!({"head": "linear"})));
    compare(&networks);
}

/// By hand, as the largest take gigabytes: `cargo test --workspace --lib every_network_of_the_tables -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes and gigabytes"]
fn every_network_of_the_tables_has_our_logits_in_pytorch_and_transformers() {
    let mut networks = Vec::new();
    for arch in ARCHS.iter().map(|arch| arch.name) {
        let choices = match arch {
            "small" => vec![json!({"multi_level": true})],
            "efficientnet-lite0" => {
                [8, 16, 32].map(|stride| json!({"multi_level": true, "output_stride": stride})).into()
            }
            "deeplabv2-resnet50" | "deeplabv2-resnet101" => {
                [2, 4].map(|branches| json!({"multi_level": true, "branches": branches})).into()
            }
            _ if is_segformer(arch) => {
                ["segformer", "segformer-mmseg", "daformer"].map(|head| json!({"head": head})).into()
            }
            _ => ["linear", "linear-4"].map(|head| json!({"head": head})).into(),
        };
        networks.extend(choices.into_iter().map(|choice| options(arch, choice)));
    }
    compare(&networks);
}
