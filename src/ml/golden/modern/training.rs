//! Three steps of self-training on SegFormers: every loss, the gradient of the first step, and every tensor afterwards, of an
//! independent PyTorch program.
//!
//! Double precision decides: in single precision a pixel that crosses the teacher's threshold moves the losses of all.
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use intrada_data::DataError;
use serde_json::Value;
use tch::{Kind, Tensor};

use super::{SEED, network, stored, vectors};
use crate::adapt::{
    Augmentation, Companions, Control, FeatureDistance, GeneratorOptimizer, Given, GivenIteration, LevelWeights,
    Masked, MaskedImages, Mean, Mixed, Outcome, Precision, Progress, Run, Settings, Teacher, Terms, Warmup, adapt,
};
use crate::checkpoint;
use crate::data::{Batch, Batches};
use crate::network::Normalization;
use crate::optim::DecoupledDecay;

/// A training and what it left.
struct Trained {
    losses: Vec<BTreeMap<String, f64>>,
    student: HashMap<String, Tensor>,
    teacher: HashMap<String, Tensor>,
    /// After the first step alone, when gradients are still there.
    gradients: HashMap<String, Tensor>,
}

#[test]
fn three_steps_of_every_golden_run_in_double_precision_are_pytorchs() {
    let Some((folder, golden)) = vectors() else { return };
    for (name, run) in golden["train"]["runs"].as_object().unwrap() {
        let ours = train(&folder, &golden, run, Precision::Float64);
        let theirs = &run["float64"];
        let losses = compare_losses(name, &ours.losses, &theirs["steps"], [1e-9; 3]);
        let gradients = compare_gradients(name, &ours.gradients, &theirs["gradient_of_step_0"]);
        let student = compare_final(name, &ours.student, &theirs["final"]["student"]);
        let teacher = compare_final(name, &ours.teacher, &theirs["final"]["teacher"]);
        eprintln!(
            "{name}: losses {losses:.1e}, gradients {gradients:.1e}, student {student:.1e}, teacher {teacher:.1e}"
        );
    }
}

#[test]
fn three_steps_of_every_golden_run_in_single_precision_follow_pytorch() {
    let Some((folder, golden)) = vectors() else { return };
    for (name, run) in golden["train"]["runs"].as_object().unwrap() {
        let ours = train(&folder, &golden, run, Precision::Float32);
        let losses = compare_losses(name, &ours.losses, &run["float32"]["steps"], [1e-5, 1e-2, 1e-2]);
        eprintln!("{name}: losses {losses:.1e} in single precision");
    }
}

