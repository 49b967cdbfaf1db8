//! Provides what a job needs: an empty folder to write to, and the paths of the objects that it reads.
//!
//! Knows no job. Objects are verified first, so that a worker never computes from damaged bytes.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use tempfile::TempDir;

use super::Store;
use super::artifact::{Artifact, Kind};
use super::error::Error;
use super::layout::Item;
use super::listing::EntryKind;
use crate::digest::FileDigest;

impl Store {
    /// An empty folder on the store's file system, removed when dropped: files written there are moved, not copied, when
    /// they are inserted.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn staging(&self) -> Result<TempDir, Error> {
        self.temporary(|builder, tmp| builder.tempdir_in(tmp))
    }

    /// Every file of `artifact`: its path relative to the artifact (empty for a file's own) and the path of its object.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::Damaged`] if the store doesn't have it whole and intact, [`Error::Io`] otherwise.
    pub fn hand_out(&self, artifact: &Artifact) -> Result<Vec<(PathBuf, PathBuf)>, Error> {
        let items = self.verified_layout(artifact)?;
        let files = items.into_iter().filter(|item| matches!(item.kind, EntryKind::File { .. }));
        Ok(files.map(|item| (item.path, self.object_path(item.object))).collect())
    }

    /// The symbolic links in an artifact: name relative to the artifact, and target.
    ///
    /// # Errors
    /// Those of [`Store::hand_out`].
    pub fn links_of(&self, artifact: &Artifact) -> Result<Vec<(PathBuf, PathBuf)>, Error> {
        let links = self.layout(artifact)?.into_iter().filter(|item| item.kind == EntryKind::Link);
        let target = |item: Item| match self.read(item.object)? {
            Some(target) => Ok((item.path, PathBuf::from(OsString::from_vec(target)))),
            None => Err(Error::Missing { artifact: artifact.digest(), object: item.object }),
        };
        links.map(target).collect()
    }

    /// The files of a folder given by its listing's object, with their contents' digests. `None` if the store has no such
    /// listing.
    pub fn files_of(&self, listing: FileDigest) -> Option<Vec<(PathBuf, FileDigest)>> {
        let folder = Artifact { kind: Kind::Folder, object: listing, size: 0, files: 0 };
        let items = self.layout(&folder).ok()?.into_iter();
        let files = items.filter(|item| matches!(item.kind, EntryKind::File { .. }));
        Some(files.map(|item| (item.path, item.object)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Take;

    #[test]
    fn what_is_handed_out_holds_what_was_put_in_and_damage_is_a_miss() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let folder = dir.path().join("labels");
        std::fs::create_dir_all(folder.join("town")).unwrap();
        std::fs::write(folder.join("town/a.png"), "a").unwrap();
        std::fs::write(folder.join("b.png"), "b").unwrap();
        let artifact = store.insert(&folder, Take::Copy).unwrap();
        let mut files = store.hand_out(&artifact).unwrap();
        files.sort();
        let names: Vec<_> = files.iter().map(|(name, _)| name.to_str().unwrap()).collect();
        assert_eq!(names, ["b.png", "town/a.png"]);
        assert_eq!(std::fs::read(&files[1].1).unwrap(), b"a");
        assert_eq!(store.files_of(artifact.object).unwrap().len(), 2);
        std::fs::remove_file(&files[1].1).unwrap();
        assert!(store.hand_out(&artifact).unwrap_err().is_miss());
    }
}
