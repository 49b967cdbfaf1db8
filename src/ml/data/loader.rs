//! Batches for training, prepared ahead by threads.
//!
//! Batch `k` depends only on the settings and `k`: its samples come from [`Visits`], its random changes from the stream of
//! (seed, iteration, position). So batches don't depend on the number of threads, and a loader opened at iteration `k`
//! continues exactly like one that got there, without replaying anything.
//!
//! The threads use no tensors. They make plain numbers, which the caller's thread converts: libtorch would otherwise start
//! its own thread pool in each of them.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use tch::{Kind, Tensor};

use super::augment::Augment;
use super::input::Input;
use super::order::{Order, Visits};
use super::prefetch::Prefetch;
use super::random::{Purpose, Stream};
use super::source::{Example, LabelUse, Reader, Source};
use super::{Batch, Batches, DataError};
use crate::network::Normalization;

/// How much memory decoded samples may take, so that small data sets are decoded once. Of larger ones only the first
/// samples are kept, and the others are read again each epoch.
const MEMORY: usize = 512 << 20;

/// How a data set becomes batches.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The order of samples within an epoch.
    pub order: Order,
    /// Samples in a batch.
    pub batch: NonZeroUsize,
    /// Determines order and random changes. Source and target need different seeds, or they would be in step.
    pub seed: u64,
    /// The iteration of the first batch.
    pub start_iteration: u64,
    /// The iteration before which the stream ends.
    pub iterations: u64,
    /// Random changes to the samples.
    pub augment: Augment,
    /// The network's input format.
    pub normalization: Normalization,
    /// Whether there are labels in the batches.
    pub labels: LabelUse,
    /// How many threads prepare batches. Only affects speed.
    pub threads: NonZeroUsize,
}

/// The batches of a data set.
pub struct Loader {
    prepared: Prefetch<Result<Prepared, DataError>>,
    iterations: u64,
}

/// A batch before it becomes tensors.
struct Prepared {
    images: Vec<f32>,
    labels: Option<Vec<i64>>,
    inside: Option<Vec<bool>>,
    names: Vec<String>,
    /// Width and height.
    size: [usize; 2],
}

impl Loader {
    /// Checks the data set's list and starts the threads. No file has been opened yet when this returns.
    ///
    /// # Errors
    /// As [`Reader::new`]; [`DataError::Settings`].
    pub fn open(source: &Source, settings: Settings) -> Result<Self, DataError> {
        let reader = Reader::new(source)?;
        settings.augment.check()?;
        let Settings { start_iteration, iterations, threads, .. } = settings;
        let visits = Visits::new(settings.order, reader.len(), settings.batch.get(), settings.seed);
        let input = Input::new(&settings.normalization);
        let preparation = Preparation { reader, visits, input, settings, memory: Memory::new(MEMORY) };
        // A batch for each thread, and one waiting.
        let ahead = threads.saturating_add(1);
        let range = start_iteration..iterations.max(start_iteration);
        let prepared = Prefetch::start(range, threads, ahead, move |iteration| preparation.prepare(iteration));
        Ok(Self { prepared, iterations })
    }
}

impl Batches for Loader {
    fn next_batch(&mut self) -> Result<Batch, DataError> {
        let prepared = self.prepared.next().ok_or(DataError::Exhausted { iterations: self.iterations })??;
        let [width, height] = prepared.size.map(|side| side as i64);
        let count = prepared.names.len() as i64;
        let images = Tensor::from_slice(&prepared.images).view([count, 3, height, width]);
        let labels = prepared.labels.map(|labels| Tensor::from_slice(&labels).view([count, height, width]));
        let inside = prepared.inside.map(|inside| Tensor::from_slice(&inside).view([count, height, width]));
        debug_assert_eq!(images.kind(), Kind::Float);
        Ok(Batch { images, labels, inside, names: prepared.names })
    }
}

/// Everything needed to prepare any iteration.
struct Preparation {
    reader: Reader,
    visits: Visits,
    input: Input,
    settings: Settings,
    memory: Memory,
}

impl Preparation {
    fn prepare(&self, iteration: u64) -> Result<Prepared, DataError> {
        let samples = self.visits.of(iteration);
        let mut images = Vec::new();
        let mut labels: Option<Vec<i64>> = None;
        let mut inside: Option<Vec<bool>> = None;
        let mut size = None;
        for (position, &sample) in samples.iter().enumerate() {
            let stored = self.memory.get(sample, || self.reader.read_resized(sample, self.settings.labels))?;
            let mut stream = Stream::at(self.settings.seed, Purpose::Augment, iteration, position as u64);
            let example = self.settings.augment.apply(self.reader.name(sample), &stored, &mut stream)?;
            let first_size = *size.get_or_insert(example.image.size());
            if first_size != example.image.size() {
                return Err(DataError::MixedSizes {
                    first: self.reader.name(samples[0]).to_owned(),
                    first_size,
                    second: self.reader.name(sample).to_owned(),
                    second_size: example.image.size(),
                });
            }
            images.reserve_exact(example.image.bytes().len());
            self.input.append(&example.image, &mut images);
            if let Some(label) = example.label {
                labels.get_or_insert_default().extend(label.bytes().iter().map(|&class| i64::from(class)));
            }
            if let Some(area) = example.inside {
                area.append(first_size, inside.get_or_insert_default());
            }
        }
        let names = samples.iter().map(|&sample| self.reader.name(sample).to_owned()).collect();
        Ok(Prepared { images, labels, inside, names, size: size.expect("a batch has at least one sample") })
    }
}

/// Decoded samples in memory, first come first kept.
struct Memory {
    kept: Mutex<Kept>,
}

struct Kept {
    examples: HashMap<usize, Arc<Example>>,
    bytes_left: usize,
}

impl Memory {
    fn new(bytes: usize) -> Self {
        Self { kept: Mutex::new(Kept { examples: HashMap::new(), bytes_left: bytes }) }
    }

    /// The sample, from memory if it is there. Decoding happens outside the lock, so two threads may decode the same
    /// sample.
    fn get(&self, sample: usize, read: impl FnOnce() -> Result<Example, DataError>) -> Result<Arc<Example>, DataError> {
        const NO_PANIC: &str = "no thread panics while it holds the memory";
        if let Some(example) = self.kept.lock().expect(NO_PANIC).examples.get(&sample) {
            return Ok(Arc::clone(example));
        }
        let example = Arc::new(read()?);
        let bytes = example.image.bytes().len() + example.label.as_ref().map_or(0, |label| label.bytes().len());
        let mut kept = self.kept.lock().expect(NO_PANIC);
        if bytes <= kept.bytes_left && !kept.examples.contains_key(&sample) {
            kept.bytes_left -= bytes;
            kept.examples.insert(sample, Arc::clone(&example));
        }
        Ok(example)
    }
}

#[cfg(test)]
mod tests;
