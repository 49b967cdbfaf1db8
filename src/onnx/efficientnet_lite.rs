//! EfficientNet-Lite0 with DeepLab-v2's classifier, of `ml::arch::efficientnet_lite`.

use crate::Error;
use crate::aspp;
use crate::graph::{Graph, Value};
use crate::layer::{Geometry, Padding, conv_norm, relu6};
use crate::weights::Weights;

const EPSILON: f64 = 1e-3;
const DILATIONS: [i64; 4] = [2, 4, 6, 8];

/// Groups of blocks: repeats, and the stride of the first in the published network.
const GROUPS: [[i64; 2]; 7] = [[1, 1], [2, 2], [2, 2], [3, 2], [3, 1], [4, 2], [1, 1]];

const POINTWISE: Geometry = Geometry::SAME;

/// N×3×H×W → logits on the grid of `output_stride`.
pub(crate) fn logits(g: &mut Graph, weights: &Weights, image: &Value, output_stride: i64) -> Result<Value, Error> {
    let geometry = Geometry { stride: 2, padding: Padding::TensorFlow, ..Geometry::SAME };
    let names = ["_conv_stem", "_bn0"];
    let mut x = g.within("stem", |g| conv_norm(g, weights, names, EPSILON, image, geometry))?;
    x = relu6(g, &x);
    let (mut reached, mut dilation, mut index) = (2, 1, 0);
    for [repeats, first_stride] in GROUPS {
        for repeat in 0..repeats {
            let wanted = if repeat == 0 { first_stride } else { 1 };
            // Once the grid reaches the output stride, a stride becomes a dilation of what follows.
            let stride = if reached * wanted > output_stride { 1 } else { wanted };
            x = g.within(&format!("blocks.{index}"), |g| block(g, weights, index, &x, [stride, dilation], wanted))?;
            reached *= stride;
            dilation *= wanted / stride;
            index += 1;
        }
    }
    aspp::logits(g, weights, &x, &DILATIONS)
}

/// 1×1 expansion (none in the first block), depthwise k×k, 1×1 projection; the identity where the published network has it: of a
/// stride of 1 `in_published` and as many channels as before.
fn block(
    g: &mut Graph,
    weights: &Weights,
    index: usize,
    x: &Value,
    [stride, dilation]: [i64; 2],
    in_published: i64,
) -> Result<Value, Error> {
    let name = |part: &str| format!("_blocks.{index}.{part}");
    let channels = |part: &str, place: usize| -> Result<usize, Error> {
        let name = name(&format!("{part}.weight"));
        let shape = weights.shape(&name)?;
        shape.get(place).copied().ok_or_else(|| Error::Shape { name, found: shape.to_vec() })
    };
    let is_expanded = weights.has(&name("_expand_conv.weight"));
    let mut y = x.clone();
    if is_expanded {
        y = conv_norm(g, weights, [&name("_expand_conv"), &name("_bn0")], EPSILON, &y, POINTWISE)?;
        y = relu6(g, &y);
    }
    let middle = channels("_depthwise_conv", 0)?;
    let geometry = Geometry { stride, dilation, padding: Padding::TensorFlow, groups: middle as i64 };
    y = conv_norm(g, weights, [&name("_depthwise_conv"), &name("_bn1")], EPSILON, &y, geometry)?;
    y = relu6(g, &y);
    y = conv_norm(g, weights, [&name("_project_conv"), &name("_bn2")], EPSILON, &y, POINTWISE)?;
    let input = if is_expanded { channels("_expand_conv", 1)? } else { middle };
    let is_residual = in_published == 1 && channels("_project_conv", 0)? == input;
    Ok(if is_residual { g.add(&y, x) } else { y })
}
