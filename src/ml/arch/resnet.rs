//! ResNet-50 and ResNet-101 (arXiv 1512.03385) as used in DeepLab-v2: stride 8, dilated, in Caffe's variant.
//!
//! It differs in three ways from today's ResNet for image classification, whose weights fit its shapes but not its
//! arithmetic: a block's stride is in its first 1×1 convolution, the pooling rounds up, and layers 3 and 4 are dilated by 2
//! and 4 instead of strided. It knows no classifier; `deeplab_v2` adds two.
//!
//! Keys: `conv1.weight`, `bn1.*`, `layer{1..4}.{i}.{conv,bn}{1,2,3}.*`, `layer{1..4}.0.downsample.{0,1}.*`.
use tch::Tensor;

use crate::folded::Folded;
use crate::layer::{BatchNorm, Conv, First, Geometry, Layer, Scope, channels_last};
use crate::network::{RateGroup, Statistics};

/// The number of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// 3, 4, 6, 3.
    Fifty,
    /// 3, 4, 23, 3: as in the papers.
    HundredOne,
}

/// Channels of the third layer's output and of the fourth's.
pub(crate) const OUTPUTS: [i64; 2] = [1024, 2048];

/// Every weight starts as N(0, 0.01), as in the released code, unless a pretrained file overwrites it.
pub(crate) const FIRST: First = First::Normal(0.01);

/// The network without classifiers. Scale and shift of its batch normalisation are not trained, and its statistics change:
/// this follows the released code, which freezes the former and never leaves training mode.
pub(crate) struct ResNet<L = (Conv, BatchNorm)> {
    stem: L,
    layers: [Vec<Bottleneck<L>>; 4],
}

impl ResNet {
    pub(crate) fn new(scope: &mut Scope, depth: Depth) -> ResNet {
        let geometry = Geometry { kernel: 7, stride: 2, padding: 3, dilation: 1, groups: 1 };
        let stem = (conv(scope, "conv1", [3, 64], geometry), BatchNorm::untrained(scope, "bn1", 64));
        let third = match depth {
            Depth::Fifty => 6,
            Depth::HundredOne => 23,
        };
        let layers = [
            layer(scope, "layer1", 3, [64, 64], 1, 1),
            layer(scope, "layer2", 4, [256, 128], 2, 1),
            layer(scope, "layer3", third, [512, 256], 1, 2),
            layer(scope, "layer4", 3, [OUTPUTS[0], 512], 1, 4),
        ];
        ResNet { stem, layers }
    }

    /// The form for prediction, from the current weights and running statistics.
    pub(crate) fn folded(&self) -> ResNet<Folded> {
        let fold = |(conv, norm): &(Conv, BatchNorm)| Folded::new(conv, &norm.affine());
        let block = |block: &Bottleneck| Bottleneck {
            convs: block.convs.each_ref().map(fold),
            downsample: block.downsample.as_ref().map(fold),
        };
        let layers = self.layers.each_ref().map(|layer| layer.iter().map(block).collect());
        ResNet { stem: fold(&self.stem), layers }
    }
}

impl ResNet<Folded> {
    /// Input → the output of layer 4, without keeping that of layer 3.
    pub(crate) fn deep(&self, x: &Tensor) -> Tensor {
        let x = self.begin(&channels_last(x), Statistics::Running);
        self.layers.iter().flatten().fold(x, |x, block| block.forward(&x, Statistics::Running))
    }
}

impl<L: Layer> ResNet<L> {
    /// N×3×H×W → N×64×H/4×W/4, rounded up.
    fn begin(&self, x: &Tensor, statistics: Statistics) -> Tensor {
        let x = self.stem.forward(x, statistics).relu_(); // N×64×H/2×W/2
        x.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], true)
    }

    /// N×3×H×W → the outputs of layers 3 and 4, N×1024×h×w and N×2048×h×w, where h = ⌈H/8⌉ or one more.
    pub(crate) fn forward(&self, x: &Tensor, statistics: Statistics) -> [Tensor; 2] {
        let x = self.begin(x, statistics);
        let through =
            |x: Tensor, layer: &[Bottleneck<L>]| layer.iter().fold(x, |x, block| block.forward(&x, statistics));
        let [first, second, third, fourth] = &self.layers;
        let x = through(through(x, first), second); // N×512×h×w
        let middle = through(x, third);
        let deep = through(middle.shallow_clone(), fourth);
        [middle, deep]
    }
}

/// `channels`: of the input, and inside the blocks. The first block has the stride and a projection on its shortcut.
fn layer(
    scope: &mut Scope,
    name: &str,
    blocks: usize,
    channels: [i64; 2],
    stride: i64,
    dilation: i64,
) -> Vec<Bottleneck> {
    let [input, middle] = channels;
    let block = |index| {
        let prefix = format!("{name}.{index}");
        match index {
            0 => Bottleneck::new(scope, &prefix, channels, stride, dilation, true),
            _ => Bottleneck::new(scope, &prefix, [4 * middle, middle], 1, dilation, false),
        }
    };
    assert!(input != 4 * middle, "the first block of {name} widens, so its shortcut needs a projection");
    (0..blocks).map(block).collect()
}

/// 1×1 (with the stride), 3×3 dilated, 1×1 to four times the channels; the shortcut added before the last ReLU.
struct Bottleneck<L = (Conv, BatchNorm)> {
    convs: [L; 3],
    downsample: Option<L>,
}

impl Bottleneck {
    fn new(
        scope: &mut Scope,
        prefix: &str,
        [input, middle]: [i64; 2],
        stride: i64,
        dilation: i64,
        project: bool,
    ) -> Bottleneck {
        let strided = Geometry { stride, ..Geometry::same(1, 1) };
        let mut stage = |index: usize, channels: [i64; 2], geometry| {
            let conv = conv(scope, &format!("{prefix}.conv{index}"), channels, geometry);
            (conv, BatchNorm::untrained(scope, &format!("{prefix}.bn{index}"), channels[1]))
        };
        let convs = [
            stage(1, [input, middle], strided),
            stage(2, [middle, middle], Geometry::same(3, dilation)),
            stage(3, [middle, 4 * middle], Geometry::same(1, 1)),
        ];
        let downsample = project.then(|| {
            let conv = conv(scope, &format!("{prefix}.downsample.0"), [input, 4 * middle], strided);
            (conv, BatchNorm::untrained(scope, &format!("{prefix}.downsample.1"), 4 * middle))
        });
        Bottleneck { convs, downsample }
    }
}

impl<L: Layer> Bottleneck<L> {
    fn forward(&self, x: &Tensor, statistics: Statistics) -> Tensor {
        let [reduce, spatial, expand] = &self.convs;
        let y = reduce.forward(x, statistics).relu_();
        let y = spatial.forward(&y, statistics).relu_();
        let mut y = expand.forward(&y, statistics);
        let shortcut =
            self.downsample.as_ref().map_or_else(|| x.shallow_clone(), |project| project.forward(x, statistics));
        // In place: the last layer's output is not needed for a gradient.
        y.g_add_(&shortcut).relu_()
    }
}

fn conv(scope: &mut Scope, prefix: &str, channels: [i64; 2], geometry: Geometry) -> Conv {
    Conv::beginning(scope, prefix, channels, geometry, false, RateGroup::Body, FIRST)
}
