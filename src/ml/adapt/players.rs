//! All networks of a training: the generator with its optimiser, the discriminators, the teacher and the reference where a term has
//! them.
//!
//! It knows who owns which tensors and how each is moved; which loss moves whom, and when, is the loop's.
use tch::{Device, Tensor, no_grad};

use super::discriminators::{DiscriminatorInit, Discriminators};
use super::levels::Levels;
use super::settings::{GeneratorOptimizer, Precision, Settings};
use super::teacher::Teacher;
use crate::checkpoint::CheckpointError;
use crate::draws::Draw;
use crate::equations::upsample;
use crate::layer::as_kind;
use crate::network::{Network, Statistics};
use crate::optim::{Adam, Optimizer, Rates, Schedule, Sgd, polynomial};

/// Networks beside the generator, where terms need them: built like it, each with weights of its own.
#[derive(Clone, Copy, Default)]
pub struct Companions<'a> {
    /// The teacher. Its weights are overwritten.
    pub teacher: Option<&'a dyn Network>,
    /// The pretrained network that the feature distance is measured from. It stays as it is.
    pub reference: Option<&'a dyn Network>,
}

/// What a forward pass gives.
pub(super) struct Passed {
    /// N×C×H×W, at the images' size.
    pub logits: Levels,
    /// The deepest map, N×D×h×w.
    pub features: Tensor,
}

/// All networks.
pub(super) struct Players<'a> {
    network: &'a dyn Network,
    generator: Box<dyn Optimizer>,
    pub discriminators: Option<Discriminators>,
    pub teacher: Option<Teacher<'a>>,
    reference: Option<&'a dyn Network>,
    device: Device,
    precision: Precision,
}

