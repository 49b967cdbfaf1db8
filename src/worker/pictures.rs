//! The few images of an evaluation that tell most, each small, with its label and what every network makes of it.
//!
//! Knows IoUs image by image, and nothing of pages: whoever shows the pictures colours them. They are for looking at, so they
//! are at most [`WIDTH`] pixels wide; all pictures of an image have the same size, so that they can be laid over each other.
//! Which images are chosen follows from the IoUs alone, not from the order in which the networks were named: that order is
//! no part of an evaluation's key.
//!
//! ```text
//! photograph/<image>.jpg             truth/<image>.png            class indices, 255 = ignore
//! prediction/<network>/<image>.png   entropy/<network>/<image>.png     0 (0) to 255 (log2 C)
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use intrada_ml::data::raster::Rgb;
use intrada_ml::data::source::{LabelUse, map_file};
use intrada_ml::data::{encode, resize};
use intrada_ml::entropy_inference::{infer, predict};
use intrada_ml::network::{Network, Normalization};
use serde::Serialize;

use crate::measure::ROLE;
use crate::work::{Failure, Work};

/// Of a picture, in pixels.
const WIDTH: usize = 384;

/// One image, measured: a line of `images.jsonl`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Judged {
    /// Its name.
    pub(crate) image: String,
    /// By network: the mean IoU over the classes that occur in it or were predicted, 0 to 1.
    pub(crate) miou: BTreeMap<String, Option<f64>>,
    /// Why there are pictures of it, where there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shown: Option<Reason>,
}

/// Why an image is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reason {
    /// The networks do best on it, on average.
    Best,
    /// Half of the images are better.
    Median,
    /// They do worst.
    Worst,
    /// They differ most.
    Differ,
}

impl Judged {
    /// Over the networks.
    fn mean(&self) -> f64 {
        let known: Vec<f64> = self.miou.values().flatten().copied().collect();
        known.iter().sum::<f64>() / known.len().max(1) as f64
    }

    /// Between the networks.
    fn spread(&self) -> f64 {
        let ends = self.miou.values().flatten().fold((1.0f64, 0.0f64), |(low, high), x| (low.min(*x), high.max(*x)));
        ends.1 - ends.0
    }
}

/// Notes which images tell most: two of the best, the median, two of the worst, and two of which the networks differ.
pub(crate) fn choose(images: &mut [Judged]) {
    let ranked = |measure: fn(&Judged) -> f64| {
        let mut order: Vec<usize> = (0..images.len()).collect();
        order.sort_by(|a, b| measure(&images[*b]).total_cmp(&measure(&images[*a])));
        order
    };
    let by_mean = ranked(Judged::mean);
    let by_spread = ranked(Judged::spread);
    let middle = by_mean.len() / 2;
    let differ =
        by_spread.into_iter().filter(|image| images[*image].spread() > 0.0).map(|image| (Reason::Differ, image));
    let ends = |reason, image: &usize| (reason, *image);
    let wanted: Vec<(Reason, usize)> = (by_mean.iter().take(2).map(|image| ends(Reason::Best, image)))
        .chain(by_mean.iter().rev().take(2).map(|image| ends(Reason::Worst, image)))
        .chain(by_mean.get(middle).map(|image| ends(Reason::Median, image)))
        .chain(differ)
        .collect();
    let mut differing = 0;
    for (reason, image) in wanted {
        if images[image].shown.is_some() || (reason == Reason::Differ && differing == 2) {
            continue;
        }
        differing += usize::from(reason == Reason::Differ);
        images[image].shown = Some(reason);
    }
}

