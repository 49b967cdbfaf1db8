//! The test pictures of an exported graph: drawn here, or the user's own.
//!
//! Drawn by integer arithmetic alone, so that the same network gets the same bytes on every machine. They show what a network and a
//! resizing are sensitive to: even areas, edges in all directions, fine stripes, noise. Nothing is copied from any data set, so
//! they can be handed on. Knows no network.

use std::path::Path;

use intrada_picture::Pixels;

use super::super::Error;
use crate::predict::images::find;

/// A test picture.
pub(super) struct Picture {
    /// Its name in the folder, without extension.
    pub(super) name: String,
    /// What messages call it.
    pub(super) origin: String,
    /// An RGB PNG.
    pub(super) png: Vec<u8>,
}

/// The size of the first picture where the training's images have none.
const SIZE: [u32; 2] = [256, 192];
/// No side is shorter: more than any network needs.
const SHORTEST: u32 = 32;

/// The least pixels of the largest picture: of fewer, one that rounding decides would be more than the share that may differ.
const LARGEST: u64 = 1 << 16;

/// Three pictures: of the training's size, a larger one of another aspect ratio, and an upright one.
pub(super) fn drawn(size: Option<[u32; 2]>) -> Vec<Picture> {
    let [width, height] = size.unwrap_or(SIZE).map(|side| side.max(SHORTEST));
    let odd = |side: u32| (side | 1).max(SHORTEST + 1);
    let larger = |times: u32| [odd(width / 4 * 5 * times), odd(height / 8 * 11 * times)];
    let pixels = |sides: [u32; 2]| sides.map(u64::from).iter().product::<u64>();
    let times = (1..).find(|times| pixels(larger(*times)) >= LARGEST).expect("no side is 0");
    let sizes = [[width, height], larger(times), [odd(height / 4 * 3), odd(width / 3 * 2)]];
    let picture = |(place, [width, height]): (u32, [u32; 2])| {
        let scene = Scene::new(place);
        let mut pixels = Vec::with_capacity(width as usize * height as usize * 3);
        for y in 0..height {
            (0..width).for_each(|x| pixels.extend(scene.colour([x, y], [width, height])));
        }
        let name = place.to_string();
        Picture { origin: format!("test picture {name}"), name, png: rgb_png([width, height], &pixels) }
    };
    (1..).zip(sizes).map(picture).collect()
}

/// A scene: a sky that fades, a ground in perspective with stripes, boxes and discs before both, noise on all. Places and lengths
/// are in 1024ths of the picture's sides.
struct Scene {
    seed: u32,
    horizon: u64,
    /// The nearest last.
    shapes: Vec<Shape>,
}

struct Shape {
    is_disc: bool,
    center: [u64; 2],
    size: [u64; 2],
    colour: [i32; 3],
}

impl Scene {
    /// Another seed moves and colours everything otherwise.
    fn new(seed: u32) -> Scene {
        let shape = |shape: u32| {
            let at = |salt: u32, below: u32| noise([seed * 31 + shape, salt], 5) % below;
            Shape {
                is_disc: shape % 3 == 2,
                center: [at(2, 1024), 150 + at(3, 600)].map(u64::from),
                size: [20 + at(4, 160), 30 + at(5, 330)].map(u64::from),
                colour: [at(6, 200), at(7, 200), at(8, 200)].map(|part| part as i32 + 25),
            }
        };
        let horizon = 420 + u64::from(noise([seed, 1], 77) % 100);
        Scene { seed, horizon, shapes: (0..14).map(shape).collect() }
    }

    /// The colour of a pixel of a picture of this width and height.
    fn colour(&self, [x, y]: [u32; 2], [width, height]: [u32; 2]) -> [u8; 3] {
        let (u, v) = (u64::from(x) * 1024 / u64::from(width), u64::from(y) * 1024 / u64::from(height));
        let nearest = self.shapes.iter().rev().find_map(|shape| shape.colour(u, v));
        let colour = nearest.unwrap_or_else(|| self.background(u, v));
        let speckle = (noise([x, y], self.seed) % 23) as i32 - 11;
        colour.map(|part| (part + speckle).clamp(0, 255) as u8)
    }

    fn background(&self, u: u64, v: u64) -> [i32; 3] {
        if v < self.horizon {
            let fade = (v * 100 / self.horizon) as i32;
            return [110 + fade, 150 + fade / 2, 235 - fade / 4];
        }
        let is_stripe = u.abs_diff(512) * 64 / (v - self.horizon + 8) % 16 < 2;
        let grain = ((v * 37 + u * 11) / 16 % 24) as i32;
        if is_stripe { [225, 222, 205] } else { [92 + grain, 90 + grain, 94 + grain] }
    }
}

