//! What the networks are made of: named tensors with reproducible first values, convolutions, normalisations.
//!
//! It knows no network. First values are a function of (seed, tensor name) alone, not of libtorch's generator: so they
//! depend neither on the order in which layers are made nor on the device, and a network with one head more starts with
//! the same body.
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tch::{Device, Kind, Tensor};

use crate::network::{Parameter, RateGroup};

/// Makes a network's tensors and keeps them by name, in the order of making.
pub(crate) struct Scope {
    seed: u64,
    kind: Kind,
    device: Device,
    tensors: Vec<(String, Tensor, Role)>,
}

#[derive(Clone, Copy)]
enum Role {
    Parameter(RateGroup),
    Buffer,
}

impl Scope {
    pub(crate) fn new(seed: u64, kind: Kind, device: Device) -> Scope {
        Scope { seed, kind, device, tensors: Vec::new() }
    }

    /// A trainable tensor, uniform in ±`bound`.
    pub(crate) fn uniform(&mut self, name: String, shape: &[i64], bound: f64, group: RateGroup) -> Tensor {
        let values = uniform(self.seed, &name, shape.iter().product::<i64>() as usize, bound);
        let tensor = Tensor::from_slice(&values).view(shape);
        self.add(name, tensor, Role::Parameter(group))
    }

    /// A trainable tensor that starts as a constant.
    pub(crate) fn constant(&mut self, name: String, shape: &[i64], value: f64, group: RateGroup) -> Tensor {
        self.add(name, Tensor::full(shape, value, (Kind::Float, Device::Cpu)), Role::Parameter(group))
    }

    /// A tensor that is saved but not trained.
    pub(crate) fn buffer(&mut self, name: String, shape: &[i64], value: f64) -> Tensor {
        self.add(name, Tensor::full(shape, value, (Kind::Float, Device::Cpu)), Role::Buffer)
    }

    pub(crate) fn parameters(&self) -> Vec<Parameter> {
        let trainable = self.tensors.iter().filter_map(|(name, tensor, role)| match *role {
            Role::Parameter(group) => {
                Some(Parameter { name: name.clone(), tensor: tensor.shallow_clone(), group, repeats: 1 })
            }
            Role::Buffer => None,
        });
        trainable.collect()
    }

    pub(crate) fn state(&self) -> Vec<(String, Tensor)> {
        self.tensors.iter().map(|(name, tensor, _)| (name.clone(), tensor.shallow_clone())).collect()
    }

    fn add(&mut self, name: String, tensor: Tensor, role: Role) -> Tensor {
        assert!(self.tensors.iter().all(|(other, ..)| *other != name), "two tensors are called {name}");
        // Made in float32 and widened, so that a run in double precision starts at the very same point.
        let tensor = tensor.to_kind(self.kind).to_device(self.device);
        let tensor = tensor.set_requires_grad(matches!(role, Role::Parameter(_)));
        self.tensors.push((name, tensor.shallow_clone(), role));
        tensor
    }
}

/// `count` numbers in [−`bound`, `bound`), from a ChaCha stream of their own: the name's hash.
fn uniform(seed: u64, name: &str, count: usize, bound: f64) -> Vec<f32> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(fnv1a(name));
    // 24 bits are what a float32 in [−1, 1) can hold without rounding.
    let unit = |bits: u32| f64::from(bits >> 8) / f64::from(1u32 << 23) - 1.0;
    (0..count).map(|_| (unit(generator.next_u32()) * bound) as f32).collect()
}

/// FNV-1a, 64 bits: a hash that a later version of Rust won't change.
fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3))
}

/// A convolution's geometry. `padding` is symmetric, in pixels.
#[derive(Clone, Copy)]
pub(crate) struct Geometry {
    pub kernel: i64,
    pub stride: i64,
    pub padding: i64,
    pub dilation: i64,
    pub groups: i64,
}

impl Geometry {
    /// Keeps the size: padding = dilation · (kernel − 1) / 2.
    pub(crate) fn same(kernel: i64, dilation: i64) -> Geometry {
        Geometry { kernel, stride: 1, padding: dilation * (kernel - 1) / 2, dilation, groups: 1 }
    }
}

/// A 2-d convolution `prefix.weight` and, if asked for, `prefix.bias`.
pub(crate) struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
    geometry: Geometry,
}

impl Conv {
    /// Weights and biases uniform in ±1/√(fan in): Kaiming's rule with a = √5, which is PyTorch's default.
    pub(crate) fn new(
        scope: &mut Scope,
        prefix: &str,
        channels: [i64; 2],
        geometry: Geometry,
        bias: bool,
        group: RateGroup,
    ) -> Conv {
        let [input, output] = channels;
        let Geometry { kernel, groups, .. } = geometry;
        let fan_in = input / groups * kernel * kernel;
        let bound = 1.0 / (fan_in as f64).sqrt();
        let shape = [output, input / groups, kernel, kernel];
        let weight = scope.uniform(format!("{prefix}.weight"), &shape, bound, group);
        let bias = bias.then(|| scope.uniform(format!("{prefix}.bias"), &[output], bound, group));
        Conv { weight, bias, geometry }
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let Geometry { stride, padding, dilation, groups, .. } = self.geometry;
        x.conv2d(&self.weight, self.bias.as_ref(), stride, padding, dilation, groups)
    }
}

