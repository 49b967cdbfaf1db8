//! A plain folder of images, with a folder of labels beside it: what someone has who labelled their own pictures.
//!
//! Both folders are listed whole and matched in memory, rather than asked for each image in turn: two listings of ten
//! thousand names are cheaper than ten thousand questions, and only a whole listing can tell what is missing.
//!
//! Hidden files are passed over. A link to a file counts as the file; a link to a folder below one of these folders isn't
//! followed, so that none leads in a circle.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{Concerns, DatasetError, Names, Sample};
use crate::inputs;

/// Endings of images, in lower case; files may have them in either.
const IMAGE_ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];

/// Where the files of such a data set are. All paths are relative to the workspace's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// The folder of the images.
    pub images: PathBuf,
    /// The folder of the labels. It is only looked into where labels are asked for.
    pub labels: PathBuf,
    /// Names the images to take, one a line, with or without ending; blanks around a name and blank lines don't count.
    pub list: Option<PathBuf>,
}

/// The samples of a data set, in the order of its list; without one, sorted by the bytes of their names.
///
/// `root` is the workspace's. With `labels` each sample has its label: the PNG of the same path and stem in the folder of
/// the labels. Without, the folder of the labels needn't exist.
///
/// # Errors
/// Whatever is wrong first: the folder of the images, the list, the labels.
pub fn list_folder(root: &Path, folder: &Folder, labels: bool) -> Result<Vec<Sample>, DatasetError> {
    let images = Listing { root, concerns: Concerns::Images }.files(&folder.images, &IMAGE_ENDINGS)?;
    if images.is_empty() {
        return Err(DatasetError::NoImages { folder: folder.images.clone() });
    }
    let names = match &folder.list {
        None => images,
        Some(list) => listed(root, folder, list, &images)?,
    };
    refuse_equal_stems(folder, &names)?;
    if labels {
        with_labels(root, folder, names)
    } else {
        let sample = |name: String| Sample { image: folder.images.join(&name), name, label: None };
        Ok(names.into_iter().map(sample).collect())
    }
}

/// The images that a list names, in its order. `images` is what there is, sorted.
fn listed(root: &Path, folder: &Folder, list: &Path, images: &[String]) -> Result<Vec<String>, DatasetError> {
    let text = fs::read_to_string(root.join(list)).map_err(|cause| unreadable(root, list, Concerns::List, cause))?;
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return Err(DatasetError::EmptyList { list: list.to_owned() });
    }
    let whole: HashSet<&str> = images.iter().map(String::as_str).collect();
    let mut by_stem: HashMap<&str, Vec<&str>> = HashMap::new();
    for image in images {
        by_stem.entry(stem(image)).or_default().push(image);
    }
    let mut names = Vec::with_capacity(lines.len());
    let mut absent = Vec::new();
    for line in lines {
        match (whole.get(line), by_stem.get(line).map(Vec::as_slice)) {
            (Some(image), _) | (None, Some([image])) => names.push(*image),
            (None, Some([first, second, ..])) => {
                let (first, second) = ((*first).to_owned(), (*second).to_owned());
                return Err(DatasetError::SameStem { folder: folder.images.clone(), first, second });
            }
            (None, _) => absent.push(line),
        }
    }
    if let Some(names) = Names::of(absent) {
        return Err(DatasetError::NotInFolder { list: list.to_owned(), folder: folder.images.clone(), names });
    }
    let (mut seen, mut told) = (HashSet::new(), HashSet::new());
    if let Some(names) = Names::of(names.iter().copied().filter(|name| !seen.insert(*name) && told.insert(*name))) {
        return Err(DatasetError::Repeated { list: list.to_owned(), names });
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

fn refuse_equal_stems(folder: &Folder, names: &[String]) -> Result<(), DatasetError> {
    let mut by_stem: HashMap<&str, &str> = HashMap::with_capacity(names.len());
    for name in names {
        if let Some(other) = by_stem.insert(stem(name), name) {
            let (first, second) = (other.min(name).to_owned(), other.max(name).to_owned());
            return Err(DatasetError::SameStem { folder: folder.images.clone(), first, second });
        }
    }
    Ok(())
}

fn with_labels(root: &Path, folder: &Folder, names: Vec<String>) -> Result<Vec<Sample>, DatasetError> {
    let present: HashMap<String, String> = Listing { root, concerns: Concerns::Labels }
        .files(&folder.labels, &["png"])?
        .into_iter()
        .map(|label| (stem(&label).to_owned(), label))
        .collect();
    let unlabelled = names.iter().map(String::as_str).filter(|name| !present.contains_key(stem(name)));
    if let Some(unlabelled) = Names::of(unlabelled) {
        let folder = folder.labels.clone();
        return Err(DatasetError::Unlabelled { folder, names: unlabelled, images: names.len() });
    }
    let sample = |name: String| {
        let label = Some(folder.labels.join(&present[stem(&name)]));
        Sample { image: folder.images.join(&name), name, label }
    };
    Ok(names.into_iter().map(sample).collect())
}

/// The name without the ending of its last part, if that is an image's: `a/b.c` stays what it is.
fn stem(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, ending)) if is_one_of(ending, &IMAGE_ENDINGS) => stem,
        _ => name,
    }
}

