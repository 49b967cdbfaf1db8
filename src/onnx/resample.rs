//! Images at another size, as a graph: bicubic like Pillow, bilinear like OpenCV, and weights of positions in between.
//!
//! ONNX has `Resize`, but its antialiasing is no operator of TensorRT, and neither program's rounding is its rounding. So weights
//! are computed from the sizes, which only a run knows, in double precision and in the order of operations of `intrada_data::resize`;
//! TensorRT has no double precision and computes them in single.
//!
//! *Pillow's* sums have 22 binary places, more than single precision holds together with a pixel. Each weight is therefore two
//! integers, `high · 2¹¹ + low`, whose sums are exact in single precision as long as an image shrinks by no more than 16 times
//! (beyond that rounding may lose the last of the 22 places). So the result doesn't depend on the order in which a runtime adds
//! up. A matrix from all source pixels to all targets would be almost empty: targets are taken [`TILE`] at a time, each tile with
//! the window of source pixels that it needs.

use crate::graph::{Graph, Value, int};
use crate::proto::DataType;

/// Targets that share a window. Larger tiles multiply by more zeros, smaller ones copy more pixels twice.
const TILE: i64 = 32;

/// The unit of `high` in that of `low`, and the number of `high`'s units in 1: 2¹¹ each.
const PART: f64 = 2048.0;

/// The radius of Keys' cubic kernel, in source pixels.
const REACH: f64 = 2.0;

/// For each of T tiles of B targets the positions of its window's pixels, `[T, S]`, and the weights `[T, S, B]` of Keys' kernel
/// (a = −0.5) that widens with the scale, which sum to 1 over a window, in double precision.
struct Windows {
    /// Integers, inside of the source.
    positions: Value,
    weights: Value,
}

/// Of an axis of `from` pixels to be `to`, each a row of one integer, in tiles of `tile` targets.
fn windows(g: &mut Graph, from: &Value, to: &Value, tile: i64) -> Windows {
    let [one, half] = [1.0, 0.5].map(|value| g.double(value));
    let [from_real, to_real] = [from, to].map(|side| g.cast(side, DataType::Double));
    let scale = g.div(&from_real, &to_real);
    let widen = g.binary("Max", &scale, &one);
    let reach = g.double(REACH);
    let support = g.mul(&reach, &widen);
    let targets = tiles(g, to, tile);
    let targets = g.cast(&targets, DataType::Double);
    let center = g.add(&targets, &half);
    let center = g.mul(&center, &scale); // [T, B]
    // From the first pixel within reach to before the last, as Pillow rounds them.
    let zero = g.double(0.0);
    let first = g.sub(&center, &support);
    let first = g.add(&first, &half);
    let first = g.unary("Floor", &first);
    let first = g.binary("Max", &first, &zero);
    let end = g.add(&center, &support);
    let end = g.add(&end, &half);
    let end = g.unary("Floor", &end);
    let end = g.binary("Min", &end, &from_real);

    let (begin, next) = (g.ints(&[0]), g.ints(&[1]));
    let start = g.slice(&first, &begin, &next, 1); // [T, 1]
    let offsets = window_offsets(g, &scale, &support, tile);
    let pixels = g.add(&start, &offsets); // [T, S]
    let axis = g.ints(&[2]);
    let pixel = g.op("Unsqueeze", &[&pixels, &axis], vec![]); // [T, S, 1]
    let axis = g.ints(&[1]);
    let [center, first, end] = [&center, &first, &end].map(|row| g.op("Unsqueeze", &[row, &axis], vec![])); // [T, 1, B]
    let distance = g.sub(&pixel, &center);
    let distance = g.add(&distance, &half);
    let narrow = g.div(&one, &widen);
    let distance = g.mul(&distance, &narrow);
    let kernel = keys_cubic(g, &distance);
    let before = g.binary("Less", &pixel, &first);
    let within = g.binary("Less", &pixel, &end);
    let kernel = g.choose(&before, &zero, &kernel);
    let kernel = g.choose(&within, &kernel, &zero);
    let sum = g.op("ReduceSum", &[&kernel, &axis], vec![int("keepdims", 1)]);
    let weights = g.div(&kernel, &sum);
    let last = g.sub(&from_real, &one);
    let positions = g.binary("Min", &pixels, &last);
    let positions = g.cast(&positions, DataType::Int64);
    Windows { positions, weights }
}

