//! Three steps of training DeepLab-v2 on ResNet-50, by each method: every loss, and every tensor afterwards.
//!
//! Double precision decides. In single precision PyTorch itself differs between one thread and two, and between CPUs: batch
//! statistics over maps this small amplify rounding, so the second and third step are only compared roughly.
use std::num::NonZeroUsize;
use std::path::Path;

use intrada_data::DataError;
use intrada_data::augment::Augment;
use intrada_data::decode::Orientation;
use intrada_data::label::Encoding;
use intrada_data::margins::Margins;
use intrada_data::order::Order;
use intrada_data::resize::Scaling;
use intrada_data::source::{LabelUse, Sample, Source};
use serde_json::Value;
use tch::{Kind, Tensor};

use super::{close, formula, network, vectors};
use crate::adapt::{
    Adversary, Companions, Control, DiscriminatorInit, GeneratorOptimizer, LevelWeights, Method, Outcome, Precision,
    Progress, Run, Settings, Terms, adapt,
};
use crate::arch::Arch;
use crate::checkpoint;
use crate::data::Batches;
use crate::data::loader::{self, Loader};
use crate::optim::Repeats;

#[test]
fn three_steps_of_source_only_in_double_precision_are_pytorchs() {
    in_double_precision("source", Repeats::Once);
}

#[test]
fn three_steps_of_minent_in_double_precision_are_pytorchs() {
    in_double_precision("minent", Repeats::Once);
}

#[test]
fn three_steps_of_advent_in_double_precision_are_pytorchs() {
    in_double_precision("advent", Repeats::Once);
}

#[test]
fn three_steps_of_adaptsegnet_in_double_precision_are_pytorchs() {
    in_double_precision("adaptsegnet", Repeats::Once);
}

#[test]
fn three_steps_of_advent_with_the_released_codes_repeats_are_pytorchs() {
    in_double_precision("advent_released", Repeats::Released);
}

#[test]
fn three_steps_of_each_method_in_single_precision_follow_pytorch_as_far_as_it_follows_itself() {
    let Some((folder, golden)) = vectors() else { return };
    let train = &golden["train"];
    let plain = train["methods"].as_object().unwrap().iter().map(|(name, run)| (name, run, Repeats::Once));
    let released = train["methods_released"].as_object().unwrap().iter();
    for (name, theirs, repeats) in plain.chain(released.map(|(name, run)| (name, run, Repeats::Released))) {
        let ours = three_steps(&folder, &golden, name, Precision::Float32, repeats);
        compare_losses(&ours.losses, &theirs["losses"], [1e-5, 1e-2, 0.1]);
    }
}

fn in_double_precision(name: &str, repeats: Repeats) {
    let Some((folder, golden)) = vectors() else { return };
    let theirs = &golden["train"]["float64"][name];
    let ours = three_steps(&folder, &golden, name, Precision::Float64, repeats);
    compare_losses(&ours.losses, &theirs["losses"], [1e-7; 3]);
    let theirs = theirs["final"].as_object().unwrap();
    assert_eq!(ours.tensors.len(), theirs.len());
    for (key, tensor) in ours.tensors {
        let expected: Vec<f64> = theirs[&key].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
        let [_, absolutes, first, last] = expected[..] else { panic!("{key}: {} numbers", expected.len()) };
        close(&key, tensor.abs().sum(Kind::Double).double_value(&[]), absolutes, 1e-6);
        let mean = absolutes / tensor.numel() as f64;
        let flat = tensor.flatten(0, -1);
        for (at, expected) in [(0, first), (-1, last)] {
            let difference = (flat.double_value(&[at]) - expected).abs();
            assert!(difference <= 1e-6 * mean, "{key}[{at}]: {difference} away from {expected}");
        }
    }
}

fn compare_losses(ours: &[Value], theirs: &Value, tolerances: [f64; 3]) {
    let theirs = theirs.as_array().unwrap();
    assert_eq!((ours.len(), theirs.len()), (3, 3));
    for (i, tolerance) in tolerances.into_iter().enumerate() {
        for (loss, value) in theirs[i].as_object().unwrap() {
            let ours = ours[i][loss].as_f64().unwrap_or_else(|| panic!("iteration {i} has no {loss}"));
            close(&format!("iteration {i}, {loss}"), ours, value.as_f64().unwrap(), tolerance);
        }
    }
}

/// The result of a training.
struct Trained {
    losses: Vec<Value>,
    /// Under the golden names, without `num_batches_tracked`.
    tensors: Vec<(String, Tensor)>,
}

