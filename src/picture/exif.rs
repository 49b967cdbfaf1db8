//! Reads one Exif tag: the orientation.
//!
//! Exif data is a TIFF file without an image (CIPA DC-008). Invalid data is ignored, as cameras and editors often write it.

use super::Orientation;

const ORIENTATION: u16 = 0x0112;
const SHORT: u16 = 3;

/// The orientation from a block of Exif data that begins with the byte order.
pub(crate) fn orientation(tiff: &[u8]) -> Orientation {
    value(tiff).map_or_else(Orientation::default, Orientation::from_exif)
}

fn value(tiff: &[u8]) -> Option<u16> {
    let is_big = match tiff.get(..4)? {
        b"MM\0*" => true,
        b"II*\0" => false,
        _ => return None,
    };
    let bytes = |at: usize, count: usize| tiff.get(at..at.checked_add(count)?);
    let short = |at: usize| {
        let bytes: [u8; 2] = bytes(at, 2)?.try_into().ok()?;
        Some(if is_big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    };
    let first: [u8; 4] = bytes(4, 4)?.try_into().ok()?;
    let first = if is_big { u32::from_be_bytes(first) } else { u32::from_le_bytes(first) } as usize;
    let entries = usize::from(short(first)?);
    let entry = (0..entries).map(|i| first + 2 + 12 * i).find(|at| short(*at) == Some(ORIENTATION))?;
    (short(entry + 2)? == SHORT).then(|| short(entry + 8)).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;
    use crate::samples::exif;

    #[test]
    fn the_orientation_is_found_in_either_byte_order() {
        for value in 1..=8 {
            for is_big in [false, true] {
                assert_eq!(orientation(&exif(value, is_big)), Orientation::from_exif(value));
            }
        }
        assert_eq!(orientation(b"II*\0"), Orientation::default());
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_reading_ends(bytes in prop::collection::vec(any::<u8>(), 0..64), is_big: bool) {
            let start: &[u8] = if is_big { b"MM\0*\0\0\0\x08" } else { b"II*\0\x08\0\0\0" };
            orientation(&[start, &bytes].concat());
            orientation(&bytes);
        }
    }
}
