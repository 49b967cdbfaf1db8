//! DeepLab-v2's classifier, in the form in which a processor is quickest.
//!
//! Mathematically equal forms differ in time: a convolution to a dozen classes uses an eighth of the processor that one to many
//! channels does. Knows no network.
use tch::{Kind, Tensor};

use crate::layer::{Conv, First, Geometry, Scope, as_kind, convolution};
use crate::network::RateGroup;

/// DeepLab-v2's classifier: parallel dilated 3×3 convolutions with bias, summed ("atrous spatial pyramid pooling",
/// arXiv 1606.00915, section 3.2). Keys `prefix.conv2d_list.{0..}.{weight,bias}`.
pub(crate) struct Aspp {
    branches: Vec<Conv>,
    summed: usize,
}

impl Aspp {
    /// `channels`: input, classes. Padding equals dilation, so the size stays.
    pub(crate) fn new(scope: &mut Scope, prefix: &str, channels: [i64; 2], dilations: &[i64], first: First) -> Aspp {
        let branch = |(index, &dilation): (usize, &i64)| {
            let name = format!("{prefix}.conv2d_list.{index}");
            Conv::beginning(scope, &name, channels, Geometry::same(3, dilation), true, RateGroup::Head, first)
        };
        Aspp { branches: dilations.iter().enumerate().map(branch).collect(), summed: dilations.len() }
    }

    /// Only the first ones count; the others exist, in files too, but are not used.
    pub(crate) fn summing(self, branches: usize) -> Aspp {
        assert!((1..=self.branches.len()).contains(&branches), "{branches} of {} branches", self.branches.len());
        Aspp { summed: branches, ..self }
    }

    /// Its form for several passes with the same weights.
    pub(crate) fn taps(&self) -> Taps {
        Taps::new(self, self.branches[0].weight.kind())
    }

    /// The branches that count.
    fn summed(&self) -> &[Conv] {
        &self.branches[..self.summed]
    }

    /// Sums have another order than those of one convolution after the other ([`Taps`]).
    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        Taps::new(self, x.kind()).forward(x)
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
    /// In this precision. Gradients reach the classifier's own weights.
    fn new(aspp: &Aspp, kind: Kind) -> Taps {
        let branches = aspp.summed();
        let mut distances = Vec::new();
        let mut weights = Vec::new();
        for Conv { weight, geometry, .. } in branches {
            let half = geometry.kernel / 2;
            let taps = (0..geometry.kernel).flat_map(|row| (0..geometry.kernel).map(move |column| [row, column]));
            distances.extend(taps.map(|tap| tap.map(|place| (place - half) * geometry.dilation)));
            let [classes, input] = [weight.size()[0], weight.size()[1]];
            let shape = [geometry.kernel * geometry.kernel * classes, input, 1, 1];
            weights.push(as_kind(weight, kind).permute([2, 3, 0, 1]).reshape(shape));
        }
        // One after the other: of a stack's sum all gradients would be views of one memory, in which a second pass adds up the first.
        let biases = branches.iter().filter_map(|branch| Some(as_kind(branch.bias.as_ref()?, kind)));
        let bias = biases.reduce(|sum, bias| sum + bias).expect("each branch has a bias");
        Taps { weight: Tensor::cat(&weights, 0), bias, distances }
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let parts = convolution(x, &self.weight, None, Geometry::same(1, 1)); // N×(taps · C)×h×w
        let (images, classes, [height, width]) = (x.size()[0], self.bias.size()[0], [x.size()[2], x.size()[3]]);
        let sum = self.bias.expand([images, height, width, classes], false).contiguous().permute([0, 3, 1, 2]);
        // One split, as each narrowing of all parts would have a gradient of their size.
        for (part, &[down, right]) in parts.split(classes, 1).iter().zip(&self.distances) {
            // Outside is zero, like padding.
            let (rows, columns) = (height - down.abs(), width - right.abs());
            if rows <= 0 || columns <= 0 {
                continue;
            }
            let part = part.narrow(2, down.max(0), rows).narrow(3, right.max(0), columns);
            let _ = sum.narrow(2, (-down).max(0), rows).narrow(3, (-right).max(0), columns).g_add_(&part);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, no_grad};

    use super::*;
    use crate::folded::tests::{close, image};
    use crate::layer::channels_last;

    /// As the paper defines it.
    fn summed(aspp: &Aspp, x: &Tensor) -> Tensor {
        let (first, rest) = aspp.summed().split_first().expect("at least one branch is summed");
        rest.iter().fold(first.forward(x), |sum, branch| sum + branch.forward(x))
    }

    #[test]
    fn a_classifier_by_taps_is_the_classifier_where_dilations_reach_over_the_edge_too() {
        let mut scope = Scope::new(1, Kind::Double, Device::Cpu);
        let aspp = Aspp::new(&mut scope, "head", [5, 3], &[1, 4, 6, 24], First::Uniform);
        for (height, width) in [(7, 25), (4, 4), (1, 1)] {
            let x = image(5, height, width);
            close(&no_grad(|| aspp.forward(&channels_last(&x))), &no_grad(|| summed(&aspp, &x)));
        }
        let two = aspp.summing(2);
        let x = image(5, 7, 9);
        close(&no_grad(|| two.forward(&x)), &no_grad(|| summed(&two, &x)));
    }

    #[test]
    fn its_gradients_are_those_of_the_sum_of_convolutions() {
        let x = image(5, 7, 25);
        let gradients = |forward: fn(&Aspp, &Tensor) -> Tensor| -> Vec<(String, Tensor)> {
            let mut scope = Scope::new(1, Kind::Double, Device::Cpu);
            let aspp = Aspp::new(&mut scope, "head", [5, 3], &[1, 4, 6, 24], First::Uniform).summing(3);
            let x = x.copy().set_requires_grad(true);
            // Twice, as with images of two domains: gradients add up.
            for factor in [3.0, 5.0] {
                let y = forward(&aspp, &x);
                (&y * (&y * factor).cos().detach()).sum(Kind::Double).backward();
            }
            let all = scope.parameters().into_iter().map(|p| (p.name, p.tensor.grad()));
            all.chain([("x".to_owned(), x.grad())]).collect()
        };
        let (ours, theirs) = (gradients(Aspp::forward), gradients(summed));
        assert_eq!(ours.iter().filter(|(_, gradient)| gradient.defined()).count(), 3 * 2 + 1);
        for ((name, ours), (_, theirs)) in ours.iter().zip(&theirs) {
            assert_eq!(ours.defined(), theirs.defined(), "{name}");
            if ours.defined() {
                close(ours, theirs);
            }
        }
    }
}
