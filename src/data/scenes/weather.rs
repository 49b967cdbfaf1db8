//! The conditions of a target scene: texture, dusk or fog, and the sensor.
//!
//! Changes only colours, never classes. Uses no power, exponential or cosine, as they differ in the last bit between
//! platforms: the tone curve of dusk is a parabola.

use super::canvas::{Canvas, Colour};
use super::palette::blend;
use super::{HEIGHT, WIDTH};
use crate::random::Stream;

/// The deviation of the source style's pixel noise, in grey levels.
pub const SOURCE_NOISE: f32 = 2.0;

/// Texture: (cell size in pixels, amplitude in grey levels).
const TEXTURE: [(usize, f32); 2] = [(3, 9.0), (8, 6.0)];

/// The deviation of the target style's pixel noise, in grey levels.
const TARGET_NOISE: f32 = 4.0;

/// The additional noise of the hardest scene's sensor.
const SENSOR_NOISE: f32 = 16.0;

/// Evening light: how much darker, and how much warmer, the most severe scene is. Every target scene has much of it (see
/// [`Weather::evening`]), so that it shifts the whole domain, like another camera at another hour. Source-only training
/// doesn't bridge this gap and adversarial adaptation does: with the palette alone as the gap, source-only was as good as
/// adaptation on half of the seeds.
const DIMMING: f32 = 0.65;
const WARMTH: f32 = 0.1;

const FOG: Colour = [206.0, 208.0, 212.0];
const DUSK_TINT: Colour = [0.88, 0.94, 1.1];
const GLOW: Colour = [255.0, 214.0, 140.0];

/// The conditions of one target scene.
pub struct Weather {
    severity: f32,
    brightness: f32,
    /// The amount of fog, 0 to 1; the rest of the severity is dusk.
    fog: f32,
    dusk: f32,
}

impl Weather {
    /// Conditions of a severity: anything from dusk to fog.
    pub fn draw(severity: f32, stream: &mut Stream) -> Self {
        let kind = stream.unit();
        Self { severity, brightness: stream.within(0.9, 1.08), fog: severity * kind, dusk: severity * (1.0 - kind) }
    }

    /// Changes the colours of what was painted.
    pub fn apply(&self, canvas: &mut Canvas, horizon: f32, stream: &mut Stream) {
        for (cell, amplitude) in TEXTURE {
            add_texture(canvas, cell, amplitude, stream);
        }
        canvas.add_noise(TARGET_NOISE, stream);
        for (colour, distance) in canvas.colours.iter_mut().zip(&canvas.distances) {
            let foggy = blend(self.evening(*colour), FOG, 0.3 * self.fog * (0.35 + 0.65 * distance));
            *colour = self.darken(foggy);
        }
        self.add_glows(canvas, horizon, stream);
        canvas.add_noise(SENSOR_NOISE * self.severity, stream);
    }

    /// The colour in the light of the hour.
    fn evening(&self, colour: Colour) -> Colour {
        let lateness = 0.4 + 0.6 * self.severity;
        let light = self.brightness * (1.0 - DIMMING * lateness);
        let warm = [1.0 + WARMTH * lateness, 1.0, 1.0 - WARMTH * lateness];
        std::array::from_fn(|channel| colour[channel] * light * warm[channel])
    }

    /// Dusk: dark tones get darker, all get darker by up to a fifth, and bluer.
    fn darken(&self, colour: Colour) -> Colour {
        std::array::from_fn(|channel| {
            let x = (colour[channel] / 255.0).clamp(0.0, 1.0);
            // x · (1 − g·(1 − x)) is near x^(1 + g).
            let toned = x * (1.0 - 0.1 * self.dusk * (1.0 - x)) * (1.0 - 0.2 * self.dusk);
            255.0 * toned * (1.0 + self.dusk * (DUSK_TINT[channel] - 1.0))
        })
    }

    /// Up to four lamps whose light spreads, above or about the horizon.
    fn add_glows(&self, canvas: &mut Canvas, horizon: f32, stream: &mut Stream) {
        let glows = (self.dusk * 5.0) as usize;
        for _ in 0..glows.min(4) {
            let (x, y) = (stream.within(8.0, WIDTH as f32 - 8.0), horizon + stream.within(-14.0, 4.0));
            let radius = stream.within(3.0, 6.0);
            for row in 0..HEIGHT {
                for column in 0..WIDTH {
                    let (dx, dy) = (column as f32 + 0.5 - x, row as f32 + 0.5 - y);
                    let fading = 1.0 - (dx * dx + dy * dy) / (radius * radius);
                    if fading > 0.0 {
                        let colour = &mut canvas.colours[row * WIDTH + column];
                        *colour = blend(*colour, GLOW, 0.6 * self.dusk * fading * fading);
                    }
                }
            }
        }
    }
}

/// Adds a smooth random surface: independent values at the corners of square cells, bilinear between.
fn add_texture(canvas: &mut Canvas, cell: usize, amplitude: f32, stream: &mut Stream) {
    let (columns, rows) = (WIDTH / cell + 2, HEIGHT / cell + 2);
    let corners: Vec<f32> = (0..columns * rows).map(|_| amplitude * stream.normal()).collect();
    for row in 0..HEIGHT {
        let (top, down) = (row / cell, (row % cell) as f32 / cell as f32);
        for column in 0..WIDTH {
            let (left, along) = (column / cell, (column % cell) as f32 / cell as f32);
            let corner = |x: usize, y: usize| corners[(top + y) * columns + left + x];
            let upper = corner(0, 0) * (1.0 - along) + corner(1, 0) * along;
            let lower = corner(0, 1) * (1.0 - along) + corner(1, 1) * along;
            let bump = upper * (1.0 - down) + lower * down;
            for value in &mut canvas.colours[row * WIDTH + column] {
                *value += bump;
            }
        }
    }
}