fn is_one_of(ending: &str, endings: &[&str]) -> bool {
    endings.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// Lists a folder.
struct Listing<'a> {
    root: &'a Path,
    concerns: Concerns,
}

impl Listing<'_> {
    /// The files below `top` with one of these endings, as paths relative to it, sorted by their bytes.
    fn files(&self, top: &Path, endings: &[&str]) -> Result<Vec<String>, DatasetError> {
        let mut found = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let path = if folder.is_empty() { top.to_owned() } else { top.join(&folder) };
            let fail = |cause| unreadable(self.root, &path, self.concerns, cause);
            for entry in fs::read_dir(self.root.join(&path)).map_err(fail)? {
                let entry = entry.map_err(fail)?;
                let file_name = entry.file_name();
                let Some(name) = file_name.to_str() else {
                    return Err(DatasetError::NotUtf8 { concerns: self.concerns, path: path.join(&file_name) });
                };
                if name.starts_with('.') {
                    continue;
                }
                let name = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
                if entry.file_type().map_err(fail)?.is_dir() {
                    folders.push(name);
                } else if name.rsplit_once('.').is_some_and(|(_, ending)| is_one_of(ending, endings)) {
                    found.push(name);
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

fn unreadable(root: &Path, path: &Path, concerns: Concerns, cause: std::io::Error) -> DatasetError {
    if cause.kind() == ErrorKind::NotFound {
        return DatasetError::Missing { concerns, error: inputs::missing(root, path) };
    }
    DatasetError::Unreadable { concerns, path: path.to_owned(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace with these empty files, and the data set `data` in it.
    fn workspace(files: &[&str]) -> (tempfile::TempDir, Folder) {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        (root, Folder { images: "data/images".into(), labels: "data/labels".into(), list: None })
    }

    fn with_list(root: &Path, folder: &Folder, text: &str) -> Folder {
        fs::write(root.join("list.txt"), text).unwrap();
        Folder { list: Some("list.txt".into()), ..folder.clone() }
    }

    fn names(samples: &[Sample]) -> Vec<&str> {
        samples.iter().map(|sample| sample.name.as_str()).collect()
    }

    fn message(root: &Path, folder: &Folder, labels: bool) -> String {
        list_folder(root, folder, labels).unwrap_err().to_string()
    }

    #[test]
    fn without_a_list_every_image_is_taken_in_order_of_the_bytes_of_its_name() {
        let files = ["data/images/b.png", "data/images/B.JPG", "data/images/a/z.jpeg", "data/images/a.txt"];
        let hidden = ["data/images/._b.png", "data/images/.thumbnails/b.png"];
        let (root, folder) = workspace(&[&files[..], &hidden[..]].concat());
        let samples = list_folder(root.path(), &folder, false).unwrap();
        assert_eq!(names(&samples), ["B.JPG", "a/z.jpeg", "b.png"]);
        assert_eq!(samples[1].image, Path::new("data/images/a/z.jpeg"));
        assert_eq!(samples[1].label, None);
    }

    #[test]
    fn a_label_mirrors_the_folder_and_the_stem_of_its_image() {
        let (root, folder) = workspace(&["data/images/a/x.1.jpg", "data/labels/a/x.1.png", "data/labels/x.1.png"]);
        let samples = list_folder(root.path(), &folder, true).unwrap();
        assert_eq!(samples[0].label.as_deref(), Some(Path::new("data/labels/a/x.1.png")));
    }

    #[test]
    fn a_list_decides_which_and_in_which_order_and_need_not_say_the_ending() {
        let (root, folder) = workspace(&["data/images/a.png", "data/images/b.jpg", "data/images/s/c.1.png"]);
        let folder = with_list(root.path(), &folder, "s/c.1\r\n\n  b.jpg \n");
        assert_eq!(names(&list_folder(root.path(), &folder, false).unwrap()), ["s/c.1.png", "b.jpg"]);
    }

    #[test]
    fn a_missing_folder_is_told_with_the_part_that_exists_and_what_lies_there() {
        let (root, folder) = workspace(&["data/image/a.png", "data/label/a.png"]);
        let text = message(root.path(), &folder, false);
        assert_eq!(text, "`data/images` does not exist; `data` holds image, label");
        let (root, folder) = workspace(&["data/images/a.png"]);
        let error = list_folder(root.path(), &folder, true).unwrap_err();
        assert_eq!(error.concerns(), Concerns::Labels);
        let folder = Folder { list: Some("lists/all.txt".into()), ..folder };
        assert_eq!(list_folder(root.path(), &folder, false).unwrap_err().concerns(), Concerns::List);
    }

    #[test]
    fn a_folder_without_images_and_a_list_without_names_are_refused() {
        let (root, folder) = workspace(&["data/images/a.tif", "data/other/a.png"]);
        assert!(message(root.path(), &folder, false).starts_with("`data/images` holds no image"));
        let folder = with_list(root.path(), &Folder { images: "data/other".into(), ..folder }, " \n\n");
        assert!(message(root.path(), &folder, false).starts_with("`list.txt` is empty"));
    }

    #[test]
    fn all_names_without_image_are_counted_and_five_are_shown() {
        let (root, folder) = workspace(&["data/images/a.png"]);
        let folder = with_list(root.path(), &folder, "q1\na\nq2\nq3\nq4.png\nq5\nq6\nq7");
        let text = message(root.path(), &folder, false);
        assert_eq!(text, "`list.txt` names 7 images that `data/images` does not have: q1, q2, q3, q4.png, q5, …");
    }

    #[test]
    fn two_images_with_one_stem_are_refused_unless_the_list_chooses_one() {
        let (root, folder) = workspace(&["data/images/s/a.png", "data/images/s/a.jpg", "data/images/a.png"]);
        let expected =
            "`s/a.jpg` and `s/a.png` in `data/images` differ in their ending only: whose would the label be?";
        assert_eq!(message(root.path(), &folder, false), expected);
        assert_eq!(message(root.path(), &with_list(root.path(), &folder, "s/a"), false), expected);
        let folder = with_list(root.path(), &folder, "s/a.jpg\na");
        assert_eq!(names(&list_folder(root.path(), &folder, false).unwrap()), ["s/a.jpg", "a.png"]);
    }

    #[test]
    fn a_list_that_names_an_image_twice_is_refused() {
        let (root, folder) = workspace(&["data/images/a.png", "data/images/b.png"]);
        let folder = with_list(root.path(), &folder, "a\nb\na.png\na");
        assert_eq!(message(root.path(), &folder, false), "`list.txt` names 1 image more than once: a.png");
    }

    #[test]
    fn images_without_label_are_told_only_where_labels_are_needed() {
        let (root, folder) = workspace(&["data/images/a.png", "data/images/b.png", "data/labels/a.png"]);
        assert_eq!(list_folder(root.path(), &folder, false).unwrap().len(), 2);
        assert_eq!(message(root.path(), &folder, true), "`data/labels` holds no label for 1 image of 2: b.png");
    }

    #[test]
    fn links_to_files_are_followed_and_links_to_folders_are_not() {
        let (root, folder) = workspace(&["elsewhere/a.png", "data/images/b.png"]);
        let images = root.path().join("data/images");
        std::os::unix::fs::symlink(root.path().join("elsewhere/a.png"), images.join("a.png")).unwrap();
        std::os::unix::fs::symlink(&images, images.join("circle")).unwrap();
        assert_eq!(names(&list_folder(root.path(), &folder, false).unwrap()), ["a.png", "b.png"]);
    }
}
