//! The equations of the papers, in their order and letters, each under the name it has in the text.
//!
//! "(1)" to "(6)" are IntraDA's (arXiv 2004.07703); where the released code differs from the paper, the code is followed,
//! since the published numbers come from it, and the difference is stated. These functions know tensors only: no network,
//! no weights of losses, no optimiser.
//!
//! Shapes: N images, C classes, H×W pixels. `p` is a softmax over C, N×C×H×W. Losses are means, without dimensions.
use intrada_shim::elementwise::information;
use intrada_shim::upsample::bilinear;
use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, Tensor};

use crate::device::onto;

/// The class index of pixels that have no label.
pub const IGNORE: i64 = 255;

/// Keeps p·log p finite at p = 0, where its limit is 0. The released code's number, added inside the logarithm only.
const EPSILON: f64 = 1e-30;

/// Which of two sides the discriminator looks at. The released code's numbering, the reverse of equation (3)'s: the
/// discriminator's sigmoid is the probability of *target*. In intra-domain adaptation easy images take the place of the
/// source, hard ones that of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// 0.
    Source,
    /// 1.
    Target,
}

/// How a network's grid lies on the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alignment {
    /// The centres of the corner cells are those of the corner pixels: PyTorch's `align_corners = True`. As everywhere in the
    /// released code of AdvEnt and IntraDA.
    Corners,
    /// The edges of the grid are those of the image: `align_corners = False`. As in the released code of SegFormer and
    /// DAFormer.
    Edges,
}

/// Logits N×C×h×w to height × width, bilinear. Always before softmax, so that losses and maps are taken at the image's size.
pub fn upsample(logits: &Tensor, [height, width]: [i64; 2], alignment: Alignment) -> Tensor {
    bilinear(logits, [height, width], alignment == Alignment::Corners)
}

/// P: class probabilities, N×C×H×W, from logits of the same shape.
pub fn softmax(logits: &Tensor) -> Tensor {
    logits.softmax(1, None::<Kind>)
}

/// Equation (1) and (5): the mean over labelled pixels of −ln P(y), in nats, from logits N×C×H×W and labels N×H×W (i64).
///
/// The paper sums over pixels; the code takes the mean. A batch without a labelled pixel gives 0 and a gradient of 0: the
/// released code means that too, but its test asks for the number of dimensions, so that it returns NaN.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Tensor {
    let sum = logits.cross_entropy_loss(labels, None::<&Tensor>, Reduction::Sum, IGNORE, 0.0);
    let labelled = labels.not_equal(IGNORE).sum(Kind::Int64);
    sum / labelled.clamp_min(1).to_kind(logits.kind())
}

/// DAFormer's cross-entropy (arXiv 2111.14887, equations 1 and 2): the mean over **all** pixels of −w·ln P(y), in nats, from logits
/// N×C×H×W, labels N×H×W (i64) and weights N×H×W; without weights, 1 everywhere.
///
/// Pixels without a label count in the divisor and nothing in the sum, so that padding and void make the loss smaller. As in the
/// released code (`losses/cross_entropy_loss.py`, `losses/utils.py`), unlike [`cross_entropy`].
pub fn cross_entropy_of_all(logits: &Tensor, labels: &Tensor, weights: Option<&Tensor>) -> Tensor {
    let per_pixel = logits.cross_entropy_loss(labels, None::<&Tensor>, Reduction::None, IGNORE, 0.0);
    match weights {
        Some(weights) => (per_pixel * weights).mean(None::<Kind>),
        None => per_pixel.mean(None::<Kind>),
    }
}

/// What a teacher says of target images.
pub struct PseudoLabels {
    /// The most likely class of each pixel, N×H×W, i64. None is left out.
    pub labels: Tensor,
    /// Each pixel's weight in a loss, N×H×W: [`PseudoLabels::share`], and 0 in the margins.
    pub weights: Tensor,
    /// q: the share of pixels of the whole batch that are sure, 0..=1. Margins count.
    pub share: Tensor,
}

/// DAFormer's pseudo-labels (arXiv 2111.14887, equations 3 and 4) from logits N×C×H×W: a pixel is sure if its largest probability is
/// at least `threshold`. `inside` is 0 in the margins, 1 elsewhere, N×H×W.
///
/// The paper writes q per image; the released code (`uda/dacs.py`) takes one for the batch, before margins are removed.
pub fn pseudo_labels(logits: &Tensor, threshold: f64, inside: Option<&Tensor>) -> PseudoLabels {
    let (confidence, labels) = softmax(logits).max_dim(1, false);
    let sure = confidence.ge(threshold).sum(Kind::Int64).to_kind(logits.kind());
    let share = sure / labels.numel() as f64;
    let weights = match inside {
        Some(inside) => inside.to_kind(logits.kind()) * &share,
        None => share.expand(labels.size(), false),
    };
    PseudoLabels { labels, weights, share }
}

/// α of the mean teacher (arXiv 1703.01780) at an iteration, from 0: the share of its own weights that it keeps. 0 at first, so
/// that it begins as a copy.
pub fn teacher_keeps(iteration: u64, largest: f64) -> f64 {
    (1.0 - 1.0 / (iteration as f64 + 1.0)).min(largest)
}

