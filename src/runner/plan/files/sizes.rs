//! Images whose size a stage would refuse: told before a training meets the first of them.
//!
//! The rules are those of `ml` (`data::loader`, `data::augment`, `discriminator`). An image that is drawn for certain makes an
//! error, as nothing good can come of the run; one that may be drawn, a warning.

use std::collections::BTreeSet;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::Survey;
use super::photographs::{Photograph, label_size};
use crate::dataset::survey;
use crate::kind::training::{DISCRIMINATOR_SIDE, has_discriminator};
use crate::spec::{Dataset, InputSource, Pipeline, Problem, Span, Stage, StageId, Value};

/// Images of a data set with the sizes that a network sees.
pub(in crate::plan) struct Sizes<'a> {
    pub(in crate::plan) pipeline: &'a Pipeline,
    pub(in crate::plan) dataset: &'a Dataset,
    /// The stages that read it and where each says so.
    pub(in crate::plan) readers: &'a [(StageId, Span)],
    /// One stands for all if it is the only one.
    pub(in crate::plan) sizes: Vec<(String, [u32; 2])>,
    /// How many images there are.
    pub(in crate::plan) images: usize,
}

/// A training that draws images of the data set.
struct Training<'a> {
    stage: &'a Stage,
    /// Whether it draws each of them.
    draws_all: bool,
}

/// Images that don't fit, and who would stop at them.
struct Misfit<'a> {
    title: String,
    help: &'static str,
    trainings: Vec<Training<'a>>,
}

impl Sizes<'_> {
    /// What is wrong with them, if anything.
    pub(in crate::plan) fn problems(&self) -> Vec<Problem> {
        let trainings: Vec<Training<'_>> = trainings(self.pipeline, self.dataset, self.readers)
            .map(|(stage, role)| self.training(stage, role))
            .collect();
        if self.sizes.is_empty() {
            return Vec::new();
        }
        let mut misfits: Vec<Misfit<'_>> = Vec::new();
        for training in trainings {
            for (title, help, is_certain) in self.misfits(&training) {
                let training = Training { draws_all: training.draws_all && is_certain, ..training };
                match misfits.iter_mut().find(|misfit| misfit.title == title) {
                    Some(misfit) => misfit.trainings.push(training),
                    None => misfits.push(Misfit { title, help, trainings: vec![training] }),
                }
            }
        }
        misfits.into_iter().map(|misfit| problem(misfit, self.dataset.span)).collect()
    }

    fn training<'s>(&self, stage: &'s Stage, role: &str) -> Training<'s> {
        let number =
            |key| stage.parameter(key).and_then(Value::as_integer).and_then(|number| u64::try_from(number).ok());
        let drawn = number("iterations").unwrap_or(0).saturating_mul(number("batch").unwrap_or(1));
        // Of a part of the data set nobody knows yet which images are in it.
        Training { stage, draws_all: role != "images" && drawn >= self.images as u64 }
    }

    /// Title, help, and whether whoever draws all images stops at one.
    fn misfits(&self, training: &Training<'_>) -> Vec<(String, &'static str, bool)> {
        let stage = training.stage;
        let crop = stage.parameter("crop").map(sides);
        let batch = stage.parameter("batch").and_then(Value::as_integer).unwrap_or(1);
        let mut found = Vec::new();
        if let Some([width, height]) = crop {
            let what = format!("smaller than the crop of {}", shown([width, height]));
            let is_too_small = |size: [u32; 2]| size[0] < width || size[1] < height;
            let help = "`size` in the data set brings all images to one size; a smaller `crop` fits as well";
            found.extend(self.too_small(&what, is_too_small).map(|title| (title, help, true)));
        } else if batch > 1
            && let Some(title) = self.mixed(batch)
        {
            found.push((title, "a `size` in the data set, a `crop` in the training, or `batch = 1`", false));
        }
        if stage.parameter("method").and_then(Value::as_text).is_some_and(has_discriminator) {
            let seen = |size: [u32; 2]| crop.unwrap_or(size);
            let is_too_small = |size| seen(size).into_iter().any(|side| side < DISCRIMINATOR_SIDE);
            let what = match crop {
                Some(crop) => {
                    format!("cropped to {}: the discriminator needs {DISCRIMINATOR_SIDE} pixels a side", shown(crop))
                }
                None => format!("too small for the discriminator, which needs {DISCRIMINATOR_SIDE} pixels a side"),
            };
            let help = "a larger `size` in the data set, or a `list` without such images";
            found.extend(self.too_small(&what, is_too_small).map(|title| (title, help, true)));
        }
        found
    }

    fn too_small(&self, what: &str, is_too_small: impl Fn([u32; 2]) -> bool) -> Option<String> {
        let mut those = self.sizes.iter().filter(|(_, size)| is_too_small(*size));
        let (name, size) = those.next()?;
        let one_for_all = self.sizes.len() == 1;
        let some = if one_for_all { self.images } else { 1 + those.count() };
        let verb = if some == 1 { "is" } else { "are" };
        let (all, dataset) = (self.images, &self.dataset.name);
        Some(format!("{some} of {all} images of `{dataset}` {verb} {what}: `{name}` is {}", shown(*size)))
    }

    fn mixed(&self, batch: i64) -> Option<String> {
        let (first, size) = self.sizes.first()?;
        let mut others = self.sizes.iter().filter(|(_, other)| other != size);
        let (other, other_size) = others.next()?;
        let (dataset, size, other_size) = (&self.dataset.name, shown(*size), shown(*other_size));
        let title = format!("images of `{dataset}` have different sizes, which a batch of {batch} can't hold");
        Some(format!("{title}: `{first}` is {size}, `{other}` {other_size}"))
    }
}

