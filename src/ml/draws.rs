//! What a forward pass drops at random (dropout, drop-path), as a function of the state that a training's checkpoint holds.
//!
//! libtorch's own generator can't be asked for "the draws of iteration 812": a resumed training would continue with others and
//! end with other bytes. Here every draw is a function of (seed, iteration, pass, layer). Knows no network and no layer but
//! their names.
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tch::{Device, Kind, Tensor};

use crate::device::onto;

/// Which of an iteration's forward passes: each draws anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Labelled images.
    Source,
    /// Images without labels.
    Target,
    /// Images of both, mixed.
    Mixed,
    /// Images of which a part is masked.
    Masked,
}

/// The draws of one forward pass in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The training's.
    pub seed: u64,
    /// From 0.
    pub iteration: u64,
    /// Of the iteration.
    pub pass: Pass,
}

impl Draw {
    /// `count` factors: 0 with probability `rate`, else 1 / (1 − `rate`), so that the mean stays.
    pub(crate) fn factors(&self, layer: &str, count: i64, rate: f64, (kind, device): (Kind, Device)) -> Tensor {
        let kept = 1.0 / (1.0 - rate);
        let factor = |number: f64| if number < rate { 0.0 } else { kept };
        let factors: Vec<f64> = self.numbers(layer).take(count as usize).map(factor).collect();
        onto(&Tensor::from_slice(&factors).to_kind(kind), device)
    }

    /// Uniform in [0, 1), for one layer.
    fn numbers(&self, layer: &str) -> impl Iterator<Item = f64> {
        let pass = match self.pass {
            Pass::Source => 0,
            Pass::Target => 1,
            Pass::Mixed => 2,
            Pass::Masked => 3,
        };
        let mut seed = [0; 32];
        for (bytes, number) in seed.chunks_exact_mut(8).zip([self.seed, self.iteration, pass, fnv1a(layer)]) {
            bytes.copy_from_slice(&u64::to_le_bytes(number));
        }
        let mut generator = ChaCha8Rng::from_seed(seed);
        // A float64 holds 53 bits without rounding.
        std::iter::repeat_with(move || (generator.next_u64() >> 11) as f64 / (1u64 << 53) as f64)
    }
}

/// FNV-1a, 64 bits: a hash that a later version of Rust won't change.
pub(crate) fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAW: Draw = Draw { seed: 1, iteration: 2, pass: Pass::Source };
    const OPTIONS: (Kind, Device) = (Kind::Double, Device::Cpu);

    #[test]
    fn a_draw_is_a_function_of_seed_iteration_pass_and_layer() {
        let of = |draw: Draw, layer: &str| draw.factors(layer, 100, 0.5, OPTIONS);
        assert_eq!(of(DRAW, "a"), of(DRAW, "a"));
        for other in [
            Draw { seed: 2, ..DRAW },
            Draw { iteration: 3, ..DRAW },
            Draw { pass: Pass::Target, ..DRAW },
            Draw { pass: Pass::Mixed, ..DRAW },
            Draw { pass: Pass::Masked, ..DRAW },
            Draw { seed: 2, iteration: 1, ..DRAW },
        ] {
            assert_ne!(of(other, "a"), of(DRAW, "a"), "{other:?}");
        }
        assert_ne!(of(DRAW, "b"), of(DRAW, "a"));
    }

    #[test]
    fn a_share_of_the_factors_is_zero_and_their_mean_is_one() {
        for rate in [0.0, 0.1, 0.7] {
            let factors = DRAW.factors("a", 100_000, rate, OPTIONS);
            let zeros = factors.eq(0.0).to_kind(Kind::Double).mean(None::<Kind>).double_value(&[]);
            assert!((zeros - rate).abs() < 0.01, "{zeros} of {rate}");
            assert!((factors.mean(None::<Kind>).double_value(&[]) - 1.0).abs() < 0.01);
            assert_eq!(factors.max().double_value(&[]), 1.0 / (1.0 - rate));
        }
    }
}
