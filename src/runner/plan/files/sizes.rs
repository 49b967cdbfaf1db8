//! Image sizes that a stage would refuse: reported before it meets the first such image, after hours of training perhaps.
//!
//! The rules are those of `ml` (`data::loader`, `data::order`, `data::augment`, `discriminator`, `network`). What a stage will
//! certainly meet is an error; what a training may meet, a warning.

mod batches;
mod memory;

use std::collections::BTreeSet;

use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};

use super::Survey;
use super::photographs::{Photograph, label_size};
use crate::kind::dataset::{Fit, Margins};
use crate::kind::model::{feature_stride, smallest_side};
use crate::kind::training::{
    CANDIDATES, DISCRIMINATOR_SIDE, FEATURE_DISTANCE, LABELLED, LEARNT_FROM, has_discriminator, is_learnt_from,
};
use crate::measures::pixels;
use crate::pipeline::{Dataset, Input, InputSource, Pipeline, Problem, Span, Stage, StageId, Value};
use crate::plan::margins;

/// Images of a data set with the sizes that a network sees.
pub(in crate::plan) struct Sizes<'a> {
    pub(in crate::plan) pipeline: &'a Pipeline,
    pub(in crate::plan) dataset: &'a Dataset,
    /// The stages that read it, with the positions of their inputs.
    pub(in crate::plan) readers: &'a [(StageId, Span)],
    /// One image represents all if it is the only one.
    pub(in crate::plan) sizes: Vec<(String, [u32; 2])>,
    /// Number of images.
    pub(in crate::plan) images: usize,
}

/// A training that reads images of the data set.
struct Training<'a> {
    stage: &'a Stage,
    /// How many it reads of the whole data set: the first ones of an order that contains each once. For a part of the data
    /// set it isn't known yet which images are in it.
    drawn: Option<u64>,
    /// Number of images in the data set.
    images: usize,
    /// Whether it learns from labels of these images.
    learns: bool,
}

impl Training<'_> {
    /// Whether it certainly reads at least one of `some` images.
    fn meets(&self, some: usize) -> bool {
        let others = self.images.saturating_sub(some) as u64;
        some > 0 && self.drawn.map_or(others == 0, |drawn| drawn > others)
    }
}

/// Images of an unsuitable size, and the stages that would stop at them.
struct Misfit {
    title: String,
    help: &'static str,
    /// The stages' names.
    stages: BTreeSet<String>,
    /// Whether one of them would certainly stop.
    is_certain: bool,
}

