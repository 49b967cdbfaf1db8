//! The discriminators of an adversary, on each level that it adapts, with the optimisers that move them.
//!
//! It knows which maps they judge and by which loss. When they learn and when they stand still is the loop's.
use intrada_data::input_file::InputFile;
use tch::{Device, Tensor};

use super::levels::Levels;
use super::settings::Precision;
use super::terms::{Adversary, Map};
use crate::checkpoint::{self, CheckpointError, Rule};
use crate::discriminator::{Discriminator, MapTooSmall};
use crate::equations::{Domain, domain_loss, softmax, weighted_self_information};
use crate::layer::as_kind;
use crate::network::Network;
use crate::optim::{Adam, Optimizer, Rates};

/// Where the discriminators' first weights come from.
#[derive(Clone, Debug)]
pub enum DiscriminatorInit {
    /// One file for both levels, as a run writes its `discriminator.safetensors`.
    Together(InputFile),
    /// A file a level, as the released programs write them; [`Discriminator::load`] reads them. Without one a discriminator
    /// begins at random.
    Apart {
        /// Of the auxiliary level.
        aux: Option<InputFile>,
        /// Of the main level.
        main: Option<InputFile>,
    },
}

/// One on the main level, and one on the auxiliary level if the network has it and its weight isn't 0.
pub(super) struct Discriminators {
    pub adversary: Adversary,
    aux: Option<Trained>,
    main: Trained,
    precision: Precision,
}

/// A discriminator and the optimiser that moves it.
struct Trained {
    discriminator: Discriminator,
    optimizer: Adam,
}

impl Discriminators {
    pub(super) fn new(
        adversary: Adversary,
        network: &dyn Network,
        seed: u64,
        device: Device,
        precision: Precision,
    ) -> Discriminators {
        let trained = |name| {
            let (classes, width, kind) = (network.classes(), adversary.width, precision.kind());
            let discriminator = Discriminator::new(name, classes, width, seed, device, kind);
            let optimizer = Adam::new(discriminator.parameters(), adversary.betas);
            Trained { discriminator, optimizer }
        };
        let aux = network.multi_level() && adversary.weights.aux != 0.0;
        Discriminators { adversary, aux: aux.then(|| trained("aux")), main: trained("main"), precision }
    }

    /// Copies their first weights. Those of a level that isn't adapted are left in their file.
    pub(super) fn load(&self, init: &DiscriminatorInit) -> Result<(), CheckpointError> {
        match init {
            DiscriminatorInit::Together(file) => {
                let skip: &[_] = if self.aux.is_none() { &[("aux.", "of a level that isn't adapted")] } else { &[] };
                checkpoint::restore(file, &self.weights(), Rule { skip, ..Rule::WEIGHTS })?;
            }
            DiscriminatorInit::Apart { aux, main } => {
                for (trained, file) in [(self.aux.as_ref(), aux), (Some(&self.main), main)] {
                    trained.zip(file.as_ref()).map(|(trained, file)| trained.discriminator.load(file)).transpose()?;
                }
            }
        }
        Ok(())
    }

    /// What they see of logits N×C×H×W, on the levels that have a discriminator.
    pub(super) fn maps(&self, logits: &Levels) -> Levels {
        let aux = logits.aux.as_ref().filter(|_| self.aux.is_some()).map(Tensor::shallow_clone);
        let _autocast = self.precision.autocast(logits.main.device());
        Levels { aux, main: logits.main.shallow_clone() }.map(|logits| {
            let map = match self.adversary.map {
                Map::WeightedSelfInformation => weighted_self_information(&softmax(logits)),
                Map::Probabilities => softmax(logits),
            };
            as_kind(&map, self.precision.kind())
        })
    }

    /// Their losses on [`Discriminators::maps`] against one domain.
    pub(super) fn judge(&self, maps: &Levels, domain: Domain) -> Result<Levels, MapTooSmall> {
        let _autocast = self.precision.autocast(maps.main.device());
        let judge = |trained: &Trained, map: &Tensor| {
            let output = trained.discriminator.forward(map)?;
            Ok(domain_loss(&as_kind(&output, self.precision.kind()), domain, self.adversary.gan))
        };
        let aux = self.aux.as_ref().zip(maps.aux.as_ref()).map(|(trained, map)| judge(trained, map)).transpose()?;
        Ok(Levels { aux, main: judge(&self.main, &maps.main)? })
    }

    /// Whether backward passes compute their own gradients.
    pub(super) fn train(&self, on: bool) {
        self.each().for_each(|trained| trained.discriminator.train(on));
    }

    pub(super) fn step(&mut self, rate: f64) {
        self.optimizers().for_each(|optimizer| optimizer.step(Rates { body: rate, head: rate }));
    }

    pub(super) fn optimizers(&mut self) -> impl Iterator<Item = &mut Adam> {
        self.aux.iter_mut().chain([&mut self.main]).map(|trained| &mut trained.optimizer)
    }

    /// Weights and biases by key.
    pub(super) fn weights(&self) -> Vec<(String, Tensor)> {
        self.each().flat_map(|trained| trained.discriminator.state()).collect()
    }

    /// All that a checkpoint must hold, by name.
    pub(super) fn state(&self) -> Vec<(String, Tensor)> {
        let of_each = self.each().flat_map(|Trained { discriminator, optimizer }| {
            let weights = discriminator.state().into_iter().map(|(key, t)| (format!("discriminator.{key}"), t));
            weights.chain(optimizer.state().into_iter().map(|(key, t)| (format!("discriminator-optimizer.{key}"), t)))
        });
        of_each.collect()
    }

    fn each(&self) -> impl Iterator<Item = &Trained> {
        self.aux.iter().chain([&self.main])
    }
}
