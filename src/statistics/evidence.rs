//! Whether a difference of mIoU is more than chance: from the seeds, from the evaluated images, and from both together.
//!
//! **The rule.** A difference is called a gain or a loss only over at least [`SEEDS_FOR_A_VERDICT`] seeds, and only if its 95 %
//! interval does not hold 0. That interval has both sources of chance: the trainings (seeds) and the images. One seed has an
//! interval over images alone, which says what other images might give with *these* networks, not what another training would.
//!
//! With both sources the variances are added: that of the mean over the seeds, and that of the images by a bootstrap of the mean
//! difference. The second holds a part of the first, so the interval is rather too wide. The degrees of freedom are those of
//! Welch and Satterthwaite (Satterthwaite, An Approximate Distribution of Estimates of Variance Components, 1946). The interval is
//! never narrower than that of the seeds alone. Where each seed has images of its own, the seeds' spread already has both.

use std::collections::BTreeMap;

use crate::bootstrap::{self, Interval, Network, OverImages, Pixels};
use crate::spread::Spread;

/// Below this many seeds a difference is shown without a verdict.
pub const SEEDS_FOR_A_VERDICT: usize = 3;

/// A tenth of a point, the last digit that is shown.
pub const TENTH: f64 = 0.001;

/// The pixels of one network by image.
pub type ByImage = BTreeMap<String, Pixels>;

/// Two networks of one seed: mIoU from 0 to 1, and the pixels by image where they are known.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// The baseline.
    pub base: (f64, &'a ByImage),
    /// The network that is compared with it.
    pub own: (f64, &'a ByImage),
}

/// A difference of mIoU, as fractions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Mean and standard deviation over the seeds.
    pub spread: Spread,
    /// What other images might give. None with too few, if they are unknown, or if each seed has its own.
    pub images: Option<OverImages>,
    /// The interval of seeds and images together; none with fewer than [`SEEDS_FOR_A_VERDICT`] seeds.
    pub all: Option<Interval>,
    /// The smallest and the largest difference of a seed.
    pub range: [f64; 2],
    /// Whether one of the networks has a class that the other hasn't: neither labelled nor predicted. The difference then is over the
    /// classes that both have, and not that of their mIoUs.
    pub leaves_out_classes: bool,
}

impl Pair<'_> {
    /// Over the classes that both have, where these aren't all that one has; as far as pixels are known.
    fn difference_in_common(&self) -> Option<f64> {
        let (base, own) = images_in_common(std::slice::from_ref(self))?.pop()?;
        bootstrap::difference_in_common(&base, &own)
    }
}

/// What a difference may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// More than chance.
    Gain,
    /// Less than chance.
    Loss,
    /// The interval holds 0.
    WithinChance,
}

impl Difference {
    /// None without a pair.
    pub fn of(pairs: &[Pair<'_>]) -> Option<Difference> {
        let in_common: Vec<Option<f64>> = pairs.iter().map(Pair::difference_in_common).collect();
        let difference = |(pair, in_common): (&Pair<'_>, &Option<f64>)| in_common.unwrap_or(pair.own.0 - pair.base.0);
        let differences: Vec<f64> = pairs.iter().zip(&in_common).map(difference).collect();
        let difference = Difference::beyond(&differences, images_in_common(pairs).and_then(bootstrap::of_difference))?;
        Some(Difference { leaves_out_classes: in_common.iter().any(Option::is_some), ..difference })
    }

    /// Of the IoU of one class, the pairs' own: baseline and compared network. `class` is its index.
    pub fn of_class(pairs: &[Pair<'_>], ious: &[(f64, f64)], class: usize) -> Option<Difference> {
        let differences: Vec<f64> = ious.iter().map(|(base, own)| own - base).collect();
        let images = images_in_common(pairs).and_then(|pairs| bootstrap::of_class(pairs, class));
        Difference::beyond(&differences, images)
    }

    /// From the differences by seed, and what other images might give.
    fn beyond(differences: &[f64], images: Option<OverImages>) -> Option<Difference> {
        let spread = Spread::of(differences)?;
        let all = spread.sd.filter(|_| spread.count >= SEEDS_FOR_A_VERDICT).map(|sd| together(spread, sd, images));
        let range = differences.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[least, most], difference| {
            [least.min(*difference), most.max(*difference)]
        });
        Some(Difference { spread, images, all, range, leaves_out_classes: false })
    }

    /// The widest known interval.
    pub fn interval(&self) -> Option<Interval> {
        self.all.or(self.images.map(|images| images.interval))
    }

    /// By the rule at the top of this file. None with too few seeds.
    pub fn verdict(&self) -> Option<Verdict> {
        let interval = self.all?;
        let is_ahead = self.spread.mean > 0.0;
        let beyond = if is_ahead { Verdict::Gain } else { Verdict::Loss };
        Some(if interval.holds_zero() { Verdict::WithinChance } else { beyond })
    }

    /// Whether the interval, of whatever kind, doesn't hold 0 and the mean is negative: worth a look even with one seed. Less than a
    /// tenth of a point is nothing to look at, whatever its interval.
    pub fn is_worse_than_chance(&self) -> bool {
        self.spread.mean <= -TENTH && self.interval().is_some_and(|interval| !interval.holds_zero())
    }
}

fn together(spread: Spread, sd: f64, images: Option<OverImages>) -> Interval {
    let seeds = spread.count as f64;
    let of_seeds = sd * sd / seeds;
    let (of_images, freedom_of_images) =
        images.map_or((0.0, 1.0), |images| (images.error.powi(2), images.images as f64 - 1.0));
    let variance = of_seeds + of_images;
    if variance == 0.0 {
        return Interval { low: spread.mean, high: spread.mean };
    }
    let freedom = variance.powi(2) / (of_seeds.powi(2) / (seeds - 1.0) + of_images.powi(2) / freedom_of_images);
    let both = Interval::around(spread.mean, variance.sqrt(), freedom);
    // With few seeds the added degrees of freedom can outweigh the added variance: then the seeds alone are the wider ones.
    let alone = Interval::around(spread.mean, of_seeds.sqrt(), seeds - 1.0);
    Interval { low: both.low.min(alone.low), high: both.high.max(alone.high) }
}

/// The pixels of all pairs, if all are of the same labelled images.
pub fn images_in_common<'a>(pairs: &[Pair<'a>]) -> Option<Vec<(Network<'a>, Network<'a>)>> {
    let first = pairs.first()?.base.1;
    let in_order = |of: &'a ByImage| -> Option<Network<'a>> {
        let is_same = of.len() == first.len()
            && of.iter().zip(first).all(|((name, own), (other, base))| name == other && own.has_same_labels(base));
        is_same.then(|| of.values().collect())
    };
    pairs.iter().map(|pair| Some((in_order(pair.base.1)?, in_order(pair.own.1)?))).collect()
}

#[cfg(test)]
mod tests;
