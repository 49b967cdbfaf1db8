//! Lists a folder of images, a folder of labels and possibly a list file as samples, for every file-based format.
//!
//! Knows no format: [`Naming`] defines images and their labels. Both folders are listed completely and matched in memory,
//! rather than queried for each image: two listings of ten thousand names are cheaper than ten thousand queries, and only a
//! complete listing shows what is missing.
//!
//! Hidden files are skipped. Symbolic links are followed, to files and to folders (`store::tree`). Dangling and circular
//! ones are reported.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub use super::naming::{Naming, Order, Place};
use super::naming::{below, ends_in};
use super::pairing::{Labels, Remark};
use super::spelling::{Images, Meant};
use super::{Concerns, DatasetError, Names, Sample};
use crate::store::tree::{Behind, Links, Shape, Skips, Tree, WalkError};
use crate::{by_name, inputs, plain};

/// The samples of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// In the order of the list; without one, in the order of the naming.
    pub samples: Vec<Sample>,
    /// Images that were left out because they have no label; `None` if there are none.
    pub left_out: Option<Names>,
    /// Symbolic links in the folders that are dangling or circular, each with which of the two.
    pub dead_links: Vec<(PathBuf, &'static str)>,
    /// Remarks on the list and the labels.
    pub remarks: Vec<Remark>,
    /// Images below the folder that were skipped without a list, by their names: their format isn't supported, or their
    /// names differ from this data set's pattern. `None` if there are none.
    pub passed_over: Option<Names>,
}

/// Extensions of unsupported images, and of images with other name patterns.
const OF_IMAGES: &[&str] = &[
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".heic", ".heif", ".avif",
    ".jp2", ".j2k", ".jxl", ".ppm", ".pgm", ".pnm", ".exr", ".hdr", ".tga", ".dng", ".cr2", ".nef", ".arw",
];

/// Lists a data set. `root` is the workspace's. With `labels` each sample has its label; without, the folder of the labels
/// needn't exist. An image without label is an error unless `may_lack` allows it for its stem (its name without extension).
///
/// # Errors
/// The first problem: of the folder of the images, the list, the labels.
pub fn list(
    root: &Path,
    place: &Place,
    naming: &Naming,
    labels: bool,
    may_lack: &dyn Fn(&str) -> bool,
) -> Result<Listed, DatasetError> {
    let (mut dead_links, mut others, mut remarks) = (Vec::new(), Vec::new(), Vec::new());
    let is_image = |name: &str| ends_in(name, naming.images);
    let mut images = Vec::new();
    for part in place.parts() {
        let before = others.len();
        let listing = Listing { root, concerns: Concerns::Images };
        let found = listing.files(&place.images, part, &is_image, (&mut dead_links, &mut others))?;
        if found.is_empty() {
            let others = Names::of(others[before..].iter().map(String::as_str));
            let folder = below(&place.images, part);
            return Err(DatasetError::NoImages { folder, endings: naming.images, others });
        }
        images.extend(found);
    }
    images.sort_unstable();
    let others = Names::of(others.iter().map(String::as_str));
    // The user has chosen these images.
    let passed_over = others.filter(|_| place.list.is_none());
    let stems: HashSet<String> =
        if labels { images.iter().map(|image| naming.stem(image).to_owned()).collect() } else { HashSet::new() };
    let names = match &place.list {
        None => {
            if naming.order == Order::Number {
                images.sort_by(|a, b| by_number(naming.stem(a), naming.stem(b)));
            }
            images
        }
        Some(list) => listed(root, place, naming, list, (&images, labels), &mut remarks)?,
    };
    refuse_equal_stems(place, naming, &names)?;
    // The worker names maps after images, and lists them (`intrada_data::source::map_file`).
    let is_unlistable = |name: &&str| name.contains(['\n', '\r']) || name.trim() != *name;
    if let Some(names) = Names::of(names.iter().map(String::as_str).filter(is_unlistable)) {
        return Err(DatasetError::Unlistable { folder: place.images.clone(), names });
    }
    let listed = if labels {
        with_labels(root, place, naming, names, may_lack, (&stems, &mut dead_links, &mut remarks))?
    } else {
        let sample = |name: String| Sample { image: place.images.join(&name), name, label: None };
        let samples = names.into_iter().map(sample).collect();
        Listed { samples, left_out: None, dead_links: Vec::new(), remarks: Vec::new(), passed_over: None }
    };
    Ok(Listed { dead_links, remarks, passed_over, ..listed })
}

