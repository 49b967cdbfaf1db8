//! Convolutions in the form used for prediction: with the normalisation after them folded in.
//!
//! Folded, both are one pass over memory instead of two. Rounding differs from that of training, which uses its own form. Knows
//! no network. Everything here is a copy of the weights: further training doesn't affect it.
use tch::{Kind, Tensor};

use crate::layer::{Affine, Conv, Geometry, Layer, channels_last, convolution};
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
        convolution(x, &self.weight, Some(&self.bias), self.geometry)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use tch::{Device, no_grad};

    use super::*;
    use crate::layer::Scope;
    use crate::network::RateGroup;

    pub(crate) fn close(ours: &Tensor, theirs: &Tensor) {
        assert_eq!(ours.size(), theirs.size());
        let away = (ours - theirs).abs().max().double_value(&[]);
        assert!(away <= 1e-12 * theirs.abs().max().double_value(&[]), "{away} away");
    }

    /// N×C×H×W, N = 2.
    pub(crate) fn image(channels: i64, height: i64, width: i64) -> Tensor {
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
}
