//! Computes from one forward pass per target image what ranking and pseudo-labels need: its class map, its entropy map and
//! its scores (IntraDA, section 3.2; released code, `entropy_rank/entropy.py`).
//!
//! Runs no network and writes no file. The released code also runs the network once per image, but keeps neither scores nor
//! maps, so another λ needs another pass.

use std::ops::Range;

use intrada_data::rank::Score;
use intrada_data::raster::Index;

use crate::rows::{Lines, Scratch, Target, shared_out};
use crate::sight::Sight;

/// Why an image has no scores.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// The logits are not those of one image.
    #[error("the logits of {image} have the shape {shape:?}, not 1×C×h×w with 2 to 255 classes")]
    Shape {
        /// The image's name.
        image: String,
        /// The actual shape.
        shape: Vec<i64>,
    },
    /// The network's output holds NaN or infinity: it has diverged.
    #[error("the network gives {image} logits that are not finite ({pixels} of {total} pixels)")]
    NotFinite {
        /// The image's name.
        image: String,
        /// Pixels whose entropy is not a number.
        pixels: i64,
        /// All pixels.
        total: i64,
    },
}

/// One image's maps, at the requested size, and its scores.
#[derive(Debug)]
pub struct Inference {
    /// The most probable class of each pixel; the first of several equals.
    pub prediction: Index,
    /// The entropy of each pixel, equation (2), from 0 (0) to 255 (log2 C).
    pub entropy: Index,
    /// The probability of each pixel's class, from 0 (0) to 255 (1).
    pub confidence: Index,
    /// The values by which the image is ranked.
    pub score: Score,
}

/// Maps and scores of an image from its logits, resized to `size` (width, height) before softmax.
///
/// `rare` are the classes that count as rare ([`Score::predicted_rare_classes`]); one pixel is enough to be predicted.
/// The scores are those of [`equations::mean_self_information`](crate::equations::mean_self_information) and
/// [`equations::mean_entropy_nats`](crate::equations::mean_entropy_nats), which differ by the factor C · ln C. Logits and
/// exponentials are float32, a pixel's logarithm and the mean float64. The sum over pixels is taken row by row, so it is the
/// same with any number of threads, and however an image in windows is divided.
///
/// # Errors
/// [`InferenceError`].
pub fn infer(image: &str, sight: &Sight, size: [usize; 2], rare: &[u8]) -> Result<Inference, InferenceError> {
    infer_beside(image, sight, size, rare, &mut [])
}

/// [`infer`], while others take the image from the same look.
///
/// # Errors
/// [`InferenceError`].
pub(crate) fn infer_beside(
    image: &str,
    sight: &Sight,
    size: [usize; 2],
    rare: &[u8],
    others: &mut [&mut dyn Target<f32>],
) -> Result<Inference, InferenceError> {
    check_shape(image, sight)?;
    let mut inferring = Inferring::new(size);
    let mut targets: Vec<&mut dyn Target<f32>> = vec![&mut inferring];
    targets.extend(others.iter_mut().map(|other| &mut **other as &mut dyn Target<f32>));
    sight.show(&mut targets);
    inferring.finish(image, rare)
}

/// The class map at `size` (width, height): the first of the largest logits, as evaluation takes it.
///
/// # Panics
/// If the logits are not those of one image with 1 to 255 classes.
pub fn predict(sight: &Sight, size: [usize; 2]) -> Index {
    let mut predicting = Predicting::new(size);
    sight.show(&mut [&mut predicting]);
    predicting.finish()
}

/// [`predict`] for an image with finite logits, as required by [`infer`]: with NaN the first class would win. From the same
/// look at the image its mean entropy ([`Score::mean_entropy`]) at the size `entropy_at`, if that is asked for.
///
/// # Errors
/// [`InferenceError`].
///
/// # Panics
/// As [`predict`].
pub fn judge(
    image: &str,
    sight: &Sight,
    size: [usize; 2],
    entropy_at: Option<[usize; 2]>,
) -> Result<(Index, Option<f32>), InferenceError> {
    let (mut predicting, mut inferring) = (Predicting::new(size), entropy_at.map(Inferring::new));
    let mut targets: Vec<&mut dyn Target<f32>> = vec![&mut predicting];
    targets.extend(inferring.as_mut().map(|inferring| inferring as &mut dyn Target<f32>));
    if !sight.show(&mut targets) {
        // Says how many pixels there are of which nothing is known.
        infer(image, sight, size, &[])?;
    }
    let inference = inferring.and_then(|inferring| inferring.finish(image, &[]).ok());
    Ok((predicting.finish(), inference.map(|inference| inference.score.mean_entropy)))
}

