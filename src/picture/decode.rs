//! Decodes complete photographs to 8-bit RGB pixels: PNG and JPEG here, the other formats in their own files.
//!
//! JPEG decoding uses libjpeg's arithmetic (as in libjpeg-turbo and mozjpeg), like Pillow and thus the released code: the
//! bytes are equal. Other decoders differ by a grey level here and there. libjpeg's warnings, which it issues where it
//! fills in damaged parts, are errors here.

use std::any::Any;
use std::io::{Cursor, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use mozjpeg::{ColorSpace, Decompress};
use png::{ColorType, Reader, Transformations};

use super::chunks::Walked;
use super::decoded::Decoded;
use super::{Facts, Fault, Format, Orientation, bmp, chunks, markers, tiff, webp};

/// A decoded photograph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    /// Width and height in pixels.
    pub size: [usize; 2],
    /// Row by row, three bytes per pixel.
    pub rgb: Vec<u8>,
    /// From the file; not applied.
    pub orientation: Orientation,
    /// What the file holds and `rgb` does not.
    pub dropped: Dropped,
}

/// What decoding has dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// The lower 8 bits of samples of 16.
    pub lower_bits: bool,
    /// The transparency of pixels that aren't opaque.
    pub transparency: bool,
}

impl Pixels {
    /// Applies the orientation.
    #[must_use]
    pub fn upright(self) -> Pixels {
        if !self.orientation.is_turned() {
            return self;
        }
        let (size, rgb) = self.orientation.apply::<3>(self.size, &self.rgb);
        Pixels { size, rgb, orientation: Orientation::default(), ..self }
    }
}

/// Decodes the pixels of a file. Grey is repeated, a palette expanded, 16 bits are cut to the upper 8, transparency is
/// dropped, CMYK in a JPEG is converted to RGB as in Pillow. Colour profiles are ignored.
///
/// # Errors
/// The file is incomplete or of an unsupported format.
pub fn photograph(bytes: &[u8]) -> Result<Pixels, Fault> {
    match Format::of(bytes)? {
        Format::Png => of_png(bytes),
        Format::Jpeg => of_jpeg(bytes),
        Format::WebP => webp::read(bytes).map(Pixels::from),
        Format::Tiff => tiff::read(bytes).map(Pixels::from),
        Format::Bmp => bmp::read(bytes).map(Pixels::from),
    }
}

impl From<Decoded> for Pixels {
    fn from(Decoded { facts, rgb }: Decoded) -> Pixels {
        debug_assert_eq!(rgb.len() as u64, facts.size.iter().map(|side| u64::from(*side)).product::<u64>() * 3);
        let dropped = Dropped { lower_bits: facts.brightest.is_some(), transparency: facts.see_through };
        Pixels { size: facts.size.map(|side| side as usize), rgb, orientation: facts.orientation, dropped }
    }
}

/// Decodes the rows of a PNG whose chunks are all present, one at a time: checks that none is missing or unreadable, and
/// finds the facts that only pixels reveal.
pub(crate) fn with_rows(bytes: &[u8], walked: Walked) -> Result<Facts, Fault> {
    let Walked { facts, is_deep, may_be_see_through } = walked;
    let mut reader = opened(bytes, if is_deep { DEEP } else { EIGHT_BITS })?;
    let (width, color) = (if is_deep { 2 } else { 1 }, reader.output_color_type().0);
    let alpha = matches!(color, ColorType::Rgba | ColorType::GrayscaleAlpha);
    let pixel = width * color.samples();
    let colours = pixel - if alpha { width } else { 0 };
    let is_clear = |pixel: &[u8]| pixel[colours..].iter().any(|byte| *byte != u8::MAX);
    let brightest_of =
        |pixel: &[u8]| pixel[..colours].as_chunks::<2>().0.iter().map(|word| u16::from_be_bytes(*word)).max();
    let (mut see_through, mut brightest) = (false, is_deep.then_some(0));
    while let Some(row) = reader.next_row().map_err(damaged)? {
        if alpha && may_be_see_through && !see_through {
            see_through = row.data().chunks_exact(pixel).any(is_clear);
        }
        if is_deep {
            brightest = brightest.max(row.data().chunks_exact(pixel).filter_map(brightest_of).max());
        }
    }
    Ok(Facts { brightest, see_through, ..facts })
}

