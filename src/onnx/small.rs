//! `small`: the encoder–decoder of `ml::arch::small`.

use crate::Error;
use crate::graph::{Graph, Value};
use crate::layer::{Alignment, Geometry, conv, group_norm, relu, resize, size_of};
use crate::weights::Weights;

/// N×3×H×W → logits N×C×⌈H/2⌉×⌈W/2⌉.
pub(crate) fn logits(g: &mut Graph, weights: &Weights, image: &Value) -> Result<Value, Error> {
    let strided = Geometry { stride: 2, ..Geometry::SAME };
    let dilated = |dilation| Geometry { dilation, ..Geometry::SAME };
    let half = layer(g, weights, "encoder.0", image, strided)?;
    let half = layer(g, weights, "encoder.1", &half, Geometry::SAME)?;
    let mut deep = layer(g, weights, "encoder.2", &half, strided)?;
    for (index, dilation) in [(3, 2), (4, 4), (5, 2)] {
        deep = layer(g, weights, &format!("encoder.{index}"), &deep, dilated(dilation))?;
    }
    let size = size_of(g, &half);
    let deep = resize(g, &deep, &size, Alignment::Corners);
    let both = g.concat(&[&half, &deep], 1);
    let fused = layer(g, weights, "fuse", &both, Geometry::SAME)?;
    g.within("main", |g| conv(g, weights, "main", &fused, Geometry::SAME))
}

/// Convolution without bias, group normalisation, ReLU.
fn layer(g: &mut Graph, weights: &Weights, name: &str, x: &Value, geometry: Geometry) -> Result<Value, Error> {
    g.within(name, |g| {
        let x = conv(g, weights, &format!("{name}.conv"), x, geometry)?;
        let norm = format!("{name}.norm");
        let channels = weights.shape(&format!("{norm}.weight"))?.iter().product::<usize>() as i64;
        let groups = (1..=8).rev().find(|groups| channels % groups == 0).expect("1 divides every number of channels");
        let x = group_norm(g, weights, &norm, groups, &x)?;
        Ok(relu(g, &x))
    })
}
