//! Computes from one forward pass per target image what ranking and pseudo-labels need: its class map, its entropy map and
//! its scores (IntraDA, section 3.2; released code, `entropy_rank/entropy.py`).
//!
//! Runs no network and writes no file. The released code also runs the network once per image, but keeps neither scores nor
//! maps, so another λ needs another pass.

use crate::data::raster::Index;
use crate::network::Prediction;
use crate::rank::Score;
use crate::rows::Rows;

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
    /// The values by which the image is ranked.
    pub score: Score,
}

/// Maps and scores of an image from its logits, `1×C×h×w`, resized to `size` (width, height) before softmax.
///
/// `rare` are the classes that count as rare ([`Score::predicted_rare_classes`]); one pixel is enough to be predicted.
/// The scores are those of [`equations::mean_self_information`](crate::equations::mean_self_information) and
/// [`equations::mean_entropy_nats`](crate::equations::mean_entropy_nats), which differ by the factor C · ln C. Logits and
/// exponentials are float32, a pixel's logarithm and the mean float64. The sum over pixels is taken row by row, so it is the
/// same with any number of threads.
///
/// # Errors
/// [`InferenceError`].
pub fn infer(image: &str, prediction: &Prediction, size: [usize; 2], rare: &[u8]) -> Result<Inference, InferenceError> {
    let shape = prediction.logits.size();
    let classes = match shape[..] {
        [1, classes @ 2..=255, _, _] => classes as f64,
        _ => return Err(InferenceError::Shape { image: image.to_owned(), shape }),
    };
    let rows = Rows::new(prediction, size);
    let bands = rows.shared_out(|band| {
        let mut pixels = Pixels::new(&rows, band.len());
        band.for_each(|row| pixels.look_at(&rows, row));
        pixels
    });
    let total = size[0] * size[1];
    let (mut prediction, mut entropy) = (Vec::with_capacity(total), Vec::with_capacity(total));
    let (mut unknown, mut nats) = (0, 0.0);
    for band in bands {
        prediction.extend(band.prediction);
        entropy.extend(band.entropy);
        unknown += band.unknown;
        nats = band.nats.iter().fold(nats, |sum, row| sum + row);
    }
    if unknown > 0 {
        return Err(InferenceError::NotFinite { image: image.to_owned(), pixels: unknown, total: total as i64 });
    }
    let mean = nats / total as f64;
    let prediction = Index::new(size[0], size[1], prediction);
    Ok(Inference {
        entropy: Index::new(size[0], size[1], entropy),
        score: Score {
            image: image.to_owned(),
            mean_entropy: (mean / (classes * classes.ln())) as f32,
            mean_entropy_eq4_nats: mean as f32,
            predicted_rare_classes: rare_classes(&prediction, rare),
        },
        prediction,
    })
}

/// The class map of logits `1×C×h×w` at `size` (width, height): the first of the largest, as evaluation takes it.
///
/// # Panics
/// If the logits are not those of one image with 1 to 255 classes.
pub fn predict(prediction: &Prediction, size: [usize; 2]) -> Index {
    let rows = Rows::new(prediction, size);
    let bands = rows.shared_out(|band| {
        let mut winners = Winners::new(&rows);
        band.flat_map(|row| winners.look_at(&rows, row).to_vec()).collect::<Vec<u8>>()
    });
    Index::new(size[0], size[1], bands.concat())
}

/// [`predict`] for an image with finite logits, as required by [`infer`]: with NaN the first class would win.
///
/// # Errors
/// [`InferenceError`].
///
/// # Panics
/// As [`predict`].
pub fn predict_finite(image: &str, prediction: &Prediction, size: [usize; 2]) -> Result<Index, InferenceError> {
    let is_finite = prediction.logits.isfinite().all().to_kind(tch::Kind::Int64).int64_value(&[]) == 1;
    if is_finite {
        Ok(predict(prediction, size))
    } else {
        infer(image, prediction, size, &[]).map(|inference| inference.prediction)
    }
}

/// The largest logit of each pixel of a row, and its class.
struct Winners {
    /// The row of all classes.
    logits: Vec<f32>,
    largest: Vec<f32>,
    class: Vec<u8>,
    scratch: Vec<f32>,
}

impl Winners {
    fn new(rows: &Rows) -> Winners {
        assert!(rows.classes() <= 255, "255 is no class");
        let width = rows.width();
        let logits = vec![0.0; rows.classes() * width];
        Winners { logits, largest: vec![0.0; width], class: vec![0; width], scratch: Vec::new() }
    }

