//! Laws of SegFormers: the numbers of `transformers`, what is dropped and when, sizes, first values.

use std::collections::BTreeMap;

use serde_json::Value;
use tch::{Device, Kind, Tensor, no_grad};

use super::*;
use crate::draws::Pass;
use crate::golden::modern::{network as formula_network, unit};
use crate::network::{ImageTooSmall, RateGroup};

/// The seed of tests_data/segformer_reference.py.
const SEED: u64 = 7;
const DRAW: Draw = Draw { seed: 1, iteration: 2, pass: Pass::Source };

fn reference() -> Value {
    serde_json::from_str(include_str!("../../tests_data/segformer_reference.json")).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn image(height: i64, width: i64, kind: Kind) -> Tensor {
    let values = unit(&format!("image.{height}x{width}"), 2 * 3 * height * width, SEED);
    Tensor::from_slice(&values).view([2, 3, height, width]).to_kind(kind) * 2.0
}

fn random(size: Size, choice: Choice, kind: Kind) -> SegFormer {
    SegFormer::new(size, 3, choice, 1, Device::Cpu, kind)
}

#[test]
fn logits_are_those_of_transformers_with_equal_weights() {
    let reference = reference();
    for size in ["b0", "b2", "b5"] {
        for (kind, precision, tolerance) in [(Kind::Double, "float64", 1e-10), (Kind::Float, "float32", 1e-5)] {
            let (_, network) = formula_network((size, "segformer"), 5, ("", SEED), kind);
            for entry in reference["forward"].as_array().unwrap().iter().filter(|entry| entry["size"] == size) {
                let [height, width] = [0, 1].map(|side| entry["image"][side].as_i64().unwrap());
                let ours = no_grad(|| network.forward(&image(height, width, kind), Statistics::Running, None)).main;
                let away = distance(&ours, &entry[precision]);
                eprintln!("{size} {height}×{width} {precision}: {away:.1e}");
                assert!(away < tolerance, "{size} {height}×{width} {precision}: {away}");
            }
        }
    }
}

#[test]
fn with_mmsegmentation_s_head_logits_are_those_of_its_network() {
    let entry = &reference()["forward_mmsegmentation"];
    let (_, network) = formula_network(("b0", "segformer-mmseg"), 5, ("", SEED), Kind::Double);
    let ours = no_grad(|| network.forward(&image(65, 97, Kind::Double), Statistics::Running, None)).main;
    let away = distance(&ours, &entry["float64"]);
    assert!(away < 1e-10, "{away}");
}

/// From the shape, sums, largest number and samples of logits, as a share of the largest or of the sum.
fn distance(ours: &Tensor, theirs: &Value) -> f64 {
    assert_eq!(serde_json::to_value(ours.size()).unwrap(), theirs["shape"]);
    let theirs: Vec<f64> = theirs["logits"].as_array().unwrap().iter().map(number).collect();
    let [sum, absolute, largest, samples @ ..] = &theirs[..] else { panic!("three numbers and samples") };
    let flat = ours.to_kind(Kind::Double).reshape(-1);
    let total = |t: &Tensor| t.sum(Kind::Double).double_value(&[]);
    let step = (flat.numel() / 16).max(1) as i64;
    let samples = (0..).zip(samples).map(|(at, theirs)| (flat.double_value(&[at * step]) - theirs).abs() / largest);
    let sums = [(total(&flat) - sum).abs() / absolute, (total(&flat.abs()) - absolute).abs() / absolute];
    samples.chain(sums).fold(0.0, f64::max)
}

#[test]
fn gradients_and_running_statistics_are_those_of_transformers() {
    let reference = reference();
    let (_, network) = formula_network(("b0", "segformer"), 5, ("", SEED), Kind::Double);
    let loss = network.forward(&image(64, 96, Kind::Double), Statistics::Batch, None).main.square().mean(None::<Kind>);
    loss.backward();
    let close = |what: &str, ours: f64, theirs: f64| {
        // Of a sum that is 0 but for rounding nothing can be asked.
        assert!((ours - theirs).abs() <= 1e-9 * theirs + 1e-12, "{what}: {ours} instead of {theirs}");
    };
    close("loss", loss.double_value(&[]), number(&reference["loss"]));
    let sum = |t: &Tensor| t.abs().sum(Kind::Double).double_value(&[]);
    let theirs = reference["gradients"].as_object().unwrap();
    assert_eq!(network.parameters().len(), theirs.len());
    for p in network.parameters() {
        close(&p.name, sum(&p.tensor.grad()), number(&theirs[&p.name]));
    }
    let state: BTreeMap<String, Tensor> = network.state().into_iter().collect();
    for (name, theirs) in reference["running"].as_object().unwrap() {
        close(name, sum(&state[name]), number(theirs));
    }
}

#[test]
fn a_draw_drops_branches_and_channels_and_equal_draws_drop_the_same() {
    for head in [HeadKind::SegFormer, HeadKind::DaFormer, HeadKind::Mmseg] {
        let x = image(32, 64, Kind::Double);
        let logits = |choice: Choice, draw| {
            let network = random(Size::B0, Choice { head, ..choice }, Kind::Double);
            no_grad(|| network.forward(&x, Statistics::Running, draw)).main
        };
        let (paths, channels) =
            (Choice { dropout: 0.0, ..Choice::default() }, Choice { drop_path: 0.0, ..Choice::default() });
        let (paths, channels) = (Choice { drop_path: 0.5, ..paths }, Choice { dropout: 0.5, ..channels });
        for choice in [paths, channels] {
            let whole = logits(choice, None);
            let drawn = logits(choice, Some(DRAW));
            assert_ne!(drawn, whole);
            assert_eq!(drawn, logits(choice, Some(DRAW)));
            assert_ne!(drawn, logits(choice, Some(Draw { pass: Pass::Target, ..DRAW })));
            assert_eq!(whole, logits(Choice::default(), None), "rates say nothing without a draw");
        }
        let never = Choice { drop_path: 0.0, dropout: 0.0, ..Choice::default() };
        assert_eq!(logits(never, Some(DRAW)), logits(never, None));
    }
}

#[test]
fn drop_path_rates_rise_from_none_in_the_first_block() {
    for (size, blocks) in [(Size::B0, 8), (Size::B2, 16), (Size::B5, 52)] {
        let mut scope = Scope::new(1, Kind::Float, Device::Cpu);
        let rates = MixTransformer::new(&mut scope, "backbone", size, 0.1).drop_paths();
        assert_eq!(rates.len(), blocks);
        let expected = (0..blocks).map(|block| 0.1 * block as f64 / (blocks - 1) as f64);
        assert!(rates.into_iter().zip(expected).all(|(ours, theirs)| (ours - theirs).abs() < 1e-15));
    }
}

#[test]
fn logits_are_at_a_quarter_of_any_size_from_the_smallest_on() {
    for head in [HeadKind::SegFormer, HeadKind::DaFormer, HeadKind::Mmseg] {
        let network = random(Size::B0, Choice { head, ..Choice::default() }, Kind::Float);
        for (height, width) in [(SMALLEST_SIDE, 64), (65, 97), (64, 32)] {
            let x = Tensor::zeros([1, 3, height, width], (Kind::Float, Device::Cpu));
            let logits = no_grad(|| network.forward(&x, Statistics::Running, None));
            assert_eq!(logits.main.size(), [1, 3, (height + 3) / 4, (width + 3) / 4]);
            assert!(logits.aux.is_none());
        }
    }
}

#[test]
fn the_smallest_side_is_that_of_which_the_first_stage_has_a_key() {
    let network = random(Size::B0, Choice::default(), Kind::Float);
    let zeros = |height: i64| Tensor::zeros([1, 3, height, 64], (Kind::Float, Device::Cpu));
    assert_eq!(ImageTooSmall::check(&network, &zeros(SMALLEST_SIDE)), Ok(()));
    let said = ImageTooSmall::check(&network, &zeros(28)).unwrap_err().to_string();
    assert_eq!(said, "too small for the network: 64×28 pixels, and it needs 29 a side");
}

#[test]
fn every_parameter_is_reached_by_a_gradient_and_heads_are_a_group_of_their_own() {
    for head in [HeadKind::SegFormer, HeadKind::DaFormer, HeadKind::Mmseg] {
        let network = random(Size::B0, Choice { head, ..Choice::default() }, Kind::Double);
        network
            .forward(&image(64, 64, Kind::Double), Statistics::Batch, None)
            .main
            .square()
            .sum(None::<Kind>)
            .backward();
        for p in network.parameters() {
            assert!(p.tensor.grad().abs().sum(Kind::Double).double_value(&[]) > 0.0, "{}", p.name);
            assert_eq!(p.group == RateGroup::Head, p.name.starts_with("decode_head."), "{}", p.name);
        }
    }
}

#[test]
fn first_values_are_those_of_the_released_code() {
    let choice = Choice { head: HeadKind::DaFormer, ..Choice::default() };
    let state: BTreeMap<String, Tensor> = random(Size::B1, choice, Kind::Float).state().into_iter().collect();
    let deviations = [
        ("backbone.block3.1.attn.kv.weight", 0.02),
        ("backbone.patch_embed1.proj.weight", (2.0 / (49.0 * 64.0f64)).sqrt()),
        ("backbone.block4.0.mlp.dwconv.dwconv.weight", (2.0 / 9.0f64).sqrt()),
        ("decode_head.fuse_layer.aspp_modules.2.depthwise_conv.conv.weight", (2.0 / (9.0 * 1024.0f64)).sqrt()),
        ("decode_head.conv_seg.weight", 0.01),
    ];
    for (key, expected) in deviations {
        let deviation = state[key].std(false).double_value(&[]);
        assert!((deviation / expected - 1.0).abs() < 0.06, "{key}: {deviation} instead of {expected}");
    }
    for zero in ["backbone.patch_embed2.proj.bias", "backbone.block1.0.attn.q.bias", "decode_head.conv_seg.bias"] {
        assert_eq!(state[zero].abs().max().double_value(&[]), 0.0, "{zero}");
    }
    let bias = state["decode_head.embed_layers.0.proj.bias"].abs().max().double_value(&[]);
    assert!(bias > 0.1 && bias <= 1.0 / 8.0, "uniform in ±1/√64: {bias}");
}

#[test]
fn in_bfloat16_logits_are_near_those_of_single_precision_and_gradients_single() {
    for head in ["segformer", "daformer", "segformer-mmseg"] {
        let (_, network) = formula_network(("b0", head), 5, ("", SEED), Kind::Float);
        let single = no_grad(|| network.forward(&image(64, 96, Kind::Float), Statistics::Running, None)).main;
        let half = network.forward(&image(64, 96, Kind::BFloat16), Statistics::Running, None).main;
        assert_eq!(half.kind(), Kind::BFloat16);
        let away = (half.to_kind(Kind::Float) - &single).abs().mean(None::<Kind>).double_value(&[]);
        let usual = single.abs().mean(None::<Kind>).double_value(&[]);
        assert!(away < 0.1 * usual, "{head}: {away} of {usual}");
        half.to_kind(Kind::Float).square().mean(None::<Kind>).backward();
        assert!(network.parameters().iter().all(|p| p.tensor.grad().kind() == Kind::Float));
    }
}
