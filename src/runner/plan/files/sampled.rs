//! A quick check of a data set: counts it, and reads some of its images and labels.
//!
//! Computes no digests, so it takes seconds where a plan of new data takes minutes; the rules and messages are those of the
//! plan. Continues where a plan would stop: a data set that lacks a label may have wrong ones as well.

use std::path::PathBuf;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::Survey;
use super::labels::Held;
use crate::dataset::labels::{self, LabelError};
use crate::dataset::{self, DatasetError, survey};
use crate::pipeline::Problem;

/// The result.
#[derive(Clone, Debug, Default)]
pub struct Sampled {
    /// Number of images.
    pub images: usize,
    /// How many of them have a label; `None` if labels aren't read.
    pub labelled: Option<usize>,
    /// `[width, height]` in pixels of the first image, or of synthetic scenes.
    pub size: Option<[u32; 2]>,
    /// Number of labels read.
    pub read: usize,
    /// The values in these, ascending.
    pub values: Vec<u8>,
    /// Problems and remarks.
    pub problems: Vec<Problem>,
}

impl Survey<'_> {
    /// Lists the files, checks the images, and reads `most` of these and of the labels, evenly spaced; `None`: all.
    pub(in crate::plan) fn sampled(&self, most: Option<usize>) -> Sampled {
        let mut sampled = Sampled::default();
        let listed = match self.listed(false) {
            Ok(listed) => {
                sampled.problems.extend(self.not_taken(&listed));
                listed
            }
            Err(error) => {
                sampled.problems.push(self.dataset_problem(&error));
                match (error, self.listed(true)) {
                    (DatasetError::Unlabelled { .. }, Ok(listed)) => listed,
                    _ => return sampled,
                }
            }
        };
        let absent = listed.left_out.as_ref().map_or(0, |names| names.count);
        sampled.images = listed.samples.len() + absent;
        let (seen, wrong) = self.glanced_at(&listed.samples, most);
        sampled.problems.extend(wrong);
        sampled.problems.extend(self.lost(&seen));
        sampled.problems.extend(self.of_sizes(&seen));
        sampled.size = seen.first().map(|one| one.size);
        if self.labels {
            let root = &self.surveyor.pipeline.root;
            let label = |sample: &dataset::Sample| sample.label.as_ref().map(|label| root.join(label));
            let all: Vec<PathBuf> = listed.samples.iter().filter_map(label).collect();
            sampled.labelled = Some(all.len());
            let some: Vec<&PathBuf> = survey::spread(&all, most.unwrap_or(usize::MAX)).collect();
            let before = sampled.problems.len();
            self.read(&some, &mut sampled);
            self.ask_whether_swapped(&listed.samples, &mut sampled.problems[before..]);
        }
        sampled
    }

    fn read(&self, files: &[&PathBuf], sampled: &mut Sampled) {
        let form = self.form();
        let sets: Vec<Result<[u64; 4], LabelError>> = files.par_iter().map(|file| labels::values(file, form)).collect();
        let (mut all, mut damaged, mut strange) = ([0; 4], Vec::new(), Vec::new());
        for (file, set) in files.iter().zip(sets) {
            match set {
                Ok(set) => {
                    all = labels::union(all, set);
                    if !labels::members(set).all(|value| self.is_known(value)) {
                        strange.push(*file);
                    }
                }
                Err(error) => {
                    damaged.push(error.called(file.strip_prefix(&self.surveyor.pipeline.root).unwrap_or(file)))
                }
            }
        }
        let of = sampled.labelled.unwrap_or_default();
        let held = Held { all, read: files.len() - damaged.len(), of };
        (sampled.read, sampled.values) = (held.read, held.values());
        if !damaged.is_empty() {
            sampled.problems.extend(self.wrong_labels(&damaged, all));
        }
        match strange[..] {
            [first, ..] => sampled.problems.push(self.strangers(held, strange.len(), first)),
            [] => sampled.problems.extend(self.judged(held)),
        }
    }
}
