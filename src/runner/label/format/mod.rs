//! The formats of label tools: one file each, one row of a table.
//!
//! A format writes images with the network's masks for its tool, and reads what the tool exports. It knows labels by their
//! names; which class a name is, [`super::read`] knows.

pub mod brush;
mod cvat;
mod label_studio;

use std::path::Path;

pub use cvat::BACKGROUND;

use super::archive::Archive;
use super::folder::{ChosenImage, Description, LabelClass, NETWORK};
use super::mask::{IGNORED, Mask};
use super::{Error, io_error};
use crate::plain;

/// A format.
pub struct Format {
    /// Its name for `--for`.
    pub name: &'static str,
    /// What it is for, for help.
    pub about: &'static str,
    /// Writes its files into a folder of chosen images.
    ///
    /// # Errors
    /// A file can't be read or written, or the format has no place for something.
    pub write: fn(&Set<'_>) -> Result<(), Error>,
    /// The next steps, for a README: lines of at most 80 columns.
    pub steps: fn(&Set<'_>) -> String,
    /// Whether an export is one of this format.
    pub recognizes: fn(&Export) -> bool,
    /// Reads an export.
    pub read: fn(&mut Export, &Set<'_>, &mut Heard),
}

/// All of them, in the order of help.
pub const ALL: &[&Format] = &[&cvat::FORMAT, &label_studio::FORMAT];

/// The format of this name.
pub fn named(name: &str) -> Option<&'static Format> {
    ALL.iter().copied().find(|format| format.name == name)
}

/// The chosen images, for a format.
pub struct Set<'a> {
    /// Their folder.
    pub folder: &'a Path,
    /// What it says about itself.
    pub description: &'a Description,
}

impl Set<'_> {
    /// The classes, by index.
    pub fn classes(&self) -> &[LabelClass] {
        &self.description.classes
    }

    /// The images.
    pub fn images(&self) -> &[ChosenImage] {
        &self.description.images
    }

    /// What the network saw in an image: indices of [`Set::classes`].
    ///
    /// # Errors
    /// The file can't be read.
    pub fn network(&self, image: &ChosenImage) -> Result<Mask, Error> {
        let path = self.folder.join(NETWORK).join(image.mask());
        let bytes = plain::read(&path).map_err(io_error("read", &path))?;
        let mask = Mask::decode(&bytes).map_err(|reason| Error::Mask { path: path.clone(), reason })?;
        if mask.size() != image.size {
            let reason = format!("it has {:?} pixels, the image {:?}", mask.size(), image.size);
            return Err(Error::Mask { path, reason });
        }
        Ok(mask)
    }

    /// The image that a tool calls by this name: that of its file, with or without extension and folders.
    pub fn image(&self, name: &str) -> Option<&ChosenImage> {
        let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
        self.images().iter().find(|image| image.file == file || image.stem() == file)
    }
}

/// What a tool has exported.
pub enum Export {
    /// An archive, or its folder.
    Archive(Archive),
    /// A file of JSON.
    Json(serde_json::Value),
}

/// What was read.
#[derive(Default)]
pub struct Heard {
    /// The labels of images, each once.
    pub labels: Vec<Labels>,
    /// What is wrong, in words that begin with the place in the export. Then nothing is taken.
    pub problems: Vec<String>,
    /// What is to be known, in words.
    pub notes: Vec<String>,
    /// Images of the export that are not among the chosen ones.
    pub foreign: Vec<String>,
}

/// The labels of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Labels {
    /// Its file, as chosen.
    pub file: String,
    /// Where they were read, for messages.
    pub place: String,
    /// Indices of `names`, or 255.
    pub mask: Mask,
    /// The labels as the tool calls them.
    pub names: Vec<String>,
}

impl Labels {
    /// The number of pixels of each name, and of those without.
    pub fn pixels(&self) -> (Vec<u64>, u64) {
        let mut counts = [0; 256];
        self.mask.bytes().iter().for_each(|value| counts[usize::from(*value)] += 1);
        (counts[..self.names.len()].to_vec(), counts[usize::from(IGNORED)])
    }
}
