//! The Mix Transformer (MiT), SegFormer's encoder (arXiv 2105.15203, section 3.1): four stages of attention on grids of a
//! 4th, 8th, 16th and 32nd of the image's sides, without position embedding.
//!
//! Follows `mix_transformer.py` of NVIDIA's released code, which DAFormer and MIC took over: ε of layer normalisation is 1e-6
//! for `norm1`, `norm2` and the stages' norms, and 1e-5 for those of the patch embeddings and after the sequence reduction.
//! Knows no head and no file.
//!
//! Keys below a prefix, stages counted from 1: `patch_embed{i}.{proj,norm}.*`,
//! `block{i}.{j}.{norm1,attn.{q,kv,sr,norm,proj},norm2,mlp.{fc1,dwconv.dwconv,fc2}}.*`, `norm{i}.*`.
use tch::Tensor;

use crate::draws::Draw;
use crate::layer::{Conv, DropPath, First, Geometry, LayerNorm, Linear, Scope, attention};
use crate::network::RateGroup;

/// The smallest side of an image, in pixels: of a smaller one the first stage has no key, as 8×8 of its cells make one.
pub const SMALLEST_SIDE: i64 = 29;

/// Pixels of the image per cell of the last stage's map, a side.
pub(crate) const FEATURE_STRIDE: i64 = 32;

/// The published sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// 3.3 million parameters, half the channels of the others.
    B0,
    /// 13 million.
    B1,
    /// 24 million.
    B2,
    /// 44 million.
    B3,
    /// 61 million.
    B4,
    /// 81 million: DAFormer's and MIC's.
    B5,
}

impl Size {
    /// All of them.
    pub const ALL: [Size; 6] = [Size::B0, Size::B1, Size::B2, Size::B3, Size::B4, Size::B5];

    /// Channels of each stage's map.
    pub(crate) fn channels(self) -> [i64; 4] {
        match self {
            Size::B0 => [32, 64, 160, 256],
            _ => [64, 128, 320, 512],
        }
    }

    /// Blocks of each stage.
    pub(crate) fn depths(self) -> [usize; 4] {
        match self {
            Size::B0 | Size::B1 => [2, 2, 2, 2],
            Size::B2 => [3, 4, 6, 3],
            Size::B3 => [3, 4, 18, 3],
            Size::B4 => [3, 8, 27, 3],
            Size::B5 => [3, 6, 40, 3],
        }
    }
}

const HEADS: [i64; 4] = [1, 2, 5, 8];
/// The sides of the squares of cells that share a key and a value.
const REDUCTIONS: [i64; 4] = [8, 4, 2, 1];
/// Channels inside a block's second half, as a multiple of its own.
const WIDENING: i64 = 4;
/// Of what comes in through an embedding or a sequence reduction.
const INNER_EPSILON: f64 = 1e-5;
/// Of blocks and stages.
const EPSILON: f64 = 1e-6;

/// Linear weights start as N(0, 0.02), which the released code cuts at ±2: none is that far.
const FIRST_LINEAR: First = First::NormalAndZero(0.02);

/// The encoder.
pub(crate) struct MixTransformer {
    stages: Vec<Stage>,
}

impl MixTransformer {
    /// Random weights. Block k of K has drop-path with the rate `drop_path` · k / (K − 1).
    pub(crate) fn new(scope: &mut Scope, prefix: &str, size: Size, drop_path: f64) -> MixTransformer {
        let (channels, depths) = (size.channels(), size.depths());
        let all: usize = depths.iter().sum();
        let rate = |block: usize| drop_path * block as f64 / (all - 1) as f64;
        let stage = |index: usize| {
            let before: usize = depths[..index].iter().sum();
            let rates: Vec<f64> = (before..before + depths[index]).map(rate).collect();
            let input = if index == 0 { 3 } else { channels[index - 1] };
            Stage::new(scope, prefix, index, [input, channels[index]], &rates)
        };
        MixTransformer { stages: (0..4).map(stage).collect() }
    }

