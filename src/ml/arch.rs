//! The networks by their names in a pipeline.
//!
//! The one place that knows all of them; a new network is a file below and a line in each function here. It has no losses and
//! no data: [`crate::network`] is all that others see of a network.
mod daformer_head;
pub mod deeplab_v2;
pub mod dinov2;
pub mod efficientnet_lite;
mod linear_head;
pub mod mit;
mod mmseg_head;
mod names;
pub mod resnet;
pub mod segformer;
mod segformer_head;
pub mod small;
pub mod vit;

use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

use crate::network::{ChannelOrder, Network, Normalization};

use deeplab_v2::{Branches, DeepLabV2};
use dinov2::DinoV2;
use efficientnet_lite::{EfficientNetLite0, OutputStride};
use mit::Size;
use resnet::Depth;
use segformer::SegFormer;
use small::Small;
use vit::Form;

/// A kind of segmentation network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arch {
    /// [`Small`], for the quickstart.
    Small,
    /// [`EfficientNetLite0`] with DeepLab-v2's classifiers.
    EfficientnetLite0,
    /// [`DeepLabV2`] on ResNet-50.
    #[serde(rename = "deeplabv2-resnet50")]
    DeepLabV2ResNet50,
    /// [`DeepLabV2`] on ResNet-101: the papers' network.
    #[serde(rename = "deeplabv2-resnet101")]
    DeepLabV2ResNet101,
    /// [`SegFormer`] on MiT-B0.
    SegformerB0,
    /// [`SegFormer`] on MiT-B1.
    SegformerB1,
    /// [`SegFormer`] on MiT-B2.
    SegformerB2,
    /// [`SegFormer`] on MiT-B3.
    SegformerB3,
    /// [`SegFormer`] on MiT-B4.
    SegformerB4,
    /// [`SegFormer`] on MiT-B5: the network of DAFormer and MIC.
    SegformerB5,
    /// [`DinoV2`] on ViT-S/14.
    #[serde(rename = "dinov2-vits14")]
    DinoV2S,
    /// [`DinoV2`] on ViT-S/14 with registers.
    #[serde(rename = "dinov2-vits14-reg")]
    DinoV2SReg,
    /// [`DinoV2`] on ViT-B/14.
    #[serde(rename = "dinov2-vitb14")]
    DinoV2B,
    /// [`DinoV2`] on ViT-B/14 with registers.
    #[serde(rename = "dinov2-vitb14-reg")]
    DinoV2BReg,
    /// [`DinoV2`] on ViT-L/14.
    #[serde(rename = "dinov2-vitl14")]
    DinoV2L,
    /// [`DinoV2`] on ViT-L/14 with registers.
    #[serde(rename = "dinov2-vitl14-reg")]
    DinoV2LReg,
}

/// The options of networks, each for those that have the choice.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// C, the number of classes.
    pub classes: i64,
    /// Whether there is an auxiliary head, in networks that have one.
    pub multi_level: bool,
    /// Of [`EfficientNetLite0`]; 8 if not given.
    pub output_stride: Option<OutputStride>,
    /// Of [`DeepLabV2`]; all four if not given.
    pub branches: Option<Branches>,
    /// Of [`SegFormer`].
    pub segformer: segformer::Choice,
    /// Of [`DinoV2`].
    pub dinov2: dinov2::Choice,
}

impl Options {
    /// The default where a network has a choice.
    pub fn new(classes: i64, multi_level: bool) -> Options {
        let (segformer, dinov2) = (segformer::Choice::default(), dinov2::Choice::default());
        Options { classes, multi_level, output_stride: None, branches: None, segformer, dinov2 }
    }
}

/// ImageNet's mean blue, green and red, in grey levels: Caffe's, and AdvEnt's (config.py: IMG_MEAN).
const BGR_MEAN: [f64; 3] = [104.00698793, 116.66876762, 122.67891434];
/// ImageNet's mean red, green and blue, and their deviations: PyTorch's, in grey levels.
const RGB_MEAN: [f32; 3] = [123.675, 116.28, 103.53];
const RGB_DEVIATION: [f32; 3] = [58.395, 57.12, 57.375];

