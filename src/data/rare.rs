//! Rare class sampling (DAFormer): images with rare classes come more often, and crops show these.
//!
//! Reads no file: the counts come from [`super::class_counts`]. Knows no batch: every draw is from the given stream.

use super::class_counts::Counts;
use super::random::Stream;

/// The settings of rare class sampling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// T of the softmax, more than 0: the smaller, the more often rare classes are drawn.
    pub temperature: f64,
    /// An image serves for a class of which it has more than so many pixels.
    pub min_pixels: u64,
    /// A crop serves if it has more than `min_pixels` times this of the class.
    pub crop_share: f64,
    /// Further crops after the first one, if that doesn't serve; the last one is taken as it is.
    pub tries: u32,
}

/// P(c) = softmax((1 − f_c) / T) over the classes with pixels, f_c being the share of class c in all labelled pixels
/// (DAFormer). A class without any pixel has probability 0.
pub fn probabilities(pixels: &[u64], temperature: f64) -> Vec<f64> {
    let all: u64 = pixels.iter().sum();
    let exponent = |pixels: u64| (1.0 - pixels as f64 / all as f64) / temperature;
    let occurring = || pixels.iter().copied().filter(|&pixels| pixels > 0);
    let largest = occurring().map(exponent).fold(f64::NEG_INFINITY, f64::max);
    let weight = |pixels: u64| if pixels == 0 { 0.0 } else { (exponent(pixels) - largest).exp() };
    let sum: f64 = occurring().map(weight).sum();
    pixels.iter().map(|&pixels| weight(pixels) / sum).collect()
}

/// The classes and images to draw from.
#[derive(Clone, Debug)]
pub struct RareClasses {
    settings: Settings,
    /// By class.
    probabilities: Vec<f64>,
    /// The samples that serve for each class.
    serving: Vec<Vec<usize>>,
    samples: usize,
}

/// Classes that occur, but of which no image has enough pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooRare {
    /// Each with the pixels of the image that has the most.
    pub classes: Vec<(usize, u64)>,
}

/// What a position of a batch shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// The class for which the sample was drawn.
    pub class: u8,
    /// The sample.
    pub sample: usize,
}

/// What a crop should have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// Of this class …
    pub class: u8,
    /// … more pixels than this.
    pub more_than: f64,
    /// How many further crops are tried for that.
    pub tries: u32,
}

impl RareClasses {
    /// For samples with these counts.
    ///
    /// # Errors
    /// A class occurs, but no sample has enough of it.
    ///
    /// # Panics
    /// If no sample has a labelled pixel.
    pub fn new(counts: &[Counts], settings: Settings) -> Result<RareClasses, TooRare> {
        let classes = counts.iter().map(|counts| counts.pixels.len()).max().unwrap_or_default();
        let total = Counts::sum(counts.iter(), classes);
        assert!(total.labelled() > 0, "labels without any class");
        let pixels = |class: usize| counts.iter().map(move |counts| counts.pixels.get(class).copied().unwrap_or(0));
        let serves = |(sample, pixels)| (pixels > settings.min_pixels).then_some(sample);
        let serving: Vec<Vec<usize>> =
            (0..classes).map(|class| pixels(class).enumerate().filter_map(serves).collect()).collect();
        let too_rare = (0..classes).filter(|&class| total.pixels[class] > 0 && serving[class].is_empty());
        let too_rare: Vec<(usize, u64)> =
            too_rare.map(|class| (class, pixels(class).max().unwrap_or_default())).collect();
        if !too_rare.is_empty() {
            return Err(TooRare { classes: too_rare });
        }
        let probabilities = probabilities(&total.pixels, settings.temperature);
        Ok(RareClasses { settings, probabilities, serving, samples: counts.len() })
    }

    /// The number of samples that it was made for.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// How often each class is drawn.
    pub fn probabilities(&self) -> &[f64] {
        &self.probabilities
    }

    /// A class by its probability, then one of the samples that serve for it, all alike.
    pub fn draw(&self, stream: &mut Stream) -> Drawn {
        const STEPS: usize = 1 << 53;
        let point = stream.below(STEPS) as f64 / STEPS as f64;
        let mut up_to = 0.0;
        let is_it = |probability: &f64| {
            up_to += probability;
            point < up_to
        };
        // Rounded, the sum may stay just below 1.
        let last = || self.probabilities.iter().rposition(|&probability| probability > 0.0);
        let class = self.probabilities.iter().position(is_it).or_else(last).expect("a class occurs");
        let class_index = u8::try_from(class).expect("there are at most 254 classes");
        Drawn { class: class_index, sample: stream.pick(&self.serving[class]) }
    }

