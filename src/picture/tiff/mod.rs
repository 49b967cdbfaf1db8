//! TIFF photographs (TIFF 6.0, BigTIFF): whether a file is complete and supported, and its pixels.
//!
//! `page` reads the tags of the one page and refuses what isn't read, before memory is taken; the `tiff` crate then decodes
//! strips and tiles. It takes a palette's indices for none that it knows, so it is told that they are grey, and the colours
//! are looked up here. TIFF has no checksums: damage is found where positions lead out of the file or data no longer
//! decode.

mod page;

use std::borrow::Cow;
use std::io::{Cursor, ErrorKind};

use ::tiff::decoder::{Decoder, Limits};
use ::tiff::{TiffError, TiffFormatError};

use self::page::{Alpha, Meaning, Page};
use super::decoded::Decoded;
use super::directory::Tiff;
use super::{Facts, Fault, Format};

/// Whether a file begins as a TIFF does.
pub(crate) fn begins(bytes: &[u8]) -> bool {
    Tiff::open(bytes).is_some()
}

/// Width and height, if the directory of the first page is within the bytes.
pub(crate) fn size(bytes: &[u8]) -> Option<[u32; 2]> {
    page::size(Tiff::open(bytes)?.first().ok()?)
}

/// Checks and decodes a file that begins as a TIFF does.
pub(crate) fn read(bytes: &[u8]) -> Result<Decoded, Fault> {
    let page = Page::of(bytes)?;
    let samples = decoded(bytes, &page)?;
    let (samples, brightest) = match page.bits {
        16 => upper(&samples, &page),
        8 => (samples, None),
        bits => (unpacked(&samples, page.size[0] as usize, bits), None),
    };
    let clear = page.alpha.map(|_| page.samples - 1);
    let see_through =
        clear.is_some_and(|alpha| samples.chunks_exact(page.samples).any(|pixel| pixel[alpha] != u8::MAX));
    let facts = Facts { format: Format::Tiff, size: page.size, orientation: page.orientation, brightest, see_through };
    Ok(Decoded { facts, rgb: page.colours(samples)? })
}

/// The samples of each pixel, one pixel after the other, in this machine's order of bytes.
fn decoded(bytes: &[u8], page: &Page) -> Result<Vec<u8>, Fault> {
    let mut bytes = Cow::Borrowed(bytes);
    if let Meaning::Palette { told_at, .. } = page.meaning {
        let grey = if bytes.starts_with(b"II") { [1, 0] } else { [0, 1] };
        bytes.to_mut()[told_at..told_at + 2].copy_from_slice(&grey);
    }
    let mut decoder = Decoder::new(Cursor::new(&bytes[..])).map_err(fault)?.with_limits(Limits::unlimited());
    let layout = decoder.image_buffer_layout().map_err(fault)?;
    let wanted = page.row() * page.size[1] as usize;
    if layout.complete_len != wanted {
        return Err(Fault::Damaged("its tags contradict each other".to_owned()));
    }
    let mut samples = vec![0; wanted];
    decoder.read_image_bytes(&mut samples).map_err(fault)?;
    let Some(plane) = layout.plane_stride.filter(|_| layout.planes > 1) else { return Ok(samples) };
    let (plane, width) = (plane.get(), usize::from(page.bits / 8));
    let pixel = |at: usize| (0..layout.planes).map(move |of| of * plane + at);
    Ok((0..plane).step_by(width).flat_map(pixel).flat_map(|at| samples[at..at + width].iter().copied()).collect())
}

/// The upper 8 bits of 16, and the largest sample of a colour.
fn upper(samples: &[u8], page: &Page) -> (Vec<u8>, Option<u16>) {
    let words = samples.as_chunks::<2>().0.iter().map(|word| u16::from_ne_bytes(*word));
    let colours = page.samples - usize::from(page.alpha.is_some());
    let brightest = words.clone().enumerate().filter(|(at, _)| at % page.samples < colours).map(|(_, word)| word).max();
    (words.map(|word| (word >> 8) as u8).collect(), brightest)
}

/// Samples of 1, 2 or 4 bits, the leftmost in the upper bits, rows padded to whole bytes.
fn unpacked(packed: &[u8], width: usize, bits: u8) -> Vec<u8> {
    let bits = usize::from(bits);
    let sample = |row: &[u8], x: usize| row[x * bits / 8] >> (8 - bits - x * bits % 8) & ((1 << bits) - 1);
    let rows = packed.chunks_exact((width * bits).div_ceil(8));
    rows.flat_map(|row| (0..width).map(move |x| sample(row, x))).collect()
}

impl Page {
    /// The bytes of a row of samples.
    fn row(&self) -> usize {
        (self.size[0] as usize * self.samples * usize::from(self.bits)).div_ceil(8)
    }

    /// Three bytes a pixel, of samples of 8 bits, or fewer but a byte for each.
    fn colours(&self, samples: Vec<u8>) -> Result<Vec<u8>, Fault> {
        let is_multiplied = self.alpha == Some(Alpha::Multiplied);
        let plain = |pixel: &[u8], colour: u8| match pixel[self.samples - 1] {
            alpha if is_multiplied => undone(colour, alpha),
            _ => colour,
        };
        let pixels = samples.chunks_exact(self.samples);
        Ok(match &self.meaning {
            Meaning::Palette { colours, .. } => {
                let colour = |index: &u8| colours.get(usize::from(*index)).copied();
                let colours: Option<Vec<[u8; 3]>> = samples.iter().map(colour).collect();
                let missing = || Fault::Damaged("a pixel's index is not in its palette".to_owned());
                colours.ok_or_else(missing)?.into_flattened()
            }
            Meaning::Grey => {
                // 1, 3 and 15 become 255.
                let scale = if self.bits < 8 { u8::MAX / ((1 << self.bits) - 1) } else { 1 };
                pixels.flat_map(|pixel| [plain(pixel, pixel[0] * scale); 3]).collect()
            }
            Meaning::Rgb if self.samples == 3 => samples,
            Meaning::Rgb => pixels.flat_map(|pixel| [0, 1, 2].map(|of| plain(pixel, pixel[of]))).collect(),
        })
    }
}

/// A colour before it was multiplied by transparency, as Pillow computes it.
fn undone(colour: u8, alpha: u8) -> u8 {
    match alpha {
        0 => 0,
        alpha => (u32::from(colour) * 255 / u32::from(alpha)).min(255) as u8,
    }
}

/// Why it can't be decoded. Positions were checked, so data that end early were written that way.
fn fault(error: TiffError) -> Fault {
    match error {
        TiffError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Fault::Damaged("its data end before its pixels do".to_owned())
        }
        TiffError::UnsupportedError(what) => Fault::Unsupported(format!("a TIFF of its kind ({what})")),
        TiffError::FormatError(TiffFormatError::CompressedDataCorrupt(what)) => Fault::Damaged(what),
        TiffError::LimitsExceeded => Fault::Unsupported("a TIFF with so many strips".to_owned()),
        other => Fault::Damaged(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
