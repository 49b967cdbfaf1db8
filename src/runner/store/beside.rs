//! Writes files for the user, outside of the store or next to it: built in a temporary place, and renamed when complete.
//!
//! Knows no content. A kill leaves unfinished files with the others: in the cache's `tmp/`, or in a folder `.intrada` that
//! no stage reads (see [`super::aside`]). The next writer to that place removes them, and so does the next run.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{Builder, TempDir};

use super::aside::remove_of_the_dead;
use super::publish::owner;
use super::{Store, answer, strange};
use crate::own::OWN;

/// How often to recreate a folder that another process removes concurrently because it is empty.
const TRIES: usize = 20;

/// A temporary folder next to the destination. Removed with its contents when dropped.
#[derive(Debug)]
pub struct Beside {
    /// None once dropped.
    folder: Option<TempDir>,
}

impl Beside {
    /// Creates one in the folder `parent`. Removes leftovers of killed processes there.
    fn new(parent: &Path) -> io::Result<Beside> {
        let tmp = parent.join(OWN).join("tmp");
        let _ = remove_of_the_dead(&tmp);
        let make = || fs::create_dir_all(&tmp).and_then(|()| Builder::new().prefix(&owner()).tempdir_in(&tmp));
        let mut made = make();
        for _ in 0..TRIES {
            match made {
                Err(error) if error.kind() == ErrorKind::NotFound => made = make(),
                _ => break,
            }
        }
        Ok(Beside { folder: Some(made?) })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.as_ref().expect("it is there until it is dropped").path()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let Some(folder) = self.folder.take() else { return };
        let above: Vec<PathBuf> = folder.path().ancestors().skip(1).take(2).map(Path::to_owned).collect();
        drop(folder);
        // A folder that isn't empty stays.
        above.iter().for_each(|folder| drop(fs::remove_dir(folder)));
    }
}

impl Store {
    /// A temporary folder whose contents are then renamed into the folder `parent`. The next run of the workspace at `root`
    /// removes leftovers of a kill there.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn beside(&self, root: &Path, parent: &Path) -> io::Result<Beside> {
        if let Ok(index) = self.index_path(root) {
            // Otherwise only another export to the same folder would find it.
            let _ = super::aside::note_place(&index.with_file_name("places"), &parent.join(OWN));
        }
        Beside::new(parent)
    }

    /// Writes a file atomically: readers see the old file or the complete new one.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn put_file(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let is_ours = path.starts_with(&self.root);
        if is_ours {
            strange::make_folder(&self.root, folder)?
        } else {
            fs::create_dir_all(folder)?
        }
        match put(&self.root.join("tmp"), path, content) {
            Err(error) if is_ours && error.kind() == ErrorKind::IsADirectory => {
                strange::put_away(&self.root, path)?;
                put(&self.root.join("tmp"), path, content)
            }
            // The cache is on another file system, or opened read-only.
            Err(error) if !is_ours && !answer::is_lack_of_room(&error) => {
                put(Beside::new(folder)?.path(), path, content)
            }
            result => result,
        }
    }
}

/// Writes a file in the folder `tmp` and moves it to `path`.
fn put(tmp: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    // With the mode of any new file: temporary files are accessible only to their owner.
    let mode = Permissions::from_mode(0o644);
    let file = Builder::new().prefix(&owner()).permissions(mode).tempfile_in(tmp)?;
    fs::write(file.path(), content)?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::publish::host;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left_with_and_without_a_cache() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let there = Store::open(&root.join("cache")).unwrap();
        for store in [there, Store::look_at(&root.join("none")).unwrap()] {
            for content in ["one", "two"] {
                store.put_file(&root.join("runs/p/page"), content.as_bytes()).unwrap();
                assert_eq!(fs::read_to_string(root.join("runs/p/page")).unwrap(), content);
                assert_eq!(names(&root.join("runs/p")), ["page"]);
            }
        }
        assert!(!root.join("none").exists());
    }

    #[test]
    fn what_lies_in_the_way_of_a_file_of_the_cache_is_put_away() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let path = store.root().join("workspaces/1/histories/p.json");
        fs::create_dir_all(&path).unwrap();
        store.put_file(&path, b"one").unwrap();
        fs::remove_dir_all(store.root().join("workspaces/1")).unwrap();
        fs::write(store.root().join("workspaces/1"), "strange").unwrap();
        store.put_file(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(&store.root().join("tmp")), Vec::<String>::new());
    }

    #[test]
    fn what_a_killed_process_was_building_goes_with_the_next_one_and_a_living_one_s_stays() {
        let dir = tempfile::tempdir().unwrap();
        let tmp = dir.path().join(OWN).join("tmp");
        let dead = tmp.join(format!("{}.{}.a", host(), i32::MAX));
        fs::create_dir_all(dead.join("new")).unwrap();
        let living = Beside::new(dir.path()).unwrap();
        assert!(!dead.exists());
        drop(Beside::new(dir.path()).unwrap());
        assert!(living.path().exists());
        drop(living);
        assert_eq!(names(dir.path()), Vec::<String>::new());
    }
}
