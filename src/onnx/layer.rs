//! The layers that networks share: convolutions, linear layers, normalisations, activations, a map at the size of another.
//!
//! Knows no network. A convolution followed by a batch normalisation is one convolution, computed in double precision and rounded
//! once: the form in which the worker predicts (`ml::folded`), and one layer less for half precision. All other weights have the
//! trained values; those of linear layers lie transposed.

use crate::Error;
use crate::graph::{Graph, Precision, Value, float, int, ints, nothing, word};
use crate::proto::{AttributeProto, DataType};
use crate::weights::{Tensor, Weights};

/// How a convolution goes over a map.
#[derive(Clone, Copy)]
pub(crate) struct Geometry {
    pub(crate) stride: i64,
    pub(crate) dilation: i64,
    pub(crate) padding: Padding,
    pub(crate) groups: i64,
}

/// What is around a map: zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Padding {
    None,
    /// So many that a stride of 1 keeps the size.
    Same,
    /// TensorFlow's: the output has ⌈n / stride⌉ cells, and an odd pixel goes to the right and below.
    TensorFlow,
}

impl Geometry {
    pub(crate) const SAME: Geometry = Geometry { stride: 1, dilation: 1, padding: Padding::Same, groups: 1 };

    fn attributes(self, [rows, columns]: [i64; 2]) -> Vec<AttributeProto> {
        let Geometry { stride, dilation, padding, groups } = self;
        let mut attributes = vec![
            ints("kernel_shape", &[rows, columns]),
            ints("strides", &[stride; 2]),
            ints("dilations", &[dilation; 2]),
            int("group", groups),
        ];
        let [above, left] = [rows, columns].map(|side| dilation * (side - 1) / 2);
        match padding {
            Padding::None => {}
            // Of a stride of 1 it is the same on all sides; runtimes take the word with a dilation of 1 alone.
            Padding::TensorFlow if stride > 1 => attributes.push(word("auto_pad", "SAME_UPPER")),
            Padding::Same | Padding::TensorFlow => attributes.push(ints("pads", &[above, left, above, left])),
        }
        attributes
    }
}

/// A tensor of the file under its own name.
pub(crate) fn trained(g: &mut Graph, weights: &Weights, name: &str) -> Result<Value, Error> {
    Ok(stored(g, name, &weights.take(name)?))
}

fn stored(g: &mut Graph, name: &str, tensor: &Tensor) -> Value {
    match g.precision {
        Precision::Single => g.tensor(name, DataType::Float, &tensor.shape, tensor.bytes.clone()),
        Precision::Half => g.numbers(name, &tensor.shape, &tensor.values()),
    }
}

/// A convolution `name.weight` and, where there is one, `name.bias`.
pub(crate) fn conv(
    g: &mut Graph,
    weights: &Weights,
    name: &str,
    x: &Value,
    geometry: Geometry,
) -> Result<Value, Error> {
    let weight = weights.take(&format!("{name}.weight"))?;
    let kernel = sides(&weight);
    let mut inputs = vec![x.clone(), stored(g, &format!("{name}.weight"), &weight)];
    let bias = format!("{name}.bias");
    if weights.has(&bias) {
        inputs.push(trained(g, weights, &bias)?);
    }
    Ok(g.op("Conv", &inputs.iter().collect::<Vec<_>>(), geometry.attributes(kernel)))
}

fn sides(weight: &Tensor) -> [i64; 2] {
    // A linear layer's weight is a 1×1 convolution's.
    [2, 3].map(|side| weight.shape.get(side).map_or(1, |&side| side as i64))
}

/// Per channel of a batch normalisation `name.*` by its stored statistics: factor and addend.
fn affine(weights: &Weights, name: &str, epsilon: f64) -> Result<Vec<[f64; 2]>, Error> {
    let values = |leaf: &str| Ok(weights.take(&format!("{name}.{leaf}"))?.values());
    let (weight, bias) = (values("weight")?, values("bias")?);
    let (mean, variance) = (values("running_mean")?, values("running_var")?);
    let one = |channel: usize| {
        let [weight, bias, mean, variance] = [&weight, &bias, &mean, &variance].map(|row| f64::from(row[channel]));
        let factor = weight / (variance + epsilon).sqrt();
        [factor, bias - mean * factor]
    };
    Ok((0..weight.len()).map(one).collect())
}

