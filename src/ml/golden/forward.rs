//! Inference with DeepLab-v2 on ResNet-101: logits, maps and scores of six images.
use std::num::NonZeroUsize;

use intrada_data::decode::Orientation;
use intrada_data::label::Encoding;
use intrada_data::margins::Margins;
use intrada_data::resize::Scaling;
use intrada_data::source::{LabelUse, Sample, Source};
use serde_json::Value;
use tch::{Kind, Tensor, no_grad};

use super::{close, formula, network, vectors};
use crate::checkpoint;
use crate::data::pass::{Pass, Photographs};
use crate::entropy_inference::infer;
use crate::equations::{entropy_map, softmax, upsample};
use crate::network::{Prediction, Statistics};

/// IntraDA's rare classes of Cityscapes.
const RARE: [u8; 11] = [3, 4, 5, 6, 7, 9, 12, 14, 15, 16, 17];

#[test]
fn the_networks_keys_and_shapes_are_the_released_codes() {
    for (arch, blocks) in [("deeplabv2-resnet50", [3, 4, 6, 3]), ("deeplabv2-resnet101", [3, 4, 23, 3])] {
        let (_, network) = network(&arch.into(), Kind::Float);
        let shape = |tensor: &Tensor| tensor.size().iter().map(|&side| side as usize).collect::<Vec<_>>();
        let (counters, mut ours): (Vec<_>, Vec<_>) = network
            .state()
            .iter()
            .map(|(key, tensor)| (key.clone(), shape(tensor)))
            .partition(|(key, _)| key.ends_with("num_batches_tracked"));
        let mut theirs = formula::generator(blocks, 19);
        ours.sort();
        theirs.sort();
        assert_eq!(ours, theirs, "{arch}");
        if arch == "deeplabv2-resnet101" {
            assert_eq!((ours.len(), ours.len() + counters.len()), (536, 640), "as PyTorch before 0.4.1 and after");
            let elements = |all: &[(String, Vec<usize>)]| all.iter().map(|(_, s)| s.iter().product::<usize>()).sum();
            let learnt: Vec<_> = theirs.into_iter().filter(|(key, _)| !key.contains("running_")).collect();
            let (learnt, trained): (usize, usize) =
                (elements(&learnt), { network.parameters().iter().map(|p| p.tensor.numel()).sum() });
            assert_eq!((learnt, trained), (44_601_560, 44_496_216));
        }
    }
}

#[test]
fn golden_images_give_pytorchs_logits_maps_and_scores() {
    let Some((folder, golden)) = vectors() else { return };
    let tensors = checkpoint::read(&folder.join("golden.safetensors")).unwrap().tensors;
    let (arch, network) = network(&golden["forward_arch"], Kind::Float);
    let images = golden["images"].as_array().unwrap();
    let sample = |image: &Value| {
        let name = image["file"].as_str().unwrap();
        Sample { name: name.to_owned(), image: folder.join(name).into(), label: None }
    };
    let source = Source::Files {
        samples: images.iter().map(sample).collect(),
        size: None,
        scaling: Scaling::default(),
        label_map: None,
        encoding: Encoding::Index,
        orientation: Orientation::Ignore,
        margins: Margins::default(),
        detail: Default::default(),
        keep: None,
    };
    let frames =
        Pass::open(&source, &arch.normalization(), LabelUse::Ignored, Photographs::AsStored, NonZeroUsize::MIN)
            .unwrap();
    assert_eq!(frames.samples(), images.len());
    for (k, (frame, golden)) in frames.zip(images).enumerate() {
        let frame = frame.unwrap();
        let logits = no_grad(|| network.forward(&frame.input(), Statistics::Running, None));
        let aux = logits.aux.expect("the network has two levels");
        // The maps of only two images are stored, derived values of all.
        if let Some(theirs) = tensors.get(&format!("forward.{k}.logits_main")) {
            near(&logits.main, theirs, 1e-4, "main logits");
            near(&aux, &tensors[&format!("forward.{k}.logits_aux")], 1e-4, "auxiliary logits");
            let p = softmax(&upsample(&logits.main, [97, 129], network.alignment()));
            near(&entropy_map(&p), &tensors[&format!("forward.{k}.entropy_map")], 1e-4, "entropy map");
            near(&p.amax([1i64].as_slice(), false), &tensors[&format!("forward.{k}.max_probability")], 1e-4, "maximum");
        }
        let seen = Prediction { logits: logits.main, alignment: network.alignment() };
        let found = infer(&frame.name, &seen.into(), [129, 97], &RARE).unwrap();
        let theirs: Vec<u8> = tensors[&format!("forward.{k}.argmax")].flatten(0, -1).try_into().unwrap();
        let equal = found.prediction.bytes().iter().zip(&theirs).filter(|(ours, theirs)| ours == theirs).count();
        assert!(equal as f64 >= 0.999 * theirs.len() as f64, "image {k}: {equal} of {} pixels", theirs.len());
        let number = |key: &str| golden[key].as_f64().unwrap();
        close("mean entropy", found.score.mean_entropy.into(), number("mean_entropy"), 1e-5);
        close("in nats", found.score.mean_entropy_eq4_nats.into(), number("mean_entropy_eq4_nats"), 1e-5);
        assert_eq!(f64::from(found.score.predicted_rare_classes), number("rare_predicted"), "image {k}");
        let factor = (11.0 - f64::from(found.score.predicted_rare_classes)) / 11.0 + 0.5;
        assert_eq!(factor, number("released_code_normalizer"), "image {k}");
    }
}

/// Within `tolerance` of the largest element.
fn near(ours: &Tensor, theirs: &Tensor, tolerance: f64, what: &str) {
    let number = |t: Tensor| t.abs().max().double_value(&[]);
    let (largest, difference) = (number(theirs.shallow_clone()), number(ours.squeeze() - theirs));
    assert!(difference <= tolerance * largest, "{what}: {difference} away, where the largest is {largest}");
}
