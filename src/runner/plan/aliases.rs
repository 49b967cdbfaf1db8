//! Detects paths of the pipeline file that are the same place through a symbolic link.
//!
//! Knows the stages to run and only looks at links. The graph's edges come from the paths as written: a stage that reads
//! another's output under another name would have no edge to it, and two outputs at one place would overwrite each other.
//! Neither can be fixed by guessing, so both are reported before anything runs.

use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use crate::by_name;
use crate::inputs::seen::Seen;
use crate::pipeline::{
    Dataset, Format, InputSource, Output, OutputId, Pipeline, Problem, Span, Stage, StageId, Writers,
};
use crate::store::tree::Shape;

/// The system's own limit on links.
const MOST: u32 = 40;

/// The real places of outputs, and their stages.
pub struct Aliases {
    pipeline: Rc<Pipeline>,
    real: Real,
    writers: Writers,
}

impl Aliases {
    /// For all stages of a pipeline; also the outputs that share a place, or are inside the cache. `cache` is free of
    /// links.
    pub fn of(pipeline: Rc<Pipeline>, cache: &Path) -> (Aliases, Vec<Problem>) {
        let mut aliases = Aliases { pipeline, real: Real::default(), writers: Writers::default() };
        let mut problems = Vec::new();
        let pipeline = Rc::clone(&aliases.pipeline);
        for stage in pipeline.stage_ids() {
            for (place, output) in pipeline.stage(stage).outputs.iter().enumerate() {
                let id = OutputId { stage, output: place };
                let real = aliases.real.of(&by_name::join(&pipeline.root, &output.path));
                if by_name::below(&real, cache).is_some() || by_name::below(cache, &real).is_some() {
                    let title =
                        format!("the output `{}` leads, through a symbolic link, to the cache", output.path.display());
                    problems
                        .push(Problem::error(title).at(output.span, "").help("name another path, or remove the link"));
                } else if let Err(other) = aliases.writers.insert(&real, id) {
                    problems.push(aliases.one_place(id, other, &real));
                }
            }
        }
        (aliases, problems)
    }

    /// Other stages' outputs that a stage reads under another name, as far as its inputs name them.
    pub fn inputs(&mut self, stage: StageId) -> Vec<Problem> {
        let pipeline = Rc::clone(&self.pipeline);
        let mut problems = Vec::new();
        for input in &pipeline.stage(stage).inputs {
            match &input.from {
                InputSource::Output { .. } => {}
                InputSource::Path { path, producers } => {
                    problems.extend(self.unnamed(path, producers, &[(stage, input.span)]));
                }
                InputSource::Dataset { dataset, .. } => {
                    let dataset = pipeline.dataset(*dataset);
                    for (path, span) in folders(dataset) {
                        problems.extend(self.unnamed(path, &dataset.producers, &[(stage, span)]));
                    }
                }
            }
        }
        problems
    }

    /// Outputs of stages other than `producers` behind the links in a folder.
    pub fn behind_links(
        &mut self,
        seen: &Seen,
        producers: &[OutputId],
        readers: &[(StageId, Span)],
    ) -> Option<Problem> {
        let folder = seen.folder.as_ref()?;
        let is_link = |(_, shape): &&(PathBuf, Shape)| matches!(shape, Shape::Link { .. });
        folder
            .names
            .iter()
            .filter(is_link)
            .find_map(|(name, _)| self.unnamed(&folder.path.join(name), producers, readers))
    }

    fn unnamed(&mut self, path: &Path, producers: &[OutputId], readers: &[(StageId, Span)]) -> Option<Problem> {
        let place = by_name::join(&self.pipeline.root, path);
        let real = self.real.of(&place);
        let output = self.writers.touching(&real).into_iter().find(|output| !producers.contains(output))?;
        let is_its_own = readers.iter().any(|(reader, _)| *reader == output.stage);
        let span = readers.first().map_or(Span::FILE, |(_, span)| *span);
        let (stage, output) = self.output(output);
        let written = output.path.display();
        let title =
            format!("`{}` is, through a symbolic link, where `{}` writes `{written}`", path.display(), stage.name);
        let help = if is_its_own {
            "a stage can't write into what it reads: name another output, or remove the link".to_owned()
        } else {
            format!("name it `{written}`, so that `{}` is run first and its output is read", stage.name)
        };
        Some(Problem::error(title).at(span, "").beside(output.span, "written here").help(help))
    }

    fn output(&self, id: OutputId) -> (&Stage, &Output) {
        let stage = self.pipeline.stage(id.stage);
        (stage, &stage.outputs[id.output])
    }

