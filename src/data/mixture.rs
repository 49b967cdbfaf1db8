//! Which of several data sets each position of a batch reads, by their shares.
//!
//! A position draws its data set, and then takes the next sample in that data set's own order: so each sample of a data set is
//! read once in each of its epochs, however small its share. Which one is next depends on the draws before it, which are
//! counted anew: nothing is remembered from iteration to iteration.

use std::sync::Mutex;

use super::DataError;
use super::random::{Purpose, Stream};

/// Visits after which the counts are kept, so that they needn't be made from the beginning.
const BLOCK: u64 = 256;

/// The data sets of all visits. To be shared between threads.
pub struct Mixture {
    /// The sums of the shares up to each data set; the last is 1.
    up_to: Vec<f64>,
    seed: u64,
    /// The visits to each data set before each block.
    before: Mutex<Vec<Vec<u64>>>,
}

/// One sample of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Which data set.
    pub set: usize,
    /// How many visits this data set has had before.
    pub nth: u64,
}

impl Mixture {
    /// Data sets with these shares, of which only the ratios matter.
    ///
    /// # Errors
    /// [`DataError::Settings`]: there are none, or one isn't more than 0.
    pub fn new(shares: &[f64], seed: u64) -> Result<Mixture, DataError> {
        if shares.is_empty() || !shares.iter().all(|share| *share > 0.0 && share.is_finite()) {
            return Err(DataError::Settings(format!("data sets with the shares {shares:?}: each must be more than 0")));
        }
        let all: f64 = shares.iter().sum();
        let mut sum = 0.0;
        let up_to = shares.iter().map(|share| {
            sum += share / all;
            sum
        });
        Ok(Mixture { up_to: up_to.collect(), seed, before: Mutex::new(vec![vec![0; shares.len()]]) })
    }

    /// A visit, from 0: the place of a sample in the sequence of all batches.
    pub fn visit(&self, visit: u64) -> Visit {
        if self.up_to.len() == 1 {
            return Visit { set: 0, nth: visit };
        }
        let (set, block) = (self.set(visit), visit / BLOCK);
        let since = (block * BLOCK..visit).filter(|&earlier| self.set(earlier) == set).count() as u64;
        Visit { set, nth: self.before(block)[set] + since }
    }

    fn before(&self, block: u64) -> Vec<u64> {
        let mut before = self.before.lock().expect("no thread panics while it counts");
        while before.len() as u64 <= block {
            let start = (before.len() as u64 - 1) * BLOCK;
            let mut counts = before.last().expect("the first block has one").clone();
            (start..start + BLOCK).for_each(|visit| counts[self.set(visit)] += 1);
            before.push(counts);
        }
        before[block as usize].clone()
    }

    fn set(&self, visit: u64) -> usize {
        let point = f64::from(Stream::at(self.seed, Purpose::DataSet, visit, 0).unit());
        self.up_to.iter().position(|up_to| point < *up_to).unwrap_or(self.up_to.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn each_data_set_is_visited_in_its_order_without_a_gap(seed in any::<u64>(), start in 0u64..600) {
            let mixture = || Mixture::new(&[1.0, 2.0, 0.5], seed).unwrap();
            let all: Vec<Visit> = { let mixture = mixture(); (0..700).map(|visit| mixture.visit(visit)).collect() };
            let mut next = [0; 3];
            for visit in &all {
                prop_assert_eq!(visit.nth, next[visit.set]);
                next[visit.set] += 1;
            }
            prop_assert_eq!(mixture().visit(start), all[start as usize], "asked for first");
        }
    }

    #[test]
    fn the_shares_are_kept_on_average_and_only_their_ratios_matter() {
        let sets = |shares: &[f64]| -> Vec<usize> {
            let mixture = Mixture::new(shares, 5).unwrap();
            (0..4000).map(|visit| mixture.visit(visit).set).collect()
        };
        let drawn = sets(&[0.25, 0.75]);
        let first = drawn.iter().filter(|&&set| set == 0).count();
        assert!((900..1100).contains(&first), "{first}");
        assert_eq!(drawn, sets(&[1.0, 3.0]));
    }

    #[test]
    fn one_data_set_has_every_visit() {
        let mixture = Mixture::new(&[0.3], 1).unwrap();
        assert_eq!(mixture.visit(77), Visit { set: 0, nth: 77 });
    }

    #[test]
    fn shares_that_are_none_are_refused() {
        for bad in [&[] as &[f64], &[1.0, 0.0], &[f64::NAN], &[-1.0, 2.0], &[f64::INFINITY]] {
            assert!(Mixture::new(bad, 1).is_err(), "{bad:?}");
        }
    }
}
