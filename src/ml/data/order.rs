//! Which samples an iteration uses: depends only on the iteration, not on a state.
//!
//! Samples are used epoch by epoch, each once per epoch; a batch may span two epochs. (The released code instead shuffles
//! one long list of repeats, in which a sample may return before all were used.)

use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::random::{Purpose, Stream};

/// The order within an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Random, different in each epoch: a function of (seed, epoch).
    #[default]
    Shuffle,
    /// That of the data set.
    Sequential,
}

/// The visits of a data set's samples. To be shared between threads.
pub struct Visits {
    order: Order,
    samples: usize,
    batch: usize,
    seed: u64,
    /// The latest epoch, since neighbouring iterations mostly share it.
    latest: Mutex<Option<(u64, Arc<[usize]>)>>,
}

impl Visits {
    /// Visits to `samples` samples in batches of `batch`.
    ///
    /// # Panics
    /// If either is 0.
    pub fn new(order: Order, samples: usize, batch: usize, seed: u64) -> Self {
        assert!(samples > 0 && batch > 0, "{samples} samples in batches of {batch}");
        Self { order, samples, batch, seed, latest: Mutex::new(None) }
    }

    /// The samples of an iteration, from 0.
    pub fn of(&self, iteration: u64) -> Vec<usize> {
        let (samples, batch) = (self.samples as u64, self.batch as u64);
        (iteration * batch..(iteration + 1) * batch)
            .map(|visit| {
                let within = (visit % samples) as usize;
                match self.order {
                    Order::Sequential => within,
                    Order::Shuffle => self.epoch(visit / samples)[within],
                }
            })
            .collect()
    }

    fn epoch(&self, epoch: u64) -> Arc<[usize]> {
        let mut latest = self.latest.lock().expect("no thread panics while it shuffles");
        match &*latest {
            Some((known, order)) if *known == epoch => Arc::clone(order),
            _ => {
                let order: Arc<[usize]> =
                    Stream::at(self.seed, Purpose::Order, epoch, 0).permutation(self.samples).into();
                *latest = Some((epoch, Arc::clone(&order)));
                order
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    proptest! {
        #[test]
        fn each_sample_is_visited_once_an_epoch(samples in 1usize..40, batch in 1usize..7, seed in any::<u64>()) {
            let visits = Visits::new(Order::Shuffle, samples, batch, seed);
            let all: Vec<usize> = (0..(3 * samples) as u64).flat_map(|iteration| visits.of(iteration)).collect();
            for epoch in all.chunks_exact(samples) {
                let mut epoch = epoch.to_vec();
                epoch.sort_unstable();
                prop_assert_eq!(epoch, (0..samples).collect::<Vec<_>>());
            }
        }

        #[test]
        fn an_iteration_is_the_same_whatever_was_asked_before(k in 0u64..300, seed in any::<u64>()) {
            let visits = Visits::new(Order::Shuffle, 17, 4, seed);
            for iteration in 0..k {
                visits.of(iteration);
            }
            prop_assert_eq!(visits.of(k), Visits::new(Order::Shuffle, 17, 4, seed).of(k));
        }
    }

    #[test]
    fn sequential_goes_round() {
        let visits = Visits::new(Order::Sequential, 3, 2, 0);
        assert_eq!([visits.of(0), visits.of(1), visits.of(2)], [vec![0, 1], vec![2, 0], vec![1, 2]]);
    }

    #[test]
    fn epochs_and_seeds_have_different_orders() {
        let epoch = |seed, epoch| Visits::new(Order::Shuffle, 50, 50, seed).of(epoch);
        assert_ne!(epoch(1, 0), epoch(1, 1));
        assert_ne!(epoch(1, 0), epoch(2, 0));
    }
}
