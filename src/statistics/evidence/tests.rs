//! The rule, and how often its intervals hold what is true.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;
use crate::bootstrap::tests::{Image, normal, true_difference};

fn pairs(differences: &[f64]) -> Option<Difference> {
    let nothing = ByImage::new();
    let pairs = differences.iter().map(|own| Pair { base: (0.4, &nothing), own: (0.4 + own, &nothing) });
    Difference::of(&pairs.collect::<Vec<_>>())
}

#[test]
fn no_verdict_without_three_seeds_and_none_but_chance_while_the_interval_holds_zero() {
    assert_eq!(pairs(&[]), None);
    for few in [&[0.1][..], &[0.1, 0.1]] {
        let difference = pairs(few).unwrap();
        assert_eq!((difference.verdict(), difference.interval()), (None, None));
    }
    // t with two degrees of freedom is 4.303: of 0.01, 0.02, 0.03 the interval is 0.02 ± 0.0248.
    let difference = pairs(&[0.01, 0.02, 0.03]).unwrap();
    assert_eq!(difference.verdict(), Some(Verdict::WithinChance));
    let interval = difference.interval().unwrap();
    assert!((interval.low + 0.004_841).abs() < 1e-5 && (interval.high - 0.044_841).abs() < 1e-5, "{interval:?}");
    assert_eq!(pairs(&[0.02, 0.021, 0.019]).unwrap().verdict(), Some(Verdict::Gain));
    assert_eq!(pairs(&[-0.02, -0.021, -0.019]).unwrap().verdict(), Some(Verdict::Loss));
    assert_eq!(pairs(&[0.0, 0.0, 0.0]).unwrap().verdict(), Some(Verdict::WithinChance));
}

#[test]
fn images_never_make_the_interval_of_the_seeds_narrower() {
    let spread = Spread::of(&[0.01, 0.02, 0.04]).unwrap();
    let alone = together(spread, spread.sd.unwrap(), None);
    for error in [0.0, 0.001, 0.002, 0.004, 0.008, 0.05] {
        let images = OverImages { interval: Interval { low: 0.0, high: 0.0 }, error, images: 200 };
        let both = together(spread, spread.sd.unwrap(), Some(images));
        assert!(both.low <= alone.low && both.high >= alone.high, "{error}: {both:?} in {alone:?}");
    }
}

/// The second network never predicts a class that has no label, the first does: its mIoU is over two classes, that of the second
/// over one.
#[test]
fn a_class_that_only_one_network_has_is_in_no_difference() {
    let image = |both: &[u64; 2], predicted: &[u64; 2]| Pixels::new(both, predicted, &[100, 0]).unwrap();
    let of = |pixels: &Pixels| -> ByImage { (0..20).map(|at: usize| (at.to_string(), pixels.clone())).collect() };
    let (base, own) = (of(&image(&[50, 0], &[50, 50])), of(&image(&[60, 0], &[60, 0])));
    let difference = Difference::of(&[Pair { base: (0.25, &base), own: (0.6, &own) }]).unwrap();
    assert!((difference.spread.mean - 0.1).abs() < 1e-6 && difference.leaves_out_classes, "{difference:?}");
    let interval = difference.images.unwrap().interval;
    assert!((interval.low - 0.1).abs() < 1e-6 && (interval.high - 0.1).abs() < 1e-6, "{interval:?}");
    assert!(!Difference::of(&[Pair { base: (0.6, &own), own: (0.6, &own) }]).unwrap().leaves_out_classes);
}

#[test]
fn seeds_with_images_of_their_own_have_no_images_in_common() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let images = |random: &mut ChaCha8Rng| -> Vec<Image> { (0..20).map(|_| Image::draw(random)).collect() };
    let named = |pixels: Vec<Pixels>| -> ByImage { (0..).map(|at: usize| at.to_string()).zip(pixels).collect() };
    let (some, others) = (images(&mut random), images(&mut random));
    let mut seed = |images: &[Image]| {
        let of = |quality: f64, random: &mut ChaCha8Rng| {
            named(images.iter().map(|image| image.predicted(quality, random)).collect())
        };
        (of(0.0, &mut random), of(0.3, &mut random))
    };
    let (one, two, other) = (seed(&some), seed(&some), seed(&others));
    fn pair(of: &(ByImage, ByImage)) -> Pair<'_> {
        Pair { base: (0.4, &of.0), own: (0.5, &of.1) }
    }
    assert!(Difference::of(&[pair(&one), pair(&two)]).unwrap().images.is_some());
    assert!(Difference::of(&[pair(&one), pair(&other)]).unwrap().images.is_none());
}

/// Trainings differ (their quality varies around a mean), and so do images: 500 experiments of five seeds on 60 images.
#[test]
fn an_interval_over_seeds_and_images_holds_the_true_difference_in_at_least_93_of_100_cases() {
    const CASES: u32 = 500;
    const SEEDS: usize = 5;
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let truth = true_difference(0.0, 0.25, 0.1, &mut random);
    let mut held = 0;
    for _ in 0..CASES {
        let images: Vec<Image> = (0..60).map(|_| Image::draw(&mut random)).collect();
        let mut network = |mean: f64| {
            let quality = mean + 0.1 * normal(&mut random);
            let pixels: Vec<Pixels> = images.iter().map(|image| image.predicted(quality, &mut random)).collect();
            let miou = bootstrap::tests::miou(&pixels);
            (miou, (0..).map(|at: usize| format!("{at:03}")).zip(pixels).collect::<ByImage>())
        };
        let seeds: Vec<_> = (0..SEEDS).map(|_| (network(0.0), network(0.25))).collect();
        let pairs = seeds.iter().map(|(base, own)| Pair { base: (base.0, &base.1), own: (own.0, &own.1) });
        let interval = Difference::of(&pairs.collect::<Vec<_>>()).unwrap().interval().unwrap();
        held += u32::from((interval.low..=interval.high).contains(&truth));
    }
    let share = f64::from(held) / f64::from(CASES);
    assert!((0.93..=0.99).contains(&share), "{share}");
}
