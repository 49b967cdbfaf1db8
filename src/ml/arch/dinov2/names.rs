//! The names under which programs save the transformers of DINOv2: a table for each convention.
//!
//! Our own names are those of the released code. Knows names and shapes, no network and no file.
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::super::names::Convention;
use super::super::names::Stored::{As, Three};
use super::super::vit::{Form, PATCH, Size};

/// Our own, which are those of the released code: nothing to say.
const RELEASED: Convention =
    Convention { name: "DINOv2's released code", backbone: "backbone.", encoder: &[], head: &[] };

/// Those of whole networks.
pub(super) static WHOLE: [Convention; 1] = [RELEASED];

/// Those of encoders, our own first. `transformers` has no network with one of our heads.
pub(super) static ENCODERS: [Convention; 3] = [
    RELEASED,
    Convention {
        name: "transformers",
        backbone: "dinov2.",
        encoder: &[
            ("cls_token", As("embeddings.cls_token")),
            ("pos_embed", As("embeddings.position_embeddings")),
            ("register_tokens", As("embeddings.register_tokens")),
            ("patch_embed.proj.{l}", As("embeddings.patch_embeddings.projection.{l}")),
            ("blocks.{b}.norm1.{l}", As("encoder.layer.{b}.norm1.{l}")),
            (
                "blocks.{b}.attn.qkv.{l}",
                Three(
                    "encoder.layer.{b}.attention.attention.query.{l}",
                    "encoder.layer.{b}.attention.attention.key.{l}",
                    "encoder.layer.{b}.attention.attention.value.{l}",
                ),
            ),
            ("blocks.{b}.attn.proj.{l}", As("encoder.layer.{b}.attention.output.dense.{l}")),
            ("blocks.{b}.ls1.gamma", As("encoder.layer.{b}.layer_scale1.lambda1")),
            ("blocks.{b}.norm2.{l}", As("encoder.layer.{b}.norm2.{l}")),
            ("blocks.{b}.mlp.{l}", As("encoder.layer.{b}.mlp.{l}")),
            ("blocks.{b}.ls2.gamma", As("encoder.layer.{b}.layer_scale2.lambda1")),
            ("norm.{l}", As("layernorm.{l}")),
        ],
        head: &[],
    },
    Convention {
        name: "transformers 5 in memory",
        backbone: "dinov2.",
        encoder: &[
            ("cls_token", As("embeddings.cls_token")),
            ("pos_embed", As("embeddings.position_embeddings")),
            ("register_tokens", As("embeddings.register_tokens")),
            ("patch_embed.proj.{l}", As("embeddings.patch_embeddings.projection.{l}")),
            ("blocks.{b}.norm1.{l}", As("encoder.layer.{b}.norm1.{l}")),
            (
                "blocks.{b}.attn.qkv.{l}",
                Three(
                    "encoder.layer.{b}.attention.q_proj.{l}",
                    "encoder.layer.{b}.attention.k_proj.{l}",
                    "encoder.layer.{b}.attention.v_proj.{l}",
                ),
            ),
            ("blocks.{b}.attn.proj.{l}", As("encoder.layer.{b}.attention.o_proj.{l}")),
            ("blocks.{b}.ls1.gamma", As("encoder.layer.{b}.layer_scale1.lambda1")),
            ("blocks.{b}.norm2.{l}", As("encoder.layer.{b}.norm2.{l}")),
            ("blocks.{b}.mlp.{l}", As("encoder.layer.{b}.mlp.{l}")),
            ("blocks.{b}.ls2.gamma", As("encoder.layer.{b}.layer_scale2.lambda1")),
            ("norm.{l}", As("layernorm.{l}")),
        ],
        head: &[],
    },
];

/// A vision transformer, as a file's names and shapes tell.
pub(super) struct Found {
    width: i64,
    blocks: usize,
    patch: i64,
    registers: bool,
}

impl Found {
    /// The transformer that a file with tensors of these names and shapes holds under the names of `program`, whatever is
    /// before them.
    pub(super) fn of(program: &Convention, file: &BTreeMap<String, Vec<i64>>) -> Option<Found> {
        let shape = |own: &str| program.shape_in(file, own);
        let [width, _, patch, _] = shape("patch_embed.proj.weight")?[..] else { return None };
        let blocks = (0..).take_while(|block| shape(&format!("blocks.{block}.norm1.weight")).is_some()).count();
        (blocks > 0).then(|| Found { width, blocks, patch, registers: shape("register_tokens").is_some() })
    }

    /// Which of ours it is; `None` if it is another.
    pub(super) fn form(&self) -> Option<Form> {
        let Found { width, blocks, patch, registers } = *self;
        let size = Size::ALL.into_iter().find(|size| (size.width(), size.depth()) == (width, blocks))?;
        (patch == PATCH).then_some(Form { size, registers })
    }
}

impl Display for Found {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self.form() {
            Some(form) => write!(f, "a {form}"),
            None => {
                let Found { width, blocks, patch, registers: _ } = self;
                write!(
                    f,
                    "a vision transformer of {blocks} blocks, {width} channels and patches of {patch} pixels a side"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