impl Sizes<'_> {
    /// Their problems, if any.
    pub(in crate::plan) fn problems(&self) -> Vec<Problem> {
        let trainings: Vec<Training<'_>> = trainings(self.pipeline, self.dataset, self.readers)
            .map(|(stage, role)| self.training(stage, role))
            .collect();
        if self.sizes.is_empty() {
            return Vec::new();
        }
        let of_trainings = trainings.iter().flat_map(|training| {
            self.misfits(training)
                .into_iter()
                .map(|(title, help, is_certain)| (training.stage, title, help, is_certain))
        });
        let of_lookers = lookers(self.pipeline, self.dataset, self.readers).filter_map(|(stage, most)| {
            let (title, some) = self.too_small(stage)?;
            let others = self.images.saturating_sub(some) as u64;
            Some((stage, title, LARGER, most.is_none_or(|most| most > others)))
        });
        let mut misfits: Vec<Misfit> = Vec::new();
        for (stage, title, help, is_certain) in of_trainings.chain(of_lookers) {
            let name = format!("`{}`", stage.family);
            match misfits.iter_mut().find(|misfit| misfit.title == title) {
                Some(misfit) => {
                    misfit.stages.insert(name);
                    misfit.is_certain |= is_certain;
                }
                None => misfits.push(Misfit { title, help, stages: [name].into(), is_certain }),
            }
        }
        let misfits = misfits.into_iter().map(|misfit| problem(misfit, self.dataset.span));
        misfits.chain(self.too_large()).collect()
    }

    fn training<'s>(&self, stage: &'s Stage, role: &str) -> Training<'s> {
        training(stage, role, self.images)
    }

    /// Title, help, and whether the training certainly stops.
    fn misfits(&self, training: &Training<'_>) -> Vec<(String, &'static str, bool)> {
        let stage = training.stage;
        let crop = stage.parameter("crop").map(sides);
        let batch = stage.parameter("batch").and_then(Value::as_integer).unwrap_or(1);
        let mut found = Vec::new();
        if let Some([width, height]) = crop {
            let what = format!("smaller than the crop of {}", pixels([width, height]));
            let is_too_small = |size: [u32; 2]| size[0] < width || size[1] < height;
            let help = "`size` in the data set brings all images to one size; a smaller `crop` fits as well";
            found.extend(self.unsuitable(&what, is_too_small).map(|(title, some)| (title, help, training.meets(some))));
        } else if batch > 1
            && let Some(title) = self.mixed(batch)
        {
            let help = "a `size` in the data set, a `crop` in the training, or `batch = 1`";
            found.push((title, help, self.is_mixed_for_certain(training, batch)));
        }
        let least = |who: &str, least: u32| {
            let is_too_small = |size: [u32; 2]| crop.unwrap_or(size).into_iter().any(|side| side < least);
            let (what, help) = match crop {
                Some(crop) => (
                    format!("cropped to {}: {who} needs {least} pixels a side", pixels(crop)),
                    "a larger `crop` in the training",
                ),
                None => (too_small_for(who, least), LARGER),
            };
            self.unsuitable(&what, is_too_small).map(|(title, some)| (title, help, training.meets(some)))
        };
        if margins::heeded(self.pipeline, stage).is_some_and(|(_, dataset)| dataset.name == self.dataset.name) {
            let Margins { top, bottom, left, right } = self.dataset.margins;
            let is_all_margin = |[width, height]: [u32; 2]| left + right >= width || top + bottom >= height;
            let help = "smaller margins, or a `list` without such images";
            let found_some = self.unsuitable("all margin", is_all_margin);
            found.extend(found_some.map(|(title, some)| (title, help, training.meets(some))));
        }
        if stage.parameter("method").and_then(Value::as_text).is_some_and(has_discriminator) {
            found.extend(least("the discriminator", DISCRIMINATOR_SIDE));
        }
        let arch = stage.parameter("model.arch").and_then(Value::as_text).unwrap_or_default();
        found.extend(least("the network", smallest_side(arch)));
        if training.learns && stage.meets(&FEATURE_DISTANCE) {
            let output_stride = stage.parameter("model.output_stride").and_then(Value::as_integer);
            let stride = feature_stride(arch, output_stride);
            let has_parts = |size: [u32; 2]| crop.unwrap_or(size).into_iter().any(|side| side % stride != 0);
            let cropped = crop.map(|crop| format!("cropped to {}: ", pixels(crop))).unwrap_or_default();
            let what = format!("{cropped}not of sides that the feature distance takes, multiples of {stride}");
            let help =
                "a `crop` in the training, or a `size` in the data set, of such sides; or `feature_distance = false`";
            found.extend(self.unsuitable(&what, has_parts).map(|(title, some)| (title, help, training.meets(some))));
        }
        found
    }

    /// The images that the networks of this stage can't see, if they are shown them as they are.
    fn too_small(&self, stage: &Stage) -> Option<(String, usize)> {
        let archs = stage.parameters.iter().filter(|parameter| parameter.name.ends_with(".arch"));
        let least = archs.filter_map(|arch| Some(smallest_side(arch.value.as_text()?))).max()?;
        self.unsuitable(&too_small_for("the network", least), |size| size.into_iter().any(|side| side < least))
    }

    /// The message about these, and their number.
    fn unsuitable(&self, what: &str, is_unsuitable: impl Fn([u32; 2]) -> bool) -> Option<(String, usize)> {
        let mut those = self.sizes.iter().filter(|(_, size)| is_unsuitable(*size));
        let (name, size) = those.next()?;
        let one_for_all = self.sizes.len() == 1;
        let some = if one_for_all { self.images } else { 1 + those.count() };
        let verb = if some == 1 { "is" } else { "are" };
        let (all, dataset) = (self.images, &self.dataset.name);
        let title = format!("{some} of {all} images of `{dataset}` {verb} {what}: `{name}` is {}", pixels(*size));
        Some((title, some))
    }

    fn is_mixed_for_certain(&self, training: &Training<'_>, batch: i64) -> bool {
        let (Some(drawn), Ok(batch)) = (training.drawn, usize::try_from(batch)) else { return false };
        let sizes: Vec<[u32; 2]> = self.sizes.iter().map(|(_, size)| *size).collect();
        match training.stage.parameter("order").and_then(Value::as_text) {
            Some("sequential") => batches::are_mixed_in_order(&sizes, batch, drawn),
            _ => batches::are_mixed_in_any_order(&sizes, batch, drawn),
        }
    }

    fn mixed(&self, batch: i64) -> Option<String> {
        let (first, size) = self.sizes.first()?;
        let mut others = self.sizes.iter().filter(|(_, other)| other != size);
        let (other, other_size) = others.next()?;
        let (dataset, size, other_size) = (&self.dataset.name, pixels(*size), pixels(*other_size));
        let title = format!("images of `{dataset}` have different sizes, which a batch of {batch} can't hold");
        Some(format!("{title}: `{first}` is {size}, `{other}` {other_size}"))
    }
}

