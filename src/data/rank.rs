//! Ranks target images by entropy and splits the ranking into an easy and a hard part (IntraDA, section 3.2, equation 4;
//! released code, `entropy_rank/entropy.py`).
//!
//! Knows names and numbers, neither images nor tensors, so another λ costs nothing.

use std::collections::HashSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub mod files;

/// Why images can't be ranked.
#[derive(Debug, thiserror::Error)]
pub enum RankError {
    /// λ is not a share.
    #[error("lambda is {0}, not a share of the images between 0 and 1")]
    Lambda(f64),
    /// One of the two parts would be empty, so adaptation would be impossible.
    #[error("lambda = {lambda} makes {easy} of {images} images easy and {hard} hard; each part needs at least one")]
    Degenerate {
        /// The requested share.
        lambda: f64,
        /// All images.
        images: usize,
        /// The easy ones.
        easy: usize,
        /// The hard ones.
        hard: usize,
    },
    /// A score that can't be compared.
    #[error("the mean entropy of {image} is {score}: the network that gave it has diverged")]
    NotFinite {
        /// The image.
        image: String,
        /// Its score.
        score: f32,
    },
    /// Two scores for one image.
    #[error("{image} is scored twice")]
    Twice {
        /// The image.
        image: String,
    },
    /// More rare classes predicted than there are.
    #[error("{image} has {predicted} rare classes predicted, of {rare} that there are")]
    TooManyRare {
        /// The image.
        image: String,
        /// As scored.
        predicted: u32,
        /// The number of rare classes.
        rare: u32,
    },
    /// A normalisation by rare classes without rare classes.
    #[error("the normalisation by rare classes needs classes that are marked as rare, and none is")]
    NoRareClasses,
    /// A file that can't be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// An invalid line of a file.
    #[error("{path}:{line}: {reason}", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The problem.
        reason: String,
    },
}

/// The values by which an image is ranked.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// The image's name.
    pub image: String,
    /// The mean over classes and pixels of the weighted self-information, in 0..=1/C: the score of the released code.
    pub mean_entropy: f32,
    /// Equation (4): the mean over pixels of the entropy, in nats, in 0..=ln C.
    pub mean_entropy_eq4_nats: f32,
    /// How many of the rare classes are predicted anywhere in the image.
    pub predicted_rare_classes: u32,
}

/// Whether images with rare classes are favoured, so that the easy part has enough of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalize {
    /// The mean entropy alone.
    #[default]
    None,
    /// The paper's: divided by the number n of rare classes predicted. n = 0, which the paper leaves undefined, counts as
    /// infinitely uncertain: such images come last, by entropy among themselves.
    RareClassesPaper,
    /// The released code's: multiplied by (N − n)/N + 0.5, where N is the number of rare classes (11 in Cityscapes).
    RareClassesCode,
}

/// An image and its rank value.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// The image's name.
    pub image: String,
    /// Its mean entropy, normalised as asked; infinite where the paper's normalisation divides by 0.
    pub score: f64,
}

/// All images, the most certain first, in two parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// The first `trunc(n·λ)`.
    pub easy: Vec<Ranked>,
    /// The rest.
    pub hard: Vec<Ranked>,
}

/// Ranks images by ascending score, ties by name, and calls the first `trunc(n·λ)` easy.
///
/// The product and its truncation are in double precision, as in the released code: 100 · 0.29 gives 28. The released code
/// leaves equal scores in the order in which its data loader happened to visit them; here the names decide.
/// `rare_classes` is the number of classes that count as rare.
///
/// # Errors
/// [`RankError`], but neither `Io` nor `Line`.
pub fn rank(scores: &[Score], lambda: f64, normalize: Normalize, rare_classes: u32) -> Result<Ranking, RankError> {
    let easy = split_point(scores.len(), lambda)?;
    if normalize != Normalize::None && rare_classes == 0 {
        return Err(RankError::NoRareClasses);
    }
    let mut names = HashSet::new();
    for Score { image, mean_entropy: score, predicted_rare_classes: predicted, .. } in scores {
        let image = || image.clone();
        if !score.is_finite() {
            return Err(RankError::NotFinite { image: image(), score: *score });
        }
        if normalize != Normalize::None && *predicted > rare_classes {
            return Err(RankError::TooManyRare { image: image(), predicted: *predicted, rare: rare_classes });
        }
        if !names.insert(image()) {
            return Err(RankError::Twice { image: image() });
        }
    }
    let mut order: Vec<(f64, &Score)> =
        scores.iter().map(|score| (normalize.apply(score, rare_classes), score)).collect();
    order.sort_by(|(a, x), (b, y)| {
        // Scores are no NaN, and + 0.0 turns −0, which total_cmp puts before 0, into 0. Where both are infinite the
        // entropies are not equal; elsewhere the second comparison decides nothing that the first left open.
        let entropy = |score: &Score| if a.is_infinite() { f64::from(score.mean_entropy) } else { 0.0 };
        (a + 0.0).total_cmp(&(b + 0.0)).then(entropy(x).total_cmp(&entropy(y))).then_with(|| x.image.cmp(&y.image))
    });
    let mut easy_part: Vec<Ranked> =
        order.into_iter().map(|(score, Score { image, .. })| Ranked { image: image.clone(), score }).collect();
    let hard_part = easy_part.split_off(easy);
    Ok(Ranking { easy: easy_part, hard: hard_part })
}

fn split_point(images: usize, lambda: f64) -> Result<usize, RankError> {
    if !(0.0..=1.0).contains(&lambda) {
        return Err(RankError::Lambda(lambda));
    }
    let easy = (images as f64 * lambda) as usize;
    if easy == 0 || easy == images {
        return Err(RankError::Degenerate { lambda, images, easy, hard: images - easy });
    }
    Ok(easy)
}

impl Normalize {
    /// In double precision, like the released code's multiplication.
    fn apply(self, score: &Score, rare_classes: u32) -> f64 {
        let (entropy, predicted) = (f64::from(score.mean_entropy), f64::from(score.predicted_rare_classes));
        let rare = f64::from(rare_classes);
        match self {
            Self::None => entropy,
            Self::RareClassesPaper if score.predicted_rare_classes == 0 => f64::INFINITY,
            Self::RareClassesPaper => entropy / predicted,
            Self::RareClassesCode => entropy * ((rare - predicted) / rare + 0.5),
        }
    }
}

#[cfg(test)]
mod tests;