/// 0, 1, … before the next multiple of `tile`, `[T, tile]`; from `to` on the last target again.
fn tiles(g: &mut Graph, to: &Value, tile: i64) -> Value {
    let [one, size, more] = [1, tile, tile - 1].map(|value| g.ints(&[value]));
    let count = g.add(to, &more);
    let count = g.div(&count, &size);
    let count = g.mul(&count, &size);
    let targets = g.range(&count);
    let last = g.sub(to, &one);
    let targets = g.binary("Min", &targets, &last);
    g.reshape(&targets, &[-1, tile])
}

/// 0, 1, … before the number of pixels within reach of a tile's targets, `[S]`.
fn window_offsets(g: &mut Graph, scale: &Value, support: &Value, tile: i64) -> Value {
    let (steps, two) = (g.double((tile - 1) as f64), g.double(2.0));
    let targets = g.mul(&steps, scale);
    let beside = g.mul(&two, support);
    let size = g.add(&targets, &beside);
    let size = g.unary("Floor", &size);
    // The floors of both ends can be one further apart, and one more is for what rounding the sizes may add.
    let size = g.add(&size, &two);
    let size = g.cast(&size, DataType::Int64);
    let offsets = g.range(&size);
    g.cast(&offsets, DataType::Double)
}

/// Keys' cubic convolution kernel, a = −0.5. The order of operations is Pillow's.
fn keys_cubic(g: &mut Graph, x: &Value) -> Value {
    let x = g.unary("Abs", x);
    let [zero, one, reach] = [0.0, 1.0, REACH].map(|value| g.double(value));
    // `None` is x.
    let horner = |g: &mut Graph, steps: &[(&str, Option<f64>)]| {
        steps.iter().fold(x.clone(), |y, &(kind, value)| {
            let value = value.map_or_else(|| x.clone(), |value| g.double(value));
            g.binary(kind, &y, &value)
        })
    };
    // (1.5·x − 2.5)·x·x + 1 and (((x − 5)·x + 8)·x − 4)·(−0.5).
    let near = [("Mul", Some(1.5)), ("Sub", Some(2.5)), ("Mul", None), ("Mul", None), ("Add", Some(1.0))];
    let far =
        [("Sub", Some(5.0)), ("Mul", None), ("Add", Some(8.0)), ("Mul", None), ("Sub", Some(4.0)), ("Mul", Some(-0.5))];
    let [near, far] = [horner(g, &near), horner(g, &far)];
    let is_far = g.binary("Less", &x, &reach);
    let far = g.choose(&is_far, &far, &zero);
    let is_near = g.binary("Less", &x, &one);
    g.choose(&is_near, &near, &far)
}

/// Weights `[T, S, B]` → `[T, S, 2·B]` in single precision: units of 2⁻¹¹, then the rest in units of 2⁻²².
fn in_two_parts(g: &mut Graph, weights: &Value) -> Value {
    let (unit, all, half) = (g.double(PART), g.double(PART * PART), g.double(0.5));
    let scaled = g.mul(weights, &all);
    // Halves are rounded away from zero, which no operator does.
    let (sign, size) = (g.unary("Sign", &scaled), g.unary("Abs", &scaled));
    let size = g.add(&size, &half);
    let size = g.unary("Floor", &size);
    let whole = g.mul(&sign, &size);
    let high = g.div(&whole, &unit);
    let high = g.unary("Round", &high);
    let covered = g.mul(&high, &unit);
    let low = g.sub(&whole, &covered);
    let both = g.concat(&[&high, &low], 2);
    g.cast(&both, DataType::Float)
}

