//! The two sides of the game: the generator with its optimiser, and the discriminators where a term has them.
//!
//! It knows who owns which tensors and how each is moved; which loss moves whom, and when, is the loop's.
use tch::{Device, Tensor};

use super::discriminators::{DiscriminatorInit, Discriminators};
use super::levels::Levels;
use super::settings::{GeneratorOptimizer, Precision, Settings};
use crate::checkpoint::CheckpointError;
use crate::draws::Draw;
use crate::equations::upsample;
use crate::layer::as_kind;
use crate::network::{Network, Statistics};
use crate::optim::{Adam, Optimizer, Rates, Sgd, polynomial};

/// All that learns.
pub(super) struct Players<'a> {
    network: &'a dyn Network,
    generator: Box<dyn Optimizer>,
    pub discriminators: Option<Discriminators>,
    device: Device,
    precision: Precision,
}

impl<'a> Players<'a> {
    pub(super) fn new(network: &'a dyn Network, settings: &Settings) -> Players<'a> {
        let precision = settings.precision;
        let parameters = network.parameters();
        let (device, kind) = match parameters.first() {
            Some(first) => (first.tensor.device(), first.tensor.kind()),
            None => panic!("a network without parameters can't be trained"),
        };
        assert_eq!(kind, precision.kind(), "the network was built in another precision than the settings say");
        let generator: Box<dyn Optimizer> = match settings.generator {
            GeneratorOptimizer::Sgd { momentum, weight_decay, repeats } => {
                Box::new(Sgd::new(parameters, momentum, weight_decay, repeats))
            }
            GeneratorOptimizer::Adam { betas } => Box::new(Adam::new(parameters, betas)),
        };
        let adversary = settings.terms.adversary;
        let discriminators = adversary.map(|a| Discriminators::new(a, network, settings.seed, device, precision));
        Players { network, generator, discriminators, device, precision }
    }

    pub(super) fn network(&self) -> &'a dyn Network {
        self.network
    }

    pub(super) fn device(&self) -> Device {
        self.device
    }

    /// Images N×3×H×W → logits N×C×H×W on each level. What the network drops is drawn anew for each `draw`.
    pub(super) fn logits(&self, images: &Tensor, draw: Draw) -> Levels {
        let images = images.to_device(self.device).to_kind(self.precision.activations());
        let size = [images.size()[2], images.size()[3]];
        let logits = self.network.forward(&images, Statistics::Batch, Some(draw));
        let up = |z: &Tensor| upsample(&as_kind(z, self.precision.kind()), size, self.network.alignment());
        Levels { aux: logits.aux.as_ref().map(up), main: up(&logits.main) }
    }

    pub(super) fn zero_grad(&mut self) {
        self.optimizers().for_each(|optimizer| optimizer.zero_grad());
    }

    /// The base rate of G at an iteration.
    pub(super) fn generator_rate(&self, settings: &Settings, iteration: u64) -> f64 {
        polynomial(settings.generator_rate, iteration, settings.schedule_iterations, settings.power)
    }

    /// Moves G, then D aux, then D main, each along its accumulated gradient.
    pub(super) fn step(&mut self, settings: &Settings, iteration: u64) {
        let body = self.generator_rate(settings, iteration);
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
        network.chain(optimizer).chain(self.discriminators.iter().flat_map(Discriminators::state)).collect()
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
