//! Photographs in PNG and JPEG files: whether a file is whole and can be read, what it is, and its pixels.
//!
//! Knows bytes only: no path, no data set, no tensor. It is a crate of its own because two programs need the same rules: the
//! runner looks at every photograph before anything runs, and the worker decodes it days later. What [`look`] takes for
//! whole, [`photograph`] decodes; what it refuses, that refuses with the same words.
//!
//! The format is told by the first bytes, not by the ending of a name.
#![warn(missing_docs)]

mod chunks;
mod decode;
mod exif;
mod markers;
mod orientation;
#[cfg(test)]
mod samples;

use intrada_beginning::Beginning;
use serde::{Deserialize, Serialize};

pub use decode::{Pixels, photograph};
pub use orientation::Orientation;

/// Changes when [`photograph`] gives other pixels for a JPEG file than before.
pub const JPEG_REVISION: u32 = 2;

/// A file may declare no more pixels than this: 32,768 × 32,768, which take 3 GiB of memory.
pub const PIXELS_AT_MOST: u64 = 1 << 30;

/// How a file holds its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// Portable Network Graphics.
    Png,
    /// ITU-T T.81, baseline or progressive.
    Jpeg,
}

/// What a whole photograph is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// How the file holds its pixels.
    pub format: Format,
    /// Width and height in pixels, as stored.
    pub size: [u32; 2],
    /// How the camera was held, by the file's Exif data. [`photograph`] doesn't apply it.
    pub orientation: Orientation,
    /// The largest sample of a file with 16 bits a sample; `None` for 8 bits and fewer.
    pub brightest: Option<u16>,
    /// Whether a pixel is transparent, wholly or in part. That is dropped when it is decoded.
    pub see_through: bool,
}

/// Why a file is no photograph that can be read. Each reads on after the file's name and a colon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Another kind of file.
    #[error("it is {0}, not a PNG or JPEG file")]
    Foreign(Beginning),
    /// The end is missing.
    #[error("it is cut short: it ends within {within}")]
    Cut {
        /// Which part of the file.
        within: String,
    },
    /// Altered, or written wrongly.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// Whole, but of a kind that isn't read.
    #[error("it is {0}, which is not read")]
    Unsupported(String),
    /// More than [`PIXELS_AT_MOST`].
    #[error("it has {} × {} pixels; at most {PIXELS_AT_MOST} in all are read", size[0], size[1])]
    TooLarge {
        /// Width and height.
        size: [u32; 2],
    },
}

impl Fault {
    /// What to do about it, where that can be said.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Fault::Foreign(beginning) => Some(beginning.cure().unwrap_or(match beginning {
                Beginning::Image(_) => "convert it to PNG",
                _ => "take it out of the folder, or name the images in a `list`",
            })),
            Fault::Cut { .. } | Fault::Damaged(_) => Some("copy or download the file again"),
            Fault::Unsupported(_) => Some("store it as an 8-bit RGB PNG or a baseline JPEG"),
            Fault::TooLarge { .. } => Some("cut it into smaller images"),
        }
    }
}

/// Goes through the whole file. What was compressed is unpacked, as right checksums say nothing of a file that was written
/// wrongly: of a PNG row by row, which never takes the memory of all its pixels; of a JPEG at an eighth of its size, in about
/// a third of the time of its pixels.
///
/// # Errors
/// The file isn't whole, or [`photograph`] would refuse it.
pub fn look(bytes: &[u8]) -> Result<Facts, Fault> {
    match Format::of(bytes)? {
        Format::Png => decode::with_rows(bytes, chunks::walk(bytes)?),
        Format::Jpeg => decode::with_scans(bytes, markers::walk(bytes)?),
    }
}

/// Width and height in pixels by the head of a file, however much of it there is. `None` where it is neither PNG nor JPEG.
pub fn size_of(bytes: &[u8]) -> Option<[u32; 2]> {
    match Format::of(bytes).ok()? {
        Format::Png => chunks::size(bytes),
        Format::Jpeg => markers::size(bytes),
    }
}

/// The first and the last bytes of a file.
#[derive(Clone, Copy, Debug)]
pub struct Ends<'a> {
    /// The first.
    pub head: &'a [u8],
    /// The last, of which at least 12 are needed.
    pub tail: &'a [u8],
}

impl Ends<'_> {
    /// Width and height. `None` where only the whole file tells whether it ends as it should, or how large it is.
    ///
    /// # Errors
    /// It is no photograph.
    pub fn size(self) -> Result<Option<[u32; 2]>, Fault> {
        let ends = match Format::of(self.head)? {
            Format::Png => self.tail.ends_with(&chunks::LAST),
            Format::Jpeg => self.tail.ends_with(&markers::LAST),
        };
        Ok(if ends { size_of(self.head) } else { None })
    }
}

impl Format {
    /// By the first bytes.
    ///
    /// # Errors
    /// [`Fault::Foreign`].
    fn of(bytes: &[u8]) -> Result<Format, Fault> {
        if bytes.starts_with(&chunks::SIGNATURE[..4]) {
            Ok(Format::Png)
        } else if bytes.starts_with(&markers::SIGNATURE) {
            Ok(Format::Jpeg)
        } else {
            Err(Fault::Foreign(Beginning::of(bytes)))
        }
    }
}

/// Refuses what has no pixels or too many.
fn check_size(size: [u32; 2]) -> Result<(), Fault> {
    let [width, height] = size.map(u64::from);
    match width * height {
        0 => Err(Fault::Damaged(format!("it says that it has {width} × {height} pixels"))),
        pixels if pixels > PIXELS_AT_MOST => Err(Fault::TooLarge { size }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
