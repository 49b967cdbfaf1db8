//! The batches that self-training learns from beside labelled ones: mixed images, and images of which patches are hidden.
//!
//! It puts together what `mix` does and `choices` decides. It knows no network and no loss.
use tch::{Kind, Tensor};

use super::choices::{Choices, Strong};
use super::error::AdaptError;
use super::terms::{Augmentation, Masked, MaskedImages};
use crate::device::onto;
use crate::equations::PseudoLabels;
use crate::mix;
use crate::network::{ChannelOrder, Normalization};

/// Images N×3×H×W, as the network takes them, with labels N×H×W, on one device.
pub(super) struct Labelled<'a> {
    pub images: &'a Tensor,
    pub labels: &'a Tensor,
}

/// The same with a weight for each pixel, N×H×W; without, all are 1.
pub(super) struct Weighted {
    pub images: Tensor,
    pub labels: Tensor,
    pub weights: Option<Tensor>,
}

/// What changes images: by which choices, how strongly, and how their colours were normalised.
pub(super) struct Changes<'a> {
    pub choices: Choices<'a>,
    pub augmentation: &'a Augmentation,
    pub normalization: &'a Normalization,
}

/// DACS (arXiv 2007.08702): parts of source image i are pasted into target image i, with their labels and a weight of 1. Then
/// colours change.
///
/// Classes are drawn from those of the whole batch, `present`, as in DAFormer's released code; DACS takes the image's own.
/// Pixels without a label are one of them, and count nothing where they are pasted.
pub(super) fn mixed(
    source: &Labelled,
    target: &Tensor,
    pseudo: &PseudoLabels,
    present: &[i64],
    changes: &Changes,
) -> Weighted {
    let count = source.images.size()[0];
    let of_each = (0..count).map(|i| {
        let own = source.labels.select(0, i);
        let pasted = mix::where_chosen(&own, &changes.choices.classes(present, i as usize));
        let image = source.images.select(0, i).where_self(&pasted, &target.select(0, i));
        let labels = own.where_self(&pasted, &pseudo.labels.select(0, i));
        let weights = pseudo.weights.select(0, i);
        [image, labels, weights.ones_like().where_self(&pasted, &weights)]
    });
    let of_each: Vec<[Tensor; 3]> = of_each.collect();
    let [images, labels, weights] =
        [0, 1, 2].map(|part| Tensor::stack(&of_each.iter().map(|parts| &parts[part]).collect::<Vec<_>>(), 0));
    let strong = changes.choices.strong_of_mixed(changes.augmentation, count as usize);
    Weighted { images: changed(&images, &strong, changes.normalization), labels, weights: Some(weights) }
}

/// MIC (arXiv 2212.01322): images of which patches are 0 after normalisation, with the labels of all their pixels.
pub(super) fn masked(
    source: &Labelled,
    target: Option<(&Tensor, &PseudoLabels)>,
    how: &Masked,
    changes: &Changes,
) -> Result<Weighted, AdaptError> {
    let first = |tensor: &Tensor| tensor.narrow(0, 0, 1);
    let strong = |images: &Tensor| {
        let strong = changes.choices.strong_of_masked(changes.augmentation, images.size()[0] as usize);
        changed(images, &strong, changes.normalization)
    };
    let whole = match (how.images, target) {
        (MaskedImages::Target, Some((images, pseudo))) => Weighted {
            images: strong(images),
            labels: pseudo.labels.shallow_clone(),
            weights: Some(pseudo.weights.shallow_clone()),
        },
        (MaskedImages::Both, Some((images, pseudo))) => Weighted {
            images: Tensor::cat(&[first(source.images), first(images)], 0),
            labels: Tensor::cat(&[first(source.labels), first(&pseudo.labels)], 0),
            weights: Some(Tensor::cat(&[first(&pseudo.weights).ones_like(), first(&pseudo.weights)], 0)),
        },
        _ => Weighted { images: strong(source.images), labels: source.labels.shallow_clone(), weights: None },
    };
    let size = whole.images.size();
    let [count, height, width] = [size[0], size[2], size[3]];
    let grid = mix::mask_grid([height, width], how.block);
    let iteration = changes.choices.iteration;
    let mask = changes.choices.mask(count, grid, how.ratio, whole.images.device());
    let mask = mask.map_err(|problem| AdaptError::Given { iteration, problem })?;
    let pixels = mix::mask_pixels(&mask, [height, width]).to_kind(whole.images.kind());
    Ok(Weighted { images: whole.images * pixels, ..whole })
}

