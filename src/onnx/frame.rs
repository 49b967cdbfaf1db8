//! What is around the network: from an image of bytes to its input, from its logits to classes at the image's own size.
//!
//! Knows no network. Everything here is in single precision, whatever that of the network is.

use crate::graph::{Graph, Precision, Value, int, ints};
use crate::layer::{Alignment, resize};
use crate::proto::DataType;
use crate::resample::{self, Size};

/// How an image becomes the network's input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preprocessing {
    /// Whether the network sees blue first.
    pub bgr: bool,
    /// In grey levels, in the order of the network's channels.
    pub mean: [f32; 3],
    /// Grey levels per unit of the input.
    pub scale: [f32; 3],
    /// The size of the training's images; `None`: as they are.
    pub size: Option<Scaling>,
}

/// The size of the training's images, and how they took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scaling {
    /// Width and height in pixels.
    pub size: [u32; 2],
    /// Whether an image keeps its aspect ratio, in a box of this size: its longer side in the longer, whichever that is.
    pub in_box: bool,
    /// The arithmetic.
    pub filter: Filter,
}

/// How pixels of another size are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Bicubic with antialiasing, as in Pillow.
    Pillow,
    /// Bilinear without antialiasing, as in OpenCV.
    OpenCv,
}

/// What the graph gives beside the classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// The share of each class, N×C×H×W.
    pub probabilities: bool,
    /// The entropy of these, from 0 to 1, N×H×W.
    pub entropy: bool,
}

/// The names of the graph's input and outputs.
pub const IMAGE: &str = "image";
/// N×H×W, a class index of each pixel.
pub const CLASSES: &str = "classes";
/// N×C×H×W.
pub const PROBABILITIES: &str = "probabilities";
/// N×H×W.
pub const ENTROPY: &str = "entropy";

/// The image N×H×W×3 of bytes → the network's input N×3×h×w, in its precision.
pub(crate) fn input(g: &mut Graph, preprocessing: &Preprocessing) -> Value {
    let Preprocessing { bgr, mean, scale, size } = preprocessing;
    let image = g.cast(&Value(IMAGE.to_owned()), DataType::Float);
    let mut image = g.transpose(&image, &[0, 3, 1, 2]);
    if let Some(scaling) = size {
        image = g.within("resize", |g| resized(g, &image, scaling));
    }
    if *bgr {
        let order = g.ints(&[2, 1, 0]);
        image = g.gather(&image, &order, 1);
    }
    let mean = g.per_channel(mean);
    image = g.sub(&image, &mean);
    if *scale != [1.0; 3] {
        let scale = g.per_channel(scale);
        image = g.div(&image, &scale);
    }
    if g.precision == Precision::Half { g.cast(&image, DataType::Float16) } else { image }
}

fn resized(g: &mut Graph, image: &Value, scaling: &Scaling) -> Value {
    let [width, height] = scaling.size.map(i64::from);
    let to = if scaling.in_box {
        fitted(g, image, [width, height])
    } else {
        Size { width: g.ints(&[width]), height: g.ints(&[height]) }
    };
    match scaling.filter {
        Filter::Pillow => resample::bicubic(g, image, &to),
        Filter::OpenCv => resample::bilinear(g, image, &to),
    }
}

/// The size of an image in a box, by the order of operations of `intrada_picture::fitted`.
fn fitted(g: &mut Graph, image: &Value, within: [i64; 2]) -> Size {
    let Size { width, height } = Size::of(g, image);
    let [long, short] = [within[0].max(within[1]), within[0].min(within[1])].map(|side| g.double(side as f64));
    let [width, height] = [width, height].map(|side| g.cast(&side, DataType::Double));
    let (longer, shorter) = (g.binary("Max", &width, &height), g.binary("Min", &width, &height));
    let (by_long, by_short) = (g.div(&long, &longer), g.div(&short, &shorter));
    let scale = g.binary("Min", &by_long, &by_short);
    let (half, one) = (g.double(0.5), g.ints(&[1]));
    let [width, height] = [width, height].map(|side| {
        let side = g.mul(&side, &scale);
        let side = g.add(&side, &half);
        let side = g.unary("Floor", &side);
        let side = g.cast(&side, DataType::Int64);
        g.binary("Max", &side, &one)
    });
    Size { width, height }
}

/// The network's logits N×C×h×w → the graph's outputs, at the size of the image N×H×W×3.
pub(crate) fn outputs(g: &mut Graph, logits: &Value, alignment: Alignment, outputs: Outputs, classes: usize) {
    let logits = g.cast(logits, DataType::Float);
    let (shape, sides) = (g.unary("Shape", &Value(IMAGE.to_owned())), g.ints(&[1, 2]));
    let size = g.gather(&shape, &sides, 0);
    let logits = resize(g, &logits, &size, alignment);
    let best = g.op("ArgMax", &[&logits], vec![int("axis", 1), int("keepdims", 0)]);
    // In between a type that TensorRT converts to bytes.
    let best = g.cast(&best, DataType::Float);
    g.output("Cast", &[&best], vec![int("to", DataType::Uint8 as i64)], CLASSES);
    if outputs.probabilities || outputs.entropy {
        shares(g, &logits, outputs, classes);
    }
}

/// Probabilities and entropy. By differences to the largest logit, as the worker computes them: the operators `Softmax` and
/// `LogSoftmax` take many times as long along an axis that isn't the last.
fn shares(g: &mut Graph, logits: &Value, outputs: Outputs, classes: usize) {
    let largest = g.op("ReduceMax", &[logits], vec![ints("axes", &[1]), int("keepdims", 1)]);
    let below = g.sub(logits, &largest);
    let powers = g.unary("Exp", &below);
    let axis = g.ints(&[1]);
    let sum = g.op("ReduceSum", &[&powers, &axis], vec![int("keepdims", 1)]);
    if outputs.probabilities {
        g.output("Div", &[&powers, &sum], vec![], PROBABILITIES);
    }
    if outputs.entropy {
        // −Σ p·ln p = ln Σ eᵈ − Σ d·eᵈ / Σ eᵈ.
        let weighted = g.mul(&below, &powers);
        let weighted = g.op("ReduceSum", &[&weighted, &axis], vec![int("keepdims", 1)]);
        let (weighted, log) = (g.div(&weighted, &sum), g.unary("Log", &sum));
        let nats = g.sub(&log, &weighted);
        let nats = g.op("Squeeze", &[&nats, &axis], vec![]);
        // Of a single class it is 0, not 0/0.
        let most = g.single((classes.max(2) as f32).ln());
        g.output("Div", &[&nats, &most], vec![], ENTROPY);
    }
}