/// Pillow's pass along the last axis: `[N, C, R, from]` → `[N, C, to, R]`, rounded to 8 bits. An axis that keeps its size keeps its
/// pixels.
fn pass(g: &mut Graph, image: &Value, from: &Value, to: &Value) -> Value {
    let Windows { positions, weights } = windows(g, from, to, TILE);
    let weights = in_two_parts(g, &weights);
    let pixels = g.gather(image, &positions, 3); // [N, C, R, T, S]
    let pixels = g.transpose(&pixels, &[0, 1, 3, 2, 4]); // [N, C, T, R, S]
    let sums = g.matmul(&pixels, &weights); // [N, C, T, R, 2·B]
    let sizes = g.ints(&[TILE, TILE]);
    let [high, low] = &g.split("Split", &[&sums, &sizes], vec![int("axis", 4)], 2)[..] else {
        unreachable!("it was split in two")
    };
    let (unit, half) = (g.single(PART as f32), g.single(PART as f32 / 2.0));
    let low = g.div(low, &unit);
    let low = g.unary("Floor", &low);
    let sum = g.add(high, &low);
    let sum = g.add(&sum, &half);
    let sum = g.div(&sum, &unit);
    let sum = g.unary("Floor", &sum);
    let (least, most) = (g.single(0.0), g.single(255.0));
    let grey = g.op("Clip", &[&sum, &least, &most], vec![]); // [N, C, T, R, B]
    let grey = g.transpose(&grey, &[0, 1, 2, 4, 3]);
    let (begin, rows) = (g.ints(&[0, 0, -1]), g.side(image, 2));
    let shape = g.concat(&[&begin, &rows], 0);
    let grey = g.reshape_to(&grey, &shape); // [N, C, T·B, R]
    let begin = g.ints(&[0]);
    g.slice(&grey, &begin, to, 2)
}

/// Width and height, each a row of one integer.
#[derive(Clone)]
pub(crate) struct Size {
    pub(crate) width: Value,
    pub(crate) height: Value,
}

impl Size {
    /// Of N×C×H×W.
    pub(crate) fn of(g: &mut Graph, image: &Value) -> Size {
        Size { width: g.side(image, 3), height: g.side(image, 2) }
    }
}

/// An image N×C×H×W of whole grey levels at another size, like Pillow's bicubic.
///
/// Pillow 13 resizes rows first if the height shrinks by more than twice as many pixels as the width. That depends on the image,
/// and a choice between two branches is what runtimes do worst. So there are three passes, two of them along a row: columns are
/// resized in the first, or in the last where rows come before them, and the other one of the two changes nothing. In the usual
/// case it is the last, on the small image.
pub(crate) fn bicubic(g: &mut Graph, image: &Value, to: &Size) -> Value {
    let from = Size::of(g, image);
    let narrower = g.sub(&from.width, &to.width);
    let shorter = g.sub(&from.height, &to.height);
    let (zero, two) = (g.ints(&[0]), g.ints(&[2]));
    let twice = g.mul(&two, &narrower);
    let (is_shorter, is_more) = (g.binary("Greater", &shorter, &zero), g.binary("Greater", &shorter, &twice));
    let is_down_first = g.binary("And", &is_shorter, &is_more);
    let between = g.choose(&is_down_first, &from.width, &to.width);
    let image = g.within("across", |g| pass(g, image, &from.width, &between)); // [N, C, w, H]
    let image = g.within("down", |g| pass(g, &image, &from.height, &to.height)); // [N, C, h, w]
    let image = g.within("across", |g| pass(g, &image, &between, &to.width)); // [N, C, W', h]
    g.transpose(&image, &[0, 1, 3, 2])
}

/// An image N×C×H×W of whole grey levels at another size, like OpenCV's bilinear, in integers.
pub(crate) fn bilinear(g: &mut Graph, image: &Value, to: &Size) -> Value {
    let from = Size::of(g, image);
    let image = g.cast(image, DataType::Int32);
    let sum = g.within("across", |g| {
        let [near, far] = taps(g, &from.width, &to.width, true);
        let [near, far] = [near, far].map(|tap| {
            let pixels = g.gather(&image, &tap.position, 3);
            g.mul(&pixels, &tap.weight)
        });
        g.add(&near, &far)
    });
    g.within("down", |g| {
        let [above, below] = taps(g, &from.height, &to.height, false);
        let [sixteenth, places, two, four] = [16, 1 << 16, 2, 4].map(|value| g.int32(value));
        // What is positive loses its lowest bits by a division.
        let sum = g.div(&sum, &sixteenth);
        let [above, below] = [above, below].map(|tap| {
            let rows = g.gather(&sum, &tap.position, 2);
            let column = g.ints(&[1]);
            let weight = g.op("Unsqueeze", &[&tap.weight, &column], vec![]);
            let part = g.mul(&rows, &weight);
            g.div(&part, &places)
        });
        let sum = g.add(&above, &below);
        let sum = g.add(&sum, &two);
        let grey = g.div(&sum, &four);
        g.cast(&grey, DataType::Float)
    })
}

