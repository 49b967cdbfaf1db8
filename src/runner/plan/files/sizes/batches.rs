//! Whether a batch with images of different sizes can't be avoided.
//!
//! Knows no training: takes sizes, the batch size and the number of images read. The rule is that of `data::order`:
//! images are read pass by pass, each once per pass, and a batch may span two passes. The order of a shuffle isn't known
//! here; but some numbers of images fill no batches of one size in any order.

use std::collections::HashMap;
use std::hash::Hash;

/// For images in this order, pass after pass.
pub(super) fn are_mixed_in_order<S: PartialEq>(sizes: &[S], batch: usize, drawn: u64) -> bool {
    // After this many batches they start at the first image again.
    let batches = (drawn / batch as u64).min(sizes.len() as u64) as usize;
    let at = |visit: usize| &sizes[visit % sizes.len()];
    (0..batches).any(|first| (1..batch).any(|next| at(first * batch) != at(first * batch + next)))
}

/// For images in any order: true if the first pass has a mixed batch however it is shuffled.
pub(super) fn are_mixed_in_any_order<S: Eq + Hash>(sizes: &[S], batch: usize, drawn: u64) -> bool {
    let mut of_size: HashMap<&S, usize> = HashMap::new();
    for size in sizes {
        *of_size.entry(size).or_default() += 1;
    }
    let batches = drawn / batch as u64;
    let (whole, rest) = ((sizes.len() / batch) as u64, sizes.len() % batch);
    let of_one_size: u64 = of_size.values().map(|count| (count / batch) as u64).sum();
    // The batch that spans the first two passes starts with the rest of the first, which must have one size, too.
    let left_overs = of_size.values().filter(|count| *count % batch > 0).count();
    of_one_size < whole.min(batches) || (batches > whole && rest > 0 && left_overs > 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All orders of the numbers below `n`.
    fn orders(n: usize) -> Vec<Vec<usize>> {
        let mut orders = vec![Vec::new()];
        for next in 0..n {
            let longer = |order: &Vec<usize>| {
                (0..=order.len()).map(|at| [&order[..at], &[next], &order[at..]].concat()).collect::<Vec<_>>()
            };
            orders = orders.iter().flat_map(longer).collect();
        }
        orders
    }

    fn is_mixed(visits: &[u8], batch: usize) -> bool {
        visits.chunks_exact(batch).any(|batch| batch.iter().any(|size| *size != batch[0]))
    }

    #[test]
    fn one_image_of_another_size_is_always_met_where_the_others_fill_their_batches() {
        assert!(are_mixed_in_any_order(&[1, 1, 1, 2], 2, 4));
        assert!(!are_mixed_in_any_order(&[1, 1, 1, 2], 2, 2), "it may not be drawn");
        assert!(!are_mixed_in_any_order(&[1, 1, 2], 2, 100), "it may fill a batch with itself in the next pass");
        assert!(are_mixed_in_any_order(&[1, 2], 2, 2) && are_mixed_in_any_order(&[1, 2, 3], 3, 3));
        assert!(!are_mixed_in_any_order(&[1, 1, 2, 2], 2, 4) && !are_mixed_in_any_order(&[1; 7], 3, 100));
    }

    proptest! {
        #[test]
        fn a_batch_is_mixed_for_certain_only_if_it_is_in_every_order(
            sizes in prop::collection::vec(0u8..3, 1..6),
            batch in 2usize..4,
            drawn in 1u64..12,
        ) {
            // The second pass starts with whatever fits.
            let every = orders(sizes.len()).into_iter().all(|order| {
                let first: Vec<u8> = order.iter().map(|image| sizes[*image]).collect();
                let next = std::iter::repeat_n(first[first.len() - 1], batch);
                let visits: Vec<u8> = first.iter().copied().chain(next).collect();
                is_mixed(&visits[..visits.len().min(drawn as usize)], batch)
            });
            prop_assert!(every || !are_mixed_in_any_order(&sizes, batch, drawn));
            prop_assert!(!every || are_mixed_in_any_order(&sizes, batch, drawn) || batch > sizes.len());
        }

        #[test]
        fn in_an_order_that_is_known_a_mixed_batch_is_one_that_is_drawn(
            sizes in prop::collection::vec(0u8..2, 1..7),
            batch in 2usize..5,
            drawn in 1u64..40,
        ) {
            let visits: Vec<u8> = sizes.iter().copied().cycle().take(drawn as usize).collect();
            prop_assert_eq!(are_mixed_in_order(&sizes, batch, drawn), is_mixed(&visits, batch));
        }
    }
}
