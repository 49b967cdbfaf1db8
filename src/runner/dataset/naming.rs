//! Where the files of a data set are, and how images and labels are named.
//!
//! Knows no data set: each format defines it. Extensions are compared only here, so that all code agrees on a name without
//! extension.

use std::path::PathBuf;

/// The paths of a data set's files, relative to the workspace's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder of the images.
    pub images: PathBuf,
    /// The folder of the labels. Only read if labels are requested.
    pub labels: PathBuf,
    /// Names the images to use, one per line, with or without extension; blanks around a name and blank lines are ignored.
    pub list: Option<PathBuf>,
}

/// The names of images and labels: an image's label has its name, with the other extension.
#[derive(Clone, Copy, Debug)]
pub struct Naming {
    /// The extensions of images, in lower case if case doesn't matter; files may use either.
    pub images: &'static [&'static str],
    /// The extensions of labels.
    pub labels: &'static [&'static str],
    /// The order of the images without a list.
    pub order: Order,
}

/// How the images of a folder are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By the bytes of their names.
    Bytes,
    /// By the numbers in their names: 2 before 10. Names that are no numbers come last, by their bytes.
    Number,
}

impl Naming {
    /// The name of an image without its extension, if it has one.
    pub(super) fn stem<'a>(&self, name: &'a str) -> &'a str {
        stem(name, self.images)
    }
}

pub(super) fn stem<'a>(name: &'a str, endings: &[&str]) -> &'a str {
    endings.iter().find_map(|ending| without(name, ending)).unwrap_or(name)
}

/// The name without an extension, if it has it: in upper or lower case.
pub(super) fn without<'a>(name: &'a str, ending: &str) -> Option<&'a str> {
    let cut = name.len().checked_sub(ending.len())?;
    let (stem, found) = (name.get(..cut)?, name.get(cut..)?);
    found.eq_ignore_ascii_case(ending).then_some(stem)
}