    /// N×3×H×W → each stage's map N×d×h×w: h = ⌈H/4⌉, then half of it each time, rounded up.
    ///
    /// # Panics
    /// A side below [`SMALLEST_SIDE`].
    pub(crate) fn forward(&self, x: &Tensor, draw: Option<Draw>) -> Vec<Tensor> {
        let mut maps: Vec<Tensor> = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            let map = stage.forward(maps.last().unwrap_or(x), draw);
            maps.push(map);
        }
        maps
    }

    /// The drop-path rate of each block.
    #[cfg(test)]
    pub(crate) fn drop_paths(&self) -> Vec<f64> {
        self.stages.iter().flat_map(|stage| &stage.blocks).map(|block| block.drop_paths[0].rate()).collect()
    }
}

/// Cells of a grid as rows, N×(h·w)×d, and the grid's sides: the two forms of a map.
struct Tokens {
    rows: Tensor,
    sides: [i64; 2],
}

impl Tokens {
    fn of_map(map: &Tensor) -> Tokens {
        let [_, _, height, width] = map.size()[..] else { panic!("a map has four dimensions, not {map:?}") };
        Tokens { rows: map.flatten(2, 3).transpose(1, 2), sides: [height, width] }
    }

    /// N×d×h×w, without a copy: in memory the channels stay adjacent.
    fn map(&self) -> Tensor {
        let [height, width] = self.sides;
        let [images, _, channels] = self.rows.size()[..] else { panic!("rows have three dimensions") };
        self.rows.reshape([images, height, width, channels]).permute([0, 3, 1, 2])
    }

    fn with(&self, rows: Tensor) -> Tokens {
        Tokens { rows, sides: self.sides }
    }
}

/// Overlapping patches, blocks, a norm.
struct Stage {
    embed: Conv,
    embed_norm: LayerNorm,
    blocks: Vec<Block>,
    norm: LayerNorm,
}

impl Stage {
    /// `index` is from 0. `rates`: the drop-path rate of each block.
    fn new(scope: &mut Scope, prefix: &str, index: usize, channels: [i64; 2], rates: &[f64]) -> Stage {
        let (kernel, stride) = if index == 0 { (7, 4) } else { (3, 2) };
        let geometry = Geometry { kernel, stride, padding: kernel / 2, dilation: 1, groups: 1 };
        let own = index + 1;
        let output = channels[1];
        let patch = format!("{prefix}.patch_embed{own}");
        Stage {
            embed: conv(scope, &format!("{patch}.proj"), channels, geometry),
            embed_norm: norm(scope, &format!("{patch}.norm"), output, INNER_EPSILON),
            blocks: (0..)
                .zip(rates)
                .map(|(block, &rate)| Block::new(scope, &format!("{prefix}.block{own}.{block}"), index, output, rate))
                .collect(),
            norm: norm(scope, &format!("{prefix}.norm{own}"), output, EPSILON),
        }
    }

    fn forward(&self, x: &Tensor, draw: Option<Draw>) -> Tensor {
        let tokens = Tokens::of_map(&self.embed.forward(x));
        let tokens = tokens.with(self.embed_norm.forward(&tokens.rows));
        let tokens = self.blocks.iter().fold(tokens, |tokens, block| block.forward(&tokens, draw));
        tokens.with(self.norm.forward(&tokens.rows)).map()
    }
}

/// Attention and Mix-FFN, each added to what came in.
struct Block {
    drop_paths: [DropPath; 2],
    norm1: LayerNorm,
    attention: Attention,
    norm2: LayerNorm,
    ffn: MixFfn,
}

impl Block {
    fn new(scope: &mut Scope, prefix: &str, stage: usize, channels: i64, drop_path: f64) -> Block {
        Block {
            drop_paths: ["attn", "mlp"].map(|branch| DropPath::new(format!("{prefix}.{branch}"), drop_path)),
            norm1: norm(scope, &format!("{prefix}.norm1"), channels, EPSILON),
            attention: Attention::new(scope, &format!("{prefix}.attn"), stage, channels),
            norm2: norm(scope, &format!("{prefix}.norm2"), channels, EPSILON),
            ffn: MixFfn::new(scope, &format!("{prefix}.mlp"), channels),
        }
    }

    fn forward(&self, x: &Tokens, draw: Option<Draw>) -> Tokens {
        let attended = self.attention.forward(&x.with(self.norm1.forward(&x.rows)));
        let x = x.with(&x.rows + self.drop_paths[0].forward(attended, draw));
        let mixed = self.ffn.forward(&x.with(self.norm2.forward(&x.rows)));
        x.with(&x.rows + self.drop_paths[1].forward(mixed, draw))
    }
}