    /// What the crop of such a sample should have.
    pub fn wanted(&self, class: u8) -> Wanted {
        let Settings { min_pixels, crop_share, tries, .. } = self.settings;
        Wanted { class, more_than: min_pixels as f64 * crop_share, tries }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;
    use crate::random::Purpose;

    const SETTINGS: Settings = Settings { temperature: 0.05, min_pixels: 20, crop_share: 0.5, tries: 10 };

    fn counts(pixels: &[u64]) -> Counts {
        Counts { pixels: pixels.to_vec(), ignored: 0 }
    }

    fn stream(seed: u64, iteration: u64) -> Stream {
        Stream::at(seed, Purpose::RareClass, iteration, 0)
    }

    #[test]
    fn golden_probabilities() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/modern/golden_modern.json");
        let Ok(text) = std::fs::read_to_string(&path) else {
            eprintln!("skipped: no golden vectors at {}", path.display());
            return;
        };
        let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
        let rcs = &golden["units"]["rcs"];
        let pixels: Vec<u64> = serde_json::from_value(rcs["pixels_by_class"].clone()).unwrap();
        let theirs: Vec<f64> = serde_json::from_value(rcs["probability"].clone()).unwrap();
        let ours = probabilities(&pixels, rcs["temperature"].as_f64().unwrap());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!((ours - theirs).abs() <= 1e-12 * theirs, "{ours} {theirs}");
        }
        assert_eq!(ours.len(), theirs.len());
    }

    proptest! {
        #[test]
        fn the_rarer_class_has_the_higher_probability_and_they_sum_to_1(pixels in vec(1u64..100_000, 2..9), t in 0.01f64..1.0) {
            let p = probabilities(&pixels, t);
            prop_assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            for (a, &less) in pixels.iter().enumerate() {
                for (b, &more) in pixels.iter().enumerate() {
                    prop_assert!(less >= more || p[a] >= p[b], "{:?} {:?}", pixels, p);
                }
            }
        }

        #[test]
        fn a_drawn_image_has_more_than_the_minimum_of_its_class(
            pixels in vec([0u64..60, 0u64..60, 0u64..60], 1..12), seed in any::<u64>(),
        ) {
            let counts: Vec<Counts> = pixels.iter().map(|pixels| counts(pixels)).collect();
            let largest = |class: usize| counts.iter().map(|counts| counts.pixels[class]).max().unwrap();
            let too_rare: Vec<(usize, u64)> = (0..3)
                .map(|class| (class, largest(class)))
                .filter(|(_, largest)| (1..=SETTINGS.min_pixels).contains(largest))
                .collect();
            let all: u64 = counts.iter().map(Counts::labelled).sum();
            if all > 0 {
                match RareClasses::new(&counts, SETTINGS) {
                    Err(TooRare { classes }) => prop_assert_eq!(classes, too_rare),
                    Ok(rare) => {
                        prop_assert!(too_rare.is_empty());
                        for iteration in 0..20 {
                            let Drawn { class, sample } = rare.draw(&mut stream(seed, iteration));
                            prop_assert!(counts[sample].pixels[usize::from(class)] > SETTINGS.min_pixels);
                            prop_assert_eq!(rare.draw(&mut stream(seed, iteration)), Drawn { class, sample });
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_class_that_does_not_occur_is_never_drawn_and_the_others_as_often_as_their_probability_says() {
        let rare = RareClasses::new(&[counts(&[500, 0, 100]), counts(&[300, 0, 0])], SETTINGS).unwrap();
        assert_eq!(rare.probabilities()[1], 0.0);
        let drawn: Vec<Drawn> = (0..4000).map(|iteration| rare.draw(&mut stream(3, iteration))).collect();
        let share = |is: &dyn Fn(&Drawn) -> bool| drawn.iter().filter(|drawn| is(drawn)).count() as f64 / 4000.0;
        let of_class = |class| share(&|drawn| drawn.class == class);
        assert!((of_class(2) - rare.probabilities()[2]).abs() < 0.01);
        assert_eq!(of_class(1), 0.0);
        assert!(drawn.iter().all(|drawn| drawn.class != 2 || drawn.sample == 0));
    }

    #[test]
    fn images_of_a_class_are_drawn_alike() {
        let rare = RareClasses::new(&[counts(&[21]), counts(&[2000]), counts(&[20]), counts(&[21])], SETTINGS).unwrap();
        let mut times = [0; 4];
        (0..3000).for_each(|iteration| times[rare.draw(&mut stream(1, iteration)).sample] += 1);
        assert_eq!(times[2], 0);
        assert!([0, 1, 3].iter().all(|&sample| (900..1100).contains(&times[sample])), "{times:?}");
    }
}
