//! Chance that can be repeated: moments and victims of tests that disturb a program at random.

use std::time::Duration;

/// SplitMix64: moments and victims, the same ones for the same seed.
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn one_of(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    /// 2 ms to 4 s, short ones as often as long ones: what goes wrong at a start is as likely to be met as what goes wrong
    /// in a training.
    pub fn while_(&mut self) -> Duration {
        let exponent = self.next() as f64 / u64::MAX as f64 * 11.0;
        Duration::from_secs_f64(0.002 * exponent.exp2())
    }
}

/// A number that the environment gives.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}
