//! DINOv2's vision transformer, of `ml::arch::vit`. How deep and wide it is, and whether it has registers, its tensors say.
//!
//! Positions are learned on a grid of 37×37 cells; their interpolation to another grid is part of the graph, as only a run knows
//! the grid.

use crate::Error;
use crate::graph::{Graph, Value, int};
use crate::layer::{Geometry, Padding, attention, conv, gelu, layer_norm, linear, map_of, rows_of, size_of, trained};
use crate::proto::DataType;
use crate::resample::{antialiased_matrix, cubic_matrix};
use crate::weights::Weights;

/// The side of a patch, in pixels.
pub(crate) const PATCH: i64 = 14;

const HEAD_WIDTH: i64 = 64;
const EPSILON: f32 = 1e-6;
/// The sides of the grid of the learned positions.
const GRID: i64 = 37;

/// N×3×H×W, sides multiples of [`PATCH`] → the normalised patch tokens after each of the last `layers` blocks, as maps
/// N×d×h×w with h = H/14, the deepest last.
pub(crate) fn maps(
    g: &mut Graph,
    weights: &Weights,
    prefix: &str,
    image: &Value,
    layers: usize,
) -> Result<Vec<Value>, Error> {
    let geometry = Geometry { stride: PATCH, padding: Padding::None, ..Geometry::SAME };
    let patches =
        g.within("patch_embed", |g| conv(g, weights, &format!("{prefix}.patch_embed.proj"), image, geometry))?;
    let size = size_of(g, &patches);
    let (mut tokens, before) = g.within("tokens", |g| tokens(g, weights, prefix, &patches, &size))?;
    let blocks = format!("{prefix}.blocks");
    let depth = weights.count(&blocks);
    let mut maps = Vec::new();
    for index in 0..depth {
        let name = format!("{blocks}.{index}");
        tokens = g.within(&format!("block{index}"), |g| block(g, weights, &name, &tokens))?;
        if index + layers >= depth {
            let (from, to) = (g.ints(&[before]), g.ints(&[i64::MAX]));
            let patches = g.slice(&tokens, &from, &to, 1);
            let patches = layer_norm(g, weights, &format!("{prefix}.norm"), EPSILON, &patches)?;
            maps.push(map_of(g, &patches, &size));
        }
    }
    Ok(maps)
}

/// Class token, registers and patches with their positions, N×t×d, and how many are before the patches.
fn tokens(
    g: &mut Graph,
    weights: &Weights,
    prefix: &str,
    patches: &Value,
    size: &Value,
) -> Result<(Value, i64), Error> {
    let class = weights.take(&format!("{prefix}.cls_token"))?.values();
    let learned = weights.take(&format!("{prefix}.pos_embed"))?;
    let (width, learned) = (class.len(), learned.values());
    let of_grid = learned.get(width..).filter(|of_grid| of_grid.len() == (GRID * GRID) as usize * width);
    let of_grid =
        of_grid.ok_or_else(|| Error::Shape { name: format!("{prefix}.pos_embed"), found: vec![learned.len()] })?;
    // Where the class token is doesn't depend on the image.
    let class: Vec<f32> = class.iter().zip(&learned).map(|(token, position)| token + position).collect();
    let class = g.numbers(&format!("{prefix}.cls_token"), &[1, 1, width], &class);
    let registers = format!("{prefix}.register_tokens");
    let has_registers = weights.has(&registers);
    let positions = positions(g, &format!("{prefix}.pos_embed"), of_grid, size, has_registers);

    let rows = rows_of(g, patches);
    let positions = g.cast(&positions, g.precision.data_type());
    let rows = g.add(&rows, &positions);
    let mut parts = vec![class];
    let mut before = 1;
    if has_registers {
        before += *weights.shape(&registers)?.get(1).unwrap_or(&0) as i64;
        parts.push(trained(g, weights, &registers)?);
    }
    let (images, one) = (g.side(patches, 0), g.ints(&[1, 1]));
    let of_each = g.concat(&[&images, &one], 0);
    let mut parts: Vec<Value> = parts.iter().map(|part| g.op("Expand", &[part, &of_each], vec![])).collect();
    parts.push(rows);
    Ok((g.concat(&parts.iter().collect::<Vec<_>>(), 1), before))
}

/// The positions of a grid's cells, 1×(h·w)×d, in single precision: bicubic, with antialiasing where there are registers.
fn positions(g: &mut Graph, name: &str, learned: &[f32], size: &Value, antialiased: bool) -> Value {
    let width = learned.len() / (GRID * GRID) as usize;
    let bytes: Vec<u8> = learned.iter().flat_map(|value| value.to_le_bytes()).collect();
    let learned = g.tensor(name, DataType::Float, &[GRID as usize, GRID as usize * width], bytes.into());
    let [rows, columns] = [0, 1].map(|side| {
        let side = g.ints(&[side]);
        let side = g.gather(size, &side, 0);
        if antialiased { antialiased_matrix(g, GRID, &side) } else { cubic_matrix(g, GRID, &side) }
    });
    let lines = g.matmul(&rows, &learned); // [h, 37·d]
    let lines = g.reshape(&lines, &[-1, GRID, width as i64]);
    let cells = g.matmul(&columns, &lines); // [h, w, d]
    g.reshape(&cells, &[1, -1, width as i64])
}

/// Attention and two linear layers, each scaled per channel and added to what came in.
fn block(g: &mut Graph, weights: &Weights, name: &str, x: &Value) -> Result<Value, Error> {
    let normed = layer_norm(g, weights, &format!("{name}.norm1"), EPSILON, x)?;
    let attended = g.within("attn", |g| attend(g, weights, &format!("{name}.attn"), &normed))?;
    let scale = trained(g, weights, &format!("{name}.ls1.gamma"))?;
    let scaled = g.mul(&attended, &scale);
    let x = g.add(x, &scaled);
    let mixed = layer_norm(g, weights, &format!("{name}.norm2"), EPSILON, &x)?;
    let mixed = g.within("mlp", |g| {
        let wide = linear(g, weights, &format!("{name}.mlp.fc1"), &mixed)?;
        let wide = gelu(g, &wide);
        linear(g, weights, &format!("{name}.mlp.fc2"), &wide)
    })?;
    let scale = trained(g, weights, &format!("{name}.ls2.gamma"))?;
    let scaled = g.mul(&mixed, &scale);
    Ok(g.add(&x, &scaled))
}

fn attend(g: &mut Graph, weights: &Weights, name: &str, x: &Value) -> Result<Value, Error> {
    let width = weights.shape(&format!("{name}.proj.bias"))?.iter().product::<usize>() as i64;
    let all = linear(g, weights, &format!("{name}.qkv"), x)?;
    let sizes = g.ints(&[width; 3]);
    let all = g.split("Split", &[&all, &sizes], vec![int("axis", -1)], 3);
    let attended = attention(g, [&all[0], &all[1], &all[2]], width / HEAD_WIDTH, width);
    linear(g, weights, &format!("{name}.proj"), &attended)
}
