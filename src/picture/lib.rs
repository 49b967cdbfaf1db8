//! Photographs in PNG, JPEG, WebP, TIFF and BMP files: whether a file is complete and supported, its properties, and its pixels.
//!
//! Knows only bytes: no path, no data set, no tensor. It is a crate of its own because two programs need the same rules:
//! the runner checks every photograph before anything runs, and the worker may decode it days later. [`photograph`] decodes
//! every file that [`look`] accepts, and refuses the others with the same message.
//!
//! The format is determined by the first bytes, not by the file's extension.
#![warn(missing_docs)]

mod bmp;
mod chunks;
mod decode;
mod decoded;
mod directory;
mod encode;
mod exif;
mod fit;
mod markers;
mod orientation;
mod palette;
#[cfg(test)]
mod samples;
mod tiff;
mod webp;

use intrada_beginning::Beginning;
use serde::{Deserialize, Serialize};

pub use decode::{Dropped, Pixels, Reduced, photograph, reduced};
pub use encode::jpeg;
pub use fit::fitted;
pub use orientation::Orientation;
pub use palette::{Coloured, Palette, STRANGE_KEPT, Strange, painted};

/// Increment when [`photograph`] or [`reduced`] decodes a JPEG file to other pixels than before.
pub const JPEG_REVISION: u32 = 2;

/// Increment when [`photograph`] decodes a WebP file to other pixels than before.
pub const WEBP_REVISION: u32 = 1;

/// The endings of photographs' names, in lower case. A file's content decides what it is.
pub const ENDINGS: [&str; 7] = ["png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp"];

/// The maximum number of pixels of a file: 32,768 × 32,768, which take 3 GiB of memory.
pub const PIXELS_AT_MOST: u64 = 1 << 30;

/// The file format. The runner's index holds its place in this list: add others at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// Portable Network Graphics.
    Png,
    /// ITU-T T.81, baseline or progressive.
    Jpeg,
    /// RFC 9649, lossy or lossless, no animation.
    WebP,
    /// TIFF 6.0 and BigTIFF, of one page.
    Tiff,
    /// Windows bitmap, uncompressed.
    Bmp,
}

/// Properties of a complete photograph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The file format.
    pub format: Format,
    /// Width and height in pixels, as stored.
    pub size: [u32; 2],
    /// The camera's orientation from the file's Exif data, or the tag of a TIFF. [`photograph`] doesn't apply it.
    pub orientation: Orientation,
    /// The largest sample of a file with 16-bit samples; `None` for 8 bits and fewer.
    pub brightest: Option<u16>,
    /// Whether any pixel is partly or fully transparent. Decoding drops transparency.
    pub see_through: bool,
}

/// Why a file can't be read as a photograph. Each message follows the file's name and a colon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Another file type.
    #[error("it is {0}, not a PNG, JPEG, WebP, TIFF or BMP file")]
    Foreign(Beginning),
    /// The end is missing.
    #[error("it is cut short: it ends within {within}")]
    Cut {
        /// The part in which it ends.
        within: String,
    },
    /// Altered, or written wrongly.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// Complete, but of an unsupported format.
    #[error("it is {0}, which is not read")]
    Unsupported(String),
    /// A label in a format that doesn't keep colours.
    #[error("it is {0}, whose compression alters colours")]
    Lossy(&'static str),
    /// More than [`PIXELS_AT_MOST`].
    #[error("it has {} × {} pixels; at most {PIXELS_AT_MOST} in all are read", size[0], size[1])]
    TooLarge {
        /// Width and height.
        size: [u32; 2],
    },
}

impl Fault {
    /// Advice, where there is any.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Fault::Foreign(beginning) => Some(beginning.cure().unwrap_or(match beginning {
                Beginning::Image(_) => "convert it to PNG",
                _ => "take it out of the folder, or name the images in a `list`",
            })),
            Fault::Cut { .. } | Fault::Damaged(_) => Some("copy or download the file again"),
            Fault::Unsupported(_) => Some("store it as an 8-bit RGB PNG or a baseline JPEG"),
            Fault::Lossy(_) => {
                Some("store the label as PNG, from what it was made of: colours that were altered stay so")
            }
            Fault::TooLarge { .. } => Some("cut it into smaller images"),
        }
    }
}

