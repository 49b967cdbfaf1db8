//! What a stage reads from the workspace while it runs, to find out afterwards whether it still was what its key says.
//!
//! Knows no stage: files with the stat and content that the key was made from, and folders with the names that lay in them. A
//! result computed from a file that was edited meanwhile belongs to no key, and published under the old one it would be served
//! for ever. Objects of the store need no guard.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::digest::{Digest, FileDigest};
use crate::exec::Failure;
use crate::inputs::files_below;
use crate::store::stat::Stat;

/// Files and folders to look at again.
#[derive(Default)]
pub struct Guard {
    files: Vec<Watched>,
    folders: Vec<Folder>,
}

struct Folder {
    path: PathBuf,
    names: BTreeSet<PathBuf>,
    /// The cache may lie in it, and is no part of it.
    cache: PathBuf,
}

struct Watched {
    path: PathBuf,
    stat: Stat,
    content: FileDigest,
}

impl Guard {
    /// Adds a file, with what it was when it was digested.
    pub fn watch(&mut self, path: PathBuf, stat: Stat, content: FileDigest) {
        self.files.push(Watched { path, stat, content });
    }

    /// Adds a folder with the names of the files in it, relative to it.
    pub fn watch_folder(&mut self, path: PathBuf, names: BTreeSet<PathBuf>, cache: PathBuf) {
        self.folders.push(Folder { path, names, cache });
    }

    /// Every file with its content.
    pub fn contents(&self) -> impl Iterator<Item = (&Path, FileDigest)> {
        self.files.iter().map(|watched| (&*watched.path, watched.content))
    }

    /// The files that aren't what they were, and those that were added.
    pub fn changed(&self) -> BTreeSet<PathBuf> {
        let changed = self.files.iter().filter(|watched| watched.has_changed()).map(|watched| watched.path.clone());
        changed.chain(self.folders.iter().flat_map(Folder::added)).collect()
    }

    /// The folders in which there are files that weren't there.
    pub fn grown(&self) -> impl Iterator<Item = &Path> {
        self.folders.iter().filter(|folder| !folder.added().is_empty()).map(|folder| &*folder.path)
    }

    /// Whether every file is what it was. One that was only touched is read to find out.
    ///
    /// # Errors
    /// A failure that names the files that are not.
    pub fn check(&self, root: &Path) -> Result<(), Failure> {
        const NAMED: usize = 5;
        let changed = self.changed();
        if changed.is_empty() {
            return Ok(());
        }
        let name = |path: &PathBuf| format!("`{}`", path.strip_prefix(root).unwrap_or(path).display());
        let mut names = changed.iter().take(NAMED).map(name).collect::<Vec<_>>().join(", ");
        if changed.len() > NAMED {
            names += &format!(" and {} more", changed.len() - NAMED);
        }
        Err(Failure::new(format!("{names} changed while the stage ran, so its result is not kept"))
            .with_help("run again; what a stage writes itself can't lie in a folder that it reads"))
    }
}

impl Folder {
    /// What lies in it now and didn't. What was removed was a file, which is watched itself.
    fn added(&self) -> Vec<PathBuf> {
        let now = files_below(&self.path, &self.cache).unwrap_or_default();
        now.into_iter().filter(|name| !self.names.contains(name)).map(|name| self.path.join(name)).collect()
    }
}

impl Watched {
    fn has_changed(&self) -> bool {
        let is_as_it_was = |stat: Stat| stat == self.stat;
        let reads_as_it_did =
            || Digest::of_file(&self.path).is_ok_and(|(digest, _)| FileDigest(digest) == self.content);
        !Stat::of(&self.path).is_ok_and(is_as_it_was) && !reads_as_it_did()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edited_file_and_an_added_one_are_named_and_a_touched_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut guard = Guard::default();
        for name in ["edited", "touched", "removed"] {
            let path = dir.path().join(name);
            std::fs::write(&path, name).unwrap();
            guard.watch(path.clone(), Stat::of(&path).unwrap(), FileDigest(Digest::of(name.as_bytes())));
        }
        let names = ["edited", "touched", "removed"].map(PathBuf::from).into();
        guard.watch_folder(dir.path().to_owned(), names, dir.path().join("cache"));
        for folder in ["cache", "deep"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        std::fs::write(dir.path().join("cache/object"), "").unwrap();
        assert_eq!(guard.check(dir.path()), Ok(()));
        assert_eq!(guard.grown().count(), 0);
        std::fs::write(dir.path().join("deep/added"), "").unwrap();
        assert_eq!(guard.grown().collect::<Vec<_>>(), [dir.path()]);
        std::fs::write(dir.path().join("edited"), "other!").unwrap();
        std::fs::write(dir.path().join("touched"), "touched").unwrap();
        std::fs::remove_file(dir.path().join("removed")).unwrap();
        let Err(Failure::Failed { message, .. }) = guard.check(dir.path()) else {
            panic!("three files are not as they were")
        };
        assert_eq!(message, "`deep/added`, `edited`, `removed` changed while the stage ran, so its result is not kept");
    }
}
