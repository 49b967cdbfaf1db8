//! Laws of DINOv2: the numbers of `transformers`, sizes and padding, what is dropped and when, first values.

use std::collections::BTreeMap;

use proptest::prelude::{prop_assert, proptest};
use serde_json::Value;
use tch::{Device, Kind, Tensor, no_grad};

use super::super::vit::Size;
use super::*;
use crate::draws::Pass;
use crate::golden::modern::unit;
use crate::network::{ImageTooSmall, RateGroup};

/// The seed of tests_data/dinov2_reference.py.
const SEED: u64 = 7;
const DRAW: Draw = Draw { seed: 1, iteration: 2, pass: Pass::Source };
const SMALL: Form = Form { size: Size::S, registers: false };
const WITH_REGISTERS: Form = Form { size: Size::S, registers: true };

fn reference() -> Value {
    serde_json::from_str(include_str!("../../tests_data/dinov2_reference.json")).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn image(height: i64, width: i64, kind: Kind) -> Tensor {
    let values = unit(&format!("image.{height}x{width}"), 2 * 3 * height * width, SEED);
    Tensor::from_slice(&values).view([2, 3, height, width]).to_kind(kind) * 2.0
}

fn random(form: Form, choice: Choice, kind: Kind) -> DinoV2 {
    DinoV2::new(form, 3, choice, 1, Device::Cpu, kind)
}

/// A tensor's values. All arithmetic is in single precision, operation by operation.
fn values(name: &str, shape: &[i64]) -> Vec<f32> {
    let unit = unit(name, shape.iter().product(), SEED).into_iter();
    let affine = |add: f32, times: f32| move |u: f32| add + times * u;
    let fan_in: i64 = shape[1..].iter().product();
    match shape.len() {
        4 => unit.map(affine(0.0, (6.0 / fan_in as f64).sqrt() as f32)).collect(),
        3 => unit.map(affine(0.0, 0.5)).collect(),
        2 => unit.map(affine(0.0, (3.0 / fan_in as f64).sqrt() as f32)).collect(),
        _ if name.ends_with("running_var") => unit.map(|u| 1.0 + 0.5 * u.abs()).collect(),
        _ if name.ends_with("gamma") => unit.map(affine(0.5, 0.3)).collect(),
        _ if name.ends_with("weight") => unit.map(affine(1.0, 0.2)).collect(),
        _ => unit.map(affine(0.0, 0.1)).collect(),
    }
}

/// A network with the weights of the formula. It drops nothing.
fn formula_network(form: Form, head: HeadKind, kind: Kind) -> DinoV2 {
    let network = DinoV2::new(form, 5, Choice { head, drop_path: 0.0 }, 1, Device::Cpu, kind);
    for (key, tensor) in network.state() {
        if tensor.kind() != Kind::Int64 {
            let values = Tensor::from_slice(&values(&key, &tensor.size()));
            no_grad(|| tensor.shallow_clone().copy_(&values.view(&tensor.size()[..])));
        }
    }
    network
}

#[test]
fn logits_are_those_of_transformers_with_equal_weights() {
    let reference = reference();
    let forwards = reference["forward"].as_array().unwrap();
    let of = |entry: &Value| (entry["size"].clone(), entry["registers"].clone(), entry["head"].clone());
    for entries in forwards.chunk_by(|one, other| of(one) == of(other)) {
        let (size, registers, head) = of(&entries[0]);
        let size = if size == "s" { Size::S } else { Size::B };
        let form = Form { size, registers: registers.as_bool().unwrap() };
        for (kind, precision, tolerance) in [(Kind::Double, "float64", 1e-10), (Kind::Float, "float32", 1e-5)] {
            let network = formula_network(form, serde_json::from_value(head.clone()).unwrap(), kind);
            for entry in entries {
                let [height, width] = [0, 1].map(|side| entry["image"][side].as_i64().unwrap());
                let ours = no_grad(|| network.forward(&image(height, width, kind), Statistics::Running, None)).main;
                let away = distance(&ours, &entry[precision]);
                eprintln!("{form} {head} {height}×{width} {precision}: {away:.1e}");
                assert!(away < tolerance, "{form} {head} {height}×{width} {precision}: {away}");
            }
        }
    }
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
    for (form, key) in [(SMALL, "without registers"), (WITH_REGISTERS, "with registers")] {
        let reference = &reference["training"][key];
        let network = formula_network(form, HeadKind::Linear, Kind::Double);
        let logits = network.forward(&image(65, 97, Kind::Double), Statistics::Batch, None).main;
        let loss = logits.square().mean(None::<Kind>);
        loss.backward();
        let close = |what: &str, ours: f64, theirs: f64| {
            assert!((ours - theirs).abs() <= 1e-9 * theirs + 1e-12, "{what}: {ours} instead of {theirs}");
        };
        close("loss", loss.double_value(&[]), number(&reference["loss"]));
        let sum = |t: &Tensor| t.abs().sum(Kind::Double).double_value(&[]);
        let theirs = reference["gradients"].as_object().unwrap();
        let ours: BTreeMap<String, Tensor> = network.parameters().into_iter().map(|p| (p.name, p.tensor)).collect();
        assert!(theirs.len() == ours.len() || !form.registers);
        for (name, theirs) in theirs {
            close(name, sum(&ours[name].grad()), number(theirs));
        }
        let state: BTreeMap<String, Tensor> = network.state().into_iter().collect();
        for (name, theirs) in reference["running"].as_object().unwrap() {
            close(name, sum(&state[name]), number(theirs));
        }
    }
}

#[test]
fn transformers_have_as_many_parameters_as_the_published_ones() {
    let theirs = reference()["parameters"].clone();
    let published = |form: Form| {
        let name = format!("{:?}{}", form.size, if form.registers { "-reg" } else { "" }).to_lowercase();
        theirs[name].as_u64().unwrap()
    };
    for registers in [false, true] {
        for size in Size::ALL {
            let (d, blocks) = (size.width(), size.depth() as i64);
            let tokens = 1 + 37 * 37 + 1 + if registers { 4 } else { 0 };
            // Two norms, query, key, value and output, two scales, and two layers with four times the channels inside.
            let block = 4 * d + 4 * (d * d + d) + 2 * d + (8 * d * d + 5 * d);
            let all = tokens * d + (3 * 14 * 14 * d + d) + blocks * block + 2 * d;
            assert_eq!(all as u64, published(Form { size, registers }), "{size:?} {registers}");
        }
        let form = Form { size: Size::S, registers };
        let parameters = random(form, Choice::default(), Kind::Float).parameters().into_iter();
        let ours: usize = parameters.filter(|p| p.name.starts_with("backbone.")).map(|p| p.tensor.numel()).sum();
        assert_eq!(ours as u64, published(form));
    }
}

#[test]
fn logits_are_at_a_14th_of_multiples_of_14_and_else_at_the_image_s_size() {
    for head in [HeadKind::Linear, HeadKind::LinearFour] {
        let network = random(SMALL, Choice { head, ..Choice::default() }, Kind::Float);
        for (image, expected) in [([28, 70], [2, 5]), ([28, 71], [28, 71]), ([15, 16], [15, 16]), ([518, 14], [37, 1])]
        {
            let x = Tensor::zeros([1, 3, image[0], image[1]], (Kind::Float, Device::Cpu));
            let logits = no_grad(|| network.forward(&x, Statistics::Running, None));
            assert_eq!(logits.main.size(), [1, 3, expected[0], expected[1]]);
            let cells = image.map(|side| (side + PATCH - 1) / PATCH);
            assert_eq!(logits.features.size(), [1, 384, cells[0], cells[1]]);
            assert!(logits.aux.is_none());
        }
    }
}

proptest! {
    #[test]
    fn padding_moves_no_pixel_and_its_cells_are_cut_off_where_they_were_added(height in 15..60i64, width in 15..60i64) {
        let row = |side: i64| Tensor::arange(side, (Kind::Double, Device::Cpu));
        let x = (row(height).view([-1, 1]) * 100.0 + row(width)).view([1, 1, height, width]) + 1.0;
        let margins = Margins::of(&x);
        let padded = margins.added(&x);
        let [_, _, rows, columns] = padded.size()[..] else { panic!() };
        prop_assert!(rows % PATCH == 0 && columns % PATCH == 0);
        prop_assert!(rows - height < PATCH && columns - width < PATCH);
        let [above, left] = margins.before;
        prop_assert!((rows - height - 2 * above) / 2 == 0 && (columns - width - 2 * left) / 2 == 0, "in the middle");
        prop_assert!(padded.narrow(2, above, height).narrow(3, left, width) == x);
        prop_assert!((padded.sum(Kind::Double) - x.sum(Kind::Double)).double_value(&[]) == 0.0, "zeros around it");
        // A cell's logit that is the position of its centre gives each pixel its own, between the outermost centres.
        let centre = |cells: i64, before: i64| (row(cells) + 0.5) * PATCH as f64 - before as f64 - 0.5;
        let (rows, columns) = (rows / PATCH, columns / PATCH);
        let logits = centre(rows, above).view([-1, 1]) * 1000.0 + centre(columns, left);
        let cut = margins.cut_off(logits.view([1, 1, rows, columns]));
        if !margins.are_none() {
            prop_assert!(cut.size() == x.size());
            let inside = |side: i64, cells: i64, before: i64| {
                row(side).clamp(PATCH as f64 / 2.0 - before as f64 - 0.5, (cells as f64 - 0.5) * PATCH as f64 - before as f64 - 0.5)
            };
            let wanted = inside(height, rows, above).view([-1, 1]) * 1000.0 + inside(width, columns, left);
            let away = (cut.squeeze() - wanted).abs().max().double_value(&[]);
            prop_assert!(away < 1e-8, "{}", away);
        }
    }
}

#[test]
fn the_smallest_side_is_one_of_two_cells() {
    let network = random(SMALL, Choice::default(), Kind::Float);
    let zeros = |height: i64| Tensor::zeros([1, 3, height, 64], (Kind::Float, Device::Cpu));
    assert_eq!(ImageTooSmall::check(&network, &zeros(SMALLEST_SIDE)), Ok(()));
    let said = ImageTooSmall::check(&network, &zeros(14)).unwrap_err().to_string();
    assert_eq!(said, "too small for the network: 64×14 pixels, and it needs 15 a side");
    let smallest = Tensor::ones([1, 3, SMALLEST_SIDE, SMALLEST_SIDE], (Kind::Float, Device::Cpu));
    no_grad(|| network.forward(&smallest, Statistics::Batch, None));
    assert!(network.state().iter().all(|(_, tensor)| tensor.isfinite().all().int64_value(&[]) == 1));
}

#[test]
fn a_draw_drops_branches_and_equal_draws_drop_the_same() {
    let x = image(28, 42, Kind::Double);
    let logits = |drop_path: f64, draw| {
        let network = random(WITH_REGISTERS, Choice { drop_path, ..Choice::default() }, Kind::Double);
        no_grad(|| network.forward(&x, Statistics::Running, draw)).main
    };
    let whole = logits(0.5, None);
    let drawn = logits(0.5, Some(DRAW));
    assert_ne!(drawn, whole);
    assert_eq!(drawn, logits(0.5, Some(DRAW)));
    assert_ne!(drawn, logits(0.5, Some(Draw { pass: Pass::Target, ..DRAW })));
    assert_eq!(whole, logits(0.0, Some(DRAW)), "a rate of 0 drops nothing");
}

#[test]
fn drop_path_rates_rise_from_none_in_the_first_block() {
    let mut scope = Scope::new(1, Kind::Float, Device::Cpu);
    let rates = VisionTransformer::new(&mut scope, "backbone", SMALL, 0.1).drop_paths();
    assert_eq!(rates.len(), 12);
    let expected = (0..12).map(|block| 0.1 * f64::from(block) / 11.0);
    assert!(rates.into_iter().zip(expected).all(|(ours, theirs)| (ours - theirs).abs() < 1e-15));
}

#[test]
fn every_parameter_is_reached_by_a_gradient_and_heads_are_a_group_of_their_own() {
    for head in [HeadKind::Linear, HeadKind::LinearFour] {
        let network = random(WITH_REGISTERS, Choice { head, ..Choice::default() }, Kind::Double);
        let logits = network.forward(&image(42, 56, Kind::Double), Statistics::Batch, None).main;
        logits.square().sum(None::<Kind>).backward();
        for p in network.parameters() {
            assert!(p.tensor.grad().abs().sum(Kind::Double).double_value(&[]) > 0.0, "{}", p.name);
            assert_eq!(p.group == RateGroup::Head, p.name.starts_with("decode_head."), "{}", p.name);
        }
    }
}

#[test]
fn first_values_are_those_of_the_released_code() {
    let state: BTreeMap<String, Tensor> =
        random(WITH_REGISTERS, Choice::default(), Kind::Float).state().into_iter().collect();
    let deviations = [
        ("backbone.pos_embed", 0.02),
        ("backbone.cls_token", 1e-6),
        ("backbone.register_tokens", 1e-6),
        ("backbone.blocks.3.attn.qkv.weight", 0.02),
        ("backbone.patch_embed.proj.weight", 1.0 / (3.0 * 588.0f64).sqrt()),
        ("decode_head.conv_seg.weight", 0.01),
    ];
    for (key, expected) in deviations {
        let deviation = state[key].std(false).double_value(&[]);
        assert!((deviation / expected - 1.0).abs() < 0.1, "{key}: {deviation} instead of {expected}");
    }
    for zero in ["backbone.blocks.0.mlp.fc2.bias", "backbone.norm.bias", "decode_head.conv_seg.bias"] {
        assert_eq!(state[zero].abs().max().double_value(&[]), 0.0, "{zero}");
    }
    let scale = &state["backbone.blocks.11.ls2.gamma"];
    assert_eq!(
        (scale.min().double_value(&[]), scale.max().double_value(&[])),
        (f64::from(1e-5f32), f64::from(1e-5f32))
    );
}

#[test]
fn in_bfloat16_logits_are_near_those_of_single_precision_and_gradients_single() {
    for (form, [height, width]) in [(SMALL, [56, 84]), (WITH_REGISTERS, [65, 97])] {
        let network = formula_network(form, HeadKind::Linear, Kind::Float);
        let single = no_grad(|| network.forward(&image(height, width, Kind::Float), Statistics::Running, None)).main;
        let half = network.forward(&image(height, width, Kind::BFloat16), Statistics::Running, None).main;
        assert_eq!(half.kind(), Kind::BFloat16);
        let away = (half.to_kind(Kind::Float) - &single).abs().mean(None::<Kind>).double_value(&[]);
        let usual = single.abs().mean(None::<Kind>).double_value(&[]);
        assert!(away < 0.1 * usual, "{form}: {away} of {usual}");
        half.to_kind(Kind::Float).square().mean(None::<Kind>).backward();
        assert!(network.parameters().iter().all(|p| p.tensor.grad().kind() == Kind::Float));
    }
}
