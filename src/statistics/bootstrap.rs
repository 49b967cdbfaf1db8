//! What the choice of the evaluated images does to an mIoU: a bootstrap over images.
//!
//! Draws as many images as there are, with replacement, adds up their pixels and divides, as the evaluation does: the mean of IoUs
//! by image is another number. Networks that are compared are measured on the same images of each draw (a paired bootstrap), so
//! that what is hard about an image cancels out. Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 16;
//! the percentiles are widened for few images as in Hesterberg, What Teachers Should Know About the Bootstrap (2015), section
//! 5.3 (expanded percentile interval), without which an interval over 20 images holds too seldom.
//!
//! Images count as independent. Those of one drive are not: intervals over neighbouring frames of a video are too narrow, and
//! docs/report.md says so.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use statrs::distribution::{ContinuousCDF as _, Normal, StudentsT};

/// How often images are drawn. The ends of an interval then differ by about 3 % of its width from those of endless draws.
pub const DRAWS: usize = 2_000;
/// With fewer images there is no interval: what so few images have in common by chance, no draw from them can show.
pub const IMAGES_FOR_AN_INTERVAL: usize = 10;
/// The share of intervals that hold the true value.
pub const LEVEL: f64 = 0.95;

/// A network's pixels in one image, by class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    intersection: Box<[u64]>,
    union: Box<[u64]>,
    truth: Box<[u64]>,
}

impl Pixels {
    /// Pixels by class that are predicted and labelled so, predicted so (of the labelled ones), and labelled so. None if the
    /// lists have different lengths, are empty, or contradict each other.
    pub fn new(intersection: &[u64], prediction: &[u64], truth: &[u64]) -> Option<Pixels> {
        let is_alike = intersection.len() == prediction.len() && intersection.len() == truth.len();
        let union = |class: usize| (prediction[class] + truth[class]).checked_sub(intersection[class]);
        let union = is_alike.then(|| (0..truth.len()).map(union).collect::<Option<Box<[u64]>>>()).flatten()?;
        (!truth.is_empty()).then(|| Pixels { intersection: intersection.into(), union, truth: truth.into() })
    }

    /// Whether both are of the same labels, as far as counts can tell.
    pub fn has_same_labels(&self, other: &Pixels) -> bool {
        self.truth == other.truth
    }

    fn classes(&self) -> usize {
        self.truth.len()
    }
}

/// An interval of fractions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Interval {
    /// Whether the number could as well be 0.
    pub fn holds_zero(self) -> bool {
        self.low <= 0.0 && self.high >= 0.0
    }

    /// Around a mean: `error` is its standard error, with this many degrees of freedom.
    pub fn around(mean: f64, error: f64, freedom: f64) -> Interval {
        let reach = quantile_of_t(0.5 + LEVEL / 2.0, freedom) * error;
        Interval { low: mean - reach, high: mean + reach }
    }
}

/// What other images of the same kind could have given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OverImages {
    /// With [`LEVEL`].
    pub interval: Interval,
    /// The standard error.
    pub error: f64,
    /// How many images there are.
    pub images: usize,
}

/// One network's pixels, image by image.
pub type Network<'a> = Vec<&'a Pixels>;

/// Of the mIoU of one network. None with too few images.
pub fn of_miou(network: Network<'_>) -> Option<OverImages> {
    over_images(&[network], |draw| draw.miou(0))
}

/// Of the mean, over these pairs, of the mIoU of the second network minus that of the first, over the classes that both have. Image
/// i is the same for all networks. None with too few images.
pub fn of_difference(pairs: Vec<(Network<'_>, Network<'_>)>) -> Option<OverImages> {
    over_pairs(pairs, Draw::difference)
}

/// The same of the IoU of one class. None as well where a draw has nothing of that class.
pub fn of_class(pairs: Vec<(Network<'_>, Network<'_>)>, class: usize) -> Option<OverImages> {
    over_pairs(pairs, |draw, base, own| Some(draw.iou(own, class)? - draw.iou(base, class)?))
}

/// Of the mean difference of two networks of a draw.
fn over_pairs(
    pairs: Vec<(Network<'_>, Network<'_>)>,
    of: impl Fn(&Draw, usize, usize) -> Option<f64>,
) -> Option<OverImages> {
    let count = pairs.len();
    let networks: Vec<Network<'_>> = pairs.into_iter().flat_map(|(base, own)| [base, own]).collect();
    over_images(&networks, |draw| {
        let difference = |pair: usize| of(draw, 2 * pair, 2 * pair + 1);
        Some((0..count).map(difference).sum::<Option<f64>>()? / count as f64)
    })
}