/// One of the two source pixels of each target: its position, inside of the source, and its weight in units of 2⁻¹¹.
struct Tap {
    position: Value,
    weight: Value,
}

/// OpenCV's neighbours and weights along an axis. In a row, unlike in a column, a target beyond the outermost pixels gets the whole
/// weight of the one.
fn taps(g: &mut Graph, from: &Value, to: &Value, is_row: bool) -> [Tap; 2] {
    let [from_real, to_real] = [from, to].map(|side| g.cast(side, DataType::Double));
    let (half, one_real) = (g.double(0.5), g.double(1.0));
    // Inverted twice, as OpenCV does, for the last bit.
    let scale = g.div(&to_real, &from_real);
    let scale = g.div(&one_real, &scale);
    let targets = g.range(to);
    let targets = g.cast(&targets, DataType::Double);
    let center = g.add(&targets, &half);
    let center = g.mul(&center, &scale);
    let center = g.sub(&center, &half);
    let center = g.cast(&center, DataType::Float);
    let floor = g.unary("Floor", &center);
    let share = g.sub(&center, &floor);
    let (one, unit) = (g.single(1.0), g.single(PART as f32));
    let rest = g.sub(&one, &share);
    let [near, far] = [&rest, &share].map(|share| {
        let scaled = g.mul(share, &unit);
        let rounded = g.unary("Round", &scaled);
        g.cast(&rounded, DataType::Int32)
    });
    let first = g.cast(&floor, DataType::Int64);
    let (zero, step) = (g.ints(&[0]), g.ints(&[1]));
    let last = g.sub(from, &step);
    let second = g.add(&first, &step);
    let held = |g: &mut Graph, position: &Value| {
        let position = g.binary("Max", position, &zero);
        g.binary("Min", &position, &last)
    };
    let [near, far] = if is_row { held_within(g, &first, &last, [near, far]) } else { [near, far] };
    let positions = [&first, &second].map(|position| held(g, position));
    let [first, second] = positions;
    [Tap { position: first, weight: near }, Tap { position: second, weight: far }]
}

/// All weight on the first neighbour where that lies before the source, or is the last of it.
fn held_within(g: &mut Graph, first: &Value, last: &Value, [near, far]: [Value; 2]) -> [Value; 2] {
    let zero = g.ints(&[0]);
    let is_before = g.binary("Less", first, &zero);
    let is_inside = g.binary("Less", first, last);
    let is_beyond = g.unary("Not", &is_inside);
    let is_held = g.binary("Or", &is_before, &is_beyond);
    let (all, none) = (g.int32(PART as i32), g.int32(0));
    [g.choose(&is_held, &all, &near), g.choose(&is_held, &none, &far)]
}

/// The matrix `[to, from]`, in single precision, that interpolates a grid's axis like PyTorch's bicubic with antialiasing: Pillow's
/// kernel without its rounding.
pub(crate) fn antialiased_matrix(g: &mut Graph, from: i64, to: &Value) -> Value {
    let from_side = g.ints(&[from]);
    // One window for all targets would begin at the first one's: each target is a tile of its own.
    let Windows { positions, weights } = windows(g, &from_side, to, 1);
    let weights = g.reshape(&weights, &[0, -1]); // [to, S]
    spread(g, &positions, &weights, from)
}

