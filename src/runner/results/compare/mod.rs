//! Compares results: mIoU of several networks, and the parameters in which they differ.
//!
//! Knows neither pipelines nor the cache; the caller passes what was evaluated and what wasn't. Nothing is dropped: missing
//! entries are counted. Entries that differ only by their seeds are one row, since one seed proves little: adversarial training
//! varies by about two points of mIoU from seed to seed, as much as the method gains. Differences are computed seed by seed
//! and then averaged; what they may be called is decided in `results::evidence`.

mod data;
mod form;
mod group;
mod images;
mod table;

use std::collections::BTreeMap;

use super::metrics::Measured;
use intrada_statistics::evidence::ByImage;

pub use data::{csv, json, long, quoted};
pub use form::{latex, markdown, text};
pub use group::{Comparison, Row, Unsortable, compare};
pub use images::{Image, Images};

/// One network on one data set.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its pipeline.
    pub pipeline: String,
    /// The evaluation, as the file calls it.
    pub evaluation: String,
    /// The same, with its coordinates.
    pub member: String,
    /// The data set.
    pub dataset: String,
    /// The stage that trained it, as named in the file, or the weights file.
    pub weights: String,
    /// All parameters of its training and its ancestors: `rank.lambda`, in the order in which the stages run.
    pub parameters: Vec<(String, String)>,
    /// Whether it was evaluated.
    pub state: State,
    /// Seconds that its training took, if known.
    pub seconds: Option<f64>,
}

/// Whether a network was evaluated.
#[derive(Clone, Debug)]
pub enum State {
    /// Evaluated, with the current pipeline.
    Measured(Box<Measurement>),
    /// Never evaluated.
    NotRun,
    /// Not evaluated: the last attempt failed.
    Failed,
    /// Evaluated, but something has changed since.
    Stale,
}

impl State {
    /// If one network has several states, the greatest counts.
    fn worth(&self) -> u8 {
        match self {
            State::NotRun | State::Failed => 0,
            State::Stale => 1,
            State::Measured(_) => 2,
        }
    }
}

/// The measurements of one training.
#[derive(Clone, Debug, Default)]
pub struct Measurement {
    /// After its last iteration.
    pub last: Option<Measured>,
    /// At its best mIoU.
    pub best: Option<Measured>,
    /// The mean IoU by image, 0 to 1, of the last network, else of the best; empty unless requested.
    pub images: BTreeMap<String, f64>,
    /// The pixels by image of the same network.
    pub pixels: ByImage,
}

impl Entry {
    /// Whether it was evaluated, and nothing has changed since.
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

    /// Its seeds, in which repetitions of one experiment differ.
    fn seeds(&self) -> BTreeMap<&str, &str> {
        let seeds = self.parameters.iter().filter(|(name, _)| is_seed(name));
        seeds.map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

fn is_seed(parameter: &str) -> bool {
    parameter.ends_with(".seed")
}

/// Whether two entries with these parameters repeat one experiment.
pub fn differ_by_seeds_alone(some: &[(String, String)], others: &[(String, String)]) -> bool {
    let without = |parameters: &[(String, String)]| -> BTreeMap<String, String> {
        parameters.iter().filter(|(name, _)| !is_seed(name)).cloned().collect()
    };
    without(some) == without(others)
}

/// Options of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// The baseline network; by default `inter`, else the first.
    pub against: Option<String>,
    /// One row per entry.
    pub each_run: bool,
    /// The sort column; by default the order of the files.
    pub sort: Option<String>,
    /// Also the IoU of each class.
    pub classes: bool,
    /// Also the images with the largest gains and losses.
    pub by_image: bool,
    /// Also the parameters that are the same in all entries.
    pub all: bool,
}

#[cfg(test)]
mod tests;
