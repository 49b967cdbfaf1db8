//! Grey maps (class indices, entropies) and their colours.
//!
//! Knows bytes and colours, neither page nor event. A map stays one byte per pixel: its PNG has a palette, so that a label
//! map takes a few kB.

use std::io::Cursor;

use crate::pipeline::Class;

/// The colour of each value.
pub type Palette = [[u8; 3]; 256];

/// The size of a small map, in pixels.
const WIDTH: usize = 384;

/// The label of an ignored pixel.
const IGNORED: u8 = 255;
/// The second colour of a hatched pixel. No class has this index: there are at most 254.
const HATCHED: u8 = 254;
/// Number of stripes across a hatched map's width.
const STRIPES: usize = 48;

/// The maximum number of values in a map of patches: an image has no more classes than these.
const PATCHY: usize = 32;

/// One byte per pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    width: usize,
    height: usize,
    bytes: Vec<u8>,
}

impl Map {
    /// Reads a PNG of one byte per pixel; none if it isn't one.
    pub fn decode(file: &[u8]) -> Option<Map> {
        let mut reader = png::Decoder::new(Cursor::new(file)).read_info().ok()?;
        let mut bytes = vec![0; reader.output_buffer_size()?];
        let info = reader.next_frame(&mut bytes).ok()?;
        bytes.truncate(info.buffer_size());
        let (width, height) = (info.width as usize, info.height as usize);
        let is_map = info.bit_depth == png::BitDepth::Eight && bytes.len() == width * height;
        is_map.then_some(Map { width, height, bytes })
    }

    /// Reduced to the width that a page needs, by taking every n-th pixel.
    pub fn small(&self) -> Map {
        if self.width <= WIDTH {
            return self.clone();
        }
        let height = (self.height * WIDTH).div_ceil(self.width).max(1);
        let row = |y: usize| (y * self.height / height) * self.width;
        let pixel = |y: usize, x: usize| self.bytes[row(y) + x * self.width / WIDTH];
        let bytes = (0..height).flat_map(|y| (0..WIDTH).map(move |x| (y, x))).map(|(y, x)| pixel(y, x)).collect();
        Map { width: WIDTH, height, bytes }
    }

    /// The map with its ignored pixels hatched, so that they can't be taken for a pale class.
    pub fn hatched(mut self) -> Map {
        let stripe = (self.width / STRIPES / 2).max(1);
        for (i, byte) in self.bytes.iter_mut().enumerate().filter(|(_, byte)| **byte == IGNORED) {
            let (x, y) = (i % self.width, i / self.width);
            if (x + y) / stripe % 2 == 1 {
                *byte = HATCHED;
            }
        }
        self
    }

    /// The same in 64 steps, which look the same on this scale and take a third of the space. For entropies.
    #[must_use]
    pub fn coarse(mut self) -> Map {
        for byte in &mut self.bytes {
            // The middle of the step; the extremes stay.
            *byte = (*byte & !3) | 2;
        }
        self
    }

    /// 1 where a prediction differs from the label, 0 where it doesn't, 255 where there is no label. None if the maps have
    /// different sizes.
    pub fn errors(&self, truth: &Map) -> Option<Map> {
        let same = (self.width, self.height) == (truth.width, truth.height);
        let pairs = self.bytes.iter().zip(&truth.bytes);
        let bytes =
            pairs.map(|(is, should)| if *should == IGNORED { IGNORED } else { u8::from(is != should) }).collect();
        same.then_some(Map { bytes, ..*self })
    }

    /// The share of each value in the map.
    pub fn shares(&self) -> [f64; 256] {
        let mut counts = [0u32; 256];
        for byte in &self.bytes {
            counts[usize::from(*byte)] += 1;
        }
        counts.map(|count| f64::from(count) / self.bytes.len() as f64)
    }

    /// A PNG with these colours.
    pub fn png(&self, palette: &Palette) -> Vec<u8> {
        self.encoded(Some(palette))
    }

    /// A grey PNG of the values.
    pub fn grey_png(&self) -> Vec<u8> {
        self.encoded(None)
    }

    fn encoded(&self, palette: Option<&Palette>) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width as u32, self.height as u32);
        encoder.set_color(if palette.is_some() { png::ColorType::Indexed } else { png::ColorType::Grayscale });
        encoder.set_depth(png::BitDepth::Eight);
        // Nearly as small as `High`, in a fraction of the time: a page is written again while a run goes on.
        encoder.set_compression(png::Compression::Balanced);
        // Classes form patches; smoothly varying values compress better as differences from the row above.
        let is_smooth = self.shares().iter().filter(|share| **share > 0.0).count() > PATCHY;
        encoder.set_filter(if is_smooth { png::Filter::Up } else { png::Filter::NoFilter });
        if let Some(palette) = palette {
            encoder.set_palette(palette.as_flattened());
        }
        let mut writer = encoder.write_header().expect("writing to memory does not fail");
        writer.write_image_data(&self.bytes).expect("a map holds exactly its pixels");
        writer.finish().expect("writing to memory does not fail");
        file
    }
}

