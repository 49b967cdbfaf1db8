//! Where the files of a data set are, and how images and labels are called.
//!
//! Knows no data set: each format fills this in. Endings are compared here alone, so that all agree on what a name is without one.

use std::path::PathBuf;

/// Where the files of a data set are. All paths are relative to the workspace's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder of the images.
    pub images: PathBuf,
    /// The folder of the labels. It is only looked into where labels are asked for.
    pub labels: PathBuf,
    /// Names the images to take, one a line, with or without ending; blanks around a name and blank lines don't count.
    pub list: Option<PathBuf>,
}

/// How images and labels are called: an image's label has its name, with the one ending in the place of the other.
#[derive(Clone, Copy, Debug)]
pub struct Naming {
    /// The endings of images, in lower case where case doesn't matter; files may have them in either.
    pub images: &'static [&'static str],
    /// The endings of labels.
    pub labels: &'static [&'static str],
    /// The order of the images without a list.
    pub order: Order,
}

/// How the images of a folder are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By the bytes of their names.
    Bytes,
    /// By the numbers that they are called after: 2 before 10. Names that are no numbers come last, by their bytes.
    Number,
}

impl Naming {
    /// The name of an image without its ending; a name that has none stays what it is.
    pub(super) fn stem<'a>(&self, name: &'a str) -> &'a str {
        stem(name, self.images)
    }
}

pub(super) fn stem<'a>(name: &'a str, endings: &[&str]) -> &'a str {
    endings.iter().find_map(|ending| without(name, ending)).unwrap_or(name)
}

/// The name without an ending, if it has it: in upper or lower case.
pub(super) fn without<'a>(name: &'a str, ending: &str) -> Option<&'a str> {
    let cut = name.len().checked_sub(ending.len())?;
    let (stem, found) = (name.get(..cut)?, name.get(cut..)?);
    found.eq_ignore_ascii_case(ending).then_some(stem)
}
