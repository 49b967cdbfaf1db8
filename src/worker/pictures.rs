//! Small pictures of images and of networks' predictions, and the choice of images that an evaluation shows.
//!
//! Knows IoUs image by image, and nothing of pages: the page colours the pictures. They are at most [`WIDTH`] pixels wide;
//! all pictures of an image have the same size, so that they can be overlaid. The choice depends only on the IoUs, not on
//! the order in which the networks were named: that order isn't part of an evaluation's key.
//!
//! ```text
//! photograph/<image>.jpg             truth/<image>.png            class indices, 255 = ignore
//! prediction/<network>/<image>.png   entropy/<network>/<image>.png     0 (0) to 255 (log2 C)
//! ```
//!
//! A training reads no labels of these images: there is no truth, and `<network>` is an iteration.

use std::collections::BTreeMap;
use std::path::Path;

use intrada_data::raster::Rgb;
use intrada_data::source::{LabelUse, map_file};
use intrada_data::{encode, resize};
use intrada_ml::data::pass::{Frame, Photographs};
use intrada_ml::entropy_inference::predict_and_infer;
use intrada_ml::sight::Sight;
use intrada_work::{Failure, Work};
use serde::Serialize;

use crate::measure::{Looking, ROLE};
use crate::passes;

/// Maximum width of a picture, in pixels.
const WIDTH: usize = 384;
/// Enough for both leads between any two of four networks.
const LEADS: usize = 12;

/// Measurements of one image: a line of `images.jsonl`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Judged {
    /// Its name.
    pub(crate) image: String,
    /// By network: the mean IoU over the classes that occur in it or were predicted, 0 to 1.
    pub(crate) miou: BTreeMap<String, Option<f64>>,
    /// By network: the mean entropy that a ranking would use (IntraDA, eq. 4; `mean_entropy` in a `scores.csv`). None if
    /// the network has diverged.
    pub(crate) entropy: BTreeMap<String, Option<f32>>,
    /// Its labelled pixels by class.
    pub(crate) truth: Vec<i64>,
    /// By network: its pixels by class.
    pub(crate) counts: BTreeMap<String, ClassPixels>,
    /// Why there are pictures of it, if there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shown: Option<Reason>,
}

/// What a network predicted for the labelled pixels of one image, by class. With the image's `truth` it gives the IoU of any
/// group of images: counts are added before they are divided.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct ClassPixels {
    /// Predicted and labelled as this class.
    pub(crate) intersection: Vec<i64>,
    /// Predicted as it.
    pub(crate) prediction: Vec<i64>,
}

/// Why an image is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reason {
    /// The highest mean IoU over the networks.
    Best,
    /// The median.
    Median,
    /// The lowest.
    Worst,
    /// The largest lead of one network over another.
    Differ,
}

impl Judged {
    /// The mean over the networks.
    fn mean(&self) -> f64 {
        let known: Vec<f64> = self.miou.values().flatten().copied().collect();
        known.iter().sum::<f64>() / known.len().max(1) as f64
    }

    /// The lead of one network over another.
    fn lead(&self, one: &str, other: &str) -> Option<f64> {
        Some(self.miou.get(one)?.as_ref()? - self.miou.get(other)?.as_ref()?)
    }
}

/// Marks the images to show: two of the best, the median, two of the worst, and the [`leads`].
pub(crate) fn choose(images: &mut [Judged]) {
    let mut by_mean: Vec<usize> = (0..images.len()).collect();
    by_mean.sort_by(|a, b| images[*b].mean().total_cmp(&images[*a].mean()));
    let wanted: Vec<(Reason, usize)> = (by_mean.iter().take(2).map(|image| (Reason::Best, *image)))
        .chain(by_mean.iter().rev().take(2).map(|image| (Reason::Worst, *image)))
        .chain(by_mean.get(by_mean.len() / 2).map(|image| (Reason::Median, *image)))
        .chain(leads(images).into_iter().map(|image| (Reason::Differ, image)))
        .collect();
    for (reason, image) in wanted {
        images[image].shown.get_or_insert(reason);
    }
}

/// For each pair of networks, the images with the largest lead of either. So whichever networks a reader compares, the
/// largest gain and the largest loss are shown. If these are more than [`LEADS`], the largest leads.
fn leads(images: &[Judged]) -> Vec<usize> {
    let networks = || images.iter().take(1).flat_map(|image| image.miou.keys());
    let furthest = |(one, other): (&String, &String)| {
        let leads = images.iter().enumerate().filter_map(|(image, judged)| Some((judged.lead(one, other)?, image)));
        // The first of equals.
        let furthest = leads.reduce(|best, next| if next.0 > best.0 { next } else { best })?;
        (furthest.0 > 0.0).then_some(furthest)
    };
    let pairs = networks().flat_map(|one| networks().map(move |other| (one, other)));
    let mut leads: Vec<(f64, usize)> = pairs.filter_map(furthest).collect();
    leads.sort_by(|a, b| b.0.total_cmp(&a.0));
    leads.into_iter().take(LEADS).map(|(_, image)| image).collect()
}

/// Makes the pictures of the chosen images: those of one network, and those of the images themselves.
pub(crate) fn make(
    work: &Work,
    folder: &Path,
    name: &str,
    looking: &Looking,
    images: &[Judged],
) -> Result<(), Failure> {
    let chosen: Vec<usize> = (0..images.len()).filter(|image| images[*image].shown.is_some()).collect();
    let labels = LabelUse::Required { classes: work.class_count()? };
    for frame in passes::of(&work.source(ROLE)?, chosen, &looking.subject.normalization, labels, Photographs::AsStored)?
    {
        let frame = frame?;
        let label = frame.label.as_ref().expect("labels are required");
        draw(folder, name, &frame, &looking.at(&frame)?, label.size())?;
        let truth = folder.join("truth").join(map_file(&frame.name)?);
        if !truth.exists() {
            encode::write(&truth, &encode::grey_png(&resize::nearest(label, small(label.size()))))?;
            draw_photograph(folder, &frame, label.size())?;
        }
    }
    Ok(())
}