/// [`predict`] and [`infer`] at sizes of their own, from one look at the image; no inference if that fails.
///
/// # Panics
/// As [`predict`].
pub fn predict_and_infer(sight: &Sight, size: [usize; 2], infer_at: [usize; 2]) -> (Index, Option<Inference>) {
    let (mut predicting, mut inferring) = (Predicting::new(size), Inferring::new(infer_at));
    sight.show(&mut [&mut predicting, &mut inferring]);
    (predicting.finish(), inferring.finish("", &[]).ok())
}

fn check_shape(image: &str, sight: &Sight) -> Result<(), InferenceError> {
    let Sight::Whole(prediction) = sight else { return Ok(()) };
    let shape = prediction.logits.size();
    match shape[..] {
        [1, 2..=255, _, _] => Ok(()),
        _ => Err(InferenceError::Shape { image: image.to_owned(), shape }),
    }
}

/// An image of which the class map is wanted.
struct Predicting {
    size: [usize; 2],
    /// Of the rows so far.
    prediction: Vec<u8>,
}

impl Predicting {
    fn new(size: [usize; 2]) -> Predicting {
        Predicting { size, prediction: Vec::with_capacity(size[0] * size[1]) }
    }

    fn finish(self) -> Index {
        Index::new(self.size[0], self.size[1], self.prediction)
    }
}

impl Target<f32> for Predicting {
    fn size(&self) -> [usize; 2] {
        self.size
    }

    fn take(&mut self, lines: &dyn Lines<f32>, rows: Range<usize>) {
        let bands = shared_out(rows, |band| {
            let mut winners = Winners::new(lines);
            band.flat_map(|row| winners.look_at(lines, row).to_vec()).collect::<Vec<u8>>()
        });
        bands.into_iter().for_each(|band| self.prediction.extend(band));
    }
}

/// An image of which everything is wanted.
struct Inferring {
    size: [usize; 2],
    classes: usize,
    prediction: Vec<u8>,
    entropy: Vec<u8>,
    confidence: Vec<u8>,
    /// Pixels whose entropy is not a number.
    unknown: i64,
    /// The sum of the others' entropies.
    nats: f64,
}

impl Inferring {
    fn new(size: [usize; 2]) -> Inferring {
        let map = || Vec::with_capacity(size[0] * size[1]);
        Inferring { size, classes: 0, prediction: map(), entropy: map(), confidence: map(), unknown: 0, nats: 0.0 }
    }

    fn finish(self, image: &str, rare: &[u8]) -> Result<Inference, InferenceError> {
        let Inferring { size: [width, height], classes, prediction, entropy, confidence, unknown, nats } = self;
        let total = width * height;
        if unknown > 0 {
            return Err(InferenceError::NotFinite { image: image.to_owned(), pixels: unknown, total: total as i64 });
        }
        let (mean, classes) = (nats / total as f64, classes as f64);
        let prediction = Index::new(width, height, prediction);
        Ok(Inference {
            entropy: Index::new(width, height, entropy),
            confidence: Index::new(width, height, confidence),
            score: Score {
                image: image.to_owned(),
                mean_entropy: (mean / (classes * classes.ln())) as f32,
                mean_entropy_eq4_nats: mean as f32,
                predicted_rare_classes: rare_classes(&prediction, rare),
            },
            prediction,
        })
    }
}

impl Target<f32> for Inferring {
    fn size(&self) -> [usize; 2] {
        self.size
    }

