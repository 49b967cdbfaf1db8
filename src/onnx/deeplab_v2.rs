//! DeepLab-v2 on ResNet-50 or ResNet-101, of `ml::arch::deeplab_v2` and `ml::arch::resnet`. How deep it is, its tensors say.

use crate::Error;
use crate::aspp;
use crate::graph::{Graph, Value, int, ints};
use crate::layer::{Geometry, Padding, conv_norm, relu};
use crate::weights::Weights;

const EPSILON: f64 = 1e-5;
const DILATIONS: [i64; 4] = [6, 12, 18, 24];

/// N×3×H×W → logits on a grid of an eighth of the sides; the first `branches` of the head are summed.
pub(crate) fn logits(g: &mut Graph, weights: &Weights, image: &Value, branches: usize) -> Result<Value, Error> {
    let strided = Geometry { stride: 2, ..Geometry::SAME };
    let x = g.within("stem", |g| conv_norm(g, weights, ["conv1", "bn1"], EPSILON, image, strided))?;
    let x = relu(g, &x);
    // Rounded up, as in Caffe.
    let pooling =
        vec![ints("kernel_shape", &[3, 3]), ints("strides", &[2, 2]), ints("pads", &[1; 4]), int("ceil_mode", 1)];
    let mut x = g.op("MaxPool", &[&x], pooling);
    for (layer, stride, dilation) in [("layer1", 1, 1), ("layer2", 2, 1), ("layer3", 1, 2), ("layer4", 1, 4)] {
        for index in 0..weights.count(layer) {
            let name = format!("{layer}.{index}");
            let stride = if index == 0 { stride } else { 1 };
            x = g.within(&name, |g| bottleneck(g, weights, &name, &x, [stride, dilation]))?;
        }
    }
    let dilations = DILATIONS.get(..branches).ok_or(Error::Branches { asked: branches })?;
    aspp::logits(g, weights, &x, dilations)
}

/// 1×1 (with the stride), 3×3 dilated, 1×1; the shortcut added before the last ReLU.
fn bottleneck(
    g: &mut Graph,
    weights: &Weights,
    name: &str,
    x: &Value,
    [stride, dilation]: [i64; 2],
) -> Result<Value, Error> {
    let strided = Geometry { stride, padding: Padding::None, ..Geometry::SAME };
    let dilated = Geometry { dilation, ..Geometry::SAME };
    let normed = |g: &mut Graph, names: [&str; 2], x: &Value, geometry| {
        let names = names.map(|part| format!("{name}.{part}"));
        conv_norm(g, weights, [&names[0], &names[1]], EPSILON, x, geometry)
    };
    let y = normed(g, ["conv1", "bn1"], x, strided)?;
    let y = relu(g, &y);
    let y = normed(g, ["conv2", "bn2"], &y, dilated)?;
    let y = relu(g, &y);
    let y = normed(g, ["conv3", "bn3"], &y, Geometry::SAME)?;
    let is_projected = weights.has(&format!("{name}.downsample.0.weight"));
    let shortcut = if is_projected { normed(g, ["downsample.0", "downsample.1"], x, strided)? } else { x.clone() };
    let sum = g.add(&y, &shortcut);
    Ok(relu(g, &sum))
}
