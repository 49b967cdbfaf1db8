//! Pseudo-labels of the easy images (IntraDA, section 3.3, equation 5): the predictions of entropy inference, unchanged.
//!
//! Runs no network. As in the paper and the released code there is no confidence threshold by default: it reads the
//! predictions, checks that a loader can use them as labels, and copies the bytes. [`Keep`] is beyond the paper: of each
//! class it keeps only the pixels of lowest entropy, so that rare classes aren't suppressed as by one threshold for all
//! (class-balanced self-training, arXiv 1810.07911, with entropy instead of probability). An entropy map has 256 levels, so
//! that half of a class may share one: of the level at the limit as many pixels as needed are taken, evenly spread over all
//! images.

use std::path::{Path, PathBuf};

use crate::label::IGNORE;
use crate::raster::Index;
use crate::{DataError, decode, encode, label, source};

/// Where a folder's file of this relative path is: a cache has it under another name.
pub type Place<'a> = &'a dyn Fn(&Path) -> PathBuf;

/// Which pixels of a prediction become labels: of each class, those of lowest entropy.
pub struct Keep<'a> {
    /// A folder of entropy maps, each at [`source::map_file`] of its image's name.
    entropy: Place<'a>,
    /// For each class.
    limits: [Limit; 256],
}

/// The limit of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    /// Pixels of less entropy than this, 0..=255, are kept.
    entropy: u8,
    /// Of the pixels with exactly this entropy, this many are kept …
    kept: u64,
    /// … of this many.
    of: u64,
    /// How many of these have been seen.
    seen: u64,
}

impl<'a> Keep<'a> {
    /// Keeps `share` of each class's pixels in all `easy` images together, rounded up to a whole pixel. `share` is more
    /// than 0 and at most 1.
    ///
    /// # Errors
    /// As [`read`], of predictions and entropy maps; a map of another size than its prediction.
    pub fn of<'name>(
        predictions: Place<'_>,
        entropy: Place<'a>,
        easy: impl Iterator<Item = &'name str>,
        classes: u8,
        share: f64,
    ) -> Result<Keep<'a>, DataError> {
        let mut pixels = vec![[0u64; 256]; 256];
        for image in easy {
            let PseudoLabel { map, .. } = read(predictions, image, classes)?;
            let entropy = entropy_map(entropy, image, &map)?;
            for (&class, &entropy) in map.bytes().iter().zip(entropy.bytes()) {
                pixels[usize::from(class)][usize::from(entropy)] += 1;
            }
        }
        let limits = std::array::from_fn(|class| Limit::of(&pixels[class], share));
        Ok(Keep { entropy, limits })
    }

    /// The prediction of an image with 255 where it isn't kept. To be called once for each of the images from which the
    /// limits were computed.
    fn apply(&mut self, image: &str, map: &Index) -> Result<Index, DataError> {
        let entropy = entropy_map(self.entropy, image, map)?;
        let pixels = map.bytes().iter().zip(entropy.bytes());
        let kept = pixels
            .map(|(&class, &entropy)| if self.limits[usize::from(class)].keeps(entropy) { class } else { IGNORE });
        Ok(Index::new(map.width(), map.height(), kept.collect()))
    }
}

impl Limit {
    /// For a class with this many pixels of each entropy.
    fn of(pixels: &[u64; 256], share: f64) -> Limit {
        let all: u64 = pixels.iter().sum();
        let wanted = ((share * all as f64).ceil() as u64).min(all);
        let mut below = 0;
        for (entropy, &of) in (0..=u8::MAX).zip(pixels) {
            if below + of >= wanted {
                return Limit { entropy, kept: wanted - below, of, seen: 0 };
            }
            below += of;
        }
        unreachable!("no more are wanted than there are")
    }

    /// Whether to keep the class's next pixel, which has this entropy. Of those at the limit, a pixel is kept whenever the
    /// expected number of kept ones reaches the next integer: so they are spread evenly.
    fn keeps(&mut self, entropy: u8) -> bool {
        if entropy != self.entropy {
            return entropy < self.entropy;
        }
        // A data set may have more pixels than fit 32 bits, and their product needs more than 64.
        let up_to = |seen: u64| u128::from(seen) * u128::from(self.kept) / u128::from(self.of.max(1));
        let keeps = up_to(self.seen + 1) > up_to(self.seen);
        self.seen += 1;
        keeps
    }
}

