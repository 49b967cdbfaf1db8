//! A plain folder of images, with a folder of labels: for people who labelled their own images.
//!
//! Knows no classes: the pipeline file defines the meaning of label values, by the order of the classes and by `map`.

use std::ffi::OsStr;

use super::listing::Naming;
use super::naming::ends_in;

/// Images with any of these extensions; a label has its image's name and is a PNG.
pub const NAMING: Naming = Naming { images: IMAGES, ..Naming::PLAIN };

/// The same with colour-coded labels, which may be of any lossless format.
pub const PAINTED: Naming = Naming { labels: &[".png", ".webp", ".tif", ".tiff", ".bmp"], ..NAMING };

/// Those of [`intrada_picture::ENDINGS`].
const IMAGES: &[&str] = &[".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"];

/// Whether a file is an image by its name.
pub fn is_image(file: &OsStr) -> bool {
    // An extension is ASCII, so what isn't UTF-8 before it doesn't matter.
    ends_in(&file.to_string_lossy(), NAMING.images)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_of_a_photograph_is_that_of_an_image() {
        assert_eq!(IMAGES.to_vec(), intrada_picture::ENDINGS.map(|ending| format!(".{ending}")));
    }
}
