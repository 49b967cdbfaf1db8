//! SegFormer: a Mix Transformer with one of the three heads of `ml::arch`.

use crate::graph::{Graph, Value};
use crate::layer::{Alignment, Geometry, conv, conv_norm, linear_on_map, relu, resize, size_of};
use crate::weights::Weights;
use crate::{Error, mit};

const EPSILON: f64 = 1e-5;

/// A head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// NVIDIA's.
    SegFormer,
    /// DAFormer's.
    DaFormer,
    /// mmsegmentation's form of NVIDIA's.
    Mmseg,
}

/// N×3×H×W → logits N×C×⌈H/4⌉×⌈W/4⌉.
pub(crate) fn logits(g: &mut Graph, weights: &Weights, image: &Value, head: Head) -> Result<Value, Error> {
    let maps = g.within("backbone", |g| mit::maps(g, weights, "backbone", image))?;
    g.within("decode_head", |g| match head {
        Head::SegFormer => segformer(g, weights, &maps),
        Head::DaFormer => daformer(g, weights, &maps),
        Head::Mmseg => mmseg(g, weights, &maps),
    })
}

/// All maps on the finest grid, side by side, finest first; `project` makes one of each.
fn levels(
    g: &mut Graph,
    maps: &[Value],
    mut project: impl FnMut(&mut Graph, usize, &Value) -> Result<Value, Error>,
) -> Result<Vec<Value>, Error> {
    let finest = size_of(g, &maps[0]);
    let mut levels = Vec::new();
    for (stage, map) in maps.iter().enumerate() {
        let level = project(g, stage, map)?;
        levels.push(if stage == 0 { level } else { resize(g, &level, &finest, Alignment::Edges) });
    }
    Ok(levels)
}

fn side_by_side<'a>(g: &mut Graph, levels: impl Iterator<Item = &'a Value>) -> Value {
    g.concat(&levels.collect::<Vec<_>>(), 1)
}

/// A convolution without bias, batch normalisation, ReLU: `name.{conv,bn}.*`.
fn normed(g: &mut Graph, weights: &Weights, name: &str, x: &Value, geometry: Geometry) -> Result<Value, Error> {
    let [conv, norm] = ["conv", "bn"].map(|part| format!("{name}.{part}"));
    let x = conv_norm(g, weights, [&conv, &norm], EPSILON, x, geometry)?;
    Ok(relu(g, &x))
}

fn segformer(g: &mut Graph, weights: &Weights, maps: &[Value]) -> Result<Value, Error> {
    let levels = levels(g, maps, |g, stage, map| {
        linear_on_map(g, weights, &format!("decode_head.linear_c{}.proj", stage + 1), map)
    })?;
    // The coarsest first, unlike the others.
    let x = side_by_side(g, levels.iter().rev());
    let fused = normed(g, weights, "decode_head.linear_fuse", &x, Geometry::SAME)?;
    conv(g, weights, "decode_head.linear_pred", &fused, Geometry::SAME)
}

fn daformer(g: &mut Graph, weights: &Weights, maps: &[Value]) -> Result<Value, Error> {
    let levels = levels(g, maps, |g, stage, map| {
        linear_on_map(g, weights, &format!("decode_head.embed_layers.{stage}.proj"), map)
    })?;
    let x = side_by_side(g, levels.iter());
    let name = |part: &str| format!("decode_head.fuse_layer.{part}");
    let mut branches = vec![normed(g, weights, &name("aspp_modules.0"), &x, Geometry::SAME)?];
    for (branch, dilation) in [(1, 6), (2, 12), (3, 18)] {
        let depthwise = name(&format!("aspp_modules.{branch}.depthwise_conv"));
        let groups = *weights.shape(&format!("{depthwise}.conv.weight"))?.first().unwrap_or(&1) as i64;
        let y = normed(g, weights, &depthwise, &x, Geometry { dilation, groups, ..Geometry::SAME })?;
        let pointwise = name(&format!("aspp_modules.{branch}.pointwise_conv"));
        branches.push(normed(g, weights, &pointwise, &y, Geometry::SAME)?);
    }
    let x = side_by_side(g, branches.iter());
    let fused = normed(g, weights, &name("bottleneck"), &x, Geometry::SAME)?;
    conv(g, weights, "decode_head.conv_seg", &fused, Geometry::SAME)
}

fn mmseg(g: &mut Graph, weights: &Weights, maps: &[Value]) -> Result<Value, Error> {
    let levels = levels(g, maps, |g, stage, map| {
        normed(g, weights, &format!("decode_head.convs.{stage}"), map, Geometry::SAME)
    })?;
    let x = side_by_side(g, levels.iter());
    let fused = normed(g, weights, "decode_head.fusion_conv", &x, Geometry::SAME)?;
    conv(g, weights, "decode_head.conv_seg", &fused, Geometry::SAME)
}
