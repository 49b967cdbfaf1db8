//! The two sides of the game: the generator with its optimiser, and a discriminator with an optimiser on each level.
//!
//! It knows who owns which tensors and how each is moved; which loss moves whom, and when, is the loop's.
use tch::{Device, Kind, Tensor};

use super::DiscriminatorInit;
use super::levels::Levels;
use super::settings::{GeneratorOptimizer, Method, Settings};
use crate::checkpoint::{self, CheckpointError, Rule};
use crate::discriminator::{Discriminator, MapTooSmall};
use crate::equations::{Domain, Gan, domain_loss, upsample};
use crate::layer::as_kind;
use crate::network::{Network, Statistics};
use crate::optim::{Adam, Optimizer, Rates, Sgd, polynomial};

/// All that learns.
pub(super) struct Players<'a> {
    network: &'a dyn Network,
    generator: Box<dyn Optimizer>,
    aux: Option<Critic>,
    main: Option<Critic>,
    gan: Gan,
    device: Device,
    /// Of weights and losses.
    kind: Kind,
    /// Of what goes through the networks.
    activations: Kind,
}

/// A discriminator and what moves it.
struct Critic {
    discriminator: Discriminator,
    optimizer: Adam,
}

impl<'a> Players<'a> {
    /// Discriminators are made where the method has them: on the main level, and on the auxiliary one if the network has
    /// it and its adversarial weight isn't 0.
    pub(super) fn new(network: &'a dyn Network, settings: &Settings) -> Players<'a> {
        let parameters = network.parameters();
        let (device, kind) = match parameters.first() {
            Some(first) => (first.tensor.device(), first.tensor.kind()),
            None => panic!("a network without parameters can't be trained"),
        };
        assert_eq!(kind, settings.precision.kind(), "the network was built in another precision than the settings say");
        let generator: Box<dyn Optimizer> = match settings.generator {
            GeneratorOptimizer::Sgd { momentum, weight_decay, repeats } => {
                Box::new(Sgd::new(parameters, momentum, weight_decay, repeats))
            }
            GeneratorOptimizer::Adam { betas } => Box::new(Adam::new(parameters, betas)),
        };
        let critic = |name| {
            let width = settings.discriminator_width;
            let discriminator = Discriminator::new(name, network.classes(), width, settings.seed, device, kind);
            let optimizer = Adam::new(discriminator.parameters(), settings.discriminator_betas);
            Critic { discriminator, optimizer }
        };
        let adversarial = matches!(settings.method, Method::Advent | Method::AdaptSegNet);
        let aux = adversarial && network.multi_level() && settings.weights.adversarial.aux != 0.0;
        Players {
            network,
            generator,
            aux: aux.then(|| critic("aux")),
            main: adversarial.then(|| critic("main")),
            gan: settings.gan,
            device,
            kind,
            activations: settings.precision.activations(),
        }
    }

    pub(super) fn device(&self) -> Device {
        self.device
    }

    /// Images N×3×H×W → logits N×C×H×W on each level.
    pub(super) fn logits(&self, images: &Tensor) -> Levels {
        let images = images.to_device(self.device).to_kind(self.activations);
        let size = [images.size()[2], images.size()[3]];
        let logits = self.network.forward(&images, Statistics::Batch);
        let up = |z: &Tensor| upsample(&as_kind(z, self.kind), size);
        Levels { aux: logits.aux.as_ref().map(up), main: up(&logits.main) }
    }

    /// The discriminators' losses on maps N×C×H×W against one domain, on the levels that have a discriminator.
    pub(super) fn judge(&self, maps: &Levels, domain: Domain) -> Result<Levels, MapTooSmall> {
        let judge = |critic: &Critic, map: &Tensor| {
            let output = critic.discriminator.forward(&as_kind(map, self.activations))?;
            Ok(domain_loss(&as_kind(&output, self.kind), domain, self.gan))
        };
        let main = self.main.as_ref().expect("only methods with a discriminator ask it");
        let aux = self.aux.as_ref().zip(maps.aux.as_ref()).map(|(critic, map)| judge(critic, map)).transpose()?;
        Ok(Levels { aux, main: judge(main, &maps.main)? })
    }

    /// Whether backward passes compute the discriminators' own gradients.
    pub(super) fn train_discriminators(&self, on: bool) {
        self.critics().for_each(|critic| critic.discriminator.train(on));
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
        let rate = polynomial(settings.discriminator_rate, iteration, settings.schedule_iterations, settings.power);
        for critic in [&mut self.aux, &mut self.main].into_iter().flatten() {
            critic.optimizer.step(Rates { body: rate, head: rate });
        }
    }

    /// Every optimiser makes one step an iteration, so the iteration says how many they have made.
    pub(super) fn set_steps(&mut self, iterations: u64) {
        self.optimizers().for_each(|optimizer| optimizer.set_steps(iterations));
    }

    /// All that a checkpoint must hold, by name.
    pub(super) fn state(&self) -> Vec<(String, Tensor)> {
        let under = |prefix: &'static str, state: Vec<(String, Tensor)>| {
            state.into_iter().map(move |(name, tensor)| (format!("{prefix}.{name}"), tensor))
        };
        let mut all: Vec<_> = under("generator", self.network.state()).collect();
        all.extend(under("generator-optimizer", self.generator.state()));
        for critic in self.critics() {
            all.extend(under("discriminator", critic.discriminator.state()));
            all.extend(under("discriminator-optimizer", critic.optimizer.state()));
        }
        all
    }

    /// The discriminators' weights by key; none where the method has no discriminator.
    pub(super) fn discriminators(&self) -> Vec<(String, Tensor)> {
        self.critics().flat_map(|critic| critic.discriminator.state()).collect()
    }

    /// Copies the first weights of the discriminators. One of a level that isn't adapted is left in its file.
    pub(super) fn load_discriminators(&self, init: &DiscriminatorInit) -> Result<(), CheckpointError> {
        match init {
            DiscriminatorInit::Together(file) => {
                let skip: &[_] = if self.aux.is_none() { &[("aux.", "of a level that isn't adapted")] } else { &[] };
                checkpoint::restore(file, &self.discriminators(), Rule { skip, ..Rule::WEIGHTS })?;
            }
            DiscriminatorInit::Apart { aux, main } => {
                for (critic, file) in [(&self.aux, aux), (&self.main, main)] {
                    let file = file.as_ref();
                    critic.as_ref().zip(file).map(|(critic, file)| critic.discriminator.load(file)).transpose()?;
                }
            }
        }
        Ok(())
    }

    fn critics(&self) -> impl Iterator<Item = &Critic> {
        self.aux.iter().chain(&self.main)
    }

    fn optimizers(&mut self) -> impl Iterator<Item = &mut (dyn Optimizer + 'static)> {
        let critics = self
            .aux
            .iter_mut()
            .chain(&mut self.main)
            .map(|critic| &mut critic.optimizer as &mut (dyn Optimizer + 'static));
        std::iter::once(&mut *self.generator).chain(critics)
    }
}
