//! Writes the exported folder beside its place and renames it when it is complete.
//!
//! Knows no content. Replaces only an empty folder.

use std::cell::RefCell;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Error;
use crate::store::Store;
use crate::store::beside::Beside;
use crate::sums;

/// A folder being written. Dropped before [`Package::finish`], it is deleted.
pub(super) struct Package {
    workshop: Beside,
    place: PathBuf,
    /// The names of its files, in the order in which they were written.
    files: RefCell<Vec<String>>,
    /// The lines of its `SHA256SUMS`.
    sums: RefCell<String>,
}

impl Package {
    /// For a workspace at `root` and a new or empty folder `place`. Creates its parents.
    pub(super) fn begin(store: &Store, root: &Path, place: &Path) -> Result<Package, Error> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { action, path, source }
        };
        match fs::read_dir(place).map(Iterator::count) {
            Ok(1..) => return Err(Error::Occupied { path: place.to_owned() }),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // A path below a file isn't a folder either; the system's error says so.
            Err(error) if error.kind() == ErrorKind::NotADirectory && place.exists() => {
                return Err(Error::Occupied { path: place.to_owned() });
            }
            Err(error) => return Err(failed("look into", place)(error)),
        }
        // Without a trailing slash, and with a parent that can be opened.
        let place = std::path::absolute(place).map_err(failed("resolve", place))?.components().collect::<PathBuf>();
        let parent = place.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent).map_err(failed("make", parent))?;
        let workshop = store.beside(root, parent).map_err(failed("write into", parent))?;
        let package = Package { workshop, place, files: RefCell::default(), sums: RefCell::default() };
        // A subfolder, as the temporary folder itself is private and this one follows the umask.
        fs::create_dir(package.folder()).map_err(failed("make", &package.folder()))?;
        Ok(package)
    }

    /// Writes a file from these parts. A name with `/` is that of a file in a folder of the folder.
    pub(super) fn write(&self, name: &str, parts: &[&[u8]]) -> Result<(), Error> {
        let path = self.folder().join(name);
        let written = || -> std::io::Result<()> {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            let mut file = fs::File::create_new(&path)?;
            parts.iter().try_for_each(|part| std::io::Write::write_all(&mut file, part))?;
            file.sync_all()
        };
        written().map_err(|source| Error::Io { action: "write", path: self.place.join(name), source })?;
        self.sums.borrow_mut().push_str(&sums::line(name, parts));
        self.files.borrow_mut().push(name.to_owned());
        Ok(())
    }

    /// Adds a list of the files' digests, for a folder that other programs read.
    pub(super) fn list_sums(&self) -> Result<(), Error> {
        let lines = self.sums.take();
        self.write(sums::FILE, &[lines.as_bytes()])
    }

    /// Moves the folder to its place. Returns the names of its files, in the order in which they were written.
    pub(super) fn finish(self) -> Result<Vec<String>, Error> {
        match fs::rename(self.folder(), &self.place) {
            Ok(()) => Ok(self.files.into_inner()),
            // Created by another process meanwhile.
            Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory) => {
                Err(Error::Occupied { path: self.place })
            }
            Err(source) => Err(Error::Io { action: "make", path: self.place, source }),
        }
    }

    /// Where it is until then.
    pub(super) fn folder(&self) -> PathBuf {
        self.workshop.path().join("new")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(place: &Path) -> Result<Package, Error> {
        let root = tempfile::tempdir().unwrap();
        Package::begin(&Store::look_at(&root.path().join("none")).unwrap(), root.path(), place)
    }

    #[test]
    fn a_folder_appears_when_it_is_complete_and_only_then() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("deep/er/");
        let package = begin(&place).unwrap();
        package.write("a", &[b"1", b"2"]).unwrap();
        package.list_sums().unwrap();
        assert!(!place.exists());
        assert_eq!(package.finish().unwrap(), ["a", "SHA256SUMS"]);
        assert_eq!(fs::read(place.join("a")).unwrap(), b"12");
        assert_eq!(fs::read_to_string(place.join("SHA256SUMS")).unwrap(), sums::line("a", &[b"12"]));
        drop(begin(&dir.path().join("deep/other")).unwrap());
        assert_eq!(fs::read_dir(dir.path().join("deep")).unwrap().count(), 1, "what is not finished leaves nothing");
    }

    #[test]
    fn an_empty_folder_gives_way_and_anything_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        let [empty, full, file] = ["empty", "full", "file"].map(|name| dir.path().join(name));
        fs::create_dir_all(&empty).unwrap();
        fs::create_dir_all(full.join("thesis")).unwrap();
        fs::write(&file, "").unwrap();
        begin(&empty).unwrap().finish().unwrap();
        for taken in [&full, &file] {
            assert!(matches!(begin(taken), Err(Error::Occupied { .. })), "{}", taken.display());
        }
        assert!(matches!(begin(&file.join("below")), Err(Error::Io { .. })), "there is no such folder");
        let late = begin(&dir.path().join("late")).unwrap();
        fs::create_dir_all(dir.path().join("late/thesis")).unwrap();
        assert!(matches!(late.finish(), Err(Error::Occupied { .. })));
        assert!(dir.path().join("late/thesis").exists());
    }
}