/// A convolution `conv.weight` without bias and the batch normalisation `norm` after it.
pub(crate) fn conv_norm(
    g: &mut Graph,
    weights: &Weights,
    [conv, norm]: [&str; 2],
    epsilon: f64,
    x: &Value,
    geometry: Geometry,
) -> Result<Value, Error> {
    let weight = weights.take(&format!("{conv}.weight"))?;
    let affine = affine(weights, norm, epsilon)?;
    let values = weight.values();
    let of_each = values.len() / affine.len().max(1);
    let rows = values.chunks_exact(of_each.max(1)).zip(&affine);
    let folded: Vec<f32> =
        rows.flat_map(|(row, [factor, _])| row.iter().map(move |value| (f64::from(*value) * factor) as f32)).collect();
    let bias: Vec<f32> = affine.iter().map(|[_, addend]| *addend as f32).collect();
    let kernel = sides(&weight);
    let weight = g.numbers(&format!("{conv}.weight"), &weight.shape, &folded);
    let bias = g.numbers(&format!("{norm}.bias"), &[bias.len()], &bias);
    Ok(g.op("Conv", &[x, &weight, &bias], geometry.attributes(kernel)))
}

/// A batch normalisation `norm` and the 1×1 convolution `conv` after it.
pub(crate) fn norm_conv(
    g: &mut Graph,
    weights: &Weights,
    [norm, conv]: [&str; 2],
    epsilon: f64,
    x: &Value,
) -> Result<Value, Error> {
    let (weight, bias) = (weights.take(&format!("{conv}.weight"))?, weights.take(&format!("{conv}.bias"))?);
    let affine = affine(weights, norm, epsilon)?;
    let values = weight.values();
    let (mut folded, mut addends) = (Vec::with_capacity(values.len()), Vec::new());
    for (row, bias) in values.chunks_exact(affine.len().max(1)).zip(bias.values()) {
        folded.extend(row.iter().zip(&affine).map(|(value, [factor, _])| (f64::from(*value) * factor) as f32));
        let shifts: f64 = row.iter().zip(&affine).map(|(value, [_, addend])| f64::from(*value) * addend).sum();
        addends.push((f64::from(bias) + shifts) as f32);
    }
    let weight = g.numbers(&format!("{conv}.weight"), &weight.shape, &folded);
    let bias = g.numbers(&format!("{conv}.bias"), &[addends.len()], &addends);
    Ok(g.op("Conv", &[x, &weight, &bias], Geometry::SAME.attributes([1, 1])))
}

/// x·Wᵀ + b over the last dimension: `name.weight`, stored output × input, and `name.bias`.
pub(crate) fn linear(g: &mut Graph, weights: &Weights, name: &str, x: &Value) -> Result<Value, Error> {
    let weight = weights.take(&format!("{name}.weight"))?;
    let [outputs, inputs] = weight.shape[..] else {
        return Err(Error::Shape { name: format!("{name}.weight"), found: weight.shape });
    };
    let values = weight.values();
    let turned: Vec<f32> = (0..inputs)
        .flat_map(|input| (0..outputs).map(move |output| (output, input)))
        .map(|(o, i)| values[o * inputs + i])
        .collect();
    let weight = g.numbers(&format!("{name}.weight"), &[inputs, outputs], &turned);
    let bias = trained(g, weights, &format!("{name}.bias"))?;
    let product = g.matmul(x, &weight);
    Ok(g.add(&product, &bias))
}

/// A linear layer `name.*` on the channels of a map, N×d×h×w → N×e×h×w.
pub(crate) fn linear_on_map(g: &mut Graph, weights: &Weights, name: &str, map: &Value) -> Result<Value, Error> {
    let mut weight = weights.take(&format!("{name}.weight"))?;
    weight.shape.extend([1, 1]);
    let weight = stored(g, &format!("{name}.weight"), &weight);
    let bias = trained(g, weights, &format!("{name}.bias"))?;
    Ok(g.op("Conv", &[map, &weight, &bias], Geometry::SAME.attributes([1, 1])))
}

/// Layer normalisation `name.*` over the last dimension.
pub(crate) fn layer_norm(
    g: &mut Graph,
    weights: &Weights,
    name: &str,
    epsilon: f32,
    x: &Value,
) -> Result<Value, Error> {
    let [weight, bias] = ["weight", "bias"].map(|leaf| trained(g, weights, &format!("{name}.{leaf}")));
    Ok(g.op("LayerNormalization", &[x, &weight?, &bias?], vec![int("axis", -1), float("epsilon", epsilon)]))
}

