//! The names under which programs save SegFormers: a table for each convention.
//!
//! Our own names are those of NVIDIA's released code.
use super::Stored::{As, Both, FirstThird, LastThirds, Reversed};
use super::{BACKBONE, Convention};

/// Our own, which are those of the released code: nothing to say.
pub const RELEASED: Convention =
    Convention { name: "NVIDIA, DAFormer and MIC", backbone: BACKBONE, encoder: &[], head: &[] };

/// Those of files that `transformers` writes and every version of it reads.
pub const TRANSFORMERS: Convention = Convention {
    name: "transformers",
    backbone: "segformer.encoder.",
    encoder: &[
        ("patch_embed{i}.proj.{l}", As("patch_embeddings.{s}.proj.{l}")),
        ("patch_embed{i}.norm.{l}", As("patch_embeddings.{s}.layer_norm.{l}")),
        ("block{i}.{b}.norm1.{l}", As("block.{s}.{b}.layer_norm_1.{l}")),
        ("block{i}.{b}.attn.q.{l}", As("block.{s}.{b}.attention.self.query.{l}")),
        (
            "block{i}.{b}.attn.kv.{l}",
            Both("block.{s}.{b}.attention.self.key.{l}", "block.{s}.{b}.attention.self.value.{l}"),
        ),
        ("block{i}.{b}.attn.sr.{l}", As("block.{s}.{b}.attention.self.sr.{l}")),
        ("block{i}.{b}.attn.norm.{l}", As("block.{s}.{b}.attention.self.layer_norm.{l}")),
        ("block{i}.{b}.attn.proj.{l}", As("block.{s}.{b}.attention.output.dense.{l}")),
        ("block{i}.{b}.norm2.{l}", As("block.{s}.{b}.layer_norm_2.{l}")),
        ("block{i}.{b}.mlp.fc1.{l}", As("block.{s}.{b}.mlp.dense1.{l}")),
        ("block{i}.{b}.mlp.dwconv.dwconv.{l}", As("block.{s}.{b}.mlp.dwconv.dwconv.{l}")),
        ("block{i}.{b}.mlp.fc2.{l}", As("block.{s}.{b}.mlp.dense2.{l}")),
        ("norm{i}.{l}", As("layer_norm.{s}.{l}")),
    ],
    head: &[
        ("linear_c{i}.proj.{l}", As("linear_c.{s}.proj.{l}")),
        ("linear_fuse.conv.{l}", As("linear_fuse.{l}")),
        ("linear_fuse.bn.{l}", As("batch_norm.{l}")),
        ("linear_pred.{l}", As("classifier.{l}")),
    ],
};

/// All of them, our own first.
pub const ALL: [Convention; 5] = [
    RELEASED,
    Convention {
        name: "DAFormer's copy of SegFormer",
        backbone: BACKBONE,
        encoder: &[],
        head: &[
            ("linear_c{i}.proj.{l}", As("linear_c.{s}.proj.{l}")),
            ("linear_fuse.conv.{l}", Reversed("linear_fuse.conv.{l}")),
            ("linear_fuse.bn.{l}", As("linear_fuse.bn.{l}")),
            ("linear_pred.{l}", As("linear_pred.{l}")),
        ],
    },
    TRANSFORMERS,
    Convention {
        name: "transformers 5 in memory",
        backbone: "segformer.",
        encoder: &[
            ("patch_embed{i}.proj.{l}", As("stages.{s}.patch_embeddings.proj.{l}")),
            ("patch_embed{i}.norm.{l}", As("stages.{s}.patch_embeddings.layer_norm.{l}")),
            ("block{i}.{b}.norm1.{l}", As("stages.{s}.blocks.{b}.layernorm_before.{l}")),
            ("block{i}.{b}.attn.q.{l}", As("stages.{s}.blocks.{b}.attention.q_proj.{l}")),
            (
                "block{i}.{b}.attn.kv.{l}",
                Both("stages.{s}.blocks.{b}.attention.k_proj.{l}", "stages.{s}.blocks.{b}.attention.v_proj.{l}"),
            ),
            (
                "block{i}.{b}.attn.sr.{l}",
                As("stages.{s}.blocks.{b}.attention.sequence_reduction.sequence_reduction.{l}"),
            ),
            ("block{i}.{b}.attn.norm.{l}", As("stages.{s}.blocks.{b}.attention.sequence_reduction.layer_norm.{l}")),
            ("block{i}.{b}.attn.proj.{l}", As("stages.{s}.blocks.{b}.attention.o_proj.{l}")),
            ("block{i}.{b}.norm2.{l}", As("stages.{s}.blocks.{b}.layernorm_after.{l}")),
            ("block{i}.{b}.mlp.fc1.{l}", As("stages.{s}.blocks.{b}.mlp.fc1.{l}")),
            ("block{i}.{b}.mlp.dwconv.dwconv.{l}", As("stages.{s}.blocks.{b}.mlp.dwconv.dwconv.{l}")),
            ("block{i}.{b}.mlp.fc2.{l}", As("stages.{s}.blocks.{b}.mlp.fc2.{l}")),
            ("norm{i}.{l}", As("stages.{s}.layer_norm.{l}")),
        ],
        head: &[
            ("linear_c{i}.proj.{l}", As("linear_projections.{s}.proj.{l}")),
            ("linear_fuse.conv.{l}", As("linear_fuse.{l}")),
            ("linear_fuse.bn.{l}", As("batch_norm.{l}")),
            ("linear_pred.{l}", As("classifier.{l}")),
        ],
    },
    Convention {
        name: "mmsegmentation",
        backbone: BACKBONE,
        encoder: &[
            ("patch_embed{i}.proj.{l}", As("layers.{s}.0.projection.{l}")),
            ("patch_embed{i}.norm.{l}", As("layers.{s}.0.norm.{l}")),
            ("block{i}.{b}.norm1.{l}", As("layers.{s}.1.{b}.norm1.{l}")),
            ("block{i}.{b}.attn.q.{l}", FirstThird("layers.{s}.1.{b}.attn.attn.in_proj_{l}")),
            ("block{i}.{b}.attn.kv.{l}", LastThirds("layers.{s}.1.{b}.attn.attn.in_proj_{l}")),
            ("block{i}.{b}.attn.sr.{l}", As("layers.{s}.1.{b}.attn.sr.{l}")),
            ("block{i}.{b}.attn.norm.{l}", As("layers.{s}.1.{b}.attn.norm.{l}")),
            ("block{i}.{b}.attn.proj.{l}", As("layers.{s}.1.{b}.attn.attn.out_proj.{l}")),
            ("block{i}.{b}.norm2.{l}", As("layers.{s}.1.{b}.norm2.{l}")),
            ("block{i}.{b}.mlp.fc1.{l}", As("layers.{s}.1.{b}.ffn.layers.0.{l}")),
            ("block{i}.{b}.mlp.dwconv.dwconv.{l}", As("layers.{s}.1.{b}.ffn.layers.1.{l}")),
            ("block{i}.{b}.mlp.fc2.{l}", As("layers.{s}.1.{b}.ffn.layers.4.{l}")),
            ("norm{i}.{l}", As("layers.{s}.2.{l}")),
        ],
        head: &[],
    },
];
