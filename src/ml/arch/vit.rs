//! The Vision Transformer of DINOv2 (arXiv 2304.07193): patches of 14×14 pixels and a class token, learned positions, blocks of
//! attention on all of them; in a second form four more tokens, registers (arXiv 2309.16588).
//!
//! Follows `vision_transformer.py` of the released code: ε of layer normalisation is 1e-6, each branch of a block is scaled per
//! channel, GELU is exact. Positions are learned on the grid of an image of 518×518 pixels, 37×37, and interpolated to
//! other grids as `transformers` does: bicubic, to the size of the grid, with anti-aliasing where there are registers. So
//! does the released code where there are registers; without them it gives the interpolation a factor that is too large by
//! 0.1 cells of the new grid, a remedy for an older PyTorch. Knows no head and no file.
//!
//! Keys below a prefix: `cls_token`, `pos_embed`, `register_tokens`, `patch_embed.proj.*`,
//! `blocks.{i}.{norm1,attn.{qkv,proj},ls1.gamma,norm2,mlp.{fc1,fc2},ls2.gamma}.*`, `norm.*`. The released code's `mask_token`,
//! which only its pretraining uses, is left out.
use std::fmt::{self, Display, Formatter};

use tch::Tensor;

use crate::draws::Draw;
use crate::layer::{Conv, DropPath, First, Geometry, LayerNorm, Linear, Scope, as_kind, attention};
use crate::network::RateGroup;

/// The side of a patch, in pixels.
pub const PATCH: i64 = 14;

/// The published sizes, but for the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// 22 million parameters.
    S,
    /// 87 million.
    B,
    /// 304 million.
    L,
}

impl Size {
    /// All of them.
    pub const ALL: [Size; 3] = [Size::S, Size::B, Size::L];

    /// Channels of a token.
    pub(crate) fn width(self) -> i64 {
        match self {
            Size::S => 384,
            Size::B => 768,
            Size::L => 1024,
        }
    }

    /// Number of blocks.
    pub(crate) fn depth(self) -> usize {
        match self {
            Size::S | Size::B => 12,
            Size::L => 24,
        }
    }
}

/// Which of the published transformers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Its size.
    pub size: Size,
    /// Whether it has registers.
    pub registers: bool,
}

impl Display for Form {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        write!(f, "ViT-{:?}/14 {} registers", self.size, if self.registers { "with" } else { "without" })
    }
}

/// Channels of each head of attention.
const HEAD_WIDTH: i64 = 64;
/// Channels inside a block's second half, as a multiple of its own.
const WIDENING: i64 = 4;
const EPSILON: f64 = 1e-6;
/// The sides of the grid of the learned positions: of an image of 518 pixels a side.
const GRID: i64 = 37;
const REGISTERS: i64 = 4;
/// What a branch is scaled by at first: `layerscale` of the released code's pretraining.
const FIRST_SCALE: f64 = 1e-5;

/// Linear weights and positions start as N(0, 0.02), the former cut at ±2 in the released code: none is that far.
const DEVIATION: f64 = 0.02;
/// Of the class token and the registers.
const TOKEN_DEVIATION: f64 = 1e-6;

/// The transformer.
pub(crate) struct VisionTransformer {
    class: Tensor,
    positions: Tensor,
    registers: Option<Tensor>,
    embed: Conv,
    blocks: Vec<Block>,
    norm: LayerNorm,
}

impl VisionTransformer {
    /// Random weights. Block k of K has drop-path with the rate `drop_path` · k / (K − 1).
    pub(crate) fn new(scope: &mut Scope, prefix: &str, form: Form, drop_path: f64) -> VisionTransformer {
        let (width, depth) = (form.size.width(), form.size.depth());
        let mut tokens = |name: &str, count: i64, deviation: f64| {
            scope.normal(format!("{prefix}.{name}"), &[1, count, width], deviation, RateGroup::Body)
        };
        let class = tokens("cls_token", 1, TOKEN_DEVIATION);
        let positions = tokens("pos_embed", 1 + GRID * GRID, DEVIATION);
        let registers = form.registers.then(|| tokens("register_tokens", REGISTERS, TOKEN_DEVIATION));
        let geometry = Geometry { kernel: PATCH, stride: PATCH, padding: 0, dilation: 1, groups: 1 };
        let embed =
            Conv::new(scope, &format!("{prefix}.patch_embed.proj"), [3, width], geometry, true, RateGroup::Body);
        let mut block = |index: usize| {
            let rate = drop_path * index as f64 / (depth - 1) as f64;
            Block::new(scope, &format!("{prefix}.blocks.{index}"), width, rate)
        };
        let blocks = (0..depth).map(&mut block).collect();
        let norm = norm(scope, &format!("{prefix}.norm"), width);
        VisionTransformer { class, positions, registers, embed, blocks, norm }
    }