impl Shape {
    /// Its colour at a place; `None` outside. Boxes have darker windows.
    fn colour(&self, u: u64, v: u64) -> Option<[i32; 3]> {
        let Shape { is_disc, center, size: [wide, tall], colour } = *self;
        let [dx, dy] = [u.abs_diff(center[0]), v.abs_diff(center[1])];
        let is_inside = if is_disc {
            (dx * tall).pow(2) + (dy * wide).pow(2) < (wide * tall).pow(2) / 4
        } else {
            dx < wide / 2 && dy < tall / 2
        };
        let is_window = !is_disc && u % 40 < 14 && v % 48 < 18;
        is_inside.then(|| if is_window { colour.map(|part| part * 2 / 5) } else { colour })
    }
}

/// A number that looks random, of two others.
fn noise([a, b]: [u32; 2], seed: u32) -> u32 {
    let mut value = a.wrapping_mul(0x9E37_79B1) ^ b.wrapping_mul(0x85EB_CA77) ^ seed.wrapping_mul(0xC2B2_AE3D);
    for _ in 0..2 {
        value = (value ^ (value >> 15)).wrapping_mul(0x2C1B_3C6D);
    }
    value ^ (value >> 16)
}

/// The images of a folder, decoded as the worker does it, numbered in the order of their names.
///
/// # Errors
/// There is none, or one can't be read.
pub(super) fn read(folder: &Path, out: &Path) -> Result<Vec<Picture>, Error> {
    let found = find(&[folder.to_owned()], out).map_err(|fault| Error::from(crate::predict::Error::from(fault)))?;
    let digits = found.images.len().to_string().len();
    let mut pictures = Vec::new();
    for (number, image) in (1..).zip(found.images) {
        let origin = image.path.display().to_string();
        let refused = |reason: String| Error::TestPicture { name: origin.clone(), reason };
        let bytes = std::fs::read(&image.path).map_err(|error| refused(error.to_string()))?;
        let pixels: Pixels = intrada_picture::photograph(&bytes).map_err(|fault| refused(fault.to_string()))?;
        let pixels = pixels.upright();
        let png = rgb_png(pixels.size.map(|side| side as u32), &pixels.rgb);
        pictures.push(Picture { name: format!("{number:0digits$}"), origin, png });
    }
    Ok(pictures)
}

/// An RGB PNG of this width and height.
fn rgb_png(size: [u32; 2], pixels: &[u8]) -> Vec<u8> {
    png_of(size, png::ColorType::Rgb, pixels)
}

/// A grey PNG of this width and height.
pub(super) fn grey_png(size: [u32; 2], pixels: &[u8]) -> Vec<u8> {
    png_of(size, png::ColorType::Grayscale, pixels)
}

/// Each row as its difference to the one above: Python undoes that in one step, other filters of PNG pixel by pixel.
fn png_of([width, height]: [u32; 2], colour: png::ColorType, pixels: &[u8]) -> Vec<u8> {
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, width, height);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_filter(png::Filter::Up);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(pixels)?;
        writer.finish()
    });
    written.expect("memory takes a PNG of as many pixels as it has");
    png
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(png: &[u8]) -> ([u32; 2], Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        ([info.width, info.height], pixels)
    }

    #[test]
    fn pictures_are_the_same_each_time_differ_and_have_areas_and_edges() {
        let pictures = drawn(Some([128, 64]));
        let sizes: Vec<_> = pictures.iter().map(|picture| pixels(&picture.png).0).collect();
        assert_eq!(sizes, [[128, 64], [481, 265], [49, 85]]);
        for (one, again) in pictures.iter().zip(drawn(Some([128, 64]))) {
            assert!(one.png == again.png, "{}", one.name);
            let (_, pixels) = pixels(&one.png);
            let (low, high) = (pixels.iter().min().unwrap(), pixels.iter().max().unwrap());
            assert!(*low < 40 && *high > 210, "{low} to {high} in {}", one.name);
        }
    }

    #[test]
    fn no_picture_is_too_small_for_a_network() {
        for size in [None, Some([1, 1]), Some([15, 2000])] {
            for picture in drawn(size) {
                let (sides, _) = pixels(&picture.png);
                assert!(sides.iter().all(|side| *side >= SHORTEST), "{size:?}: {sides:?}");
            }
        }
    }
}
