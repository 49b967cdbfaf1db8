//! EfficientNet-Lite0 (arXiv 1905.11946, without squeeze-and-excitation and with ReLU6) with DeepLab-v2's classifiers.
//!
//! A backbone with ImageNet weights that two CPU cores can fine-tune on real photographs, where DeepLab-v2's ResNet-101
//! needs a GPU. Knows no losses and no data.
//!
//! The published weights come from TensorFlow, so padding is TensorFlow's "same", and keys are those of the PyTorch port:
//! `_conv_stem.weight`, `_bn0.*`, `_blocks.N.{_expand_conv,_depthwise_conv,_project_conv}.weight`,
//! `_blocks.N._bn{0,1,2}.*`. The classifiers are named as in the released DeepLab code, by the stage they follow:
//! `layer5.conv2d_list.*` (aux, after block 10, 112 channels) and `layer6.conv2d_list.*` (main, after block 15, 320
//! channels).
use intrada_data::input_file::InputFile;
use serde::Deserialize;
use tch::{Device, Kind, Tensor, no_grad};

use crate::aspp::Aspp;
use crate::checkpoint::{self, CheckpointError, Member, Restored, Rule};
use crate::draws::Draw;
use crate::folded::Folded;
use crate::layer::{Conv, First, FrozenBatchNorm, Geometry, Layer, Scope, channels_last};
use crate::network::{Logits, Network, Parameter, Predictor, RateGroup, Statistics};

const BATCH_NORM_EPSILON: f64 = 1e-3;

/// Dilations of the four branches of a classifier. DeepLab-v2's are 6, 12, 18, 24 for images of 512 rows, whose grid at
/// stride 8 has 65 rows: the widest branch reaches over 0.37 of the height. This network is for images of about 180 rows,
/// 23 on the grid, so a third of each keeps that reach; 24 there would see nothing but padding.
const DILATIONS: [i64; 4] = [2, 4, 6, 8];

/// Groups of blocks: repeats, kernel, stride of the first, expansion, input and output channels.
const GROUPS: [[i64; 6]; 7] = [
    [1, 3, 1, 1, 32, 16],
    [2, 3, 2, 6, 16, 24],
    [2, 5, 2, 6, 24, 40],
    [3, 3, 2, 6, 40, 80],
    [3, 5, 1, 6, 80, 112],
    [4, 5, 2, 6, 112, 192],
    [1, 3, 1, 6, 192, 320],
];

/// The block whose output is the auxiliary classifier's input.
const AUX_BLOCK: usize = 10;

/// Pixels of the image per cell of the final grid, along a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub enum OutputStride {
    /// Every later stride is replaced by dilation. For segmentation.
    Eight = 8,
    /// The last stride is replaced by dilation.
    Sixteen = 16,
    /// The network as published.
    ThirtyTwo = 32,
}

impl TryFrom<i64> for OutputStride {
    type Error = String;

    fn try_from(stride: i64) -> Result<OutputStride, String> {
        match stride {
            8 => Ok(OutputStride::Eight),
            16 => Ok(OutputStride::Sixteen),
            32 => Ok(OutputStride::ThirtyTwo),
            _ => Err(format!("an output stride of {stride}; 8, 16 and 32 exist")),
        }
    }
}

/// The network.
pub struct EfficientNetLite0 {
    classes: i64,
    output_stride: OutputStride,
    scope: Scope,
    stem: Stem<Normalized>,
    blocks: Vec<Block<Normalized>>,
    aux: Option<Aspp>,
    main: Aspp,
}

