//! A plain folder of images, with a folder of labels beside it: what someone has who labelled their own pictures.
//!
//! Knows no classes: what the values of its labels mean is said in the pipeline file, by the order of the classes and by
//! `map`.

use super::listing::{Naming, Order};

/// Images of any of these endings; a label has its image's name and is a PNG.
pub const NAMING: Naming = Naming { images: &[".png", ".jpg", ".jpeg"], labels: &[".png"], order: Order::Bytes };