impl<'a> Players<'a> {
    /// # Panics
    /// A term needs a companion that isn't given.
    pub(super) fn new(network: &'a dyn Network, companions: Companions<'a>, settings: &Settings) -> Players<'a> {
        let precision = settings.precision;
        let parameters = network.parameters();
        let (device, kind) = match parameters.first() {
            Some(first) => (first.tensor.device(), first.tensor.kind()),
            None => panic!("a network without parameters can't be trained"),
        };
        assert_eq!(kind, precision.kind(), "the network was built in another precision than the settings say");
        let generator: Box<dyn Optimizer> = match &settings.generator {
            GeneratorOptimizer::Sgd { momentum, weight_decay, repeats } => {
                Box::new(Sgd::new(parameters, *momentum, *weight_decay, *repeats))
            }
            GeneratorOptimizer::Adam { betas } => Box::new(Adam::new(parameters, *betas)),
            GeneratorOptimizer::AdamW { betas, decay } => Box::new(Adam::decoupled(parameters, *betas, decay.clone())),
        };
        let adversary = settings.terms.adversary;
        let discriminators = adversary.map(|a| Discriminators::new(a, network, settings.seed, device, precision));
        let is_asked = settings.terms.ask_teacher();
        let teacher = settings.terms.teacher.as_ref().map(|terms| {
            let own = companions.teacher.expect("a training with a teacher has a network for it");
            Teacher::new(own, network, terms, is_asked)
        });
        let reference = settings.terms.feature_distance.as_ref().map(|_| {
            companions.reference.expect("a training with a feature distance has a network to measure it from")
        });
        Players { network, generator, discriminators, teacher, reference, device, precision }
    }

    pub(super) fn network(&self) -> &'a dyn Network {
        self.network
    }

    pub(super) fn device(&self) -> Device {
        self.device
    }

    /// Images N×3×H×W, on the device, through the generator. What it drops is drawn anew for each `draw`.
    pub(super) fn forward(&self, images: &Tensor, draw: Draw) -> Passed {
        let _autocast = self.precision.autocast(self.device);
        self.through(self.network, images, Statistics::Batch, Some(draw))
    }

    /// The teacher's main logits N×C×H×W of images N×3×H×W. It normalises by the batch and drops nothing.
    pub(super) fn taught(&self, images: &Tensor) -> Option<Tensor> {
        let teacher = self.teacher.as_ref()?;
        let _autocast = self.precision.autocast(self.device);
        Some(no_grad(|| self.through(teacher.network, images, Statistics::Batch, None).logits.main))
    }

    /// The reference's deepest map of images N×3×H×W.
    pub(super) fn reference_features(&self, images: &Tensor) -> Option<Tensor> {
        let reference = self.reference?;
        let _autocast = self.precision.autocast(self.device);
        Some(no_grad(|| self.through(reference, images, Statistics::Running, None).features))
    }

    fn through(&self, network: &dyn Network, images: &Tensor, statistics: Statistics, draw: Option<Draw>) -> Passed {
        let images = as_kind(images, self.precision.kind());
        let size = [images.size()[2], images.size()[3]];
        let logits = network.forward(&images, statistics, draw);
        let kind = self.precision.kind();
        let up = |z: &Tensor| upsample(&as_kind(z, kind), size, network.alignment());
        let levels = Levels { aux: logits.aux.as_ref().map(up), main: up(&logits.main) };
        Passed { logits: levels, features: as_kind(&logits.features, kind) }
    }

    pub(super) fn zero_grad(&mut self) {
        self.optimizers().for_each(|optimizer| optimizer.zero_grad());
    }

    /// The base rate of G at an iteration.
    pub(super) fn generator_rate(&self, settings: &Settings, iteration: u64) -> f64 {
        let warmup = settings.warmup;
        let schedule = Schedule {
            base: settings.generator_rate,
            max: settings.schedule_iterations,
            power: settings.power,
            warmup: warmup.iterations,
            warmup_ratio: warmup.ratio,
        };
        schedule.at(iteration)
    }

    /// Moves G, then D aux, then D main, each along its accumulated gradient.
    pub(super) fn step(&mut self, settings: &Settings, iteration: u64) {
        let body = self.generator_rate(settings, iteration);
        if let Some(largest) = settings.clip {
            self.generator.clip(largest);
        }
        self.generator.step(Rates { body, head: body * settings.head_factor });
        if let Some(discriminators) = &mut self.discriminators {
            let base = discriminators.adversary.rate;
            discriminators.step(polynomial(base, iteration, settings.schedule_iterations, settings.power));
        }
    }

    /// Every optimiser makes one step an iteration, so the iteration says how many they have made.
    pub(super) fn set_steps(&mut self, iterations: u64) {
        self.optimizers().for_each(|optimizer| optimizer.set_steps(iterations));
    }

    /// All that a checkpoint must hold, by name.
    pub(super) fn state(&self) -> Vec<(String, Tensor)> {
        let network = self.network.state().into_iter().map(|(key, t)| (format!("generator.{key}"), t));
        let optimizer = self.generator.state().into_iter().map(|(key, t)| (format!("generator-optimizer.{key}"), t));
        let own = network.chain(optimizer).chain(self.discriminators.iter().flat_map(Discriminators::state));
        own.chain(self.teacher_state().into_iter().map(|(key, t)| (format!("teacher.{key}"), t))).collect()
    }

    /// The teacher's tensors by key; none where there is no teacher.
    pub(super) fn teacher_state(&self) -> Vec<(String, Tensor)> {
        self.teacher.iter().flat_map(Teacher::state).collect()
    }

    /// The discriminators' weights by key; none where no term has discriminators.
    pub(super) fn discriminator_weights(&self) -> Vec<(String, Tensor)> {
        self.discriminators.iter().flat_map(Discriminators::weights).collect()
    }

    /// Copies the first weights of the discriminators, where a term has some.
    pub(super) fn load_discriminators(&self, init: &DiscriminatorInit) -> Result<(), CheckpointError> {
        self.discriminators.as_ref().map_or(Ok(()), |discriminators| discriminators.load(init))
    }

    fn optimizers(&mut self) -> impl Iterator<Item = &mut (dyn Optimizer + 'static)> {
        let discriminators = self.discriminators.iter_mut().flat_map(Discriminators::optimizers);
        let discriminators = discriminators.map(|adam| adam as &mut (dyn Optimizer + 'static));
        std::iter::once(&mut *self.generator).chain(discriminators)
    }
}
