//! DAFormer's head (arXiv 2111.14887, section 3.2): every stage's map through a linear layer, to the finest grid, mixed by
//! depthwise separable dilated convolutions, so that it sees context on all levels at once.
//!
//! Follows `daformer_head.py` of the released code in its configuration `daformer_sepaspp`: no pooling of the whole image,
//! the finest map concatenated first. Knows no encoder and no file.
//!
//! Keys below a prefix: `embed_layers.{0..3}.proj.*`, `fuse_layer.aspp_modules.0.{conv,bn}.*`,
//! `fuse_layer.aspp_modules.{1,2,3}.{depthwise_conv,pointwise_conv}.{conv,bn}.*`, `fuse_layer.bottleneck.{conv,bn}.*`,
//! `conv_seg.*`.
use tch::Tensor;

use crate::draws::Draw;
use crate::layer::{BatchNorm, Conv, Dropout, First, Geometry, Layer, Linear, Scope, resized_like};
use crate::network::{RateGroup, Statistics};

use super::mit::Size;

/// Channels of each embedded map, of each branch, and of what is classified.
const WIDTH: i64 = 256;
/// Of the 3×3 branches.
const DILATIONS: [i64; 3] = [6, 12, 18];

/// A convolution without bias, and its batch normalisation; ReLU follows.
type Normed = (Conv, BatchNorm);

/// The head.
pub(crate) struct DaFormerHead {
    embeddings: Vec<Linear>,
    pointwise: Normed,
    /// Each a depthwise convolution and a 1×1.
    separable: Vec<[Normed; 2]>,
    bottleneck: Normed,
    dropout: Dropout,
    classify: Conv,
}

impl DaFormerHead {
    /// Random weights: linear layers have PyTorch's defaults, convolutions Kaiming's by fan-out, the classifier N(0, 0.01).
    pub(crate) fn new(scope: &mut Scope, prefix: &str, size: Size, classes: i64, dropout: f64) -> DaFormerHead {
        let embedding = |(stage, channels): (usize, i64)| {
            let name = format!("{prefix}.embed_layers.{stage}.proj");
            Linear::new(scope, &name, [channels, WIDTH], RateGroup::Head, First::Uniform)
        };
        let embeddings = (0..).zip(size.channels()).map(embedding).collect();
        let all = 4 * WIDTH;
        let pointwise = Geometry::same(1, 1);
        let mut layer = |name: &str, channels: [i64; 2], geometry: Geometry| -> Normed {
            let name = format!("{prefix}.fuse_layer.{name}");
            let first = First::kaiming(channels[1], geometry);
            let conv =
                Conv::beginning(scope, &format!("{name}.conv"), channels, geometry, false, RateGroup::Head, first);
            (conv, BatchNorm::trained(scope, &format!("{name}.bn"), channels[1], RateGroup::Head))
        };
        let first_branch = layer("aspp_modules.0", [all, WIDTH], pointwise);
        let mut separable = Vec::new();
        for (branch, dilation) in (1..).zip(DILATIONS) {
            let depthwise = Geometry { groups: all, ..Geometry::same(3, dilation) };
            separable.push([
                layer(&format!("aspp_modules.{branch}.depthwise_conv"), [all, all], depthwise),
                layer(&format!("aspp_modules.{branch}.pointwise_conv"), [all, WIDTH], pointwise),
            ]);
        }
        let bottleneck = layer("bottleneck", [all, WIDTH], Geometry::same(3, 1));
        let (name, first) = (format!("{prefix}.conv_seg"), First::NormalAndZero(0.01));
        let classify = Conv::beginning(scope, &name, [WIDTH, classes], pointwise, true, RateGroup::Head, first);
        let dropout = Dropout::new(format!("{prefix}.dropout"), dropout);
        DaFormerHead { embeddings, pointwise: first_branch, separable, bottleneck, dropout, classify }
    }

    /// The stages' maps, finest first → N×C×h×w on the finest grid.
    pub(crate) fn forward(&self, maps: &[Tensor], statistics: Statistics, draw: Option<Draw>) -> Tensor {
        let one = |(map, embedding): (&Tensor, &Linear)| resized_like(&embedding.forward_map(map), &maps[0]);
        let levels: Vec<Tensor> = maps.iter().zip(&self.embeddings).map(one).collect();
        // With adjacent channels, as they come, a dilated depthwise convolution takes six times as long on a CPU.
        let x = Tensor::cat(&levels, 1).contiguous(); // N×1024×h×w
        let through = |x: &Tensor, layer: &Normed| layer.forward(x, statistics).relu();
        let mut branches = vec![through(&x, &self.pointwise)];
        branches
            .extend(self.separable.iter().map(|[depthwise, pointwise]| through(&through(&x, depthwise), pointwise)));
        let fused = through(&Tensor::cat(&branches, 1), &self.bottleneck);
        self.classify.forward(&self.dropout.forward(fused, draw))
    }
}
