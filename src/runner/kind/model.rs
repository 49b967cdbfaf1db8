//! The keys of `[models.…]`, one table an architecture.
//!
//! Knows no network: `ml` builds them by the same names.

use super::{KeySpec, Takes, Variant};

const MULTI_LEVEL: KeySpec = KeySpec::new("multi_level", Takes::Flag, "an auxiliary head beside the main one")
    .or_flag(true)
    .origin("AdvEnt, config.py: TRAIN.MULTI_LEVEL");

const INIT: KeySpec =
    KeySpec::new("init", Takes::Path, "parameters to start from, a `.safetensors` or `.pth` file; default: fresh ones")
        .optional();

const BRANCHES: KeySpec = KeySpec::new(
    "branches",
    Takes::OneOf(&[2, 4]),
    "how many of a head's four dilated convolutions are summed; AdaptSegNet's published checkpoints need 2",
)
.or_integer(4)
.origin("AdvEnt, deeplabv2.py; AdaptSegNet, deeplab_multi.py returns after 2");

/// Every architecture, by the value of `arch`.
pub const ARCHS: &[Variant] = &[
    Variant {
        name: "small",
        summary: "An encoder and decoder for small pictures, trained from scratch in minutes on a CPU.",
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
                Takes::OneOf(&[8, 16, 32]),
                "pixels of the image to one of the head's input; less is finer and slower",
            )
            .or_integer(8),
        ]],
    },
    Variant {
        name: "deeplabv2-resnet50",
        summary: "DeepLab-v2 on ResNet-50: the papers' network with half of the layers.",
        keys: &[&[MULTI_LEVEL, INIT, BRANCHES]],
    },
    Variant {
        name: "deeplabv2-resnet101",
        summary: "DeepLab-v2 on ResNet-101, the network of the papers. Trained on a GPU.",
        keys: &[&[MULTI_LEVEL, INIT, BRANCHES]],
    },
];