/// The same without antialiasing: Keys' kernel with a = −0.75, four neighbours, those outside replaced by the outermost.
pub(crate) fn cubic_matrix(g: &mut Graph, from: i64, to: &Value) -> Value {
    let side = g.double(from as f64);
    let to_real = g.cast(to, DataType::Double);
    let scale = g.div(&side, &to_real);
    let targets = g.range(to);
    let targets = g.cast(&targets, DataType::Double);
    let half = g.double(0.5);
    let center = g.add(&targets, &half);
    let center = g.mul(&center, &scale);
    let center = g.sub(&center, &half);
    let floor = g.unary("Floor", &center);
    let share = g.sub(&center, &floor);
    let column = g.ints(&[1]);
    let [floor, share] = [&floor, &share].map(|row| g.op("Unsqueeze", &[row, &column], vec![])); // [to, 1]
    let mut taps = Vec::new();
    let mut weights = Vec::new();
    for step in [-1.0, 0.0, 1.0, 2.0] {
        let step = g.double(step);
        taps.push(g.add(&floor, &step));
        let distance = g.sub(&share, &step);
        weights.push(keys_cubic_of_pytorch(g, &distance));
    }
    let [taps, weights] = [&taps, &weights].map(|parts| g.concat(&parts.iter().collect::<Vec<_>>(), 1)); // [to, 4]
    let (zero, last) = (g.double(0.0), g.double((from - 1) as f64));
    let taps = g.binary("Max", &taps, &zero);
    let taps = g.binary("Min", &taps, &last);
    let taps = g.cast(&taps, DataType::Int64);
    spread(g, &taps, &weights, from)
}

/// Keys' kernel with a = −0.75 within two pixels: ((a + 2)·x − (a + 3))·x² + 1, and a·(x³ − 5·x² + 8·x − 4).
fn keys_cubic_of_pytorch(g: &mut Graph, x: &Value) -> Value {
    const A: f64 = -0.75;
    let x = g.unary("Abs", x);
    let polynomial = |g: &mut Graph, coefficients: [f64; 4]| {
        let first = g.double(coefficients[0]);
        coefficients[1..].iter().fold(first, |sum, &coefficient| {
            let coefficient = g.double(coefficient);
            let product = g.mul(&sum, &x);
            g.add(&product, &coefficient)
        })
    };
    let near = polynomial(g, [A + 2.0, -(A + 3.0), 0.0, 1.0]);
    let far = polynomial(g, [A, -5.0 * A, 8.0 * A, -4.0 * A]);
    let one = g.double(1.0);
    let is_near = g.binary("Less", &x, &one);
    g.choose(&is_near, &near, &far)
}

