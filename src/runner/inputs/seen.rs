//! What a source was when it was digested: enough to find out later whether it still is, without the index.
//!
//! Knows no stage. It is taken in the same look as the digest that enters a key, so that what a key says and what is compared
//! with it later are one thing, whatever other runs find out about the same files in the meantime.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::store::index::FileRecord;
use crate::store::tree::Shape;

/// A source as it was.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Its files, those behind links included, by their paths relative to the workspace's root.
    pub files: Vec<(PathBuf, FileRecord)>,
    /// Of a folder.
    pub folder: Option<SeenFolder>,
}

/// The names below a folder.
#[derive(Clone, Debug)]
pub struct SeenFolder {
    /// The folder, relative to the workspace's root.
    pub path: PathBuf,
    /// The cache, which is no part of it.
    pub cache: PathBuf,
    /// What lay below it.
    pub names: BTreeMap<PathBuf, Shape>,
}

impl SeenFolder {
    /// The links in it that lead nowhere, each with why.
    pub fn dead_links(&self) -> impl Iterator<Item = (PathBuf, &'static str)> {
        let names = self.names.iter();
        names.filter_map(|(name, shape)| Some((self.path.join(name), super::leads_nowhere(shape)?)))
    }
}
