//! Which sample a visit uses: depends only on the number of the visit, not on a state.
//!
//! Samples are used epoch by epoch, each once per epoch; a batch is a few visits and may span two epochs. (The released code
//! instead shuffles one long list of repeats, in which a sample may return before all were used.)

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
    seed: u64,
    /// Which of several data sets, so that their orders differ.
    set: u64,
    /// The latest epoch, since neighbouring visits mostly share it.
    latest: Mutex<Option<(u64, Arc<[usize]>)>>,
}

impl Visits {
    /// Visits to `samples` samples.
    ///
    /// # Panics
    /// If there are none.
    pub fn new(order: Order, samples: usize, seed: u64) -> Self {
        assert!(samples > 0, "no samples to visit");
        Self { order, samples, seed, set: 0, latest: Mutex::new(None) }
    }

    /// The same, of the data set with this number: the orders of different data sets are independent.
    pub fn of_set(self, set: usize) -> Self {
        Self { set: set as u64, ..self }
    }

    /// The sample of a visit, from 0.
    pub fn sample(&self, visit: u64) -> usize {
        let samples = self.samples as u64;
        let within = (visit % samples) as usize;
        match self.order {
            Order::Sequential => within,
            Order::Shuffle => self.epoch(visit / samples)[within],
        }
    }

    fn epoch(&self, epoch: u64) -> Arc<[usize]> {
        let mut latest = self.latest.lock().expect("no thread panics while it shuffles");
        match &*latest {
            Some((known, order)) if *known == epoch => Arc::clone(order),
            _ => {
                let order: Arc<[usize]> =
                    Stream::at(self.seed, Purpose::Order, epoch, self.set).permutation(self.samples).into();
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

    fn first(visits: &Visits, count: u64) -> Vec<usize> {
        (0..count).map(|visit| visits.sample(visit)).collect()
    }

    proptest! {
        #[test]
        fn each_sample_is_visited_once_an_epoch(samples in 1usize..40, seed in any::<u64>()) {
            let visits = Visits::new(Order::Shuffle, samples, seed);
            for epoch in first(&visits, 3 * samples as u64).chunks_exact(samples) {
                let mut epoch = epoch.to_vec();
                epoch.sort_unstable();
                prop_assert_eq!(epoch, (0..samples).collect::<Vec<_>>());
            }
        }

        #[test]
        fn a_visit_is_the_same_whatever_was_asked_before(k in 0u64..300, seed in any::<u64>()) {
            let visits = Visits::new(Order::Shuffle, 17, seed);
            first(&visits, k);
            prop_assert_eq!(visits.sample(k), Visits::new(Order::Shuffle, 17, seed).sample(k));
        }
    }

    #[test]
    fn sequential_goes_round() {
        assert_eq!(first(&Visits::new(Order::Sequential, 3, 0), 6), [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn epochs_seeds_and_data_sets_have_different_orders() {
        let epoch = |seed, set, epoch: u64| -> Vec<usize> {
            let visits = Visits::new(Order::Shuffle, 50, seed).of_set(set);
            (50 * epoch..50 * (epoch + 1)).map(|visit| visits.sample(visit)).collect()
        };
        assert_ne!(epoch(1, 0, 0), epoch(1, 0, 1));
        assert_ne!(epoch(1, 0, 0), epoch(2, 0, 0));
        assert_ne!(epoch(1, 0, 0), epoch(1, 1, 0));
    }
}
