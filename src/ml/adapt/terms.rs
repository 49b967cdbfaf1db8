//! What an iteration minimises beside the cross-entropy of the labelled side: an optional term each, freely combined.
//!
//! It knows numbers and no tensors. The loop looks at [`Terms`] alone; a [`Method`] is a name for some of them, with the papers'
//! numbers, and nothing but [`Method::terms`] reads it. In which order terms are computed is the loop's.
use serde::{Deserialize, Serialize};

use crate::equations::Gan;

/// A method by the name that a pipeline file gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// No adaptation: supervised training on the source.
    #[serde(rename = "source-only")]
    SourceOnly,
    /// Minimises the entropy of target predictions (arXiv 1811.12833, section 3.1).
    MinEnt,
    /// A discriminator sees weighted self-information (arXiv 1811.12833, section 3.2). IntraDA's both steps.
    Advent,
    /// A discriminator sees class probabilities (arXiv 1802.10349).
    AdaptSegNet,
    /// Self-training on mixed images with a teacher (arXiv 2007.08702), as in DAFormer's released code.
    Dacs,
    /// DACS with the feature distance, rare class sampling and a slower teacher (arXiv 2111.14887).
    DaFormer,
    /// DAFormer with masked image consistency (arXiv 2212.01322).
    Mic,
}

impl Method {
    /// The terms of a method, with the released code's numbers.
    pub fn terms(self) -> Terms {
        let none = Terms::default();
        match self {
            Method::SourceOnly => none,
            Method::MinEnt => Terms { entropy: Some(LevelWeights { main: 0.001, aux: 0.0002 }), ..none },
            Method::Advent => Terms { adversary: Some(Adversary::default()), ..none },
            Method::AdaptSegNet => {
                let adversary = Adversary { map: Map::Probabilities, ..Adversary::default() };
                Terms { adversary: Some(adversary), ..none }
            }
            Method::Dacs => {
                let teacher = Teacher { alpha: 0.99, mixed: Some(Mixed::default()), ..Teacher::default() };
                Terms { teacher: Some(teacher), ..none }
            }
            Method::DaFormer => {
                let teacher = Teacher { mixed: Some(Mixed::default()), ..Teacher::default() };
                Terms { teacher: Some(teacher), feature_distance: Some(FeatureDistance::default()), ..none }
            }
            Method::Mic => Terms { masked: Some(Masked::default()), ..Method::DaFormer.terms() },
        }
    }

    /// How the cross-entropy of labelled images is averaged.
    pub fn mean(self) -> Mean {
        match self {
            Method::SourceOnly | Method::MinEnt | Method::Advent | Method::AdaptSegNet => Mean::Labelled,
            Method::Dacs | Method::DaFormer | Method::Mic => Mean::All,
        }
    }
}

/// Over which pixels the cross-entropy of labelled images is averaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mean {
    /// Those with a label: AdvEnt's and IntraDA's.
    #[default]
    Labelled,
    /// All: DAFormer's and MIC's. Void and padding make the loss smaller.
    All,
}

/// The terms of a training. Their gradients add up; a term that is `None` costs nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// The mean entropy of target predictions, with these weights.
    pub entropy: Option<LevelWeights>,
    /// Deceiving discriminators that tell the domains apart.
    pub adversary: Option<Adversary>,
    /// An average of the network over time, whose predictions are pseudo-labels.
    pub teacher: Option<Teacher>,
    /// Predicting what is hidden.
    pub masked: Option<Masked>,
    /// Staying near the features of ImageNet.
    pub feature_distance: Option<FeatureDistance>,
    /// How the colours of mixed and masked images are changed.
    pub augmentation: Augmentation,
}

impl Terms {
    /// Whether a term looks at the target domain.
    pub fn need_target(&self) -> bool {
        // All fields are named, so that a new one is not forgotten here.
        let Terms { entropy, adversary, teacher: _, masked: _, feature_distance: _, augmentation: _ } = self;
        entropy.is_some() || adversary.is_some() || self.ask_teacher()
    }

    /// Whether a term needs the teacher's pseudo-labels. Without, it is an average of weights and nothing else.
    pub fn ask_teacher(&self) -> bool {
        let is_target_masked = self.masked.as_ref().is_some_and(|masked| masked.images != MaskedImages::Source);
        is_target_masked || self.teacher.as_ref().is_some_and(|teacher| teacher.mixed.is_some())
    }
}

/// Weights of a loss that is taken on both levels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelWeights {
    /// Of the main head.
    pub main: f64,
    /// Of the auxiliary head. 0 for a term: that level isn't adapted and has no discriminator.
    pub aux: f64,
}

/// What the discriminators see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    /// Equation (2) before its sum over classes: AdvEnt.
    WeightedSelfInformation,
    /// Softmax: AdaptSegNet.
    Probabilities,
}

