//! What a stage reads from the workspace while it runs, to find out afterwards whether it still was what its key says.
//!
//! Knows no stage: files with the stat and content that the key was made from. A result computed from a file that was
//! edited meanwhile belongs to no key, and published under the old one it would be served for ever. Objects of the store
//! need no guard. A file that is added to an input folder meanwhile is not noticed; one that was there is.

use std::path::{Path, PathBuf};

use crate::digest::{Digest, FileDigest};
use crate::exec::Failure;
use crate::store::stat::Stat;

/// Files to look at again.
#[derive(Default)]
pub struct Guard(Vec<Watched>);

struct Watched {
    path: PathBuf,
    stat: Stat,
    content: FileDigest,
}

impl Guard {
    /// Adds a file, with what it was when it was digested.
    pub fn watch(&mut self, path: PathBuf, stat: Stat, content: FileDigest) {
        self.0.push(Watched { path, stat, content });
    }

    /// Every file with its content.
    pub fn contents(&self) -> impl Iterator<Item = (&Path, FileDigest)> {
        self.0.iter().map(|watched| (&*watched.path, watched.content))
    }

    /// Whether every file is what it was. One that was only touched is read to find out.
    ///
    /// # Errors
    /// A failure that names the files that are not.
    pub fn check(&self, root: &Path) -> Result<(), Failure> {
        const NAMED: usize = 5;
        let changed: Vec<&Watched> = self.0.iter().filter(|watched| watched.has_changed()).collect();
        if changed.is_empty() {
            return Ok(());
        }
        let name =
            |watched: &&Watched| format!("`{}`", watched.path.strip_prefix(root).unwrap_or(&watched.path).display());
        let mut names = changed.iter().take(NAMED).map(name).collect::<Vec<_>>().join(", ");
        if changed.len() > NAMED {
            names += &format!(" and {} more", changed.len() - NAMED);
        }
        Err(Failure::new(format!("{names} changed while the stage ran, so its result is not kept"))
            .with_help("run again"))
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
    fn an_edited_file_is_named_and_a_touched_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut guard = Guard::default();
        for name in ["edited", "touched", "removed"] {
            let path = dir.path().join(name);
            std::fs::write(&path, name).unwrap();
            guard.watch(path.clone(), Stat::of(&path).unwrap(), FileDigest(Digest::of(name.as_bytes())));
        }
        assert_eq!(guard.check(dir.path()), Ok(()));
        std::fs::write(dir.path().join("edited"), "other!").unwrap();
        std::fs::write(dir.path().join("touched"), "touched").unwrap();
        std::fs::remove_file(dir.path().join("removed")).unwrap();
        let Err(Failure::Failed { message, .. }) = guard.check(dir.path()) else {
            panic!("two files are not as they were")
        };
        assert_eq!(message, "`edited`, `removed` changed while the stage ran, so its result is not kept");
    }
}
