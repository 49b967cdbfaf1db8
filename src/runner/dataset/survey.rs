//! Inspects folders before there is a pipeline: how many images, their size, the values in the labels.
//!
//! Knows no classes: the caller interprets values. Reads a sample of the labels, evenly spaced, since a large data set
//! takes minutes; a run reads every label before it trains.

use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::folder::NAMING;
use super::labels::{self, Form, LabelError};
use super::{DatasetError, Place, list};

/// The maximum number of labels read.
pub const SAMPLED: usize = 200;

/// The contents of a folder of images and, optionally, of labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// How many images there are.
    pub images: usize,
    /// `[width, height]` of the first label in pixels; `None` without labels.
    pub size: Option<[u32; 2]>,
    /// The values in the labels that were read, ascending.
    pub values: Vec<u8>,
    /// How many labels were read.
    pub read: usize,
}

/// Why folders can't be inspected.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// The folders are not a data set.
    #[error(transparent)]
    Dataset(Box<DatasetError>),
    /// A file is not a valid label.
    #[error(transparent)]
    Label(#[from] LabelError),
}

impl From<DatasetError> for SurveyError {
    fn from(error: DatasetError) -> SurveyError {
        SurveyError::Dataset(Box::new(error))
    }
}

/// Inspects images and, if a folder of labels is given, these; each image must have one.
///
/// # Errors
/// Like planning a pipeline with this data set.
pub fn survey(images: &Path, labels: Option<&Path>) -> Result<Survey, SurveyError> {
    let place = Place {
        images: images.to_owned(),
        labels: labels.unwrap_or(images).to_owned(),
        within: Vec::new(),
        list: None,
    };
    let samples = list(Path::new(""), &place, &NAMING, labels.is_some(), &|_| false)?.samples;
    let some: Vec<PathBuf> = spread(&samples, SAMPLED).filter_map(|sample| sample.label.clone()).collect();
    let size = some.first().map(|label| labels::size(label)).transpose()?;
    let sets = some.par_iter().map(|label| labels::values(label, Form::Index)).collect::<Result<Vec<_>, _>>()?;
    let all = sets.into_iter().fold([0; 4], labels::union);
    let values = labels::members(all).collect();
    Ok(Survey { images: samples.len(), size, values, read: some.len() })
}

/// At most `most` of them, which must not be 0, evenly spaced and including the first.
pub fn spread<T>(all: &[T], most: usize) -> impl Iterator<Item = &T> {
    all.iter().step_by(all.len().div_ceil(most).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(path: &Path, width: u32, indices: &[u8]) {
        let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), width, indices.len() as u32 / width);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(indices).unwrap();
    }

    #[test]
    fn all_values_of_few_labels_are_found_and_the_rest_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let (images, labels) = (dir.path().join("images"), dir.path().join("labels"));
        for folder in [&images, &labels] {
            std::fs::create_dir(folder).unwrap();
        }
        for (name, indices) in [("a.png", [0u8, 7, 0, 7]), ("b.png", [255, 1, 1, 1])] {
            grey(&images.join(name), 2, &indices);
            grey(&labels.join(name), 2, &indices);
        }
        let found = survey(&images, Some(&labels)).unwrap();
        assert_eq!(found, Survey { images: 2, size: Some([2, 2]), values: vec![0, 1, 7, 255], read: 2 });
        assert_eq!(survey(&images, None).unwrap(), Survey { images: 2, size: None, values: vec![], read: 0 });
        std::fs::remove_file(labels.join("b.png")).unwrap();
        assert!(matches!(survey(&images, Some(&labels)), Err(SurveyError::Dataset(_))));
    }

    #[test]
    fn of_many_labels_some_are_read_evenly_spread() {
        for count in [0, 1, 199, 200, 201, 399, 400, 10_000] {
            let taken = spread(&Vec::from_iter(0..count), SAMPLED).count();
            assert!(taken <= SAMPLED && taken >= count.min(SAMPLED / 2 + 1), "{taken} of {count}");
        }
    }
}
