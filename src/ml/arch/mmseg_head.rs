//! SegFormer's head (arXiv 2105.15203, section 3.2) as mmsegmentation wrote it anew: with batch normalisation and ReLU after
//! each stage's projection, and the finest map concatenated first.
//!
//! Follows `segformer_head.py` of mmsegmentation; its published SegFormers have this head, into whose place no other can be
//! loaded. Knows no encoder and no file.
//!
//! Keys below a prefix: `convs.{0..3}.{conv,bn}.*`, `fusion_conv.{conv,bn}.*`, `conv_seg.*`.
use tch::Tensor;

use crate::draws::Draw;
use crate::layer::{BatchNorm, Conv, Dropout, First, Geometry, Layer, Scope, sum_on_first};
use crate::network::{RateGroup, Statistics};

use super::mit::Size;

/// Channels of each projected map, and of what is classified, for every size of the encoder.
const WIDTH: i64 = 256;

/// The head.
pub(crate) struct MmsegHead {
    projections: Vec<(Conv, BatchNorm)>,
    fuse: (Conv, BatchNorm),
    dropout: Dropout,
    classify: Conv,
}

impl MmsegHead {
    /// Random weights: Kaiming's by fan-out before a batch normalisation, the classifier N(0, 0.01).
    pub(crate) fn new(scope: &mut Scope, prefix: &str, size: Size, classes: i64, dropout: f64) -> MmsegHead {
        let pointwise = Geometry::same(1, 1);
        let mut layer = |name: &str, input: i64| {
            let (name, first) = (format!("{prefix}.{name}"), First::kaiming(WIDTH, pointwise));
            let channels = [input, WIDTH];
            let conv = format!("{name}.conv");
            let conv = Conv::beginning(scope, &conv, channels, pointwise, false, RateGroup::Head, first);
            (conv, BatchNorm::trained(scope, &format!("{name}.bn"), WIDTH, RateGroup::Head))
        };
        let stages = (0..).zip(size.channels());
        let projections = stages.map(|(stage, channels)| layer(&format!("convs.{stage}"), channels)).collect();
        let fuse = layer("fusion_conv", 4 * WIDTH);
        let (name, first) = (format!("{prefix}.conv_seg"), First::NormalAndZero(0.01));
        let classify = Conv::beginning(scope, &name, [WIDTH, classes], pointwise, true, RateGroup::Head, first);
        MmsegHead { projections, fuse, dropout: Dropout::new(format!("{prefix}.dropout"), dropout), classify }
    }

    /// The stages' maps, finest first → N×C×h×w on the finest grid.
    ///
    /// Interpolation and 1×1 convolution are linear. So each map goes through its part of the last convolution while it is still coarse,
    /// and the sum of the interpolated results is the convolution of the concatenated maps.
    pub(crate) fn forward(&self, maps: &[Tensor], statistics: Statistics, draw: Option<Draw>) -> Tensor {
        let (conv, norm) = &self.fuse;
        let layers = self.projections.iter().zip(conv.parts(4));
        let each = maps
            .iter()
            .zip(layers)
            .map(|(map, (projection, part))| part.forward_map(&projection.forward(map, statistics).relu()));
        let fused = norm.forward(&sum_on_first(each), statistics).relu();
        self.classify.forward(&self.dropout.forward(fused, draw))
    }
}
