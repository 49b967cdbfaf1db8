//! Published data sets in their true layout, as small as can be: a few pictures of a few pixels, written by the test.
#![allow(dead_code, reason = "each test program uses its own part of it")]

use png::{BitDepth, ColorType};

use crate::space::Space;

/// Width and height of the pictures; labels are twice as large, so that it shows whose size is used where.
pub const SIZE: [u32; 2] = [64, 32];
const LABEL: [u32; 2] = [128, 64];

/// Pixels of one label.
pub const PIXELS: usize = 128 * 64;

/// A grey picture that differs from `seed` to `seed`.
pub fn picture(seed: u8) -> Vec<u8> {
    let grey = (0..SIZE[0] * SIZE[1]).map(|i| (i % 251) as u8 ^ seed).collect::<Vec<_>>();
    png(SIZE, ColorType::Grayscale, BitDepth::Eight, &grey)
}

/// A label that is one value after the other, over and over; how it is stored is as in the data set.
pub enum Label {
    Grey,
    Palette,
    /// Three 16-bit channels: the value, an instance, nothing.
    Synthia,
}

impl Label {
    pub fn of(&self, values: &[u8]) -> Vec<u8> {
        let pixels = (0..PIXELS).map(|i| values[i % values.len()]);
        match self {
            Label::Grey => png(LABEL, ColorType::Grayscale, BitDepth::Eight, &pixels.collect::<Vec<_>>()),
            Label::Palette => png(LABEL, ColorType::Indexed, BitDepth::Eight, &pixels.collect::<Vec<_>>()),
            Label::Synthia => {
                let samples: Vec<u8> = pixels.enumerate().flat_map(|(i, value)| [0, value, 3, i as u8, 0, 0]).collect();
                png(LABEL, ColorType::Rgb, BitDepth::Sixteen, &samples)
            }
        }
    }
}

/// How often `value` occurs in a label of `values`.
pub fn pixels_of(values: &[u8], value: u8) -> i64 {
    (0..PIXELS).filter(|i| values[i % values.len()] == value).count() as i64
}

fn png([width, height]: [u32; 2], color: ColorType, depth: BitDepth, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == ColorType::Indexed {
        // Colours that are no ids: who reads them by mistake gets other values.
        encoder.set_palette((0..=255u8).flat_map(|i| [255 - i, i / 2, 77]).collect::<Vec<u8>>());
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    writer.finish().unwrap();
    bytes
}

/// `leftImg8bit` of a split and, with `values`, the label ids of `gtFine` with the files that lie beside them.
pub fn cityscapes(space: &Space, root: &str, split: &str, names: &[&str], values: Option<&[u8]>) {
    for (i, name) in names.iter().enumerate() {
        let city = name.split('_').next().unwrap();
        space.write(&format!("{root}/leftImg8bit/{split}/{city}/{name}_leftImg8bit.png"), picture(i as u8));
        let Some(values) = values else { continue };
        let stem = format!("{root}/gtFine/{split}/{city}/{name}_gtFine");
        space.write(&format!("{stem}_labelIds.png"), Label::Grey.of(values));
        space.write(&format!("{stem}_color.png"), picture(9));
        space.write(&format!("{stem}_instanceIds.png"), picture(8));
        space.write(&format!("{stem}_polygons.json"), "{}");
    }
}

/// `images` and `labels`, named by five digits.
pub fn gta5(space: &Space, root: &str, numbers: &[u32], values: &[u8]) {
    for number in numbers {
        space.write(&format!("{root}/images/{number:05}.png"), picture(*number as u8));
        space.write(&format!("{root}/labels/{number:05}.png"), Label::Palette.of(values));
    }
}

/// `RGB`, `GT/LABELS` and the coloured labels.
pub fn synthia(space: &Space, root: &str, count: u32, values: &[u8]) {
    for number in 0..count {
        space.write(&format!("{root}/RGB/{number:07}.png"), picture(number as u8));
        space.write(&format!("{root}/GT/LABELS/{number:07}.png"), Label::Synthia.of(values));
        space.write(&format!("{root}/GT/COLOR/{number:07}.png"), picture(7));
    }
}

/// `img/rgb` and `img/class`, named by numbers as they are.
pub fn synscapes(space: &Space, root: &str, numbers: &[u32], values: &[u8]) {
    for number in numbers {
        space.write(&format!("{root}/img/rgb/{number}.png"), picture(*number as u8));
        space.write(&format!("{root}/img/class/{number}.png"), Label::Grey.of(values));
        space.write(&format!("{root}/meta/{number}.json"), "{}");
    }
}

/// A split and its annotations.
pub fn camvid(space: &Space, root: &str, split: &str, names: &[&str], values: &[u8]) {
    for (i, name) in names.iter().enumerate() {
        space.write(&format!("{root}/{split}/{name}.png"), picture(i as u8));
        space.write(&format!("{root}/{split}annot/{name}.png"), Label::Grey.of(values));
    }
}
