//! The canvas of scenes: colour, class and distance of each pixel, later paint covering earlier.
//!
//! Knows shapes, not objects. Colours are kept in floating point until the end, so that weather acts on unrounded values. A
//! pixel belongs to a shape if its centre does: no blending, as labels can't be blended.

use super::{Class, HEIGHT, WIDTH};
use crate::random::Stream;
use crate::raster::{Index, Rgb};

/// Red, green, blue, nominally 0 to 255.
pub type Colour = [f32; 3];

/// A point: column and row, pixel centres at halves.
pub type Point = (f32, f32);

/// The properties of a painted shape.
#[derive(Clone, Copy)]
pub struct Paint {
    /// The colour.
    pub colour: Colour,
    /// The standard deviation of its noise, in grey levels.
    pub grain: f32,
    /// Its class.
    pub class: Class,
    /// 0 at the camera, 1 at the horizon: determines the fog.
    pub distance: f32,
}

/// A picture being painted.
pub struct Canvas {
    /// Colours, row by row.
    pub colours: Vec<Colour>,
    /// Distances, row by row, as in [`Paint`].
    pub distances: Vec<f32>,
    classes: Vec<u8>,
}

impl Canvas {
    /// A black picture of class sky.
    pub fn new() -> Self {
        let pixels = WIDTH * HEIGHT;
        Self { colours: vec![[0.0; 3]; pixels], distances: vec![1.0; pixels], classes: vec![Class::Sky as u8; pixels] }
    }

    /// Paints one pixel.
    pub fn dot(&mut self, column: usize, row: usize, paint: Paint, stream: &mut Stream) {
        let pixel = row * WIDTH + column;
        let noise = paint.grain * stream.normal();
        self.colours[pixel] = paint.colour.map(|value| value + noise);
        self.distances[pixel] = paint.distance;
        self.classes[pixel] = paint.class as u8;
    }

    /// Paints the pixels with centres inside a convex polygon, whichever way round its corners go.
    pub fn polygon(&mut self, corners: &[Point], paint: Paint, stream: &mut Stream) {
        let rows = span(corners.iter().map(|corner| corner.1), HEIGHT);
        for row in rows {
            let y = row as f32 + 0.5;
            let crossings = edges(corners).filter(|(a, b)| (a.1 <= y) != (b.1 <= y)).map(|(a, b)| {
                let along = (y - a.1) / (b.1 - a.1);
                a.0 + along * (b.0 - a.0)
            });
            for column in span(crossings, WIDTH) {
                self.dot(column, row, paint, stream);
            }
        }
    }

    /// Paints the pixels with centres in an upright rectangle.
    pub fn rectangle(&mut self, left: f32, top: f32, right: f32, bottom: f32, paint: Paint, stream: &mut Stream) {
        self.polygon(&[(left, top), (right, top), (right, bottom), (left, bottom)], paint, stream);
    }

    /// Paints the pixels with centres in an ellipse.
    pub fn ellipse(&mut self, center: Point, radii: (f32, f32), paint: Paint, stream: &mut Stream) {
        for row in span([center.1 - radii.1, center.1 + radii.1].into_iter(), HEIGHT) {
            let up = (row as f32 + 0.5 - center.1) / radii.1;
            let reach = radii.0 * (1.0 - up * up).max(0.0).sqrt();
            for column in span([center.0 - reach, center.0 + reach].into_iter(), WIDTH) {
                self.dot(column, row, paint, stream);
            }
        }
    }

    /// Adds noise to each channel of each pixel.
    pub fn add_noise(&mut self, deviation: f32, stream: &mut Stream) {
        for value in self.colours.as_flattened_mut() {
            *value += deviation * stream.normal();
        }
    }

    /// The picture, rounded to 8 bits, and its label.
    pub fn finish(self) -> (Rgb, Index) {
        let bytes = self.colours.as_flattened().iter().map(|value| value.round().clamp(0.0, 255.0) as u8).collect();
        (Rgb::new(WIDTH, HEIGHT, bytes), Index::new(WIDTH, HEIGHT, self.classes))
    }
}

fn edges(corners: &[Point]) -> impl Iterator<Item = (Point, Point)> {
    corners.iter().copied().zip(corners.iter().copied().cycle().skip(1))
}

/// The pixels whose centres are between the minimum and the maximum of some positions, cut to `0..limit`.
fn span(positions: impl Iterator<Item = f32>, limit: usize) -> std::ops::Range<usize> {
    let (low, high) = positions.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    let pixel = |x: f32| (x - 0.5).ceil().clamp(0.0, limit as f32) as usize;
    if low > high { 0..0 } else { pixel(low)..pixel(high) }
}