/// No class: white, or grey in a hatch.
const BLANK: Palette = {
    let mut palette = [[255; 3]; 256];
    palette[HATCHED as usize] = [190; 3];
    palette
};

/// The classes' colours.
pub fn class_palette(classes: &[Class]) -> Palette {
    let mut palette = BLANK;
    for (slot, colour) in palette.iter_mut().zip(classes.iter().map(|class| class.colour)) {
        *slot = colour;
    }
    palette
}

/// Wrong pixels in one colour, the others pale.
pub fn error_palette() -> Palette {
    let mut palette = BLANK;
    (palette[0], palette[1]) = ([218, 222, 226], [200, 30, 60]);
    palette
}

/// Viridis over 0 to 255, within 4 of 255 of Matplotlib's: linear between eleven of its colours.
pub fn viridis() -> Palette {
    const STOPS: [[u8; 3]; 11] = [
        [68, 1, 84],
        [72, 36, 117],
        [65, 68, 135],
        [53, 95, 141],
        [42, 120, 142],
        [33, 145, 140],
        [34, 168, 132],
        [66, 190, 113],
        [122, 209, 81],
        [189, 223, 38],
        [253, 231, 37],
    ];
    std::array::from_fn(|i| {
        let at = i as f64 / 255.0 * (STOPS.len() - 1) as f64;
        let from = (at as usize).min(STOPS.len() - 2);
        let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * (at - from as f64)).round() as u8;
        std::array::from_fn(|channel| mix(STOPS[from][channel], STOPS[from + 1][channel]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_map_shrinks_in_its_shape_and_keeps_its_values() {
        let map =
            Map { width: 768, height: 4, bytes: (0..768 * 4).map(|i| if i % 768 < 384 { 3 } else { 9 }).collect() };
        let small = map.small();
        assert_eq!((small.width, small.height), (384, 2));
        assert_eq!((small.bytes[0], small.bytes[383]), (3, 9));
        assert_eq!(small.shares()[3], map.shares()[3]);
    }

    #[test]
    fn errors_are_where_there_is_a_label_and_it_differs() {
        let map = |bytes: &[u8]| Map { width: bytes.len(), height: 1, bytes: bytes.to_vec() };
        assert_eq!(map(&[1, 2, 3]).errors(&map(&[1, 3, 255])), Some(map(&[0, 1, 255])));
        assert_eq!(map(&[1, 2]).errors(&map(&[1])), None);
    }

    #[test]
    fn ignored_pixels_are_hatched_and_no_others_are_touched() {
        let bytes = vec![3, 255, 255, 255, 255, 3];
        let hatched = Map { width: 3, height: 2, bytes: bytes.clone() }.hatched();
        assert_eq!(hatched.bytes, [3, HATCHED, IGNORED, HATCHED, IGNORED, 3]);
        let palette = class_palette(&[]);
        assert_ne!(palette[usize::from(HATCHED)], palette[usize::from(IGNORED)]);
    }

    #[test]
    fn a_coarse_map_keeps_every_value_to_within_its_step_and_takes_less_room() {
        // Xorshift (Marsaglia, 2003): incompressible.
        let mut noise = 1u32;
        let smooth = |i: usize| {
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            ((i % 256 + i / 256) / 3 + noise as usize % 2) as u8
        };
        let fine = Map { width: 256, height: 256, bytes: (0..256 * 256).map(smooth).collect() };
        let coarse = fine.clone().coarse();
        assert!(fine.bytes.iter().zip(&coarse.bytes).all(|(a, b)| a.abs_diff(*b) <= 2));
        let (coarse, fine) = (coarse.png(&viridis()).len(), fine.png(&viridis()).len());
        assert!(coarse < fine * 2 / 3, "{coarse} of {fine} bytes");
    }

    #[test]
    fn a_picture_shows_each_value_in_its_colour() {
        let map = Map { width: 3, height: 2, bytes: vec![0, 1, 2, 2, 1, 255] };
        let file = map.png(&viridis());
        assert_eq!(Map::decode(&file), Some(map), "the values stay");
        let mut reader = png::Decoder::new(Cursor::new(file)).read_info().unwrap();
        let palette = reader.info().palette.clone().unwrap();
        assert_eq!((&palette[..3], &palette[3 * 255..]), (&[68, 1, 84][..], &[253, 231, 37][..]));
        assert_eq!(reader.next_frame(&mut [0; 6]).unwrap().color_type, png::ColorType::Indexed);
    }
}
