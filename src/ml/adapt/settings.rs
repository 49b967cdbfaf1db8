//! Every number of an adaptation run, each with the papers' value as its default.
//!
//! Defaults are those of AdvEnt's and IntraDA's released code (`config.py`, `intrada.yml`); where a paper differs, the field
//! says so. They know no files and no network.
use serde::{Deserialize, Serialize};

use crate::equations::Gan;
use crate::optim::Repeats;

/// How the generator is adapted to the target domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Not at all: supervised training on the source.
    #[serde(rename = "source-only")]
    SourceOnly,
    /// By minimising the entropy of target predictions (arXiv 1811.12833, section 3.1).
    MinEnt,
    /// By a discriminator that sees weighted self-information (arXiv 1811.12833, section 3.2). IntraDA's both steps.
    Advent,
    /// By a discriminator that sees class probabilities (arXiv 1802.10349).
    AdaptSegNet,
}

/// Element types of weights, activations and optimiser state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single, as published.
    Float32,
    /// Double, to check against other implementations.
    Float64,
    /// Convolutions of both players in bfloat16, forward and backward. Weights, optimisers' state, statistics and losses
    /// stay in single precision.
    BFloat16,
}

impl Precision {
    /// Of weights, optimisers' state and losses.
    pub fn kind(self) -> tch::Kind {
        match self {
            Precision::Float32 | Precision::BFloat16 => tch::Kind::Float,
            Precision::Float64 => tch::Kind::Double,
        }
    }

    /// Of what goes through the networks.
    pub fn activations(self) -> tch::Kind {
        match self {
            Precision::BFloat16 => tch::Kind::BFloat16,
            precision => precision.kind(),
        }
    }
}

/// The generator's optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum GeneratorOptimizer {
    /// The papers': momentum 0.9, weight decay 5e-4.
    Sgd {
        /// Share of the last step that is kept.
        momentum: f64,
        /// Pull of every parameter towards 0, added to its gradient.
        weight_decay: f64,
        /// Whether parameters that the released code steps repeatedly are.
        #[serde(default)]
        repeats: Repeats,
    },
    /// For networks that are trained from scratch in a few hundred iterations.
    Adam {
        /// Decay of the first and second moment.
        betas: (f64, f64),
    },
}

/// Weights of a loss that is taken on both levels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelWeights {
    /// Of the main head.
    pub main: f64,
    /// Of the auxiliary head. 0 for an adversarial or entropy loss: that level isn't adapted and has no discriminator.
    pub aux: f64,
}

/// Weights of the generator's losses.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossWeights {
    /// Cross-entropy on the source: 1.0 and 0.1.
    pub segmentation: LevelWeights,
    /// Deceiving the discriminators: 0.001 and 0.0002. AdaptSegNet's authors advise 0.0005 and 0.00005 since PyTorch 0.4.
    pub adversarial: LevelWeights,
    /// MinEnt's entropy: 0.001 and 0.0002.
    pub entropy: LevelWeights,
}

impl Default for LossWeights {
    fn default() -> LossWeights {
        LossWeights {
            segmentation: LevelWeights { main: 1.0, aux: 0.1 },
            adversarial: LevelWeights { main: 0.001, aux: 0.0002 },
            entropy: LevelWeights { main: 0.001, aux: 0.0002 },
        }
    }
}

/// One run of the adaptation loop, inter-domain or intra-domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// AdvEnt.
    pub method: Method,
    /// Where the loop stops: 120 000.
    pub iterations: u64,
    /// Where the learning rates would reach 0: 250 000, so that the papers' runs stop at about half their rate.
    pub schedule_iterations: u64,
    /// Exponent of the polynomial schedule: 0.9.
    pub power: f64,
    /// The generator's base rate: 2.5e-4.
    pub generator_rate: f64,
    /// How much faster classifiers learn than a pretrained body: 10.
    pub head_factor: f64,
    /// SGD with momentum 0.9 and weight decay 5e-4, each parameter once. The released code steps those of its body three
    /// and four times: [`Repeats::Released`].
    pub generator: GeneratorOptimizer,
    /// The discriminators' base rate: 1e-4.
    pub discriminator_rate: f64,
    /// The discriminators' Adam: 0.9 and 0.99.
    pub discriminator_betas: (f64, f64),
    /// What the discriminators minimise, and the generator against them: cross-entropy.
    pub gan: Gan,
    /// Channels after a discriminator's first convolution: 64.
    pub discriminator_width: i64,
    /// See [`LossWeights`].
    pub weights: LossWeights,
    /// Single precision.
    pub precision: Precision,
    /// Of the discriminators' first weights: 1234.
    pub seed: u64,
    /// Iterations from one checkpoint to the next; by default the clock decides. Of no influence on the result.
    pub checkpoint_every: Option<u64>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            method: Method::Advent,
            iterations: 120_000,
            schedule_iterations: 250_000,
            power: 0.9,
            generator_rate: 2.5e-4,
            head_factor: 10.0,
            generator: GeneratorOptimizer::Sgd { momentum: 0.9, weight_decay: 5e-4, repeats: Repeats::Once },
            discriminator_rate: 1e-4,
            discriminator_betas: (0.9, 0.99),
            gan: Gan::Vanilla,
            discriminator_width: 64,
            weights: LossWeights::default(),
            precision: Precision::Float32,
            seed: 1234,
            checkpoint_every: None,
        }
    }
}

