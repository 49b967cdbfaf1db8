//! Where the files of a data set are, and how images and labels are named.
//!
//! Knows no data set: each format defines it. Extensions are compared only here, so that all code agrees on a name without
//! extension.

use std::path::{Path, PathBuf};

/// The paths of a data set's files, relative to the workspace's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder of the images.
    pub images: PathBuf,
    /// The folder of the labels. Only read if labels are requested.
    pub labels: PathBuf,
    /// The folders below both that belong to the data set, as in `fog/train`; empty: both belong to it whole.
    pub within: Vec<String>,
    /// Names the images to use, one per line, with or without extension; blanks around a name and blank lines are ignored.
    pub list: Option<PathBuf>,
}

/// The names of images and labels: an image's label has its name, with the other extension and prefix.
#[derive(Clone, Copy, Debug)]
pub struct Naming {
    /// The extensions of images, in lower case if case doesn't matter; files may use either.
    pub images: &'static [&'static str],
    /// The extensions of labels.
    pub labels: &'static [&'static str],
    /// What the names of images and of labels begin with, in a data set without subfolders.
    pub prefixes: [&'static str; 2],
    /// Extensions of other files beside the labels, which end like labels.
    pub beside: &'static [&'static str],
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

impl Place {
    /// The folders to list below each of both; an empty one is the whole.
    pub(super) fn parts(&self) -> &[String] {
        if self.within.is_empty() { WHOLE } else { &self.within }
    }

    /// The folder of the images, as narrow as one folder can be.
    pub(super) fn narrowest(&self) -> PathBuf {
        match &self.within[..] {
            [one] => below(&self.images, one),
            _ => self.images.clone(),
        }
    }
}

const WHOLE: &[String] = &[String::new()];

/// `top`, or `part` below it.
pub(super) fn below(top: &Path, part: &str) -> PathBuf {
    if part.is_empty() { top.to_owned() } else { top.join(part) }
}

impl Naming {
    /// PNGs of the same names, in order of their bytes.
    pub(super) const PLAIN: Naming =
        Naming { images: &[".png"], labels: &[".png"], prefixes: ["", ""], beside: &[], order: Order::Bytes };

    /// The name of an image without its extension and prefix, if it has them.
    pub(super) fn stem<'a>(&self, name: &'a str) -> &'a str {
        stem(name, self.images, self.prefixes[0])
    }

    /// The name of a label without its extension and prefix, if it has them.
    pub(super) fn label_stem<'a>(&self, name: &'a str) -> &'a str {
        stem(name, self.labels, self.prefixes[1])
    }

    /// The name of the label of an image with this stem, with the first of its extensions.
    pub(super) fn label_of(&self, stem: &str) -> String {
        format!("{}{stem}{}", self.prefixes[1], self.labels[0])
    }

    /// Whether a file of this name in the folder of the labels is a label.
    pub(super) fn is_label(&self, name: &str) -> bool {
        ends_in(name, self.labels) && !self.is_beside(name)
    }

    /// Whether a file of this name is published beside the labels, and is none.
    pub(super) fn is_beside(&self, name: &str) -> bool {
        ends_in(name, self.beside)
    }

    /// Whether labels are called as their images but for the extension `.png`.
    pub(super) fn is_plain(&self) -> bool {
        self.labels == [".png"] && self.prefixes[0] == self.prefixes[1]
    }
}

fn stem<'a>(name: &'a str, endings: &[&str], prefix: &str) -> &'a str {
    let stem = endings.iter().find_map(|ending| without(name, ending)).unwrap_or(name);
    stem.strip_prefix(prefix).unwrap_or(stem)
}

pub(super) fn ends_in(name: &str, endings: &[&str]) -> bool {
    endings.iter().any(|ending| without(name, ending).is_some())
}

/// The name without an extension, if it has it: in upper or lower case.
pub(super) fn without<'a>(name: &'a str, ending: &str) -> Option<&'a str> {
    let cut = name.len().checked_sub(ending.len())?;
    let (stem, found) = (name.get(..cut)?, name.get(cut..)?);
    found.eq_ignore_ascii_case(ending).then_some(stem)
}
