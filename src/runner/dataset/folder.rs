//! A plain folder of images, with a folder of labels: for people who labelled their own images.
//!
//! Knows no classes: the pipeline file defines the meaning of label values, by the order of the classes and by `map`.

use std::ffi::OsStr;

use super::listing::Naming;
use super::naming::ends_in;

/// Images with any of these extensions; a label has its image's name and is a PNG.
pub const NAMING: Naming = Naming { images: &[".png", ".jpg", ".jpeg"], ..Naming::PLAIN };

/// Whether a file is an image by its name.
pub fn is_image(file: &OsStr) -> bool {
    // An extension is ASCII, so what isn't UTF-8 before it doesn't matter.
    ends_in(&file.to_string_lossy(), NAMING.images)
}
