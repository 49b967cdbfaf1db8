//! SegFormer's encoder, the Mix Transformer, of `ml::arch::mit`. How deep and wide it is, its tensors say.

use crate::Error;
use crate::graph::{Graph, Value, int};
use crate::layer::{Geometry, Padding, attention, conv, gelu, layer_norm, linear, map_of, rows_of, size_of};
use crate::weights::Weights;

const HEADS: [i64; 4] = [1, 2, 5, 8];
/// Of what comes in through an embedding or a sequence reduction.
const INNER_EPSILON: f32 = 1e-5;
/// Of blocks and stages.
const EPSILON: f32 = 1e-6;

/// N×3×H×W → each stage's map N×d×h×w: h = ⌈H/4⌉, then half of it each time, rounded up.
pub(crate) fn maps(g: &mut Graph, weights: &Weights, prefix: &str, image: &Value) -> Result<Vec<Value>, Error> {
    let mut maps: Vec<Value> = Vec::new();
    for stage in 1..=4 {
        let x = maps.last().unwrap_or(image).clone();
        maps.push(g.within(&format!("stage{stage}"), |g| of_stage(g, weights, prefix, stage, &x))?);
    }
    Ok(maps)
}

fn of_stage(g: &mut Graph, weights: &Weights, prefix: &str, stage: usize, x: &Value) -> Result<Value, Error> {
    let patch = format!("{prefix}.patch_embed{stage}");
    let stride = if stage == 1 { 4 } else { 2 };
    let map = conv(g, weights, &format!("{patch}.proj"), x, Geometry { stride, ..Geometry::SAME })?;
    let size = size_of(g, &map);
    let rows = rows_of(g, &map);
    let mut rows = layer_norm(g, weights, &format!("{patch}.norm"), INNER_EPSILON, &rows)?;
    let blocks = format!("{prefix}.block{stage}");
    for index in 0..weights.count(&blocks) {
        let name = format!("{blocks}.{index}");
        rows = g.within(&format!("block{index}"), |g| block(g, weights, &name, HEADS[stage - 1], &rows, &size))?;
    }
    let rows = layer_norm(g, weights, &format!("{prefix}.norm{stage}"), EPSILON, &rows)?;
    Ok(map_of(g, &rows, &size))
}

/// Attention and Mix-FFN, each added to what came in. `size` is height and width of the grid whose cells are the rows.
fn block(g: &mut Graph, weights: &Weights, name: &str, heads: i64, rows: &Value, size: &Value) -> Result<Value, Error> {
    let normed = layer_norm(g, weights, &format!("{name}.norm1"), EPSILON, rows)?;
    let attended = g.within("attn", |g| attend(g, weights, &format!("{name}.attn"), heads, &normed, size))?;
    let rows = g.add(rows, &attended);
    let normed = layer_norm(g, weights, &format!("{name}.norm2"), EPSILON, &rows)?;
    let mixed = g.within("mlp", |g| mix(g, weights, &format!("{name}.mlp"), &normed, size))?;
    Ok(g.add(&rows, &mixed))
}

/// Attention whose keys and values come from a coarser grid, where the stage has one.
fn attend(
    g: &mut Graph,
    weights: &Weights,
    name: &str,
    heads: i64,
    rows: &Value,
    size: &Value,
) -> Result<Value, Error> {
    let width = weights.shape(&format!("{name}.q.bias"))?.iter().product::<usize>() as i64;
    let query = linear(g, weights, &format!("{name}.q"), rows)?;
    let reduction = format!("{name}.sr");
    let mut coarse = rows.clone();
    let weight = format!("{reduction}.weight");
    if weights.has(&weight) {
        let stride = *weights.shape(&weight)?.last().unwrap_or(&1) as i64;
        let geometry = Geometry { stride, padding: Padding::None, ..Geometry::SAME };
        let map = map_of(g, rows, size);
        let map = conv(g, weights, &reduction, &map, geometry)?;
        coarse = rows_of(g, &map);
        coarse = layer_norm(g, weights, &format!("{name}.norm"), INNER_EPSILON, &coarse)?;
    }
    let pairs = linear(g, weights, &format!("{name}.kv"), &coarse)?;
    let sizes = g.ints(&[width; 2]);
    let pairs = g.split("Split", &[&pairs, &sizes], vec![int("axis", -1)], 2); // keys, values
    let attended = attention(g, [&query, &pairs[0], &pairs[1]], heads, width);
    linear(g, weights, &format!("{name}.proj"), &attended)
}

/// Two linear layers with a depthwise convolution in between.
fn mix(g: &mut Graph, weights: &Weights, name: &str, rows: &Value, size: &Value) -> Result<Value, Error> {
    let wide = linear(g, weights, &format!("{name}.fc1"), rows)?;
    let map = map_of(g, &wide, size);
    let depthwise = format!("{name}.dwconv.dwconv");
    let groups = weights.shape(&format!("{depthwise}.bias"))?.iter().product::<usize>() as i64;
    let map = conv(g, weights, &depthwise, &map, Geometry { groups, ..Geometry::SAME })?;
    let wide = rows_of(g, &map);
    let wide = gelu(g, &wide);
    linear(g, weights, &format!("{name}.fc2"), &wide)
}
