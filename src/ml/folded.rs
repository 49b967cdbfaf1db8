//! Layers in the form used for prediction: normalisation folded into the preceding convolution, DeepLab's classifier as one
//! product.
//!
//! Mathematically equal forms differ in time: folded, a layer is one pass over memory instead of two; a convolution to a
//! dozen classes uses an eighth of the processor that one to many channels does. Sums have another order, so the last bits
//! differ from those of training, which uses its own form. Knows no network. Everything here is a copy of the weights:
//! further training doesn't affect it.
use tch::{Device, Kind, Tensor};

use crate::layer::{Affine, Aspp, Conv, Geometry, Layer};
use crate::network::Statistics;

/// A convolution and the normalisation after it, as one convolution.
pub(crate) struct Folded {
    weight: Tensor,
    bias: Tensor,
    geometry: Geometry,
}

impl Folded {
    /// Computed in double precision and then rounded once.
    pub(crate) fn new(conv: &Conv, norm: &Affine) -> Folded {
        let double = |tensor: &Tensor| tensor.detach().to_kind(Kind::Double);
        let factor = double(norm.weight) / (double(norm.variance) + norm.epsilon).sqrt();
        let before =
            conv.bias.as_ref().map_or_else(|| double(norm.mean) * -1.0, |bias| double(bias) - double(norm.mean));
        let bias = double(norm.bias) + before * &factor;
        let weight = double(&conv.weight) * factor.view([-1, 1, 1, 1]);
        let kind = conv.weight.kind();
        Folded { weight: channels_last(&weight.to_kind(kind)), bias: bias.to_kind(kind), geometry: conv.geometry }
    }
}

impl Layer for Folded {
    /// Both modes are inference.
    fn forward(&self, x: &Tensor, _: Statistics) -> Tensor {
        let Geometry { stride, padding, dilation, groups, .. } = self.geometry;
        x.conv2d(&self.weight, Some(&self.bias), stride, padding, dilation, groups)
    }
}

/// [`Aspp`] as one 1×1 convolution, which computes the contribution of each tap of each branch for each cell, and a sum of
/// those at the taps' offsets.
pub(crate) struct Taps {
    /// (taps · classes) × input × 1 × 1.
    weight: Tensor,
    /// The branches' biases, summed: classes.
    bias: Tensor,
    /// The row and column offsets of each tap.
    distances: Vec<[i64; 2]>,
}

impl Taps {
    pub(crate) fn new(aspp: &Aspp) -> Taps {
        let branches = aspp.summed();
        let mut distances = Vec::new();
        let mut weights = Vec::new();
        for Conv { weight, geometry, .. } in branches {
            let half = geometry.kernel / 2;
            for (row, column) in (0..geometry.kernel).flat_map(|row| (0..geometry.kernel).map(move |x| (row, x))) {
                distances.push([row - half, column - half].map(|step| step * geometry.dilation));
                weights.push(weight.detach().narrow(2, row, 1).narrow(3, column, 1));
            }
        }
        let biases: Vec<Tensor> =
            branches.iter().filter_map(|branch| branch.bias.as_ref().map(Tensor::detach)).collect();
        let bias = Tensor::stack(&biases, 0).sum_dim_intlist([0i64].as_slice(), false, None::<Kind>);
        Taps { weight: channels_last(&Tensor::cat(&weights, 0)), bias, distances }
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let parts = x.conv2d(&self.weight, None::<&Tensor>, 1, 0, 1, 1); // N×(taps · C)×h×w
        let (images, classes, [height, width]) = (x.size()[0], self.bias.size()[0], [x.size()[2], x.size()[3]]);
        let sum = self.bias.expand([images, height, width, classes], false).contiguous().permute([0, 3, 1, 2]);
        for (tap, &[down, right]) in (0..).zip(&self.distances) {
            // Outside is zero, like padding.
            let (rows, columns) = (height - down.abs(), width - right.abs());
            if rows <= 0 || columns <= 0 {
                continue;
            }
            let part = parts.narrow(1, tap * classes, classes);
            let part = part.narrow(2, down.max(0), rows).narrow(3, right.max(0), columns);
            let _ = sum.narrow(2, (-down).max(0), rows).narrow(3, (-right).max(0), columns).g_add_(&part);
        }
        sum
    }
}

/// The same tensor with its channels adjacent in memory, the fastest order for oneDNN's convolutions. Only on CPUs: float32
/// on GPUs has not been measured.
pub(crate) fn channels_last(x: &Tensor) -> Tensor {
    match x.device() {
        Device::Cpu => x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]),
        _ => x.shallow_clone(),
    }
}

#[cfg(test)]
mod tests {
    use tch::no_grad;

    use super::*;
    use crate::layer::{First, Scope};
    use crate::network::RateGroup;

    fn close(ours: &Tensor, theirs: &Tensor) {
        assert_eq!(ours.size(), theirs.size());
        let away = (ours - theirs).abs().max().double_value(&[]);
        assert!(away <= 1e-12 * theirs.abs().max().double_value(&[]), "{away} away");
    }

    fn image(channels: i64, height: i64, width: i64) -> Tensor {
        Tensor::arange(2 * channels * height * width, (Kind::Double, Device::Cpu))
            .sin()
            .view([2, channels, height, width])
    }

    #[test]
    fn folding_changes_rounding_only() {
        for (bias, groups) in [(false, 1), (true, 1), (true, 4)] {
            let mut scope = Scope::new(1, Kind::Double, Device::Cpu);
            let geometry = Geometry { stride: 2, groups, ..Geometry::same(3, 2) };
            let conv = Conv::new(&mut scope, "conv", [4, 8], geometry, bias, RateGroup::Body);
            let mut vector = |name: &str| scope.uniform(name.to_owned(), &[8], 1.0, RateGroup::Body).detach();
            let (weight, shift, mean, variance) = (vector("w"), vector("b"), vector("m"), vector("v").square());
            let norm = Affine { weight: &weight, bias: &shift, mean: &mean, variance: &variance, epsilon: 1e-3 };
            let x = image(4, 9, 13);
            let theirs = conv.forward(&x).batch_norm(
                Some(&weight),
                Some(&shift),
                Some(&mean),
                Some(&variance),
                false,
                0.1,
                1e-3,
                true,
            );
            close(
                &no_grad(|| Folded::new(&conv, &norm).forward(&channels_last(&x), Statistics::Running)),
                &theirs.detach(),
            );
        }
    }

    #[test]
    fn a_classifier_by_taps_is_the_classifier_where_dilations_reach_over_the_edge_too() {
        let mut scope = Scope::new(1, Kind::Double, Device::Cpu);
        let aspp = Aspp::new(&mut scope, "head", [5, 3], &[1, 4, 6, 24], First::Uniform);
        for (height, width) in [(7, 25), (4, 4), (1, 1)] {
            let x = image(5, height, width);
            close(&no_grad(|| Taps::new(&aspp).forward(&channels_last(&x))), &no_grad(|| aspp.forward(&x)));
        }
        let two = aspp.summing(2);
        let x = image(5, 7, 9);
        close(&no_grad(|| Taps::new(&two).forward(&x)), &no_grad(|| two.forward(&x)));
    }
}
