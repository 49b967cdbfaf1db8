//! Finds the images that a command line names: files, and folders searched through.
//!
//! Knows no picture format beyond the endings of file names; whether a file is an image, the worker finds out. A file that is named
//! itself is taken whatever its ending.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::folder::is_of_predictions;
use crate::dataset::folder;
use crate::exec::job::predict::Image;
use crate::own::has_own_name;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Sorted by name; no two have the same.
    pub images: Vec<Image>,
    /// Files in the folders that aren't images by their names.
    pub others: usize,
    /// Links in the folders that lead back to a folder above them, which aren't followed.
    pub circles: usize,
    /// Folders of predictions in them, which aren't searched.
    pub predictions: usize,
    /// What can't be taken, and why.
    pub refused: Vec<(PathBuf, String)>,
}

/// Why there are no images.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A path leads to nothing.
    #[error("failed to find the images {}: {source}", path.display())]
    Unfound {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Two images would have the same output.
    #[error("{} and {} would both be written as `{name}`; rename one, or predict them into two folders", first.display(), second.display())]
    SameName {
        /// Its name.
        name: String,
        /// One image.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// The predictions would be among the images.
    #[error("--out names the folder of the images, {}; name another one", path.display())]
    Among {
        /// The folder.
        path: PathBuf,
    },
    /// Nothing to predict.
    #[error("there is no image in {}{}", list(places), seen(*others))]
    None {
        /// Where.
        places: Vec<PathBuf>,
        /// Files that are there.
        others: usize,
    },
}

fn list(places: &[PathBuf]) -> String {
    places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn seen(others: usize) -> String {
    if others == 0 { String::new() } else { format!(": {others} files there have other endings") }
}

/// The images of these files and folders. `out` isn't searched, as it may be inside of a folder with images.
///
/// # Errors
/// [`Fault`].
pub fn find(places: &[PathBuf], out: &Path) -> Result<Found, Fault> {
    let mut search = Search { out: fs::canonicalize(out).ok(), ..Search::default() };
    let mut seen = HashSet::new();
    for place in places {
        // A place that is named twice is one.
        if fs::canonicalize(place).is_ok_and(|resolved| !seen.insert(resolved)) {
            continue;
        }
        let unfound = |source| Fault::Unfound { path: place.clone(), source };
        let metadata = fs::metadata(place).map_err(unfound)?;
        if !metadata.is_dir() {
            let name = PathBuf::from(place.file_name().unwrap_or(place.as_os_str()));
            search.take(place.clone(), &name);
            continue;
        }
        if search.out.is_some() && fs::canonicalize(place).ok() == search.out {
            return Err(Fault::Among { path: place.clone() });
        }
        // Names start with the folder's own only where there are several, so that they can be told apart.
        let prefix = if places.len() == 1 { PathBuf::new() } else { own_name(place).map_err(unfound)? };
        search.folder(place, &prefix);
    }
    search.finish(places)
}

/// The name of a folder, also of `.` and `..`.
fn own_name(folder: &Path) -> io::Result<PathBuf> {
    Ok(fs::canonicalize(folder)?.file_name().map(PathBuf::from).unwrap_or_default())
}

#[derive(Default)]
struct Search {
    out: Option<PathBuf>,
    /// Folders on the way to the current one, resolved: a link may lead back to one of them.
    within: Vec<PathBuf>,
    /// Name of the output → image.
    named: BTreeMap<String, PathBuf>,
    twice: Vec<Fault>,
    taken: HashSet<PathBuf>,
    others: usize,
    circles: usize,
    predictions: usize,
    refused: Vec<(PathBuf, String)>,
}

impl Search {
    fn folder(&mut self, folder: &Path, name: &Path) {
        let resolved = match fs::canonicalize(folder) {
            Ok(resolved) => resolved,
            Err(error) => return self.refused.push((folder.to_owned(), error.to_string())),
        };
        if self.out.as_ref() == Some(&resolved) {
            return;
        }
        if !self.within.is_empty() && is_of_predictions(&resolved) {
            self.predictions += 1;
            return;
        }
        if self.within.iter().any(|folder| folder.starts_with(&resolved)) {
            self.circles += 1;
            return;
        }
        let entries: io::Result<Vec<_>> = fs::read_dir(folder).and_then(Iterator::collect);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.refused.push((folder.to_owned(), error.to_string())),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        self.within.push(resolved);
        for entry in entries {
            let (path, file) = (entry.path(), entry.file_name());
            if has_own_name(&file) {
                continue;
            }
            let name = name.join(&file);
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => self.folder(&path, &name),
                _ if !folder::is_image(&file) || file.as_encoded_bytes().starts_with(b".") => self.others += 1,
                Ok(_) => self.take(path, &name),
                Err(error) => self.refused.push((path, error.to_string())),
            }
        }
        self.within.pop();
    }

    /// Takes a file as an image whose output has this name with another extension.
    fn take(&mut self, path: PathBuf, name: &Path) {
        let resolved = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        let Some(name) = name.with_extension("").to_str().map(str::to_owned) else {
            return self.refused.push((path, "its name is not UTF-8; rename it".to_owned()));
        };
        if let Some(first) = self.named.get(&name) {
            if self.taken.contains(&resolved) && fs::canonicalize(first).ok() == Some(resolved) {
                return;
            }
            let first = first.clone();
            return self.twice.push(Fault::SameName { name, first, second: path });
        }
        self.taken.insert(resolved);
        self.named.insert(name, path);
    }

    fn finish(mut self, places: &[PathBuf]) -> Result<Found, Fault> {
        if !self.twice.is_empty() {
            return Err(self.twice.swap_remove(0));
        }
        if self.named.is_empty() && self.refused.is_empty() {
            return Err(Fault::None { places: places.to_vec(), others: self.others });
        }
        let images = self.named.into_iter().map(|(name, path)| Image {
            name,
            // The worker has another working directory.
            path: std::path::absolute(&path).unwrap_or(path),
        });
        let Search { others, circles, predictions, refused, .. } = self;
        Ok(Found { images: images.collect(), others, circles, predictions, refused })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        dir
    }

    fn names(found: &Found) -> Vec<&str> {
        found.images.iter().map(|image| image.name.as_str()).collect()
    }

    #[test]
    fn folders_are_searched_through_and_other_files_are_counted() {
        let dir =
            tree(&["a/2.JPG", "a/1.png", "a/deep/3.jpeg", "a/notes.txt", "a/.hidden.png", "a/.intrada-predict/4.png"]);
        let found = find(&[dir.path().join("a")], Path::new("none")).unwrap();
        assert_eq!((names(&found), found.others), (vec!["1", "2", "deep/3"], 2));
        assert!(found.images.iter().all(|image| image.path.is_absolute()));
    }

    #[test]
    fn several_places_are_told_apart_by_the_folders_names() {
        let dir = tree(&["left/1.png", "right/1.png", "right/x.dat"]);
        let [left, right, own] = ["left", "right/.", "right/x.dat"].map(|name| dir.path().join(name));
        let found = find(&[left, right, own], Path::new("none")).unwrap();
        assert_eq!(
            names(&found),
            ["left/1", "right/1", "x"],
            "a file that is named itself is taken whatever its ending"
        );
    }

    #[test]
    fn two_images_of_one_name_are_refused_and_one_image_named_twice_is_one() {
        let dir = tree(&["a/1.png", "a/1.jpg"]);
        let fault = find(&[dir.path().join("a")], Path::new("none")).unwrap_err().to_string();
        assert!(fault.contains("1.jpg") && fault.contains("1.png") && fault.contains("`1`"), "{fault}");
        let one = dir.path().join("a/1.png");
        assert_eq!(names(&find(&[one.clone(), one], Path::new("none")).unwrap()), ["1"]);
    }

    #[test]
    fn predictions_among_the_images_and_links_in_a_circle_are_not_searched() {
        let dir = tree(&["a/1.png", "a/out/classes/1.png"]);
        for (target, link) in [("a", "a/again"), (".", "a/above")] {
            std::os::unix::fs::symlink(dir.path().join(target), dir.path().join(link)).unwrap();
        }
        let found = find(&[dir.path().join("a")], &dir.path().join("a/out")).unwrap();
        assert_eq!((names(&found), found.circles, found.predictions), (vec!["1"], 2, 0));
        fs::create_dir(dir.path().join("a/out/.intrada-predict")).unwrap();
        let found = find(&[dir.path().join("a")], Path::new("none")).unwrap();
        assert_eq!((names(&found), found.predictions), (vec!["1"], 1), "those of another time neither");
        let among = find(&[dir.path().join("a")], &dir.path().join("a/out/.."));
        assert!(matches!(among, Err(Fault::Among { .. })));
    }

    #[test]
    fn nothing_to_predict_is_an_error() {
        let dir = tree(&["a/notes.txt"]);
        let place = dir.path().join("a");
        let fault = |places: &[PathBuf]| find(places, Path::new("none")).unwrap_err().to_string();
        assert!(fault(&[place]).ends_with("1 files there have other endings"));
        assert!(fault(&[dir.path().join("b")]).contains("failed to find the images"));
    }
}
