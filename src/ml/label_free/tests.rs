//! The scores against numpy's numbers, and their laws.

use intrada_data::raster::Rgb;
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::*;
use crate::equations::{Alignment, entropy_map, softmax as softmax_of_tensor, upsample};
use crate::network::{ChannelOrder, Normalization, Prediction};
use crate::sight::View;

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    points: usize,
    classes: usize,
    sharpness: f64,
    density: f64,
    filled: f64,
    entropy: f64,
}

fn cases() -> Vec<Case> {
    let text = include_str!("../tests_data/label_free_reference.json");
    serde_json::from_str::<Reference>(text).unwrap().cases
}

/// The pattern of `label_free_reference.py`.
fn logits(case: &Case) -> Vec<Vec<f64>> {
    let value = |i: usize| case.sharpness * (((i * i * 31 + i * 17) % 101) as f64 - 50.0) / 25.0;
    (0..case.points).map(|n| (0..case.classes).map(|c| value(n * case.classes + c)).collect()).collect()
}

fn probabilities(logits: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let of = |logits: &Vec<f64>| {
        let powers: Vec<f64> = logits.iter().map(|logit| logit.exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.into_iter().map(|power| power / sum).collect()
    };
    logits.iter().map(of).collect()
}

/// As if a network gave these logits of an image of one row.
fn row(logits: &[Vec<f64>]) -> Sight<'static> {
    let (points, classes) = (logits.len() as i64, logits[0].len() as i64);
    let flat: Vec<f32> = logits.iter().flatten().map(|value| *value as f32).collect();
    let logits = Tensor::from_slice(&flat).view([points, classes]).transpose(0, 1).reshape([1, classes, 1, points]);
    Prediction { logits, alignment: Alignment::Corners }.into()
}

#[test]
fn the_density_of_points_is_numpys() {
    for case in cases() {
        let ours = soft_neighbourhood_density(&probabilities(&logits(&case)), TEMPERATURE);
        assert!((ours - case.density).abs() < 1e-11, "{ours} instead of {}", case.density);
    }
}

#[test]
fn the_released_code_for_classification_differs_from_the_paper_by_little_at_a_hundred_points() {
    for case in cases().into_iter().filter(|case| case.points == 100) {
        assert!((case.filled - case.density).abs() < 2e-3, "{} and {}", case.filled, case.density);
    }
}

#[test]
fn the_scores_of_an_image_of_at_most_100_pixels_are_those_of_all_its_pixels() {
    for case in cases() {
        let logits = logits(&case);
        let mirrored: Vec<Vec<f64>> = logits.iter().rev().cloned().collect();
        let (scores, pixels) = score("a", 0, [&row(&logits), &row(&mirrored)], [case.points, 1]).unwrap();
        assert_eq!((pixels, scores.agreement), (case.points, 1.0));
        assert!((scores.soft_neighbourhood_density - case.density).abs() < 2e-5, "{scores:?}");
        assert!((scores.entropy - case.entropy).abs() < 1e-6, "{scores:?}");
    }
}

#[test]
fn points_that_are_all_alike_have_the_greatest_density_and_two_clusters_that_of_half_of_them() {
    let point = |class: usize| (0..3).map(|c| f64::from(u8::from(c == class))).collect::<Vec<f64>>();
    let alike = soft_neighbourhood_density(&vec![point(0); 100], TEMPERATURE);
    assert!((alike - 99f64.ln()).abs() < 1e-12);
    let halves: Vec<Vec<f64>> = (0..100).map(|i| point(i % 2)).collect();
    // Another cluster is exp(−20) as similar.
    assert!((soft_neighbourhood_density(&halves, TEMPERATURE) - 49f64.ln()).abs() < 1e-6);
    assert_eq!(soft_neighbourhood_density(&halves[..2], TEMPERATURE), 0.0);
}

const PLAIN: Normalization = Normalization { channels: ChannelOrder::Rgb, mean: [127.0; 3], scale: [64.0; 3] };

fn frame(size: [usize; 2], seed: u8) -> Frame {
    let noise = |i: usize| (i.wrapping_mul(2_654_435_761) >> 7) as u8 ^ seed;
    Frame::new("a", Rgb::new(size[0], size[1], (0..size[0] * size[1] * 3).map(noise).collect()), &PLAIN)
}

/// A network that sees each pixel for itself: four classes at full resolution.
fn eye(input: &Tensor) -> Tensor {
    let extra = input.select(1, 0) * input.select(1, 1);
    Tensor::cat(&[input.shallow_clone(), extra.unsqueeze(1)], 1) * 3.0
}

fn scores_of(frame: &Frame, number: u64) -> (Scores, usize) {
    let second = second_view(frame, number);
    let sights = [frame, &second].map(|frame| Sight::new(frame, View::default(), Alignment::Edges, &eye));
    score("a", number, [&sights[0], &sights[1]], frame.seen_size()).unwrap()
}

