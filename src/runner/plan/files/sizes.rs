//! Labels that have another size than their image, told before a training meets the first of them.
//!
//! Reads heads of files and no pixel, and of many pairs some, evenly spread: it is asked at every plan.

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::Survey;
use crate::dataset::{Sample, head, survey};
use crate::spec::Problem;

impl Survey<'_> {
    /// The pairs that don't fit, if nothing brings them to one size.
    pub(super) fn of_other_size(&self, samples: &[Sample]) -> Option<Problem> {
        // An evaluation brings what a network predicts to the size of the label, whatever that is.
        if self.dataset.size.is_some() || !self.is_learnt_from() {
            return None;
        }
        let root = &self.surveyor.pipeline.root;
        let look = |sample: &Sample| {
            let label = sample.label.as_ref()?;
            Some((sample.name.clone(), head::size(&root.join(&sample.image))?, head::size(&root.join(label))?))
        };
        let some: Vec<&Sample> = survey::spread(samples, survey::SAMPLED).collect();
        let looked: Vec<_> = some.into_par_iter().filter_map(look).collect();
        let mut others = looked.iter().filter(|(_, image, label)| image != label);
        let (name, image, label) = others.next()?;
        let title = format!(
            "{} of {} labels of `{}` have another size than their image: `{name}` is {}, its label {}",
            1 + others.count(),
            looked.len(),
            self.dataset.name,
            shown(*image),
            shown(*label),
        );
        let [width, height] = image;
        let problem = Problem::warning(title).at(self.dataset.span, "a training stops at the first of them");
        Some(problem.help(format!("`size = [{width}, {height}]` in the data set brings both to that size")))
    }
}

fn shown([width, height]: [u32; 2]) -> String {
    format!("{width} × {height}")
}