/// A network's prediction and entropy for an image, at this size. `name` identifies the network.
pub(crate) fn draw(folder: &Path, name: &str, frame: &Frame, seen: &Sight, map: [usize; 2]) -> Result<(), Failure> {
    let (file, size) = (map_file(&frame.name)?, small(map));
    let (prediction, inference) = predict_and_infer(seen, map, size);
    let prediction = resize::nearest(&prediction, size);
    encode::write(&folder.join("prediction").join(name).join(&file), &encode::grey_png(&prediction))?;
    // A diverged network has no entropy; its evaluation shows that by its IoU.
    if let Some(found) = inference {
        encode::write(&folder.join("entropy").join(name).join(&file), &encode::grey_png(&found.entropy))?;
    }
    Ok(())
}

/// The photograph that lies under these.
pub(crate) fn draw_photograph(folder: &Path, frame: &Frame, map: [usize; 2]) -> Result<(), Failure> {
    let path = folder.join("photograph").join(map_file(&frame.name)?.with_extension("jpg"));
    Ok(encode::write(&path, &photograph(&frame.photograph, map))?)
}

/// Whether the item at this index is one of the `shown`. They are evenly spaced, so that pictures aren't all from the first
/// street of a data set, and include the last item.
pub(crate) fn is_shown(index: u64, all: u64, shown: u64) -> bool {
    let shown = shown.min(all);
    index * shown / all != (index + 1) * shown / all
}

/// A photograph as a JPEG of the same size as the picture of a map of this size.
pub(crate) fn photograph(image: &Rgb, map: [usize; 2]) -> Vec<u8> {
    encode::jpeg(&resize::bicubic(image, small(map)))
}

/// The size of a picture: the same aspect ratio, never larger than the original.
fn small([width, height]: [usize; 2]) -> [usize; 2] {
    let to = width.min(WIDTH);
    [to, (height * to).div_ceil(width).max(1)]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use intrada_data::decode;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn shown(images: &[Judged]) -> BTreeSet<(Reason, &str)> {
        images.iter().filter_map(|image| Some((image.shown?, image.image.as_str()))).collect()
    }

    fn judged(image: &str, a: f64, b: f64) -> Judged {
        let miou = [("a".to_owned(), Some(a)), ("b".to_owned(), Some(b))].into();
        Judged { image: image.to_owned(), miou, ..Judged::default() }
    }

    #[test]
    fn the_chosen_images_are_the_ends_the_middle_and_the_disputed() {
        let mut images: Vec<Judged> =
            (0..9).map(|i| judged(&format!("{i}"), f64::from(i) / 10.0, f64::from(i) / 10.0)).collect();
        images[3] = judged("3", 0.1, 0.5);
        images[6] = judged("6", 0.61, 0.59);
        choose(&mut images);
        use Reason::{Best, Differ, Median, Worst};
        let expected =
            [(Best, "7"), (Best, "8"), (Median, "4"), (Worst, "0"), (Worst, "1"), (Differ, "3"), (Differ, "6")];
        assert_eq!(shown(&images), expected.into());
    }

    proptest! {
        #[test]
        fn what_one_of_four_networks_gained_most_over_another_is_shown(
            mious in vec(vec(option::weighted(0.9, 0.0..1.0f64), 4), 1..40)
        ) {
            let name = |network: usize| format!("network {network}");
            let judged = |(image, mious): (usize, &Vec<Option<f64>>)| Judged {
                image: image.to_string(),
                miou: (0..).map(name).zip(mious.iter().copied()).collect(),
                ..Judged::default()
            };
            let mut images: Vec<Judged> = mious.iter().enumerate().map(judged).collect();
            choose(&mut images);
            for (one, other) in (0..4).flat_map(|one| (0..4).map(move |other| (name(one), name(other)))) {
                let most = |images: &mut dyn Iterator<Item = &Judged>| {
                    images.filter_map(|image| image.lead(&one, &other)).fold(0.0, f64::max)
                };
                let of_shown = most(&mut images.iter().filter(|image| image.shown.is_some()));
                prop_assert_eq!(of_shown, most(&mut images.iter()));
            }
            prop_assert!(shown(&images).len() <= 5 + LEADS);
        }
    }

    #[test]
    fn few_images_are_shown_once_each_and_none_is_no_mistake() {
        for count in 0..4 {
            let mut images: Vec<Judged> = (0..count).map(|i| judged(&i.to_string(), 0.5, 0.5)).collect();
            choose(&mut images);
            assert_eq!(shown(&images).len(), images.len());
        }
        let mut undefined = vec![Judged { image: "x".into(), miou: [("a".into(), None)].into(), ..Judged::default() }];
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
    fn as_many_are_shown_as_asked_for_and_never_more_than_there_are_the_last_included() {
        for (all, shown, expected) in [(100, 8, 8), (3, 8, 3), (5, 0, 0), (7, 7, 7), (7, 3, 3)] {
            let found: Vec<u64> = (0..all).filter(|index| is_shown(*index, all, shown)).collect();
            assert_eq!(found.len(), expected, "{shown} of {all}");
            assert!(shown == 0 || found.last() == Some(&(all - 1)));
        }
    }

    #[test]
    fn pictures_keep_their_shape_and_never_grow() {
        assert_eq!(small([2048, 1024]), [384, 192]);
        assert_eq!(small([128, 64]), [128, 64]);
        assert_eq!(small([5000, 1]), [384, 1]);
    }
}