/// The largest relative distance.
fn compare_losses(name: &str, ours: &[BTreeMap<String, f64>], theirs: &Value, tolerances: [f64; 3]) -> f64 {
    let theirs = theirs.as_array().unwrap();
    assert_eq!((ours.len(), theirs.len()), (3, 3));
    let mut largest: f64 = 0.0;
    for ((ours, theirs), tolerance) in ours.iter().zip(theirs).zip(tolerances) {
        // Theirs is already weighted.
        let pairs = [("seg", "seg_main", 1.0), ("fd", "feature_distance", 0.005), ("mix", "mixed_main", 1.0)];
        let pairs = pairs.into_iter().chain([("masked", "masked_main", 1.0), ("q", "sure", 1.0), ("lr", "lr", 1.0)]);
        for (key, loss, weight) in pairs {
            let Some(expected) = theirs.get(key).and_then(Value::as_f64) else {
                assert!(!ours.contains_key(loss), "{name} has a {loss}");
                continue;
            };
            let away = (ours[loss] * weight - expected).abs() / expected;
            let tolerance = if ["q", "lr"].contains(&key) && tolerance < 1e-6 { 1e-14 } else { tolerance };
            assert!(away <= tolerance, "{name} {key}: {away} away from {expected}");
            largest = largest.max(away);
        }
    }
    largest
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn summary(tensor: &Tensor) -> [f64; 4] {
    let flat = tensor.flatten(0, -1).to_kind(Kind::Double);
    let [sum, absolutes] = [&flat, &flat.abs()].map(|t| t.sum(Kind::Double).double_value(&[]));
    [sum, absolutes, flat.double_value(&[0]), flat.double_value(&[-1])]
}

/// The largest distance, relative to the sum of absolutes.
fn compare_gradients(name: &str, ours: &HashMap<String, Tensor>, theirs: &Value) -> f64 {
    let mut largest: f64 = 0.0;
    for (key, expected) in theirs.as_object().unwrap() {
        let (ours, expected) = (summary(&ours[key]), numbers(expected));
        if expected[1] < 1e-10 {
            assert!(ours[1] < 1e-10, "{name} {key}: a gradient of {}", ours[1]);
            continue;
        }
        for (ours, theirs) in ours.iter().zip(&expected) {
            let away = (ours - theirs).abs() / expected[1];
            assert!(away <= 1e-9, "{name} {key}: {ours} instead of {theirs}");
            largest = largest.max(away);
        }
    }
    largest
}

fn compare_final(name: &str, ours: &HashMap<String, Tensor>, theirs: &Value) -> f64 {
    let mut largest: f64 = 0.0;
    let is_teacher = |key: &str| ours.contains_key("is teacher") && key.contains("running_");
    for (key, expected) in theirs.as_object().into_iter().flatten().filter(|(key, _)| !is_teacher(key)) {
        let expected = numbers(expected);
        let ours = summary(&ours[key]);
        for (ours, theirs) in ours.iter().zip(&expected) {
            let away = (ours - theirs).abs() / expected[1];
            assert!(away <= 1e-7, "{name} {key}: {ours} instead of {theirs}");
            largest = largest.max(away);
        }
    }
    largest
}

fn train(folder: &Path, golden: &Value, run: &Value, precision: Precision) -> Trained {
    tch::set_num_threads(1);
    let text = |key: &str| run[key].as_str().unwrap();
    let pair = (text("arch").trim_start_matches("mit-"), text("head"));
    let kind = precision.kind();
    let (arch, student) = network(pair, 19, ("g.", SEED), kind);
    let (teacher, reference) = (network(pair, 19, ("g.", SEED), kind).1, network(pair, 19, ("i.", SEED), kind).1);
    let settings = settings(&golden["train"]["config"], text("case"), precision);
    let given = given(folder, golden);
    let place = tempfile::tempdir().unwrap();
    let (source, target) = (images(folder, arch.normalization(), true), images(folder, arch.normalization(), false));
    let mut gradients = HashMap::new();
    let run = Run {
        network: student.as_ref(),
        companions: Companions { teacher: Some(teacher.as_ref()), reference: Some(reference.as_ref()) },
        normalization: arch.normalization(),
        given: Some(&given),
        source: &source,
        target: Some(&target),
        discriminator_init: None,
        slot: &place.path().join("slot"),
        staging: place.path(),
    };
    let outcome = adapt(&run, &settings, &mut |progress: &Progress| {
        if progress.done == 1 {
            gradients = student.parameters().into_iter().map(|p| (p.name, p.tensor.grad().copy())).collect();
        }
        Control::Continue
    });
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    let losses = std::fs::read_to_string(place.path().join("losses.jsonl")).unwrap();
    let read = |file: &str| {
        let path = place.path().join(file);
        if path.exists() { checkpoint::read(&path).unwrap().tensors.into_iter().collect() } else { HashMap::new() }
    };
    let mut teacher: HashMap<String, Tensor> = read("teacher.safetensors");
    // Ours begins with the student's statistics. Nothing depends on them.
    teacher.insert("is teacher".to_owned(), Tensor::from(0.0));
    let losses = losses.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    Trained { losses, student: read("model.safetensors"), teacher, gradients }
}

/// The vectors' own numbers, so that the test doesn't depend on our defaults.
fn settings(config: &Value, case: &str, precision: Precision) -> Settings {
    let number = |key: &str| config[key].as_f64().unwrap();
    let betas = numbers(&config["betas"]);
    let teacher =
        Teacher { alpha: number("alpha"), threshold: number("threshold"), mixed: Some(Mixed { weight: 1.0 }) };
    let feature_distance = FeatureDistance {
        weight: number("fd_weight"),
        least: number("fd_min_ratio"),
        things: serde_json::from_value(config["fd_classes"].clone()).unwrap(),
    };
    let masked = Masked {
        images: MaskedImages::Target,
        block: number("mic_block") as i64,
        ratio: number("mic_ratio"),
        weight: number("mic_weight"),
    };
    let depth = ["supervised", "dacs", "daformer", "mic"].iter().position(|name| *name == case).unwrap();
    Settings {
        iterations: 3,
        schedule_iterations: number("max_iters") as u64,
        power: number("power"),
        warmup: Warmup { iterations: number("warmup_iters") as u64, ratio: number("warmup_ratio") },
        generator_rate: number("lr"),
        head_factor: number("head_factor"),
        generator: GeneratorOptimizer::AdamW {
            betas: (betas[0], betas[1]),
            decay: DecoupledDecay { decay: number("weight_decay"), exempt: vec!["norm".to_owned()] },
        },
        segmentation: LevelWeights { main: 1.0, aux: 0.0 },
        mean: Mean::All,
        terms: Terms {
            teacher: (depth >= 1).then_some(teacher),
            feature_distance: (depth >= 2).then_some(feature_distance),
            masked: (depth >= 3).then_some(masked),
            augmentation: Augmentation { colour_probability: 0.0, blur_probability: 0.0, ..Augmentation::default() },
            ..Terms::default()
        },
        precision,
        ..Settings::default()
    }
}

/// Classes and masks of each step.
fn given(folder: &Path, golden: &Value) -> Given {
    let tensors = stored(folder);
    let of_step = |(k, given): (usize, &Value)| {
        let mask = &tensors[&format!("train.{k}.mask")];
        let size = mask.size();
        let values = Vec::<u8>::try_from(mask.flatten(0, -1)).unwrap();
        let rows: Vec<Vec<u8>> = values.chunks(size[2] as usize).map(<[u8]>::to_vec).collect();
        GivenIteration {
            classes: Some(serde_json::from_value(given["classes"].clone()).unwrap()),
            mask: Some(rows.chunks(size[1] as usize).map(<[Vec<u8>]>::to_vec).collect()),
        }
    };
    Given { iterations: golden["train"]["given"].as_array().unwrap().iter().enumerate().map(of_step).collect() }
}

/// `train.{k}.source` with its labels, or `train.{k}.target` with the margins of the vectors.
fn images(
    folder: &Path,
    normalization: Normalization,
    is_source: bool,
) -> impl Fn(u64) -> Result<Box<dyn Batches>, DataError> {
    let tensors: Vec<(Tensor, Option<Tensor>)> = {
        let tensors = stored(folder);
        let of_step = |k: usize| {
            let side = if is_source { "source" } else { "target" };
            let label = is_source.then(|| tensors[&format!("train.{k}.label")].to_kind(Kind::Int64));
            (tensors[&format!("train.{k}.{side}")].to_kind(Kind::Float), label)
        };
        (0..3).map(of_step).collect()
    };
    move |iteration| {
        let row = |numbers: [f32; 3]| Tensor::from_slice(&numbers);
        let batch = |(pixels, labels): &(Tensor, Option<Tensor>)| {
            let images = (pixels - row(normalization.mean)) / row(normalization.scale);
            let images = images.permute([0, 3, 1, 2]).contiguous();
            let size = images.size();
            let inside = Tensor::ones([size[0], size[2], size[3]], (Kind::Bool, images.device()));
            let _ = inside.narrow(1, 0, 3).fill_(0.0);
            let _ = inside.narrow(1, size[2] - 9, 9).fill_(0.0);
            let labels = labels.as_ref().map(Tensor::shallow_clone);
            Batch { images, labels, inside: (!is_source).then_some(inside), names: vec!["a".into(), "b".into()] }
        };
        Ok(Box::new(Steps(tensors.iter().skip(iteration as usize).map(batch).collect::<Vec<_>>().into_iter())))
    }
}

struct Steps(std::vec::IntoIter<Batch>);

impl Batches for Steps {
    fn next_batch(&mut self) -> Result<Batch, DataError> {
        self.0.next().ok_or(DataError::Exhausted { iterations: 3 })
    }
}
