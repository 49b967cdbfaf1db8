//! The names under which programs save SegFormers: a table for each convention.
//!
//! Our own names are those of NVIDIA's released code. A convention says for each of our tensors which tensor of a file it is,
//! or which part of one, or which two of them stacked. Knows names and shapes, no network and no file.
use std::collections::{BTreeMap, HashMap, HashSet};

use tch::Tensor;

use super::super::mit::Size;

/// What is before our names of the encoder's tensors, and before those of the head's.
pub(super) const BACKBONE: &str = "backbone.";
pub(super) const HEAD: &str = "decode_head.";

/// How much of a network a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Encoder and head.
    Whole,
    /// The encoder, with nothing before its names.
    Encoder,
}

/// A program's names.
pub(super) struct Convention {
    /// After "the names of".
    pub name: &'static str,
    /// Before the encoder's names in a file of a whole network.
    backbone: &'static str,
    /// Our names → the program's; empty if they are ours. `{i}` is the stage from 1, `{s}` from 0, `{b}` the block in it from
    /// 0, `{l}` the rest: `weight`, `bias`, a statistic.
    encoder: &'static [(&'static str, Stored)],
    /// The same for heads, without what is before them; empty if they are ours.
    head: &'static [(&'static str, Stored)],
}

/// Where one of our tensors is in a file.
#[derive(Clone, Copy)]
enum Stored<T = &'static str> {
    /// A tensor; for a linear layer it may be a 1×1 convolution.
    As(T),
    /// Two tensors, the rows of the first before those of the second.
    Both(T, T),
    /// The first third of its rows.
    FirstThird(T),
    /// The other rows.
    LastThirds(T),
    /// A tensor whose inputs are those of the four stages in the opposite order.
    Reversed(T),
}

use Stored::{As, Both, FirstThird, LastThirds, Reversed};

/// Our own, which are those of the released code: nothing to say.
pub(super) const RELEASED: Convention =
    Convention { name: "NVIDIA, DAFormer and MIC", backbone: BACKBONE, encoder: &[], head: &[] };

/// All of them, our own first.
pub(super) const ALL: [Convention; 5] = [
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
    Convention {
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
    },
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

/// What a pattern of a table found in a name.
#[derive(Clone, Copy)]
struct Place<'k> {
    stage: usize,
    block: usize,
    leaf: &'k str,
}

impl<'k> Place<'k> {
    fn of(key: &'k str, pattern: &str) -> Option<Place<'k>> {
        let (mut stage, mut block, mut rest) = (0, 0, key);
        for segment in pattern.split('.') {
            if segment == "{l}" {
                return Some(Place { stage, block, leaf: rest });
            }
            let (first, after) = rest.split_once('.')?;
            match (segment, segment.strip_suffix("{i}")) {
                ("{s}", _) => stage = first.parse().ok()?,
                ("{b}", _) => block = first.parse().ok()?,
                (_, Some(literal)) => stage = first.strip_prefix(literal)?.parse::<usize>().ok()?.checked_sub(1)?,
                (literal, None) if literal == first => {}
                _ => return None,
            }
            rest = after;
        }
        None
    }

    fn fill(&self, pattern: &str) -> String {
        let Place { stage, block, leaf } = self;
        pattern.replace("{s}", &stage.to_string()).replace("{b}", &block.to_string()).replace("{l}", leaf)
    }
}

impl<T> Stored<T> {
    fn map<U>(self, change: impl Fn(T) -> U) -> Stored<U> {
        match self {
            As(name) => As(change(name)),
            Both(first, second) => Both(change(first), change(second)),
            FirstThird(name) => FirstThird(change(name)),
            LastThirds(name) => LastThirds(change(name)),
            Reversed(name) => Reversed(change(name)),
        }
    }

