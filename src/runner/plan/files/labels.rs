//! Checks the label values of a data set against the pipeline's classes.
//!
//! Knows no format and no encoding: `dataset` reads values and suggests other meanings. Here these become problems at the
//! line of the data set, in the same words for a plan, a run and the doctor. Invalid values stop a run; a class without
//! labels is only a warning, as a short list of street scenes may lack one.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};

use super::{Published, Survey};
use crate::dataset::Sample;
use crate::dataset::labels::{self, IGNORED, LabelError, listed};
use crate::dataset::meaning::{self, Instead, Labelling, Suspicion};
use crate::digest::FileDigest;
use crate::kind::training::is_learnt_from;
use crate::pipeline::{Format, Problem, StageId};
use crate::store::index::LabelValues;

/// How many invalid label files are named; the others are counted.
pub(super) const FILES_NAMED: usize = 5;

/// How many classes, or values, are named in a sentence.
const NAMED: usize = 12;

/// All values of the labels read, and the number of labels.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    pub(super) all: [u64; 4],
    pub(super) read: usize,
    pub(super) of: usize,
}

impl Held {
    pub(super) fn values(&self) -> Vec<u8> {
        labels::members(self.all).collect()
    }
}

impl Survey<'_> {
    /// Checks each label. Returns remarks.
    ///
    /// # Errors
    /// Invalid labels.
    pub(super) fn check_labels(&self, files: &[PathBuf], digests: &[FileDigest]) -> Result<Vec<Problem>, Vec<Problem>> {
        let looked: Vec<([u64; 4], Option<LabelError>)> =
            files.par_iter().zip(digests).map(|(file, digest)| self.look_into(file, *digest)).collect();
        let all = looked.iter().fold([0; 4], |all, (set, _)| labels::union(all, *set));
        let wrong: Vec<LabelError> = looked.into_iter().filter_map(|(_, error)| error).collect();
        if !wrong.is_empty() {
            return Err(self.wrong_labels(&wrong, all));
        }
        let told = self.judged(Held { all, read: files.len(), of: files.len() });
        if told.iter().any(Problem::is_error) { Err(told) } else { Ok(told) }
    }

    fn look_into(&self, file: &Path, digest: FileDigest) -> ([u64; 4], Option<LabelError>) {
        let path = self.surveyor.pipeline.root.join(file);
        match self.values(file, &path, digest) {
            Ok(set) if labels::members(set).all(|value| self.is_known(value)) => (set, None),
            Ok(set) => {
                let classes = self.surveyor.pipeline.classes.len();
                let wrong = labels::check(&path, self.form(), classes, &self.map).err();
                (set, wrong.map(|error| error.called(file)))
            }
            Err(error) => ([0; 4], Some(error.called(file))),
        }
    }

    /// The values of a label, from the index if it has them.
    fn values(&self, file: &Path, path: &Path, digest: FileDigest) -> Result<[u64; 4], LabelError> {
        let encoding = self.form().encoding();
        let known = self.surveyor.inputs.label_values(file).ok().flatten();
        if let Some(known) = known.filter(|known| known.encoding == encoding) {
            return Ok(known.set);
        }
        let set = labels::values(path, self.form())?;
        self.surveyor.inputs.note_label_values(file, digest, LabelValues { encoding, set });
        Ok(set)
    }

    /// Whether this value of a label is a class or ignored.
    pub(super) fn is_known(&self, value: u8) -> bool {
        let class = labels::mapped(&self.map, value);
        class == IGNORED || usize::from(class) < self.surveyor.pipeline.classes.len()
    }

    /// Problems of valid values: missing classes, other likely meanings. Empty if no label was read.
    pub(super) fn judged(&self, held: Held) -> Vec<Problem> {
        let (values, classes) = (held.values(), self.classes());
        let labelling = Labelling { values: &values, classes: &classes, map: &self.map };
        let absent = labelling.absent();
        if held.read == 0 {
            return Vec::new();
        }
        if absent.len() == classes.len() {
            vec![self.without_class(labelling)]
        } else if let Some(problem) = self.published.and_then(|published| self.suspected(labelling, published)) {
            vec![problem]
        } else if absent.is_empty() {
            Vec::new()
        } else {
            vec![self.without_some(labelling, &absent, held)]
        }
    }

    fn without_class(&self, labelling: Labelling<'_>) -> Problem {
        let found = match self.palette() {
            None => format!("the values found are {}", listed(labelling.values)),
            Some(_) => "all colours found are ignored".to_owned(),
        };
        let title = format!("no label of `{}` holds a class: {found}", self.dataset.name);
        let problem = self.read_by(Problem::error(title).at(self.dataset.span, "every pixel would be ignored"));
        self.advised(problem, labelling)
    }

    fn without_some(&self, labelling: Labelling<'_>, absent: &[usize], held: Held) -> Problem {
        let names = absent.iter().take(NAMED).map(|class| format!("{} ({class})", labelling.classes[*class]));
        let mut names = names.collect::<Vec<_>>().join(", ");
        if absent.len() > NAMED {
            names += &format!(" and {} more", absent.len() - NAMED);
        }
        let labels = if held.read < held.of {
            format!("none of the {} labels of `{}` that were read holds", held.read, self.dataset.name)
        } else {
            format!("no label of `{}` holds", self.dataset.name)
        };
        let problem = Problem::warning(format!("{labels} {names}")).at(self.dataset.span, "this data set");
        let ignored = if labelling.values.contains(&IGNORED) { ", and 255 is ignored" } else { "" };
        let problem = match self.palette() {
            None => problem.note(format!("the values found are {}{ignored}", listed(labelling.values))),
            Some(_) => {
                let found = labelling.values.iter().filter_map(|value| labelling.classes.get(usize::from(*value)));
                problem.note(format!("the classes found are {}", found.copied().collect::<Vec<_>>().join(", ")))
            }
        };
        let learners = self.learners();
        let consequence = if learners.is_empty() {
            if absent.len() == 1 {
                "its IoU is 0 for a network that predicts it; for others the class is not in the mean".to_owned()
            } else {
                "the IoU of each is 0 for a network that predicts it; for others the class is not in the mean"
                    .to_owned()
            }
        } else {
            let these = if absent.len() == 1 { "this class" } else { "these classes" };
            format!("{learners} can't learn {these} from these labels")
        };
        self.advised(problem.note(consequence), labelling)
    }

    /// The values of a published data set are probably another's.
    fn suspected(&self, labelling: Labelling<'_>, published: Published<'_>) -> Option<Problem> {
        let suspicion = meaning::suspicion(labelling, published.layout)?;
        let Suspicion { strange, instead } = &suspicion;
        let (name, format) = (&self.dataset.name, published.layout.format);
        let like: Vec<&str> = instead.iter().map(|instead| instead.called).collect();
        let like = if like.is_empty() { String::new() } else { format!("look like {}", like.join(" or ")) };
        let title = match (strange.is_empty(), like.is_empty()) {
            (true, _) => format!("the labels of `{name}` {like}, not like those of {}", published.layout.called()),
            (false, true) => {
                format!("the labels of `{name}` hold values that no {format} label holds: {}", listed(strange))
            }
            (false, false) => {
                format!("the labels of `{name}` {like}: no {format} label holds values such as {}", listed(strange))
            }
        };
        let problem = self.read_by(Problem::warning(title).at(self.dataset.span, "this data set"));
        let problem = problem.note(format!("the values found are {}", listed(labelling.values)));
        let problem = problem.note(format!("as {format} labels, such values are ignored or mean another class"));
        Some(with_help(problem, to_read(&suspicion, published)))
    }

    /// Adds the likely meanings of the values, and how to read them.
    fn advised(&self, problem: Problem, labelling: Labelling<'_>) -> Problem {
        if self.palette().is_some() {
            return problem;
        }
        let Some(published) = self.published else {
            return with_help(problem, mending(labelling, &self.dataset.map));
        };
        let layout = published.layout;
        let absent: BTreeSet<&str> = labelling.absent().into_iter().map(|class| labelling.classes[class]).collect();
        let never: Vec<&str> = layout.never.iter().copied().filter(|class| absent.contains(class)).collect();
        let problem = if never.is_empty() || absent.len() == labelling.classes.len() {
            problem
        } else {
            problem.note(format!("no label of {} has {}", layout.called(), never.join(", ")))
        };
        // If no value is a class, other meanings are worth considering.
        let suspicion = meaning::suspicion(labelling, layout).filter(|_| absent.len() == labelling.classes.len());
        let help = suspicion.map(|suspicion| to_read(&suspicion, published)).unwrap_or_default();
        with_help(problem, help)
    }

    /// The stages that learn from these labels, in words; empty if they are only used for evaluation.
    pub(super) fn learners(&self) -> String {
        let learns = |(stage, span): &&(StageId, _)| {
            let inputs = &self.surveyor.pipeline.stage(*stage).inputs;
            inputs.iter().any(|input| input.span == *span && is_learnt_from(&input.role))
        };
        let name = |(stage, _): &(StageId, _)| format!("`{}`", self.surveyor.pipeline.stage(*stage).family);
        let names: BTreeSet<String> = self.readers.iter().filter(learns).map(name).collect();
        names.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// `all`: the values of the readable labels.
    pub(super) fn wrong_labels(&self, wrong: &[LabelError], all: [u64; 4]) -> Vec<Problem> {
        let strange = self.strange_colours(wrong);
        let wrong: Vec<&LabelError> =
            wrong.iter().filter(|error| !matches!(error, LabelError::StrangeColours { .. })).collect();
        let (mut helped, mut is_painting_helped) = (HashSet::new(), false);
        let problem = |error: &&LabelError| {
            let problem = Problem::error(error.to_string()).at(self.dataset.span, "this data set");
            let help = match error {
                LabelError::Colours { colours, .. } => {
                    (!std::mem::replace(&mut is_painting_helped, true)).then(|| self.help_to_paint(colours))
                }
                error => error.cure().map(str::to_owned),
            };
            self.read_by(problem).help_if(help.filter(|help| helped.insert(help.clone())))
        };
        let mut problems: Vec<Problem> = wrong.iter().take(FILES_NAMED).map(problem).collect();
        if wrong.len() > FILES_NAMED {
            let title = match wrong.len() - FILES_NAMED {
                1 => "1 more label is wrong".to_owned(),
                more => format!("{more} more labels are wrong"),
            };
            problems.push(Problem::error(title).at(self.dataset.span, "this data set"));
        }
        if let Some(first) =
            wrong.iter().take(FILES_NAMED).position(|error| matches!(error, LabelError::NotAClass { .. }))
        {
            problems[first].help.extend(self.mending_all(all));
        }
        strange.into_iter().chain(problems).collect()
    }

    /// If a label is invalid and its image has only class values, the folders may be swapped.
    pub(super) fn ask_whether_swapped(&self, samples: &[Sample], problems: &mut [Problem]) {
        let (Format::Folder { .. }, Some(sample), Some(problem)) =
            (&self.dataset.format, samples.first(), problems.iter_mut().find(|problem| problem.is_error()))
        else {
            return;
        };
        let image = self.surveyor.pipeline.root.join(&sample.image);
        let values: Vec<u8> =
            labels::values(&image, self.form()).map(|set| labels::members(set).collect()).unwrap_or_default();
        let is_label = values.iter().any(|value| *value != IGNORED) && values.iter().all(|value| self.is_known(*value));
        if is_label {
            let image = sample.image.display();
            problem
                .help
                .push(format!("are `images` and `labels` swapped? `{image}` holds class indices: {}", listed(&values)));
        }
    }

    /// Labels with invalid values; `first` is one of them. Only for a plain folder: in a published data set every value is
    /// known.
    /// value is known.
    pub(super) fn strangers(&self, held: Held, labels: usize, first: &Path) -> Problem {
        let (values, classes) = (held.values(), self.classes());
        let strange = Labelling { values: &values, classes: &classes, map: &self.map }.strangers();
        let (read, last) = (held.read, classes.len().saturating_sub(1));
        let hold = if labels == 1 { "holds" } else { "hold" };
        let title = format!(
            "{labels} of {read} labels {hold} values that are no class: {}; the classes are 0 to {last}, and 255 is ignored",
            listed(&strange)
        );
        let mut problem = self.read_by(Problem::error(title).at(self.dataset.span, "this data set"));
        if let Err(error) = labels::check(first, self.form(), classes.len(), &self.map) {
            let name = first.strip_prefix(&self.surveyor.pipeline.root).unwrap_or(first);
            problem = problem.note(error.called(name).to_string());
        }
        with_help(problem, self.mending_all(held.all))
    }

    fn mending_all(&self, all: [u64; 4]) -> Vec<String> {
        let (values, classes) = (labels::members(all).collect::<Vec<u8>>(), self.classes());
        mending(Labelling { values: &values, classes: &classes, map: &self.map }, &self.dataset.map)
    }

    fn classes(&self) -> Vec<&str> {
        self.surveyor.pipeline.classes.iter().map(|class| class.name.as_str()).collect()
    }
}