/// Normalised images with other colours, and blurred.
fn changed(images: &Tensor, strong: &Strong, normalization: &Normalization) -> Tensor {
    if strong.colours.is_none() && strong.blur.is_none() {
        return images.shallow_clone();
    }
    let row = |numbers: [f32; 3]| onto(&Tensor::from_slice(&numbers).view([3, 1, 1]), images.device());
    let (mean, scale) = (row(normalization.mean), row(normalization.scale));
    let ordered = |image: Tensor| match normalization.channels {
        ChannelOrder::Rgb => image,
        ChannelOrder::Bgr => image.flip([0i64]),
    };
    let change = |i: usize| {
        let mut image = images.select(0, i as i64).to_kind(Kind::Float);
        if let Some(colours) = &strong.colours {
            let grey = ordered((image * &scale + &mean) / 255.0);
            image = (ordered(mix::recoloured(&grey, &colours[i])) * 255.0 - &mean) / &scale;
        }
        match &strong.blur {
            Some(sigmas) => mix::blurred(&image, sigmas[i]),
            None => image,
        }
    };
    Tensor::stack(&(0..images.size()[0] as usize).map(change).collect::<Vec<_>>(), 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tch::{Device, no_grad};

    use super::*;
    use crate::adapt::choices::Given;
    use crate::equations::IGNORE;
    use crate::mix::{ColourChange, Step};

    const NORMALIZATION: Normalization =
        Normalization { channels: ChannelOrder::Rgb, mean: [100.0, 110.0, 120.0], scale: [50.0, 55.0, 60.0] };

    fn labels(values: &[i64]) -> Tensor {
        Tensor::from_slice(values).view([1, 2, 3])
    }

    #[test]
    fn pasted_pixels_bring_their_colours_labels_and_full_weight_and_the_others_stay() {
        let given: Given = serde_json::from_str(r#"{"iterations": [{"classes": [[1, 255]]}]}"#).unwrap();
        let augmentation = Augmentation { colour_probability: 0.0, blur_probability: 0.0, ..Augmentation::default() };
        let choices = Choices { seed: 0, iteration: 0, given: Some(&given) };
        let changes = Changes { choices, augmentation: &augmentation, normalization: &NORMALIZATION };
        let ours = labels(&[0, 1, 255, 1, 2, 0]);
        let pseudo = PseudoLabels {
            labels: labels(&[4; 6]),
            weights: Tensor::full([1, 2, 3], 0.25, (Kind::Float, Device::Cpu)),
            share: Tensor::from(0.25),
        };
        let images = [1.0, 2.0].map(|value| Tensor::full([1, 3, 2, 3], value, (Kind::Float, Device::Cpu)));
        let source = Labelled { images: &images[0], labels: &ours };
        let mixed = mixed(&source, &images[1], &pseudo, &[0, 1, 2, 255], &changes);
        assert_eq!(mixed.labels, labels(&[4, 1, IGNORE, 1, 4, 4]));
        let pixels = |tensor: Tensor| Vec::<f32>::try_from(tensor.flatten(0, -1)).unwrap();
        assert_eq!(pixels(mixed.weights.unwrap()), [0.25, 1.0, 1.0, 1.0, 0.25, 0.25]);
        assert_eq!(pixels(mixed.images.select(1, 2)), [2.0, 1.0, 1.0, 1.0, 2.0, 2.0]);
    }

    proptest! {
        #[test]
        fn a_change_that_changes_nothing_leaves_the_image_but_for_rounding(
            levels in prop::collection::vec(0u8..=255, 27),
            order in Just(Step::ALL).prop_shuffle(),
            bgr: bool,
        ) {
            let image = Tensor::from_slice(&levels).view([1, 3, 3, 3]).to_kind(Kind::Float);
            let channels = if bgr { ChannelOrder::Bgr } else { ChannelOrder::Rgb };
            let normalization = Normalization { channels, ..NORMALIZATION };
            let row = |numbers: [f32; 3]| Tensor::from_slice(&numbers).view([1, 3, 1, 1]);
            let input = (image - row(normalization.mean)) / row(normalization.scale);
            let colours = ColourChange { order, brightness: 1.0, contrast: 1.0, saturation: 1.0, hue: 0.0 };
            let strong = Strong { colours: Some(vec![colours]), blur: None };
            let away = no_grad(|| changed(&input, &strong, &normalization) - &input).abs().max().double_value(&[]);
            prop_assert!(away < 1e-4, "{}", away);
        }
    }
}
