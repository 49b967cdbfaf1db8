//! Every number of an adaptation run, each with the papers' value as its default.
//!
//! Defaults are those of AdvEnt's and IntraDA's released code (`config.py`, `intrada.yml`); where a paper differs, the field
//! says so. They know no files and no network.
use intrada_shim::Autocast;
use serde::{Deserialize, Serialize};

use super::terms::{
    Adversary, Augmentation, FeatureDistance, LevelWeights, Masked, MaskedImages, Mean, Method, Teacher, Terms,
};
use crate::optim::{DecoupledDecay, Repeats};

/// Element types of weights, activations and optimiser state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single, as published.
    Float32,
    /// Double, to check against other implementations.
    Float64,
    /// Convolutions and matrix products of all networks in bfloat16, forward and backward, as PyTorch's `torch.autocast` does
    /// them. Weights, optimisers' state, statistics and losses stay in single precision.
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

    /// For the time of a forward pass on a device.
    pub(super) fn autocast(self, device: tch::Device) -> Option<Autocast> {
        (self == Precision::BFloat16).then(|| Autocast::bfloat16(device))
    }
}

/// The generator's optimiser.
#[derive(Clone, Debug, PartialEq)]
pub enum GeneratorOptimizer {
    /// The papers': momentum 0.9, weight decay 5e-4.
    Sgd {
        /// Share of the last step that is kept.
        momentum: f64,
        /// Pull of every parameter towards 0, added to its gradient.
        weight_decay: f64,
        /// Whether parameters that the released code steps repeatedly are.
        repeats: Repeats,
    },
    /// For networks that are trained from scratch in a few hundred iterations.
    Adam {
        /// Decay of the first and second moment.
        betas: (f64, f64),
    },
    /// For transformers: DAFormer's and MIC's, with betas 0.9 and 0.999 and a decay of 0.01.
    AdamW {
        /// Decay of the first and second moment.
        betas: (f64, f64),
        /// Pull of parameters towards 0, apart from the gradient.
        decay: DecoupledDecay,
    },
}

/// How a learning rate begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warmup {
    /// Over how many iterations it rises; 0: not at all.
    pub iterations: u64,
    /// From which share of itself: 1e-6 in DAFormer's configuration.
    pub ratio: f64,
}

impl Warmup {
    /// The rate is full from the first iteration on.
    pub const NONE: Warmup = Warmup { iterations: 0, ratio: 1e-6 };
}

/// One run of the adaptation loop, inter-domain or intra-domain.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where the loop stops: 120 000.
    pub iterations: u64,
    /// Where the learning rates would reach 0: 250 000, so that the papers' runs stop at about half their rate.
    pub schedule_iterations: u64,
    /// Exponent of the polynomial schedule: 0.9.
    pub power: f64,
    /// How the generator's rate begins: without a warm-up. Discriminators never have one.
    pub warmup: Warmup,
    /// The largest common norm of the generator's gradients; by default they aren't clipped.
    pub clip: Option<f64>,
    /// The generator's base rate: 2.5e-4.
    pub generator_rate: f64,
    /// How much faster classifiers learn than a pretrained body: 10.
    pub head_factor: f64,
    /// SGD with momentum 0.9 and weight decay 5e-4, each parameter once. The released code steps those of its body three
    /// and four times: [`Repeats::Released`].
    pub generator: GeneratorOptimizer,
    /// Weights of the cross-entropy on the source: 1.0 and 0.1.
    pub segmentation: LevelWeights,
    /// Over which pixels that cross-entropy is averaged: the labelled ones.
    pub mean: Mean,
    /// What is minimised beside it: AdvEnt's.
    pub terms: Terms,
    /// Single precision.
    pub precision: Precision,
    /// Of the discriminators' first weights: 1234.
    pub seed: u64,
    /// Iterations from one checkpoint to the next; by default the clock decides. Of no influence on the result.
    pub checkpoint_every: Option<u64>,
    /// Whether batches are pinned and on their way to the device a step before they are needed; by default they are not. Of no influence
    /// on the result.
    pub copies_ahead: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            iterations: 120_000,
            schedule_iterations: 250_000,
            power: 0.9,
            warmup: Warmup::NONE,
            clip: None,
            generator_rate: 2.5e-4,
            head_factor: 10.0,
            generator: GeneratorOptimizer::Sgd { momentum: 0.9, weight_decay: 5e-4, repeats: Repeats::Once },
            segmentation: LevelWeights { main: 1.0, aux: 0.1 },
            mean: Mean::Labelled,
            terms: Method::Advent.terms(),
            precision: Precision::Float32,
            seed: 1234,
            checkpoint_every: None,
            copies_ahead: false,
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
        let not_negative = [
            ("power", self.power),
            ("generator_rate", self.generator_rate),
            ("head_factor", self.head_factor),
            ("segmentation.main", self.segmentation.main),
            ("segmentation.aux", self.segmentation.aux),
        ];
        not_negative.into_iter().try_for_each(|(field, value)| finite_and_not_negative(field, value))?;
        share("warmup.ratio", self.warmup.ratio)?;
        if let Some(largest) = self.clip.filter(|largest| !(largest.is_finite() && *largest > 0.0)) {
            return Err(error("clip", largest, "a finite number above 0"));
        }
        match &self.generator {
            GeneratorOptimizer::Sgd { momentum, weight_decay, .. } => {
                below_1("generator.momentum", *momentum)?;
                finite_and_not_negative("generator.weight_decay", *weight_decay)?;
            }
            GeneratorOptimizer::Adam { betas } => check_betas(*betas)?,
            GeneratorOptimizer::AdamW { betas, decay } => {
                check_betas(*betas)?;
                finite_and_not_negative("generator.decay", decay.decay)?;
            }
        }
        let Terms { entropy, adversary, teacher, masked, feature_distance, augmentation } = &self.terms;
        if let Some(weights) = entropy {
            finite_and_not_negative("terms.entropy.main", weights.main)?;
            finite_and_not_negative("terms.entropy.aux", weights.aux)?;
        }
        adversary.as_ref().map_or(Ok(()), check_adversary)?;
        teacher.as_ref().map_or(Ok(()), check_teacher)?;
        check_augmentation(augmentation)?;
        masked.as_ref().map_or(Ok(()), |masked| check_masked(masked, teacher.is_some()))?;
        feature_distance.as_ref().map_or(Ok(()), check_feature_distance)
    }
}

