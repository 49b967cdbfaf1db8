//! How large an image is, out of the head of its file.
//!
//! Decodes nothing, so it costs a few microseconds where `ml` needs milliseconds. Of PNG and JPEG, which are what `ml` reads
//! and writes; told by the first bytes, not by the ending. Orientation tags of cameras are not applied, as there.

use std::io::{BufReader, Read};
use std::path::Path;

use crate::plain;

const PNG: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// `[width, height]` in pixels. `None` where it is neither PNG nor JPEG, or can't be read: whoever decodes it says why.
pub fn size(path: &Path) -> Option<[u32; 2]> {
    size_of(BufReader::with_capacity(1024, plain::open(path).ok()?))
}

/// The same of a file's bytes.
pub fn size_of(mut file: impl Read) -> Option<[u32; 2]> {
    let start: [u8; 2] = take(&mut file)?;
    match start {
        [0x89, b'P'] => of_png(&mut file),
        [0xff, 0xd8] => of_jpeg(&mut file),
        _ => None,
    }
}

/// After the signature comes the chunk IHDR, which begins with the two numbers.
fn of_png(file: &mut impl Read) -> Option<[u32; 2]> {
    let rest: [u8; 6] = take(file)?;
    let [_length, name, width, height]: [[u8; 4]; 4] = [take(file)?, take(file)?, take(file)?, take(file)?];
    (rest == PNG[2..] && name == *b"IHDR").then(|| [width, height].map(u32::from_be_bytes))
}

/// The frame header (ITU-T T.81, B.2.2) tells it, after segments that each begin with their length.
fn of_jpeg(file: &mut impl Read) -> Option<[u32; 2]> {
    loop {
        let [0xff] = take(file)? else { return None };
        let mut marker = 0xff;
        while marker == 0xff {
            [marker] = take(file)?;
        }
        let length = u16::from_be_bytes(take(file)?);
        match marker {
            // Of these, three begin no frame: Huffman tables, what is reserved, arithmetic conditioning.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let [_precision] = take(file)?;
                let [height, width]: [[u8; 2]; 2] = [take(file)?, take(file)?];
                return Some([width, height].map(|number| u16::from_be_bytes(number).into()));
            }
            // The pixels begin, or the image has ended, and no frame was declared.
            0xd8..=0xda => return None,
            _ => {
                let rest = u64::from(length.checked_sub(2)?);
                let skipped = std::io::copy(&mut file.by_ref().take(rest), &mut std::io::sink()).ok()?;
                (skipped == rest).then_some(())?;
            }
        }
    }
}

fn take<const N: usize>(file: &mut impl Read) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes).ok().map(|()| bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(&vec![0; (width * height) as usize]).unwrap();
        bytes
    }

    /// A thumbnail in a segment, a Huffman table, padding before a marker; then a progressive frame of 300 × 5.
    fn jpeg() -> Vec<u8> {
        let thumbnail = [&[0xff, 0xe1, 0, 13][..], &[0xff, 0xc0, 0, 7, 8, 0, 9, 0, 9, 1, 1]].concat();
        let frame = [0xff, 0xff, 0xff, 0xc2, 0, 11, 8, 0, 5, 1, 44, 1, 1, 0x11, 0];
        [&[0xff, 0xd8][..], &thumbnail, &[0xff, 0xc4, 0, 3, 0], &frame, &[0xff, 0xda, 0, 2]].concat()
    }

    #[test]
    fn a_jpeg_has_the_size_of_its_frame_and_not_of_its_thumbnail() {
        assert_eq!(size_of(&jpeg()[..]), Some([300, 5]));
        assert_eq!(size_of(&b"\xff\xd8\xff\xda\0\x02"[..]), None);
        assert_eq!(size_of(&b"GIF89a"[..]), None);
    }

    #[test]
    fn a_file_has_the_size_of_its_bytes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), jpeg()).unwrap();
        assert_eq!(size(file.path()), Some([300, 5]));
        assert_eq!(size(Path::new("nowhere.jpg")), None);
    }

    proptest! {
        #[test]
        fn a_png_has_the_size_that_it_was_written_with(width in 1u32..400, height in 1u32..9) {
            prop_assert_eq!(size_of(&png(width, height)[..]), Some([width, height]));
        }

        #[test]
        fn whatever_the_bytes_reading_ends(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
            for mut bytes in [png(3, 2), jpeg()] {
                let at = at.index(bytes.len());
                bytes[at] = byte;
                bytes.truncate(cut.index(bytes.len()));
                size_of(&bytes[..]);
            }
        }
    }
}
