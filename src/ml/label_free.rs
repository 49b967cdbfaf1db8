//! Scores of a network on images without labels, by which one of several networks can be chosen.
//!
//! Three, since none of them is right everywhere: each can be good for a bad network, such as one that predicts a single class
//! everywhere, which is sure of itself, agrees with itself and has dense neighbourhoods. They order networks that have learnt
//! from labels of another domain, and no more. Runs no network and writes no file.
//!
//! Which pixels are drawn, and how an image is changed for its second view, depends on the image's number in its data set
//! alone. So all networks are scored on the same pixels, those of another training too, and their scores can be compared.

use std::collections::BTreeSet;
use std::ops::Range;

use intrada_data::augment::mirrored_and_jittered;
use intrada_data::random::{Purpose, Stream};
use intrada_data::raster::Index;

use crate::data::pass::Frame;
use crate::entropy_inference::{InferenceError, infer_beside, judge};
use crate::rows::{Lines, Scratch, Target};
use crate::sight::Sight;

/// Pixels of an image that are drawn for the soft neighbourhood density (as in the released code of arXiv 2108.10860,
/// `AdaptSegNet/run_all.py`).
pub const PIXELS: usize = 100;
/// τ of the soft neighbourhood density (arXiv 2108.10860).
pub const TEMPERATURE: f64 = 0.05;
/// How much brightness, contrast and noise of the second view change, as of [`Augment::jitter`](intrada_data::augment::Augment::jitter).
const JITTER: f32 = 0.3;
/// Of the streams here, for every training: see the module.
const SEED: u64 = 0;

/// The scores of one image, or the means over several.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// [`soft_neighbourhood_density`] of the drawn pixels, in nats, 0 to ln 99.
    pub soft_neighbourhood_density: f64,
    /// The mean of [`equations::entropy_map`](crate::equations::entropy_map) over all pixels, 0 to 1: used for choosing by Morerio
    /// et al. (arXiv 1711.10288).
    pub entropy: f64,
    /// The share of all pixels that have the same class in both views, 0 to 1. The prediction's invariance as a sign of its accuracy
    /// is from Deng et al. (arXiv 2207.07065), who also weight by confidence.
    pub agreement: f64,
}

/// The image as it is looked at a second time: mirrored, with other brightness, contrast and noise. `number` is the image's in its
/// data set.
pub fn second_view(frame: &Frame, number: u64) -> Frame {
    let mut stream = Stream::at(SEED, Purpose::SecondView, number, 0);
    frame.changed(|photograph| mirrored_and_jittered(photograph, JITTER, &mut stream))
}

/// The scores of an image from its two views, both at `size` (width, height); see [`second_view`].
///
/// # Errors
/// [`InferenceError`]: a network whose output is not finite has no score.
pub fn score(
    image: &str,
    number: u64,
    [first, second]: [&Sight; 2],
    size: [usize; 2],
) -> Result<(Scores, usize), InferenceError> {
    let mut drawn = Drawn::new(size, number);
    let inference = infer_beside(image, first, size, &[], &mut [&mut drawn])?;
    let (mirrored, _) = judge(image, second, size, None)?;
    let pixels = drawn.probabilities.len();
    let scores = Scores {
        soft_neighbourhood_density: soft_neighbourhood_density(&drawn.probabilities, TEMPERATURE),
        // The score's unit is C times as large.
        entropy: f64::from(inference.score.mean_entropy) * drawn.classes as f64,
        agreement: agreement(&inference.prediction, &mirrored),
    };
    Ok((scores, pixels))
}

/// The mean over images, each of which counts alike whatever its size, as in the released code. None without images.
pub fn mean(images: &[Scores]) -> Option<Scores> {
    let count = images.len() as f64;
    let of = |score: fn(&Scores) -> f64| images.iter().map(score).sum::<f64>() / count;
    (!images.is_empty()).then(|| Scores {
        soft_neighbourhood_density: of(|scores| scores.soft_neighbourhood_density),
        entropy: of(|scores| scores.entropy),
        agreement: of(|scores| scores.agreement),
    })
}

