//! DeepLab-v2's classifier, of `ml::layer::Aspp`: parallel dilated 3×3 convolutions, summed.

use crate::Error;
use crate::graph::{Graph, Value};
use crate::layer::{Geometry, conv};
use crate::weights::Weights;

/// The sum of one branch for each of `dilations`: `layer6.conv2d_list.{0..}.*`.
pub(crate) fn logits(g: &mut Graph, weights: &Weights, x: &Value, dilations: &[i64]) -> Result<Value, Error> {
    g.within("layer6", |g| {
        let mut sum: Option<Value> = None;
        for (index, &dilation) in dilations.iter().enumerate() {
            let geometry = Geometry { dilation, ..Geometry::SAME };
            let branch = conv(g, weights, &format!("layer6.conv2d_list.{index}"), x, geometry)?;
            sum = Some(match sum {
                None => branch,
                Some(sum) => g.add(&sum, &branch),
            });
        }
        Ok(sum.expect("a head has a branch at least"))
    })
}
