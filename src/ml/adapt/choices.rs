//! The random choices of self-training: which classes are pasted, which patches are masked, how colours change.
//!
//! Each is a function of (seed, iteration, position in the batch), so that a resumed training makes the same ones. It knows no
//! image: `mix` applies them. For comparisons with other programs the classes and masks can be given instead of drawn.
use intrada_data::random::{Purpose, Stream};
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

use crate::device::onto;
use crate::mix::{ColourChange, Step};

use super::terms::Augmentation;

/// Where choices come from.
#[derive(Clone, Copy)]
pub(super) struct Choices<'a> {
    pub seed: u64,
    pub iteration: u64,
    pub given: Option<&'a Given>,
}

/// Choices of a training that another program has made: for comparisons only. What isn't given is drawn.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// By iteration, from 0.
    pub iterations: Vec<GivenIteration>,
}

/// Those of an iteration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenIteration {
    /// The label values that are pasted, by position in the batch.
    pub classes: Option<Vec<Vec<i64>>>,
    /// The patches of each masked image, by row: 1 stays, 0 is masked.
    pub mask: Option<Vec<Vec<Vec<u8>>>>,
}

/// How the images of a batch are changed.
pub(super) struct Strong {
    /// By position in the batch, if colours are changed at all.
    pub colours: Option<Vec<ColourChange>>,
    /// σ by position in the batch, if images are blurred at all.
    pub blur: Option<Vec<f64>>,
}

impl Choices<'_> {
    fn given(&self) -> Option<&GivenIteration> {
        self.given?.iterations.get(usize::try_from(self.iteration).ok()?)
    }

    fn stream(&self, purpose: Purpose, place: u64) -> Stream {
        Stream::at(self.seed, purpose, self.iteration, place)
    }

    /// Half of the values that occur in the batch's labels, rounded up, for one of its images.
    pub(super) fn classes(&self, present: &[i64], position: usize) -> Vec<i64> {
        let given = self.given().and_then(|given| given.classes.as_ref()?.get(position).cloned());
        given.unwrap_or_else(|| {
            let order = self.stream(Purpose::Paste, position as u64).permutation(present.len());
            order.iter().take(present.len().div_ceil(2)).map(|&at| present[at]).collect()
        })
    }

    /// 1 for each patch that stays, N×h×w; each is masked with probability `ratio`, independently.
    pub(super) fn mask(
        &self,
        images: i64,
        [height, width]: [i64; 2],
        ratio: f64,
        device: Device,
    ) -> Result<Tensor, String> {
        let (images, height, width) = (images as usize, height as usize, width as usize);
        let kept: Vec<f32> = match self.given().and_then(|given| given.mask.as_ref()) {
            Some(given) => {
                let is_shaped = given.len() == images
                    && given.iter().all(|rows| rows.len() == height && rows.iter().all(|row| row.len() == width));
                if !is_shaped {
                    return Err(format!("the mask that is given isn't {images}×{height}×{width}"));
                }
                given.iter().flatten().flatten().map(|&kept| f32::from(kept)).collect()
            }
            None => {
                let of_image = |position| {
                    let mut stream = self.stream(Purpose::Mask, position);
                    (0..height * width).map(move |_| f32::from(u8::from(f64::from(stream.unit()) > ratio)))
                };
                (0..images as u64).flat_map(of_image).collect()
            }
        };
        let shape = [images, height, width].map(|side| side as i64);
        Ok(onto(&Tensor::from_slice(&kept).view(shape).to_kind(Kind::Float), device))
    }

    /// For mixed images: whether colours change and whether images are blurred is decided for the batch, how much and in which
    /// order for each image.
    pub(super) fn strong_of_mixed(&self, how: &Augmentation, images: usize) -> Strong {
        let mut shared = self.stream(Purpose::MixedColours, 0);
        let (colours, blur) = decided(how, &mut shared);
        let mut of_each: Vec<Stream> =
            (1..=images as u64).map(|place| self.stream(Purpose::MixedColours, place)).collect();
        let changes: Vec<_> = of_each.iter_mut().map(|stream| change(how.strength, order(stream), stream)).collect();
        let sigmas = of_each.iter_mut().map(|stream| sigma(how, stream)).collect();
        Strong { colours: colours.then_some(changes), blur: blur.then_some(sigmas) }
    }

    /// For masked images: the order and σ too are shared by the batch (MIC, `masking_consistency_module.py`).
    pub(super) fn strong_of_masked(&self, how: &Augmentation, images: usize) -> Strong {
        let mut shared = self.stream(Purpose::MaskedColours, 0);
        let (colours, blur) = decided(how, &mut shared);
        let (order, sigma) = (order(&mut shared), sigma(how, &mut shared));
        let of_each = (1..=images as u64).map(|place| self.stream(Purpose::MaskedColours, place));
        let changes: Vec<_> = of_each.map(|mut stream| change(how.strength, order, &mut stream)).collect();
        Strong { colours: colours.then_some(changes), blur: blur.then(|| vec![sigma; images]) }
    }
}