/// Positions `[to, S]` and their weights → `[to, from]` in single precision; weights of the same position are summed.
fn spread(g: &mut Graph, positions: &Value, weights: &Value, from: i64) -> Value {
    let all = g.ints(&[from]);
    let columns = g.range(&all); // [from]
    let axis = g.ints(&[2]);
    let [positions, weights] = [positions, weights].map(|x| g.op("Unsqueeze", &[x, &axis], vec![])); // [to, S, 1]
    let is_it = g.binary("Equal", &positions, &columns); // [to, S, from]
    let is_it = g.cast(&is_it, DataType::Double);
    let parts = g.mul(&weights, &is_it);
    let axis = g.ints(&[1]);
    let matrix = g.op("ReduceSum", &[&parts, &axis], vec![int("keepdims", 0)]);
    g.cast(&matrix, DataType::Float)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::eval::{Array, value};
    use crate::graph::Precision;

    /// Pictures that another program has resized.
    #[derive(Deserialize)]
    struct Reference {
        cases: Vec<Case>,
    }

    /// A picture of the pattern in [`picture`] at another size; all bytes in hexadecimal.
    #[derive(Deserialize)]
    struct Case {
        from: [usize; 2],
        to: [i64; 2],
        #[serde(alias = "bilinear")]
        bytes: String,
    }

    /// The pattern of the references, N×C×H×W.
    fn picture([width, height]: [usize; 2]) -> Array {
        let byte = |i: usize| ((i * i * 7919 + i * 104_729) >> 5 & 255) as f64;
        let values = (0..3).flat_map(|channel| (0..width * height).map(move |place| byte(place * 3 + channel)));
        Array::new(DataType::Float, &[1, 3, height, width], values)
    }

    /// The bytes of N×C×H×W, pixel by pixel.
    fn hex(image: &Array) -> String {
        let pixels = image.values.len() / 3;
        let bytes = (0..pixels).flat_map(|place| (0..3).map(move |channel| image.values[channel * pixels + place]));
        bytes.map(|byte| format!("{:02x}", byte as u8)).collect()
    }

    fn resized(from: [usize; 2], to: [i64; 2], by: fn(&mut Graph, &Value, &Size) -> Value) -> Array {
        let mut g = Graph::new(Precision::Single);
        let size = Size { width: g.ints(&[to[0]]), height: g.ints(&[to[1]]) };
        let result = by(&mut g, &Value("x".to_owned()), &size);
        let image = value(&g.finish("test"), &[("x", picture(from))], &result.0);
        assert_eq!(image.shape, [1, 3, to[1] as usize, to[0] as usize]);
        image
    }

    fn same(reference: &str, by: fn(&mut Graph, &Value, &Size) -> Value) {
        let Reference { cases } = serde_json::from_str(reference).unwrap();
        assert!(cases.len() > 5);
        for Case { from, to, bytes } in cases {
            assert_eq!(hex(&resized(from, to, by)), bytes, "{from:?} to {to:?}");
        }
    }

    #[test]
    fn pillow_gives_the_same_bytes() {
        same(include_str!("tests_data/pillow_reference.json"), bicubic);
    }

    #[test]
    fn opencv_gives_the_same_bytes() {
        same(include_str!("../data/tests_data/opencv_reference.json"), bilinear);
    }

    #[test]
    fn an_image_that_has_the_size_keeps_its_bytes() {
        for by in [bicubic, bilinear] {
            assert_eq!(hex(&resized([33, 40], [33, 40], by)), hex(&picture([33, 40])));
        }
    }

    fn matrix(of: fn(&mut Graph, i64, &Value) -> Value, from: i64, to: i64) -> Array {
        let mut g = Graph::new(Precision::Single);
        let side = g.ints(&[to]);
        let result = of(&mut g, from, &side);
        value(&g.finish("test"), &[], &result.0)
    }

    #[test]
    fn every_row_of_a_matrix_sums_to_one_and_the_same_size_is_the_identity() {
        for of in [antialiased_matrix, cubic_matrix] {
            for (from, to) in [(37, 12), (37, 64), (37, 1), (5, 37)] {
                let Array { shape, values, .. } = matrix(of, from, to);
                assert_eq!(shape, [to as usize, from as usize]);
                for row in values.chunks_exact(from as usize) {
                    assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{from} to {to}: {row:?}");
                }
            }
            let values = matrix(of, 7, 7).values;
            assert!(values.iter().enumerate().all(|(place, value)| *value == f64::from(place % 8 == 0)), "{values:?}");
        }
    }

    #[test]
    fn matrices_are_those_of_pytorch() {
        // torch.nn.functional.interpolate of one-hot rows, mode = "bicubic", antialias = True and False: 5 to 3, and 3 to 5.
        let close = |found: Array, expected: &[f64]| {
            assert_eq!(found.values.len(), expected.len());
            for (one, other) in found.values.iter().zip(expected) {
                assert!((one - other).abs() < 1e-6, "{found:?}");
            }
        };
        close(matrix(antialiased_matrix, 5, 3), ANTIALIASED_5_TO_3);
        close(matrix(cubic_matrix, 5, 3), CUBIC_5_TO_3);
        close(matrix(cubic_matrix, 3, 5), CUBIC_3_TO_5);
    }

    const ANTIALIASED_5_TO_3: &[f64] = &[
        0.5846153, 0.4461538, 0.0000000, -0.0307692, 0.0000000, -0.0372093, 0.2465116, 0.5813953, 0.2465116,
        -0.0372093, 0.0000000, -0.0307691, 0.0000000, 0.4461538, 0.5846152,
    ];
    const CUBIC_5_TO_3: &[f64] = &[
        0.6851851, 0.3703704, -0.0555553, 0.0000000, 0.0000000, 0.0000000, 0.0000000, 1.0000000, 0.0000000, 0.0000000,
        0.0000000, 0.0000000, -0.0555558, 0.3703706, 0.6851850,
    ];
    const CUBIC_3_TO_5: &[f64] = &[
        1.0960001, -0.0960000, 0.0000000, 0.6119997, 0.4600000, -0.0719998, 0.0000000, 1.0000000, 0.0000000,
        -0.0719998, 0.4599998, 0.6120001, 0.0000000, -0.0960000, 1.0960002,
    ];
}
