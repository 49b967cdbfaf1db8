//! The references of a stage through which it inherits axes: names, and paths with a placeholder.
//!
//! Resolves nothing: unknown names and paths are reported later, when all members are known.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::super::paths::is_file;
use super::super::paths::normalize;
use super::super::read::Values;
use super::Family;
use super::join::Read;
use super::name::{Chosen, Reference};
use super::placeholder::axes_in;
use crate::kind::{Kind, Runs, ValueType, all};

/// Finds the stage behind a name or a path.
pub(super) struct Readings<'a> {
    places: &'a HashMap<String, usize>,
    root: &'a Path,
    /// `runs/<pipeline>`.
    runs: PathBuf,
    /// Outputs of commands, with unfilled placeholders.
    written: BTreeMap<PathBuf, usize>,
}

impl<'a> Readings<'a> {
    pub(super) fn new(
        families: &[Family],
        places: &'a HashMap<String, usize>,
        root: &'a Path,
        pipeline: &str,
    ) -> Readings<'a> {
        let mut written = BTreeMap::new();
        for (place, family) in families.iter().enumerate().filter(|(_, family)| family.kind.runs == Runs::Command) {
            for outputs in family.values.iter().filter_map(|values| values.get("outputs")) {
                written.extend(outputs.texts().into_iter().map(|(path, _)| (normalize(root, path), place)));
            }
        }
        Readings { places, root, runs: Path::new("runs").join(pipeline), written }
    }

    /// The references of a stage with these values, each once.
    pub(super) fn of(&self, kind: &'static Kind, values: &Values) -> Rc<[Read]> {
        let mut reads: Vec<Read> = Vec::new();
        for key in all(kind.keys) {
            let Some(typed) = values.get(key.name).filter(|_| values.applies(key.only) == Some(true)) else { continue };
            for (text, _) in typed.texts() {
                let read = match key.value_type {
                    ValueType::Path | ValueType::Paths => self.by_path(text),
                    ValueType::StageOrFile(_) | ValueType::StagesOrFiles(_) if is_file(text) => self.by_path(text),
                    ValueType::Stage(_)
                    | ValueType::Stages(_)
                    | ValueType::StageOrFile(_)
                    | ValueType::StagesOrFiles(_) => self.by_name(text),
                    _ => None,
                };
                reads.extend(read.filter(|read| !reads.contains(read)));
            }
        }
        reads.into()
    }

    fn by_name(&self, typed: &str) -> Option<Read> {
        let reference = Reference::parse(typed);
        let mut read = Read { typed: typed.to_owned(), family: *self.places.get(reference.family)?, ..Read::default() };
        for chosen in reference.chosen {
            match chosen {
                Chosen::At(axis, value) => read.fixed.push((axis.to_owned(), value.to_owned())),
                Chosen::Along(axis) => read.gathered.push(axis.to_owned()),
                Chosen::All => read.all = true,
            }
        }
        Some(read)
    }

    /// The output of a command by its path, that of another stage by the name of its folder.
    fn by_path(&self, typed: &str) -> Option<Read> {
        let axes = axes_in(typed);
        if axes.is_empty() {
            return None;
        }
        let path = normalize(self.root, typed);
        let written = || path.ancestors().find_map(|path| self.written.get(path)).copied();
        let folder = || {
            let folder = path.strip_prefix(&self.runs).ok()?.components().next()?.as_os_str().to_str()?;
            self.places.get(Reference::parse(folder).family).copied()
        };
        let family = written().or_else(folder)?;
        Some(Read { typed: typed.to_owned(), family, only: Some(axes), ..Read::default() })
    }
}
