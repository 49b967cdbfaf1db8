//! A training's snapshots for display: images and their predictions over time, in colour.
//!
//! Knows the folder's layout, not its location: it grows in a slot, and is complete in the cache.

use std::path::{Path, PathBuf};

use crate::report::tensorboard::Pictures;
use crate::results::map::{Map, Palette, viridis};

/// The pictures after this iteration, from the folder's files; `read` returns the content of the needed ones. Unreadable
/// files are left out.
pub(super) fn pictures<F>(
    files: Vec<(PathBuf, F)>,
    after: u64,
    classes: &Palette,
    read: impl Fn(&F) -> Option<Vec<u8>>,
) -> Pictures {
    let mut pictures = Pictures::new();
    let mut photographs = Vec::new();
    for (path, file) in &files {
        match Place::of(path) {
            Some(Place::Photograph { tag }) => photographs.push((tag, file)),
            Some(Place::Map { iteration, tag, is_entropy }) if iteration > after => {
                let colours = if is_entropy { &viridis() } else { classes };
                let picture = read(file).and_then(|bytes| Some(Map::decode(&bytes)?.png(colours)));
                pictures.entry(iteration).or_default().extend(picture.map(|picture| (tag, picture)));
            }
            _ => {}
        }
    }
    // A photograph doesn't change: it is shown once.
    if let Some(mut first) = pictures.first_entry().filter(|_| after == 0) {
        let read = photographs.into_iter().filter_map(|(tag, file)| Some((tag, read(file)?)));
        first.get_mut().extend(read);
    }
    pictures.values_mut().for_each(|at_once| at_once.sort());
    pictures
}

/// The content of a file of the folder.
enum Place {
    Photograph { tag: String },
    Map { iteration: u64, tag: String, is_entropy: bool },
}

impl Place {
    /// `photograph/<image>.jpg`, `prediction/<iteration>/<image>.png`, `entropy/<iteration>/<image>.png`.
    fn of(path: &Path) -> Option<Place> {
        let path = path.with_extension("");
        let (what, rest) = path.to_str()?.split_once('/')?;
        if what == "photograph" {
            return Some(Place::Photograph { tag: format!("pictures/{rest}/{what}") });
        }
        let (iteration, image) = rest.split_once('/')?;
        let (iteration, tag) = (iteration.parse().ok()?, format!("pictures/{image}/{what}"));
        ["prediction", "entropy"].contains(&what).then_some(Place::Map {
            iteration,
            tag,
            is_entropy: what == "entropy",
        })
    }
}

/// The files below a folder, by relative path; none if it can't be read.
pub(super) fn below(folder: &Path) -> Vec<(PathBuf, PathBuf)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if let Ok(relative) = path.strip_prefix(folder) {
                files.push((relative.to_owned(), path));
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(value: u8) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 1, 1);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(&[value]).unwrap();
        file
    }

    #[test]
    fn maps_are_shown_in_colour_after_their_iteration_and_photographs_once() {
        let classes = [[9, 8, 7]; 256];
        let names = ["photograph/town/a.b.jpg", "prediction/20/town/a.b.png", "entropy/20/town/a.b.png"];
        let files: Vec<(PathBuf, &str)> = names
            .iter()
            .chain(&["prediction/9/town/a.b.png", "new/1/x.png"])
            .map(|name| (name.into(), *name))
            .collect();
        let of = |after| {
            pictures(files.clone(), after, &classes, |name| {
                Some(if name.ends_with("jpg") { b"jpeg".to_vec() } else { grey(1) })
            })
        };
        let map = Map::decode(&grey(1)).unwrap();
        let [prediction, entropy, photograph] =
            ["prediction", "entropy", "photograph"].map(|what| format!("pictures/town/a.b/{what}"));
        let late = vec![(entropy, map.png(&viridis())), (prediction.clone(), map.png(&classes))];
        let early = vec![(photograph, b"jpeg".to_vec()), (prediction, map.png(&classes))];
        assert_eq!(of(0), [(9, early), (20, late.clone())].into());
        assert_eq!(of(9), [(20, late)].into());
        assert!(of(20).is_empty());
    }

    #[test]
    fn what_is_below_a_folder_is_found_and_a_folder_that_is_not_there_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        std::fs::write(folder.path().join("a/b/c.png"), "").unwrap();
        assert_eq!(below(folder.path()), [("a/b/c.png".into(), folder.path().join("a/b/c.png"))]);
        assert!(below(&folder.path().join("x")).is_empty());
    }
}