fn three_steps(folder: &Path, golden: &Value, name: &str, precision: Precision, repeats: Repeats) -> Trained {
    let (arch, network) = network(&golden["train_arch"], precision.kind());
    let settings = settings(&golden["train"]["config"], name, precision, repeats);
    let place = tempfile::tempdir().unwrap();
    let discriminators = place.path().join("first.safetensors");
    write_discriminators(&discriminators);
    let (source, target) = (images(folder, arch, "source"), images(folder, arch, "target"));
    let adversarial = settings.terms.adversary.is_some();
    let run = Run {
        network: network.as_ref(),
        companions: Companions::default(),
        normalization: arch.normalization(),
        given: None,
        source: &source,
        target: Some(&target),
        discriminator_init: adversarial.then_some(DiscriminatorInit::Together((&discriminators).into())),
        slot: &place.path().join("slot"),
        staging: place.path(),
    };
    let outcome = adapt(&run, &settings, &mut |_: &Progress| Control::Continue).unwrap();
    assert_eq!(outcome, Outcome::Finished);
    let losses = std::fs::read_to_string(place.path().join("losses.jsonl")).unwrap();
    let read = |file: &str| checkpoint::read(&place.path().join(file)).unwrap().tensors;
    let generator = read("model.safetensors").into_iter().map(|(key, tensor)| (format!("g.{key}"), tensor));
    let mut tensors: Vec<_> = generator.filter(|(key, _)| !key.ends_with("num_batches_tracked")).collect();
    if adversarial {
        tensors.extend(read("discriminator.safetensors").into_iter().map(|(key, t)| (format!("d_{key}"), t)));
    }
    Trained { losses: losses.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), tensors }
}

/// The vectors' own numbers, so that the test doesn't depend on our defaults.
fn settings(config: &Value, name: &str, precision: Precision, repeats: Repeats) -> Settings {
    let number = |key: &str| config[key].as_f64().unwrap();
    let level =
        |what: &str| LevelWeights { main: number(&format!("{what}_main")), aux: number(&format!("{what}_aux")) };
    let method = match name {
        "source" => Method::SourceOnly,
        "minent" => Method::MinEnt,
        "adaptsegnet" => Method::AdaptSegNet,
        _ => Method::Advent,
    };
    let Terms { entropy, adversary, .. } = method.terms();
    let adversary = adversary.map(|adversary| Adversary { weights: level("adv"), rate: number("lr_d"), ..adversary });
    Settings {
        iterations: 3,
        schedule_iterations: number("max_iters") as u64,
        power: number("power"),
        generator_rate: number("lr"),
        generator: GeneratorOptimizer::Sgd {
            momentum: number("momentum"),
            weight_decay: number("weight_decay"),
            repeats,
        },
        segmentation: level("seg"),
        terms: Terms { entropy: entropy.map(|_| level("ent")), adversary, ..Terms::default() },
        precision,
        ..Settings::default()
    }
}

fn write_discriminators(path: &Path) {
    let tensor = |(key, shape): (String, Vec<usize>)| {
        let sides: Vec<i64> = shape.iter().map(|&side| side as i64).collect();
        let values = Tensor::from_slice(&formula::values(&format!("d_{key}"), &shape)).view(&sides[..]);
        (key, values)
    };
    let all = ["aux", "main"].into_iter().flat_map(|name| formula::discriminator(name, 19));
    checkpoint::write(path, &all.map(tensor).collect::<Vec<_>>(), None).unwrap();
}

/// `train_{role}_0.png` and the next two, in this order, one picture per batch.
fn images(folder: &Path, arch: Arch, role: &'static str) -> impl Fn(u64) -> Result<Box<dyn Batches>, DataError> {
    let path = |name: String| folder.join(name);
    let sample = |k: u64| Sample {
        name: format!("{k}.png"),
        image: path(format!("train_{role}_{k}.png")).into(),
        label: (role == "source").then(|| path(format!("train_label_{k}.png")).into()),
    };
    let source = Source::Files {
        samples: (0..3).map(sample).collect(),
        size: None,
        scaling: Scaling::default(),
        label_map: None,
        encoding: Encoding::Index,
        orientation: Orientation::Ignore,
        margins: Margins::default(),
        detail: Default::default(),
        keep: None,
    };
    move |start_iteration| {
        let labels = if role == "source" { LabelUse::Required { classes: 19 } } else { LabelUse::Ignored };
        let settings = loader::Settings {
            order: Order::Sequential,
            batch: NonZeroUsize::MIN,
            seed: 0,
            start_iteration,
            iterations: 3,
            augment: Augment::default(),
            normalization: arch.normalization(),
            labels,
            threads: NonZeroUsize::MIN,
        };
        Ok(Box::new(Loader::open(&source, settings)?))
    }
}
