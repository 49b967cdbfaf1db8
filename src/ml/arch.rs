//! The networks by the names that a pipeline gives them.
//!
//! The one place that knows all of them; a new network is a file of its own and a line in each function here.
use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

use crate::efficientnet_lite::{EfficientNetLite0, OutputStride};
use crate::network::{ChannelOrder, Network, Normalization};
use crate::small::Small;

/// A kind of segmentation network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arch {
    /// [`Small`], for the quickstart.
    Small,
    /// [`EfficientNetLite0`] with DeepLab-v2's classifiers.
    EfficientnetLite0,
}

impl Arch {
    /// A network with random weights, a function of `seed` alone. Without `multi_level` it has no auxiliary head.
    /// `kind` is `Kind::Float` or `Kind::Double`. `output_stride` is 8 if not given; [`Small`] has only its own.
    pub fn build(
        self,
        classes: i64,
        multi_level: bool,
        output_stride: Option<OutputStride>,
        seed: u64,
        device: Device,
        kind: Kind,
    ) -> Box<dyn Network> {
        match self {
            Arch::Small => Box::new(Small::new(classes, multi_level, seed, device, kind)),
            Arch::EfficientnetLite0 => {
                let stride = output_stride.unwrap_or(OutputStride::Eight);
                Box::new(EfficientNetLite0::new(classes, multi_level, stride, seed, device, kind))
            }
        }
    }

    /// How its input is made of pixel values.
    pub fn normalization(self) -> Normalization {
        let (mean, scale) = match self {
            Arch::Small => (127.0, 64.0),
            // That of the published ImageNet weights.
            Arch::EfficientnetLite0 => (127.0, 128.0),
        };
        Normalization { channels: ChannelOrder::Rgb, mean: [mean; 3], scale: [scale; 3] }
    }
}
