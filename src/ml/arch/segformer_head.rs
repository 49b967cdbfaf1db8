//! SegFormer's head (arXiv 2105.15203, section 3.2, equation 4): every stage's map through a linear layer, to the finest
//! grid, mixed by a 1×1 convolution, classified by another.
//!
//! Follows `segformer_head.py` of NVIDIA's released code, which concatenates the coarsest map first. DAFormer's copy
//! concatenates the finest first. Knows no encoder and no file.
//!
//! Keys below a prefix: `linear_c{1..4}.proj.*`, `linear_fuse.{conv,bn}.*`, `linear_pred.*`.
use tch::Tensor;

use crate::draws::Draw;
use crate::layer::{BatchNorm, Conv, Dropout, First, Geometry, Linear, Scope, sum_on_first};
use crate::network::{RateGroup, Statistics};

use super::mit::Size;

/// Channels of each projected map, and of what is classified.
fn width(size: Size) -> i64 {
    match size {
        Size::B0 | Size::B1 => 256,
        Size::B2 | Size::B3 | Size::B4 | Size::B5 => 768,
    }
}

/// The head.
pub(crate) struct SegFormerHead {
    projections: Vec<Linear>,
    fuse: (Conv, BatchNorm),
    dropout: Dropout,
    classify: Conv,
}

impl SegFormerHead {
    /// Random weights: PyTorch's defaults, and Kaiming's by fan-out before the batch normalisation.
    pub(crate) fn new(scope: &mut Scope, prefix: &str, size: Size, classes: i64, dropout: f64) -> SegFormerHead {
        let width = width(size);
        let pointwise = Geometry::same(1, 1);
        let projection = |(stage, channels): (usize, i64)| {
            let name = format!("{prefix}.linear_c{stage}.proj");
            Linear::new(scope, &name, [channels, width], RateGroup::Head, First::Uniform)
        };
        let projections = (1..).zip(size.channels()).map(projection).collect();
        let first = First::kaiming(width, pointwise);
        let fuse = format!("{prefix}.linear_fuse");
        let conv = Conv::beginning(
            scope,
            &format!("{fuse}.conv"),
            [4 * width, width],
            pointwise,
            false,
            RateGroup::Head,
            first,
        );
        let norm = BatchNorm::trained(scope, &format!("{fuse}.bn"), width, RateGroup::Head);
        let name = format!("{prefix}.linear_pred");
        let classify = Conv::new(scope, &name, [width, classes], pointwise, true, RateGroup::Head);
        SegFormerHead {
            projections,
            fuse: (conv, norm),
            dropout: Dropout::new(format!("{prefix}.dropout"), dropout),
            classify,
        }
    }

    /// The stages' maps, finest first → N×C×h×w on the finest grid.
    ///
    /// Projection, interpolation and 1×1 convolution are all linear. So each stage's map goes through the product of its projection and its
    /// part of the convolution while it is still coarse, and the sum of the interpolated results is the convolution of the
    /// concatenated maps: with a tenth of the multiplications.
    pub(crate) fn forward(&self, maps: &[Tensor], statistics: Statistics, draw: Option<Draw>) -> Tensor {
        let (conv, norm) = &self.fuse;
        // The coarsest map comes first in the concatenation.
        let layers = self.projections.iter().zip(conv.parts(4).into_iter().rev());
        let each = maps.iter().zip(layers).map(|(map, (projection, part))| projection.then(&part).forward_map(map));
        let fused = norm.forward(&sum_on_first(each), statistics).relu();
        self.classify.forward(&self.dropout.forward(fused, draw))
    }
}
