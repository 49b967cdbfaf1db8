//! The equations against values worked out by hand and against the golden vectors.

use std::path::PathBuf;

use proptest::prelude::*;
use tch::Device;

use super::*;
use crate::checkpoint;

fn number(t: &Tensor) -> f64 {
    t.double_value(&[])
}

#[track_caller]
fn close(ours: f64, theirs: f64, tolerance: f64) {
    assert!((ours - theirs).abs() <= tolerance * theirs.abs().max(1e-12), "{ours} instead of {theirs}");
}

/// One image, two pixels, two classes: P = (3/4, 1/4) and (1/2, 1/2).
fn two_pixels() -> Tensor {
    Tensor::from_slice(&[0.75f64, 0.5, 0.25, 0.5]).view([1, 2, 1, 2])
}

#[test]
fn maps_and_scores_are_those_computed_by_hand() {
    let p = two_pixels();
    let (a, b) = (-0.75 * 0.75f64.log2(), -0.25 * 0.25f64.log2());
    let information: Vec<f64> = weighted_self_information(&p).flatten(0, -1).try_into().unwrap();
    for (ours, theirs) in information.into_iter().zip([a, 0.5, b, 0.5]) {
        close(ours, theirs, 1e-12);
    }
    let entropy: Vec<f64> = entropy_map(&p).flatten(0, -1).try_into().unwrap();
    close(entropy[0], a + b, 1e-12);
    close(entropy[1], 1.0, 1e-12);
    close(number(&entropy_loss(&p)), (a + b + 1.0) / 2.0, 1e-12);
    close(mean_self_information(&p).double_value(&[0]), (a + b + 1.0) / 4.0, 1e-12);
    close(mean_entropy_nats(&p).double_value(&[0]), (a + b + 1.0) / 2.0 * 2f64.ln(), 1e-12);
}

#[test]
fn cross_entropy_is_the_mean_over_labelled_pixels() {
    let logits = two_pixels().log();
    let labels = Tensor::from_slice(&[1i64, IGNORE]).view([1, 1, 2]);
    close(number(&cross_entropy(&logits, &labels)), 4f64.ln(), 1e-12);
    let labels = Tensor::from_slice(&[1i64, 0]).view([1, 1, 2]);
    close(number(&cross_entropy(&logits, &labels)), (4f64.ln() + 2f64.ln()) / 2.0, 1e-12);
}

#[test]
fn without_a_labelled_pixel_loss_and_gradient_are_zero() {
    let logits = two_pixels().set_requires_grad(true);
    let loss = cross_entropy(&logits, &Tensor::full([1, 1, 2], IGNORE, (Kind::Int64, Device::Cpu)));
    loss.backward();
    assert_eq!(number(&loss), 0.0);
    assert_eq!(logits.grad(), logits.zeros_like());
}

#[test]
fn domain_loss_counts_source_as_zero_and_target_as_one() {
    let loss = |output, domain, gan| number(&domain_loss(&Tensor::from_slice(output), domain, gan));
    close(loss(&[2f64], Domain::Source, Gan::Vanilla), (1.0 + 2f64.exp()).ln(), 1e-12);
    close(loss(&[2f64], Domain::Target, Gan::Vanilla), (1.0 + (-2f64).exp()).ln(), 1e-12);
    close(loss(&[2f64, -1.0], Domain::Source, Gan::Ls), (4.0 + 1.0) / 2.0, 1e-12);
    close(loss(&[2f64, -1.0], Domain::Target, Gan::Ls), (1.0 + 4.0) / 2.0, 1e-12);
}

