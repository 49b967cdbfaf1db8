//! kornia's and MIC's numbers, and laws.
use proptest::prelude::*;
use tch::Device;

use super::*;
use crate::golden::modern::{stored, vectors};

fn away(ours: &Tensor, theirs: &Tensor) -> f64 {
    (ours - theirs).abs().max().double_value(&[])
}

#[test]
fn golden_changes_of_colours_are_reproduced() {
    let Some((folder, golden)) = vectors() else { return };
    let tensors = stored(&folder);
    let image = tensors["unit.jitter.input"].to_kind(Kind::Double).permute([2, 0, 1]) / 255.0;
    for (k, change) in golden["units"]["jitter"].as_array().unwrap().iter().enumerate() {
        let order: Vec<usize> = serde_json::from_value(change["order"].clone()).unwrap();
        let number = |key: &str| change[key].as_f64().unwrap();
        let change = ColourChange {
            order: [0, 1, 2, 3].map(|at: usize| Step::ALL[order[at]]),
            brightness: number("brightness"),
            contrast: number("contrast"),
            saturation: number("saturation"),
            hue: number("hue"),
        };
        let away = away(&recoloured(&image, &change), &tensors[&format!("unit.jitter.{k}")]);
        eprintln!("colours {k}: {away:.1e}");
        assert!(away < 1e-12, "{k}: {away}");
    }
}

#[test]
fn golden_blurs_are_reproduced() {
    let Some((folder, golden)) = vectors() else { return };
    let tensors = stored(&folder);
    let image = tensors["unit.jitter.input"].to_kind(Kind::Double).permute([2, 0, 1]) / 255.0;
    for (k, blur) in golden["units"]["blur"].as_array().unwrap().iter().enumerate() {
        let away = away(&blurred(&image, blur["sigma"].as_f64().unwrap()), &tensors[&format!("unit.blur.{k}")]);
        eprintln!("blur {k}: {away:.1e}");
        assert!(away < 1e-12, "{k}: {away}");
    }
    for (pixels, side) in golden["units"]["blur_kernel_size"].as_object().unwrap() {
        assert_eq!(kernel_side(pixels.parse().unwrap()), side.as_i64().unwrap(), "{pixels}");
    }
}

#[test]
fn golden_masks_have_the_grids_and_pixels_of_mic() {
    let Some((folder, golden)) = vectors() else { return };
    let tensors = stored(&folder);
    for one in golden["units"]["mask_grid"].as_array().unwrap() {
        let pair =
            |key: &str| <[i64; 2]>::try_from(serde_json::from_value::<Vec<i64>>(one[key].clone()).unwrap()).unwrap();
        let ([height, width], grid) = (pair("size"), pair("grid"));
        assert_eq!(mask_grid([height, width], one["block"].as_i64().unwrap()), grid);
        let Some(stored) = tensors.get(&format!("unit.mask.{height}x{width}.grid")) else { continue };
        let pixels = mask_pixels(&stored.to_kind(Kind::Float).unsqueeze(0), [height, width]);
        let theirs = &tensors[&format!("unit.mask.{height}x{width}.pixels")];
        assert_eq!(away(&pixels.view([height, width]), &theirs.to_kind(Kind::Float)), 0.0, "{height}×{width}");
    }
}

#[test]
fn values_of_labels_are_listed_once_ascending() {
    let labels = Tensor::from_slice(&[255i64, 3, 3, 0, 18, 255]).view([2, 3]);
    assert_eq!(present(&labels), [0, 3, 18, 255]);
    let chosen = where_chosen(&labels, &[255, 18]).to_kind(Kind::Int64).flatten(0, -1);
    assert_eq!(Vec::<i64>::try_from(chosen).unwrap(), [1, 0, 0, 0, 1, 1]);
    let none = where_chosen(&labels, &[]).to_kind(Kind::Int64).sum(Kind::Int64).int64_value(&[]);
    assert_eq!(none, 0);
}

proptest! {
    #[test]
    fn hue_saturation_and_value_give_the_colour_back(colour in any::<[u8; 3]>()) {
        let image = Tensor::from_slice(&colour.map(|level| f64::from(level) / 255.0)).view([3, 1, 1]);
        // 1e-6 under the saturation's fraction is what remains.
        prop_assert!(away(&rgb(hsv(&image)), &image) < 2e-6);
    }

    #[test]
    fn a_blur_keeps_a_plain_image_and_the_sides(sides in (1i64..40, 1i64..40), sigma in 0.15f64..1.15) {
        let plain = Tensor::full([3, sides.0, sides.1], 0.5, (Kind::Double, Device::Cpu));
        let blurred = blurred(&plain, sigma);
        prop_assert_eq!(blurred.size(), plain.size());
        prop_assert!(away(&blurred, &plain) < 1e-12);
    }
}
