//! The names under which programs save the transformers of DINOv2: a table for each convention.
//!
//! Our own names are those of the released code.
use super::Stored::{As, Three};
use super::{Convention, Stored};

/// Our own, which are those of the released code: nothing to say.
pub const RELEASED: Convention =
    Convention { name: "DINOv2's released code", backbone: "backbone.", encoder: &[], head: &[] };

/// Those of files that `transformers` writes and every version of it reads. It has no network with one of our heads, whose names
/// are ours.
pub const TRANSFORMERS: Convention = Convention {
    name: "transformers",
    backbone: "dinov2.",
    encoder: &const {
        rows(
            Three(
                "encoder.layer.{b}.attention.attention.query.{l}",
                "encoder.layer.{b}.attention.attention.key.{l}",
                "encoder.layer.{b}.attention.attention.value.{l}",
            ),
            As("encoder.layer.{b}.attention.output.dense.{l}"),
        )
    },
    head: &[],
};

/// The names that `transformers` has in files and in memory, with those of attention, which differ.
const fn rows(qkv: Stored, proj: Stored) -> [(&'static str, Stored); 12] {
    [
        ("cls_token", As("embeddings.cls_token")),
        ("pos_embed", As("embeddings.position_embeddings")),
        ("register_tokens", As("embeddings.register_tokens")),
        ("patch_embed.proj.{l}", As("embeddings.patch_embeddings.projection.{l}")),
        ("blocks.{b}.norm1.{l}", As("encoder.layer.{b}.norm1.{l}")),
        ("blocks.{b}.attn.qkv.{l}", qkv),
        ("blocks.{b}.attn.proj.{l}", proj),
        ("blocks.{b}.ls1.gamma", As("encoder.layer.{b}.layer_scale1.lambda1")),
        ("blocks.{b}.norm2.{l}", As("encoder.layer.{b}.norm2.{l}")),
        ("blocks.{b}.mlp.{l}", As("encoder.layer.{b}.mlp.{l}")),
        ("blocks.{b}.ls2.gamma", As("encoder.layer.{b}.layer_scale2.lambda1")),
        ("norm.{l}", As("layernorm.{l}")),
    ]
}

/// Those of whole networks.
pub static WHOLE: [Convention; 1] = [RELEASED];

/// Those of encoders, our own first. `transformers` has no network with one of our heads.
pub static ENCODERS: [Convention; 3] = [
    RELEASED,
    TRANSFORMERS,
    Convention {
        name: "transformers 5 in memory",
        backbone: "dinov2.",
        encoder: &const {
            rows(
                Three(
                    "encoder.layer.{b}.attention.q_proj.{l}",
                    "encoder.layer.{b}.attention.k_proj.{l}",
                    "encoder.layer.{b}.attention.v_proj.{l}",
                ),
                As("encoder.layer.{b}.attention.o_proj.{l}"),
            )
        },
        head: &[],
    },
];
