//! What a walk through a source folder does with its files: looks at each, and reads those that may have changed.
//!
//! Knows no order and no links; the walk does.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::{Error, Inputs, Look};
use crate::by_name;
use crate::digest::{Digest, FileDigest};
use crate::store::index::FileRecord;
use crate::store::tree::{Leaf, Visitor};

impl Inputs {
    fn leaf(&self, path: &Path, look: io::Result<Look>) -> Result<Leaf, Error> {
        let relative = by_name::below(path, &self.root).unwrap_or(path);
        let unreadable = |source| Error::Unreadable { path: relative.to_owned(), source };
        let FileRecord { digest, stat, .. } = self.record(relative, look.map_err(unreadable)?)?;
        Ok(Leaf { object: digest, executable: stat.is_executable(), size: stat.size })
    }
}

impl Visitor for Inputs {
    type Error = Error;

    fn file(&self, path: &Path) -> Result<Leaf, Error> {
        self.leaf(path, Look::at(path))
    }

    fn bytes(&self, _path: &Path, bytes: &[u8]) -> Result<FileDigest, Error> {
        Ok(FileDigest(Digest::of(bytes)))
    }
}

/// Looks at the files of a folder by their paths in it, while it is open.
pub(super) struct Within<'a> {
    pub(super) inputs: &'a Inputs,
    pub(super) top: &'a Path,
    pub(super) open: OwnedFd,
}

impl Visitor for Within<'_> {
    type Error = Error;

    fn file(&self, path: &Path) -> Result<Leaf, Error> {
        let below = by_name::below(path, self.top);
        self.inputs.leaf(path, below.map_or_else(|| Look::at(path), |below| Look::below(&self.open, below)))
    }

    fn bytes(&self, path: &Path, bytes: &[u8]) -> Result<FileDigest, Error> {
        self.inputs.bytes(path, bytes)
    }
}