/// A number with which the loop can't run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} = {value}, but it must be {expected}")]
pub struct SettingsError {
    /// The field's name, dotted.
    pub field: &'static str,
    /// What it is.
    pub value: String,
    /// What it should be.
    pub expected: String,
}

impl Settings {
    /// Checks what the types can't say.
    ///
    /// # Errors
    /// The first field that is out of its range.
    pub fn check(&self) -> Result<(), SettingsError> {
        at_least_1("iterations", self.iterations)?;
        if self.schedule_iterations < self.iterations {
            let expected = format!("at least iterations = {}", self.iterations);
            return Err(error("schedule_iterations", self.schedule_iterations, expected));
        }
        at_least_1("checkpoint_every", self.checkpoint_every.unwrap_or(1))?;
        if self.discriminator_width < 1 {
            return Err(error("discriminator_width", self.discriminator_width, "at least 1"));
        }
        let weights = &self.weights;
        let not_negative = [
            ("power", self.power),
            ("generator_rate", self.generator_rate),
            ("head_factor", self.head_factor),
            ("discriminator_rate", self.discriminator_rate),
            ("weights.segmentation.main", weights.segmentation.main),
            ("weights.segmentation.aux", weights.segmentation.aux),
            ("weights.adversarial.main", weights.adversarial.main),
            ("weights.adversarial.aux", weights.adversarial.aux),
            ("weights.entropy.main", weights.entropy.main),
            ("weights.entropy.aux", weights.entropy.aux),
        ];
        not_negative.into_iter().try_for_each(|(field, value)| finite_and_not_negative(field, value))?;
        match self.generator {
            GeneratorOptimizer::Sgd { momentum, weight_decay, .. } => {
                below_1("generator.momentum", momentum)?;
                finite_and_not_negative("generator.weight_decay", weight_decay)?;
            }
            GeneratorOptimizer::Adam { betas } => {
                below_1("generator.betas[0]", betas.0)?;
                below_1("generator.betas[1]", betas.1)?;
            }
        }
        below_1("discriminator_betas[0]", self.discriminator_betas.0)?;
        below_1("discriminator_betas[1]", self.discriminator_betas.1)
    }
}

fn at_least_1(field: &'static str, value: u64) -> Result<(), SettingsError> {
    if value >= 1 { Ok(()) } else { Err(error(field, value, "at least 1")) }
}

fn finite_and_not_negative(field: &'static str, value: f64) -> Result<(), SettingsError> {
    // libtorch refuses, with a panic, a number that overflows the element type.
    let finite = (value as f32).is_finite();
    if finite && value >= 0.0 { Ok(()) } else { Err(error(field, value, "a finite number, not negative")) }
}

fn below_1(field: &'static str, value: f64) -> Result<(), SettingsError> {
    if (0.0..1.0).contains(&value) { Ok(()) } else { Err(error(field, value, "at least 0 and below 1")) }
}

fn error(field: &'static str, value: impl ToString, expected: impl Into<String>) -> SettingsError {
    SettingsError { field, value: value.to_string(), expected: expected.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_means_the_papers_numbers() {
        let settings: Settings = serde_json::from_str("{}").unwrap();
        assert_eq!(settings, Settings::default());
        assert_eq!(settings.check(), Ok(()));
    }

    #[test]
    fn methods_are_called_as_in_a_pipeline_file() {
        let names = [Method::SourceOnly, Method::MinEnt, Method::Advent, Method::AdaptSegNet];
        let text = serde_json::to_string(&names).unwrap();
        assert_eq!(text, r#"["source-only","minent","advent","adaptsegnet"]"#);
    }

    #[test]
    fn a_number_out_of_range_is_named() {
        let broken = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.check().unwrap_err().to_string()
        };
        assert_eq!(broken(|s| s.iterations = 0), "iterations = 0, but it must be at least 1");
        assert_eq!(
            broken(|s| s.schedule_iterations = 100),
            "schedule_iterations = 100, but it must be at least iterations = 120000"
        );
        assert_eq!(
            broken(|s| s.weights.entropy.aux = f64::NAN),
            "weights.entropy.aux = NaN, but it must be a finite number, not negative"
        );
        assert_eq!(
            broken(|s| s.generator = GeneratorOptimizer::Adam { betas: (0.9, 1.0) }),
            "generator.betas[1] = 1, but it must be at least 0 and below 1"
        );
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        let error = serde_json::from_str::<Settings>(r#"{"itertions": 5}"#).unwrap_err().to_string();
        assert!(error.starts_with("unknown field `itertions`"), "{error}");
    }
}
