//! File-based data sets whose files are not here, and how the pipeline file describes them.
//!
//! Reads no image. A folder that is there and holds other files than before is not away: it differs.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Decoders, ORDER, Survey, object_of};
use crate::pipeline::Format;
use crate::plain;

/// The content of the list of images.
pub(in crate::plan) const LIST: &str = "the content of its list";

/// Which of a data set's files are not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Away {
    /// The images, or the list of them.
    Images,
    /// Its labels, which are read.
    Labels,
}

impl Survey<'_> {
    /// Which of its folders are not here, if any: missing, behind a dangling link, or empty, as the place of an unmounted disk is.
    pub(in crate::plan) fn away(&self) -> Option<Away> {
        let is_away = |path: &Path| {
            let path = self.surveyor.pipeline.root.join(path);
            // Something that can't be looked at may be there.
            matches!(path.try_exists(), Ok(false)) || path.read_dir().is_ok_and(|mut entries| entries.next().is_none())
        };
        if is_away(&self.place.images) || self.place.list.as_deref().is_some_and(is_away) {
            Some(Away::Images)
        } else {
            (self.labels && is_away(&self.place.labels)).then_some(Away::Labels)
        }
    }

    /// What enters the digest besides the files and is known without them.
    pub(in crate::plan) fn options_known(&self) -> BTreeMap<String, String> {
        let mut options = self.options(&[], Decoders::default());
        options.remove(ORDER);
        options
    }

    /// How the pipeline file names its place and its part.
    pub(in crate::plan) fn named(&self) -> BTreeMap<String, String> {
        let text = |path: &Path| path.display().to_string();
        let mut named: Vec<(&str, String)> = match &self.dataset.format {
            Format::Folder { images, labels, .. } => {
                let labels = self.labels.then(|| ("labels", text(labels)));
                [("images", text(images))].into_iter().chain(labels).collect()
            }
            Format::Published { format, root, selection, missing, .. } => vec![
                ("format", (*format).to_owned()),
                ("root", text(root)),
                ("part", selection.part.clone()),
                ("subsets", selection.subsets.join(", ")),
                ("labels", if self.labels { selection.labels.clone() } else { String::new() }),
                ("missing", if self.labels { missing.clone() } else { String::new() }),
            ],
            Format::Scenes { .. } => Vec::new(),
        };
        if let Some(list) = &self.place.list {
            named.push(("list", text(list)));
            let bytes = plain::read(&self.surveyor.pipeline.root.join(list)).ok();
            named.extend(bytes.map(|bytes| (LIST, object_of(&bytes).0.short())));
        }
        let named = named.into_iter().filter(|(_, value)| !value.is_empty());
        named.map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