fn check_betas((first, second): (f64, f64)) -> Result<(), SettingsError> {
    below_1("generator.betas[0]", first)?;
    below_1("generator.betas[1]", second)
}

fn check_teacher(teacher: &Teacher) -> Result<(), SettingsError> {
    let Teacher { alpha, threshold, mixed } = teacher;
    below_1("terms.teacher.alpha", *alpha)?;
    share("terms.teacher.threshold", *threshold)?;
    finite_and_not_negative("terms.teacher.mixed.weight", mixed.map_or(0.0, |mixed| mixed.weight))
}

fn check_augmentation(how: &Augmentation) -> Result<(), SettingsError> {
    share("terms.augmentation.strength", how.strength)?;
    share("terms.augmentation.colour_probability", how.colour_probability)?;
    share("terms.augmentation.blur_probability", how.blur_probability)?;
    let (least, most) = how.blur_sigma;
    if least > 0.0 && least <= most && most.is_finite() {
        return Ok(());
    }
    Err(error("terms.augmentation.blur_sigma", format!("{least} to {most}"), "above 0 and ascending"))
}

fn check_masked(masked: &Masked, has_teacher: bool) -> Result<(), SettingsError> {
    let Masked { images, block, ratio, weight } = *masked;
    if images != MaskedImages::Source && !has_teacher {
        return Err(error("terms.masked.images", "target", "source where there is no teacher"));
    }
    if block < 1 {
        return Err(error("terms.masked.block", block, "at least 1"));
    }
    share("terms.masked.ratio", ratio)?;
    finite_and_not_negative("terms.masked.weight", weight)
}

fn check_feature_distance(distance: &FeatureDistance) -> Result<(), SettingsError> {
    let FeatureDistance { weight, least, things } = distance;
    finite_and_not_negative("terms.feature_distance.weight", *weight)?;
    share("terms.feature_distance.least", *least)?;
    if things.is_empty() {
        return Err(error("terms.feature_distance.things", "empty", "at least one class"));
    }
    Ok(())
}

fn check_adversary(adversary: &Adversary) -> Result<(), SettingsError> {
    let Adversary { map: _, gan: _, weights, rate, betas, width } = *adversary;
    finite_and_not_negative("terms.adversary.weights.main", weights.main)?;
    finite_and_not_negative("terms.adversary.weights.aux", weights.aux)?;
    finite_and_not_negative("terms.adversary.rate", rate)?;
    below_1("terms.adversary.betas[0]", betas.0)?;
    below_1("terms.adversary.betas[1]", betas.1)?;
    if width < 1 {
        return Err(error("terms.adversary.width", width, "at least 1"));
    }
    Ok(())
}

fn at_least_1(field: &'static str, value: u64) -> Result<(), SettingsError> {
    if value >= 1 { Ok(()) } else { Err(error(field, value, "at least 1")) }
}

fn finite_and_not_negative(field: &'static str, value: f64) -> Result<(), SettingsError> {
    // libtorch refuses, with a panic, a number that overflows the element type.
    let finite = (value as f32).is_finite();
    if finite && value >= 0.0 { Ok(()) } else { Err(error(field, value, "a finite number, not negative")) }
}

fn share(field: &'static str, value: f64) -> Result<(), SettingsError> {
    if (0.0..=1.0).contains(&value) { Ok(()) } else { Err(error(field, value, "between 0 and 1")) }
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
    fn the_papers_numbers_are_in_range_with_every_method() {
        use Method::{AdaptSegNet, Advent, DaFormer, Dacs, Mic, MinEnt, SourceOnly};
        for method in [SourceOnly, MinEnt, Advent, AdaptSegNet, Dacs, DaFormer, Mic] {
            let settings = Settings { terms: method.terms(), ..Settings::default() };
            assert_eq!(settings.check(), Ok(()), "{method:?}");
        }
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
            broken(|s| s.terms.entropy = Some(LevelWeights { main: 0.5, aux: f64::NAN })),
            "terms.entropy.aux = NaN, but it must be a finite number, not negative"
        );
        assert_eq!(
            broken(|s| s.generator = GeneratorOptimizer::Adam { betas: (0.9, 1.0) }),
            "generator.betas[1] = 1, but it must be at least 0 and below 1"
        );
        assert_eq!(
            broken(|s| s.terms.adversary = Some(Adversary { width: 0, ..Adversary::default() })),
            "terms.adversary.width = 0, but it must be at least 1"
        );
        assert_eq!(
            broken(|s| s.terms.masked = Some(Masked::default())),
            "terms.masked.images = target, but it must be source where there is no teacher"
        );
        assert_eq!(broken(|s| s.clip = Some(0.0)), "clip = 0, but it must be a finite number above 0");
    }
}