    fn names(self) -> Vec<T> {
        match self {
            As(name) | FirstThird(name) | LastThirds(name) | Reversed(name) => vec![name],
            Both(first, second) => vec![first, second],
        }
    }
}

impl Stored<&Tensor> {
    /// Our tensor. One that can't be cut or joined stays as it is; its shape tells what is wrong.
    fn tensor(self, shape: &[i64]) -> Tensor {
        match self {
            As(tensor) => {
                let size = tensor.size();
                let is_pointwise = size.len() == shape.len() + 2 && size[shape.len()..] == [1, 1];
                if is_pointwise { tensor.reshape(&size[..shape.len()]) } else { tensor.shallow_clone() }
            }
            Both(first, second) => {
                let fit = first.dim() > 0 && second.dim() > 0 && first.size()[1..] == second.size()[1..];
                if fit && first.kind() == second.kind() {
                    Tensor::cat(&[first, second], 0)
                } else {
                    first.shallow_clone()
                }
            }
            FirstThird(tensor) => match tensor.size().first() {
                Some(rows) => tensor.narrow(0, 0, rows / 3),
                None => tensor.shallow_clone(),
            },
            LastThirds(tensor) => match tensor.size().first() {
                Some(rows) => tensor.narrow(0, rows / 3, rows - rows / 3),
                None => tensor.shallow_clone(),
            },
            Reversed(tensor) => match tensor.size()[..] {
                [_, inputs, ..] if inputs % 4 == 0 => {
                    let mut parts = tensor.split(inputs / 4, 1);
                    parts.reverse();
                    Tensor::cat(&parts, 1)
                }
                _ => tensor.shallow_clone(),
            },
        }
    }
}

impl Convention {
    /// Where our tensor of this name is; `None` if the program's networks don't have it.
    fn stored(&self, own: &str, extent: Extent) -> Option<Stored<String>> {
        let (part, rows) = match own.strip_prefix(BACKBONE) {
            Some(part) => (part, self.encoder),
            None => (own.strip_prefix(HEAD)?, self.head),
        };
        let is_encoder = own.starts_with(BACKBONE);
        let before = match (extent, is_encoder) {
            (Extent::Whole, true) => self.backbone,
            (Extent::Whole, false) => HEAD,
            (Extent::Encoder, true) => "",
            (Extent::Encoder, false) => return None,
        };
        if rows.is_empty() {
            return Some(As(format!("{before}{part}")));
        }
        let (place, stored) = rows.iter().find_map(|(pattern, stored)| Some((Place::of(part, pattern)?, *stored)))?;
        Some(stored.map(|pattern| format!("{before}{}", place.fill(pattern))))
    }

    /// The names of these tensors of ours in a file, each once; `None` if the program's networks lack one.
    pub(super) fn names(&self, own: &[String], extent: Extent) -> Option<Vec<String>> {
        let is_meant = |key: &&String| extent == Extent::Whole || key.starts_with(BACKBONE);
        let (mut names, mut seen) = (Vec::new(), HashSet::new());
        for key in own.iter().filter(is_meant) {
            let of_one = self.stored(key, extent)?.names();
            names.extend(of_one.into_iter().filter(|name| seen.insert(name.clone())));
        }
        Some(names)
    }

    /// A file's tensors under our names; those that aren't ours keep theirs. `own`: our tensors with their shapes.
    pub(super) fn translated(
        &self,
        mut file: HashMap<String, Tensor>,
        own: &[(String, Tensor)],
        extent: Extent,
    ) -> HashMap<String, Tensor> {
        let (mut ours, mut used) = (HashMap::new(), HashSet::new());
        for (key, live) in own {
            let Some(stored) = self.stored(key, extent) else { continue };
            let names = stored.clone().names();
            if names.iter().all(|name| file.contains_key(name)) {
                ours.insert(key.clone(), stored.map(|name| &file[&name]).tensor(&live.size()));
                used.extend(names);
            }
        }
        file.retain(|name, _| !used.contains(name));
        ours.extend(file);
        ours
    }

    /// The size of the encoder that a file with tensors of these names and shapes holds, whatever is before its names.
    pub(super) fn size_in(&self, file: &BTreeMap<String, Vec<i64>>) -> Option<Size> {
        let shape = |own: &str| {
            let name = self.stored(&format!("{BACKBONE}{own}"), Extent::Encoder)?.names().swap_remove(0);
            let is_it = |found: &&String| {
                found.strip_suffix(name.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('.'))
            };
            file.keys().find(is_it).map(|found| &file[found])
        };
        let channels = *shape("patch_embed1.proj.weight")?.first()?;
        let depths = [1, 2, 3, 4].map(|stage| {
            (0..).take_while(|block| shape(&format!("block{stage}.{block}.norm1.weight")).is_some()).count()
        });
        Size::ALL.into_iter().find(|size| size.depths() == depths && size.channels()[0] == channels)
    }
}

#[cfg(test)]
mod tests;