/// Where the right labels of a published data set are, and how to read them.
fn to_read(suspicion: &Suspicion, published: Published<'_>) -> Vec<String> {
    let layout = published.layout;
    let [_, label] = layout.files(published.root, published.selection);
    let archive = format!("the labels of the published archive are called as in {label}");
    let reading = |instead: &Instead| {
        let map = instead.map.as_ref()?;
        let map = if map.is_empty() { String::new() } else { format!(", `map = {}`", meaning::shown(map)) };
        let called = instead.called;
        Some(match layout.as_folder(published.selection) {
            Some([images, labels]) => {
                format!(
                    "to read {called}: `format = \"folder\"`, `images = \"{images}\"`, `labels = \"{labels}\"`{map}"
                )
            }
            None => format!(
                "to read {called}: `format = \"folder\"` with 8-bit grey PNGs, called as their images, for labels{map}"
            ),
        })
    };
    std::iter::once(archive).chain(suspicion.instead.iter().filter_map(reading)).collect()
}

/// Maps that make the values valid. `typed`: the existing map.
fn mending(labelling: Labelling<'_>, typed: &[(u8, u8)]) -> Vec<String> {
    let readings = labelling.readings();
    let mut help: Vec<String> = readings.iter().map(meaning::Reading::advice).collect();
    if readings.first().is_some_and(|reading| reading.condition.contains("label ids")) {
        help.push(
            "`format` reads label ids as they are: cityscapes, gta5 or synscapes, in the layout of that data set"
                .to_owned(),
        );
    }
    let strange = labelling.strangers();
    if help.is_empty() && strange.len() > NAMED {
        let count = labelling.values.len();
        help.push(format!(
            "{count} different values for {} classes are those of a picture, not of class indices: was it resized, or stored as \
             JPEG?",
            labelling.classes.len()
        ));
    } else if help.is_empty() && !strange.is_empty() {
        help.push(ignoring(labelling, typed, &strange).unwrap_or_else(|| meaning_asked(labelling)));
    } else if help.is_empty() && labelling.absent().len() == labelling.classes.len() {
        let plain = Labelling { map: &[], ..labelling };
        let are_indices = plain.strangers().is_empty() && plain.absent().len() < plain.classes.len();
        help.push(if are_indices {
            "if the values are the indices of the classes: leave `map` out".to_owned()
        } else {
            meaning_asked(labelling)
        });
    }
    help
}

