//! Whether a data set of labelled images is a random sample of a larger one, and what networks' results on it then say about that.
//!
//! Only images that were all drawn at random stand for the others. Of the rest a sentence says why they don't. Formats lines;
//! where the results come from, the caller knows.

use std::collections::BTreeSet;
use std::path::Path;

use intrada_statistics::bootstrap::{IMAGES_FOR_AN_INTERVAL, Interval, of_miou};
use intrada_statistics::evidence::ByImage;

use super::folder::Description;
use super::mixture::Rule;
use crate::measures::count;
use crate::pipeline::chosen::RANDOM;
use crate::pipeline::{Dataset, Format};

/// A data set in a folder of chosen images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The images that were drawn at random, by the stems of their files.
    drawn: BTreeSet<String>,
    /// Those of which they were drawn.
    population: usize,
    /// The data set of those, and how many of it were labelled before.
    of: String,
    labelled_before: usize,
}

/// A network's result on the images of a sample.
pub struct Measured<'a> {
    /// Its name.
    pub name: &'a str,
    /// 0 to 1.
    pub miou: f64,
    /// By image; empty if unknown.
    pub pixels: &'a ByImage,
    /// Whether it has learnt from labels of these images, or was chosen by them.
    pub has_learnt: bool,
}

/// What a data set of a workspace is a sample of; `None`: it is no folder of chosen images.
pub fn of(root: &Path, dataset: &Dataset) -> Option<Sample> {
    let Format::Folder { root: folder, .. } = &dataset.format else { return None };
    let description = Description::of(&root.join(folder)).ok()?;
    let drawn = description.images.iter().filter(|image| image.rule == Rule::Random);
    Some(Sample {
        drawn: drawn.map(|image| image.stem().to_owned()).collect(),
        population: description.pool.saturating_sub(description.labelled_before),
        of: description.asked.dataset,
        labelled_before: description.labelled_before,
    })
}

impl Sample {
    /// What these results say about all images, in lines; what they don't, too.
    pub fn told(&self, networks: &[Measured<'_>]) -> String {
        let of = &self.of;
        let evaluated: BTreeSet<&str> =
            networks.iter().flat_map(|network| network.pixels.keys()).map(|image| stem(image)).collect();
        let drawn = self.drawn.len();
        if !evaluated.iter().all(|image| self.drawn.contains(*image)) || drawn == 0 {
            return format!(
                "  no estimate for `{of}`: these images weren't all drawn at random ({RANDOM} lists those that were)\n"
            );
        }
        if evaluated.is_empty() {
            return format!("  no estimate for `{of}`: this evaluation tells nothing of single images\n");
        }
        if evaluated.len() < drawn {
            return format!(
                "  no estimate for `{of}`: {} of the {drawn} images that were drawn at random are evaluated, and the others may be \
                 harder\n",
                evaluated.len()
            );
        }
        // Drawn without replacement: of what isn't left out nothing is unknown (finite population correction).
        let unknown = (1.0 - drawn as f64 / self.population.max(drawn) as f64).sqrt();
        let rest = if self.labelled_before > 0 { " that weren't labelled before" } else { "" };
        let all = count(self.population as u64);
        let mut text = format!(
            "  estimate for the {all} images of `{of}`{rest}, from {drawn} drawn at random: mIoU [95 % interval]\n"
        );
        for network in networks {
            let percent = 100.0 * network.miou;
            let interval = of_miou(network.pixels.values().collect()).map(|over| over.interval);
            let said = match interval {
                _ if network.has_learnt => "none, as labels of these images have taught or chosen it".to_owned(),
                Some(Interval { low, high }) => {
                    let end = |end: f64| percent + unknown * (100.0 * end - percent);
                    format!("{percent:.1} [{:.1}, {:.1}]", end(low), end(high))
                }
                None => format!("{percent:.1}, too few images for an interval ({IMAGES_FOR_AN_INTERVAL} are needed)"),
            };
            text += &format!("    {}  {said}\n", network.name);
        }
        text
    }
}

/// A file's name without extension.
fn stem(file: &str) -> &str {
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

#[cfg(test)]
mod tests {
    use intrada_statistics::bootstrap::Pixels;

    use super::*;

    /// `images` images of 100 pixels of each of two classes, half of the first of which is missed in every second image.
    fn pixels(images: u64) -> ByImage {
        let image = |i: u64| {
            let missed = 50 * (i % 2);
            (format!("{i}"), Pixels::new(&[100 - missed, 100], &[100 - missed, 100 + missed], &[100, 100]).unwrap())
        };
        (0..images).map(image).collect()
    }

    fn told(drawn: u64, images: u64, has_learnt: bool) -> String {
        of_population(180, drawn, images, has_learnt)
    }

    fn of_population(population: usize, drawn: u64, images: u64, has_learnt: bool) -> String {
        let drawn = (0..drawn).map(|image| image.to_string()).collect();
        let sample = Sample { drawn, population, of: "target".into(), labelled_before: 20 };
        sample.told(&[Measured { name: "intra", miou: 0.775, pixels: &pixels(images), has_learnt }])
    }

    #[test]
    fn a_random_sample_gives_an_interval_that_holds_the_estimate_and_anything_else_none() {
        let text = told(20, 20, false);
        assert!(
            text.contains("the 180 images of `target` that weren't labelled before, from 20 drawn at random"),
            "{text}"
        );
        let (low, high) =
            text.split_once("intra  77.5 [").unwrap().1.trim_end().trim_end_matches(']').split_once(", ").unwrap();
        let [low, high]: [f64; 2] = [low, high].map(|number| number.parse().unwrap());
        assert!(low < 77.5 && 77.5 < high && high - low < 40.0, "{text}");
        assert!(told(5, 5, false).contains("77.5, too few images for an interval (10 are needed)"));
        assert!(told(20, 20, true).contains("intra  none, as labels of these images have taught or chosen it"));
        for (drawn, why) in [(0, "weren't all drawn"), (19, "weren't all drawn"), (24, "20 of the 24 images")] {
            let other = told(drawn, 20, false);
            assert!(
                other.contains("no estimate for `target`") && other.contains(why) && !other.contains("77.5"),
                "{other}"
            );
        }
        let all = of_population(20, 20, 20, false);
        assert!(all.contains("intra  77.5 [77.5, 77.5]"), "of all images nothing is left to chance: {all}");
    }
}