fn entropy_map(maps: Place<'_>, image: &str, prediction: &Index) -> Result<Index, DataError> {
    let path = maps(&source::map_file(image)?);
    let map = decode::label(&path)?;
    if map.size() != prediction.size() {
        return Err(DataError::SizeMismatch {
            image: image.to_owned(),
            image_size: prediction.size(),
            label: path,
            label_size: map.size(),
        });
    }
    Ok(map)
}

/// A prediction that became a label.
#[derive(Debug)]
pub struct PseudoLabel {
    /// Its path relative to the folder of labels.
    pub file: PathBuf,
    /// The classes.
    pub map: Index,
    /// The PNG file, byte for byte as predicted.
    pub png: Vec<u8>,
}

/// The prediction of an image, at [`source::map_file`] of its name in a folder of predictions.
///
/// # Errors
/// [`DataError`]: it is missing, is not a map of class indices, or has a value that is neither in `0..classes` nor 255.
pub fn read(predictions: Place<'_>, image: &str, classes: u8) -> Result<PseudoLabel, DataError> {
    let file = source::map_file(image)?;
    let path = predictions(&file);
    let png = std::fs::read(&path).map_err(|source| DataError::Io { verb: "read", path: path.clone(), source })?;
    let map = decode::label_bytes(&path, &png)?;
    label::check(&path, &map, classes)?;
    Ok(PseudoLabel { file, map, png })
}

/// Pixel counts of pseudo-labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// Pixels of each class.
    pub of_class: Vec<u64>,
    /// Pixels without a label.
    pub ignored: u64,
}

impl Histogram {
    /// The share of all pixels that have a label, 0 to 1.
    pub fn labelled(&self) -> f64 {
        let labelled: u64 = self.of_class.iter().sum();
        labelled as f64 / (labelled + self.ignored).max(1) as f64
    }

    /// The share of each class in the pixels that have a label, 0 to 1.
    pub fn shares(&self) -> impl Iterator<Item = f64> {
        let labelled = self.of_class.iter().sum::<u64>().max(1) as f64;
        self.of_class.iter().map(move |&pixels| pixels as f64 / labelled)
    }

    fn add(&mut self, map: &Index) {
        for &class in map.bytes() {
            match self.of_class.get_mut(usize::from(class)) {
                Some(pixels) => *pixels += 1,
                None => self.ignored += 1,
            }
        }
    }
}