/// Group normalisation `name.*` with ε = 1e-5: normalised as the instances of a map whose channels are the groups, because
/// `GroupNormalization` is newer than opset 17.
pub(crate) fn group_norm(g: &mut Graph, weights: &Weights, name: &str, groups: i64, x: &Value) -> Result<Value, Error> {
    let [weight, bias] = ["weight", "bias"].map(|leaf| weights.take(&format!("{name}.{leaf}")));
    let (weight, bias) = (weight?, bias?);
    let shape = g.unary("Shape", x);
    let grouped = g.reshape(x, &[0, groups, -1]);
    let count = groups as usize;
    let (ones, zeros) =
        (g.numbers("ones", &[count], &vec![1.0; count]), g.numbers("zeros", &[count], &vec![0.0; count]));
    let normed = g.op("InstanceNormalization", &[&grouped, &ones, &zeros], vec![float("epsilon", 1e-5)]);
    let normed = g.reshape_to(&normed, &shape);
    let [weight, bias] = [("weight", weight), ("bias", bias)].map(|(leaf, mut tensor)| {
        tensor.shape.extend([1, 1]);
        stored(g, &format!("{name}.{leaf}"), &tensor)
    });
    let scaled = g.mul(&normed, &weight);
    Ok(g.add(&scaled, &bias))
}

pub(crate) fn relu(g: &mut Graph, x: &Value) -> Value {
    g.unary("Relu", x)
}

/// Cut off below 0 and above 6.
pub(crate) fn relu6(g: &mut Graph, x: &Value) -> Value {
    let (least, most) = (g.own(0.0), g.own(6.0));
    g.op("Clip", &[x, &least, &most], vec![])
}

/// x·Φ(x) by the error function; `Gelu` is newer than opset 17, and runtimes know this form.
pub(crate) fn gelu(g: &mut Graph, x: &Value) -> Value {
    let (root, one, half) = (g.own(std::f32::consts::SQRT_2), g.own(1.0), g.own(0.5));
    let inner = g.div(x, &root);
    let inner = g.unary("Erf", &inner);
    let inner = g.add(&inner, &one);
    let product = g.mul(x, &inner);
    g.mul(&product, &half)
}

/// How a grid lies on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alignment {
    /// The centres of the corners are the same: PyTorch's `align_corners = True`.
    Corners,
    /// The edges are the same: `align_corners = False`.
    Edges,
}

/// A map N×C×h×w, bilinear, at `size`: two integers, height and width.
pub(crate) fn resize(g: &mut Graph, map: &Value, size: &Value, alignment: Alignment) -> Value {
    let shape = g.unary("Shape", map);
    let first = g.ints(&[0, 1]);
    let first = g.gather(&shape, &first, 0);
    let sizes = g.concat(&[&first, size], 0);
    let mode = match alignment {
        Alignment::Corners => "align_corners",
        Alignment::Edges => "half_pixel",
    };
    let attributes = vec![word("mode", "linear"), word("coordinate_transformation_mode", mode)];
    g.op("Resize", &[map, &nothing(), &nothing(), &sizes], attributes)
}

/// Height and width of a map N×C×h×w, two integers.
pub(crate) fn size_of(g: &mut Graph, map: &Value) -> Value {
    let shape = g.unary("Shape", map);
    let sides = g.ints(&[2, 3]);
    g.gather(&shape, &sides, 0)
}

/// Cells of a map N×d×h×w as rows, N×(h·w)×d.
pub(crate) fn rows_of(g: &mut Graph, map: &Value) -> Value {
    let rows = g.reshape(map, &[0, 0, -1]);
    g.transpose(&rows, &[0, 2, 1])
}

/// Rows N×(h·w)×d as a map N×d×h×w; `size` is height and width.
pub(crate) fn map_of(g: &mut Graph, rows: &Value, size: &Value) -> Value {
    let map = g.transpose(rows, &[0, 2, 1]);
    let first = g.ints(&[0, 0]);
    let shape = g.concat(&[&first, size], 0);
    g.reshape_to(&map, &shape)
}

/// Attention of `heads` heads among rows: queries N×q×d, keys and values N×k×d → N×q×d.
pub(crate) fn attention(g: &mut Graph, [query, key, value]: [&Value; 3], heads: i64, width: i64) -> Value {
    let size = width / heads;
    let mut of_heads = |x: &Value, order: &[i64]| {
        let x = g.reshape(x, &[0, 0, heads, size]);
        g.transpose(&x, order)
    };
    let (query, key, value) =
        (of_heads(query, &[0, 2, 1, 3]), of_heads(key, &[0, 2, 3, 1]), of_heads(value, &[0, 2, 1, 3]));
    // Before the product, which could leave the range of half precision.
    let scale = g.own(1.0 / (size as f32).sqrt());
    let query = g.mul(&query, &scale);
    let scores = g.matmul(&query, &key);
    let shares = g.op("Softmax", &[&scores], vec![int("axis", -1)]);
    let attended = g.matmul(&shares, &value);
    let attended = g.transpose(&attended, &[0, 2, 1, 3]);
    g.reshape(&attended, &[0, 0, width])
}
