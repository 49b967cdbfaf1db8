//! Mean and standard deviation of some numbers.
//!
//! Knows no unit and no rule: what a spread says about a difference is decided in `evidence`.

/// Mean and standard deviation of some numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The standard deviation, estimated from a sample (n − 1); unknown for one number.
    pub sd: Option<f64>,
    /// How many numbers there are.
    pub count: usize,
}

impl Spread {
    /// None without numbers.
    pub fn of(numbers: &[f64]) -> Option<Spread> {
        let count = numbers.len();
        let mean = numbers.iter().sum::<f64>() / count as f64;
        let squares = || numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>();
        let sd = (count > 1).then(|| (squares() / (count - 1) as f64).sqrt());
        (count > 0).then_some(Spread { mean, sd, count })
    }

    /// Of fractions, in %: `45.4`, or `45.4 ± 0.7` with a deviation.
    pub fn percent(&self) -> String {
        let sd = self.sd.map(|sd| format!(" ± {:.1}", 100.0 * sd)).unwrap_or_default();
        format!("{:.1}{sd}", 100.0 * self.mean)
    }
}
