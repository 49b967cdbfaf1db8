//! Differences of mIoU in words: in points, with their intervals, and what those are over.
//!
//! Knows no rule: what a difference may be called is decided in `intrada_statistics::evidence`.

use intrada_statistics::bootstrap::Interval;
use intrada_statistics::evidence::Difference;

use crate::measures::count;

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
    format!("[{}, {}]", signed(interval.low), signed(interval.high))
}

/// A fraction in points with its sign: see [`signed_points`].
pub fn signed(fraction: f64) -> String {
    signed_points(100.0 * fraction)
}

/// Points with the sign of the true value, for each difference that is shown: `-0.0` is below 0, `+0.0` above it, and only 0
/// itself has no sign. Whether an interval holds 0 decides, so its ends must tell, and what it is of has the same rule.
pub fn signed_points(points: f64) -> String {
    with_digits(points, 1)
}

/// A fraction in points with its sign, and with more digits where it would be `0.0` without being 0.
pub fn signed_apart(fraction: f64) -> String {
    const MOST: usize = 6;
    let points = 100.0 * fraction;
    let is_told = |digits: &usize| with_digits(points, *digits).contains(|c| ('1'..='9').contains(&c));
    with_digits(points, (1..MOST).find(is_told).unwrap_or(1))
}

fn with_digits(points: f64, digits: usize) -> String {
    if points == 0.0 { format!("{:.digits$}", 0.0) } else { format!("{points:+.digits$}") }
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
        assert_eq!(told(&[-0.0001]).0, "-0.0");
        assert_eq!(told(&[0.01, 0.02, 0.03]), ("+2.0 ± 1.0 [-0.5, +4.5]".to_owned(), Some("over 3 seeds".to_owned())));
    }

    #[test]
    fn a_difference_and_the_ends_of_its_interval_have_the_sign_of_the_true_value_and_nothing_has_none() {
        let shown = [-0.0003, 0.0003, 0.0, -0.0, 0.014].map(signed);
        assert_eq!(shown, ["-0.0", "+0.0", "0.0", "0.0", "+1.4"]);
        assert_eq!(between(Interval { low: -0.0004, high: -0.0001 }), "[-0.0, -0.0]");
    }

    #[test]
    fn a_small_difference_has_as_many_digits_as_tell_it_from_nothing() {
        let shown = [0.0003, -0.00004, 0.02, 0.0, 1e-12].map(signed_apart);
        assert_eq!(shown, ["+0.03", "-0.004", "+2.0", "0.0", "+0.0"]);
    }
}
