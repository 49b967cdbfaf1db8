//! Inference with SegFormers: logits and sizes of an independent PyTorch program.
//!
//! Their weights are another function of the names than those of the older vectors, with another seed.
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tch::{Device, Kind, Tensor, no_grad};

use super::formula;
use crate::arch::segformer::{Choice, HeadKind};
use crate::arch::{Arch, Options};
use crate::checkpoint;
use crate::network::{Network, Statistics};

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
pub(crate) fn units() -> Option<Value> {
    Some(vectors()?.1["units"].take())
}

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
