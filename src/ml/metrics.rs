//! Segmentation scores: a confusion matrix and the intersection over union of each class (released code,
//! `advent/utils/func.py`).
//!
//! Knows bytes and counts, no image and no tensor. Counts of all images are added before dividing, so the mean IoU is that
//! of the data set, not the mean over images.

use intrada_data::label::IGNORE;

/// Maps that can't be compared.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    /// The maps have different numbers of pixels.
    #[error("the label has {label} pixels, the prediction {prediction}")]
    Length {
        /// Pixels of the label.
        label: usize,
        /// Pixels of the prediction.
        prediction: usize,
    },
    /// A value that is no class (and, in a label, not 255).
    #[error("the {map} holds {value} at pixel {pixel}, where there are {classes} classes")]
    NotAClass {
        /// `label` or `prediction`.
        map: &'static str,
        /// The value.
        value: u8,
        /// Its position in reading order.
        pixel: usize,
        /// The number of classes.
        classes: usize,
    },
}

/// How often each class was predicted for each labelled class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// Row = label, column = prediction.
    counts: Vec<i64>,
}

impl Confusion {
    /// No pixels yet.
    pub fn new(classes: u8) -> Self {
        let classes = usize::from(classes);
        Self { classes, counts: vec![0; classes * classes] }
    }

    /// Counts an image's pixels. Where the label is 255 nothing is counted, whatever the prediction.
    ///
    /// # Errors
    /// [`MetricsError`]; then nothing was counted.
    pub fn add(&mut self, label: &[u8], prediction: &[u8]) -> Result<(), MetricsError> {
        if label.len() != prediction.len() {
            return Err(MetricsError::Length { label: label.len(), prediction: prediction.len() });
        }
        // A histogram over pairs of bytes needs no test per pixel; invalid values are found afterwards, from the counts.
        let mut pairs = vec![0u32; 256 * 256];
        for (&label, &prediction) in label.iter().zip(prediction) {
            pairs[usize::from(label) << 8 | usize::from(prediction)] += 1;
        }
        let is_class = |value: usize| value < self.classes;
        let counted = |pair: usize| pair >> 8 != usize::from(IGNORE);
        if let Some(pair) =
            (0..pairs.len()).find(|&p| pairs[p] > 0 && counted(p) && !(is_class(p >> 8) && is_class(p & 255)))
        {
            return Err(self.not_a_class(label, prediction, pair));
        }
        for (row, counts) in self.counts.chunks_exact_mut(self.classes).enumerate() {
            for (column, count) in counts.iter_mut().enumerate() {
                *count += i64::from(pairs[row << 8 | column]);
            }
        }
        Ok(())
    }

    /// Adds the counts of another matrix over the same classes.
    ///
    /// # Panics
    /// If the numbers of classes differ.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.classes, other.classes, "matrices of other classes can't be added");
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// The counts that aren't 0: label, prediction, number of pixels.
    pub fn cells(&self) -> impl Iterator<Item = [i64; 3]> {
        let cells = (0..).zip(&self.counts).filter(|(_, count)| **count != 0);
        let classes = self.classes as i64;
        cells.map(move |(cell, count): (i64, &i64)| [cell / classes, cell % classes, *count])
    }

    /// The matrix with these [cells](Confusion::cells). None if one isn't of two of the classes.
    pub fn of_cells(classes: u8, cells: &[[i64; 3]]) -> Option<Self> {
        let mut confusion = Self::new(classes);
        let is_class = |class: &i64| (0..i64::from(classes)).contains(class);
        for [label, prediction, count] in cells {
            if !is_class(label) || !is_class(prediction) {
                return None;
            }
            confusion.counts[*label as usize * confusion.classes + *prediction as usize] += count;
        }
        Some(confusion)
    }

