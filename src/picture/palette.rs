//! Colour-coded labels: each colour stands for a value, and every other colour is told.
//!
//! Knows no classes: the runner says which value a colour has. Both programs read labels by this: the runner checks each
//! before anything runs, the worker trains on them.

use std::collections::HashMap;

use image_webp::WebPDecoder;
use serde::{Deserialize, Serialize};

use super::{Fault, Format, Pixels, chunks, photograph, tiff};

/// Colours and their values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Palette {
    /// Sorted by colour, each of which is there once.
    pairs: Vec<([u8; 3], u8)>,
}

/// The values of a label's pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coloured {
    /// Width and height.
    pub size: [usize; 2],
    /// Row by row; 255 where the colour is strange.
    pub values: Vec<u8>,
    /// Colours that the palette doesn't have, the most frequent first, at most [`STRANGE_KEPT`].
    pub strange: Vec<Strange>,
    /// How many such colours there are.
    pub strange_colours: usize,
}

/// A colour that a palette doesn't have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strange {
    /// Red, green, blue.
    pub colour: [u8; 3],
    /// The number of pixels with it.
    pub pixels: u64,
    /// Column and row of the first, from 0.
    pub first: [usize; 2],
}

/// How many strange colours of a label are kept: a photograph in the place of a label has a hundred thousand.
pub const STRANGE_KEPT: usize = 256;

impl Palette {
    /// Of these pairs; the last of equal colours counts.
    pub fn new(pairs: impl IntoIterator<Item = ([u8; 3], u8)>) -> Palette {
        let pairs: std::collections::BTreeMap<[u8; 3], u8> = pairs.into_iter().collect();
        Palette { pairs: pairs.into_iter().collect() }
    }

    /// Whether it has no colour.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The colours with their values, sorted by colour.
    pub fn pairs(&self) -> &[([u8; 3], u8)] {
        &self.pairs
    }

    /// The value of a colour.
    pub fn value(&self, colour: [u8; 3]) -> Option<u8> {
        self.pairs.binary_search_by_key(&colour, |(known, _)| *known).ok().map(|place| self.pairs[place].1)
    }

    /// The values of a label. Transparency is dropped; a PNG's palette is expanded.
    ///
    /// # Errors
    /// As [`painted`].
    pub fn read(&self, bytes: &[u8]) -> Result<Coloured, Fault> {
        let Pixels { size, rgb, .. } = painted(bytes)?;
        let mut values = Vec::with_capacity(size[0] * size[1]);
        let mut strange: HashMap<[u8; 3], Strange> = HashMap::new();
        // Neighbours mostly have one colour.
        let mut last = None;
        for (at, colour) in rgb.as_chunks::<3>().0.iter().enumerate() {
            let value = match last {
                Some((known, value)) if known == *colour => value,
                _ => self.value(*colour),
            };
            last = Some((*colour, value));
            if value.is_none() {
                let first = [at % size[0], at / size[0]];
                strange.entry(*colour).or_insert(Strange { colour: *colour, pixels: 0, first }).pixels += 1;
            }
            values.push(value.unwrap_or(u8::MAX));
        }
        let strange_colours = strange.len();
        let mut strange: Vec<Strange> = strange.into_values().collect();
        strange.sort_unstable_by_key(|one| (std::cmp::Reverse(one.pixels), one.first[1], one.first[0]));
        strange.truncate(STRANGE_KEPT);
        Ok(Coloured { size, values, strange, strange_colours })
    }
}

/// The pixels of a file that has the very colours that were painted.
///
/// # Errors
/// Those of [`photograph`], [`Fault::Lossy`], and [`Fault::Unsupported`] for 16-bit samples, whose lower bits would be lost.
pub fn painted(bytes: &[u8]) -> Result<Pixels, Fault> {
    let deep = |format: &str| Err(Fault::Unsupported(format!("a {format} with 16 bits a sample")));
    match Format::of(bytes)? {
        Format::Jpeg => Err(Fault::Lossy("a JPEG")),
        Format::WebP if WebPDecoder::new(std::io::Cursor::new(bytes)).is_ok_and(|mut webp| webp.is_lossy()) => {
            Err(Fault::Lossy("a lossy WebP"))
        }
        Format::Png if chunks::walk(bytes)?.is_deep => deep("PNG"),
        Format::Tiff => {
            let read = tiff::read(bytes)?;
            read.facts.brightest.map_or_else(|| Ok(read.into()), |_| deep("TIFF"))
        }
        Format::Png | Format::WebP | Format::Bmp => photograph(bytes),
    }
}

#[cfg(test)]
mod tests {
    use png::{BitDepth, ColorType};

    use super::*;
    use crate::samples::{golden, jpeg, png};

    fn palette() -> Palette {
        Palette::new([([9, 9, 9], 7), ([1, 2, 3], 0), ([0, 0, 0], 255), ([9, 9, 9], 1)])
    }

    #[test]
    fn each_colour_has_its_value_and_the_others_are_told_the_most_frequent_first() {
        let pixels = [[1, 2, 3], [9, 9, 9], [4, 4, 4], [0, 0, 0], [5, 5, 5], [4, 4, 4]].concat();
        let read = palette().read(&png([3, 2], ColorType::Rgb, BitDepth::Eight, &pixels)).unwrap();
        assert_eq!((read.size, read.values), ([3, 2], vec![0, 1, 255, 255, 255, 255]));
        let strange = |colour, pixels, first| Strange { colour: [colour; 3], pixels, first };
        assert_eq!((read.strange, read.strange_colours), (vec![strange(4, 2, [2, 0]), strange(5, 1, [1, 1])], 2));
    }

    #[test]
    fn transparency_is_no_part_of_a_colour_and_an_indexed_png_is_read_by_its_colours() {
        let clear = [[1, 2, 3, 0], [9, 9, 9, 255]].concat();
        let read = palette().read(&png([2, 1], ColorType::Rgba, BitDepth::Eight, &clear)).unwrap();
        assert_eq!((read.values, read.strange), (vec![0, 1], vec![]));
        // Index i has the colour i, 0, 255 - i.
        let read =
            Palette::new([([3, 0, 252], 5)]).read(&png([1, 1], ColorType::Indexed, BitDepth::Eight, &[3])).unwrap();
        assert_eq!(read.values, [5]);
    }

    #[test]
    fn files_that_alter_colours_are_refused_and_lossless_ones_read() {
        let told = |file: &[u8]| palette().read(file).unwrap_err().to_string();
        assert_eq!(told(&jpeg(8, 8, false)), "it is a JPEG, whose compression alters colours");
        assert_eq!(told(&golden("lossy.webp")), "it is a lossy WebP, whose compression alters colours");
        assert_eq!(told(&golden("lossy-clear.webp")), "it is a lossy WebP, whose compression alters colours");
        assert_eq!(told(&golden("small.deep.tif")), "it is a TIFF with 16 bits a sample, which is not read");
        let deep = png([1, 1], ColorType::Rgb, BitDepth::Sixteen, &[1, 0, 2, 0, 3, 0]);
        assert_eq!(told(&deep), "it is a PNG with 16 bits a sample, which is not read");
        let expected = palette().read(&golden("small.png")).unwrap();
        for name in ["small.lossless.webp", "small.clear.webp", "small.lzw.tif", "small.plain.bmp"] {
            assert_eq!(palette().read(&golden(name)).unwrap(), expected, "{name}");
        }
        assert!(expected.strange.len() == STRANGE_KEPT && expected.strange_colours > STRANGE_KEPT);
    }
}
