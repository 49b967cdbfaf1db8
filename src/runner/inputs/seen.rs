//! A source's state when it was digested: enough to check later whether it has changed, without the index.
//!
//! Knows no stage. It is recorded together with the digest that enters a key, so that the key and the later check refer to
//! the same state, whatever other runs learn about the files in the meantime.

use std::path::PathBuf;

use crate::store::index::FileRecord;
use crate::store::tree::Shape;

/// The state of a source.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Its files, including those behind links, by their paths relative to the workspace's root.
    pub files: Vec<(PathBuf, FileRecord)>,
    /// For a folder.
    pub folder: Option<SeenFolder>,
}

/// The names below a folder.
#[derive(Clone, Debug)]
pub struct SeenFolder {
    /// The folder, relative to the workspace's root.
    pub path: PathBuf,
    /// The cache, which is excluded.
    pub cache: PathBuf,
    /// Its contents, in order.
    pub names: Vec<(PathBuf, Shape)>,
}

impl SeenFolder {
    /// The dangling links in it, each with the reason.
    pub fn dead_links(&self) -> impl Iterator<Item = (PathBuf, &'static str)> {
        let names = self.names.iter();
        names.filter_map(|(name, shape)| {
            let why = super::leads_nowhere(shape)?;
            Some((self.path.join(name), why))
        })
    }
}
