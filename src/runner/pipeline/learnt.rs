//! The data sets that a training learns from fit together: their sizes, and the class counts of their labels.
//!
//! Compares what the file says: whether the counts name every image, and the sizes of images as stored, the worker checks.

use super::problem::Problem;
use super::resolve::{Building, Resolver};
use super::value::Value;
use super::words::stage_of;
use super::{Input, InputSource};
use crate::kind::training::{LABELLED, is_learnt_from};

impl Resolver<'_> {
    /// Reports data sets of different sizes that one batch would mix.
    pub(super) fn check_mixed(&mut self, building: &Building<'_>) {
        let stage = &building.stage;
        let batch = stage.parameter("batch").and_then(Value::as_integer).unwrap_or(1);
        if !stage.is_training() || batch < 2 || stage.parameter("crop").is_some() {
            return;
        }
        let sized = |input: &Input| match input.from {
            // An intra training reads the images of its labels here.
            InputSource::Dataset { dataset, .. } if is_learnt_from(&input.role) || input.role == "images" => {
                Some((&self.dataset_list[dataset.index()], self.dataset_list[dataset.index()].size?, input.span))
            }
            _ => None,
        };
        let mut sizes = stage.inputs.iter().filter_map(sized);
        let Some((first, size, first_span)) = sizes.next() else { return };
        let Some((other, other_size, span)) = sizes.find(|(_, other, _)| *other != size) else { return };
        let shown = |[width, height]: [u32; 2]| format!("{width} × {height}");
        let title = format!(
            "a batch of {batch} can't hold images of `{}`, {}, and of `{}`, {}",
            first.name,
            shown(size),
            other.name,
            shown(other_size)
        );
        let problem = Problem::error(title).at(span, "").beside(first_span, "");
        self.problems.push(problem.help("give them one `size`, or the training a `crop` or `batch = 1`"));
    }

    /// Reports class counts of other labels.
    pub(super) fn check_counted(&mut self, building: &Building<'_>) {
        let inputs = |is: &dyn Fn(&str) -> bool| -> Vec<&Input> {
            building.stage.inputs.iter().filter(|input| is(&input.role)).collect()
        };
        let counted = inputs(&|role| role == "class_counts" || role.starts_with("class_counts["));
        let learnt = inputs(&is_learnt_from);
        let Some(last) = counted.last() else { return };
        let least = learnt.iter().filter(|input| input.role != LABELLED).count();
        if !(least..=learnt.len()).contains(&counted.len()) {
            let title = format!(
                "{} learns from {} sets of labels, but `class_counts` names {}",
                stage_of(building.table.kind),
                learnt.len(),
                counted.len()
            );
            let help =
                "name one class-statistics stage for each of them, in their order; that of `labelled` may be left out";
            self.problems.push(Problem::error(title).at(last.span, "").help(help));
            return;
        }
        for (counts, labels) in counted.into_iter().zip(learnt) {
            let InputSource::Output { output, .. } = counts.from else { continue };
            let (Some(theirs), Some(own)) = (self.labels_counted_by(output.stage.index()), name_of(self, &labels.from))
            else {
                continue;
            };
            if theirs != own {
                let stage = &self.tables[output.stage.index()].name;
                let title = format!("`{stage}` counts the labels of `{theirs}`, not of `{own}`");
                let problem = Problem::error(title).at(counts.span, "");
                self.problems.push(problem.beside(labels.span, "the labels to learn from"));
            }
        }
    }

    /// The data set, or the stage, whose labels a stage counts.
    fn labels_counted_by(&self, place: usize) -> Option<String> {
        let values = &self.tables[place].values;
        match (values.get("dataset"), values.get("labels")) {
            (Some(dataset), _) => self.datasets.contains_key(dataset.text()).then(|| dataset.text().to_owned()),
            (None, Some(labels)) => {
                let stage = *self.sweeps.read(place, labels.text()).first()?;
                Some(self.tables[stage.index()].name.clone())
            }
            (None, None) => None,
        }
    }
}

fn name_of(resolver: &Resolver<'_>, from: &InputSource) -> Option<String> {
    match from {
        InputSource::Dataset { dataset, .. } => Some(resolver.dataset_list[dataset.index()].name.clone()),
        InputSource::Output { output, .. } => Some(resolver.tables[output.stage.index()].name.clone()),
        InputSource::Path { .. } => None,
    }
}
