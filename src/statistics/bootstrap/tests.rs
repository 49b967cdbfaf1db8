//! The bootstrap on counts that SciPy has seen too, and on simulated images of which the truth is known.

use super::*;

/// Classes of the simulated images, the last one rare.
const CLASSES: usize = 4;

/// The labels of a simulated image: pixels by class, and how hard it is.
pub(crate) struct Image {
    truth: [u64; CLASSES],
    hardness: f64,
}

/// A number from the standard normal distribution, by the sum of twelve uniform ones.
pub(crate) fn normal(random: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| f64::from(random.next_u32()) / 2f64.powi(32)).sum::<f64>() - 6.0
}

impl Image {
    pub(crate) fn draw(random: &mut ChaCha8Rng) -> Image {
        let mut pixels = |mean: f64| (mean * (0.6 * normal(random)).exp()) as u64;
        let truth = [pixels(5_000.0), pixels(3_000.0), pixels(1_500.0), pixels(200.0)];
        Image { truth, hardness: 0.5 * normal(random) }
    }

    /// What a network of this quality predicts: of each class a share is right, the rest goes to the next class.
    pub(crate) fn predicted(&self, quality: f64, random: &mut ChaCha8Rng) -> Pixels {
        let mut right = [0; CLASSES];
        let mut predicted = [0; CLASSES];
        for (class, truth) in self.truth.into_iter().enumerate() {
            let share = 1.0 / (1.0 + (-(1.0 + quality - self.hardness + 0.4 * normal(random))).exp());
            right[class] = (truth as f64 * share) as u64;
            predicted[class] += right[class];
            predicted[(class + 1) % CLASSES] += truth - right[class];
        }
        Pixels::new(&right, &predicted, &self.truth).unwrap()
    }
}

/// As in the evaluation: counts are added, then divided.
pub(crate) fn miou(images: &[Pixels]) -> f64 {
    let iou = |class: usize| {
        let sum = |of: fn(&Pixels) -> &[u64]| images.iter().map(|pixels| of(pixels)[class]).sum::<u64>() as f64;
        sum(|pixels| &pixels.intersection) / sum(|pixels| &pixels.union)
    };
    (0..CLASSES).map(iou).sum::<f64>() / CLASSES as f64
}

/// The difference of mIoU over endless images, of networks whose quality varies by `sd` around these means.
pub(crate) fn true_difference(base: f64, own: f64, sd: f64, random: &mut ChaCha8Rng) -> f64 {
    let mut mean = |quality: f64| {
        let mut of_network = || {
            let quality = quality + sd * normal(random);
            let images: Vec<Pixels> = (0..500).map(|_| Image::draw(random).predicted(quality, random)).collect();
            miou(&images)
        };
        (0..400).map(|_| of_network()).sum::<f64>() / 400.0
    };
    mean(own) - mean(base)
}

#[test]
fn a_95_percent_interval_holds_the_true_difference_in_93_to_97_of_100_cases() {
    const CASES: u32 = 1_000;
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let truth = true_difference(0.0, 0.25, 0.0, &mut random);
    for count in [20, 100] {
        let mut held = 0;
        for _ in 0..CASES {
            let images: Vec<Image> = (0..count).map(|_| Image::draw(&mut random)).collect();
            let mut network = |quality: f64| -> Vec<Pixels> {
                images.iter().map(|image| image.predicted(quality, &mut random)).collect()
            };
            let (base, own) = (network(0.0), network(0.25));
            let found = of_difference(vec![(base.iter().collect(), own.iter().collect())]).unwrap();
            held += u32::from((found.interval.low..=found.interval.high).contains(&truth));
        }
        let share = f64::from(held) / f64::from(CASES);
        assert!((0.93..=0.97).contains(&share), "{count} images: {share}");
    }
}

/// `bootstrap_reference.py` drew 200,000 times by `scipy.stats.bootstrap`; its own and our draws differ by chance.
#[test]
fn intervals_are_those_of_scipy_on_the_same_counts() {
    let reference: serde_json::Value =
        serde_json::from_str(include_str!("../tests_data/bootstrap_reference.json")).unwrap();
    let counts: Vec<Vec<[[u64; 3]; 3]>> = serde_json::from_value(reference["counts"].clone()).unwrap();
    let pixels = |network: &Vec<[[u64; 3]; 3]>| -> Vec<Pixels> {
        network
            .iter()
            .map(|[intersection, prediction, truth]| Pixels::new(intersection, prediction, truth).unwrap())
            .collect()
    };
    let [base, own] = [&counts[0], &counts[1]].map(pixels);
    let found = of_difference(vec![(base.iter().collect(), own.iter().collect())]).unwrap();
    let number = |name: &str| reference[name].as_f64().unwrap();
    let width = number("high") - number("low");
    assert_eq!(found.images, base.len());
    for (own, name) in [(found.interval.low, "low"), (found.interval.high, "high")] {
        assert!((own - number(name)).abs() < 0.05 * width, "{name}: {own} against {}", number(name));
    }
    assert!((found.error / number("error") - 1.0).abs() < 0.05, "{} against {}", found.error, number("error"));
}

#[test]
fn equal_networks_differ_by_nothing_and_few_images_have_no_interval() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let images: Vec<Pixels> = (0..12).map(|_| Image::draw(&mut random).predicted(0.0, &mut random)).collect();
    let all = || images.iter().collect::<Network<'_>>();
    let same = of_difference(vec![(all(), all())]).unwrap();
    assert_eq!((same.interval, same.error), (Interval { low: 0.0, high: 0.0 }, 0.0));
    assert!(same.interval.holds_zero());
    assert_eq!(of_miou(images[..IMAGES_FOR_AN_INTERVAL - 1].iter().collect()), None);
    let own = of_miou(all()).unwrap().interval;
    assert!((own.low..=own.high).contains(&miou(&images)));
    assert_eq!(of_difference(Vec::new()), None);
}

#[test]
fn a_class_has_an_interval_of_its_own() {
    let mut random = ChaCha8Rng::seed_from_u64(6);
    let images: Vec<Image> = (0..40).map(|_| Image::draw(&mut random)).collect();
    let mut network =
        |quality: f64| -> Vec<Pixels> { images.iter().map(|image| image.predicted(quality, &mut random)).collect() };
    let (base, own) = (network(0.0), network(1.0));
    let of = |class| of_class(vec![(base.iter().collect(), own.iter().collect())], class).unwrap().interval;
    assert!(of(0).low > 0.0 && of(0) != of(1));
}

#[test]
fn lists_that_contradict_each_other_are_no_pixels() {
    assert!(Pixels::new(&[1, 0], &[1, 1], &[2, 0]).is_some());
    assert!(Pixels::new(&[1], &[1, 1], &[2, 0]).is_none());
    assert!(Pixels::new(&[], &[], &[]).is_none());
    assert!(Pixels::new(&[5], &[1], &[2]).is_none(), "more in common than there is");
}

#[test]
fn quantiles_are_interpolated_as_numpy_does() {
    let sorted = [1.0, 2.0, 4.0, 8.0];
    assert_eq!([0.0, 0.5, 0.75, 1.0].map(|at| quantile(&sorted, at)), [1.0, 3.0, 5.0, 8.0]);
}