impl Arch {
    /// A network with random weights, a function of `seed` alone. `kind` is `Kind::Float` or `Kind::Double`.
    pub fn build(self, options: Options, seed: u64, device: Device, kind: Kind) -> Box<dyn Network> {
        let Options { classes, multi_level, output_stride, branches, segformer: choice, dinov2: of_dinov2 } = options;
        let deeplab = |depth| {
            let branches = branches.unwrap_or_default();
            Box::new(DeepLabV2::new(depth, classes, multi_level, branches, seed, device, kind))
        };
        let segformer = |size| Box::new(SegFormer::new(size, classes, choice, seed, device, kind));
        let dinov2 =
            |size, registers| Box::new(DinoV2::new(Form { size, registers }, classes, of_dinov2, seed, device, kind));
        match self {
            Arch::Small => Box::new(Small::new(classes, multi_level, seed, device, kind)),
            Arch::EfficientnetLite0 => {
                let stride = output_stride.unwrap_or(OutputStride::Eight);
                Box::new(EfficientNetLite0::new(classes, multi_level, stride, seed, device, kind))
            }
            Arch::DeepLabV2ResNet50 => deeplab(Depth::Fifty),
            Arch::DeepLabV2ResNet101 => deeplab(Depth::HundredOne),
            Arch::SegformerB0 => segformer(Size::B0),
            Arch::SegformerB1 => segformer(Size::B1),
            Arch::SegformerB2 => segformer(Size::B2),
            Arch::SegformerB3 => segformer(Size::B3),
            Arch::SegformerB4 => segformer(Size::B4),
            Arch::SegformerB5 => segformer(Size::B5),
            Arch::DinoV2S => dinov2(vit::Size::S, false),
            Arch::DinoV2SReg => dinov2(vit::Size::S, true),
            Arch::DinoV2B => dinov2(vit::Size::B, false),
            Arch::DinoV2BReg => dinov2(vit::Size::B, true),
            Arch::DinoV2L => dinov2(vit::Size::L, false),
            Arch::DinoV2LReg => dinov2(vit::Size::L, true),
        }
    }

    /// How pixel values become its input.
    pub fn normalization(self) -> Normalization {
        let rgb = |mean, scale| Normalization { channels: ChannelOrder::Rgb, mean: [mean; 3], scale: [scale; 3] };
        match self {
            Arch::Small => rgb(127.0, 64.0),
            // That of the published ImageNet weights.
            Arch::EfficientnetLite0 => rgb(127.0, 128.0),
            // As in AdvEnt's base_dataset.py: no deviation, and a subtraction in single precision.
            Arch::DeepLabV2ResNet50 | Arch::DeepLabV2ResNet101 => {
                Normalization { channels: ChannelOrder::Bgr, mean: BGR_MEAN.map(|mean| mean as f32), scale: [1.0; 3] }
            }
            // As in the configurations of SegFormer, DAFormer and MIC, and in all code of DINOv2.
            Arch::SegformerB0
            | Arch::SegformerB1
            | Arch::SegformerB2
            | Arch::SegformerB3
            | Arch::SegformerB4
            | Arch::SegformerB5
            | Arch::DinoV2S
            | Arch::DinoV2SReg
            | Arch::DinoV2B
            | Arch::DinoV2BReg
            | Arch::DinoV2L
            | Arch::DinoV2LReg => Normalization { channels: ChannelOrder::Rgb, mean: RGB_MEAN, scale: RGB_DEVIATION },
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::{Tensor, no_grad};

    use super::*;
    use crate::network::Statistics;

    /// A network whose stored statistics differ from the initial ones, which would hide a mistake in using them.
    fn moved(arch: Arch, multi_level: bool) -> Box<dyn Network> {
        let options = Options { branches: Some(Branches::Two), ..Options::new(5, multi_level) };
        let network = arch.build(options, 1, Device::Cpu, Kind::Double);
        for (index, (name, tensor)) in network.state().iter().enumerate() {
            if name.contains("bn") || name.ends_with("gamma") || name.contains("norm") || name.contains("downsample.1")
            {
                let values = Tensor::arange(tensor.numel() as i64, (Kind::Double, Device::Cpu)) + index as i64;
                let values = values.sin() * 0.3 + 0.8;
                no_grad(|| tensor.shallow_clone().copy_(&values.reshape(tensor.size()).to_kind(tensor.kind())));
            }
        }
        network
    }

    #[test]
    fn every_network_predicts_what_its_main_head_gives() {
        let image = Tensor::arange(2 * 3 * 41 * 58, (Kind::Double, Device::Cpu)).sin().view([2, 3, 41, 58]);
        use Arch::{DeepLabV2ResNet50, DinoV2S, DinoV2SReg, EfficientnetLite0, SegformerB0, Small};
        for arch in [Small, EfficientnetLite0, DeepLabV2ResNet50, SegformerB0, DinoV2S, DinoV2SReg] {
            let network = moved(arch, arch != DeepLabV2ResNet50);
            let predictor = network.predictor();
            let ours = predictor(&image);
            assert!(!ours.requires_grad());
            let theirs = no_grad(|| network.forward(&image, Statistics::Running, None)).main;
            let (away, largest) = ((&ours - &theirs).abs().max(), theirs.abs().max());
            assert!(away.double_value(&[]) <= 1e-10 * largest.double_value(&[]), "{arch:?}: {away} of {largest}");
        }
    }
}
