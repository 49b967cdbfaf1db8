//! Inference with SegFormers: logits and sizes of an independent PyTorch program, for whole images and sliding windows.
//!
//! Their weights are another function of the names than those of the older vectors, with another seed.
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use intrada_data::raster::Rgb;
use serde_json::Value;
use tch::{Device, Kind, Tensor, no_grad};

use super::formula;
use crate::arch::segformer::{Choice, HeadKind};
use crate::arch::{Arch, Options};
use crate::checkpoint;
use crate::data::pass::Frame;
use crate::network::{Network, Statistics};
use crate::sight::{Sight, View, Whole, Window};

mod training;

/// The first numbers of a name, in [−1, 1).
pub(crate) fn unit(name: &str, count: i64, seed: u64) -> Vec<f32> {
    formula::seeded_unit(name, seed).take(count as usize).collect()
}

/// A SegFormer with the weights of the formula; `arch` is `b0` to `b5`. It drops nothing.
pub(crate) fn network(
    (arch, head): (&str, &str),
    classes: i64,
    (prefix, seed): (&str, u64),
    kind: Kind,
) -> (Arch, Box<dyn Network>) {
    let (arch, network) = untouched((arch, head), classes, kind);
    for (key, tensor) in network.state() {
        if tensor.kind() != Kind::Int64 {
            let shape: Vec<usize> = tensor.size().iter().map(|&side| side as usize).collect();
            let values = Tensor::from_slice(&formula::modern_values(&format!("{prefix}{key}"), &shape, seed));
            no_grad(|| tensor.shallow_clone().copy_(&values.view(&tensor.size()[..])));
        }
    }
    (arch, network)
}

/// The same as built.
fn untouched((arch, head): (&str, &str), classes: i64, kind: Kind) -> (Arch, Box<dyn Network>) {
    let arch: Arch = serde_json::from_value(format!("segformer-{arch}").into()).unwrap();
    let head: HeadKind = serde_json::from_value(head.into()).unwrap();
    let segformer = Choice { head, drop_path: 0.0, dropout: 0.0 };
    (arch, arch.build(Options { segformer, ..Options::new(classes, false) }, 1, Device::Cpu, kind))
}

/// `golden_modern.json`, and its folder; none, with a note, if it is absent.
pub(crate) fn vectors() -> Option<(PathBuf, Value)> {
    let folder = formula::folder(env!("CARGO_MANIFEST_DIR"))?.join("modern");
    let Ok(text) = std::fs::read_to_string(folder.join("golden_modern.json")) else {
        eprintln!("skipped: there are no vectors of modern networks in {}", folder.display());
        return None;
    };
    Some((folder, serde_json::from_str(&text).unwrap()))
}

/// The tensors beside it.
pub(crate) fn stored(folder: &Path) -> HashMap<String, Tensor> {
    checkpoint::read(&folder.join("golden_modern.safetensors")).unwrap().tensors.into_iter().collect()
}

/// The numbers of single functions among them.
const SEED: u64 = 41;

fn largest(tensor: &Tensor) -> f64 {
    tensor.abs().max().double_value(&[])
}

