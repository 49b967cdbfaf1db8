//! Random changes to training samples: flip, crop, brightness and contrast, noise.
//!
//! All are off by default, as in the papers. Random numbers depend only on the given stream, and the same numbers are drawn
//! whichever changes are on, so that switching one on doesn't affect the others.

use serde::{Deserialize, Serialize};

use super::DataError;
use super::random::Stream;
use super::raster::{Raster, Rgb};
use super::source::Example;

/// The standard deviation of the strongest noise at a jitter of 1, in grey levels. At the usual 0.3 it is similar to a
/// camera's; much more would train a network on the noise of a harder domain.
const NOISE: f32 = 10.0;

/// The changes to make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Mirror every second sample left to right.
    pub flip: bool,
    /// Cut out this width and height, anywhere.
    pub crop: Option<[usize; 2]>,
    /// Brightness and contrast by a factor of up to 1 ± this, and noise of a deviation of up to 10 grey levels times this;
    /// in `[0, 1)`. 0 = off.
    pub jitter: f32,
}

impl Augment {
    /// Refuses invalid settings.
    ///
    /// # Errors
    /// [`DataError::Settings`].
    pub fn check(&self) -> Result<(), DataError> {
        if !(0.0..1.0).contains(&self.jitter) {
            return Err(DataError::Settings(format!("a jitter of {} is not in [0, 1)", self.jitter)));
        }
        match self.crop {
            Some(crop) if crop.contains(&0) => Err(DataError::Settings(format!("a crop of {crop:?} holds no pixel"))),
            _ => Ok(()),
        }
    }

    /// The changed sample. Image, label and what is inside the margins are flipped and cropped alike; only the image's colours change. The name is for
    /// the message.
    ///
    /// # Errors
    /// [`DataError::SmallerThanCrop`].
    pub fn apply(&self, name: &str, example: &Example, stream: &mut Stream) -> Result<Example, DataError> {
        let flip = self.flip & stream.chance(0.5);
        let place = [stream.unit(), stream.unit()];
        let colours = Jitter::draw(self.jitter, stream);

        let size = example.image.size();
        let crop = self.crop.unwrap_or(size);
        if crop[0] > size[0] || crop[1] > size[1] {
            return Err(DataError::SmallerThanCrop { image: name.to_owned(), size, crop });
        }
        let corner = [0, 1].map(|axis| (place[axis] * (size[axis] - crop[axis] + 1) as f32) as usize);
        let mut image = cut(&example.image, corner, crop, flip);
        if self.jitter > 0.0 {
            colours.apply(&mut image, stream);
        }
        Ok(Example {
            image,
            label: example.label.as_ref().map(|label| cut(label, corner, crop, flip)),
            inside: example.inside.map(|inside| inside.cut(corner, crop, flip)),
        })
    }
}

/// A part of a picture, optionally mirrored.
fn cut<const C: usize>(
    picture: &Raster<C>,
    [left, top]: [usize; 2],
    [width, height]: [usize; 2],
    flip: bool,
) -> Raster<C> {
    let mut pixels = Vec::with_capacity(width * height);
    for row in picture.rows().skip(top).take(height) {
        let row = &row[left..left + width];
        if flip {
            pixels.extend(row.iter().rev());
        } else {
            pixels.extend_from_slice(row);
        }
    }
    Raster::new(width, height, pixels.into_flattened())
}

struct Jitter {
    brightness: f32,
    contrast: f32,
    noise: f32,
}

impl Jitter {
    fn draw(strength: f32, stream: &mut Stream) -> Self {
        let brightness = 1.0 + stream.within(-strength, strength);
        let contrast = 1.0 + stream.within(-strength, strength);
        Self { brightness, contrast, noise: stream.within(0.0, strength * NOISE) }
    }