/// Decodes the scans of a JPEG whose markers are all present.
pub(crate) fn with_scans(bytes: &[u8], facts: Facts) -> Result<Facts, Fault> {
    // At an eighth of the size, entropy decoding is nearly the only cost.
    unpacked(bytes, 1).map(|_| facts)
}

fn of_png(bytes: &[u8]) -> Result<Pixels, Fault> {
    let Walked { facts: Facts { orientation, .. }, is_deep, .. } = chunks::walk(bytes)?;
    let (size, color, samples) = decode(bytes)?;
    let transparency = match color {
        ColorType::Rgba => samples.as_chunks::<4>().0.iter().any(|pixel| pixel[3] != u8::MAX),
        ColorType::GrayscaleAlpha => samples.as_chunks::<2>().0.iter().any(|pixel| pixel[1] != u8::MAX),
        _ => false,
    };
    let dropped = Dropped { lower_bits: is_deep, transparency };
    let rgb = match color {
        ColorType::Rgb => samples,
        ColorType::Rgba => samples.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect(),
        ColorType::Grayscale => samples.iter().flat_map(|&grey| [grey; 3]).collect(),
        ColorType::GrayscaleAlpha => samples.as_chunks::<2>().0.iter().flat_map(|&[grey, _]| [grey; 3]).collect(),
        ColorType::Indexed => unreachable!("expanding a palette gives colours"),
    };
    Ok(Pixels { size, rgb, orientation, dropped })
}

fn decode(bytes: &[u8]) -> Result<([usize; 2], ColorType, Vec<u8>), Fault> {
    let mut reader = opened(bytes, EIGHT_BITS)?;
    let size = reader.output_buffer_size().ok_or_else(|| Fault::Damaged("its size overflows".to_owned()))?;
    let mut samples = vec![0; size];
    let frame = reader.next_frame(&mut samples).map_err(damaged)?;
    samples.truncate(frame.buffer_size());
    Ok(([frame.width as usize, frame.height as usize], frame.color_type, samples))
}

/// Expands a palette, and samples of fewer than 8 bits.
const DEEP: Transformations = Transformations::EXPAND;

/// The same; of 16-bit samples the upper 8 bits are taken.
const EIGHT_BITS: Transformations = Transformations::EXPAND.union(Transformations::STRIP_16);

fn opened(bytes: &[u8], transformations: Transformations) -> Result<Reader<Cursor<&[u8]>>, Fault> {
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: usize::MAX });
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(transformations);
    decoder.read_info().map_err(damaged)
}

/// Why the rows of a PNG can't be decoded. Its chunks are complete, so data that end early were written that way.
fn damaged(error: png::DecodingError) -> Fault {
    Fault::Damaged(match error {
        png::DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            "its data end before its pixels do".to_owned()
        }
        other => other.to_string(),
    })
}

fn of_jpeg(bytes: &[u8]) -> Result<Pixels, Fault> {
    shrunk(bytes, markers::walk(bytes)?, 1)
}

/// A photograph decoded at less than its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reduced {
    /// The pixels that were decoded, and their size.
    pub pixels: Pixels,
    /// Width and height of the whole photograph.
    pub whole: [u32; 2],
}

/// Decodes a JPEG at a half, a quarter or an eighth of its size: the smallest of these, and its size itself, that is at least
/// `wanted` in both directions. `wanted` is asked with the file's facts and answers for its pixels as stored. The blocks of the
/// file are transformed to fewer pixels each, as by Pillow's `draft`. `None`: it is another format, or is needed whole.
///
/// # Errors
/// Those of [`photograph`].
pub fn reduced(bytes: &[u8], wanted: impl FnOnce(&Facts) -> [u32; 2]) -> Result<Option<Reduced>, Fault> {
    if Format::of(bytes)? != Format::Jpeg {
        return Ok(None);
    }
    let facts = markers::walk(bytes)?;
    let wanted = wanted(&facts);
    let times = [0, 1].map(|axis| facts.size[axis] / wanted[axis].max(1));
    match [8, 4, 2].into_iter().find(|part| times.iter().all(|times| times >= part)) {
        None => Ok(None),
        Some(part) => Ok(Some(Reduced { pixels: shrunk(bytes, facts, part)?, whole: facts.size })),
    }
}

