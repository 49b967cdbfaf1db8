//! How self-training changes images: ClassMix, colours, blur and masks, as functions of explicit parameters.
//!
//! Knows no network, no loss and no random numbers: who draws the parameters is `adapt::choices`. Images are N×3×H×W or 3×H×W in
//! RGB, grey levels divided by 255, unless a function says otherwise.
use tch::{Kind, Tensor};

use crate::device::onto;

/// The values that occur in labels (i64, any shape), ascending. [`IGNORE`](crate::equations::IGNORE) is one of them.
pub fn present(labels: &Tensor) -> Vec<i64> {
    let counts =
        Vec::<i64>::try_from(labels.flatten(0, -1).bincount(None::<&Tensor>, 256)).expect("counts are integers");
    (0..).zip(counts).filter(|(_, count)| *count > 0).map(|(value, _)| value).collect()
}

/// ClassMix (arXiv 2007.07936) for an image: where labels H×W have one of the chosen values. Boolean, H×W.
pub fn where_chosen(labels: &Tensor, chosen: &[i64]) -> Tensor {
    Tensor::isin(labels, &onto(&Tensor::from_slice(chosen), labels.device()), true, false)
}

/// A change of an image's colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColourChange {
    /// Which of the four comes when; each of [`Step`] once.
    pub order: [Step; 4],
    /// Added to brightness, plus 1.
    pub brightness: f64,
    /// The factor of all values.
    pub contrast: f64,
    /// The factor of HSV's saturation.
    pub saturation: f64,
    /// Added to HSV's hue, in turns.
    pub hue: f64,
}

/// One of the four parts of a change of colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// clamp(x + b − 1).
    Brightness,
    /// clamp(x·c), without a mean.
    Contrast,
    /// clamp(S·s).
    Saturation,
    /// H + h, modulo a turn.
    Hue,
}

impl Step {
    /// All of them, in the order of kornia's numbers.
    pub const ALL: [Step; 4] = [Step::Brightness, Step::Contrast, Step::Saturation, Step::Hue];
}

/// kornia 0.5.8's `ColorJitter` with given parameters, for an image 3×H×W in 0..=1. Later versions multiply instead of adding to
/// brightness.
pub fn recoloured(image: &Tensor, change: &ColourChange) -> Tensor {
    change.order.iter().fold(image.shallow_clone(), |x, step| match step {
        Step::Brightness => (x + (change.brightness - 1.0)).clamp(0.0, 1.0),
        Step::Contrast => (x * change.contrast).clamp(0.0, 1.0),
        Step::Saturation => {
            let [hue, saturation, value] = hsv(&x);
            rgb([hue, (saturation * change.saturation).clamp(0.0, 1.0), value])
        }
        Step::Hue => {
            let [hue, saturation, value] = hsv(&x);
            rgb([hue + change.hue, saturation, value])
        }
    })
}

/// Hue in turns, saturation Δ/(V + 1e-6), value; each H×W.
fn hsv(image: &Tensor) -> [Tensor; 3] {
    let [red, green, blue] = [0, 1, 2].map(|channel| image.select(0, channel));
    let (value, largest) = image.max_dim(0, false);
    let range = &value - image.min_dim(0, false).0;
    let saturation = &range / (&value + 1e-6);
    let range = range.where_self(&range.not_equal(0.0), &range.ones_like());
    let sectors = [&green - &blue, &range * 2.0 + &blue - &red, &range * 4.0 + &red - &green];
    let sector = Tensor::stack(&sectors, 0).gather(0, &largest.unsqueeze(0), false).squeeze_dim(0) / range;
    [(sector / 6.0).remainder(1.0), saturation, value]
}

/// 3×H×W of hue in turns (any number), saturation and value.
fn rgb([hue, saturation, value]: [Tensor; 3]) -> Tensor {
    let sixths = (hue * 6.0).remainder(6.0);
    // A remainder can be rounded up to 6.
    let sector = sixths.floor().remainder(6.0);
    let within = &sixths - sixths.floor();
    let p = &value * (1.0 - &saturation);
    let q = &value * (1.0 - &within * &saturation);
    let t = &value * (1.0 - (1.0 - &within) * &saturation);
    let v = &value;
    let sector = sector.to_kind(Kind::Int64).unsqueeze(0);
    let channel = |by_sector: [&Tensor; 6]| Tensor::stack(&by_sector, 0).gather(0, &sector, false).squeeze_dim(0);
    let red = channel([v, &q, &p, &p, &t, v]);
    let green = channel([&t, v, v, &q, &p, &p]);
    let blue = channel([&p, &p, &t, v, v, &q]);
    Tensor::stack(&[red, green, blue], 0)
}

/// The side of the Gaussian's kernel for an image's side in pixels, always odd: 51 for 512 (DAFormer, `dacs_transforms.py`).
pub fn kernel_side(pixels: i64) -> i64 {
    let tenth = (0.1 * pixels as f64).ceil();
    (tenth - 0.5 + tenth.rem_euclid(2.0)).floor() as i64
}

/// A Gaussian blur of σ pixels over an image 3×H×W, of any values, with reflected borders and kernels of [`kernel_side`].
pub fn blurred(image: &Tensor, sigma: f64) -> Tensor {
    let size = image.size();
    let [height, width] = [size[1], size[2]].map(kernel_side);
    let weights = |side: i64| {
        let x = Tensor::arange(side, (image.kind(), image.device())) - (side / 2) as f64;
        let weights = (-x.square() / (2.0 * sigma * sigma)).exp();
        &weights / weights.sum(None::<Kind>)
    };
    let (down, across) = (weights(height).view([1, 1, height, 1]), weights(width).view([1, 1, 1, width]));
    let x = image.unsqueeze(1).reflection_pad2d([width / 2, width / 2, height / 2, height / 2]);
    x.conv2d(&down, None::<&Tensor>, [1, 1], [0, 0], [1, 1], 1)
        .conv2d(&across, None::<&Tensor>, [1, 1], [0, 0], [1, 1], 1)
        .squeeze_dim(1)
}

/// The grid of MIC's patches over an image (height, width): sides divided by a patch's, halves to the even number, at least 1
/// (`masking_transforms.py`, Python's `round`).
pub fn mask_grid(size: [i64; 2], block: i64) -> [i64; 2] {
    size.map(|side| ((side as f64 / block as f64).round_ties_even() as i64).max(1))
}

/// A mask of patches, N×h×w, at an image's size: N×1×height×width, nearest.
pub fn mask_pixels(grid: &Tensor, [height, width]: [i64; 2]) -> Tensor {
    grid.unsqueeze(1).upsample_nearest2d([height, width], None, None)
}

#[cfg(test)]
mod tests;