/// Checks the whole file. Compressed data are decoded, as checksums are also correct in a file that was written wrongly: a
/// PNG row by row, which never holds all its pixels in memory; a JPEG at an eighth of its size, which takes about a third
/// of the time of a full decode; the other formats at their full size.
///
/// # Errors
/// The file is incomplete, or [`photograph`] would refuse it.
pub fn look(bytes: &[u8]) -> Result<Facts, Fault> {
    match Format::of(bytes)? {
        Format::Png => decode::with_rows(bytes, chunks::walk(bytes)?),
        Format::Jpeg => decode::with_scans(bytes, markers::walk(bytes)?),
        Format::WebP => webp::read(bytes).map(|read| read.facts),
        Format::Tiff => tiff::read(bytes).map(|read| read.facts),
        Format::Bmp => bmp::read(bytes).map(|read| read.facts),
    }
}

/// Width and height in pixels from the beginning of a file. `None` if it is no photograph, or too little of it is given:
/// in a TIFF they may be anywhere.
pub fn size_of(bytes: &[u8]) -> Option<[u32; 2]> {
    match Format::of(bytes).ok()? {
        Format::Png => chunks::size(bytes),
        Format::Jpeg => markers::size(bytes),
        Format::WebP => webp::size(bytes),
        Format::Tiff => tiff::size(bytes),
        Format::Bmp => bmp::size(bytes),
    }
}

/// The first and the last bytes of a file.
#[derive(Clone, Copy, Debug)]
pub struct Ends<'a> {
    /// The first.
    pub head: &'a [u8],
    /// The last, of which at least 12 are needed.
    pub tail: &'a [u8],
    /// How many bytes it has in all.
    pub length: u64,
}

impl Ends<'_> {
    /// Width and height. `None` if only the whole file can tell whether its end is intact, or its size.
    ///
    /// # Errors
    /// It is not a photograph.
    pub fn size(self) -> Result<Option<[u32; 2]>, Fault> {
        let holds = |length: Option<usize>| length.is_some_and(|length| length as u64 <= self.length);
        let ends = match Format::of(self.head)? {
            Format::Png => self.tail.ends_with(&chunks::LAST),
            Format::Jpeg => self.tail.ends_with(&markers::LAST),
            Format::WebP => holds(webp::length(self.head)),
            Format::Bmp => holds(bmp::length(self.head)),
            // Its pixels may be in any order.
            Format::Tiff => false,
        };
        Ok(if ends { size_of(self.head) } else { None })
    }
}

impl Format {
    /// Determines the format by the first bytes.
    ///
    /// # Errors
    /// [`Fault::Foreign`].
    fn of(bytes: &[u8]) -> Result<Format, Fault> {
        if bytes.starts_with(&chunks::SIGNATURE[..4]) {
            Ok(Format::Png)
        } else if bytes.starts_with(&markers::SIGNATURE) {
            Ok(Format::Jpeg)
        } else if webp::begins(bytes) {
            Ok(Format::WebP)
        } else if tiff::begins(bytes) {
            Ok(Format::Tiff)
        } else if bmp::begins(bytes) {
            Ok(Format::Bmp)
        } else {
            Err(Fault::Foreign(Beginning::of(bytes)))
        }
    }
}

/// Refuses images with no pixels or too many.
fn check_size(size: [u32; 2]) -> Result<(), Fault> {
    let [width, height] = size.map(u64::from);
    match width * height {
        0 => Err(Fault::Damaged(format!("its header says {width} × {height} pixels"))),
        pixels if pixels > PIXELS_AT_MOST => Err(Fault::TooLarge { size }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
