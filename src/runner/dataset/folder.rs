//! A plain folder of images, with a folder of labels: for people who labelled their own images.
//!
//! Knows no classes: the pipeline file defines the meaning of label values, by the order of the classes and by `map`.

use super::listing::Naming;

/// Images with any of these extensions; a label has its image's name and is a PNG.
pub const NAMING: Naming = Naming { images: &[".png", ".jpg", ".jpeg"], ..Naming::PLAIN };
