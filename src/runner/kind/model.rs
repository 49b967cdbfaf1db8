//! The keys of `[models.…]`, one table per architecture.
//!
//! Knows no network: `ml` builds them by the same names.

use super::{KeySpec, ValueType, Variant};

const MULTI_LEVEL: KeySpec = KeySpec::new("multi_level", ValueType::Flag, "whether to add an auxiliary head")
    .or_flag(true)
    .origin("AdvEnt, config.py: TRAIN.MULTI_LEVEL");

const INIT: KeySpec =
    KeySpec::new("init", ValueType::Path, "initial weights, a `.safetensors` or `.pth` file; default: random")
        .optional();

const BRANCHES: KeySpec = KeySpec::new(
    "branches",
    ValueType::OneOf(&[2, 4]),
    "number of dilated convolutions that a head sums; AdaptSegNet's published checkpoints need 2",
)
.or_integer(4)
.origin("AdvEnt, deeplabv2.py; AdaptSegNet, deeplab_multi.py returns after 2");

/// Every architecture, by the value of `arch`.
pub const ARCHS: &[Variant] = &[
    Variant {
        name: "small",
        summary: "An encoder-decoder for small images that trains from scratch in minutes on a CPU.",
        keys: &[&[MULTI_LEVEL, INIT]],
    },
    Variant {
        name: "efficientnet-lite0",
        summary: "EfficientNet-Lite0 with two atrous heads.",
        keys: &[&[
            MULTI_LEVEL,
            INIT,
            KeySpec::new(
                "output_stride",
                ValueType::OneOf(&[8, 16, 32]),
                "image pixels per pixel of the head's input; smaller is finer and slower",
            )
            .or_integer(8),
        ]],
    },
    Variant {
        name: "deeplabv2-resnet50",
        summary: "DeepLab-v2 on ResNet-50: the papers' network with half the layers.",
        keys: &[&[MULTI_LEVEL, INIT, BRANCHES]],
    },
    Variant {
        name: "deeplabv2-resnet101",
        summary: "DeepLab-v2 on ResNet-101, the papers' network. Needs a GPU for training.",
        keys: &[&[MULTI_LEVEL, INIT, BRANCHES]],
    },
];

/// The weight tensor of the main head of this architecture; its first dimension is the number of classes.
///
/// `ml` has the network; a test of the worker compares them.
pub fn head(arch: &str) -> Option<&'static str> {
    match arch {
        "small" => Some("main.weight"),
        "efficientnet-lite0" | "deeplabv2-resnet50" | "deeplabv2-resnet101" => Some("layer6.conv2d_list.0.weight"),
        _ => None,
    }
}

/// How pixel values from 0 to 255 become a network's input: channel order, then `(x − mean) / scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preprocessing {
    /// `rgb` or `bgr`; `mean` and `scale` are in this order.
    pub channels: &'static str,
    /// Grey levels.
    pub mean: [f32; 3],
    /// Grey levels per unit of input.
    pub scale: [f32; 3],
}

/// The preprocessing of this architecture, for use of its weights elsewhere.
///
/// `ml` repeats these numbers, as it doesn't know this crate; a test of the worker compares them.
pub fn preprocessing(arch: &str) -> Option<Preprocessing> {
    let rgb = |mean, scale| Preprocessing { channels: "rgb", mean: [mean; 3], scale: [scale; 3] };
    Some(match arch {
        "small" => rgb(127.0, 64.0),
        "efficientnet-lite0" => rgb(127.0, 128.0),
        "deeplabv2-resnet50" | "deeplabv2-resnet101" => {
            Preprocessing { channels: "bgr", mean: [104.006_99, 116.668_77, 122.678_92], scale: [1.0; 3] }
        }
        _ => return None,
    })
}
