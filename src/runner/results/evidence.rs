//! Differences of mIoU in words: in points, with their intervals, and what those are over.
//!
//! Knows no rule: what a difference may be called is decided in `intrada_statistics::evidence`.

use intrada_statistics::bootstrap::Interval;
use intrada_statistics::evidence::Difference;

use crate::measures::{count, tenths};

/// `+1.4 [+0.6, +2.2]`, `+1.4 ± 0.3 [+0.6, +2.2]`: in points, with what is known.
pub fn points(difference: &Difference) -> String {
    let sd = difference.spread.sd.map(|sd| format!(" ± {:.1}", 100.0 * sd)).unwrap_or_default();
    let interval = difference.interval().map(|interval| format!(" {}", between(interval))).unwrap_or_default();
    format!("{}{sd}{interval}", signed(difference.spread.mean))
}

/// What the difference is over: `over 204 images`, `over 5 seeds and 204 images`, `over 5 seeds`, also `… and the classes that both
/// have`; none without anything to say.
pub fn over(difference: &Difference) -> Option<String> {
    let images = difference.images.map(|images| format!("{} images", count(images.images as u64)));
    let seeds = difference.all.map(|_| format!("{} seeds", difference.spread.count));
    let classes = difference.leaves_out_classes.then(|| "the classes that both have".to_owned());
    let parts: Vec<String> = seeds.into_iter().chain(images).chain(classes).collect();
    (!parts.is_empty()).then(|| format!("over {}", parts.join(" and ")))
}

/// `[+0.6, +2.2]`, in points.
fn between(interval: Interval) -> String {
    // Whether an interval holds 0 decides, so its ends keep their sign: `-0.0` is below 0.
    format!("[{:+.1}, {:+.1}]", 100.0 * interval.low, 100.0 * interval.high)
}

/// A fraction in points with its sign. A mean is never `-0.0`.
fn signed(fraction: f64) -> String {
    format!("{:+.1}", tenths(100.0 * fraction))
}

#[cfg(test)]
mod tests {
    use intrada_statistics::evidence::{ByImage, Pair};

    use super::*;

    #[test]
    fn a_difference_is_told_in_points_with_what_is_known_of_it() {
        let nothing = ByImage::new();
        let told = |differences: &[f64]| {
            let pairs = differences.iter().map(|own| Pair { base: (0.4, &nothing), own: (0.4 + own, &nothing) });
            let difference = Difference::of(&pairs.collect::<Vec<_>>()).unwrap();
            (points(&difference), over(&difference))
        };
        assert_eq!(told(&[0.01]), ("+1.0".to_owned(), None));
        assert_eq!(told(&[-0.0001]).0, "+0.0");
        assert_eq!(told(&[0.01, 0.02, 0.03]), ("+2.0 ± 1.0 [-0.5, +4.5]".to_owned(), Some("over 3 seeds".to_owned())));
    }
}
