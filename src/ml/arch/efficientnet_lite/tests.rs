//! EfficientNet-Lite0 against the published weights and check values, and its dilated forms against the strided one.

use std::path::PathBuf;

use tch::no_grad;

use super::*;

fn network(output_stride: OutputStride) -> EfficientNetLite0 {
    EfficientNetLite0::new(5, true, output_stride, 1, Device::Cpu, Kind::Float)
}

/// The ImageNet file, if there is one.
fn imagenet() -> Option<PathBuf> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/efficientnet_lite0_imagenet.safetensors");
    let path = PathBuf::from(path);
    if !path.exists() {
        println!("skipped: there is no {}", path.display());
        return None;
    }
    Some(path)
}

/// v(y, x, c) = (7x + 11y + 53c + ⌊xy / 16⌋) mod 256, normalised.
fn pattern(height: i64, width: i64) -> Tensor {
    let mut values = Vec::new();
    for c in 0..3 {
        for y in 0..height {
            values.extend((0..width).map(|x| ((7 * x + 11 * y + 53 * c + x * y / 16) % 256) as f32));
        }
    }
    (Tensor::from_slice(&values).view([1, 3, height, width]) - 127.0) / 128.0
}

/// Of the stem and of every block.
fn outputs(network: &EfficientNetLite0, image: &Tensor) -> Vec<Tensor> {
    no_grad(|| {
        let mut all = vec![network.stem.forward(image)];
        for block in &network.blocks {
            all.push(block.forward(all.last().unwrap()));
        }
        all
    })
}

#[test]
fn imagenet_weights_give_the_published_values_at_every_depth() {
    let Some(path) = imagenet() else { return };
    let network = network(OutputStride::ThirtyTwo);
    network.load_pretrained(&InputFile::new(&path), Member::Student).unwrap();
    let outputs = outputs(&network, &pattern(180, 240));
    // After the stem, and after blocks 0, 2, …: shape, mean, standard deviation, value at [3, 5, 7].
    for (index, shape, mean, deviation, value) in [
        (0, [32, 90, 120], 2.108847, 2.022879, 0.000000),
        (1, [16, 90, 120], -0.191527, 9.886391, 9.808806),
        (3, [24, 45, 60], 0.239258, 15.384598, -10.408791),
        (5, [40, 23, 30], 0.892045, 10.763300, 4.920462),
        (8, [80, 12, 15], -1.727965, 10.848226, -14.533675),
        (11, [112, 12, 15], -0.196859, 6.434257, 9.366817),
        (16, [320, 6, 8], -0.129258, 2.783998, 1.017701),
    ] {
        let x = &outputs[index];
        assert_eq!(x.size()[1..], shape);
        let ours = [x.mean(Kind::Double), x.to_kind(Kind::Double).std(true), x.get(0).get(3).get(5).get(7)];
        for (ours, theirs) in ours.iter().map(|t| t.double_value(&[])).zip([mean, deviation, value]) {
            assert!((ours - theirs).abs() <= 1e-3 * deviation, "depth {index}: {ours} instead of {theirs}");
        }
    }
}

#[test]
fn the_imagenet_file_fills_the_backbone_and_leaves_the_classifiers() {
    let Some(path) = imagenet() else { return };
    let restored = network(OutputStride::Eight).load_pretrained(&InputFile::new(&path), Member::Student).unwrap();
    assert_eq!(restored.loaded.len(), 240);
    let skipped = ["_bn1.bias", "_bn1.running_mean", "_bn1.running_var", "_bn1.weight", "_conv_head.weight"];
    assert_eq!(restored.skipped.iter().map(|apart| apart.name.as_str()).collect::<Vec<_>>(), skipped);
    assert_eq!(restored.kept.len(), 16);
    let heads = |name: &str| name.starts_with("layer5.conv2d_list") || name.starts_with("layer6");
    assert!(restored.kept.iter().all(|apart| heads(&apart.name)));
}

#[test]
fn dilation_in_the_place_of_stride_keeps_the_values_of_every_second_cell() {
    let image = pattern(64, 96);
    let last = |stride| outputs(&network(stride), &image).pop().unwrap();
    let (strided, sixteen, eight) =
        (last(OutputStride::ThirtyTwo), last(OutputStride::Sixteen), last(OutputStride::Eight));
    assert_eq!((strided.size(), eight.size()), (vec![1, 320, 2, 3], vec![1, 320, 8, 12]));
    // On even sizes "same" padding puts the strided network's cells on the odd ones.
    let odd = |x: &Tensor| x.slice(2, 1, None, 2).slice(3, 1, None, 2);
    for (coarse, fine) in [(&strided, &sixteen), (&sixteen, &eight)] {
        let difference = (coarse - odd(fine)).abs().max().double_value(&[]);
        let scale = coarse.abs().max().double_value(&[]);
        assert!(difference <= 1e-5 * scale, "{difference} of {scale}");
    }
}

#[test]
fn training_reaches_every_parameter_and_moves_no_statistics() {
    let network = network(OutputStride::Eight);
    let before: Vec<_> = network.state().iter().map(|(_, t)| t.copy()).collect();
    let logits = network.forward(&pattern(64, 64), Statistics::Batch, None);
    assert_eq!((logits.main.size(), logits.aux.as_ref().unwrap().size()), (vec![1, 5, 8, 8], vec![1, 5, 8, 8]));
    (logits.main.square().sum(None) + logits.aux.unwrap().square().sum(None)).backward();
    for p in network.parameters() {
        assert!(p.tensor.grad().defined(), "{}", p.name);
        assert_eq!(p.group == RateGroup::Head, p.name.starts_with("layer"), "{}", p.name);
    }
    for ((name, now), before) in network.state().iter().zip(before) {
        assert_eq!(*now, before, "{name}");
    }
}
