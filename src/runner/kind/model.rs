//! The keys of `[models.…]`, one table an architecture.
//!
//! Knows no network: `ml` builds them by the same names.

use super::{KeySpec, Takes, Variant};

const MULTI_LEVEL: KeySpec = KeySpec::new("multi_level", Takes::Flag, "an auxiliary head beside the main one")
    .or_flag(true)
    .origin("AdvEnt, config.py: TRAIN.MULTI_LEVEL");

const INIT: KeySpec =
    KeySpec::new("init", Takes::Path, "parameters to start from, a `.safetensors` file; default: fresh ones")
        .optional();

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
];
