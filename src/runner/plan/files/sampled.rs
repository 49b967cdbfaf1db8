//! A data set looked at in passing: counted, and some of its labels read.
//!
//! Digests nothing, so it costs seconds where a plan of new data costs minutes; the rules are those of the plan, in the same
//! words. Goes on where a plan would stop: a data set that lacks a label may have wrong ones as well.

use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::Survey;
use crate::dataset::labels::{self, LabelError};
use crate::dataset::{self, DatasetError, survey};
use crate::kind::dataset::Encoding;
use crate::spec::Problem;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Sampled {
    /// How many images there are.
    pub images: usize,
    /// How many of them have a label; `None` where labels aren't read.
    pub labelled: Option<usize>,
    /// `[width, height]` in pixels of the first label, or of what is drawn.
    pub size: Option<[u32; 2]>,
    /// How many labels were read.
    pub read: usize,
    /// The values in these, ascending.
    pub values: Vec<u8>,
    /// What is wrong, or worth knowing.
    pub problems: Vec<Problem>,
}

impl Survey<'_> {
    /// Lists the files and reads `most` of the labels, evenly spread; `None`: all.
    pub(in crate::plan) fn sampled(&self, most: Option<usize>) -> Sampled {
        let mut sampled = Sampled::default();
        let listed = match self.listed(false) {
            Ok(listed) => {
                let left = listed.samples.len();
                sampled.problems.extend(listed.left_out.as_ref().map(|names| self.left_out(names, left)));
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
        if self.labels {
            sampled.problems.extend(self.of_other_size(&listed.samples));
            let root = &self.surveyor.pipeline.root;
            let label = |sample: dataset::Sample| sample.label.map(|label| root.join(label));
            let all: Vec<PathBuf> = listed.samples.into_iter().filter_map(label).collect();
            sampled.labelled = Some(all.len());
            let some: Vec<&PathBuf> = survey::spread(&all, most.unwrap_or(usize::MAX)).collect();
            self.read(&some, &mut sampled);
        }
        sampled
    }

    fn read(&self, files: &[&PathBuf], sampled: &mut Sampled) {
        let encoding = self.encoding();
        let sets: Vec<Result<[u64; 4], LabelError>> =
            files.par_iter().map(|file| labels::values(file, encoding)).collect();
        let (mut all, mut damaged, mut strange) = ([0; 4], Vec::new(), Vec::new());
        for (file, set) in files.iter().zip(sets) {
            match set {
                Ok(set) => {
                    all = std::array::from_fn(|word| all[word] | set[word]);
                    if !labels::members(set).all(|value| self.is_known(value)) {
                        strange.push(*file);
                    }
                }
                Err(error) => damaged.push(error),
            }
        }
        (sampled.read, sampled.values) = (files.len() - damaged.len(), labels::members(all).collect());
        sampled.size = files.first().and_then(|file| labels::size(file).ok());
        if !damaged.is_empty() {
            sampled.problems.extend(self.wrong_labels(&damaged));
        }
        if let [first, ..] = strange[..] {
            sampled.problems.push(self.strangers(all, strange.len(), sampled.read, first, encoding));
        } else if sampled.read > 0 && !labels::members(all).any(|value| self.is_class(value)) {
            sampled.problems.push(self.without_class(all));
        }
    }

    /// Of a plain folder: in a published data set every value is known.
    fn strangers(&self, all: [u64; 4], labels: usize, read: usize, first: &Path, encoding: Encoding) -> Problem {
        /// The largest label id of Cityscapes, and the largest train id.
        const CITYSCAPES: (u8, u8) = (33, 18);
        let classes = self.surveyor.pipeline.classes.len();
        let last = classes.saturating_sub(1);
        let strange: Vec<u8> = labels::members(all).filter(|value| !self.is_known(*value)).collect();
        let words: Vec<String> = strange.iter().map(u8::to_string).collect();
        let title = format!(
            "{labels} of {read} labels hold values that are no class: {}; the classes are 0 to {last}, and 255 is ignored",
            words.join(" ")
        );
        let mut problem = self.read_by(Problem::error(title).at(self.dataset.span, "this data set"));
        if let Err(error) = labels::check(first, encoding, classes, &self.map) {
            problem = problem.note(error.to_string());
        }
        let is_like_ids = strange.iter().all(|value| (CITYSCAPES.1 + 1..=CITYSCAPES.0).contains(value));
        if classes == usize::from(CITYSCAPES.1) + 1 && is_like_ids {
            problem = problem.help("Cityscapes' label ids? `format = \"cityscapes\"` reads them");
        }
        problem.help(format!("`map = {{ {} = 255 }}` in the data set replaces values", words[0]))
    }
}
