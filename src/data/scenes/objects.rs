//! Objects in the street: trees, cars, poles and persons, each painted from a few shapes.
//!
//! Sizes are in rows and columns at the lower edge of the picture (nearness 1, see [`super::street`]) and shrink with the
//! distance, but stay large enough to be recognisable.

use super::canvas::{Canvas, Paint};
use super::palette::Palette;
use super::street::{GRAIN, Side, Street};
use super::{Class, WIDTH};
use crate::random::Stream;

/// Something that stands on the ground.
pub struct Object {
    kind: Kind,
    /// The column of its middle.
    column: f32,
    nearness: f32,
    tint: usize,
    /// Its size, relative to the usual one.
    scale: f32,
    side: Side,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Tree,
    Car,
    Pole,
    Person,
}

/// A scene's objects, far ones first.
pub fn draw(street: &Street, stream: &mut Stream) -> Vec<Object> {
    let mut objects = Vec::new();
    for (kind, least, most) in [(Kind::Tree, 1, 5), (Kind::Car, 1, 4), (Kind::Pole, 1, 3), (Kind::Person, 1, 4)] {
        for _ in 0..least + stream.below(most - least + 1) {
            objects.push(Object::draw(kind, street, stream));
        }
    }
    objects.sort_by(|a, b| a.nearness.total_cmp(&b.nearness));
    objects
}

impl Object {
    fn draw(kind: Kind, street: &Street, stream: &mut Stream) -> Self {
        let side = if stream.chance(0.5) { Side::Left } else { Side::Right };
        let nearness = match kind {
            Kind::Tree => stream.within(0.12, 0.42),
            Kind::Car => stream.within(0.15, 0.75),
            Kind::Pole => stream.within(0.15, 0.6),
            Kind::Person => stream.within(0.18, 0.75),
        };
        let edge = street.edge(side, nearness);
        // Near walls are outside the picture, where nothing would be visible in front of them.
        let wall = street.wall(side, nearness).clamp(0.0, WIDTH as f32);
        let other = street.edge(if side == Side::Left { Side::Right } else { Side::Left }, nearness);
        // A place between the road's edge (0) and the wall (1); negative is on the road, −1 at its other edge.
        let place = match kind {
            Kind::Tree => stream.within(0.3, 0.9),
            Kind::Car => stream.within(-0.35, -0.18),
            Kind::Pole => 0.08,
            Kind::Person if stream.chance(0.2) => stream.within(-0.5, -0.1),
            Kind::Person => stream.within(0.15, 0.6),
        };
        let column = if place < 0.0 { edge - place * (other - edge) } else { edge + place * (wall - edge) };
        Self { kind, column, nearness, tint: stream.below(4), scale: stream.within(0.85, 1.15), side }
    }

    /// Paints it over what is there.
    pub fn paint(&self, street: &Street, canvas: &mut Canvas, palette: &Palette, stream: &mut Stream) {
        let foot = street.row(self.nearness);
        match self.kind {
            Kind::Tree => self.paint_tree(foot, canvas, palette, stream),
            Kind::Car => self.paint_car(foot, canvas, palette, stream),
            Kind::Pole => self.paint_pole(foot, canvas, palette, stream),
            Kind::Person => self.paint_person(foot, canvas, palette, stream),
        }
    }

    fn size(&self, at_the_edge: f32, least: f32) -> f32 {
        (at_the_edge * self.nearness * self.scale).max(least)
    }

    fn paint_of(&self, class: Class, colour: [f32; 3]) -> Paint {
        Paint { colour, grain: GRAIN, class, distance: 1.0 - self.nearness }
    }

    fn paint_tree(&self, foot: f32, canvas: &mut Canvas, palette: &Palette, stream: &mut Stream) {
        let (height, radius, x) = (self.size(74.0, 8.0), self.size(22.0, 2.5), self.column);
        let trunk = self.size(3.0, 0.6);
        let paint = self.paint_of(Class::Tree, palette.trunk());
        canvas.rectangle(x - trunk, foot - 0.6 * height, x + trunk, foot, paint, stream);
        let colour = palette.crown(self.tint);
        for (dx, dy, size, light) in
            [(-0.55, 0.55, 0.75, 0.88), (0.55, 0.58, 0.75, 0.94), (0.0, 0.75, 1.0, 1.0), (-0.2, 0.85, 0.55, 1.14)]
        {
            let paint = self.paint_of(Class::Tree, colour.map(|value| value * light));
            let center = (x + dx * radius, foot - dy * height);
            canvas.ellipse(center, (size * radius, size * radius * 0.9), paint, stream);
        }
    }

