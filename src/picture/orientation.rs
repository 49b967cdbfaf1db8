//! The camera's orientation: the eight values of Exif's tag `Orientation`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The transformation that turns the stored pixels upright. The default is the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orientation(u8);

impl Default for Orientation {
    fn default() -> Orientation {
        Orientation(1)
    }
}

impl Orientation {
    /// From its Exif value; an invalid value is the identity.
    pub(crate) fn from_exif(value: u16) -> Orientation {
        u8::try_from(value).ok().filter(|value| (1..=8).contains(value)).map_or_else(Orientation::default, Orientation)
    }

    /// Whether applying it changes anything.
    pub fn is_turned(self) -> bool {
        self.0 != 1
    }

    /// Whether applying it makes the width the height.
    pub fn swaps_sides(self) -> bool {
        self.0 >= 5
    }

    /// The size of a picture of this size after rotation.
    pub fn upright(self, [width, height]: [u32; 2]) -> [u32; 2] {
        if self.swaps_sides() { [height, width] } else { [width, height] }
    }

    /// Transforms rows of pixels of `C` bytes; returns them with their new size.
    pub(crate) fn apply<const C: usize>(self, size: [usize; 2], bytes: &[u8]) -> ([usize; 2], Vec<u8>) {
        let [width, height] = size;
        let (pixels, rest) = bytes.as_chunks::<C>();
        debug_assert!(rest.is_empty() && pixels.len() == width * height);
        let upright = if self.swaps_sides() { [height, width] } else { size };
        let (right, bottom) = (width - 1, height - 1);
        let mut out = Vec::with_capacity(bytes.len());
        for y in 0..upright[1] {
            for x in 0..upright[0] {
                let (column, row) = match self.0 {
                    2 => (right - x, y),
                    3 => (right - x, bottom - y),
                    4 => (x, bottom - y),
                    5 => (y, x),
                    6 => (y, bottom - x),
                    7 => (right - y, bottom - x),
                    8 => (right - y, x),
                    _ => (x, y),
                };
                out.extend_from_slice(&pixels[row * width + column]);
            }
        }
        (upright, out)
    }
}

impl fmt::Display for Orientation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            2 => "mirrored",
            3 => "turned by 180°",
            4 => "mirrored and turned by 180°",
            5 => "mirrored and turned by 90°",
            6 => "turned by 90° clockwise",
            7 => "mirrored and turned by 270°",
            8 => "turned by 90° counter-clockwise",
            _ => "upright",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where Exif places the stored row 0 and column 0, for 3 × 2 pixels:
    ///
    /// ```text
    /// 1 2 3
    /// 4 5 6
    /// ```
    #[test]
    fn each_orientation_brings_row_0_and_column_0_where_exif_says() {
        let stored = [1, 2, 3, 4, 5, 6];
        let of = |value| Orientation::from_exif(value).apply::<1>([3, 2], &stored);
        assert_eq!(of(1), ([3, 2], vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(of(2), ([3, 2], vec![3, 2, 1, 6, 5, 4]), "column 0 is at the right");
        assert_eq!(of(3), ([3, 2], vec![6, 5, 4, 3, 2, 1]), "row 0 is at the bottom, column 0 at the right");
        assert_eq!(of(4), ([3, 2], vec![4, 5, 6, 1, 2, 3]), "row 0 is at the bottom");
        assert_eq!(of(5), ([2, 3], vec![1, 4, 2, 5, 3, 6]), "row 0 is at the left, column 0 at the top");
        assert_eq!(of(6), ([2, 3], vec![4, 1, 5, 2, 6, 3]), "row 0 is at the right, column 0 at the top");
        assert_eq!(of(7), ([2, 3], vec![6, 3, 5, 2, 4, 1]), "row 0 is at the right, column 0 at the bottom");
        assert_eq!(of(8), ([2, 3], vec![3, 6, 2, 5, 1, 4]), "row 0 is at the left, column 0 at the bottom");
        assert_eq!(of(9), of(1));
    }
}