    fn one_place(&self, one: OutputId, other: OutputId, real: &Path) -> Problem {
        let [(stage, output), (other_stage, other)] = [one, other].map(|id| self.output(id));
        let title = format!(
            "the outputs `{}` and `{}` overlap through a symbolic link: `{}`",
            other.path.display(),
            output.path.display(),
            real.display()
        );
        let problem = Problem::error(title).at(output.span, format!("{} writes it", stage.name));
        let problem = if stage.name == other_stage.name {
            problem.beside(other.span, "")
        } else {
            problem.beside(other.span, format!("{} writes it", other_stage.name))
        };
        problem.help("name another path, or remove the link")
    }
}

/// The folders and the file of a data set, as written, with their positions.
fn folders(dataset: &Dataset) -> Vec<(&Path, Span)> {
    match &dataset.format {
        Format::Folder { images, labels, list, spans, .. } => {
            let list = list.as_deref().map(|list| (list, spans.list));
            [(&**images, spans.images), (&**labels, spans.labels)].into_iter().chain(list).collect()
        }
        Format::Published { root, list, spans, .. } => {
            [(&**root, spans.root)].into_iter().chain(list.as_deref().map(|list| (list, spans.list))).collect()
        }
        Format::Scenes { .. } => Vec::new(),
    }
}

/// Paths → places free of links, even if nothing exists there yet. Each is looked at once.
#[derive(Default)]
pub struct Real {
    places: by_name::Map<Place>,
    folders: by_name::Map<Folder>,
}

/// A folder in which paths are asked for.
#[derive(Default)]
struct Folder {
    asked: usize,
    /// The names of its links, once it was worth listing it.
    links: Option<by_name::Set>,
}

/// A folder is listed when so many names in it were asked for, and then when twice as many were, as long as it has more than eight times
/// as many names: asking for each would take as long.
const WORTH_LISTING: usize = 32;

impl Folder {
    /// The target of a link in it; `None` for anything else.
    fn target(&mut self, folder: &Path, place: &Path) -> Option<PathBuf> {
        self.asked += 1;
        let is_due = self.asked >= WORTH_LISTING && self.asked.is_power_of_two();
        if self.links.is_none() && is_due {
            self.links = links_in(folder, 8 * self.asked);
        }
        match &self.links {
            Some(links) if !links.contains(by_name::name(place)) => None,
            _ => std::fs::read_link(place).ok(),
        }
    }
}

/// The names of the links in a folder; `None` if it has more than `most` names, or can't be listed.
fn links_in(folder: &Path, most: usize) -> Option<by_name::Set> {
    let mut links = by_name::Set::default();
    for (number, entry) in std::fs::read_dir(folder).ok()?.enumerate() {
        let entry = entry.ok().filter(|_| number < most)?;
        if entry.file_type().ok()?.is_symlink() {
            links.insert(entry.file_name());
        }
    }
    Some(links)
}

/// Where a path leads.
#[derive(Clone)]
enum Place {
    /// There is no link in it.
    Itself,
    Elsewhere(PathBuf),
}

impl Real {
    /// The place of an absolute path.
    pub fn of(&mut self, path: &Path) -> PathBuf {
        self.place(path, MOST)
    }

    fn place(&mut self, path: &Path, links: u32) -> PathBuf {
        let path = by_name::plain(path);
        match self.within(&path, links) {
            Place::Itself => path.into_owned(),
            Place::Elsewhere(place) => place,
        }
    }

    fn within(&mut self, path: &Path, links: u32) -> Place {
        if let Some(place) = self.places.get(path.as_os_str()) {
            return place.clone();
        }
        let (Some(parent), Some(last)) = (path.parent(), path.components().next_back()) else { return Place::Itself };
        let parent = match self.within(parent, links) {
            Place::Itself => None,
            Place::Elsewhere(parent) => Some(parent),
        };
        let place = match last {
            Component::ParentDir => {
                let parent = parent.as_deref().or(path.parent()).unwrap_or(path);
                Place::Elsewhere(parent.parent().unwrap_or(parent).to_owned())
            }
            last => {
                let moved = parent.map(|parent| parent.join(last));
                let place = moved.as_deref().unwrap_or(path);
                let folder = place.parent().unwrap_or(place);
                if !self.folders.contains_key(folder.as_os_str()) {
                    self.folders.insert(folder.into(), Folder::default());
                }
                let known = self.folders.get_mut(folder.as_os_str());
                match known.and_then(|known| known.target(folder, place)) {
                    Some(target) if links > 0 => Place::Elsewhere(self.place(&folder.join(target), links - 1)),
                    _ => moved.map_or(Place::Itself, Place::Elsewhere),
                }
            }
        };
        self.places.insert(path.into(), place.clone());
        place
    }
}
