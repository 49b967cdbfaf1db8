//! Matches labels to images by their names, and finds unmatched files in the folder of the labels.
//!
//! Opens no file: takes names. A label has its image's name, with its own extension; a name that differs only in Unicode
//! form or letter case is accepted with a remark, if it is unambiguous.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use super::naming::{Naming, Place, ends_in};
use super::spelling::{Difference, Spellings};
use super::{DatasetError, Names};

/// A remark on names, although all files were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// A list, or the folder of the labels, spells image names differently from the files.
    Spelled {
        /// The list or the folder, relative to the workspace's root.
        place: PathBuf,
        /// The images, by their file names.
        names: Names,
        /// How the first of them differs.
        difference: Difference,
    },
    /// Labels that belong to no image.
    WithoutImage {
        /// The folder of the labels, relative to the workspace's root.
        folder: PathBuf,
        /// The labels.
        names: Names,
    },
    /// Pictures in the folder of the labels that aren't read as labels.
    NoLabels {
        /// The folder of the labels, relative to the workspace's root.
        folder: PathBuf,
        /// The pictures.
        names: Names,
    },
}

impl Remark {
    /// Images were found in spite of their spelling; `None` if none was.
    pub(super) fn of_spellings(place: &Path, spelled: &[(&str, Difference)]) -> Option<Remark> {
        let (_, difference) = *spelled.first()?;
        let names = Names::of(spelled.iter().map(|(name, _)| *name))?;
        Some(Remark::Spelled { place: place.to_owned(), names, difference })
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |names: &Names, one: &str| match names.count {
            1 => format!("1 {one}"),
            count => format!("{count} {one}s"),
        };
        match self {
            Remark::Spelled { place, names, difference } => {
                write!(f, "`{}` names {} {difference}: {names}", place.display(), names.counted())
            }
            Remark::WithoutImage { folder, names } => {
                write!(f, "`{}` holds {} without an image: {names}", folder.display(), counted(names, "label"))
            }
            Remark::NoLabels { folder, names } => {
                let are = if names.count == 1 { "is" } else { "are" };
                let pictures = counted(names, "picture");
                write!(f, "`{}` holds {pictures} that {are} not read, as labels are PNGs: {names}", folder.display())
            }
        }
    }
}

/// The folder of the labels.
pub(super) struct Labels<'a> {
    place: &'a Place,
    naming: &'a Naming,
    labels: &'a [String],
    /// Pictures with other extensions.
    others: &'a [String],
    /// Labels that are spelled differently from their images, by image.
    spelled: Vec<(String, &'a str, Difference)>,
}

impl<'a> Labels<'a> {
    pub(super) fn new(place: &'a Place, naming: &'a Naming, labels: &'a [String], others: &'a [String]) -> Labels<'a> {
        Labels { place, naming, labels, others, spelled: Vec::new() }
    }

    /// The label of each image, if it has one. `stems`: of all images in their folder.
    pub(super) fn pair(
        &mut self,
        images: &[String],
        stems: &HashSet<String>,
    ) -> Result<Vec<Option<&'a str>>, DatasetError> {
        let mut by_stem: HashMap<&str, &'a str> = HashMap::with_capacity(self.labels.len());
        for label in self.labels {
            if let Some(other) = by_stem.insert(self.stem(label), label)
                && stems.contains(self.stem(label))
            {
                let (folder, first, second) = (self.place.labels.clone(), other.to_owned(), label.to_owned());
                return Err(DatasetError::TwoLabels { folder, first, second });
            }
        }
        let mut free: Option<Spellings<'a>> = None;
        let (mut paired, mut taken) = (Vec::with_capacity(images.len()), HashSet::new());
        for image in images {
            let wanted = self.naming.stem(image);
            let label = by_stem.get(wanted).copied().or_else(|| {
                let free =
                    free.get_or_insert_with(|| Spellings::of(self.free(stems).map(|label| (self.stem(label), label))));
                let (label, difference) = free.find(wanted)?;
                taken.insert(label).then(|| self.spelled.push((image.clone(), label, difference)))?;
                Some(label)
            });
            paired.push(label);
        }
        Ok(paired)
    }

    fn stem(&self, label: &'a str) -> &'a str {
        self.naming.label_stem(label)
    }

    /// The labels that belong to no image by their name.
    fn free(&self, stems: &HashSet<String>) -> impl Iterator<Item = &'a str> {
        self.labels.iter().map(String::as_str).filter(|label| !stems.contains(self.stem(label)))
    }

    /// What may be the label of an image that has none.
    pub(super) fn similar(&self, image: &str) -> Option<String> {
        if self.labels.is_empty() && self.others.is_empty() {
            return Some(format!("no file below that folder ends in {}", self.naming.labels[0]));
        }
        let wanted = self.naming.stem(image);
        let is_other = |name: &&String| name.rsplit_once('.').is_some_and(|(stem, _)| stem == wanted);
        if let Some(other) = self.others.iter().find(is_other).filter(|_| self.place.labels != self.place.images) {
            let is_jpeg = ends_in(other, &[".jpg", ".jpeg"]);
            let why =
                if is_jpeg { "a JPEG alters the values of a label; store labels as PNG" } else { "labels are PNGs" };
            return Some(format!("for `{image}` there is `{other}`: {why}"));
        }
        let base = |name: &'_ str| name.rsplit('/').next().unwrap_or_default().to_owned();
        let near_to = base(self.naming.label_of(wanted).strip_suffix(self.naming.labels[0]).unwrap_or(wanted));
        let is_near = |label: &&String| base(label).starts_with(&near_to);
        // Next to labels with a specific extension there are usually other kinds of files.
        let others = || self.others.iter().filter(|name| name.to_lowercase().contains("label")).find(is_near);
        let near = self.labels.iter().find(is_near).or_else(others)?;
        Some(format!(
            "for `{image}` there is `{near}`: a label has the name of its image, `{}`",
            self.naming.label_of(wanted)
        ))
    }

    /// Remarks, once all labels are matched.
    pub(super) fn remarks(&self, stems: &HashSet<String>) -> Vec<Remark> {
        let folder = &self.place.labels;
        let spelled: Vec<(&str, Difference)> =
            self.spelled.iter().map(|(image, _, difference)| (image.as_str(), *difference)).collect();
        let taken: HashSet<&str> = self.spelled.iter().map(|(_, label, _)| *label).collect();
        let spelled = Remark::of_spellings(folder, &spelled);
        // With a list the user has chosen; and next to labels with a specific extension, other files are usual.
        let has_chosen = self.place.list.is_some() || *folder == self.place.images;
        let spare = (!has_chosen).then(|| Names::of(self.free(stems).filter(|label| !taken.contains(label)))).flatten();
        let is_plain = self.naming.is_plain();
        let others = (!has_chosen && is_plain).then(|| Names::of(self.others.iter().map(String::as_str))).flatten();
        let spare = spare.map(|names| Remark::WithoutImage { folder: folder.clone(), names });
        let others = others.map(|names| Remark::NoLabels { folder: folder.clone(), names });
        spelled.into_iter().chain(spare).chain(others).collect()
    }
}
