//! Reads one Exif tag: the orientation.
//!
//! Exif data is a TIFF file without an image (CIPA DC-008). Invalid data is ignored, as cameras and editors often write it.

use super::Orientation;
use super::directory::Tiff;

pub(crate) const ORIENTATION: u16 = 0x0112;

/// The orientation from a block of Exif data that begins with the byte order.
pub(crate) fn orientation(tiff: &[u8]) -> Orientation {
    value(tiff).map_or_else(Orientation::default, Orientation::from_exif)
}

fn value(tiff: &[u8]) -> Option<u16> {
    let tiff = Tiff::open(tiff).filter(|tiff| !tiff.is_large)?;
    tiff.first().ok()?.short(ORIENTATION)
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
