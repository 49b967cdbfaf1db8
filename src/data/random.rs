//! Randomness by position: a stream of numbers for each (seed, purpose, a, b).
//!
//! Nothing here depends on earlier draws. With a single sequential generator every picture would depend on all pictures
//! before it, and a resumed run would have to replay them. ChaCha, as its output is the same on every platform and for
//! every number of threads.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The purpose of the numbers: streams of different purposes are independent. The number is part of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// The order of an epoch: (epoch, number of the data set where there are several, else 0).
    Order = 1,
    /// How a sample is changed: (iteration, position in the batch).
    Augment = 2,
    /// A synthetic scene: (index, style).
    Scene = 3,
    /// The severity of a synthetic target scene: (index, 0).
    Severity = 4,
    /// Which classes of a source image are pasted into a target image: (iteration, position in the batch).
    Paste = 5,
    /// How the colours of mixed images are changed: (iteration, 0 for what the batch shares, else position + 1).
    MixedColours = 6,
    /// Which patches of an image are masked: (iteration, position in the batch).
    Mask = 7,
    /// How the colours of masked images are changed: as of [`Purpose::MixedColours`].
    MaskedColours = 8,
    /// The class and the sample of rare class sampling: (iteration, position in the batch).
    RareClass = 10,
    /// Further crops of a sample of which the first doesn't serve: (iteration, position in the batch).
    Redraw = 11,
    /// The data set of a visit, where there are several: (visit, 0).
    DataSet = 12,
    /// Which pixels of an image are drawn to score a network: (the image's number, 0).
    ScoredPixels = 13,
    /// How an image is changed for its second view: (the image's number, 0).
    SecondView = 14,
}

/// A stream of random numbers.
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of a position. Two calls with the same numbers give the same stream.
    pub fn at(seed: u64, purpose: Purpose, a: u64, b: u64) -> Self {
        let mut key = [0; 32];
        for (bytes, word) in key.chunks_exact_mut(8).zip([seed, purpose as u64, a, b]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Uniform in `[0, 1)`, a multiple of 2⁻²⁴, which float32 holds exactly.
    pub fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1 << 24) as f32
    }

    /// Uniform in `[low, high)`.
    pub fn within(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform in `0..n`, by multiplication (the bias is below `n / 2⁶⁴`).
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "there is no number below 0");
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }

    /// One of a list.
    ///
    /// # Panics
    /// If the list is empty.
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// Approximately normal, mean 0, deviation 1: the sum of eight random bytes (Irwin–Hall), cut off at ±4.88. Not
    /// Box–Muller, because logarithm and cosine differ in the last bit between platforms, and pictures must not.
    pub fn normal(&mut self) -> f32 {
        /// 8 · (256² − 1) / 12, the variance of the sum.
        const VARIANCE: f32 = 43_690.0;
        const MEAN: f32 = 8.0 * 127.5;
        let sum: u32 = self.0.next_u64().to_le_bytes().iter().map(|&byte| u32::from(byte)).sum();
        (sum as f32 - MEAN) / VARIANCE.sqrt()
    }

    /// `0..n` in random order (Fisher–Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for last in (1..n).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::{Purpose, Stream};

    fn first(seed: u64, purpose: Purpose, a: u64, b: u64) -> [u32; 4] {
        let mut stream = Stream::at(seed, purpose, a, b);
        [(); 4].map(|()| stream.unit().to_bits())
    }

    #[test]
    fn a_stream_depends_on_each_of_its_four_numbers() {
        let here = first(1, Purpose::Order, 2, 3);
        assert_eq!(here, first(1, Purpose::Order, 2, 3));
        let elsewhere = [
            first(2, Purpose::Order, 2, 3),
            first(1, Purpose::Augment, 2, 3),
            first(1, Purpose::Order, 3, 3),
            first(1, Purpose::Order, 2, 2),
        ];
        assert!(elsewhere.iter().all(|other| *other != here));
    }

    #[test]
    fn normal_numbers_have_mean_0_and_deviation_1() {
        let mut stream = Stream::at(0, Purpose::Scene, 0, 0);
        let draws: Vec<f64> = (0..20_000).map(|_| f64::from(stream.normal())).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.03, "{variance}");
        let beyond_2 = draws.iter().filter(|x| x.abs() > 2.0).count() as f64 / draws.len() as f64;
        assert!((beyond_2 - 0.0455).abs() < 0.01, "{beyond_2}");
    }

    #[test]
    fn a_permutation_holds_each_number_once() {
        let mut order = Stream::at(5, Purpose::Order, 0, 0).permutation(257);
        assert_ne!(order, (0..257).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..257).collect::<Vec<_>>());
    }

    #[test]
    fn below_reaches_every_number_and_no_other() {
        let mut stream = Stream::at(9, Purpose::Augment, 0, 0);
        let mut seen = [0; 5];
        for _ in 0..500 {
            seen[stream.below(5)] += 1;
        }
        assert!(seen.iter().all(|&n| n > 50), "{seen:?}");
    }
}