impl EfficientNetLite0 {
    /// A network with random weights; [`Network::load_pretrained`] gives the backbone ImageNet's. Without those its batch
    /// normalisation, which uses stored statistics only, normalises nothing.
    pub fn new(
        classes: i64,
        multi_level: bool,
        output_stride: OutputStride,
        seed: u64,
        device: Device,
        kind: Kind,
    ) -> EfficientNetLite0 {
        let mut scope = Scope::new(seed, kind, device).channels_last();
        let stem = Stem::new(&mut scope);
        let blocks = blocks(&mut scope, output_stride as i64);
        let aux = multi_level.then(|| Aspp::new(&mut scope, "layer5", [112, classes], &DILATIONS, First::Uniform));
        let main = Aspp::new(&mut scope, "layer6", [320, classes], &DILATIONS, First::Uniform);
        EfficientNetLite0 { classes, output_stride, scope, stem, blocks, aux, main }
    }
}

impl Network for EfficientNetLite0 {
    /// Always by the stored statistics, in training too, as those of a few images are mostly noise.
    fn forward(&self, x: &Tensor, _: Statistics, _: Option<Draw>) -> Logits {
        let mut x = self.stem.forward(&channels_last(x)); // N×32×H/2×W/2
        let mut aux = None;
        for (index, block) in self.blocks.iter().enumerate() {
            x = block.forward(&x);
            if index == AUX_BLOCK {
                aux = self.aux.as_ref().map(|head| head.forward(&x)); // N×C×H/8×W/8 at output stride 8
            }
        }
        Logits { aux, main: self.main.forward(&x), features: x }
    }

    fn feature_stride(&self) -> i64 {
        self.output_stride as i64
    }

    /// Batch normalisation folded, the main head as taps.
    fn predictor(&self) -> Predictor<'_> {
        let (stem, main) = no_grad(|| (self.stem.folded(), self.main.taps()));
        let blocks: Vec<_> = no_grad(|| self.blocks.iter().map(Block::folded).collect());
        Box::new(move |x| {
            let through = |x: Tensor, block: &Block<Folded>| block.forward(&x);
            no_grad(|| main.forward(&blocks.iter().fold(stem.forward(&channels_last(x)), through)))
        })
    }

    fn classes(&self) -> i64 {
        self.classes
    }

    fn multi_level(&self) -> bool {
        self.aux.is_some()
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.scope.parameters()
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.scope.state()
    }

    /// The ImageNet file contains the backbone, and `_conv_head` and `_bn1`, which only ImageNet's classifier needs. Both
    /// classifiers of this network keep their values.
    fn load_pretrained(&self, file: &InputFile, member: Member) -> Result<Restored, CheckpointError> {
        const CLASSIFIER: &str = "of ImageNet's classifier";
        const HEAD: &str = "a head, which a backbone lacks";
        let skip = &[("_conv_head.", CLASSIFIER), ("_bn1.", CLASSIFIER)];
        let rule = Rule { skip, keep: &[("layer5.", HEAD), ("layer6.", HEAD)], convert: true };
        checkpoint::restore_member(file, &self.state(), rule, member)
    }
}

/// All 16 blocks. Once the grid reaches the output stride, a stride of 2 becomes a factor 2 in the dilation of all later
/// blocks; the block that had the stride still has the finer grid as input. So on every second cell the values are those of
/// the strided network, from the same weights.
fn blocks(scope: &mut Scope, output_stride: i64) -> Vec<Block<Normalized>> {
    let mut blocks = Vec::new();
    let (mut reached, mut dilation) = (2, 1);
    for [repeats, kernel, stride, expansion, input, output] in GROUPS {
        for repeat in 0..repeats {
            let wanted = if repeat == 0 { stride } else { 1 };
            let stride = if reached * wanted > output_stride { 1 } else { wanted };
            let channels = [if repeat == 0 { input } else { output }, output];
            // With an odd kernel and no stride "same" padding is symmetric, so the convolution can do it itself.
            let same = Geometry { groups: channels[0] * expansion, ..Geometry::same(kernel, dilation) };
            let geometry = if stride == 1 { same } else { Geometry { stride, padding: 0, ..same } };
            let residual = wanted == 1 && channels[0] == channels[1];
            blocks.push(Block::new(scope, blocks.len(), channels, geometry, residual));
            reached *= stride;
            dilation *= wanted / stride;
        }
    }
    blocks
}