/// Group normalisation with at most 8 groups, `prefix.{weight,bias}`, ε = 1e-5.
pub(crate) struct GroupNorm {
    groups: i64,
    weight: Tensor,
    bias: Tensor,
}

impl GroupNorm {
    pub(crate) fn new(scope: &mut Scope, prefix: &str, channels: i64, group: RateGroup) -> GroupNorm {
        let groups = (1..=8).rev().find(|groups| channels % groups == 0).expect("1 divides every number of channels");
        let weight = scope.constant(format!("{prefix}.weight"), &[channels], 1.0, group);
        let bias = scope.constant(format!("{prefix}.bias"), &[channels], 0.0, group);
        GroupNorm { groups, weight, bias }
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        x.group_norm(self.groups, Some(&self.weight), Some(&self.bias), 1e-5, true)
    }
}

/// Batch normalisation by fixed statistics: `running_mean` and `running_var` are those of the loaded weights and never
/// change; scale and shift are trained. For batches of one to four images, whose own statistics are mostly noise.
pub(crate) struct FrozenBatchNorm {
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    epsilon: f64,
}

impl FrozenBatchNorm {
    pub(crate) fn new(scope: &mut Scope, prefix: &str, channels: i64, epsilon: f64) -> FrozenBatchNorm {
        FrozenBatchNorm {
            weight: scope.constant(format!("{prefix}.weight"), &[channels], 1.0, RateGroup::Body),
            bias: scope.constant(format!("{prefix}.bias"), &[channels], 0.0, RateGroup::Body),
            mean: scope.buffer(format!("{prefix}.running_mean"), &[channels], 0.0),
            variance: scope.buffer(format!("{prefix}.running_var"), &[channels], 1.0),
            epsilon,
        }
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let (weight, bias) = (Some(&self.weight), Some(&self.bias));
        // The momentum is of no account where the statistics don't move.
        x.batch_norm(weight, bias, Some(&self.mean), Some(&self.variance), false, 0.1, self.epsilon, true)
    }
}

/// DeepLab-v2's classifier: parallel dilated 3×3 convolutions with bias, summed ("atrous spatial pyramid pooling",
/// arXiv 1606.00915, section 3.2). Keys `prefix.conv2d_list.{0..}.{weight,bias}`.
pub(crate) struct Aspp {
    branches: Vec<Conv>,
}

impl Aspp {
    /// `channels`: input, classes. Padding equals dilation, so the size stays.
    pub(crate) fn new(scope: &mut Scope, prefix: &str, channels: [i64; 2], dilations: &[i64]) -> Aspp {
        let branch = |(index, &dilation): (usize, &i64)| {
            let name = format!("{prefix}.conv2d_list.{index}");
            Conv::new(scope, &name, channels, Geometry::same(3, dilation), true, RateGroup::Head)
        };
        Aspp { branches: dilations.iter().enumerate().map(branch).collect() }
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let (first, rest) = self.branches.split_first().expect("a classifier has at least one branch");
        rest.iter().fold(first.forward(x), |sum, branch| sum + branch.forward(x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_values_depend_on_seed_and_name_and_on_nothing_made_before() {
        let make = |seed, names: &[&str]| {
            let mut scope = Scope::new(seed, Kind::Float, Device::Cpu);
            names.iter().map(|name| scope.uniform(name.to_string(), &[2, 3], 1.0, RateGroup::Body)).last().unwrap()
        };
        assert_eq!(make(1, &["a", "b"]), make(1, &["b"]));
        assert_ne!(make(1, &["a"]), make(1, &["b"]));
        assert_ne!(make(1, &["a"]), make(2, &["a"]));
    }

    #[test]
    fn first_values_fill_the_range_and_stay_in_it() {
        let values = uniform(7, "weight", 10_000, 0.5);
        let (low, high) = values.iter().fold((0f32, 0f32), |(low, high), &v| (low.min(v), high.max(v)));
        let mean = values.iter().sum::<f32>() / 10_000.0;
        assert!(low >= -0.5 && high < 0.5, "{low} {high}");
        assert!(low < -0.499 && high > 0.499 && mean.abs() < 0.01, "{low} {high} {mean}");
    }

    #[test]
    fn double_precision_starts_at_the_same_point_as_single() {
        let make = |kind| Scope::new(3, kind, Device::Cpu).uniform("w".into(), &[50], 0.1, RateGroup::Body);
        assert_eq!(make(Kind::Float).to_kind(Kind::Double), make(Kind::Double));
    }
}
