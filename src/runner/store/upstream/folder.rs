//! A folder as upstream: another store, opened read-only.
//!
//! Knows a store's layout. The folder may be on a read-only mount or belong to another user. Objects are copied, never hard-
//! linked: through a link, an edit here would damage the shared file, and creating one already writes to the shared store.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::{Content, Thing, Upstream, UpstreamWriter};
use crate::digest::{Digest, FileDigest, Key};
use crate::signing::PublicKey;
use crate::store::error::{At, Error};
use crate::store::{fanned_below, read_version};
use crate::{mark, plain};

/// Another store.
#[derive(Debug)]
pub(in crate::store) struct Folder {
    /// The resolved path.
    root: PathBuf,
}

impl Folder {
    /// Opens the store at `folder` for reading.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NewerVersion`], [`Error::NotAStore`].
    pub(in crate::store) fn open(folder: &Path) -> Result<Folder, Error> {
        let root = fs::canonicalize(folder).at("resolve", folder)?;
        read_version(&root)?;
        if mark::is_ours(&root) { Ok(Folder { root }) } else { Err(Error::NotAStore { path: folder.to_owned() }) }
    }

    pub(in crate::store) fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, thing: Thing) -> PathBuf {
        match thing {
            Thing::Trace(key) => fanned_below(&self.root, "traces", key.0, ".json"),
            Thing::Object(object) => fanned_below(&self.root, "objects", object.0, ""),
        }
    }
}

impl Upstream for Folder {
    fn name(&self) -> String {
        self.root.display().to_string()
    }

    fn name_of(&self, thing: Thing) -> String {
        self.path(thing).display().to_string()
    }

    fn is_remote(&self) -> bool {
        false
    }

    fn trace(&self, key: Key) -> io::Result<Option<Vec<u8>>> {
        if_there(plain::read(&self.path(Thing::Trace(key))))
    }

    fn open(&self, object: FileDigest) -> io::Result<Option<Content>> {
        Ok(if_there(plain::open(&self.path(Thing::Object(object))))?.map(Content::File))
    }

    fn has(&self, objects: &[FileDigest]) -> io::Result<HashSet<FileDigest>> {
        let is_intact = |object: &&FileDigest| {
            let digest = Digest::of_file(&self.path(Thing::Object(**object)));
            digest.is_ok_and(|(digest, _)| FileDigest(digest) == **object)
        };
        Ok(objects.par_iter().filter(is_intact).copied().collect())
    }

    fn signatures(&self, key: Key, _record: Digest, _signers: &BTreeSet<PublicKey>) -> io::Result<Vec<u8>> {
        let path = fanned_below(&self.root, "signatures", key.0, ".json");
        Ok(if_there(plain::read(&path))?.unwrap_or_default())
    }

    fn writer(&self) -> Option<&dyn UpstreamWriter> {
        None
    }
}

/// `None` if there is no such file.
fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        found => found.map(Some),
    }
}