    fn take(&mut self, lines: &dyn Lines<f32>, rows: Range<usize>) {
        self.classes = lines.classes();
        let bands = shared_out(rows, |band| {
            let mut pixels = Pixels::new(lines, band.len());
            band.for_each(|row| pixels.look_at(lines, row));
            pixels
        });
        for band in bands {
            self.prediction.extend(band.prediction);
            self.entropy.extend(band.entropy);
            self.confidence.extend(band.confidence);
            self.unknown += band.unknown;
            self.nats = band.nats.iter().fold(self.nats, |sum, row| sum + row);
        }
    }
}

/// The largest logit of each pixel of a row, and its class.
struct Winners {
    /// The row of all classes.
    logits: Vec<f32>,
    largest: Vec<f32>,
    class: Vec<u8>,
    scratch: Scratch<f32>,
}

impl Winners {
    fn new(lines: &dyn Lines<f32>) -> Winners {
        assert!(lines.classes() <= 255, "255 is no class");
        let width = lines.width();
        let logits = vec![0.0; lines.classes() * width];
        Winners { logits, largest: vec![0.0; width], class: vec![0; width], scratch: Scratch::default() }
    }

    fn look_at(&mut self, lines: &dyn Lines<f32>, row: usize) -> &[u8] {
        lines.read(row, &mut self.scratch, &mut self.logits);
        self.largest.fill(f32::NEG_INFINITY);
        self.class.fill(0);
        for (class, logits) in (0..=u8::MAX).zip(self.logits.chunks_exact(lines.width())) {
            for ((&logit, largest), winner) in logits.iter().zip(&mut self.largest).zip(&mut self.class) {
                let wins = logit > *largest;
                *winner = if wins { class } else { *winner };
                *largest = if wins { logit } else { *largest };
            }
        }
        &self.class
    }
}

/// Results of the pixels of some rows.
struct Pixels {
    winners: Winners,
    /// For the current row: Σ e^d and Σ d·e^d, where d is the difference to the largest logit. The largest itself, 1 and 0,
    /// is left out, so that near certainty, where it dominates, the rest is not rounded away.
    sums: Vec<[f32; 2]>,
    prediction: Vec<u8>,
    entropy: Vec<u8>,
    confidence: Vec<u8>,
    /// One number per row: the sum of the entropies of its finite pixels.
    nats: Vec<f64>,
    /// Pixels whose entropy is not a number.
    unknown: i64,
}

impl Pixels {
    fn new(lines: &dyn Lines<f32>, count: usize) -> Pixels {
        let maps = || Vec::with_capacity(count * lines.width());
        let (sums, nats) = (vec![[0.0; 2]; lines.width()], Vec::with_capacity(count));
        let [prediction, entropy, confidence] = [(); 3].map(|()| maps());
        Pixels { winners: Winners::new(lines), sums, prediction, entropy, confidence, nats, unknown: 0 }
    }

    fn look_at(&mut self, lines: &dyn Lines<f32>, row: usize) {
        self.prediction.extend_from_slice(self.winners.look_at(lines, row));
        let Winners { logits, largest, class: winners, .. } = &self.winners;
        self.sums.fill([0.0; 2]);
        for (class, logits) in (0..=u8::MAX).zip(logits.chunks_exact(lines.width())) {
            for (((logit, largest), &winner), [sum, weighted]) in
                logits.iter().zip(largest).zip(winners).zip(&mut self.sums)
            {
                if winner != class {
                    let below = logit - largest;
                    let power = below.exp();
                    *sum += power;
                    *weighted += below * power;
                }
            }
        }
        let most = (lines.classes() as f64).ln();
        let mut nats = 0.0;
        for [sum, weighted] in &self.sums {
            let (sum, weighted) = (f64::from(*sum), f64::from(*weighted));
            // Equation (2) in nats, −Σ p·ln p, with p = e^d / (1 + sum).
            let entropy = sum.ln_1p() - weighted / (1.0 + sum);
            if entropy.is_finite() {
                nats += entropy;
            } else {
                self.unknown += 1;
            }
            self.entropy.push((entropy / most * 255.0).round() as u8);
            self.confidence.push((255.0 / (1.0 + sum)).round() as u8);
        }
        self.nats.push(nats);
    }
}