/// A discriminator on each adapted level, and the generator's attempts to deceive it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adversary {
    /// Weighted self-information.
    pub map: Map,
    /// What the discriminators minimise, and the generator against them: cross-entropy.
    pub gan: Gan,
    /// Of the generator's loss: 0.001 and 0.0002. AdaptSegNet's authors advise 0.0005 and 0.00005 since PyTorch 0.4.
    pub weights: LevelWeights,
    /// The discriminators' base rate: 1e-4.
    pub rate: f64,
    /// The discriminators' Adam: 0.9 and 0.99.
    pub betas: (f64, f64),
    /// Channels after a discriminator's first convolution: 64.
    pub width: i64,
}

impl Default for Adversary {
    fn default() -> Adversary {
        Adversary {
            map: Map::WeightedSelfInformation,
            gan: Gan::Vanilla,
            weights: LevelWeights { main: 0.001, aux: 0.0002 },
            rate: 1e-4,
            betas: (0.9, 0.99),
            width: 64,
        }
    }
}

/// The mean teacher, and what is learnt from its pseudo-labels beside [`Terms::masked`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Teacher {
    /// The largest share of its own weights that it keeps in an iteration: 0.999; 0.99 in DACS.
    pub alpha: f64,
    /// τ: pixels with at least this probability are sure: 0.968.
    pub threshold: f64,
    /// Learning from target images into which parts of source images are pasted.
    pub mixed: Option<Mixed>,
}

impl Default for Teacher {
    fn default() -> Teacher {
        Teacher { alpha: 0.999, threshold: 0.968, mixed: None }
    }
}

/// Cross-entropy on mixed images (DACS).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixed {
    /// Of the loss: 1.
    pub weight: f64,
}

impl Default for Mixed {
    fn default() -> Mixed {
        Mixed { weight: 1.0 }
    }
}

/// Random changes of colours and blur (DAFormer, `dacs_transforms.py`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Augmentation {
    /// Brightness, contrast and saturation by up to this share, hue by up to this part of a turn: 0.2.
    pub strength: f64,
    /// How often colours are changed: 0.8. Released as `color_jitter_probability` 0.2, and applied above it.
    pub colour_probability: f64,
    /// How often images are blurred: 0.5.
    pub blur_probability: f64,
    /// The Gaussian's σ in pixels, from and to: 0.15 and 1.15.
    pub blur_sigma: (f64, f64),
}

impl Default for Augmentation {
    fn default() -> Augmentation {
        Augmentation { strength: 0.2, colour_probability: 0.8, blur_probability: 0.5, blur_sigma: (0.15, 1.15) }
    }
}

/// Masked image consistency (MIC): cross-entropy on images of which patches are hidden.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Masked {
    /// Which images.
    pub images: MaskedImages,
    /// A patch's side in pixels: 32 for crops of 512, 64 for 1024.
    pub block: i64,
    /// The probability of each patch to be hidden: 0.7.
    pub ratio: f64,
    /// Of the loss: 1.
    pub weight: f64,
}

impl Default for Masked {
    fn default() -> Masked {
        Masked { images: MaskedImages::Target, block: 32, ratio: 0.7, weight: 1.0 }
    }
}

/// Which images are masked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MaskedImages {
    /// Those of the target, with the teacher's pseudo-labels and changed colours (`separatetrgaug`).
    #[default]
    Target,
    /// The batch's first of the source with its labels, and its first of the target with its pseudo-labels (`separate`).
    Both,
    /// Those of the source, with their labels. It needs no teacher.
    Source,
}

/// DAFormer's feature distance to a frozen network.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureDistance {
    /// Of the loss: 0.005.
    pub weight: f64,
    /// The share of a cell's pixels that its class must have: 0.75.
    pub least: f64,
    /// The classes whose cells count: things, as ImageNet shows them.
    pub things: Vec<i64>,
}

impl Default for FeatureDistance {
    /// With Cityscapes' things.
    fn default() -> FeatureDistance {
        FeatureDistance { weight: 0.005, least: 0.75, things: vec![6, 7, 11, 12, 13, 14, 15, 16, 17, 18] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHODS: [Method; 7] = [
        Method::SourceOnly,
        Method::MinEnt,
        Method::Advent,
        Method::AdaptSegNet,
        Method::Dacs,
        Method::DaFormer,
        Method::Mic,
    ];

    #[test]
    fn methods_are_called_as_in_a_pipeline_file() {
        let text = serde_json::to_string(&METHODS).unwrap();
        assert_eq!(text, r#"["source-only","minent","advent","adaptsegnet","dacs","daformer","mic"]"#);
    }

    #[test]
    fn every_method_but_source_only_needs_a_target() {
        for method in METHODS {
            assert_eq!(method.terms().need_target(), method != Method::SourceOnly, "{method:?}");
        }
    }

    #[test]
    fn adaptsegnet_is_advent_with_another_map() {
        let [advent, adaptsegnet] = [Method::Advent, Method::AdaptSegNet].map(|m| m.terms().adversary.unwrap());
        assert_eq!(advent.map, Map::WeightedSelfInformation);
        assert_eq!(adaptsegnet, Adversary { map: Map::Probabilities, ..advent });
    }
}
