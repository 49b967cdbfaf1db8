//! Small files for the tests of this crate.

use std::path::Path;

use mozjpeg::{ColorSpace, Compress};
use png::{BitDepth, ColorType};

use crate::{look, photograph};

/// A file that golden/make.py wrote.
pub(crate) fn golden(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)).unwrap()
}

/// What both ways to read a file say of one that is refused.
pub(crate) fn refusal(file: &[u8]) -> String {
    let told = look(file).unwrap_err();
    assert_eq!(photograph(file).unwrap_err(), told);
    told.to_string()
}

/// A block of Exif data with this orientation, and a tag before it.
pub(crate) fn exif(orientation: u16, is_big: bool) -> Vec<u8> {
    let short = |value: u16| if is_big { value.to_be_bytes() } else { value.to_le_bytes() };
    let long = |value: u32| if is_big { value.to_be_bytes() } else { value.to_le_bytes() };
    let mut out = if is_big { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
    out.extend(long(8));
    out.extend(short(2));
    for (tag, value) in [(0x0103, 6), (0x0112, orientation)] {
        out.extend(short(tag));
        out.extend(short(3));
        out.extend(long(1));
        out.extend(short(value));
        out.extend([0, 0]);
    }
    out.extend(long(0));
    out
}

/// A PNG of these samples.
pub(crate) fn png(size: [u32; 2], color: ColorType, depth: BitDepth, samples: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, size[0], size[1]);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == ColorType::Indexed {
        encoder.set_palette((0..=255u8).flat_map(|i| [i, 0, 255 - i]).collect::<Vec<u8>>());
    }
    encoder.write_header().unwrap().write_image_data(samples).unwrap();
    bytes
}

/// A PNG of colours that differ from pixel to pixel.
pub(crate) fn colourful_png(width: u32, height: u32) -> Vec<u8> {
    png([width, height], ColorType::Rgb, BitDepth::Eight, &colours(width, height))
}

/// A PNG with Exif data.
pub(crate) fn turned_png(orientation: u16) -> Vec<u8> {
    let whole = colourful_png(3, 2);
    let data = exif(orientation, true);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(b"eXIf");
    hasher.update(&data);
    let length = (data.len() as u32).to_be_bytes();
    let chunk = [&length[..], b"eXIf", &data, &hasher.finalize().to_be_bytes()].concat();
    // The signature takes 8 bytes, the head 25.
    [&whole[..33], &chunk, &whole[33..]].concat()
}

/// A JPEG of colours that differ from pixel to pixel.
pub(crate) fn jpeg(width: u32, height: u32, is_progressive: bool) -> Vec<u8> {
    let mut compress = Compress::new(ColorSpace::JCS_RGB);
    compress.set_size(width as usize, height as usize);
    if is_progressive {
        compress.set_progressive_mode();
    } else {
        compress.set_fastest_defaults();
    }
    compress.set_quality(90.0);
    let mut started = compress.start_compress(Vec::new()).unwrap();
    started.write_scanlines(&colours(width, height)).unwrap();
    started.finish().unwrap()
}

/// A JPEG with Exif data that also hold a whole JPEG, as cameras put a thumbnail there.
pub(crate) fn turned_jpeg(orientation: u16) -> Vec<u8> {
    let whole = jpeg(40, 24, false);
    let thumbnail = jpeg(8, 8, false);
    let data = [&b"Exif\0\0"[..], &exif(orientation, false), &thumbnail].concat();
    let length = (data.len() as u16 + 2).to_be_bytes();
    [&whole[..2], &[0xff, 0xe1], &length[..], &data, &whole[2..]].concat()
}

fn colours(width: u32, height: u32) -> Vec<u8> {
    (0..width * height).flat_map(|i| [(i * 7) as u8, (i * 31 + 5) as u8, (i * 3) as u8]).collect()
}