fn decided(how: &Augmentation, stream: &mut Stream) -> (bool, bool) {
    (f64::from(stream.unit()) < how.colour_probability, f64::from(stream.unit()) < how.blur_probability)
}

fn order(stream: &mut Stream) -> [Step; 4] {
    let order = stream.permutation(4);
    [0, 1, 2, 3].map(|at: usize| Step::ALL[order[at]])
}

fn change(strength: f64, order: [Step; 4], stream: &mut Stream) -> ColourChange {
    let [brightness, contrast, saturation] = [(); 3].map(|()| uniform(stream, 1.0 - strength, 1.0 + strength));
    ColourChange { order, brightness, contrast, saturation, hue: uniform(stream, -strength, strength) }
}

fn sigma(how: &Augmentation, stream: &mut Stream) -> f64 {
    uniform(stream, how.blur_sigma.0, how.blur_sigma.1)
}

fn uniform(stream: &mut Stream, low: f64, high: f64) -> f64 {
    low + (high - low) * f64::from(stream.unit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHOICES: Choices<'static> = Choices { seed: 3, iteration: 5, given: None };

    #[test]
    fn half_of_the_values_are_pasted_rounded_up_and_other_images_and_iterations_have_others() {
        let present: Vec<i64> = (0..18).chain([255]).collect();
        let chosen = CHOICES.classes(&present, 0);
        assert_eq!(chosen.len(), 10);
        assert_eq!(chosen.iter().collect::<std::collections::BTreeSet<_>>().len(), 10, "without replacement");
        assert_eq!(chosen, CHOICES.classes(&present, 0));
        assert_ne!(chosen, CHOICES.classes(&present, 1));
        assert_ne!(chosen, Choices { iteration: 6, ..CHOICES }.classes(&present, 0));
        assert_eq!(CHOICES.classes(&[7], 0), [7]);
        assert!(CHOICES.classes(&[], 0).is_empty());
    }

    #[test]
    fn a_mask_drops_about_its_ratio_of_patches() {
        for ratio in [0.0, 0.3, 0.7, 1.0] {
            let mask = CHOICES.mask(4, [50, 50], ratio, Device::Cpu).unwrap();
            let dropped = 1.0 - mask.mean(None::<Kind>).double_value(&[]);
            assert!((dropped - ratio).abs() < 0.02, "{dropped} of {ratio}");
        }
    }

    #[test]
    fn changes_stay_within_their_strength_and_happen_as_often_as_they_should() {
        let how = Augmentation::default();
        let (mut coloured, mut blurred) = (0, 0);
        for iteration in 0..1000 {
            let choices = Choices { iteration, ..CHOICES };
            let strong = choices.strong_of_mixed(&how, 2);
            coloured += usize::from(strong.colours.is_some());
            blurred += usize::from(strong.blur.is_some());
            for change in strong.colours.iter().flatten() {
                let factors = [change.brightness, change.contrast, change.saturation, change.hue + 1.0];
                assert!(factors.iter().all(|factor| (0.8..1.2).contains(factor)), "{change:?}");
            }
            assert!(strong.blur.iter().flatten().all(|sigma| (0.15..1.15).contains(sigma)));
            let shared = choices.strong_of_masked(&how, 2);
            if let Some(changes) = shared.colours {
                assert_eq!(changes[0].order, changes[1].order);
            }
            if let Some(sigmas) = shared.blur {
                assert_eq!(sigmas[0], sigmas[1]);
            }
        }
        assert!((750..850).contains(&coloured) && (450..550).contains(&blurred), "{coloured} and {blurred} of 1000");
    }

    #[test]
    fn what_is_given_is_taken() {
        let text = r#"{"iterations": [{}, {"classes": [[1, 255], [2]], "mask": [[[1, 0]], [[0, 1]]]}]}"#;
        let given: Given = serde_json::from_str(text).unwrap();
        let choices = Choices { given: Some(&given), iteration: 1, ..CHOICES };
        assert_eq!(choices.classes(&[1, 2, 255], 1), [2]);
        let mask = choices.mask(2, [1, 2], 0.5, Device::Cpu).unwrap();
        assert_eq!(Vec::<f32>::try_from(mask.flatten(0, -1)).unwrap(), [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(choices.mask(2, [2, 2], 0.5, Device::Cpu).unwrap_err(), "the mask that is given isn't 2×2×2");
        let drawn = Choices { iteration: 0, ..choices };
        assert_eq!(drawn.classes(&[1, 2, 255], 0), Choices { given: None, ..drawn }.classes(&[1, 2, 255], 0));
    }
}