    /// Contrast about the image's mean, then brightness, then noise, rounded to grey levels.
    fn apply(&self, image: &mut Rgb, stream: &mut Stream) {
        let sum: u64 = image.bytes().iter().map(|&byte| u64::from(byte)).sum();
        let mean = (sum as f64 / image.bytes().len() as f64) as f32;
        let tone: [f32; 256] =
            std::array::from_fn(|level| ((level as f32 - mean) * self.contrast + mean) * self.brightness);
        for byte in image.bytes_mut() {
            let value = tone[usize::from(*byte)] + self.noise * stream.normal();
            *byte = value.round().clamp(0.0, 255.0) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;
    use crate::data::margins::Margins;
    use crate::data::random::Purpose;
    use crate::data::raster::Index;

    /// An image whose label is its red channel, so that the test can check that they move together.
    fn example() -> Example {
        let label = Index::new(7, 5, (0..35).collect());
        let image = Rgb::new(7, 5, label.bytes().iter().flat_map(|&value| [value, 100, 200]).collect());
        Example { image, label: Some(label), inside: None }
    }

    fn apply(augment: Augment, seed: u64) -> Example {
        augment.apply("x", &example(), &mut Stream::at(seed, Purpose::Augment, 0, 0)).unwrap()
    }

    proptest! {
        #[test]
        fn image_and_label_are_flipped_and_cut_alike(seed in any::<u64>(), flip: bool, width in 1usize..8, height in 1usize..6) {
            let changed = apply(Augment { flip, crop: Some([width, height]), jitter: 0.0 }, seed);
            prop_assert_eq!(changed.image.size(), [width, height]);
            let red: Vec<u8> = changed.image.pixels().iter().map(|pixel| pixel[0]).collect();
            let label = changed.label.unwrap();
            prop_assert_eq!(red, label.bytes());
        }

        #[test]
        fn what_is_inside_the_margins_of_the_whole_image_stays_so_in_every_part_of_it(
            seed in any::<u64>(), flip: bool, crop in (1usize..8, 1usize..6),
            margins in (0usize..4, 0usize..3, 0usize..3, 0usize..4),
        ) {
            let margins = Margins { left: margins.0, top: margins.1, bottom: margins.2, right: margins.3 };
            let inside = margins.inside([7, 5]);
            prop_assert_eq!(inside.is_some(), margins.left + margins.right < 7 && margins.top + margins.bottom < 5);
            let Some(inside) = inside else { return Ok(()) };
            // The label is the mask of the whole image, cut pixel by pixel.
            let mut mask = Vec::new();
            inside.append([7, 5], &mut mask);
            let label = Index::new(7, 5, mask.iter().map(|&inside| u8::from(inside)).collect());
            let whole = Example { label: Some(label), inside: Some(inside), ..example() };
            let augment = Augment { flip, crop: Some([crop.0, crop.1]), jitter: 0.0 };
            let part = augment.apply("x", &whole, &mut Stream::at(seed, Purpose::Augment, 0, 0)).unwrap();
            let mut mask = Vec::new();
            part.inside.unwrap().append([crop.0, crop.1], &mut mask);
            let (mask, label): (Vec<u8>, _) = (mask.into_iter().map(u8::from).collect(), part.label.unwrap());
            prop_assert_eq!(mask, label.bytes());
        }

        #[test]
        fn jitter_leaves_the_label_and_the_geometry_alone(seed in any::<u64>()) {
            let plain = apply(Augment { flip: true, crop: Some([4, 3]), jitter: 0.0 }, seed);
            let jittered = apply(Augment { flip: true, crop: Some([4, 3]), jitter: 0.3 }, seed);
            prop_assert_eq!(plain.label, jittered.label);
            prop_assert!(plain.image != jittered.image);
        }
    }

    #[test]
    fn nothing_is_changed_by_default() {
        assert_eq!(apply(Augment::default(), 1), example());
    }

    #[test]
    fn about_half_the_samples_are_flipped() {
        let flip = Augment { flip: true, ..Augment::default() };
        let flipped = (0..400).filter(|&seed| apply(flip, seed) != example()).count();
        assert!((160..240).contains(&flipped), "{flipped}");
    }

    #[test]
    fn crops_reach_every_corner() {
        let crop = Augment { crop: Some([6, 4]), ..Augment::default() };
        let corners: std::collections::HashSet<u8> =
            (0..200).map(|seed| apply(crop, seed).label.unwrap().bytes()[0]).collect();
        assert_eq!(corners, [0, 1, 7, 8].into());
    }

    #[test]
    fn a_crop_larger_than_the_image_is_refused_by_name() {
        let augment = Augment { crop: Some([8, 5]), ..Augment::default() };
        let error = augment.apply("street.png", &example(), &mut Stream::at(0, Purpose::Augment, 0, 0)).unwrap_err();
        assert_eq!(error.to_string(), "image street.png is 7x5, too small for a crop of 8x5");
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for bad in [-0.1, 1.0, f32::NAN] {
            assert!(Augment { jitter: bad, ..Augment::default() }.check().is_err(), "{bad}");
        }
        assert!(Augment { crop: Some([0, 3]), ..Augment::default() }.check().is_err());
        assert!(Augment { flip: true, crop: Some([1, 1]), jitter: 0.3 }.check().is_ok());
    }
}
