//! The street: sky, ground, road and the buildings along it, in one-point perspective.
//!
//! Positions are given by `nearness`: 0 at the horizon, 1 at the lower edge of the picture. The foot of an object with
//! nearness `t` is at `t` of the way from the horizon down, and its size is proportional to `t`.

use super::canvas::{Canvas, Paint};
use super::palette::{Palette, blend};
use super::{Class, HEIGHT, WIDTH};
use crate::random::Stream;

/// The noise on an object's colour, in grey levels.
pub const GRAIN: f32 = 6.0;

/// The side of the street, as seen from the car.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Columns left of the vanishing point.
    Left,
    /// Columns right of it.
    Right,
}

/// The geometry of a street.
pub struct Street {
    /// The row of the horizon.
    pub horizon: f32,
    /// The column in which the street vanishes.
    pub vanishing: f32,
    /// The columns of the road's edges at the lower edge of the picture.
    road: [f32; 2],
    /// The nearness of the buildings' feet at the left and right edge of the picture.
    feet: [f32; 2],
    buildings: Vec<Building>,
}

/// A block between two columns, seen as a wall that recedes.
struct Building {
    side: Side,
    /// From the picture's edge (1) to the vanishing point (0): the near and the far end.
    near: f32,
    far: f32,
    /// Height of the wall above the horizon, in rows at the picture's edge.
    height: f32,
    tint: usize,
}

impl Street {
    /// A street with its buildings.
    pub fn draw(stream: &mut Stream) -> Self {
        let horizon = stream.within(22.0, 30.0).round();
        let vanishing = stream.within(44.0, 84.0);
        let road = [stream.within(-14.0, 26.0), stream.within(102.0, 142.0)];
        let feet = [stream.within(0.16, 0.34), stream.within(0.16, 0.34)];
        let mut street = Self { horizon, vanishing, road, feet, buildings: Vec::new() };
        for side in [Side::Left, Side::Right] {
            street.draw_buildings(side, stream);
        }
        // Far ones first, so that the nearer cover them.
        street.buildings.sort_by(|a, b| a.near.total_cmp(&b.near));
        street
    }

    fn draw_buildings(&mut self, side: Side, stream: &mut Stream) {
        let mut near = 1.0;
        while near > 0.12 {
            let far = (near * stream.within(0.55, 0.8)).max(0.05);
            let building = Building { side, near, far, height: stream.within(14.0, 34.0), tint: stream.below(4) };
            // Occasionally a gap that shows the sky or a tree.
            if !stream.chance(0.15) {
                self.buildings.push(building);
            }
            near = far;
        }
    }

    /// The row of the ground at a nearness.
    pub fn row(&self, nearness: f32) -> f32 {
        self.horizon + nearness * (HEIGHT as f32 - self.horizon)
    }

    /// The column of the road's edge at a nearness.
    pub fn edge(&self, side: Side, nearness: f32) -> f32 {
        self.vanishing + nearness * (self.road[side as usize] - self.vanishing)
    }

    /// The column at which the buildings' feet stand at a nearness; beyond the picture for all that is near.
    pub fn wall(&self, side: Side, nearness: f32) -> f32 {
        let border = match side {
            Side::Left => 0.0,
            Side::Right => WIDTH as f32,
        };
        self.vanishing + nearness / self.feet[side as usize] * (border - self.vanishing)
    }

    /// Paints sky, ground, road and buildings.
    pub fn paint(&self, canvas: &mut Canvas, palette: &Palette, stream: &mut Stream) {
        self.paint_sky(canvas, palette, stream);
        self.paint_ground(canvas, palette, stream);
        for building in &self.buildings {
            self.paint_building(building, canvas, palette, stream);
        }
    }

    fn paint_sky(&self, canvas: &mut Canvas, palette: &Palette, stream: &mut Stream) {
        let top = palette.sky(stream.below(4));
        for row in 0..self.horizon as usize {
            let colour = blend(top, [235.0; 3], 0.35 * row as f32 / self.horizon);
            let paint = Paint { colour, grain: 0.5 * GRAIN, class: Class::Sky, distance: 1.0 };
            for column in 0..WIDTH {
                canvas.dot(column, row, paint, stream);
            }
        }
    }

    fn paint_ground(&self, canvas: &mut Canvas, palette: &Palette, stream: &mut Stream) {
        let (road, pavement) = (palette.road(stream.below(4)), palette.pavement(stream.below(4)));
        let phase = stream.unit();
        for row in self.horizon as usize..HEIGHT {
            let nearness = (row as f32 + 0.5 - self.horizon) / (HEIGHT as f32 - self.horizon);
            let [left, right] = [Side::Left, Side::Right].map(|side| self.edge(side, nearness));
            let middle = 0.5 * (left + right);
            // Dashes of equal length on the road: their rows go with 1 / nearness.
            let dashed = (1.2 / nearness + phase).fract() < 0.5;
            let half_line = (1.6 * nearness).max(0.4);
            for column in 0..WIDTH {
                let x = column as f32 + 0.5;
                let (colour, class) = if x <= left || x >= right {
                    (pavement, Class::Pavement)
                } else if dashed && (x - middle).abs() < half_line {
                    (palette.marking(), Class::Road)
                } else {
                    (road, Class::Road)
                };
                canvas.dot(column, row, Paint { colour, grain: GRAIN, class, distance: 1.0 - nearness }, stream);
            }
        }
    }

    fn paint_building(&self, building: &Building, canvas: &mut Canvas, palette: &Palette, stream: &mut Stream) {
        let border = match building.side {
            Side::Left => 0.0,
            Side::Right => WIDTH as f32,
        };
        let column = |t: f32| self.vanishing + t * (border - self.vanishing);
        let foot = |t: f32| self.row(t * self.feet[building.side as usize]);
        let roof = |t: f32| self.horizon - t * building.height;
        let paint =
            |colour| Paint { colour, grain: GRAIN, class: Class::Building, distance: 1.0 - 0.7 * building.near };
        let (near, far) = (building.near, building.far);
        let wall = [
            (column(near), roof(near)),
            (column(far), roof(far)),
            (column(far), foot(far)),
            (column(near), foot(near)),
        ];
        canvas.polygon(&wall, paint(palette.wall(building.tint)), stream);
        // Windows where the wall is large enough to show them: columns by position along the wall, rows by height.
        let (columns, rows) = (((near - far) * 14.0) as usize, (building.height / 7.0) as usize);
        for i in 0..columns {
            let [from, to] = [0.25, 0.75].map(|part| far + (near - far) * (i as f32 + part) / columns as f32);
            for j in 0..rows {
                let level = |part: f32, t: f32| roof(t) + (self.horizon - roof(t)) * (j as f32 + part) / rows as f32;
                let window = [
                    (column(from), level(0.3, from)),
                    (column(to), level(0.3, to)),
                    (column(to), level(0.75, to)),
                    (column(from), level(0.75, from)),
                ];
                canvas.polygon(&window, paint(palette.window()), stream);
            }
        }
    }
}