/// The training as a reader of `images` images.
fn training<'s>(stage: &'s Stage, role: &str, images: usize) -> Training<'s> {
    let number = |key| stage.parameter(key).and_then(Value::as_integer).and_then(|number| u64::try_from(number).ok());
    let drawn = number("iterations").unwrap_or(0).saturating_mul(number("batch").unwrap_or(1));
    let by_chance = stage.input(LABELLED).is_some()
        || stage.parameter("rare_class_sampling").and_then(Value::as_flag).unwrap_or_default();
    let is_in_turn = role == "target" || role == LEARNT_FROM && !by_chance;
    Training { stage, drawn: is_in_turn.then_some(drawn), images, learns: role != "target" }
}

const LARGER: &str = "a larger `size` in the data set, or a `list` without such images";

fn too_small_for(who: &str, least: u32) -> String {
    format!("too small for {who}, which needs {least} pixels a side")
}

fn problem(misfit: Misfit, span: Span) -> Problem {
    let names = misfit.stages.into_iter().collect::<Vec<_>>().join(", ");
    let problem = if misfit.is_certain { Problem::error(misfit.title) } else { Problem::warning(misfit.title) };
    problem.at(span, "this data set").note(stops(&names, misfit.is_certain)).help(misfit.help)
}

fn stops(names: &str, is_certain: bool) -> String {
    format!("{names} {} at the first of them", if is_certain { "would stop" } else { "stops" })
}

/// The trainings among the readers that draw images of the data set, with its role in each. The data sets of looks at the network
/// during a training don't count: these may have nearly any size.
fn trainings<'p>(
    pipeline: &'p Pipeline,
    dataset: &'p Dataset,
    readers: &[(StageId, Span)],
) -> impl Iterator<Item = (&'p Stage, &'p str)> {
    let draws = move |stage: &'p Stage| roles(pipeline, dataset, stage).find(|role| !is_looked_at(role));
    let trainings = stages(pipeline, readers).filter(|stage| stage.is_training());
    trainings.filter_map(move |stage| Some((stage, draws(stage)?)))
}

/// The readers that show their network images of the data set, uncropped: all that predict, and trainings that look at their
/// network from time to time. With each how many images it is shown, if not all.
fn lookers<'p>(
    pipeline: &'p Pipeline,
    dataset: &'p Dataset,
    readers: &[(StageId, Span)],
) -> impl Iterator<Item = (&'p Stage, Option<u64>)> {
    stages(pipeline, readers).filter_map(move |stage| {
        let is_scored_on = pipeline.scored_on(stage).is_some_and(|id| pipeline.dataset(id).name == dataset.name);
        if !stage.is_training() || roles(pipeline, dataset, stage).any(|role| role == EVALUATED) {
            Some((stage, None))
        } else if is_scored_on {
            let most = stage.parameter("candidates_images").and_then(Value::as_integer);
            Some((stage, most.and_then(|most| most.try_into().ok())))
        } else {
            None
        }
    })
}

fn stages<'p>(pipeline: &'p Pipeline, readers: &[(StageId, Span)]) -> impl Iterator<Item = &'p Stage> {
    let stages: BTreeSet<StageId> = readers.iter().map(|(stage, _)| *stage).collect();
    stages.into_iter().map(|stage| pipeline.stage(stage))
}

/// What the data set is to the stage.
fn roles<'p>(pipeline: &'p Pipeline, dataset: &'p Dataset, stage: &'p Stage) -> impl Iterator<Item = &'p str> {
    let is_it = |input: &&Input| match input.from {
        InputSource::Dataset { dataset: id, .. } => pipeline.dataset(id).name == dataset.name,
        _ => false,
    };
    stage.inputs.iter().filter(is_it).map(|input| input.role.as_str())
}

/// The role of the data set on which a training evaluates its network from time to time.
const EVALUATED: &str = "dataset";