/// How many of the rare classes occur.
fn rare_classes(prediction: &Index, rare: &[u8]) -> u32 {
    let mut occurs = [false; 256];
    for &class in prediction.bytes() {
        occurs[usize::from(class)] = true;
    }
    let mut is_rare = [false; 256];
    for &class in rare {
        is_rare[usize::from(class)] = true;
    }
    occurs.iter().zip(is_rare).filter(|(occurs, rare)| **occurs && *rare).count() as u32
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tch::{Device, Kind, Tensor};

    use super::*;
    use crate::equations::{self, Alignment};
    use crate::network::Prediction;

    const CITYSCAPES_RARE: [u8; 11] = [3, 4, 5, 6, 7, 9, 12, 14, 15, 16, 17];

    /// As of DeepLab-v2.
    fn prediction(logits: Tensor) -> Prediction {
        Prediction { logits, alignment: Alignment::Corners }
    }

    fn sight(Prediction { logits, alignment }: &Prediction) -> Sight<'static> {
        Prediction { logits: logits.shallow_clone(), alignment: *alignment }.into()
    }

    fn random(seed: i64) -> Prediction {
        tch::manual_seed(seed);
        prediction(Tensor::randn([1, 5, 6, 8], (Kind::Float, Device::Cpu)) * 3.0)
    }

    fn zeros(shape: &[i64]) -> Prediction {
        prediction(Tensor::zeros(shape, (Kind::Float, Device::Cpu)))
    }

    fn relative(a: f32, b: f64) -> f64 {
        (f64::from(a) - b).abs() / b.abs()
    }

    #[test]
    fn scores_are_those_of_the_equations() {
        for seed in 0..4 {
            for alignment in [Alignment::Corners, Alignment::Edges] {
                let of = Prediction { alignment, ..random(seed) };
                let score = infer("a", &sight(&of), [21, 11], &[]).unwrap().score;
                let p = equations::softmax(&equations::upsample(&of.logits, [11, 21], alignment));
                assert!(relative(score.mean_entropy, equations::mean_self_information(&p).double_value(&[0])) < 1e-6);
                assert!(
                    relative(score.mean_entropy_eq4_nats, equations::mean_entropy_nats(&p).double_value(&[0])) < 1e-6
                );
            }
        }
    }

    #[test]
    fn an_undecided_pixel_is_white_and_a_certain_one_black() {
        let uniform = infer("a", &zeros(&[1, 4, 2, 2]).into(), [3, 3], &[]).unwrap();
        assert_eq!(uniform.entropy, Index::filled(3, 3, [255]));
        assert_eq!(uniform.prediction, Index::filled(3, 3, [0]), "the first of equals");
        assert!(relative(uniform.score.mean_entropy, 0.25) < 1e-6);
        assert!(relative(uniform.score.mean_entropy_eq4_nats, 4f64.ln()) < 1e-6);
        let certain = Tensor::from_slice(&[0.0f32, 0.0, 200.0]).view([1, 3, 1, 1]);
        let certain = infer("a", &prediction(certain).into(), [2, 2], &[2]).unwrap();
        let sure = [&uniform, &certain].map(|inference| inference.confidence.bytes()[0]);
        assert_eq!(sure, [64, 255], "a quarter, and one");
        assert_eq!((certain.entropy, certain.prediction), (Index::filled(2, 2, [0]), Index::filled(2, 2, [2])));
        assert_eq!((certain.score.mean_entropy, certain.score.predicted_rare_classes), (0.0, 1));
    }

    #[test]
    fn one_pixel_makes_a_rare_class_predicted_and_each_counts_once() {
        let prediction = Index::new(3, 2, vec![0, 0, 3, 4, 4, 4]);
        assert_eq!(rare_classes(&prediction, &[3, 4, 5]), 2);
        assert_eq!(rare_classes(&prediction, &[4, 4]), 1);
        assert_eq!(rare_classes(&prediction, &[]), 0);
    }

    #[test]
    fn logits_that_are_not_finite_are_refused_with_the_image() {
        let broken = random(0);
        let _ = broken.logits.narrow(2, 0, 1).fill_(f64::NAN);
        let error = infer("street.png", &sight(&broken), [8, 6], &[]).unwrap_err();
        assert_eq!(error.to_string(), "the network gives street.png logits that are not finite (8 of 48 pixels)");
    }

    #[test]
    fn what_has_no_scores_has_no_prediction_either() {
        let (size, finite) = ([8, 6], sight(&random(1)));
        assert_eq!(judge("a", &finite, size, None).unwrap(), (predict(&finite, size), None));
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let broken = random(1);
            let _ = broken.logits.narrow(1, 2, 1).narrow(3, 0, 1).fill_(value);
            let said = judge("street.png", &sight(&broken), size, None).unwrap_err().to_string();
            assert_eq!(said, infer("street.png", &sight(&broken), size, &[]).unwrap_err().to_string(), "{value}");
            assert!(said.contains("street.png logits that are not finite (6 of 48 pixels)"), "{said}");
        }
    }

    #[test]
    fn what_is_seen_at_once_at_two_sizes_is_what_is_seen_at_each() {
        let (seen, sizes) = (sight(&random(2)), [[19, 14], [7, 5]]);
        let [prediction, inference] = [predict(&seen, sizes[0]), infer("a", &seen, sizes[1], &[]).unwrap().prediction];
        let entropy = infer("a", &seen, sizes[1], &[]).unwrap().score.mean_entropy;
        assert_eq!(judge("a", &seen, sizes[0], Some(sizes[1])).unwrap(), (prediction.clone(), Some(entropy)));
        let both = predict_and_infer(&seen, sizes[0], sizes[1]);
        assert_eq!((both.0, both.1.unwrap().prediction), (prediction, inference));
        let broken = random(2);
        let _ = broken.logits.narrow(1, 2, 1).fill_(f64::NAN);
        assert!(
            predict_and_infer(&sight(&broken), sizes[0], sizes[1]).1.is_none(),
            "a diverged network has no entropy"
        );
    }

    #[test]
    fn logits_of_several_images_are_refused() {
        assert!(matches!(infer("a", &zeros(&[2, 5, 3, 3]).into(), [3, 3], &[]), Err(InferenceError::Shape { .. })));
    }

    #[test]
    fn golden_images_have_the_golden_scores_and_maps() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden");
        let Some((json, tensors)) = read_golden(&golden) else {
            eprintln!("skipped: no golden vectors at {}", golden.display());
            return;
        };
        for k in 0..2 {
            let tensor = |name: &str| {
                &tensors.iter().find(|(key, _)| *key == format!("forward.{k}.{name}")).expect("a golden tensor").1
            };
            let main = prediction(tensor("logits_main").unsqueeze(0));
            let inference = infer("k", &sight(&main), [129, 97], &CITYSCAPES_RARE).unwrap();
            let wanted = &json["images"][k];
            let number = |key: &str| wanted[key].as_f64().expect("a golden number");
            assert!(relative(inference.score.mean_entropy, number("mean_entropy")) < 1e-5);
            assert!(relative(inference.score.mean_entropy_eq4_nats, number("mean_entropy_eq4_nats")) < 1e-5);
            assert_eq!(f64::from(inference.score.predicted_rare_classes), number("rare_predicted"));

            let bytes = |tensor: &Tensor| Vec::<u8>::try_from(tensor.to_kind(Kind::Uint8).reshape(-1)).unwrap();
            let argmax = bytes(tensor("argmax"));
            let same = argmax.iter().zip(inference.prediction.bytes()).filter(|(a, b)| a == b).count();
            assert!(same as f64 >= 0.999 * argmax.len() as f64, "{same} of {}", argmax.len());
            assert_eq!(predict(&sight(&main), [129, 97]), inference.prediction);
            let grey = bytes(&(tensor("entropy_map") * 255.0).round());
            assert!(grey.iter().zip(inference.entropy.bytes()).all(|(a, b)| a.abs_diff(*b) <= 1));
        }
    }

    fn read_golden(folder: &Path) -> Option<(serde_json::Value, Vec<(String, Tensor)>)> {
        let json = std::fs::read_to_string(folder.join("golden.json")).ok()?;
        let tensors = Tensor::read_safetensors(folder.join("golden.safetensors")).ok()?;
        Some((serde_json::from_str(&json).expect("golden.json is JSON"), tensors))
    }
}