/// The map that ignores invalid values; `None` if that leaves no class.
fn ignoring(labelling: Labelling<'_>, typed: &[(u8, u8)], strange: &[u8]) -> Option<String> {
    let kept = typed.iter().copied().filter(|(from, _)| !strange.contains(from));
    let mut map: Vec<(u8, u8)> = kept.chain(strange.iter().map(|value| (*value, IGNORED))).collect();
    map.sort_unstable();
    let (them, are) = if strange.len() == 1 { ("it", "it is") } else { ("them", "they are") };
    let is_seen = labelling.absent().len() < labelling.classes.len();
    let map = meaning::shown(&map);
    is_seen.then(|| {
        format!("`map = {map}` in the data set ignores {them}, if {are} no class; else name the class of each")
    })
}

/// A question that only the owner of the labels can answer.
fn meaning_asked(labelling: Labelling<'_>) -> String {
    let classes = labelling.classes.iter().enumerate().take(NAMED).map(|(index, name)| format!("{name} is {index}"));
    let mut classes = classes.collect::<Vec<_>>().join(", ");
    if labelling.classes.len() > NAMED {
        classes += ", …";
    }
    let values = match labelling.values {
        [value] => format!("does the value {value}"),
        values => format!("do the values {}", listed(values)),
    };
    format!(
        "what {values} mean? `map` in the data set gives each the index of its class ({classes}), or 255 if it \
         is of none"
    )
}

fn with_help(mut problem: Problem, help: Vec<String>) -> Problem {
    problem.help.extend(help);
    problem
}

#[cfg(test)]
mod tests;