#[test]
fn upsampling_keeps_the_corners_or_the_edges() {
    let x = Tensor::from_slice(&[0f64, 3.0]).view([1, 1, 1, 2]);
    for (alignment, theirs) in [(Alignment::Corners, [0.0, 1.0, 2.0, 3.0]), (Alignment::Edges, [0.0, 0.75, 2.25, 3.0])]
    {
        let row: Vec<f64> = upsample(&x, [1, 4], alignment).flatten(0, -1).try_into().unwrap();
        for (ours, theirs) in row.into_iter().zip(theirs) {
            assert!((ours - theirs).abs() < 1e-12, "{ours} instead of {theirs}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn entropy_lies_between_certainty_and_uniform_and_both_forms_of_equation_4_agree(
        values in prop::collection::vec(-200.0f64..200.0, 24),
        classes in prop::sample::select(vec![2i64, 3, 4]),
    ) {
        let p = softmax(&Tensor::from_slice(&values).view([1, classes, 2, 12 / classes]));
        let map = entropy_map(&p);
        prop_assert!(number(&map.min()) >= 0.0 && number(&map.max()) <= 1.0 + 1e-12);
        let c = classes as f64;
        let (code, paper) = (mean_self_information(&p).double_value(&[0]), mean_entropy_nats(&p).double_value(&[0]));
        prop_assert!((code * c * c.ln() - paper).abs() <= 1e-12);
        prop_assert!((number(&entropy_loss(&p)) - code * c).abs() <= 1e-12);
    }
}

#[test]
fn golden_images_give_the_golden_maps_and_scores() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/golden"));
    let Ok(text) = std::fs::read_to_string(folder.join("golden.json")) else {
        return println!("skipped: {} has no golden.json", folder.display());
    };
    let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
    let tensors = checkpoint::read(&folder.join("golden.safetensors")).unwrap().tensors;
    let images = golden["images"].as_array().unwrap();
    // The maps of a few images only are in the file.
    let stored: Vec<usize> =
        (0..images.len()).filter(|k| tensors.contains_key(&format!("forward.{k}.logits_main"))).collect();
    assert!(!stored.is_empty());
    for k in stored {
        let (image, theirs) = (&images[k], &tensors[&format!("forward.{k}.entropy_map")]);
        let [height, width] = <[i64; 2]>::try_from(theirs.size()).unwrap();
        let logits = tensors[&format!("forward.{k}.logits_main")].unsqueeze(0);
        let p = softmax(&upsample(&logits, [height, width], Alignment::Corners));
        let difference = number(&(entropy_map(&p).squeeze() - theirs).abs().max());
        assert!(difference < 1e-4, "image {k}: {difference}");
        close(mean_self_information(&p).double_value(&[0]), image["mean_entropy"].as_f64().unwrap(), 1e-5);
        close(mean_entropy_nats(&p).double_value(&[0]), image["mean_entropy_eq4_nats"].as_f64().unwrap(), 1e-5);
    }
}

#[test]
fn void_makes_the_cross_entropy_of_all_pixels_smaller_and_that_of_labelled_ones_not() {
    let logits = Tensor::from_slice(&[1.0f64, -0.5, 0.25, 2.0, 0.0, 1.5]).view([1, 3, 1, 2]);
    let all = Tensor::from_slice(&[0i64, 2]).view([1, 1, 2]);
    let half = Tensor::from_slice(&[0i64, IGNORE]).view([1, 1, 2]);
    let value = |loss: Tensor| loss.double_value(&[]);
    assert!((value(cross_entropy_of_all(&logits, &all, None)) - value(cross_entropy(&logits, &all))).abs() < 1e-15);
    assert!(
        (value(cross_entropy_of_all(&logits, &half, None)) - value(cross_entropy(&logits, &half)) / 2.0).abs() < 1e-15
    );
    let weights = Tensor::from_slice(&[0.5f64, 7.0]).view([1, 1, 2]);
    let weighted = value(cross_entropy_of_all(&logits, &half, Some(&weights)));
    assert!((weighted - value(cross_entropy(&logits, &half)) / 4.0).abs() < 1e-15);
}

#[test]
fn the_share_of_sure_pixels_is_of_the_whole_batch_and_counts_margins() {
    // Softmax of (x, 0) is above 0.9 for x = 3, and 0.73 for x = 1.
    let logits = Tensor::from_slice(&[3.0f64, 1.0, 0.0, 0.0, 3.0, 3.0, 0.0, 0.0]).view([2, 2, 1, 2]);
    let inside = Tensor::from_slice(&[0i64, 1, 1, 1]).view([2, 1, 2]).to_kind(Kind::Bool);
    let pseudo = pseudo_labels(&logits, 0.9, Some(&inside));
    assert_eq!(pseudo.share.double_value(&[]), 0.75);
    let weights = Vec::<f64>::try_from(pseudo.weights.flatten(0, -1)).unwrap();
    assert_eq!(weights, [0.0, 0.75, 0.75, 0.75], "the unsure pixel has the weight of all");
    assert_eq!(Vec::<i64>::try_from(pseudo.labels.flatten(0, -1)).unwrap(), [0; 4]);
}

#[test]
fn golden_cells_have_the_class_that_fills_them() {
    let Some((folder, golden)) = crate::golden::modern::vectors() else { return };
    let tensors = crate::golden::modern::stored(&folder);
    let labels = tensors["unit.cells.label"].to_kind(Kind::Int64).unsqueeze(0);
    for side in [16, 32] {
        let theirs = tensors[&format!("unit.cells.result_{side}")].to_kind(Kind::Int64);
        let least = golden["train"]["config"]["fd_min_ratio"].as_f64().unwrap();
        let ours = label_cells(&labels, [64 / side, 96 / side], 19, least).squeeze_dim(0);
        assert_eq!(ours, theirs, "cells of {side}");
    }
}

#[test]
fn a_teacher_begins_as_a_copy_and_keeps_more_of_itself_in_each_step_up_to_its_largest_share() {
    assert_eq!([0, 1, 3].map(|k| teacher_keeps(k, 0.999)), [0.0, 0.5, 0.75]);
    let Some((_, golden)) = crate::golden::modern::vectors() else { return };
    for (iteration, alpha) in golden["units"]["alpha_0.999"].as_object().unwrap() {
        let (ours, theirs) = (teacher_keeps(iteration.parse().unwrap(), 0.999), alpha.as_f64().unwrap());
        assert!((ours - theirs).abs() <= 1e-12, "{iteration}: {ours} instead of {theirs}");
    }
}

#[test]
fn a_feature_distance_without_a_cell_is_absent_and_equal_features_have_no_slope() {
    let features = Tensor::arange(8, (Kind::Double, Device::Cpu)).view([1, 2, 2, 2]).set_requires_grad(true);
    let reference = features.detach();
    let cells = |values: &[i64]| Tensor::from_slice(values).view([1, 2, 2]).to_kind(Kind::Bool);
    assert!(feature_distance(&features, &reference, &cells(&[0, 0, 0, 0])).is_none());
    let same = feature_distance(&features, &reference, &cells(&[1, 1, 1, 1])).unwrap();
    same.backward();
    assert_eq!(same.double_value(&[]), 0.0);
    assert_eq!(features.grad(), features.zeros_like());
    // Both channels of the last cell differ by 3 and 4.
    let moved = &reference + Tensor::from_slice(&[0.0f64, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 4.0]).view([1, 2, 2, 2]);
    let distance = |chosen: &[i64]| feature_distance(&reference, &moved, &cells(chosen)).unwrap().double_value(&[]);
    assert_eq!([distance(&[0, 0, 0, 1]), distance(&[1, 0, 0, 1])], [5.0, 2.5]);
}