    /// N×3×H×W, sides multiples of [`PATCH`] → the normalised patch tokens after each of the last `layers` blocks, as maps
    /// N×d×h×w with h = H/14, the deepest last.
    pub(crate) fn forward(&self, x: &Tensor, draw: Option<Draw>, layers: usize) -> Vec<Tensor> {
        let patches = self.embed.forward(x);
        let [images, width, rows, columns] = patches.size()[..] else { panic!("a map has four dimensions") };
        let [class_position, positions] = self.positions_on([rows, columns]);
        let kind = patches.kind();
        let of_each = |token: &Tensor| as_kind(token, kind).expand([images, -1, -1], false);
        let mut tokens = vec![of_each(&(&self.class + class_position))];
        tokens.extend(self.registers.as_ref().map(of_each));
        let before: i64 = tokens.iter().map(|tokens| tokens.size()[1]).sum();
        tokens.push(patches.flatten(2, 3).transpose(1, 2) + as_kind(&positions, kind));
        let mut tokens = Tensor::cat(&tokens, 1);
        let mut maps = Vec::with_capacity(layers);
        let first = self.blocks.len() - layers;
        for (index, block) in self.blocks.iter().enumerate() {
            tokens = block.forward(&tokens, draw);
            if index >= first {
                let patches = self.norm.forward(&tokens.narrow(1, before, rows * columns));
                maps.push(patches.reshape([images, rows, columns, width]).permute([0, 3, 1, 2]));
            }
        }
        maps
    }

    /// The position of the class token, 1×1×d, and those of a grid's cells, 1×(h·w)×d, in the precision of the weights.
    fn positions_on(&self, [rows, columns]: [i64; 2]) -> [Tensor; 2] {
        let class = self.positions.narrow(1, 0, 1);
        let learned = self.positions.narrow(1, 1, GRID * GRID);
        if [rows, columns] == [GRID; 2] {
            return [class, learned];
        }
        let width = learned.size()[2];
        let map = learned.reshape([1, GRID, GRID, width]).permute([0, 3, 1, 2]);
        let map = if self.registers.is_some() {
            map.internal_upsample_bicubic2d_aa([rows, columns], false, None, None)
        } else {
            map.upsample_bicubic2d([rows, columns], false, None, None)
        };
        [class, map.permute([0, 2, 3, 1]).reshape([1, rows * columns, width])]
    }

    /// The drop-path rate of each block.
    #[cfg(test)]
    pub(crate) fn drop_paths(&self) -> Vec<f64> {
        self.blocks.iter().map(|block| block.drop_paths[0].rate()).collect()
    }
}

/// Attention and two linear layers, each scaled per channel and added to what came in.
struct Block {
    drop_paths: [DropPath; 2],
    norm1: LayerNorm,
    attention: Attention,
    scale1: Tensor,
    norm2: LayerNorm,
    widen: Linear,
    narrow: Linear,
    scale2: Tensor,
}

impl Block {
    fn new(scope: &mut Scope, prefix: &str, width: i64, drop_path: f64) -> Block {
        let named = |name: &str| format!("{prefix}.{name}");
        let scale = |scope: &mut Scope, name| scope.constant(named(name), &[width], FIRST_SCALE, RateGroup::Body);
        Block {
            drop_paths: ["attn", "mlp"].map(|branch| DropPath::new(named(branch), drop_path)),
            norm1: norm(scope, &named("norm1"), width),
            attention: Attention::new(scope, &named("attn"), width),
            scale1: scale(scope, "ls1.gamma"),
            norm2: norm(scope, &named("norm2"), width),
            widen: linear(scope, &named("mlp.fc1"), [width, WIDENING * width]),
            narrow: linear(scope, &named("mlp.fc2"), [WIDENING * width, width]),
            scale2: scale(scope, "ls2.gamma"),
        }
    }

    /// Tokens N×t×d → the same.
    fn forward(&self, x: &Tensor, draw: Option<Draw>) -> Tensor {
        let [attention_path, mlp_path] = &self.drop_paths;
        let scaled = |branch: Tensor, scale: &Tensor| {
            let kind = branch.kind();
            branch * as_kind(scale, kind)
        };
        let attended = scaled(self.attention.forward(&self.norm1.forward(x)), &self.scale1);
        let x = x + attention_path.forward(attended, draw);
        let mixed = self.narrow.forward(&self.widen.forward(&self.norm2.forward(&x)).gelu("none"));
        let mixed = mlp_path.forward(scaled(mixed, &self.scale2), draw);
        x + mixed
    }
}

/// Multi-head attention among all tokens.
struct Attention {
    heads: i64,
    /// Query, key and value in one.
    all: Linear,
    output: Linear,
}

impl Attention {
    fn new(scope: &mut Scope, prefix: &str, width: i64) -> Attention {
        Attention {
            heads: width / HEAD_WIDTH,
            all: linear(scope, &format!("{prefix}.qkv"), [width, 3 * width]),
            output: linear(scope, &format!("{prefix}.proj"), [width, width]),
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let [images, tokens, width] = x.size()[..] else { panic!("tokens have three dimensions") };
        let all = self.all.forward(x).view([images, tokens, 3, self.heads, HEAD_WIDTH]).permute([2, 0, 3, 1, 4]);
        let (query, key, value) = (all.get(0), all.get(1), all.get(2));
        let scale = 1.0 / (HEAD_WIDTH as f64).sqrt();
        let attended = attention(&query, &key, &value, scale);
        self.output.forward(&attended.transpose(1, 2).reshape([images, tokens, width]))
    }
}

fn linear(scope: &mut Scope, prefix: &str, sizes: [i64; 2]) -> Linear {
    Linear::new(scope, prefix, sizes, RateGroup::Body, First::NormalAndZero(DEVIATION))
}

fn norm(scope: &mut Scope, prefix: &str, width: i64) -> LayerNorm {
    LayerNorm::new(scope, prefix, width, RateGroup::Body, EPSILON)
}