/// The difference over the classes that both networks have, on all images, if one of them has a class that the other hasn't: then
/// their mIoUs are means over different classes. None if they have the same.
pub fn difference_in_common(base: &Network<'_>, own: &Network<'_>) -> Option<f64> {
    let all = Draw::of_all(&[base, own])?;
    let differs = |class: usize| all.iou(0, class).is_some() != all.iou(1, class).is_some();
    (0..all.classes).any(differs).then(|| all.difference(0, 1)).flatten()
}

/// The pixels of a draw: for each network the intersections by class, then the unions.
struct Draw {
    sums: Vec<f32>,
    classes: usize,
}

impl Draw {
    /// Each image once. None without images.
    fn of_all(networks: &[&Network<'_>]) -> Option<Draw> {
        let classes = networks.first()?.first()?.classes();
        let mut sums = Vec::new();
        for network in networks {
            for class in 0..2 * classes {
                let count = |pixels: &&Pixels| match class.checked_sub(classes) {
                    None => pixels.intersection[class],
                    Some(class) => pixels.union[class],
                };
                sums.push(network.iter().map(count).sum::<u64>() as f32);
            }
        }
        Some(Draw { sums, classes })
    }

    /// Of the mIoUs over the classes that both networks have: a class that only one of them predicts, and that has no label, would
    /// make the means incomparable.
    fn difference(&self, base: usize, own: usize) -> Option<f64> {
        let known = (0..self.classes).filter_map(|class| Some(self.iou(own, class)? - self.iou(base, class)?));
        mean(known)
    }

    fn iou(&self, network: usize, class: usize) -> Option<f64> {
        let at = 2 * network * self.classes + class;
        let (both, either) = (self.sums[at], self.sums[at + self.classes]);
        (either > 0.0).then(|| f64::from(both) / f64::from(either))
    }

    /// Over the classes that occur or are predicted, as in the evaluation.
    fn miou(&self, network: usize) -> Option<f64> {
        mean((0..self.classes).filter_map(|class| self.iou(network, class)))
    }
}

fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = numbers.fold((0.0, 0), |(sum, count), number| (sum + number, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

fn over_images(networks: &[Network<'_>], statistic: impl Fn(&Draw) -> Option<f64>) -> Option<OverImages> {
    let images = networks.first().map_or(0, Vec::len);
    let classes = networks.first()?.first()?.classes();
    let is_even = networks.iter().all(|of| of.len() == images && of.iter().all(|pixels| pixels.classes() == classes));
    if images < IMAGES_FOR_AN_INTERVAL || !is_even {
        return None;
    }
    let drawn = drawn(networks, images, classes, statistic)?;
    let n = images as f64;
    // The spread of the draws is that of n images around their own mean, which is closer to them than the true one.
    let (widening, mean) = ((n / (n - 1.0)).sqrt(), drawn.iter().sum::<f64>() / drawn.len() as f64);
    let variance = drawn.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (drawn.len() - 1) as f64;
    let tail = Normal::standard().cdf(-widening * quantile_of_t(0.5 + LEVEL / 2.0, n - 1.0));
    let interval = Interval { low: quantile(&drawn, tail), high: quantile(&drawn, 1.0 - tail) };
    Some(OverImages { interval, error: widening * variance.sqrt(), images })
}

/// The statistic of each draw, ascending. None if a draw has none.
fn drawn(
    networks: &[Network<'_>],
    images: usize,
    classes: usize,
    statistic: impl Fn(&Draw) -> Option<f64>,
) -> Option<Vec<f64>> {
    let width = 2 * classes * networks.len();
    // In single precision the sums of a draw are exact to a millionth, a ten thousandth of a point of IoU, and twice as fast.
    let mut rows = Vec::with_capacity(images * width);
    for image in 0..images {
        for network in networks {
            let pixels = network[image];
            rows.extend(pixels.intersection.iter().chain(&pixels.union).map(|count| *count as f32));
        }
    }
    // The same numbers each time that a result is shown.
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut draw = Draw { sums: vec![0.0; width], classes };
    let mut drawn = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        draw.sums.fill(0.0);
        for _ in 0..images {
            let image = (u64::from(random.next_u32()) * images as u64) >> 32;
            let row = &rows[image as usize * width..][..width];
            draw.sums.iter_mut().zip(row).for_each(|(sum, count)| *sum += count);
        }
        drawn.push(statistic(&draw)?);
    }
    drawn.sort_by(f64::total_cmp);
    Some(drawn)
}

/// Of sorted numbers, interpolated linearly as NumPy's `quantile` does.
fn quantile(sorted: &[f64], at: f64) -> f64 {
    let place = at.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (below, share) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + share * (sorted[above] - sorted[below])
}

fn quantile_of_t(at: f64, freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).expect("degrees of freedom are positive").inverse_cdf(at)
}

#[cfg(test)]
pub(crate) mod tests;
