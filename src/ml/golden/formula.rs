//! The weights of the golden vectors: each is a function of its PyTorch name. No libtorch here, so that tests of whole
//! programs can use them too.
#![allow(dead_code, reason = "each test program uses its own part of it")]

use std::path::{Path, PathBuf};

/// The nearest `shared/golden` at or above `from`; prints a note to standard error if there is none.
pub fn folder(from: &str) -> Option<PathBuf> {
    let found = Path::new(from).ancestors().map(|above| above.join("shared/golden")).find(|path| path.is_dir());
    if found.is_none() {
        eprintln!("skipped: there are no golden vectors in a folder shared/golden at or above {from}");
    }
    found
}

const SEED: u64 = 1;

/// Numbers in [−1, 1): splitmix64 seeded with the name's FNV-1a hash.
fn unit(name: &str) -> impl Iterator<Item = f32> {
    seeded_unit(name, SEED)
}

/// The same for vectors of another seed.
pub fn seeded_unit(name: &str, seed: u64) -> impl Iterator<Item = f32> {
    let hash = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
    let state = name.bytes().fold(0xCBF2_9CE4_8422_2325, hash) ^ seed;
    (1u64..).map(move |i| {
        let z = state.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
    })
}

/// A tensor's values in the vectors of modern networks. All arithmetic is in single precision, operation by operation.
pub fn modern_values(name: &str, shape: &[usize], seed: u64) -> Vec<f32> {
    let unit = seeded_unit(name, seed).take(shape.iter().product());
    let scaled = |factor: f32| move |u: f32| u * factor;
    let gain = if name.ends_with("conv_seg.weight") || name.ends_with("linear_pred.weight") { 6.0 } else { 1.0 };
    match *shape {
        [_, input, height, width] => {
            let factor = ((6.0 / (input * height * width) as f64).sqrt() * gain) as f32;
            unit.map(scaled(factor)).collect()
        }
        [_, input] => unit.map(scaled((3.0 / input as f64).sqrt() as f32)).collect(),
        _ if name.ends_with("running_var") => unit.map(|u| 1.0 + 0.5 * u.abs()).collect(),
        _ if name.ends_with("running_mean") => unit.map(scaled(0.1)).collect(),
        _ if name.ends_with("weight") => unit.map(|u| 1.0 + 0.2 * u).collect(),
        _ => unit.map(scaled(0.1)).collect(),
    }
}

/// The first values of a tensor; `name` begins with `g.`, `d_aux.` or `d_main.`. All arithmetic is in single precision,
/// operation by operation: training amplifies last bits until they show.
pub fn values(name: &str, shape: &[usize]) -> Vec<f32> {
    let unit = unit(name).take(shape.iter().product());
    if let [_, input, height, width] = *shape {
        let head = if name.contains("conv2d_list") { 0.8 } else { 1.0 };
        let stem = if name == "g.conv1.weight" { 1.0 / 64.0 } else { 1.0 };
        let factor = ((6.0 / (input * height * width) as f64).sqrt() * head * stem) as f32;
        return unit.map(|u| u * factor).collect();
    }
    let affine = |add: f32, times: f32| move |u: f32| add + times * u;
    if name.ends_with("running_var") {
        unit.map(|u| affine(1.0, 0.5)(u.abs())).collect()
    } else if name.ends_with("running_mean") {
        unit.map(affine(0.0, 0.1)).collect()
    } else if name.ends_with("bn3.weight") {
        unit.map(affine(0.3, 0.1)).collect()
    } else if name.ends_with("weight") {
        unit.map(affine(1.0, 0.2)).collect()
    } else {
        unit.map(affine(0.0, 0.1)).collect()
    }
}

/// Keys and shapes of DeepLab-v2 with two heads, without `num_batches_tracked`; `blocks` of layers 1 to 4.
pub fn generator(blocks: [usize; 4], classes: usize) -> Vec<(String, Vec<usize>)> {
    let mut all = Vec::new();
    convolution(&mut all, "conv1", "bn1", [64, 3, 7, 7]);
    let mut input = 64;
    for (layer, (blocks, middle)) in (1..).zip(blocks.into_iter().zip([64, 128, 256, 512])) {
        for block in 0..blocks {
            let name = |part: &str| format!("layer{layer}.{block}.{part}");
            convolution(&mut all, &name("conv1"), &name("bn1"), [middle, input, 1, 1]);
            convolution(&mut all, &name("conv2"), &name("bn2"), [middle, middle, 3, 3]);
            convolution(&mut all, &name("conv3"), &name("bn3"), [4 * middle, middle, 1, 1]);
            if block == 0 {
                convolution(&mut all, &name("downsample.0"), &name("downsample.1"), [4 * middle, input, 1, 1]);
            }
            input = 4 * middle;
        }
    }
    for (head, input) in [("layer5", 1024), ("layer6", 2048)] {
        for branch in 0..4 {
            all.push((format!("{head}.conv2d_list.{branch}.weight"), vec![classes, input, 3, 3]));
            all.push((format!("{head}.conv2d_list.{branch}.bias"), vec![classes]));
        }
    }
    all
}

fn convolution(all: &mut Vec<(String, Vec<usize>)>, conv: &str, norm: &str, shape: [usize; 4]) {
    all.push((format!("{conv}.weight"), shape.to_vec()));
    for part in ["weight", "bias", "running_mean", "running_var"] {
        all.push((format!("{norm}.{part}"), vec![shape[0]]));
    }
}

/// Keys and shapes of a discriminator; `name` is `aux` or `main`.
pub fn discriminator(name: &str, classes: usize) -> Vec<(String, Vec<usize>)> {
    let widths = [classes, 64, 128, 256, 512, 1];
    let layer = |(index, pair): (usize, &[usize])| {
        let key = format!("{name}.{}", 2 * index);
        [(format!("{key}.weight"), vec![pair[1], pair[0], 4, 4]), (format!("{key}.bias"), vec![pair[1]])]
    };
    widths.windows(2).enumerate().flat_map(layer).collect()
}

#[test]
fn the_formula_gives_the_numbers_that_the_vectors_list() {
    let Some(folder) = folder(env!("CARGO_MANIFEST_DIR")) else { return };
    let text = std::fs::read_to_string(folder.join("golden.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (name, theirs) in golden["formula"].as_object().unwrap() {
        let theirs = theirs.as_array().unwrap().iter().map(|u| u.as_f64().unwrap() as f32);
        assert_eq!(unit(name).take(4).collect::<Vec<_>>(), theirs.collect::<Vec<_>>(), "{name}");
    }
}