/// The trainable form; [`Folded`] is the one for prediction.
type Normalized = (Conv, FrozenBatchNorm);

fn fold((conv, norm): &Normalized) -> Folded {
    Folded::new(conv, &norm.affine())
}

struct Stem<L>(L);

const STEM: Geometry = Geometry { kernel: 3, stride: 2, padding: 0, dilation: 1, groups: 1 };

impl Stem<Normalized> {
    fn new(scope: &mut Scope) -> Self {
        let conv = Conv::new(scope, "_conv_stem", [3, 32], STEM, false, RateGroup::Body);
        Stem((conv, FrozenBatchNorm::new(scope, "_bn0", 32, BATCH_NORM_EPSILON)))
    }

    fn folded(&self) -> Stem<Folded> {
        Stem(fold(&self.0))
    }
}

impl<L: Layer> Stem<L> {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.0.forward(&pad_same(x, STEM), Statistics::Running).relu6_()
    }
}

/// MBConv: 1×1 expansion (none in the first block), depthwise k×k, 1×1 projection without activation, identity added where
/// the published network has it.
struct Block<L> {
    expand: Option<L>,
    geometry: Geometry,
    depthwise: L,
    project: L,
    residual: bool,
}

impl Block<Normalized> {
    /// `geometry` is the depthwise convolution's; its `groups` are the expanded channels.
    fn new(scope: &mut Scope, index: usize, channels: [i64; 2], geometry: Geometry, residual: bool) -> Self {
        let [input, output] = channels;
        let middle = geometry.groups;
        let mut layer = |conv: &str, norm: &str, channels: [i64; 2], geometry| {
            let name = format!("_blocks.{index}.{conv}");
            let conv = Conv::new(scope, &name, channels, geometry, false, RateGroup::Body);
            let norm = FrozenBatchNorm::new(scope, &format!("_blocks.{index}.{norm}"), channels[1], BATCH_NORM_EPSILON);
            (conv, norm)
        };
        let pointwise = Geometry::same(1, 1);
        Block {
            expand: (middle != input).then(|| layer("_expand_conv", "_bn0", [input, middle], pointwise)),
            geometry,
            depthwise: layer("_depthwise_conv", "_bn1", [middle, middle], geometry),
            project: layer("_project_conv", "_bn2", [middle, output], pointwise),
            residual,
        }
    }

    fn folded(&self) -> Block<Folded> {
        Block {
            expand: self.expand.as_ref().map(fold),
            geometry: self.geometry,
            depthwise: fold(&self.depthwise),
            project: fold(&self.project),
            residual: self.residual,
        }
    }
}

impl<L: Layer> Block<L> {
    fn forward(&self, x: &Tensor) -> Tensor {
        let expanded = match &self.expand {
            Some(expand) => expand.forward(x, Statistics::Running).relu6_(),
            None => x.shallow_clone(),
        };
        let y = self.depthwise.forward(&pad_same(&expanded, self.geometry), Statistics::Running).relu6_();
        let mut y = self.project.forward(&y, Statistics::Running);
        // In place: no convolution needs its output for a gradient.
        if self.residual { y.g_add_(x) } else { y }
    }
}

/// TensorFlow's "same" padding, less what the convolution pads itself: the output has ⌈n / stride⌉ cells, and an odd pixel of
/// padding goes to the right and bottom, which no padding argument of a PyTorch convolution supports.
fn pad_same(x: &Tensor, geometry: Geometry) -> Tensor {
    let Geometry { kernel, stride, padding, dilation, .. } = geometry;
    if padding > 0 {
        return x.shallow_clone();
    }
    let size = x.size();
    let around = |n: i64| {
        let total = ((n + stride - 1) / stride - 1) * stride + dilation * (kernel - 1) + 1 - n;
        let total = total.max(0);
        [total / 2, total - total / 2]
    };
    let ([top, bottom], [left, right]) = (around(size[2]), around(size[3]));
    x.constant_pad_nd([left, right, top, bottom])
}

#[cfg(test)]
mod tests;