fn problem(misfit: Misfit<'_>, span: Span) -> Problem {
    let names: BTreeSet<String> =
        misfit.trainings.iter().map(|training| format!("`{}`", training.stage.family)).collect();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    let is_certain = misfit.trainings.iter().any(|training| training.draws_all);
    let (problem, verb) = match is_certain {
        true => (Problem::error(misfit.title), "would stop"),
        false => (Problem::warning(misfit.title), "stops"),
    };
    problem.at(span, "this data set").note(format!("{names} {verb} at the first of them")).help(misfit.help)
}

/// The trainings among the readers that draw images of the data set, and the role that it has in each. What a training
/// evaluates itself on is no such role: there any size will do.
fn trainings<'p>(
    pipeline: &'p Pipeline,
    dataset: &'p Dataset,
    readers: &'p [(StageId, Span)],
) -> impl Iterator<Item = (&'p Stage, &'p str)> {
    let reads = move |input: &&crate::spec::Input| match input.from {
        InputSource::Dataset { dataset: id, .. } => {
            input.role != "dataset" && pipeline.dataset(id).name == dataset.name
        }
        _ => false,
    };
    let stages: BTreeSet<StageId> = readers.iter().map(|(stage, _)| *stage).collect();
    stages
        .into_iter()
        .map(|stage| pipeline.stage(stage))
        .filter(|stage| stage.is_training())
        .filter_map(move |stage| Some((stage, stage.inputs.iter().find(reads)?.role.as_str())))
}

impl Survey<'_> {
    /// What is wrong with the sizes of these images, and of their labels where a training reads them.
    pub(super) fn of_sizes(&self, seen: &[Photograph<'_>]) -> Vec<Problem> {
        let sizes = match self.dataset.size {
            Some(size) => seen.first().map(|one| (one.sample.name.clone(), size)).into_iter().collect(),
            None => seen.iter().map(|one| (one.sample.name.clone(), one.size)).collect(),
        };
        let Survey { surveyor, dataset, readers, .. } = *self;
        let sizes = Sizes { pipeline: surveyor.pipeline, dataset, readers, sizes, images: seen.len() };
        sizes.problems().into_iter().chain(self.of_other_size(seen)).collect()
    }

    /// The labels of another size than their image, if nothing brings them to one size. Of many pairs some are looked at, evenly
    /// spread: labels are opened at every plan.
    fn of_other_size(&self, seen: &[Photograph<'_>]) -> Option<Problem> {
        // An evaluation brings what a network predicts to the size of the label, whatever that is.
        let learners = self.learners();
        if self.dataset.size.is_some() || !self.labels || learners.is_empty() {
            return None;
        }
        let root = &self.surveyor.pipeline.root;
        let look = |one: &'_ Photograph<'_>| Some((one.size, label_size(&root.join(one.sample.label.as_ref()?))?));
        let some: Vec<&Photograph<'_>> = survey::spread(seen, survey::SAMPLED).collect();
        let looked: Vec<_> = some.into_par_iter().filter_map(|one| Some((one, look(one)?))).collect();
        let mut others = looked.iter().filter(|(_, (image, label))| image != label);
        let (first, (image, label)) = others.next()?;
        let title = format!(
            "{} of {} labels of `{}` have another size than their image: `{}` is {}, its label {}",
            1 + others.count(),
            looked.len(),
            self.dataset.name,
            first.sample.name,
            shown(*image),
            shown(*label),
        );
        let problem = Problem::warning(title);
        let problem =
            problem.at(self.dataset.span, "this data set").note(format!("{learners} stops at the first of them"));
        Some(self.help_to_fit(problem, first, *label))
    }

    fn help_to_fit(&self, problem: Problem, first: &Photograph<'_>, label: [u32; 2]) -> Problem {
        let [width, height] = first.size;
        let is_turned_over = label == [height, width];
        let has_tag = first.facts.is_some_and(|facts| facts.orientation.swaps_sides());
        match (is_turned_over, has_tag && self.dataset.orientation.is_ignore()) {
            (true, true) if self.help_to_turn().is_some() => problem.help_if(self.help_to_turn()),
            (true, _) => problem.help("one of the two lies on its side: turn the image or its label"),
            _ => problem.help(format!("`size = [{width}, {height}]` in the data set brings both to that size")),
        }
    }
}

fn sides(value: &Value) -> [u32; 2] {
    let side = |i: usize| value.elements().get(i).and_then(Value::as_integer).and_then(|side| u32::try_from(side).ok());
    [side(0).unwrap_or_default(), side(1).unwrap_or_default()]
}

fn shown([width, height]: [u32; 2]) -> String {
    format!("{width} × {height}")
}
