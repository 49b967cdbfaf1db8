//! Images, labels and lists: everything of the papers that needs no tensor.
//!
//! From image files, or from synthetic scenes, to pixels and class indices: decoded, resized, augmented, in an order that a seed
//! determines ([`source`], [`augment`], [`order`], [`prefetch`]); and from the scores of images to ranked lists ([`rank`]) and
//! pseudo-labels ([`pseudo_label`]). `intrada-ml` makes tensors of it. A crate of its own, as a program that links libtorch needs
//! 0.4 s of CPU to start, and a stage that only sorts or copies should not pay for it.
//!
//! Doesn't know data set layouts: a data set here is an explicit list of files from the caller, so that a list can be
//! hashed before anything is read.
//!
//! Everything random depends on a seed and a position (see [`random`]), never on earlier draws. So a stream can be opened
//! at any iteration and gives what an uninterrupted run would have had there.
#![warn(missing_docs)]

use std::path::PathBuf;

use self::input_file::{Changed, ReadError};
use self::margins::Margins;

pub mod augment;
pub mod class_counts;
pub mod colour;
pub mod decode;
pub mod encode;
pub mod input_file;
pub mod kept;
pub mod label;
pub mod margins;
pub mod mixture;
pub mod order;
pub mod prefetch;
pub mod pseudo_label;
pub mod random;
pub mod rank;
pub mod rare;
pub mod raster;
pub mod resize;
pub mod scenes;
pub mod source;

/// Why data could not be read. Each variant names the file and the problem.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The operating system returned an error.
    #[error("cannot {verb} {path}: {source}", path = path.display())]
    Io {
        /// `read` or `write`.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file's content differs from the expected one.
    #[error("{0}")]
    Changed(#[from] Changed),
    /// The file has an unsupported format or is damaged.
    #[error("cannot decode {path}: {reason}", path = path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// The decoder's error.
        reason: String,
    },
    /// A label file whose pixels are colours, not class indices.
    #[error(
        "label {path} holds colours ({colours} different ones), not class indices; use the 8-bit index image, or a `palette`",
        path = path.display()
    )]
    ColourLabel {
        /// The label file.
        path: PathBuf,
        /// Number of different colours.
        colours: usize,
    },
    /// A label file without an 8-bit index per pixel.
    #[error("label {path} is {found}, not a PNG with one 8-bit class index a pixel", path = path.display())]
    NotIndexLabel {
        /// The label file.
        path: PathBuf,
        /// Its pixel format.
        found: &'static str,
    },
    /// A label file that isn't one of SYNTHIA's.
    #[error("label {path} is {found}, not one with several 16-bit channels, the first of them the class", path = path.display())]
    NotSynthiaLabel {
        /// The label file.
        path: PathBuf,
        /// Its pixel format.
        found: &'static str,
    },
    /// A label file with values that are neither a class nor 255.
    #[error(
        "label {path} holds {value}, which is neither a class (0 to {last}) nor 255 (ignore): first at column {column}, row \
         {row}, {pixels} such pixels in all; the values in this file are {found:?}",
        path = path.display(),
        last = classes - 1
    )]
    UnknownClass {
        /// The label file.
        path: PathBuf,
        /// Number of classes.
        classes: u8,
        /// The first bad value in reading order (after the label map, if there is one).
        value: u8,
        /// Its column, from 0.
        column: usize,
        /// Its row, from 0.
        row: usize,
        /// The number of pixels with a bad value.
        pixels: usize,
        /// All values that occur, ascending (after the label map).
        found: Vec<u8>,
    },
    /// A colour-coded label with colours that its palette doesn't have.
    #[error(
        "label {path} holds the colour {},{},{}, which the palette of the data set doesn't have: first at column {column}, row {row}, \
         {pixels} such pixels; {colours} such colours in all",
        colour[0], colour[1], colour[2],
        path = path.display()
    )]
    UnknownColour {
        /// The label file.
        path: PathBuf,
        /// The most frequent one: red, green, blue.
        colour: [u8; 3],
        /// The column of its first pixel, from 0.
        column: usize,
        /// Its row, from 0.
        row: usize,
        /// The number of pixels with it.
        pixels: u64,
        /// The number of such colours.
        colours: usize,
    },
    /// A sample that should have a label has none.
    #[error("image {image} has no label, and this use of the data needs one")]
    NoLabel {
        /// The sample's name.
        image: String,
    },
    /// Image and label have different sizes and no common size is set.
    #[error(
        "image {image} is {}x{} but its label {label} is {}x{}; set a size to resize both",
        image_size[0], image_size[1], label_size[0], label_size[1],
        label = label.display()
    )]
    SizeMismatch {
        /// The sample's name.
        image: String,
        /// Width and height of the image.
        image_size: [usize; 2],
        /// The label file.
        label: PathBuf,
        /// Width and height of the label.
        label_size: [usize; 2],
    },
    /// Two samples of one batch have different sizes.
    #[error(
        "images of different sizes in one batch: {first} is {}x{}, {second} is {}x{}; set a size, a crop, or a batch of 1",
        first_size[0], first_size[1], second_size[0], second_size[1]
    )]
    MixedSizes {
        /// The name of the first sample.
        first: String,
        /// Its width and height.
        first_size: [usize; 2],
        /// The name of the first sample that differs from it.
        second: String,
        /// Its width and height.
        second_size: [usize; 2],
    },
    /// An image smaller than the crop to be cut out of it.
    #[error("image {image} is {}x{}, too small for a crop of {}x{}", size[0], size[1], crop[0], crop[1])]
    SmallerThanCrop {
        /// The sample's name.
        image: String,
        /// Its width and height.
        size: [usize; 2],
        /// Width and height of the crop.
        crop: [usize; 2],
    },
    /// An image that is all margin.
    #[error("the margins of the data set leave no pixel of image {image}, which is {}x{}: {margins}", size[0], size[1])]
    AllMargin {
        /// The sample's name.
        image: String,
        /// Its width and height.
        size: [usize; 2],
        /// The data set's margins.
        margins: Margins,
    },
    /// A name that can't be a file's path relative to a folder.
    #[error("{name:?} cannot name an image: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// Why it is refused.
        reason: &'static str,
    },
    /// Two samples whose predictions would be written to the same file.
    #[error("{first:?} and {second:?} would both be written to {file}; give one of them another name", file = file.display())]
    NameClash {
        /// The first name.
        first: String,
        /// The second.
        second: String,
        /// The file below the folder of predictions.
        file: PathBuf,
    },
    /// The settings contradict themselves or the data.
    #[error("{0}")]
    Settings(String),
    /// The loader was asked for a batch after its last one.
    #[error("no batch after the last of {iterations} iterations")]
    Exhausted {
        /// The number of iterations it was opened for.
        iterations: u64,
    },
}

impl From<ReadError> for DataError {
    fn from(error: ReadError) -> DataError {
        match error {
            ReadError::Io { path, source } => DataError::Io { verb: "read", path, source },
            ReadError::Changed(changed) => DataError::Changed(changed),
        }
    }
}
