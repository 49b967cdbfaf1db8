//! WebP photographs (RFC 9649): whether a file is complete, and its pixels.
//!
//! The walk through the chunks finds a missing end, the size and the orientation before memory is taken; `image_webp` then
//! decodes, with the pixels of libwebp and thus of Pillow. WebP has no checksums: damage within a chunk is found where the
//! data no longer decode. Animations are refused: which of its pictures were meant?

use std::io::{Cursor, ErrorKind};

use image_webp::{DecodingError, WebPDecoder};

use super::decoded::Decoded;
use super::{Facts, Fault, Format, Orientation, check_size, exif};

/// `RIFF`, the size of the rest, `WEBP`.
const HEAD: usize = 12;
const ANIMATED: u8 = 0x02;

/// Whether a file begins as a WebP does.
pub(crate) fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(b"RIFF") && bytes.get(8..HEAD) == Some(b"WEBP")
}

/// The length of the file that its header says.
pub(crate) fn length(bytes: &[u8]) -> Option<usize> {
    let size = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
    usize::try_from(size).ok()?.checked_add(8)
}

/// Width and height from the first chunk.
pub(crate) fn size(bytes: &[u8]) -> Option<[u32; 2]> {
    let (name, content) = (bytes.get(HEAD..HEAD + 4)?, bytes.get(HEAD + 8..)?);
    let short = |at: usize| Some(u32::from(u16::from_le_bytes(content.get(at..at + 2)?.try_into().ok()?)));
    let three = |at: usize| Some(short(at)? | u32::from(*content.get(at + 2)?) << 16);
    match name {
        b"VP8 " => (content.get(3..6)? == [0x9d, 0x01, 0x2a]).then_some([short(6)? & 0x3fff, short(8)? & 0x3fff]),
        b"VP8L" => {
            let sides = short(1)? | short(3)? << 16;
            (content[0] == 0x2f).then_some([(sides & 0x3fff) + 1, (sides >> 14 & 0x3fff) + 1])
        }
        b"VP8X" => Some([three(4)? + 1, three(7)? + 1]),
        _ => None,
    }
}

/// Checks and decodes a file that begins as a WebP does.
pub(crate) fn read(bytes: &[u8]) -> Result<Decoded, Fault> {
    let orientation = walk(bytes)?;
    let Some(size) = size(bytes) else {
        return Err(Fault::Damaged("its first chunk doesn't tell its size".to_owned()));
    };
    check_size(size)?;
    let end = length(bytes).expect("the walk has read it");
    let mut decoder = WebPDecoder::new(Cursor::new(&bytes[..end])).map_err(fault)?;
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    let pixels = decoder.output_buffer_size().ok_or_else(|| Fault::Damaged("its size overflows".to_owned()))?;
    let mut samples = vec![0; pixels];
    decoder.read_image(&mut samples).map_err(fault)?;
    let see_through = channels == 4 && samples.as_chunks::<4>().0.iter().any(|pixel| pixel[3] != u8::MAX);
    let rgb = match channels {
        4 => samples.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect(),
        _ => samples,
    };
    Ok(Decoded { facts: Facts { format: Format::WebP, size, orientation, brightest: None, see_through }, rgb })
}

/// Walks through the chunks: all are there, and none is of an animation. Returns the orientation.
fn walk(bytes: &[u8]) -> Result<Orientation, Fault> {
    let end = length(bytes).ok_or_else(|| Fault::Cut { within: "its header".to_owned() })?;
    let (mut at, mut orientation) = (HEAD, None);
    while at + 8 <= end {
        let head = bytes.get(at..at + 8).ok_or_else(|| Fault::Cut { within: "the head of a chunk".to_owned() })?;
        let shown = || head[..4].escape_ascii().to_string();
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let next = at + 8 + length;
        if next > end {
            return Err(Fault::Damaged(format!(
                "the chunk {} at byte {at} is longer than the file says it is",
                shown()
            )));
        }
        let content = bytes.get(at + 8..next).ok_or_else(|| Fault::Cut { within: format!("the chunk {}", shown()) })?;
        match (&head[..4], content) {
            (b"ANIM" | b"ANMF", _) => return Err(animated()),
            (b"VP8X", [flags, ..]) if flags & ANIMATED != 0 => return Err(animated()),
            (b"EXIF", _) if orientation.is_none() => {
                orientation = Some(exif::orientation(content.strip_prefix(b"Exif\0\0").unwrap_or(content)));
            }
            _ => {}
        }
        // A chunk of an odd length is followed by a byte of padding.
        at = next + length % 2;
    }
    if bytes.len() < end {
        return Err(Fault::Cut { within: "its last chunk".to_owned() });
    }
    Ok(orientation.unwrap_or_default())
}

fn animated() -> Fault {
    Fault::Unsupported("an animated WebP".to_owned())
}

/// Why it can't be decoded. Its chunks are complete, so data that end early were written that way.
fn fault(error: DecodingError) -> Fault {
    match error {
        DecodingError::UnsupportedFeature(what) => Fault::Unsupported(format!("a WebP with {what}")),
        DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Fault::Damaged("its data end before its pixels do".to_owned())
        }
        other => Fault::Damaged(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look;
    use crate::samples::{golden, refusal};

    #[test]
    fn a_webp_that_was_written_too_short_is_an_error() {
        for name in ["lossy.webp", "small.lossless.webp"] {
            let whole = golden(name);
            for length in (30..whole.len() - 8).step_by(2) {
                let mut file = whole[..length].to_vec();
                file[4..8].copy_from_slice(&(length as u32 - 8).to_le_bytes());
                file[16..20].copy_from_slice(&(length as u32 - 20).to_le_bytes());
                assert!(matches!(look(&file), Err(Fault::Damaged(_))), "{name} of {length}: {:?}", look(&file));
            }
        }
    }

    #[test]
    fn an_animation_is_refused() {
        assert_eq!(refusal(&golden("others/animated.webp")), "it is an animated WebP, which is not read");
    }

    #[test]
    fn more_pixels_than_memory_are_refused_by_the_head() {
        let mut file = golden("small.clear.webp");
        assert_eq!(&file[12..16], b"VP8L");
        file[12..16].copy_from_slice(b"VP8X");
        file[20..30].copy_from_slice(&[0, 0, 0, 0, 0x6f, 0x11, 1, 0x6f, 0x11, 1]);
        assert_eq!(look(&file), Err(Fault::TooLarge { size: [70_000, 70_000] }));
        refusal(&file);
    }
}