/// Soft neighbourhood density (Saito et al., arXiv 2108.10860, section 3) of N points, here pixels, given as their class
/// probabilities, N×C. In nats, 0 to ln(N − 1); 0 for fewer than three points.
///
/// S_ij is the cosine of the points i and j; P_ij = exp(S_ij / τ) / Σ_{k≠i} exp(S_ik / τ) for j ≠ i, which leaves out each point
/// itself; the density is the mean over i of −Σ_j P_ij ln P_ij. It is large if each point is similar to many others, and about
/// equally similar to them: points in dense clusters. The released code for segmentation keeps the point itself among its
/// neighbours, while that for classification removes it, as the paper does; both add 1e-5 inside the logarithm.
pub fn soft_neighbourhood_density(points: &[Vec<f64>], temperature: f64) -> f64 {
    let unit = |point: &Vec<f64>| -> Vec<f64> {
        let length = point.iter().map(|x| x * x).sum::<f64>().sqrt();
        point.iter().map(|x| x / length).collect()
    };
    let points: Vec<Vec<f64>> = points.iter().map(unit).collect();
    let cosine = |i: usize, j: usize| points[i].iter().zip(&points[j]).map(|(x, y)| x * y).sum::<f64>();
    let entropy = |i: usize| {
        let scaled: Vec<f64> = (0..points.len()).filter(|j| *j != i).map(|j| cosine(i, j) / temperature).collect();
        let largest = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (sum, weighted) = scaled.iter().fold((0.0, 0.0), |(sum, weighted), s| {
            let power = (s - largest).exp();
            (sum + power, weighted + (s - largest) * power)
        });
        // −Σ P ln P with P = e^(s − largest) / sum.
        sum.ln() - weighted / sum
    };
    if points.len() < 3 {
        return 0.0;
    }
    (0..points.len()).map(entropy).sum::<f64>() / points.len() as f64
}

/// The share of pixels that have the same class in a map and in the map of the mirrored image.
fn agreement(map: &Index, mirrored: &Index) -> f64 {
    let rows = map.bytes().chunks_exact(map.size()[0]).zip(mirrored.bytes().chunks_exact(map.size()[0]));
    let same =
        rows.map(|(row, other)| row.iter().zip(other.iter().rev()).filter(|(a, b)| a == b).count()).sum::<usize>();
    same as f64 / map.bytes().len() as f64
}

/// The pixels that are drawn of an image, and what the network says of them.
struct Drawn {
    size: [usize; 2],
    classes: usize,
    /// Row by row, ascending.
    places: Vec<usize>,
    /// Of those so far, by class.
    probabilities: Vec<Vec<f64>>,
}

impl Drawn {
    /// Distinct pixels of an image of this size, all of them if there are no more than [`PIXELS`].
    fn new(size: [usize; 2], number: u64) -> Drawn {
        let all = size[0] * size[1];
        let mut stream = Stream::at(SEED, Purpose::ScoredPixels, number, 0);
        let mut places = BTreeSet::new();
        if all <= PIXELS {
            places.extend(0..all);
        }
        while places.len() < PIXELS.min(all) {
            places.insert(stream.below(all));
        }
        Drawn { size, classes: 0, places: places.into_iter().collect(), probabilities: Vec::new() }
    }
}

impl Target<f32> for Drawn {
    fn size(&self) -> [usize; 2] {
        self.size
    }

    fn take(&mut self, lines: &dyn Lines<f32>, rows: Range<usize>) {
        let width = self.size[0];
        self.classes = lines.classes();
        let (mut scratch, mut logits) = (Scratch::default(), vec![0.0; self.classes * width]);
        let mut read = None;
        let done = self.probabilities.len();
        for place in self.places[done..].iter().take_while(|place| **place < rows.end * width) {
            let row = place / width;
            if read != Some(row) {
                lines.read(row, &mut scratch, &mut logits);
                read = Some(row);
            }
            self.probabilities.push(softmax(logits.iter().skip(place % width).step_by(width)));
        }
    }
}

fn softmax<'a>(logits: impl Iterator<Item = &'a f32> + Clone) -> Vec<f64> {
    let largest = logits.clone().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.map(|logit| (f64::from(*logit) - f64::from(largest)).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests;
