//! Data as tensors: the batches of a training step, and the images of a pass.
//!
//! `intrada-data` reads and changes the images; here they become what a network takes. Doesn't know what a batch is used for.

use intrada_data::DataError;
use tch::Tensor;

mod input;
pub mod loader;
pub mod pass;

/// What one training step reads from one domain.
#[derive(Debug)]
pub struct Batch {
    /// `N×3×H×W`, float32, in the network's channel order and normalisation.
    pub images: Tensor,
    /// `N×H×W`, int64, class indices, 255 = ignore; none if the loader ignores labels.
    pub labels: Option<Tensor>,
    /// `N×H×W`, bool, whether a pixel lies inside the margins of its data set; none if that has no margins.
    pub inside: Option<Tensor>,
    /// The names of the `N` samples, in order.
    pub names: Vec<String>,
}

/// A stream of batches. It begins at the iteration it was opened for.
pub trait Batches {
    /// The next iteration's batch.
    ///
    /// # Errors
    /// What is wrong with this iteration's files, or [`DataError::Exhausted`] after the last iteration.
    fn next_batch(&mut self) -> Result<Batch, DataError>;
}
