//! Detects paths of the pipeline file that are the same place through a symbolic link.
//!
//! Knows the stages to run and only looks at links. The graph's edges come from the paths as written: a stage that reads
//! another's output under another name would have no edge to it, and two outputs at one place would overwrite each other.
//! Neither can be fixed by guessing, so both are reported before anything runs.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

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
                let real = aliases.real.of(&pipeline.root.join(&output.path));
                if real.starts_with(cache) || cache.starts_with(&real) {
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
        let is_link = |(_, shape): &(&PathBuf, &Shape)| matches!(shape, Shape::Link { .. });
        folder
            .names
            .iter()
            .filter(is_link)
            .find_map(|(name, _)| self.unnamed(&folder.path.join(name), producers, readers))
    }

    fn unnamed(&mut self, path: &Path, producers: &[OutputId], readers: &[(StageId, Span)]) -> Option<Problem> {
        let place = self.pipeline.root.join(path);
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

/// Paths → places free of links, even if nothing exists there yet. Each folder is read once.
#[derive(Default)]
pub struct Real(HashMap<PathBuf, PathBuf>);

impl Real {
    /// The place of an absolute path.
    pub fn of(&mut self, path: &Path) -> PathBuf {
        self.within(path, MOST)
    }

    fn within(&mut self, path: &Path, links: u32) -> PathBuf {
        if let Some(real) = self.0.get(path) {
            return real.clone();
        }
        let (Some(parent), Some(last)) = (path.parent(), path.components().next_back()) else { return path.to_owned() };
        let parent = self.within(parent, links);
        let real = match last {
            Component::ParentDir => parent.parent().unwrap_or(&parent).to_owned(),
            last => {
                let place = parent.join(last);
                match std::fs::read_link(&place) {
                    Ok(target) if links > 0 => self.within(&parent.join(target), links - 1),
                    _ => place,
                }
            }
        };
        self.0.insert(path.to_owned(), real.clone());
        real
    }
}