/// Makes the pictures of the chosen images that belong to one network, and those that belong to none.
pub(crate) fn make(
    work: &Work,
    folder: &Path,
    name: &str,
    network: &dyn Network,
    normalization: &Normalization,
    images: &[Judged],
) -> Result<(), Failure> {
    let chosen: Vec<usize> = (0..images.len()).filter(|image| images[*image].shown.is_some()).collect();
    let labels = LabelUse::Required { classes: work.class_count()? };
    let predictor = network.predictor();
    for frame in work.pass_of(ROLE, chosen, normalization, labels)? {
        let frame = frame?;
        let label = frame.label.as_ref().expect("labels are required");
        let size = small(label.size());
        let file = map_file(&frame.name)?;
        let logits = predictor(&frame.input.to_device(work.device));
        let prediction = resize::nearest(&predict(&logits, label.size()), size);
        encode::write(&folder.join("prediction").join(name).join(&file), &encode::grey_png(&prediction))?;
        // A network that has diverged has no entropy; its evaluation says so by its IoU.
        if let Ok(found) = infer(&frame.name, &logits, size, &[]) {
            encode::write(&folder.join("entropy").join(name).join(&file), &encode::grey_png(&found.entropy))?;
        }
        let path = folder.join("photograph").join(file.with_extension("jpg"));
        if !path.exists() {
            encode::write(&path, &photograph(&frame.photograph, label.size()))?;
            encode::write(&folder.join("truth").join(&file), &encode::grey_png(&resize::nearest(label, size)))?;
        }
    }
    Ok(())
}

/// A photograph as a JPEG that fits the picture of a map of this size, and is as large as that.
pub(crate) fn photograph(image: &Rgb, map: [usize; 2]) -> Vec<u8> {
    encode::jpeg(&resize::bicubic(image, small(map)))
}

/// The size of a picture of something of this size: the same shape, and never larger.
fn small([width, height]: [usize; 2]) -> [usize; 2] {
    let to = width.min(WIDTH);
    [to, (height * to).div_ceil(width).max(1)]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use intrada_ml::data::decode;

    use super::*;

    fn shown(images: &[Judged]) -> BTreeSet<(Reason, &str)> {
        images.iter().filter_map(|image| Some((image.shown?, image.image.as_str()))).collect()
    }

    fn judged(image: &str, a: f64, b: f64) -> Judged {
        let miou = [("a".to_owned(), Some(a)), ("b".to_owned(), Some(b))].into();
        Judged { image: image.to_owned(), miou, shown: None }
    }

    #[test]
    fn the_chosen_images_are_the_ends_the_middle_and_the_disputed() {
        let mut images: Vec<Judged> =
            (0..9).map(|i| judged(&format!("{i}"), f64::from(i) / 10.0, f64::from(i) / 10.0)).collect();
        images[3] = judged("3", 0.1, 0.5);
        images[6] = judged("6", 0.59, 0.61);
        choose(&mut images);
        use Reason::{Best, Differ, Median, Worst};
        let expected =
            [(Best, "7"), (Best, "8"), (Median, "4"), (Worst, "0"), (Worst, "1"), (Differ, "3"), (Differ, "6")];
        assert_eq!(shown(&images), expected.into());
    }

    #[test]
    fn few_images_are_shown_once_each_and_none_is_no_mistake() {
        for count in 0..4 {
            let mut images: Vec<Judged> = (0..count).map(|i| judged(&i.to_string(), 0.5, 0.5)).collect();
            choose(&mut images);
            assert_eq!(shown(&images).len(), images.len());
        }
        let mut undefined = vec![Judged { image: "x".into(), miou: [("a".into(), None)].into(), shown: None }];
        choose(&mut undefined);
        assert_eq!(undefined[0].shown, Some(Reason::Best));
    }

    #[test]
    fn a_photograph_is_as_large_as_the_picture_of_its_map_whatever_its_own_size() {
        let folder = tempfile::tempdir().unwrap();
        for (stored, map) in [([600, 300], [800, 200]), ([30, 20], [30, 20]), ([9, 5], [64, 32])] {
            let path = folder.path().join("a.jpg");
            encode::write(&path, &photograph(&Rgb::filled(stored[0], stored[1], [90, 30, 10]), map)).unwrap();
            assert_eq!(decode::photograph(&path).unwrap().size(), small(map));
        }
    }

    #[test]
    fn pictures_keep_their_shape_and_never_grow() {
        assert_eq!(small([2048, 1024]), [384, 192]);
        assert_eq!(small([128, 64]), [128, 64]);
        assert_eq!(small([5000, 1]), [384, 1]);
    }
}