#[test]
fn a_large_image_has_its_whole_entropy_and_a_hundred_different_pixels_that_only_its_number_decides() {
    let frame = frame([40, 30], 0);
    let (scores, pixels) = scores_of(&frame, 5);
    assert_eq!(pixels, PIXELS);
    let p = softmax_of_tensor(&upsample(&eye(&frame.input()), [30, 40], Alignment::Edges));
    let entropy = entropy_map(&p).mean(Kind::Double).double_value(&[]);
    assert!((scores.entropy - entropy).abs() < 1e-6, "{} instead of {entropy}", scores.entropy);
    assert_eq!(scores_of(&frame, 5).0, scores);
    let places = |number| Drawn::new([40, 30], number).places;
    assert!(places(5).windows(2).all(|pair| pair[0] < pair[1]) && places(5)[PIXELS - 1] < 40 * 30);
    assert_ne!(places(5), places(6));
    // The density is that of these pixels.
    let at = |place: &usize| -> Vec<f64> {
        let (y, x) = ((place / 40) as i64, (place % 40) as i64);
        (0..4).map(|class| p.double_value(&[0, class, y, x])).collect()
    };
    let expected = soft_neighbourhood_density(&places(5).iter().map(at).collect::<Vec<_>>(), TEMPERATURE);
    assert!((scores.soft_neighbourhood_density - expected).abs() < 1e-5);
}

#[test]
fn the_second_view_is_mirrored_and_changed_in_its_colours_and_the_same_each_time() {
    let frame = frame([9, 4], 3);
    let [second, again, other] = [1, 1, 2].map(|number| second_view(&frame, number).photograph);
    assert_eq!(second, again);
    assert!(second != other);
    let plain: Vec<[u8; 3]> = frame.photograph.pixels().chunks(9).flat_map(|row| row.iter().rev().copied()).collect();
    assert!(second.pixels() != plain);
    // No more than brightness, contrast and noise: dark pixels stay darker than bright ones.
    let light = |pixel: &[u8; 3]| pixel.iter().map(|channel| u32::from(*channel)).sum::<u32>();
    let (darkest, brightest) = (
        plain.iter().enumerate().min_by_key(|(_, pixel)| light(pixel)).unwrap(),
        plain.iter().enumerate().max_by_key(|(_, pixel)| light(pixel)).unwrap(),
    );
    assert!(light(&second.pixels()[darkest.0]) < light(&second.pixels()[brightest.0]));
}

#[test]
fn views_agree_where_the_class_of_the_mirrored_pixel_is_the_same() {
    let class = |class: usize| (0..3).map(|c| if c == class { 4.0 } else { 0.0 }).collect::<Vec<f64>>();
    let first = [class(0), class(1), class(2), class(2)];
    let second = [class(2), class(1), class(1), class(0)];
    let (scores, _) = score("a", 0, [&row(&first), &row(&second)], [4, 1]).unwrap();
    assert_eq!(scores.agreement, 0.75);
}

#[test]
fn a_network_that_has_diverged_has_no_score_whichever_view_shows_it() {
    let fine = vec![vec![0.0, 1.0]; 4];
    for bad in [f64::NAN, f64::INFINITY] {
        let mut diverged = fine.clone();
        diverged[2][1] = bad;
        for views in [[&diverged, &fine], [&fine, &diverged]] {
            let error = score("a", 0, [&row(views[0]), &row(views[1])], [4, 1]).unwrap_err();
            assert!(matches!(error, InferenceError::NotFinite { .. }), "{error}");
        }
    }
}

#[test]
fn every_image_counts_alike() {
    let scores = |x: f64| Scores { soft_neighbourhood_density: 4.0 * x, entropy: x, agreement: 1.0 - x };
    assert_eq!(mean(&[scores(0.25), scores(0.75)]), Some(scores(0.5)));
    assert_eq!(mean(&[]), None);
}

proptest! {
    #[test]
    fn a_density_depends_on_no_order_and_on_no_length_and_stays_in_its_range(
        points in vec(vec(0.01f64..1.0, 3), 3..30), turn in any::<proptest::sample::Index>(), length in 0.1f64..10.0,
    ) {
        let density = soft_neighbourhood_density(&points, TEMPERATURE);
        prop_assert!((-1e-12..=(points.len() as f64 - 1.0).ln() + 1e-12).contains(&density));
        let mut others: Vec<Vec<f64>> = points.iter().map(|point| point.iter().map(|x| x * length).collect()).collect();
        let turn = turn.index(others.len());
        others.rotate_left(turn);
        prop_assert!((soft_neighbourhood_density(&others, TEMPERATURE) - density).abs() < 1e-9);
    }

    #[test]
    fn drawn_pixels_are_distinct_pixels_of_the_image(width in 1usize..60, height in 1usize..60, number in any::<u64>()) {
        let places = Drawn::new([width, height], number).places;
        prop_assert_eq!(places.len(), PIXELS.min(width * height));
        prop_assert!(places.windows(2).all(|pair| pair[0] < pair[1]) && places.iter().all(|place| *place < width * height));
    }
}

#[test]
fn pixels_are_the_same_whether_an_image_is_seen_whole_or_in_windows() {
    let frame = frame([50, 40], 9);
    let window = crate::sight::Window::new([20, 16], [15, 12]).unwrap();
    let views = [View::default(), View { window: Some(window), mirrored_too: false }];
    let [whole, windows] = views.map(|view| {
        let sight = Sight::new(&frame, view, Alignment::Edges, &eye);
        score("a", 3, [&sight, &sight], [50, 40]).unwrap()
    });
    assert_eq!(whole.1, windows.1);
    let (a, b) = (whole.0.soft_neighbourhood_density, windows.0.soft_neighbourhood_density);
    assert!((a - b).abs() < 1e-5, "{a} and {b}");
}