    fn not_a_class(&self, label: &[u8], prediction: &[u8], pair: usize) -> MetricsError {
        let (wrong_label, wrong_prediction) = ((pair >> 8) as u8, (pair & 255) as u8);
        let pixel = label.iter().zip(prediction).position(|(&l, &p)| (l, p) == (wrong_label, wrong_prediction));
        let pixel = pixel.expect("a pair that was counted occurs");
        let (map, value) =
            if pair >> 8 < self.classes { ("prediction", wrong_prediction) } else { ("label", wrong_label) };
        MetricsError::NotAClass { map, value, pixel, classes: self.classes }
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The rows: for each label, how often each class was predicted.
    pub fn rows(&self) -> impl Iterator<Item = &[i64]> {
        self.counts.chunks_exact(self.classes)
    }

    /// The pixels of each class that are labelled and predicted as it.
    pub fn correct(&self) -> Vec<i64> {
        (0..self.classes).map(|class| self.counts[class * self.classes + class]).collect()
    }

    /// The pixels that are labelled as each class.
    pub fn labelled(&self) -> Vec<i64> {
        self.rows().map(|row| row.iter().sum()).collect()
    }

    /// The pixels that are predicted as each class, among those that are labelled at all.
    pub fn predicted(&self) -> Vec<i64> {
        let column = |class: usize| self.counts.iter().skip(class).step_by(self.classes).sum();
        (0..self.classes).map(column).collect()
    }

    /// Intersection over union of each class, in 0..=1. None for a class that neither occurs nor was predicted (0/0).
    pub fn iou(&self) -> Vec<Option<f64>> {
        let (labelled, predicted) = (self.labelled(), self.predicted());
        let one = |(both, (labelled, predicted)): (i64, (i64, i64))| {
            let either = labelled + predicted - both;
            (either > 0).then(|| both as f64 / either as f64)
        };
        self.correct().into_iter().zip(labelled.into_iter().zip(predicted)).map(one).collect()
    }
}

/// The mean of the defined IoUs; none if none is defined. For a mean over some classes pass only theirs, as for SYNTHIA's
/// 16- and 13-class numbers.
pub fn mean_iou(iou: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let (sum, defined) = iou.into_iter().flatten().fold((0.0, 0), |(sum, n), iou| (sum + iou, n + 1));
    (defined > 0).then(|| sum / f64::from(defined))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use tch::Tensor;

    use super::*;

    /// Any map of 4 classes and 255.
    fn maps(bytes: &[(u8, u8)]) -> (Vec<u8>, Vec<u8>) {
        bytes.iter().map(|&(l, p)| (if l % 5 == 4 { 255 } else { l % 5 }, p % 4)).unzip()
    }

    proptest! {
        #[test]
        fn a_perfect_prediction_scores_1_for_every_class_that_occurs(bytes: Vec<(u8, u8)>) {
            let (label, _) = maps(&bytes);
            let mut confusion = Confusion::new(4);
            let prediction: Vec<u8> = label.iter().map(|&value| if value == 255 { 0 } else { value }).collect();
            confusion.add(&label, &prediction).unwrap();
            prop_assert!(confusion.iou().iter().flatten().all(|&iou| iou == 1.0));
        }

        #[test]
        fn cells_give_the_matrix_that_they_are_of(bytes: Vec<(u8, u8)>) {
            let (label, prediction) = maps(&bytes);
            let mut confusion = Confusion::new(4);
            confusion.add(&label, &prediction).unwrap();
            let cells: Vec<[i64; 3]> = confusion.cells().collect();
            let is_out = cells.iter().any(|[label, prediction, _]| *label > 2 || *prediction > 2);
            prop_assert_eq!(Confusion::of_cells(3, &cells).is_none(), is_out);
            prop_assert_eq!(Confusion::of_cells(4, &cells), Some(confusion));
        }

        #[test]
        fn counting_in_parts_is_counting_at_once(bytes: Vec<(u8, u8)>, cut in any::<proptest::sample::Index>()) {
            let (label, prediction) = maps(&bytes);
            let cut = cut.index(label.len() + 1);
            let (mut whole, mut parts) = (Confusion::new(4), Confusion::new(4));
            whole.add(&label, &prediction).unwrap();
            parts.add(&label[..cut], &prediction[..cut]).unwrap();
            let mut rest = Confusion::new(4);
            rest.add(&label[cut..], &prediction[cut..]).unwrap();
            let mut merged = parts.clone();
            merged.merge(&rest);
            parts.add(&label[cut..], &prediction[cut..]).unwrap();
            prop_assert_eq!(&whole, &parts);
            prop_assert_eq!(&whole, &merged);
            let counted = label.iter().filter(|&&value| value != 255).count() as i64;
            prop_assert_eq!(whole.rows().flatten().sum::<i64>(), counted);
        }
    }

    #[test]
    fn an_absent_class_is_undefined_until_it_is_predicted_once() {
        let mut confusion = Confusion::new(3);
        confusion.add(&[0, 0, 1, 255], &[0, 1, 1, 2]).unwrap();
        assert_eq!(confusion.iou(), [Some(0.5), Some(0.5), None]);
        assert_eq!(mean_iou(confusion.iou()), Some(0.5));
        confusion.add(&[1], &[2]).unwrap();
        assert_eq!(confusion.iou()[2], Some(0.0));
        assert_eq!(mean_iou(Confusion::new(3).iou()), None);
    }

    #[test]
    fn what_is_no_class_is_refused_and_not_counted() {
        let mut confusion = Confusion::new(3);
        let error = confusion.add(&[0, 1, 7], &[0, 0, 0]).unwrap_err();
        assert_eq!(error, MetricsError::NotAClass { map: "label", value: 7, pixel: 2, classes: 3 });
        let error = confusion.add(&[0, 1], &[0, 3]).unwrap_err();
        assert_eq!(error, MetricsError::NotAClass { map: "prediction", value: 3, pixel: 1, classes: 3 });
        assert_eq!(confusion.add(&[0], &[]), Err(MetricsError::Length { label: 1, prediction: 0 }));
        assert_eq!(confusion, Confusion::new(3));
    }

    #[test]
    fn the_golden_evaluation_is_reproduced() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden");
        let Ok(json) = std::fs::read_to_string(golden.join("golden.json")) else {
            eprintln!("skipped: no golden vectors at {}", golden.display());
            return;
        };
        let wanted = &serde_json::from_str::<serde_json::Value>(&json).unwrap()["evaluation"];
        let tensors = Tensor::read_safetensors(golden.join("golden.safetensors")).unwrap();
        let tensor = |name: &str| tensors.iter().find(|(key, _)| key == name).unwrap().1.reshape(-1);
        let bytes = |name: &str| Vec::<u8>::try_from(tensor(name)).unwrap();

        let mut confusion = Confusion::new(19);
        confusion.add(&bytes("evaluation.label"), &bytes("evaluation.prediction")).unwrap();
        let counts: Vec<i64> = confusion.rows().flatten().copied().collect();
        assert_eq!(counts, Vec::<i64>::try_from(tensor("evaluation.confusion")).unwrap());

        let iou = confusion.iou();
        for (class, wanted) in wanted["iou"].as_array().unwrap().iter().enumerate() {
            assert_eq!(iou[class].is_none(), wanted.as_f64().is_none_or(f64::is_nan), "class {class}");
            assert!((iou[class].unwrap_or(0.0) - wanted.as_f64().unwrap_or(0.0)).abs() < 1e-12, "class {class}");
        }
        let synthia_16 = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 15, 17, 18];
        let synthia_13 = [0, 1, 2, 6, 7, 8, 10, 11, 12, 13, 15, 17, 18];
        let of = |classes: &[usize]| mean_iou(classes.iter().map(|&class| iou[class])).unwrap();
        for (mean, key) in
            [(mean_iou(iou.clone()).unwrap(), "miou_19"), (of(&synthia_16), "miou_16"), (of(&synthia_13), "miou_13")]
        {
            assert!((mean - wanted[key].as_f64().unwrap()).abs() < 1e-12, "{key}: {mean}");
        }
    }
}
