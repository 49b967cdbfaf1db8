//! DINOv2 with a linear head, of `ml::arch::dinov2`: an image is padded to whole patches, and what belongs to the padding is cut
//! off its logits.

use crate::Error;
use crate::graph::{Graph, Value};
use crate::layer::{Alignment, norm_conv, resize, size_of};
use crate::proto::DataType;
use crate::vit::{self, PATCH};
use crate::weights::Weights;

const EPSILON: f64 = 1e-5;

/// N×3×H×W → logits: at a 14th of the sides where these are multiples of 14, else at the image's own size, in single precision.
pub(crate) fn logits(g: &mut Graph, weights: &Weights, image: &Value, layers: usize) -> Result<Value, Error> {
    let margins = g.within("margins", |g| Margins::of(g, image));
    let padded = g.within("margins", |g| margins.added(g, image));
    let maps = g.within("backbone", |g| vit::maps(g, weights, "backbone", &padded, layers))?;
    let names = ["decode_head.bn", "decode_head.conv_seg"];
    let logits = g.within("decode_head", |g| {
        let x = if maps.len() == 1 { maps[0].clone() } else { g.concat(&maps.iter().collect::<Vec<_>>(), 1) };
        norm_conv(g, weights, names, EPSILON, &x)
    })?;
    Ok(g.within("margins", |g| margins.cut_off(g, &logits)))
}

/// What an image lacks to whole patches, each two integers: of rows, of columns.
struct Margins {
    image: Value,
    before: Value,
    after: Value,
}

impl Margins {
    fn of(g: &mut Graph, image: &Value) -> Margins {
        let size = size_of(g, image);
        let (patch, two) = (g.ints(&[PATCH; 2]), g.ints(&[2]));
        let beyond = g.binary("Mod", &size, &patch);
        let lacking = g.sub(&patch, &beyond);
        let lacking = g.binary("Mod", &lacking, &patch);
        let before = g.div(&lacking, &two);
        let after = g.sub(&lacking, &before);
        Margins { image: size, before, after }
    }

    /// The image with zeros around it.
    fn added(&self, g: &mut Graph, image: &Value) -> Value {
        let none = g.ints(&[0, 0]);
        let pads = g.concat(&[&none, &self.before, &none, &self.after], 0);
        let zero = g.own(0.0);
        g.op("Pad", &[image, &pads, &zero], vec![])
    }

    /// What belongs to the image of the logits of the padded one: at its size, or, where nothing was added, as they are: then
    /// both the enlargement and the cut keep everything.
    fn cut_off(&self, g: &mut Graph, logits: &Value) -> Value {
        let logits = g.cast(logits, DataType::Float);
        let own = size_of(g, &logits);
        let sum = g.add(&self.image, &self.before);
        let padded = g.add(&sum, &self.after);
        // The odd pixel is after: where there is none, there is none before.
        let axis = g.ints(&[0]);
        let lacking = g.op("ReduceSum", &[&self.after, &axis], vec![]); // keeps the dimension
        let zero = g.ints(&[0]);
        let is_padded = g.binary("Greater", &lacking, &zero);
        let enlarged = g.choose(&is_padded, &padded, &own);
        let to = g.choose(&is_padded, &sum, &own);
        let logits = resize(g, &logits, &enlarged, Alignment::Edges);
        let axes = g.ints(&[2, 3]);
        g.op("Slice", &[&logits, &self.before, &to, &axes], vec![])
    }
}