/// A JPEG at this part of its size: 1, 2, 4 or 8.
fn shrunk(bytes: &[u8], facts: Facts, part: u32) -> Result<Pixels, Fault> {
    let Facts { size, orientation, .. } = facts;
    let rgb = unpacked(bytes, (8 / part) as u8)?;
    let size = size.map(|side| side.div_ceil(part) as usize);
    debug_assert_eq!(rgb.len(), 3 * size[0] * size[1]);
    Ok(Pixels { size, rgb, orientation, dropped: Dropped::default() })
}

/// The pixels of a JPEG at this many eighths of its size.
fn unpacked(bytes: &[u8], eighths: u8) -> Result<Vec<u8>, Fault> {
    let decoded = catch_unwind(AssertUnwindSafe(|| rgb_of_jpeg(bytes, eighths)));
    decoded.unwrap_or_else(|thrown| Err(Fault::Damaged(reason(thrown))))
}

fn rgb_of_jpeg(bytes: &[u8], eighths: u8) -> Result<Vec<u8>, Fault> {
    let damaged = |error: std::io::Error| Fault::Damaged(error.to_string());
    let mut jpeg = Decompress::builder().with_err(strict::errors()).from_mem(bytes).map_err(damaged)?;
    jpeg.scale(eighths);
    let has_inks = matches!(jpeg.color_space(), ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK);
    let colours = if has_inks { ColorSpace::JCS_CMYK } else { ColorSpace::JCS_RGB };
    let mut started = jpeg.to_colorspace(colours).map_err(damaged)?;
    let samples: Vec<u8> = started.read_scanlines().map_err(damaged)?;
    started.finish().map_err(damaged)?;
    Ok(if has_inks { samples.as_chunks::<4>().0.iter().flat_map(|inks| light(*inks)).collect() } else { samples })
}

/// CMYK as Adobe's programs write it, 255 for no ink, converted to RGB as Pillow does.
fn light([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    [cyan, magenta, yellow].map(|ink| {
        let product = u32::from(255 - ink) * u32::from(black) + 128;
        black - ((product + (product >> 8)) >> 8) as u8
    })
}

/// The library's message as it gave up. Any other panic is a bug in this program.
fn reason(thrown: Box<dyn Any + Send>) -> String {
    match thrown.downcast::<strict::Refusal>() {
        Ok(refusal) => refusal.0,
        Err(other) => resume_unwind(other),
    }
}

mod strict {
    //! Error handling for the JPEG library: it unwinds with its message, also on a warning.

    use std::ffi::c_int;

    use mozjpeg_sys::{JWRN_EXTRANEOUS_DATA, jpeg_common_struct, jpeg_error_mgr, jpeg_std_error};

    /// The payload of the unwinding.
    pub(super) struct Refusal(pub(super) String);

    pub(super) fn errors() -> jpeg_error_mgr {
        // SAFETY: the struct is plain numbers and optional functions, for which zeros are valid, and the library fills it in.
        let mut errors = unsafe {
            let mut errors: jpeg_error_mgr = std::mem::zeroed();
            jpeg_std_error(&mut errors);
            errors
        };
        errors.error_exit = Some(give_up);
        errors.emit_message = Some(give_up_on_warnings);
        errors
    }

    extern "C-unwind" fn give_up(info: &mut jpeg_common_struct) {
        // Not a panic: no hook must print it, and the caller catches it.
        std::panic::resume_unwind(Box::new(Refusal(message(info))));
    }

    /// Warnings have level -1, trace messages a higher one. Bytes between two segments, which some cameras write, are no
    /// damage.
    extern "C-unwind" fn give_up_on_warnings(info: &mut jpeg_common_struct, level: c_int) {
        // SAFETY: the library sets it before it can issue a message, and nothing else changes it meanwhile.
        let code = unsafe { (*info.err).msg_code };
        if level < 0 && code != JWRN_EXTRANEOUS_DATA as c_int {
            give_up(info);
        }
    }

    fn message(info: &mut jpeg_common_struct) -> String {
        type Format = unsafe extern "C-unwind" fn(&mut jpeg_common_struct, &[u8; 80]);
        type Writes = unsafe extern "C-unwind" fn(&mut jpeg_common_struct, &mut [u8; 80]);
        let mut text = [0; 80];
        // SAFETY: as above. The function belongs to the library: it writes a zero-terminated text into these 80 bytes,
        // though its declaration says that it only reads them.
        unsafe {
            if let Some(format) = (*info.err).format_message {
                std::mem::transmute::<Format, Writes>(format)(info, &mut text);
            }
        }
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        String::from_utf8_lossy(&text[..end]).into_owned()
    }
}