/// Whether a training with such an input only looks at it.
fn is_looked_at(role: &str) -> bool {
    [EVALUATED, CANDIDATES].contains(&role)
}

impl Survey<'_> {
    /// Whether the sizes of labels matter: a training learns from them, and nothing resizes them.
    pub(super) fn needs_sizes_of_labels(&self) -> bool {
        self.dataset.size.is_none() && self.labels && !self.learners().is_empty()
    }

    /// Problems with the sizes of these images, and of their labels if a training reads them.
    pub(super) fn of_sizes(&self, seen: &[Photograph<'_>]) -> Vec<Problem> {
        let sizes = self.seen_sizes(seen);
        let Survey { surveyor, dataset, readers, .. } = *self;
        let sizes = Sizes { pipeline: surveyor.pipeline, dataset, readers, sizes, images: seen.len() };
        sizes.problems().into_iter().chain(self.of_other_size(seen)).collect()
    }

    /// The size of all images, if they have one.
    pub(super) fn one_size(&self, seen: &[Photograph<'_>]) -> Option<[u32; 2]> {
        let first = self.seen_size(seen.first()?);
        seen.iter().all(|one| self.seen_size(one) == first).then_some(first)
    }

    /// The size of an image as a network sees it.
    fn seen_size(&self, one: &Photograph<'_>) -> [u32; 2] {
        self.dataset.size.map_or(one.size, |size| self.dataset.scaling.size_of(one.size, size))
    }

    /// The images with their sizes as a network sees them; one for all where they are brought to one size.
    fn seen_sizes(&self, seen: &[Photograph<'_>]) -> Vec<(String, [u32; 2])> {
        let is_one = self.dataset.size.is_some() && self.dataset.scaling.fit == Fit::Exact;
        let most = if is_one { 1 } else { seen.len() };
        seen.iter().take(most).map(|one| (one.sample.name.clone(), self.seen_size(one))).collect()
    }

    /// The labels whose size differs from their image's.
    fn of_other_size(&self, seen: &[Photograph<'_>]) -> Option<Problem> {
        // An evaluation resizes a prediction to its label.
        if !self.needs_sizes_of_labels() {
            return None;
        }
        let others: Vec<(&Photograph<'_>, [u32; 2])> = (seen.par_iter().with_min_len(64))
            .filter_map(|one| Some((one, self.size_of_label(one)?)))
            .filter(|(one, label)| one.size != *label)
            .collect();
        let (first, label) = others.first()?;
        let (some, have, its) = match others.len() {
            1 => (1, "has", "its"),
            some => (some, "have", "their"),
        };
        let title = format!(
            "{some} of {} labels of `{}` {have} another size than {its} image: `{}` is {}, its label {}",
            seen.len(),
            self.dataset.name,
            first.sample.name,
            pixels(first.size),
            pixels(*label),
        );
        let is_certain = trainings(self.surveyor.pipeline, self.dataset, self.readers)
            .filter(|(_, role)| is_learnt_from(role))
            .any(|(stage, role)| training(stage, role, seen.len()).meets(some));
        let problem = if is_certain { Problem::error(title) } else { Problem::warning(title) };
        let problem = problem.at(self.dataset.span, "this data set").note(stops(&self.learners(), is_certain));
        Some(self.help_to_fit(problem, first, *label))
    }

    fn size_of_label(&self, one: &Photograph<'_>) -> Option<[u32; 2]> {
        let label = one.sample.label.as_ref()?;
        let known = self.surveyor.inputs.photograph(label).map(|facts| facts.size);
        known.or_else(|| label_size(&self.surveyor.pipeline.root.join(label)))
    }

    fn help_to_fit(&self, problem: Problem, first: &Photograph<'_>, label: [u32; 2]) -> Problem {
        let [width, height] = first.size;
        let is_turned_over = label == [height, width];
        let has_tag = first.facts.is_some_and(|facts| facts.orientation.swaps_sides());
        match (is_turned_over, has_tag && self.dataset.orientation.is_ignore()) {
            (true, true) if self.help_to_turn().is_some() => problem.help_if(self.help_to_turn()),
            (true, _) => problem.help("one of the two lies on its side: turn the image or its label"),
            _ => problem.help(format!("`size = [{width}, {height}]` in the data set resizes both to it")),
        }
    }
}

fn sides(value: &Value) -> [u32; 2] {
    let side = |i: usize| value.elements().get(i).and_then(Value::as_integer).and_then(|side| u32::try_from(side).ok());
    [side(0).unwrap_or_default(), side(1).unwrap_or_default()]
}
