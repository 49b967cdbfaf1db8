//! Passes over data sets, with as many threads as keep a network busy.

use std::num::NonZeroUsize;

use intrada_data::source::{LabelUse, Source};
use intrada_ml::data::pass::{Pass, Photographs};
use intrada_ml::network::Normalization;
use intrada_work::Failure;

/// Threads that prepare the images of a pass.
const THREADS: NonZeroUsize = NonZeroUsize::new(2).expect("two is not zero");

/// A pass over a data set or a part of one.
pub(crate) fn over(
    source: &Source,
    normalization: &Normalization,
    labels: LabelUse,
    photographs: Photographs,
) -> Result<Pass, Failure> {
    Ok(Pass::open(source, normalization, labels, photographs, THREADS)?)
}

/// A pass over these samples of a data set.
pub(crate) fn of(
    source: &Source,
    samples: Vec<usize>,
    normalization: &Normalization,
    labels: LabelUse,
    photographs: Photographs,
) -> Result<Pass, Failure> {
    Ok(Pass::open_some(source, samples, normalization, labels, photographs, THREADS)?)
}

#[cfg(test)]
mod tests {
    use intrada_ml::discriminator::SMALLEST_SIDE;
    use intrada_runner::kind::training::DISCRIMINATOR_SIDE;

    #[test]
    fn the_runner_tells_of_images_that_the_discriminator_refuses() {
        assert_eq!(i64::from(DISCRIMINATOR_SIDE), SMALLEST_SIDE);
    }
}