    fn look_at(&mut self, rows: &Rows, row: usize) -> &[u8] {
        rows.read(row, &mut self.scratch, &mut self.logits);
        self.largest.fill(f32::NEG_INFINITY);
        self.class.fill(0);
        for (class, logits) in (0..=u8::MAX).zip(self.logits.chunks_exact(rows.width())) {
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
    /// One number per row: the sum of the entropies of its finite pixels.
    nats: Vec<f64>,
    /// Pixels whose entropy is not a number.
    unknown: i64,
}

impl Pixels {
    fn new(rows: &Rows, count: usize) -> Pixels {
        let maps = || Vec::with_capacity(count * rows.width());
        let (sums, nats) = (vec![[0.0; 2]; rows.width()], Vec::with_capacity(count));
        Pixels { winners: Winners::new(rows), sums, prediction: maps(), entropy: maps(), nats, unknown: 0 }
    }

    fn look_at(&mut self, rows: &Rows, row: usize) {
        self.prediction.extend_from_slice(self.winners.look_at(rows, row));
        let Winners { logits, largest, class: winners, .. } = &self.winners;
        self.sums.fill([0.0; 2]);
        for (class, logits) in (0..=u8::MAX).zip(logits.chunks_exact(rows.width())) {
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
        let most = (rows.classes() as f64).ln();
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

    const CITYSCAPES_RARE: [u8; 11] = [3, 4, 5, 6, 7, 9, 12, 14, 15, 16, 17];

    /// As of DeepLab-v2.
    fn prediction(logits: Tensor) -> Prediction {
        Prediction { logits, alignment: Alignment::Corners }
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
                let score = infer("a", &of, [21, 11], &[]).unwrap().score;
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
        let uniform = infer("a", &zeros(&[1, 4, 2, 2]), [3, 3], &[]).unwrap();
        assert_eq!(uniform.entropy, Index::filled(3, 3, [255]));
        assert_eq!(uniform.prediction, Index::filled(3, 3, [0]), "the first of equals");
        assert!(relative(uniform.score.mean_entropy, 0.25) < 1e-6);
        assert!(relative(uniform.score.mean_entropy_eq4_nats, 4f64.ln()) < 1e-6);
        let certain = Tensor::from_slice(&[0.0f32, 0.0, 200.0]).view([1, 3, 1, 1]);
        let certain = infer("a", &prediction(certain), [2, 2], &[2]).unwrap();
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
        let error = infer("street.png", &broken, [8, 6], &[]).unwrap_err();
        assert_eq!(error.to_string(), "the network gives street.png logits that are not finite (8 of 48 pixels)");
    }

    #[test]
    fn what_has_no_scores_has_no_prediction_either() {
        let (size, finite) = ([8, 6], random(1));
        assert_eq!(predict_finite("a", &finite, size).unwrap(), predict(&finite, size));
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let broken = random(1);
            let _ = broken.logits.narrow(1, 2, 1).narrow(3, 0, 1).fill_(value);
            let said = predict_finite("street.png", &broken, size).unwrap_err().to_string();
            assert_eq!(said, infer("street.png", &broken, size, &[]).unwrap_err().to_string(), "{value}");
            assert!(said.contains("street.png logits that are not finite (6 of 48 pixels)"), "{said}");
        }
    }

    #[test]
    fn logits_of_several_images_are_refused() {
        assert!(matches!(infer("a", &zeros(&[2, 5, 3, 3]), [3, 3], &[]), Err(InferenceError::Shape { .. })));
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
            let inference = infer("k", &main, [129, 97], &CITYSCAPES_RARE).unwrap();
            let wanted = &json["images"][k];
            let number = |key: &str| wanted[key].as_f64().expect("a golden number");
            assert!(relative(inference.score.mean_entropy, number("mean_entropy")) < 1e-5);
            assert!(relative(inference.score.mean_entropy_eq4_nats, number("mean_entropy_eq4_nats")) < 1e-5);
            assert_eq!(f64::from(inference.score.predicted_rare_classes), number("rare_predicted"));

            let bytes = |tensor: &Tensor| Vec::<u8>::try_from(tensor.to_kind(Kind::Uint8).reshape(-1)).unwrap();
            let argmax = bytes(tensor("argmax"));
            let same = argmax.iter().zip(inference.prediction.bytes()).filter(|(a, b)| a == b).count();
            assert!(same as f64 >= 0.999 * argmax.len() as f64, "{same} of {}", argmax.len());
            assert_eq!(predict(&main, [129, 97]), inference.prediction);
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