/// The images of a list, in its order. `images` are the existing ones.
fn listed(
    root: &Path,
    place: &Place,
    naming: &Naming,
    list: &Path,
    (images, labels): (&[String], bool),
    remarks: &mut Vec<Remark>,
) -> Result<Vec<String>, DatasetError> {
    let text =
        plain::read_to_string(&root.join(list)).map_err(|cause| unreadable(root, list, Concerns::List, cause))?;
    // Some editors write a byte order mark, which is not part of the first name.
    let lines: Vec<&str> = text
        .trim_start_matches('\u{feff}')
        .split(['\n', '\r'])
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    if lines.is_empty() {
        return Err(DatasetError::EmptyList { list: list.to_owned() });
    }
    let first = lines[0];
    let there = Images::new(images, naming, root.join(&place.images), labels);
    let mut names = Vec::with_capacity(lines.len());
    let (mut absent, mut hint, mut spelled) = (Vec::new(), None, Vec::new());
    for line in lines {
        match there.meant(line) {
            Meant::Image(image) => names.push(image),
            Meant::Spelled(image, difference) => {
                names.push(image);
                spelled.push((image, difference));
            }
            Meant::Either(first, second) => {
                let (first, second) = (first.to_owned(), second.to_owned());
                return Err(DatasetError::SameStem { folder: place.images.clone(), first, second });
            }
            Meant::Nothing(similar) => {
                absent.push(line);
                hint = hint.or(similar);
            }
        }
    }
    let hint = hint.or_else(|| no_name(&absent, first));
    if let Some(names) = Names::of(absent) {
        let (list, folder) = (list.to_owned(), place.narrowest());
        return Err(DatasetError::NotInFolder { list, folder, names, hint });
    }
    let (mut seen, mut told) = (HashSet::new(), HashSet::new());
    if let Some(names) = Names::of(names.iter().copied().filter(|name| !seen.insert(*name) && told.insert(*name))) {
        return Err(DatasetError::Repeated { list: list.to_owned(), names });
    }
    remarks.extend(Remark::of_spellings(list, &spelled));
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// What an invalid list may be instead. `first`: the first line of the list.
fn no_name(absent: &[&str], first: &str) -> Option<String> {
    let line = absent.first()?;
    if line.starts_with(['#', ';', '%']) || line.starts_with("//") {
        return Some("a list has no comments: each line that isn't blank is the name of an image".to_owned());
    }
    let is_head = absent.len() == 1 && *line == first;
    is_head.then(|| "a list has no header: its first line is also an image name".to_owned())
}

fn refuse_equal_stems(place: &Place, naming: &Naming, names: &[String]) -> Result<(), DatasetError> {
    let mut by_stem: HashMap<&str, &str> = HashMap::with_capacity(names.len());
    for name in names {
        if let Some(other) = by_stem.insert(naming.stem(name), name) {
            let (first, second) = (other.min(name).to_owned(), other.max(name).to_owned());
            return Err(DatasetError::SameStem { folder: place.images.clone(), first, second });
        }
    }
    Ok(())
}

fn with_labels(
    root: &Path,
    place: &Place,
    naming: &Naming,
    names: Vec<String>,
    may_lack: &dyn Fn(&str) -> bool,
    (stems, dead_links, remarks): (&HashSet<String>, &mut Vec<(PathBuf, &'static str)>, &mut Vec<Remark>),
) -> Result<Listed, DatasetError> {
    let (mut labels, mut others) = (Vec::new(), Vec::new());
    for part in place.parts() {
        let listing = Listing { root, concerns: Concerns::Labels };
        let is_label = |name: &str| naming.is_label(name);
        labels.extend(listing.files(&place.labels, part, &is_label, (dead_links, &mut others))?);
    }
    others.retain(|name| !naming.is_beside(name));
    let mut labels = Labels::new(place, naming, &labels, &others);
    let paired = labels.pair(&names, stems)?;
    let images = names.len();
    let (labelled, unlabelled): (Vec<_>, Vec<_>) =
        names.into_iter().zip(paired).partition(|(_, label)| label.is_some());
    let unlabelled: Vec<String> = unlabelled.into_iter().map(|(name, _)| name).collect();
    let refused = unlabelled.iter().map(String::as_str).filter(|name| !may_lack(naming.stem(name)));
    let all_lack = labelled.is_empty().then(|| Names::of(unlabelled.iter().map(String::as_str))).flatten();
    if let Some(names) = Names::of(refused).or(all_lack) {
        let hint = unlabelled.iter().find_map(|name| labels.similar(name));
        return Err(DatasetError::Unlabelled { folder: place.labels.clone(), names, images, hint });
    }
    remarks.extend(labels.remarks(stems));
    if is_one_folder(root, place)
        && let Some(names) =
            Names::of(labelled.iter().filter(|(name, label)| *label == Some(name)).map(|(name, _)| &**name))
    {
        return Err(DatasetError::OwnLabel { folder: place.labels.clone(), names });
    }
    let sample = |(name, label): (String, Option<&str>)| Sample {
        image: place.images.join(&name),
        name,
        label: label.map(|label| place.labels.join(label)),
    };
    let samples = labelled.into_iter().map(sample).collect();
    let left_out = Names::of(unlabelled.iter().map(String::as_str));
    Ok(Listed { samples, left_out, dead_links: Vec::new(), remarks: Vec::new(), passed_over: None })
}

/// Whether images and labels are in one folder, possibly through a link.
fn is_one_folder(root: &Path, place: &Place) -> bool {
    let real = |folder: &Path| root.join(folder).canonicalize().ok();
    place.images == place.labels || real(&place.images).is_some_and(|images| Some(images) == real(&place.labels))
}

fn by_number(a: &str, b: &str) -> Ordering {
    match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(x), Ok(y)) => x.cmp(&y).then_with(|| a.cmp(b)),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => a.cmp(b),
    }
}

/// Lists a folder.
struct Listing<'a> {
    root: &'a Path,
    concerns: Concerns,
}

