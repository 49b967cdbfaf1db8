//! The three rules: which images of a pool to label.
//!
//! Knows numbers and names, no file. Everything is a function of its arguments: the same pool, seed and numbers give the same
//! images.

use crate::digest::{Digest, Encoder};

use super::layout::Layout;

/// Draws `count` of the names without replacement, each set with the same probability: the places, in the order of the draw.
///
/// Each name has a number that depends on seed and name alone, and the smallest are taken. So a larger draw with the same seed
/// contains the smaller one, and the order of the data set makes no difference.
pub fn random(names: &[&str], count: usize, seed: u64) -> Vec<usize> {
    let number = |place: usize| -> Digest {
        let mut encoder = Encoder::new("intrada/label/random/1");
        encoder.field("seed", &seed.to_le_bytes()).field("image", names[place].as_bytes());
        encoder.finish()
    };
    let mut places: Vec<usize> = (0..names.len()).collect();
    places.sort_by_cached_key(|place| *number(*place).as_bytes());
    places.truncate(count);
    places
}

/// Those of the highest entropies, the highest first, without those that are taken; of equal ones the first.
pub fn uncertain(entropies: &[f32], count: usize, taken: &[bool]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..entropies.len()).filter(|place| !taken[*place]).collect();
    places.sort_by(|a, b| entropies[*b].total_cmp(&entropies[*a]).then(a.cmp(b)));
    places.truncate(count);
    places
}

/// The image that is farthest from all that are taken, then again, `count` times; each with its distance to the nearest of those
/// before it. Where nothing is taken, the first is the one nearest to the mean, without a distance.
///
/// This is the greedy algorithm for the k-centre problem (Gonzalez 1985; "Core-set" in Sener and Savarese, 2018): no image of
/// the pool is then farther from a chosen one than twice what the best choice would reach.
pub fn diverse(layouts: &[Layout], count: usize, taken: &[bool]) -> Vec<(usize, Option<f32>)> {
    let mut nearest = vec![f32::INFINITY; layouts.len()];
    let mut is_taken = taken.to_vec();
    let mut chosen: Vec<(usize, Option<f32>)> = Vec::new();
    for centre in (0..layouts.len()).filter(|place| taken[*place]) {
        approach(&mut nearest, layouts, centre);
    }
    while chosen.len() < count {
        let free = (0..layouts.len()).filter(|place| !is_taken[*place]);
        let next = if is_taken.contains(&true) {
            // Of equal ones the first.
            free.max_by(|a, b| nearest[*a].total_cmp(&nearest[*b]).then(b.cmp(a)))
                .map(|place| (place, Some(nearest[place])))
        } else {
            let mean = Layout::mean(layouts.iter());
            let distance = |place: &usize| layouts[*place].distance(&mean);
            free.min_by(|a, b| distance(a).total_cmp(&distance(b)).then(a.cmp(b))).map(|place| (place, None))
        };
        let Some((place, distance)) = next else { break };
        is_taken[place] = true;
        approach(&mut nearest, layouts, place);
        chosen.push((place, distance));
    }
    chosen
}

/// Notes a new centre.
fn approach(nearest: &mut [f32], layouts: &[Layout], centre: usize) {
    for (nearest, layout) in nearest.iter_mut().zip(layouts) {
        *nearest = nearest.min(layout.distance(&layouts[centre]));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::super::mask::Mask;
    use super::*;

    /// One class in each half of the picture.
    fn layout(left: u8, right: u8) -> Layout {
        Layout::of(&Mask::new([8, 4], (0..32).map(|at| if at % 8 < 4 { left } else { right }).collect()), 8)
    }

    #[test]
    fn every_image_is_drawn_equally_often_over_many_seeds() {
        let names: Vec<String> = (0..20).map(|i| format!("image {i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut drawn = [0_u32; 20];
        for seed in 0..4000 {
            for place in random(&names, 5, seed) {
                drawn[place] += 1;
            }
        }
        // Each count is binomial: 4000 trials of 1/4, so 1000 with a variance of 750. As the counts have a fixed sum, 19/20
        // of the sum of their squares has χ² with 19 degrees of freedom.
        let chi: f64 = drawn.iter().map(|count| (f64::from(*count) - 1000.0).powi(2) / 750.0).sum();
        assert!(chi * 19.0 / 20.0 < 43.8, "{chi}: beyond the 99.9 % point; {drawn:?}");
    }

    #[test]
    fn a_larger_draw_contains_the_smaller_and_the_order_of_the_names_makes_no_difference() {
        let names = ["a", "b", "c", "d", "e"];
        let turned = ["e", "d", "c", "b", "a"];
        let of = |names: &[&'static str], count, seed| -> Vec<&'static str> {
            random(names, count, seed).into_iter().map(|place| names[place]).collect()
        };
        for seed in 0..50 {
            assert_eq!(of(&names, 4, seed)[..2], of(&turned, 2, seed)[..]);
        }
        assert_ne!(of(&names, 5, 1), of(&names, 5, 2), "the seed decides");
    }

    #[test]
    fn the_most_uncertain_come_first_and_what_is_taken_is_left_out() {
        assert_eq!(uncertain(&[0.1, 0.4, 0.3, 0.4], 3, &[false, false, true, false]), [1, 3, 0]);
        assert_eq!(uncertain(&[0.1], 3, &[true]), [0_usize; 0]);
    }

    #[test]
    fn what_is_diverse_is_unlike_what_is_taken_and_begins_with_the_usual() {
        let layouts = [layout(0, 0), layout(0, 0), layout(0, 1), layout(2, 3)];
        let places = |count, taken: [bool; 4]| -> Vec<usize> {
            diverse(&layouts, count, &taken).into_iter().map(|(place, _)| place).collect()
        };
        assert_eq!(places(3, [false; 4]), [0, 3, 2], "first the one like most, then the one like none");
        assert_eq!(places(1, [true, false, false, true]), [2]);
        assert_eq!(diverse(&layouts, 1, &[true, false, false, true]), [(2, Some(0.5))]);
        assert_eq!(places(9, [false; 4]).len(), 4);
    }

    proptest! {
        #[test]
        fn no_image_is_farther_from_the_chosen_than_the_last_distance(
            halves in proptest::collection::vec((0u8..8, 0u8..8), 2..30),
        ) {
            let layouts: Vec<Layout> = halves.iter().map(|(left, right)| layout(*left, *right)).collect();
            let chosen = diverse(&layouts, 4.min(layouts.len()), &vec![false; layouts.len()]);
            let distances: Vec<f32> = chosen.iter().filter_map(|(_, distance)| *distance).collect();
            prop_assert!(distances.windows(2).all(|pair| pair[0] >= pair[1]), "{distances:?}");
            let last = distances.last().copied().unwrap();
            for layout in &layouts {
                let nearest = chosen.iter().map(|(place, _)| layouts[*place].distance(layout)).fold(f32::MAX, f32::min);
                prop_assert!(nearest <= last);
            }
        }

        #[test]
        fn no_image_is_chosen_twice(entropies in proptest::collection::vec(0.0f32..1.0, 1..20), seed in any::<u64>()) {
            let names: Vec<String> = (0..entropies.len()).map(|i| i.to_string()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let drawn = random(&names, 5, seed);
            let mut taken = vec![false; names.len()];
            drawn.iter().for_each(|place| taken[*place] = true);
            let rest = uncertain(&entropies, 5, &taken);
            let all: std::collections::BTreeSet<usize> = drawn.iter().chain(&rest).copied().collect();
            prop_assert_eq!(all.len(), drawn.len() + rest.len());
        }
    }
}
