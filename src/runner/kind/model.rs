//! The keys of `[models.…]`, one table per architecture.
//!
//! Knows no network: `ml` builds them by the same names.

use super::{Interval, KeySpec, Keys, Only, ValueType, Variant};

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

const HEAD: KeySpec = KeySpec::new(
    "head",
    ValueType::Choice(&["segformer", "daformer", "segformer-mmseg"]),
    "what follows the encoder: SegFormer's head, DAFormer's, which also sees context by dilated convolutions, or \
     mmsegmentation's form of SegFormer's, of which its published networks are",
)
.or_text("segformer");

const DROP_PATH: KeySpec = KeySpec::new(
    "drop_path",
    ValueType::Number(Interval::DECAY),
    "in a training, the share of images for which the last block's branches are left out; less before it, down to 0 in the \
     first",
)
.or_number(0.1)
.origin("SegFormer, mix_transformer.py: drop_path_rate");

const DROPOUT: KeySpec = KeySpec::new(
    "dropout",
    ValueType::Number(Interval::DECAY),
    "in a training, the share of channels that are left out before the classifier",
)
.or_number(0.1)
.origin("SegFormer, its configurations: dropout_ratio");

const PART: KeySpec = KeySpec::new(
    "part",
    ValueType::Choice(&["student", "teacher"]),
    "which network of a file of DAFormer or MIC `init` takes: the one that was trained, or its moving average",
)
.or_text("student")
.only(Only::with("init"));

const LINEAR_HEAD: KeySpec = KeySpec::new(
    "head",
    ValueType::Choice(&["linear", "linear-4"]),
    "what follows the transformer: batch normalisation and a linear classifier, on its last layer or on its last four",
)
.or_text("linear")
.origin("DINOv2, linear_head.py: BNHead");

const DROP_PATH_OF_DINOV2: KeySpec = DROP_PATH.or_number(0.0).origin("DINOv2, vision_transformer.py: drop_path_rate");

/// Keys that affect a training and no prediction.
pub const OF_TRAININGS: &[&str] = &["drop_path", "dropout"];

const SEGFORMER: Keys = &[&[INIT, PART, HEAD, DROP_PATH, DROPOUT]];

const DINOV2: Keys = &[&[INIT, LINEAR_HEAD, DROP_PATH_OF_DINOV2]];

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
    Variant {
        name: "segformer-b0",
        summary: "SegFormer on MiT-B0, the smallest Mix Transformer: 4 million parameters. Images need 29 pixels a side.",
        keys: SEGFORMER,
    },
    Variant { name: "segformer-b1", summary: "SegFormer on MiT-B1: 14 million parameters.", keys: SEGFORMER },
    Variant { name: "segformer-b2", summary: "SegFormer on MiT-B2: 27 million parameters.", keys: SEGFORMER },
    Variant { name: "segformer-b3", summary: "SegFormer on MiT-B3: 47 million parameters.", keys: SEGFORMER },
    Variant { name: "segformer-b4", summary: "SegFormer on MiT-B4: 64 million parameters.", keys: SEGFORMER },
    Variant {
        name: "segformer-b5",
        summary: "SegFormer on MiT-B5: 85 million parameters. With `head = \"daformer\"` the network of DAFormer and MIC. Needs a \
                  GPU for training.",
        keys: SEGFORMER,
    },
    Variant {
        name: "dinov2-vits14",
        summary: "DINOv2's vision transformer ViT-S/14 with a linear head: 22 million parameters. Images need 15 pixels a side; \
                  multiples of 14 need no padding.",
        keys: DINOV2,
    },
    Variant {
        name: "dinov2-vits14-reg",
        summary: "The same with four registers, tokens without a place in the image.",
        keys: DINOV2,
    },
    Variant { name: "dinov2-vitb14", summary: "DINOv2 on ViT-B/14: 87 million parameters.", keys: DINOV2 },
    Variant { name: "dinov2-vitb14-reg", summary: "DINOv2 on ViT-B/14 with registers.", keys: DINOV2 },
    Variant {
        name: "dinov2-vitl14",
        summary: "DINOv2 on ViT-L/14: 304 million parameters. Needs a GPU for training.",
        keys: DINOV2,
    },
    Variant { name: "dinov2-vitl14-reg", summary: "DINOv2 on ViT-L/14 with registers.", keys: DINOV2 },
];

/// The weight tensors of the main head of this architecture, of which a network has one: its first dimension is the number
/// of classes.
///
/// `ml` has the network; a test of the worker compares them.
pub fn heads(arch: &str) -> &'static [&'static str] {
    match arch {
        "small" => &["main.weight"],
        "efficientnet-lite0" | "deeplabv2-resnet50" | "deeplabv2-resnet101" => &["layer6.conv2d_list.0.weight"],
        _ if is_segformer(arch) => &["decode_head.linear_pred.weight", "decode_head.conv_seg.weight"],
        _ if is_dinov2(arch) => &["decode_head.conv_seg.weight"],
        _ => &[],
    }
}

/// Whether this architecture is a SegFormer.
pub fn is_segformer(arch: &str) -> bool {
    arch.starts_with("segformer-")
}

/// Whether this architecture is a DINOv2.
pub fn is_dinov2(arch: &str) -> bool {
    arch.starts_with("dinov2-")
}

/// Whether the corners of the logits' grid are aligned with those of the image, or else the edges: `align_corners` of PyTorch.
///
/// `ml` has the network; a test of the worker compares them.
pub fn aligns_corners(arch: &str) -> bool {
    !is_segformer(arch) && !is_dinov2(arch)
}

/// The smallest side of an image, in pixels, that a network of this architecture can see.
///
/// `ml` repeats this number; a test of the worker compares them.
pub fn smallest_side(arch: &str) -> u32 {
    match arch {
        _ if is_segformer(arch) => 29,
        _ if is_dinov2(arch) => 15,
        _ => 1,
    }
}

/// Pixels per cell of the deepest map of such a network, a side. `output_stride` is the model's, where it has a choice.
///
/// `ml` repeats these numbers; a test of the worker compares them.
pub fn feature_stride(arch: &str, output_stride: Option<i64>) -> u32 {
    match arch {
        "small" => 4,
        arch if is_segformer(arch) => 32,
        arch if is_dinov2(arch) => 14,
        _ => output_stride.and_then(|stride| stride.try_into().ok()).unwrap_or(8),
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
        _ if is_segformer(arch) || is_dinov2(arch) => {
            Preprocessing { channels: "rgb", mean: [123.675, 116.28, 103.53], scale: [58.395, 57.12, 57.375] }
        }
        _ => return None,
    })
}