impl Listing<'_> {
    /// The wanted files below the folder `part` of `top`, as paths relative to `top`, sorted by their bytes. Adds links without
    /// a target to `dead_links`, and other files with an image extension to `others`.
    fn files(
        &self,
        top: &Path,
        part: &str,
        is_wanted: &dyn Fn(&str) -> bool,
        (dead_links, others): (&mut Vec<(PathBuf, &'static str)>, &mut Vec<String>),
    ) -> Result<Vec<String>, DatasetError> {
        let folder = below(top, part);
        let whole = self.root.join(&folder);
        let tree = Tree::survey(&whole, Links::Followed(&Hidden)).map_err(|error| self.walk_error(&folder, error))?;
        let mut found = Vec::new();
        for (path, shape) in tree.shapes() {
            let Some(name) = path.to_str() else {
                return Err(DatasetError::NotUtf8 { concerns: self.concerns, path: folder.join(&path) });
            };
            let name = if part.is_empty() { name.to_owned() } else { format!("{part}/{name}") };
            let is_folder =
                matches!(shape, Shape::Folder | Shape::Link { behind: Behind::Folder | Behind::Itself, .. });
            if !is_folder && is_wanted(&name) {
                // An unreadable one is reported by its reader.
                found.push(name);
            } else if let Some(why) = inputs::leads_nowhere(&shape) {
                dead_links.push((folder.join(&path), why));
            } else if !is_folder && ends_in(&name, OF_IMAGES) {
                others.push(name);
            }
        }
        found.sort_unstable();
        dead_links.sort_unstable();
        others.sort_unstable();
        Ok(found)
    }

    fn walk_error(&self, top: &Path, error: WalkError) -> DatasetError {
        let relative = |path: PathBuf| path.strip_prefix(self.root).map(Path::to_owned).unwrap_or(path);
        match error {
            WalkError::Unreadable { path, source } => unreadable(self.root, &relative(path), self.concerns, source),
            error => unreadable(self.root, top, self.concerns, std::io::Error::other(error.to_string())),
        }
    }
}

/// Files and folders whose names begin with a dot are none of a data set.
struct Hidden;

impl Skips for Hidden {
    fn file(&self, name: &OsStr) -> bool {
        name.as_encoded_bytes().starts_with(b".")
    }

    fn folder(&self, path: &Path, _real: &Path) -> bool {
        self.file(by_name::name(path))
    }
}

fn unreadable(root: &Path, path: &Path, concerns: Concerns, cause: std::io::Error) -> DatasetError {
    if cause.kind() == ErrorKind::NotFound {
        return DatasetError::Missing { concerns, error: inputs::missing(root, path) };
    }
    let cause = match (concerns, cause.kind()) {
        // Some shells write lists in UTF-16.
        (Concerns::List, ErrorKind::InvalidData) => {
            let reason = "it is not UTF-8 text; save it as UTF-8, with one image name per line";
            std::io::Error::new(ErrorKind::InvalidData, reason)
        }
        (Concerns::Images | Concerns::Labels, ErrorKind::NotADirectory) => {
            std::io::Error::new(ErrorKind::NotADirectory, "it is a file, not a folder")
        }
        _ => cause,
    };
    DatasetError::Unreadable { concerns, path: path.to_owned(), cause }
}

#[cfg(test)]
mod tests;
