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

/// A JPEG of 69 × 37, another one with another `seed`: a decoder skips the comment that holds it.
pub fn photograph(seed: u8) -> Vec<u8> {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/picture/golden/420.jpg");
    let whole = std::fs::read(file).unwrap();
    [&whole[..2], &[0xff, 0xfe, 0, 3, seed], &whole[2..]].concat()
}

/// A drive of each condition of ACDC, with the pictures in normal light and, with `values`, the train ids and what lies beside them.
pub fn acdc(space: &Space, root: &str, split: &str, conditions: &[&str], values: Option<&[u8]>) {
    for (i, condition) in conditions.iter().enumerate() {
        let drive = |what: &str| format!("{root}/{what}/GOPR0475/GOPR0475_frame_00004{i}");
        let image = drive(&format!("rgb_anon/{condition}/{split}"));
        space.write(&format!("{image}_rgb_anon.png"), picture(i as u8));
        let reference = drive(&format!("rgb_anon/{condition}/{split}_ref"));
        space.write(&format!("{reference}_rgb_ref_anon.png"), picture(7));
        let Some(values) = values else { continue };
        let label = drive(&format!("gt/{condition}/{split}"));
        space.write(&format!("{label}_gt_labelTrainIds.png"), Label::Grey.of(values));
        space.write(&format!("{label}_gt_labelIds.png"), Label::Grey.of(&[7]));
        space.write(&format!("{label}_gt_labelColor.png"), picture(9));
        space.write(&format!("{label}_gt_invIds.png"), Label::Grey.of(&[0, 1]));
    }
}

/// A drive of Dark Zurich, with the pictures by day of the same places and, with `values`, train ids and label ids.
pub fn dark_zurich(space: &Space, root: &str, split: &str, time: &str, frames: &[u32], values: Option<&[u8]>) {
    for frame in frames {
        let name = format!("GOPR0356/GOPR0356_frame_{frame:06}");
        space.write(&format!("{root}/rgb_anon/{split}/{time}/{name}_rgb_anon.png"), picture(*frame as u8));
        let reference =
            format!("{root}/rgb_anon/{split}_ref/day/GOPR0356_ref/GOPR0356_frame_{frame:06}_ref_rgb_anon.png");
        space.write(&reference, picture(7));
        let Some(values) = values else { continue };
        space.write(&format!("{root}/gt/{split}/{time}/{name}_gt_labelTrainIds.png"), Label::Grey.of(values));
        space.write(&format!("{root}/gt/{split}/{time}/{name}_gt_labelIds.png"), Label::Grey.of(&[7]));
    }
}

/// The 10k images of BDD100K and, with `values`, their masks and the masks for viewing.
pub fn bdd100k(space: &Space, root: &str, split: &str, names: &[&str], values: Option<&[u8]>) {
    for (i, name) in names.iter().enumerate() {
        space.write(&format!("{root}/images/10k/{split}/{name}.jpg"), photograph(i as u8));
        let Some(values) = values else { continue };
        space.write(&format!("{root}/labels/sem_seg/masks/{split}/{name}.png"), Label::Grey.of(values));
        space.write(&format!("{root}/labels/sem_seg/colormaps/{split}/{name}.png"), picture(9));
    }
}

/// A split of Vistas by the name of its folder; `labels` below it, as in `v1.2/labels`.
pub fn mapillary(space: &Space, root: &str, split: &str, names: &[&str], labels: Option<(&str, &[u8])>) {
    for (i, name) in names.iter().enumerate() {
        space.write(&format!("{root}/{split}/images/{name}.jpg"), photograph(i as u8));
        let Some((folder, values)) = labels else { continue };
        space.write(&format!("{root}/{split}/{folder}/{name}.png"), Label::Palette.of(values));
        space.write(&format!("{root}/{split}/{}/{name}.png", folder.replace("labels", "instances")), picture(9));
    }
}

/// A drive of IDD, the first image a PNG and the others JPEGs, with polygons and, with `values`, labels of that kind.
pub fn idd(space: &Space, root: &str, split: &str, names: &[&str], labels: Option<(&str, &[u8])>) {
    for (i, name) in names.iter().enumerate() {
        let (kind, picture) = if i == 0 { ("png", picture(0)) } else { ("jpg", photograph(i as u8)) };
        space.write(&format!("{root}/leftImg8bit/{split}/201/{name}_leftImg8bit.{kind}"), picture);
        let stem = format!("{root}/gtFine/{split}/201/{name}_gtFine");
        space.write(&format!("{stem}_polygons.json"), "{}");
        let Some((kind, values)) = labels else { continue };
        space.write(&format!("{stem}_label{kind}s.png"), Label::Grey.of(values));
    }
}

/// A drive of IDD-Lite and, with `values`, labels and instances.
pub fn idd_lite(space: &Space, root: &str, split: &str, names: &[&str], values: Option<&[u8]>) {
    for (i, name) in names.iter().enumerate() {
        space.write(&format!("{root}/leftImg8bit/{split}/0/{name}_image.jpg"), photograph(i as u8));
        let Some(values) = values else { continue };
        space.write(&format!("{root}/gtFine/{split}/0/{name}_label.png"), Label::Grey.of(values));
        space.write(&format!("{root}/gtFine/{split}/0/{name}_inst_label.png"), picture(9));
    }
}

/// `rgb`, `ss` and the coloured labels.
pub fn urbansyn(space: &Space, root: &str, numbers: &[u32], values: &[u8]) {
    for number in numbers {
        space.write(&format!("{root}/rgb/rgb_{number:04}.png"), picture(*number as u8));
        space.write(&format!("{root}/ss/ss_{number:04}.png"), Label::Grey.of(values));
        space.write(&format!("{root}/ss_color/ss_color_{number:04}.png"), picture(9));
    }
}
