//! Random changes to training samples: flip, crop, brightness and contrast, noise.
//!
//! All are off by default, as in the papers. Random numbers depend only on the given stream, and the same numbers are drawn
//! whichever changes are on, so that switching one on doesn't affect the others.

use serde::{Deserialize, Serialize};

use super::DataError;
use super::class_counts::Counts;
use super::label::IGNORE;
use super::random::Stream;
use super::rare::Wanted;
use super::raster::{Index, Raster, Rgb};
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
    /// A crop serves if its largest class has less than this share of the labelled pixels, and there are at least two
    /// classes; in `(0, 1]`. Any crop serves if not given.
    pub max_share: Option<f64>,
}

/// Further crops after the first one, if that doesn't serve; the last one is taken as it is (mmsegmentation, `RandomCrop`).
const REDRAWS: usize = 10;

/// The numbers that one sample is changed by.
pub struct Streams {
    /// For what is drawn once, the first crop included.
    pub first: Stream,
    /// For further crops, so that these don't affect the other changes.
    pub again: Stream,
}

/// What is cut out, and whether it is mirrored.
#[derive(Clone, Copy, Debug)]
struct View {
    corner: [usize; 2],
    flip: bool,
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
        if self.max_share.is_some_and(|share| !(share > 0.0 && share <= 1.0)) {
            return Err(DataError::Settings(format!("a largest share of {:?} is not in (0, 1]", self.max_share)));
        }
        match self.crop {
            Some(crop) if crop.contains(&0) => Err(DataError::Settings(format!("a crop of {crop:?} holds no pixel"))),
            _ => Ok(()),
        }
    }

    /// The changed sample. Image, label and what is inside the margins are flipped and cropped alike; only the image's colours
    /// change. The name is for the message.
    ///
    /// # Errors
    /// [`DataError::SmallerThanCrop`].
    pub fn apply(
        &self,
        name: &str,
        example: &Example,
        wanted: Option<Wanted>,
        Streams { first: mut stream, again }: Streams,
    ) -> Result<Example, DataError> {
        let stream = &mut stream;
        let flip = self.flip & stream.chance(0.5);
        let place = [stream.unit(), stream.unit()];
        let colours = Jitter::draw(self.jitter, stream);

        let size = example.image.size();
        let crop = self.crop.unwrap_or(size);
        if crop[0] > size[0] || crop[1] > size[1] {
            return Err(DataError::SmallerThanCrop { image: name.to_owned(), size, crop });
        }
        let corner = [0, 1].map(|axis| (place[axis] * (size[axis] - crop[axis] + 1) as f32) as usize);
        let view = View { corner, flip };
        let label = example.label.as_ref().filter(|_| crop != size);
        let View { corner, flip } = label.map_or(view, |label| self.serving(view, label, crop, wanted, again));
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

impl Augment {
    /// The first of a few views that serves, beginning with this one; the last if none does.
    fn serving(&self, first: View, label: &Index, crop: [usize; 2], wanted: Option<Wanted>, mut again: Stream) -> View {
        let corner = |stream: &mut Stream| [0, 1].map(|axis| stream.below(label.size()[axis] - crop[axis] + 1));
        let mixed = |mut view: View, stream: &mut Stream| {
            for _ in 0..self.max_share.map_or(0, |_| REDRAWS) {
                if self.is_mixed(&Counts::at(label, view.corner, crop, IGNORE)) {
                    break;
                }
                view.corner = corner(stream);
            }
            view
        };
        let mut view = mixed(first, &mut again);
        let Some(Wanted { class, more_than, tries }) = wanted else { return view };
        for _ in 0..tries {
            if Counts::at(label, view.corner, crop, IGNORE).pixels[usize::from(class)] as f64 > more_than {
                break;
            }
            let flip = self.flip & again.chance(0.5);
            let corner = corner(&mut again);
            view = mixed(View { corner, flip }, &mut again);
        }
        view
    }

    /// Whether there are two classes, and none has too large a share of the labelled pixels.
    fn is_mixed(&self, counts: &Counts) -> bool {
        let largest = counts.pixels.iter().copied().max().unwrap_or_default() as f64;
        let classes = counts.pixels.iter().filter(|&&pixels| pixels > 0).count();
        classes > 1 && self.max_share.is_none_or(|share| largest / (counts.labelled() as f64) < share)
    }
}

/// The mirror image with other brightness, contrast and noise; `strength` as of [`Augment::jitter`]. The pixel (x, y) is then at
/// (width − 1 − x, y).
pub fn mirrored_and_jittered(image: &Rgb, strength: f32, stream: &mut Stream) -> Rgb {
    let mut mirrored = cut(image, [0, 0], image.size(), true);
    Jitter::draw(strength, stream).apply(&mut mirrored, stream);
    mirrored
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
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;
    use crate::margins::Margins;
    use crate::random::Purpose;

    /// An image whose label is its red channel, so that the test can check that they move together.
    fn example() -> Example {
        let label = Index::new(7, 5, (0..35).collect());
        let image = Rgb::new(7, 5, label.bytes().iter().flat_map(|&value| [value, 100, 200]).collect());
        Example { image, label: Some(label), inside: None }
    }

    fn apply(augment: Augment, seed: u64) -> Example {
        augment.apply("x", &example(), None, streams(seed)).unwrap()
    }

    fn streams(seed: u64) -> Streams {
        let [first, again] = [Purpose::Augment, Purpose::Redraw].map(|purpose| Stream::at(seed, purpose, 0, 0));
        Streams { first, again }
    }

    /// 40×40 pixels of class 0, a square of 6×6 of class 1, and a column of 255.
    fn mostly_one_class() -> Example {
        let class = |place: usize| match (place % 40, place / 40) {
            (10..16, 10..16) => 1,
            (39, _) => 255,
            _ => 0,
        };
        let label = Index::new(40, 40, (0..1600).map(class).collect());
        let image = Rgb::new(40, 40, label.bytes().iter().flat_map(|&value| [value, 100, 200]).collect());
        Example { image, label: Some(label), inside: None }
    }

    /// The pixels of class 0 and 1 in crops of 12×12.
    fn crops(max_share: Option<f64>, wanted: Option<Wanted>) -> Vec<[u64; 2]> {
        let augment = Augment { crop: Some([12, 12]), flip: true, max_share, ..Augment::default() };
        let crop = |seed| {
            let changed = augment.apply("x", &mostly_one_class(), wanted, streams(seed)).unwrap();
            let red: Vec<u8> = changed.image.pixels().iter().map(|pixel| pixel[0]).collect();
            assert_eq!(red, changed.label.as_ref().unwrap().bytes());
            let pixels = Counts::of(&changed.label.unwrap(), 2).pixels;
            [pixels[0], pixels[1]]
        };
        (0..400).map(crop).collect()
    }

    fn share_of_crops(crops: &[[u64; 2]], is: impl Fn(&[u64; 2]) -> bool) -> f64 {
        crops.iter().filter(|crop| is(crop)).count() as f64 / crops.len() as f64
    }

    #[test]
    fn crops_of_one_class_are_drawn_again_up_to_ten_times() {
        let is_mixed = |[zero, one]: &[u64; 2]| *one > 0 && (*zero as f64) < 0.95 * (zero + one) as f64;
        let p = share_of_crops(&crops(None, None), is_mixed);
        let (expected, found) = (1.0 - (1.0 - p).powi(11), share_of_crops(&crops(Some(0.95), None), is_mixed));
        assert!(p > 0.05 && p < 0.5, "{p}");
        assert!((found - expected).abs() < 0.06, "{found} instead of {expected}");
    }

    #[test]
    fn a_crop_without_enough_of_the_class_is_drawn_again_as_often_as_said_and_then_taken() {
        let has_enough = |[_, one]: &[u64; 2]| *one > 20;
        let wanted = |tries| Some(Wanted { class: 1, more_than: 20.0, tries });
        let p = share_of_crops(&crops(None, None), has_enough);
        for tries in [0, 1, 10] {
            let expected = 1.0 - (1.0 - p).powi(1 + tries as i32);
            let found = share_of_crops(&crops(None, wanted(tries)), has_enough);
            assert!((found - expected).abs() < 0.06, "{tries}: {found} instead of {expected}");
        }
    }

    #[test]
    fn a_first_crop_that_serves_is_that_of_a_training_without_such_wishes() {
        let plain = crops(None, None);
        let wanted = crops(None, Some(Wanted { class: 1, more_than: 20.0, tries: 10 }));
        let (mixed, both) = (crops(Some(1.0), None), plain.iter().zip(&wanted));
        assert!(both.filter(|(plain, _)| plain[1] > 20).all(|(plain, wanted)| plain == wanted));
        assert!(plain.iter().zip(&mixed).filter(|(plain, _)| plain[1] > 0).all(|(plain, mixed)| plain == mixed));
    }

    proptest! {
        #[test]
        fn image_and_label_are_flipped_and_cut_alike(seed in any::<u64>(), flip: bool, width in 1usize..8, height in 1usize..6) {
            let changed = apply(Augment { flip, crop: Some([width, height]), ..Augment::default() }, seed);
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
            let augment = Augment { flip, crop: Some([crop.0, crop.1]), ..Augment::default() };
            let part = augment.apply("x", &whole, None, streams(seed)).unwrap();
            let mut mask = Vec::new();
            part.inside.unwrap().append([crop.0, crop.1], &mut mask);
            let (mask, label): (Vec<u8>, _) = (mask.into_iter().map(u8::from).collect(), part.label.unwrap());
            prop_assert_eq!(mask, label.bytes());
        }

        #[test]
        fn jitter_leaves_the_label_and_the_geometry_alone(seed in any::<u64>()) {
            let plain = apply(Augment { flip: true, crop: Some([4, 3]), ..Augment::default() }, seed);
            let jittered = apply(Augment { flip: true, crop: Some([4, 3]), jitter: 0.3, ..Augment::default() }, seed);
            prop_assert_eq!(plain.label, jittered.label);
        }
    }

    #[test]
    fn jitter_changes_nearly_every_image() {
        // A factor close enough to 1 is lost in rounding, in about one of 300 draws on so small an image.
        let jitter = Augment { jitter: 0.3, ..Augment::default() };
        let changed = (0..400).filter(|&seed| apply(jitter, seed).image != example().image).count();
        assert!(changed > 380, "{changed}");
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
        let error = augment.apply("street.png", &example(), None, streams(0)).unwrap_err();
        assert_eq!(error.to_string(), "image street.png is 7x5, too small for a crop of 8x5");
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for bad in [-0.1, 1.0, f32::NAN] {
            assert!(Augment { jitter: bad, ..Augment::default() }.check().is_err(), "{bad}");
        }
        for bad in [0.0, 1.5, f64::NAN] {
            assert!(Augment { max_share: Some(bad), ..Augment::default() }.check().is_err(), "{bad}");
        }
        assert!(Augment { crop: Some([0, 3]), ..Augment::default() }.check().is_err());
        assert!(Augment { flip: true, crop: Some([1, 1]), jitter: 0.3, max_share: Some(0.75) }.check().is_ok());
    }
}
