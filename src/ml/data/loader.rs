//! Batches for training, prepared ahead by threads.
//!
//! Batch `k` depends only on the settings and `k`: its samples come from [`Visits`], or from [`RareClasses`], of the data set
//! that [`Mixture`] says, its random changes from the stream of (seed, iteration, position). So batches don't depend on the
//! number of threads, and a loader opened at iteration `k` continues exactly like one that got there, without replaying anything.
//!
//! The threads use no tensors. They make plain numbers, which the caller's thread converts: libtorch would otherwise start
//! its own thread pool in each of them.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use intrada_data::DataError;
use intrada_data::augment::{Augment, Streams};
use intrada_data::mixture::{Mixture, Visit};
use intrada_data::order::{Order, Visits};
use intrada_data::prefetch::Prefetch;
use intrada_data::random::{Purpose, Stream};
use intrada_data::rare::{Drawn, RareClasses, Wanted};
use intrada_data::source::{Example, LabelUse, Reader, Source};
use tch::{Kind, Tensor};

use super::input::Input;

use super::{Batch, Batches};
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

/// One of the data sets that batches are drawn from.
#[derive(Clone)]
pub struct Part<'a> {
    /// The data set.
    pub source: &'a Source,
    /// How many of the samples are from it, in proportion to the shares of the others. More than 0.
    pub share: f64,
    /// Draws its samples by rare classes, not in its order. Made for as many samples as it has.
    pub rare: Option<Arc<RareClasses>>,
}

impl<'a> Part<'a> {
    /// All samples come from this data set, in its order.
    pub fn whole(source: &'a Source) -> Part<'a> {
        Part { source, share: 1.0, rare: None }
    }
}

/// The batches of one or several data sets.
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
        Self::open_parts(&[Part::whole(source)], settings)
    }

    /// The same for batches from several data sets.
    ///
    /// # Errors
    /// As [`Loader::open`]; [`Mixture::new`].
    pub fn open_parts(parts: &[Part<'_>], settings: Settings) -> Result<Self, DataError> {
        settings.augment.check()?;
        let sets = parts.iter().enumerate().map(|(number, part)| Set::new(number, part, &settings));
        let sets = sets.collect::<Result<Vec<Set>, DataError>>()?;
        let mixture = Mixture::new(&parts.iter().map(|part| part.share).collect::<Vec<f64>>(), settings.seed)?;
        let Settings { start_iteration, iterations, threads, .. } = settings;
        let input = Input::new(&settings.normalization);
        let preparation = Preparation { sets, mixture, input, settings, memory: Memory::new(MEMORY) };
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
    sets: Vec<Set>,
    mixture: Mixture,
    input: Input,
    settings: Settings,
    memory: Memory,
}

/// A data set, and the order of its samples.
struct Set {
    number: usize,
    reader: Reader,
    visits: Visits,
    rare: Option<Arc<RareClasses>>,
}

impl Set {
    fn new(number: usize, part: &Part<'_>, settings: &Settings) -> Result<Self, DataError> {
        let reader = Reader::new(part.source)?;
        let (samples, rare) = (reader.len(), part.rare.clone());
        if let Some(counted) = rare.as_ref().map(|rare| rare.samples()).filter(|counted| *counted != samples) {
            return Err(DataError::Settings(format!("class counts of {counted} images for {samples}")));
        }
        let visits = Visits::new(settings.order, samples, settings.seed).of_set(number);
        Ok(Self { number, reader, visits, rare })
    }
}

/// A sample of a batch, and what its crop should have.
struct Choice<'a> {
    set: &'a Set,
    sample: usize,
    wanted: Option<Wanted>,
}

impl Choice<'_> {
    fn name(&self) -> &str {
        self.set.reader.name(self.sample)
    }
}

impl Preparation {
    fn choose(&self, iteration: u64, position: u64) -> Choice<'_> {
        let Visit { set, nth } = self.mixture.visit(iteration * self.settings.batch.get() as u64 + position);
        let set = &self.sets[set];
        match &set.rare {
            None => Choice { set, sample: set.visits.sample(nth), wanted: None },
            Some(rare) => {
                let mut stream = Stream::at(self.settings.seed, Purpose::RareClass, iteration, position);
                let Drawn { class, sample } = rare.draw(&mut stream);
                Choice { set, sample, wanted: Some(rare.wanted(class)) }
            }
        }
    }

    fn prepare(&self, iteration: u64) -> Result<Prepared, DataError> {
        let choices: Vec<Choice<'_>> =
            (0..self.settings.batch.get() as u64).map(|position| self.choose(iteration, position)).collect();
        let mut images = Vec::new();
        let mut labels: Option<Vec<i64>> = None;
        let mut inside: Option<Vec<bool>> = None;
        let mut size = None;
        for (position, choice) in (0..).zip(&choices) {
            let Choice { set, sample, wanted } = *choice;
            let read = || set.reader.read_resized(sample, self.settings.labels);
            let stored = self.memory.get((set.number, sample), read)?;
            let stream = |purpose| Stream::at(self.settings.seed, purpose, iteration, position);
            let streams = Streams { first: stream(Purpose::Augment), again: stream(Purpose::Redraw) };
            let example = self.settings.augment.apply(choice.name(), &stored, wanted, streams)?;
            let first_size = *size.get_or_insert(example.image.size());
            if first_size != example.image.size() {
                return Err(DataError::MixedSizes {
                    first: choices[0].name().to_owned(),
                    first_size,
                    second: choice.name().to_owned(),
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
        let names = choices.iter().map(|choice| choice.name().to_owned()).collect();
        Ok(Prepared { images, labels, inside, names, size: size.expect("a batch has at least one sample") })
    }
}

/// Decoded samples in memory, first come first kept.
struct Memory {
    kept: Mutex<Kept>,
}

struct Kept {
    /// By data set and sample.
    examples: HashMap<(usize, usize), Arc<Example>>,
    bytes_left: usize,
}

impl Memory {
    fn new(bytes: usize) -> Self {
        Self { kept: Mutex::new(Kept { examples: HashMap::new(), bytes_left: bytes }) }
    }

    /// The sample, from memory if it is there. Decoding happens outside the lock, so two threads may decode the same
    /// sample.
    fn get(
        &self,
        sample: (usize, usize),
        read: impl FnOnce() -> Result<Example, DataError>,
    ) -> Result<Arc<Example>, DataError> {
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
