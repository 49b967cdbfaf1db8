//! Why a run of the adaptation loop fails.
use intrada_data::DataError;

use super::losses::{Loss, LossRow};
use super::settings::SettingsError;
use super::slot::SlotError;
use crate::checkpoint::CheckpointError;
use crate::discriminator::MapTooSmall;
use crate::network::ImageTooSmall;

/// Why a run failed. Iterations count from 0.
#[derive(Debug, thiserror::Error)]
pub enum AdaptError {
    /// A setting is out of its range.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The images can't be opened.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The next images can't be read.
    #[error("iteration {iteration}: {source}; {}", what_is_left(*kept))]
    Batch {
        /// When.
        iteration: u64,
        /// Which image, and why not.
        source: DataError,
        /// How many iterations the slot's checkpoint has behind it.
        kept: Option<u64>,
    },
    /// The slot can't be used.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// The slot is of a longer run.
    #[error("the resume slot has {done} iterations behind it, more than the {iterations} of this run")]
    SlotAhead {
        /// By the slot's checkpoint.
        done: u64,
        /// By the settings.
        iterations: u64,
    },
    /// The results can't be written.
    #[error(transparent)]
    Results(#[from] CheckpointError),
    /// A term looks at the target domain, and there is none.
    #[error("adaptation needs target images, and none were given")]
    NoTarget,
    /// The labelled side's images have no labels.
    #[error("iteration {iteration}: image `{name}` has no label, but the source side of training needs one")]
    Unlabelled {
        /// When.
        iteration: u64,
        /// The batch's first image.
        name: String,
    },
    /// Images too small for the network.
    #[error("iteration {iteration}: {}{source}", images(names))]
    ImageTooSmall {
        /// When.
        iteration: u64,
        /// The images of the batch.
        names: Vec<String>,
        /// With the size.
        source: ImageTooSmall,
    },
    /// Images too small for the discriminator.
    #[error("iteration {iteration}: {}{source}", images(names))]
    MapTooSmall {
        /// When.
        iteration: u64,
        /// The images of the batch.
        names: Vec<String>,
        /// With the size.
        source: MapTooSmall,
    },
    /// The feature distance compares whole cells.
    #[error(
        "iteration {iteration}: {}{width}×{height} pixels, but the feature distance needs sides that are multiples of {stride}",
        images(names)
    )]
    PartialCells {
        /// When.
        iteration: u64,
        /// The images of the batch.
        names: Vec<String>,
        /// Pixels.
        width: i64,
        /// Pixels.
        height: i64,
        /// Of the network's deepest map.
        stride: i64,
    },
    /// Images of both sides are mixed pixel by pixel.
    #[error(
        "iteration {iteration}: source images of {}×{} pixels and target images of {}×{} can't be mixed",
        source_size[0], source_size[1], target_size[0], target_size[1]
    )]
    UnlikeSizes {
        /// When.
        iteration: u64,
        /// Width and height.
        source_size: [i64; 2],
        /// Width and height.
        target_size: [i64; 2],
    },
    /// Choices that are given don't fit the batch.
    #[error("iteration {iteration}: {problem}")]
    Given {
        /// When.
        iteration: u64,
        /// How they differ.
        problem: String,
    },
    /// A loss is infinite or not a number. Losses are read some iterations at a time, so that steps may have been taken since; nothing
    /// of them is kept.
    #[error("iteration {iteration}: loss {loss} is {value}{}; {}", since(before.as_deref()), what_is_left(*kept))]
    LossNotFinite {
        /// When.
        iteration: u64,
        /// Which one.
        loss: Loss,
        /// What it is.
        value: f64,
        /// The losses of the iteration before, where this run did it: they tell whether it came slowly or at once.
        before: Option<Box<LossRow>>,
        /// How many iterations the slot's checkpoint has behind it, all from before the trouble.
        kept: Option<u64>,
    },
    /// A weight, or an optimiser's state, is infinite or not a number. It was not saved.
    #[error("iteration {iteration}: an element of {tensor} became infinite or not a number; {}", what_is_left(*kept))]
    StateNotFinite {
        /// After which it was noticed.
        iteration: u64,
        /// The checkpoint key.
        tensor: String,
        /// How many iterations the slot's checkpoint has behind it, all from before the trouble.
        kept: Option<u64>,
    },
}

/// The images of a batch, before what is said of them.
fn images(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("image `{name}`: ")).collect();
    names.concat()
}

fn since(before: Option<&LossRow>) -> String {
    before.map(|row| format!(", after {} in iteration {}", row.in_words(), row.iteration)).unwrap_or_default()
}

fn what_is_left(iterations: Option<u64>) -> String {
    match iterations {
        Some(iterations) => format!("the checkpoint after {iterations} iterations is kept"),
        None => "no checkpoint had been taken".to_owned(),
    }
}
