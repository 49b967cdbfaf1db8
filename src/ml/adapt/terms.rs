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
        }
    }
}

/// The terms of a training. Their gradients add up; a term that is `None` costs nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Terms {
    /// The mean entropy of target predictions, with these weights.
    pub entropy: Option<LevelWeights>,
    /// Deceiving discriminators that tell the domains apart.
    pub adversary: Option<Adversary>,
}

impl Terms {
    /// Whether a term looks at the target domain.
    pub fn need_target(&self) -> bool {
        // All fields are named, so that a new one is not forgotten here.
        let Terms { entropy, adversary } = self;
        entropy.is_some() || adversary.is_some()
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

#[cfg(test)]
mod tests {
    use super::*;

    const METHODS: [Method; 4] = [Method::SourceOnly, Method::MinEnt, Method::Advent, Method::AdaptSegNet];

    #[test]
    fn methods_are_called_as_in_a_pipeline_file() {
        let text = serde_json::to_string(&METHODS).unwrap();
        assert_eq!(text, r#"["source-only","minent","advent","adaptsegnet"]"#);
    }

    #[test]
    fn every_method_but_source_only_needs_a_target() {
        assert_eq!(METHODS.map(|method| method.terms().need_target()), [false, true, true, true]);
    }

    #[test]
    fn adaptsegnet_is_advent_with_another_map() {
        let [advent, adaptsegnet] = [Method::Advent, Method::AdaptSegNet].map(|m| m.terms().adversary.unwrap());
        assert_eq!(advent.map, Map::WeightedSelfInformation);
        assert_eq!(adaptsegnet, Adversary { map: Map::Probabilities, ..advent });
    }
}