#[test]
fn the_formula_gives_the_numbers_that_the_vectors_list() {
    let Some((_, golden)) = vectors() else { return };
    for (name, theirs) in golden["formula"].as_object().unwrap() {
        let ours = unit(name, 4, SEED);
        let theirs: Vec<f32> = theirs.as_array().unwrap().iter().map(|u| u.as_f64().unwrap() as f32).collect();
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn golden_images_give_pytorchs_logits() {
    let Some((folder, golden)) = vectors() else { return };
    let tensors = checkpoint::read(&folder.join("golden_modern.safetensors")).unwrap().tensors;
    let forwards = golden["forward"].as_array().unwrap();
    let text = |forward: &Value, key: &str| forward[key].as_str().unwrap().to_owned();
    let mut pairs: Vec<[String; 2]> = forwards.iter().map(|one| ["arch", "head"].map(|key| text(one, key))).collect();
    pairs.dedup();
    for [mit, head] in pairs {
        for (kind, precision, tolerance) in [(Kind::Double, "float64", 1e-11), (Kind::Float, "float32", 2e-5)] {
            let (arch, network) = network((mit.trim_start_matches("mit-"), &head), 19, ("g.", SEED), kind);
            let normalization = arch.normalization();
            let row = |numbers: [f32; 3]| Tensor::from_slice(&numbers).view([1, 1, 3]);
            for forward in forwards.iter().filter(|one| one["arch"] == mit.as_str() && one["head"] == head.as_str()) {
                let pixels = tensors[&format!("image.{}", forward["image"])].to_kind(Kind::Float);
                let input = (pixels - row(normalization.mean)) / row(normalization.scale);
                let input = input.permute([2, 0, 1]).unsqueeze(0).to_kind(kind);
                let ours = no_grad(|| network.forward(&input, Statistics::Running, None)).main;
                let theirs = &tensors[&format!("{}.{precision}", text(forward, "key"))];
                let away = largest(&(ours.squeeze_dim(0) - theirs)) / largest(theirs);
                eprintln!("{mit} {head} {}: {away:.1e} of the largest in {precision}", forward["image"]);
                assert!(away < tolerance, "{mit} {head}: {away} of the largest away in {precision}");
            }
        }
    }
}

#[test]
fn golden_windows_and_an_image_resized_twice_give_pytorchs_logits() {
    let Some((folder, golden)) = vectors() else { return };
    let tensors = checkpoint::read(&folder.join("golden_modern.safetensors")).unwrap().tensors;
    let (arch, network) = network(("b0", "daformer"), 19, ("g.", SEED), Kind::Double);
    let eye = |input: &Tensor| network.predictor()(&input.to_kind(Kind::Double));
    let units = &golden["units"];
    let side = |value: &Value| value.as_u64().unwrap() as usize;
    let logits = |image: &Value, window: [usize; 2], stride: [usize; 2], size: Option<[usize; 2]>| {
        let pixels = &tensors[&format!("image.{image}")];
        let [height, width] = [0, 1].map(|axis| pixels.size()[axis] as usize);
        let photograph = Rgb::new(width, height, Vec::try_from(pixels.contiguous().view(-1)).unwrap());
        let frame = Frame::new("golden", photograph, &arch.normalization());
        let view = View { window: Window::new(window, stride), mirrored_too: false };
        let Sight::Windows(windows) = Sight::new(&frame, view, network.alignment(), &eye) else { panic!("windows") };
        let mut whole = Whole::<f64>::new(size.unwrap_or([width, height]));
        assert!(windows.show(&mut [&mut whole]));
        whole.tensor()
    };
    let slide = &units["slide"];
    let [crop, stride] = ["crop", "stride"].map(|key| [side(&slide[key]); 2]);
    let ours = logits(&slide["image"], crop, stride, None);
    are_the_statistics("slide", &ours, slide);
    let theirs = &tensors["unit.slide"];
    let some = ours.slice(1, None, None, 4).slice(2, None, None, 4);
    let away = largest(&(some - theirs)) / largest(theirs);
    eprintln!("slide: {away:.1e} of the largest");
    assert!(away < 1e-11, "{away} of the largest away");

    // A window as large as the image: DAFormer's whole image, which is resized to its own size first.
    let twice = &units["whole_twice_resized"];
    let to = [1, 0].map(|axis: usize| side(&twice["to"][axis]));
    are_the_statistics("whole, resized twice", &logits(&twice["image"], [4096; 2], [4096; 2], Some(to)), twice);
}

/// Sum, sum of absolutes, first, last, mean and standard deviation of logits C×H×W, and the sum of their classes.
fn are_the_statistics(what: &str, ours: &Tensor, golden: &Value) {
    let theirs: Vec<f64> = golden["logits"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect();
    let flat = ours.contiguous().view(-1);
    let number = |tensor: Tensor| tensor.double_value(&[]);
    let (count, mean) = (flat.numel() as f64, number(flat.mean(None::<Kind>)));
    let found = [
        number(flat.sum(None::<Kind>)),
        number(flat.abs().sum(None::<Kind>)),
        flat.double_value(&[0]),
        flat.double_value(&[flat.numel() as i64 - 1]),
        mean,
        (number((&flat - mean).square().sum(None::<Kind>)) / count).sqrt(),
    ];
    for (index, (ours, theirs_one)) in found.iter().zip(&theirs).enumerate() {
        let unit = if index < 2 { theirs[1] } else { largest(&flat) };
        let away = (ours - theirs_one).abs() / unit;
        eprintln!("{what}, statistic {index}: {away:.1e}");
        assert!(away < 1e-11, "{what}, statistic {index}: {ours} instead of {theirs_one}");
    }
    let classes = ours.argmax(0, false).sum(Kind::Int64).int64_value(&[]);
    assert_eq!(classes, golden["argmax_sum"].as_i64().unwrap(), "{what}");
}

#[test]
fn networks_have_as_many_parameters_and_drop_paths_as_the_released_ones() {
    let Some((_, golden)) = vectors() else { return };
    for (name, count) in golden["parameters"].as_object().unwrap() {
        let (size, head) = name.split_once('.').unwrap();
        let network = untouched((size, head), 19, Kind::Float).1;
        let all: usize = network.parameters().iter().map(|p| p.tensor.numel()).sum();
        assert_eq!(all as u64, count.as_u64().unwrap(), "{name}");
        let backbone = network.parameters().into_iter().filter(|p| p.name.starts_with("backbone."));
        let backbone: usize = backbone.map(|p| p.tensor.numel()).sum();
        let theirs = golden["backbone_parameters"][size].as_u64().unwrap();
        assert_eq!(backbone as u64, theirs, "{name}");
    }
}