/// Writes the pseudo-labels of `easy` images to `labels`, and the same in the classes' colours to `colour`: whole
/// predictions, or the part selected by `keep`, which was made from the same images. The number of colours is the number of
/// classes.
///
/// # Errors
/// As [`read`]; [`DataError::NameClash`] if two images have the same file. Files written before the error stay.
pub fn write<'a>(
    predictions: Place<'_>,
    easy: impl Iterator<Item = &'a str> + Clone,
    mut keep: Option<Keep<'_>>,
    colours: &[[u8; 3]],
    labels: &Path,
    colour: &Path,
) -> Result<Histogram, DataError> {
    let classes = u8::try_from(colours.len()).map_err(|_| DataError::Settings(format!("{} classes", colours.len())))?;
    source::map_files(easy.clone())?;
    let mut histogram = Histogram { of_class: vec![0; colours.len()], ignored: 0 };
    for image in easy {
        let PseudoLabel { file, mut map, mut png } = read(predictions, image, classes)?;
        if let Some(keep) = &mut keep {
            map = keep.apply(image, &map)?;
            png = encode::grey_png(&map);
        }
        histogram.add(&map);
        encode::write(&labels.join(&file), &png)?;
        encode::write(&colour.join(&file), &encode::palette_png(&map, colours))?;
    }
    Ok(histogram)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

    use super::*;

    const COLOURS: [[u8; 3]; 3] = [[1, 1, 1], [2, 2, 2], [3, 3, 3]];

    fn predicted(folder: &Path, file: &str, values: [u8; 4]) -> Vec<u8> {
        let png = encode::grey_png(&Index::new(2, 2, values.to_vec()));
        encode::write(&folder.join("predictions").join(file), &png).unwrap();
        png
    }

    fn write_all(folder: &Path, easy: &[&str]) -> Result<(), DataError> {
        let [labels, colour] = ["labels", "colour"].map(|name| folder.join(name));
        let predictions = |file: &Path| folder.join("predictions").join(file);
        write(&predictions, easy.iter().copied(), None, &COLOURS, &labels, &colour).map(drop)
    }

    #[test]
    fn of_each_class_the_pixels_of_least_entropy_are_kept_over_all_images_together() {
        let folder = tempfile::tempdir().unwrap();
        let entropy = |file: &str, values: [u8; 4]| {
            let png = encode::grey_png(&Index::new(2, 2, values.to_vec()));
            encode::write(&folder.path().join("entropy").join(file), &png).unwrap();
        };
        predicted(folder.path(), "a.png", [0, 0, 1, 1]);
        entropy("a.png", [10, 20, 200, 201]);
        predicted(folder.path(), "b.png", [0, 0, 1, 2]);
        entropy("b.png", [30, 40, 202, 255]);
        let [predictions, maps, labels, colour] =
            ["predictions", "entropy", "labels", "colour"].map(|name| folder.path().join(name));
        let easy = ["a.png", "b.png"];
        let labels_at = |share: f64| {
            let [predictions, maps] = [&predictions, &maps].map(|folder| move |file: &Path| folder.join(file));
            let keep = Keep::of(&predictions, &maps, easy.into_iter(), 3, share).unwrap();
            let written = write(&predictions, easy.into_iter(), Some(keep), &COLOURS, &labels, &colour).unwrap();
            let label = |file| decode::label(&labels.join(file)).unwrap().bytes().to_vec();
            (label("a.png"), label("b.png"), written)
        };
        let counted = |of_class: [u64; 3], ignored| Histogram { of_class: of_class.to_vec(), ignored };
        assert_eq!(labels_at(1.0), (vec![0, 0, 1, 1], vec![0, 0, 1, 2], counted([4, 3, 1], 0)));
        // Two of four, two of three, one of one: a class is never left without labels.
        assert_eq!(labels_at(0.5), (vec![0, 0, 1, 1], vec![255, 255, 255, 2], counted([2, 2, 1], 3)));
        assert_eq!(labels_at(0.01), (vec![0, 255, 1, 255], vec![255, 255, 255, 2], counted([1, 1, 1], 5)));
        assert_eq!(counted([1, 0, 3], 4).labelled(), 0.5);
        assert_eq!(counted([1, 0, 3], 4).shares().collect::<Vec<_>>(), [0.25, 0.0, 0.75]);
        let colours = decode::photograph(&colour.join("a.png")).unwrap();
        assert_eq!(colours.pixels()[1], [0; 3], "what is ignored is black");
    }

    #[test]
    fn of_pixels_as_certain_as_the_last_that_is_wanted_so_many_are_kept_as_are_wanted() {
        let mut pixels = [0; 256];
        (pixels[3], pixels[7], pixels[9]) = (1, 5, 4);
        let cut = |share| {
            let Limit { entropy, kept, of, .. } = Limit::of(&pixels, share);
            (entropy, kept, of)
        };
        assert_eq!([0.05, 0.1].map(cut), [(3, 1, 1); 2]);
        assert_eq!([0.11, 0.6].map(cut), [(7, 1, 5), (7, 5, 5)]);
        assert_eq!([0.61, 1.0].map(cut), [(9, 1, 4), (9, 4, 4)]);
        assert_eq!(Limit::of(&[0; 256], 0.5).kept, 0);
    }

    #[test]
    fn pixels_at_the_limit_are_taken_evenly_from_all_images() {
        let mut limit = Limit { entropy: 9, kept: 3, of: 9, seen: 0 };
        let kept: Vec<bool> = (0..9).map(|_| limit.keeps(9)).collect();
        assert_eq!(kept, [false, false, true, false, false, true, false, false, true]);
        assert!(limit.keeps(8) && !limit.keeps(10));
    }

    proptest! {
        #[test]
        fn a_share_of_each_class_is_labelled_to_the_pixel_and_nothing_less_certain_than_what_is_left_out(
            maps in prop::collection::vec(prop::collection::vec((0u8..3, 0u8..6), 12), 1..5),
            share in 0.01f64..=1.0,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let [predictions, entropy, labels, colour] =
                ["predictions", "entropy", "labels", "colour"].map(|name| folder.path().join(name));
            let names: Vec<String> = (0..maps.len()).map(|at| format!("{at}.png")).collect();
            for (name, pixels) in names.iter().zip(&maps) {
                let png = |values: Vec<u8>| encode::grey_png(&Index::new(4, 3, values));
                encode::write(&predictions.join(name), &png(pixels.iter().map(|(class, _)| *class).collect())).unwrap();
                encode::write(&entropy.join(name), &png(pixels.iter().map(|(_, entropy)| *entropy).collect())).unwrap();
            }
            let easy = || names.iter().map(String::as_str);
            let [predictions, entropy] = [&predictions, &entropy].map(|folder| move |file: &Path| folder.join(file));
            let keep = Keep::of(&predictions, &entropy, easy(), 3, share).unwrap();
            let written = write(&predictions, easy(), Some(keep), &COLOURS, &labels, &colour).unwrap();
            let pixels: Vec<(u8, u8)> = maps.concat();
            let label = |name: &String| decode::label(&labels.join(name)).unwrap().bytes().to_vec();
            let labelled: Vec<u8> = names.iter().flat_map(label).collect();
            for class in 0..3u8 {
                let of_class = || pixels.iter().zip(&labelled).filter(|((of, _), _)| *of == class);
                let wanted = (share * of_class().count() as f64).ceil() as u64;
                prop_assert_eq!(written.of_class[usize::from(class)], wanted);
                let kept = of_class().filter(|(_, label)| **label == class).map(|((_, entropy), _)| *entropy).max();
                let left = of_class().filter(|(_, label)| **label == IGNORE).map(|((_, entropy), _)| *entropy).min();
                prop_assert!(kept.zip(left).is_none_or(|(kept, left)| kept <= left));
            }
        }
    }

    #[test]
    fn labels_are_the_predictions_byte_for_byte_and_of_easy_images_only() {
        let folder = tempfile::tempdir().unwrap();
        let png = predicted(folder.path(), "town/a.png", [0, 1, 2, 0]);
        predicted(folder.path(), "b.png", [0; 4]);
        write_all(folder.path(), &["town/a.jpg"]).unwrap();
        assert_eq!(std::fs::read(folder.path().join("labels/town/a.png")).unwrap(), png);
        assert!(!folder.path().join("labels/b.png").exists());
        let colours = decode::photograph(&folder.path().join("colour/town/a.png")).unwrap();
        assert_eq!(colours.pixels(), [[1; 3], [2; 3], [3; 3], [1; 3]]);
    }

    #[test]
    fn a_prediction_that_is_missing_or_no_map_of_classes_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_all(folder.path(), &["absent.png"]).unwrap_err().to_string();
        assert!(error.contains("cannot read") && error.contains("absent.png"), "{error}");
        predicted(folder.path(), "c.png", [0, 3, 0, 0]);
        assert!(matches!(
            write_all(folder.path(), &["c.png"]),
            Err(DataError::UnknownClass { value: 3, column: 1, .. })
        ));
    }

    #[test]
    fn images_that_share_a_file_are_refused_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        predicted(folder.path(), "a.png", [0; 4]);
        assert!(matches!(write_all(folder.path(), &["a.png", "a.jpg"]), Err(DataError::NameClash { .. })));
        assert!(!folder.path().join("labels").exists());
    }

    #[test]
    fn a_name_that_leaves_the_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(write_all(folder.path(), &["../a.png"]), Err(DataError::BadName { .. })));
    }
}
