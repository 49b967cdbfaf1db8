//! Synthetic road scenes: two domains with a gap between them, without any download.
//!
//! A scene is a pure function of (seed, index, style), so it has no file, and any part of a data set can be generated
//! without the rest. Knows nothing of batches or training. The *source* style looks like a bright game; the *target* style
//! has muted colours, texture, weather and a noisy sensor, mildly in 60 % of the scenes and strongly in the rest, so that
//! the target domain has the easy and the hard images that intra-domain adaptation needs. A scene's difficulty can be
//! queried ([`severity`]) but is in no name, since a method that read it from there would cheat.

use std::path::Path;

use serde::{Deserialize, Serialize};

use self::canvas::Canvas;
use self::palette::Palette;
use self::weather::Weather;
use super::random::{Purpose, Stream};
use super::raster::{Index, Rgb};
use super::{DataError, encode};

mod canvas;
mod objects;
mod palette;
mod street;
mod weather;

/// Width of a scene in pixels.
pub const WIDTH: usize = 128;

/// Height of a scene in pixels.
pub const HEIGHT: usize = 64;

/// A class of the scenes. The discriminant is its index in labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Including everything uncovered above the horizon.
    Sky,
    /// Both sides of the street.
    Building,
    /// Including lane markings.
    Road,
    /// All other ground.
    Pavement,
    /// Trunk and crown.
    Tree,
    /// Including wheels and windows.
    Car,
    /// Including the lamp.
    Pole,
    /// On the pavement or crossing.
    Person,
}

/// Name and display colour of each class, in the order of the indices.
pub const CLASSES: [(&str, [u8; 3]); 8] = [
    ("sky", [70, 130, 180]),
    ("building", [70, 70, 70]),
    ("road", [128, 64, 128]),
    ("pavement", [244, 35, 232]),
    ("tree", [107, 142, 35]),
    ("car", [0, 0, 142]),
    ("pole", [220, 220, 0]),
    ("person", [220, 20, 60]),
];

/// The domain of a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u64)]
pub enum Style {
    /// Saturated colours, clean pixels.
    Source = 1,
    /// Muted colours, texture, dusk or fog, sensor noise.
    Target = 2,
}

/// The name of a scene: its index, which doesn't reveal its difficulty.
pub fn name(index: u64) -> String {
    format!("scene-{index:05}")
}

/// The severity of target scene `index`: in `[0, 0.3)` for the easy 60 %, in `[0.6, 1)` for the hard. For reports and
/// tests; no method may use it.
pub fn severity(seed: u64, index: u64) -> f32 {
    /// The share of easy scenes, which is the λ of the demonstration.
    const EASY: f32 = 0.6;
    let mut stream = Stream::at(seed, Purpose::Severity, index, 0);
    if stream.chance(EASY) { stream.within(0.0, 0.3) } else { stream.within(0.6, 1.0) }
}

/// The scene as a photograph and its label, both [`WIDTH`] × [`HEIGHT`].
pub fn scene(style: Style, seed: u64, index: u64) -> (Rgb, Index) {
    let mut stream = Stream::at(seed, Purpose::Scene, index, style as u64);
    let severity = match style {
        Style::Source => None,
        Style::Target => Some(severity(seed, index)),
    };
    let palette = Palette::new(severity);
    let street = street::Street::draw(&mut stream);
    let mut canvas = Canvas::new();
    street.paint(&mut canvas, &palette, &mut stream);
    for object in objects::draw(&street, &mut stream) {
        object.paint(&street, &mut canvas, &palette, &mut stream);
    }
    match severity {
        None => canvas.add_noise(weather::SOURCE_NOISE, &mut stream),
        Some(severity) => Weather::draw(severity, &mut stream).apply(&mut canvas, street.horizon, &mut stream),
    }
    canvas.finish()
}

/// Writes scenes `indices` as `images/NAME.png` and `labels/NAME.png` below a folder: a data set of files.
///
/// # Errors
/// [`DataError::Io`].
pub fn write(folder: &Path, style: Style, seed: u64, indices: std::ops::Range<u64>) -> Result<(), DataError> {
    for index in indices {
        let (image, label) = scene(style, seed, index);
        let file = format!("{}.png", name(index));
        encode::write(&folder.join("images").join(&file), &encode::rgb_png(&image))?;
        encode::write(&folder.join("labels").join(&file), &encode::grey_png(&label))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