/// Multi-head attention whose keys and values come from a grid that is coarser by [`REDUCTIONS`].
struct Attention {
    heads: i64,
    query: Linear,
    key_value: Linear,
    reduction: Option<(Conv, LayerNorm)>,
    output: Linear,
}

impl Attention {
    fn new(scope: &mut Scope, prefix: &str, stage: usize, channels: i64) -> Attention {
        let side = REDUCTIONS[stage];
        let geometry = Geometry { kernel: side, stride: side, padding: 0, dilation: 1, groups: 1 };
        let query = linear(scope, &format!("{prefix}.q"), [channels, channels]);
        let key_value = linear(scope, &format!("{prefix}.kv"), [channels, 2 * channels]);
        let reduction = (side > 1).then(|| {
            let conv = conv(scope, &format!("{prefix}.sr"), [channels, channels], geometry);
            (conv, norm(scope, &format!("{prefix}.norm"), channels, INNER_EPSILON))
        });
        let output = linear(scope, &format!("{prefix}.proj"), [channels, channels]);
        Attention { heads: HEADS[stage], query, key_value, reduction, output }
    }

    fn forward(&self, x: &Tokens) -> Tensor {
        let [images, cells, channels] = x.rows.size()[..] else { panic!("rows have three dimensions") };
        let (heads, size) = (self.heads, channels / self.heads);
        let query = self.query.forward(&x.rows).view([images, cells, heads, size]).transpose(1, 2);
        let coarse = match &self.reduction {
            // Rows and columns that don't fill a square are left out, as by any convolution.
            Some((conv, norm)) => norm.forward(&Tokens::of_map(&conv.forward(&x.map())).rows),
            None => x.rows.shallow_clone(),
        };
        let pairs = self.key_value.forward(&coarse); // keys, then values
        let pairs = pairs.view([images, -1, 2, heads, size]).permute([2, 0, 3, 1, 4]);
        let (key, value) = (pairs.get(0), pairs.get(1));
        let scale = 1.0 / (size as f64).sqrt();
        let attended = attention(&query, &key, &value, scale);
        self.output.forward(&attended.transpose(1, 2).reshape([images, cells, channels]))
    }
}

/// Two linear layers with a depthwise 3×3 convolution in between, whose padding tells where the border is.
struct MixFfn {
    widen: Linear,
    depthwise: Conv,
    narrow: Linear,
}

impl MixFfn {
    fn new(scope: &mut Scope, prefix: &str, channels: i64) -> MixFfn {
        let wide = WIDENING * channels;
        MixFfn {
            widen: linear(scope, &format!("{prefix}.fc1"), [channels, wide]),
            depthwise: conv(
                scope,
                &format!("{prefix}.dwconv.dwconv"),
                [wide, wide],
                Geometry { groups: wide, ..Geometry::same(3, 1) },
            ),
            narrow: linear(scope, &format!("{prefix}.fc2"), [wide, channels]),
        }
    }

    fn forward(&self, x: &Tokens) -> Tensor {
        let wide = self.depthwise.forward(&x.with(self.widen.forward(&x.rows)).map());
        self.narrow.forward(&Tokens::of_map(&wide).rows.gelu("none"))
    }
}

/// Weights start as N(0, √(2 / (k² · outputs / groups))), biases as 0.
fn conv(scope: &mut Scope, prefix: &str, channels: [i64; 2], geometry: Geometry) -> Conv {
    let Geometry { kernel, groups, .. } = geometry;
    let fan_out = kernel * kernel * channels[1] / groups;
    let first = First::NormalAndZero((2.0 / fan_out as f64).sqrt());
    Conv::beginning(scope, prefix, channels, geometry, true, RateGroup::Body, first)
}

fn linear(scope: &mut Scope, prefix: &str, sizes: [i64; 2]) -> Linear {
    Linear::new(scope, prefix, sizes, RateGroup::Body, FIRST_LINEAR)
}

fn norm(scope: &mut Scope, prefix: &str, size: i64, epsilon: f64) -> LayerNorm {
    LayerNorm::new(scope, prefix, size, RateGroup::Body, epsilon)
}