    fn paint_car(&self, foot: f32, canvas: &mut Canvas, palette: &Palette, stream: &mut Stream) {
        let (width, height, x) = (self.size(38.0, 6.0), self.size(27.0, 4.0), self.column);
        let (left, right) = (x - 0.5 * width, x + 0.5 * width);
        let body = self.paint_of(Class::Car, palette.car(self.tint));
        let dark = self.paint_of(Class::Car, palette.tyre());
        let glass = self.paint_of(Class::Car, palette.glass());
        canvas.rectangle(left + 0.06 * width, foot - 0.3 * height, right - 0.06 * width, foot, dark, stream);
        let roof = |inset: f32, up: f32| (left + inset * width, right - inset * width, foot - up * height);
        let (a, b, top) = roof(0.2, 1.0);
        let (c, d, sill) = roof(0.06, 0.55);
        canvas.polygon(&[(a, top), (b, top), (d, sill), (c, sill)], body, stream);
        let (a, b, top) = roof(0.26, 0.9);
        let (c, d, sill) = roof(0.16, 0.58);
        canvas.polygon(&[(a, top), (b, top), (d, sill), (c, sill)], glass, stream);
        canvas.rectangle(left, foot - 0.58 * height, right, foot - 0.16 * height, body, stream);
        // Tail lights of cars ahead, headlights of oncoming ones.
        let light = if self.side == Side::Right { [250.0, 50.0, 40.0] } else { [255.0, 250.0, 210.0] };
        let lamp = self.paint_of(Class::Car, light);
        for inset in [0.03, 0.81] {
            let from = left + inset * width;
            canvas.rectangle(from, foot - 0.48 * height, from + 0.16 * width, foot - 0.34 * height, lamp, stream);
        }
    }

    fn paint_pole(&self, foot: f32, canvas: &mut Canvas, palette: &Palette, stream: &mut Stream) {
        let (height, half, x) = (self.size(86.0, 12.0), self.size(2.0, 0.75), self.column);
        let inwards = if self.side == Side::Left { 1.0 } else { -1.0 };
        let arm = self.size(12.0, 2.5);
        let metal = self.paint_of(Class::Pole, palette.pole());
        let top = foot - height;
        canvas.rectangle(x - half, top, x + half, foot, metal, stream);
        let (from, to) = (x.min(x + inwards * arm), x.max(x + inwards * arm));
        canvas.rectangle(from, top, to, top + 2.0 * half, metal, stream);
        let lamp = self.paint_of(Class::Pole, palette.lamp());
        canvas.ellipse((x + inwards * arm, top + 2.0 * half), (self.size(4.0, 1.1), self.size(3.0, 1.0)), lamp, stream);
    }

    fn paint_person(&self, foot: f32, canvas: &mut Canvas, palette: &Palette, stream: &mut Stream) {
        let (height, half, x) = (self.size(33.0, 6.5), self.size(5.0, 1.1), self.column);
        let paint = |colour| self.paint_of(Class::Person, colour);
        let trousers = paint(palette.trousers());
        canvas.rectangle(x - 0.8 * half, foot - 0.48 * height, x - 0.1 * half, foot, trousers, stream);
        canvas.rectangle(x + 0.1 * half, foot - 0.48 * height, x + 0.8 * half, foot, trousers, stream);
        canvas.rectangle(
            x - half,
            foot - 0.82 * height,
            x + half,
            foot - 0.42 * height,
            paint(palette.coat(self.tint)),
            stream,
        );
        let head = (0.55 * half).max(0.8);
        canvas.ellipse((x, foot - 0.9 * height), (head, 0.11 * height), paint(palette.skin()), stream);
    }
}