/// The class of each cell of a grid of h×w over labels N×H×W (i64), N×h×w: the one that has at least `least` of the cell's
/// pixels; [`IGNORE`] where none has, or pixels without a label have it (arXiv 2111.14887, equation 7).
///
/// Cells are as those of adaptive pooling: of H/h × W/w pixels each where that divides.
pub fn label_cells(labels: &Tensor, [height, width]: [i64; 2], classes: i64, least: f64) -> Tensor {
    let known = labels.where_self(&labels.not_equal(IGNORE), &labels.full_like(classes));
    let shares = known.onehot(classes + 1).permute([0, 3, 1, 2]);
    let (share, class) = shares.adaptive_avg_pool2d([height, width]).max_dim(1, false);
    let is_known = share.ge(least).logical_and(&class.not_equal(classes));
    class.where_self(&is_known, &class.full_like(IGNORE))
}

/// DAFormer's feature distance (arXiv 2111.14887, equations 6 and 8): the mean over the chosen cells, of all images together, of
/// the Euclidean distance over channels between two maps N×D×h×w. `cells` is N×h×w, boolean, on the host: how many are chosen decides
/// what is computed, and a GPU would be waited for. None if no cell is chosen, where the released code has NaN.
pub fn feature_distance(ours: &Tensor, theirs: &Tensor, cells: &Tensor) -> Option<Tensor> {
    // Its gradient at a distance of 0 is 0, as the released code's; that of a square root isn't.
    let distances = (ours - theirs).norm_scalaropt_dim(2, [1i64].as_slice(), false);
    let chosen = cells.flatten(0, -1).nonzero().squeeze_dim(1);
    (chosen.numel() > 0).then(|| {
        let chosen = onto(&chosen, distances.device());
        distances.flatten(0, -1).index_select(0, &chosen).mean(None::<Kind>)
    })
}

/// Equation (2) before its sum over classes: I(c,h,w) = −p·log2(p) / log2(C), N×C×H×W, each value in 0..=1.
///
/// This map of all classes, not its sum, is what the discriminator sees in the released code (AdvEnt, arXiv 1811.12833,
/// equation 4). Its unit is the entropy of the uniform distribution over C classes.
pub fn weighted_self_information(p: &Tensor) -> Tensor {
    information(p, EPSILON, classes(p).log2())
}

/// Equation (2): the entropy of each pixel, N×H×W, in 0..=1 (1 = all C classes alike).
pub fn entropy_map(p: &Tensor) -> Tensor {
    weighted_self_information(p).sum_dim_intlist([1i64].as_slice(), false, None::<Kind>)
}

/// MinEnt's loss (arXiv 1811.12833, equation 3): the mean entropy of a pixel, in 0..=1.
pub fn entropy_loss(p: &Tensor) -> Tensor {
    let [images, _, height, width] = shape(p);
    let pixels = (images * height * width) as f64;
    information(p, EPSILON, 1.0).sum(None::<Kind>) / (pixels * classes(p).log2())
}

/// How far a discriminator's output is from a domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gan {
    /// Binary cross-entropy with the output as logit, in nats: the papers'.
    #[default]
    Vanilla,
    /// Least squares (arXiv 1611.04076): the square of raw output less label. An option of AdaptSegNet's released code.
    Ls,
}

/// Equation (3) and (6), one side: the loss of the discriminator's output (any shape) against one domain, mean over its
/// coarse grid.
///
/// The generator minimises this on target images against [`Domain::Source`]: the non-saturating form, where (3) read as a
/// minimax would have it maximise the loss against [`Domain::Target`].
pub fn domain_loss(output: &Tensor, domain: Domain, gan: Gan) -> Tensor {
    let label = match domain {
        Domain::Source => output.zeros_like(),
        Domain::Target => output.ones_like(),
    };
    match gan {
        Gan::Vanilla => {
            output.binary_cross_entropy_with_logits(&label, None::<&Tensor>, None::<&Tensor>, Reduction::Mean)
        }
        Gan::Ls => output.mse_loss(&label, Reduction::Mean),
    }
}

/// Equation (4) as the released code takes it: the mean of [`weighted_self_information`] over classes and pixels, one
/// score an image, N. Low = easy.
pub fn mean_self_information(p: &Tensor) -> Tensor {
    weighted_self_information(p).mean_dim([1i64, 2, 3].as_slice(), false, None::<Kind>)
}

/// Equation (4) as printed: R = 1/(HW) Σ −p·ln(p), one score an image, N, in nats. C·ln C times
/// [`mean_self_information`], so it gives the same order.
pub fn mean_entropy_nats(p: &Tensor) -> Tensor {
    let per_pixel = -(p * (p + EPSILON).log()).sum_dim_intlist([1i64].as_slice(), false, None::<Kind>);
    per_pixel.mean_dim([1i64, 2].as_slice(), false, None::<Kind>)
}

fn shape(p: &Tensor) -> [i64; 4] {
    p.size4().map(|(n, c, h, w)| [n, c, h, w]).expect("class maps are N×C×H×W")
}

fn classes(p: &Tensor) -> f64 {
    shape(p)[1] as f64
}

#[cfg(test)]
mod tests;
