//! Results side by side: what several networks reached, and in which parameters they differ.
//!
//! Knows neither pipelines nor the cache; it is told what was measured and what wasn't. Nothing is dropped: what was not run
//! is counted. Runs that differ by their seeds alone are one row, since one seed says little: adversarial training swings by
//! about two points of mIoU from seed to seed, as much as the method gains. Differences are taken seed by seed and then
//! averaged, and only over [`SEEDS_FOR_A_GAIN`] seeds one is called a gain.

mod data;
mod form;
mod group;
mod images;
mod table;

use std::collections::BTreeMap;

use super::metrics::Measured;

pub use data::{csv, json, long};
pub use form::{latex, markdown, text};
pub use group::{Comparison, Difference, Row, Spread, Unsortable, compare};
pub use images::{Image, Images};

/// Below this many seeds a difference is shown and called nothing.
pub const SEEDS_FOR_A_GAIN: usize = 3;

/// One network on one data set.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its pipeline.
    pub pipeline: String,
    /// The evaluation, as the file calls it.
    pub evaluation: String,
    /// The same, with its coordinates.
    pub member: String,
    /// What it was measured on.
    pub dataset: String,
    /// The stage that trained it, as the file calls it, or the file that it comes from.
    pub weights: String,
    /// All parameters of its training and of what came before: `rank.lambda`, in the order in which the stages run.
    pub parameters: Vec<(String, String)>,
    /// Whether it was measured.
    pub state: State,
    /// Seconds that its training took, where that is known.
    pub seconds: Option<f64>,
}

/// Whether a network was measured.
#[derive(Clone, Debug)]
pub enum State {
    /// It was, and this is what the pipeline now means.
    Measured(Box<Measurement>),
    /// It never was.
    NotRun,
    /// It wasn't, as something failed when that was tried the last time.
    Failed,
    /// It was, but something has changed since.
    Stale,
}

impl State {
    /// Where one network was met in several states, the greatest is what is known of it.
    fn worth(&self) -> u8 {
        match self {
            State::NotRun | State::Failed => 0,
            State::Stale => 1,
            State::Measured(_) => 2,
        }
    }
}

/// What was measured of one training.
#[derive(Clone, Debug, Default)]
pub struct Measurement {
    /// After its last iteration.
    pub last: Option<Measured>,
    /// When its mIoU was best.
    pub best: Option<Measured>,
    /// The mean IoU by image, 0 to 1, of the last network, else of the best; empty where nobody asked for it.
    pub images: BTreeMap<String, f64>,
}

impl Run {
    /// Whether it was measured, and nothing has changed since.
    pub fn is_measured(&self) -> bool {
        self.measured().is_some()
    }

    fn measured(&self) -> Option<&Measurement> {
        match &self.state {
            State::Measured(measurement) => Some(measurement),
            State::NotRun | State::Failed | State::Stale => None,
        }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Its seeds: what two repetitions of one experiment differ in.
    fn seeds(&self) -> BTreeMap<&str, &str> {
        let seeds = self.parameters.iter().filter(|(name, _)| is_seed(name));
        seeds.map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

fn is_seed(parameter: &str) -> bool {
    parameter.ends_with(".seed")
}

/// Whether these parameters of two runs are those of one experiment, tried twice.
pub fn differ_by_seeds_alone(some: &[(String, String)], others: &[(String, String)]) -> bool {
    let without = |parameters: &[(String, String)]| -> BTreeMap<String, String> {
        parameters.iter().filter(|(name, _)| !is_seed(name)).cloned().collect()
    };
    without(some) == without(others)
}

/// What is to be shown.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// The network that the others are compared with; by default `inter`, else the first.
    pub against: Option<String>,
    /// A row for each run.
    pub each_run: bool,
    /// The column to sort by; by default the order of the files.
    pub sort: Option<String>,
    /// The IoU of each class as well.
    pub classes: bool,
    /// The images that gained and lost most as well.
    pub by_image: bool,
    /// The parameters that are the same in all runs as well.
    pub all: bool,
}

#[cfg(test)]
mod tests;
