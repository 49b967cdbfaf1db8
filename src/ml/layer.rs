//! Building blocks of the networks: named tensors with reproducible initial values, convolutions, normalisations.
//!
//! Knows no network. Initial values depend only on (seed, tensor name), not on libtorch's generator: so they depend neither
//! on the order in which layers are made nor on the device, and a network with an additional head starts with the same
//! body.
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tch::{Device, Kind, Tensor};

use crate::network::{Parameter, RateGroup, Statistics};

/// Creates a network's tensors and keeps them by name, in order of creation.
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

    /// A trainable tensor, approximately normal with mean 0.
    pub(crate) fn normal(&mut self, name: String, shape: &[i64], deviation: f64, group: RateGroup) -> Tensor {
        let values = normal(self.seed, &name, shape.iter().product::<i64>() as usize, deviation);
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

    /// A whole number that is saved but not trained, initially 0.
    pub(crate) fn counter(&mut self, name: String) -> Tensor {
        self.keep(name, Tensor::zeros([0i64; 0], (Kind::Int64, self.device)), Role::Buffer)
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
        // Made in float32 and widened, so that a run in double precision starts at the same point.
        let tensor = tensor.to_kind(self.kind).to_device(self.device);
        let tensor = tensor.set_requires_grad(matches!(role, Role::Parameter(_)));
        self.keep(name, tensor, role)
    }

    fn keep(&mut self, name: String, tensor: Tensor, role: Role) -> Tensor {
        assert!(self.tensors.iter().all(|(other, ..)| *other != name), "two tensors are called {name}");
        self.tensors.push((name, tensor.shallow_clone(), role));
        tensor
    }
}

/// A tensor's ChaCha stream of its own: the name's hash.
fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(fnv1a(name));
    generator
}

/// `count` numbers in [−`bound`, `bound`).
fn uniform(seed: u64, name: &str, count: usize, bound: f64) -> Vec<f32> {
    let mut generator = stream(seed, name);
    // A float32 in [−1, 1) holds 24 bits without rounding.
    let unit = |bits: u32| f64::from(bits >> 8) / f64::from(1u32 << 23) - 1.0;
    (0..count).map(|_| (unit(generator.next_u32()) * bound) as f32).collect()
}

/// `count` approximately normal numbers: sums of eight uniform ones (Irwin–Hall), cut off at 4.9 deviations. Integers until
/// the last step, because a logarithm or cosine (Box–Muller) differs in its last bit between platforms.
fn normal(seed: u64, name: &str, count: usize, deviation: f64) -> Vec<f32> {
    const MEAN: f64 = 8.0 * 65_535.0 / 2.0;
    /// 8 · (65536² − 1) / 12.
    const VARIANCE: f64 = 2_863_311_530.0;
    let mut generator = stream(seed, name);
    let four = |bits: u64| (0..4).map(|part| bits >> (16 * part) & 0xFFFF).sum::<u64>();
    let factor = deviation / VARIANCE.sqrt();
    let one = |_| ((four(generator.next_u64()) + four(generator.next_u64())) as f64 - MEAN) * factor;
    (0..count).map(one).map(|value| value as f32).collect()
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

/// A 2-d convolution `prefix.weight` and, optionally, `prefix.bias`.
pub(crate) struct Conv {
    pub weight: Tensor,
    pub bias: Option<Tensor>,
    pub geometry: Geometry,
}

/// Initial weights of a convolution. Biases are uniform in ±1/√(fan in) with either.
#[derive(Clone, Copy)]
pub(crate) enum First {
    /// Uniform in ±1/√(fan in): Kaiming's rule with a = √5, which is PyTorch's default.
    Uniform,
    /// Normal with mean 0 and this deviation.
    Normal(f64),
}

impl Conv {
    /// With weights by [`First::Uniform`].
    pub(crate) fn new(
        scope: &mut Scope,
        prefix: &str,
        channels: [i64; 2],
        geometry: Geometry,
        bias: bool,
        group: RateGroup,
    ) -> Conv {
        Conv::beginning(scope, prefix, channels, geometry, bias, group, First::Uniform)
    }

    pub(crate) fn beginning(
        scope: &mut Scope,
        prefix: &str,
        channels: [i64; 2],
        geometry: Geometry,
        bias: bool,
        group: RateGroup,
        first: First,
    ) -> Conv {
        let [input, output] = channels;
        let Geometry { kernel, groups, .. } = geometry;
        let fan_in = input / groups * kernel * kernel;
        let bound = 1.0 / (fan_in as f64).sqrt();
        let shape = [output, input / groups, kernel, kernel];
        let name = format!("{prefix}.weight");
        let weight = match first {
            First::Uniform => scope.uniform(name, &shape, bound, group),
            First::Normal(deviation) => scope.normal(name, &shape, deviation, group),
        };
        let bias = bias.then(|| scope.uniform(format!("{prefix}.bias"), &[output], bound, group));
        Conv { weight, bias, geometry }
    }

    /// In the precision of `x`. Weights of another precision are converted, and get their gradients in their own.
    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let Geometry { stride, padding, dilation, groups, .. } = self.geometry;
        let (weight, bias) = (as_kind(&self.weight, x.kind()), self.bias.as_ref().map(|bias| as_kind(bias, x.kind())));
        x.conv2d(&weight, bias.as_ref(), stride, padding, dilation, groups)
    }
}

/// A convolution with its normalisation, in the form for training or for prediction.
pub(crate) trait Layer {
    fn forward(&self, x: &Tensor, statistics: Statistics) -> Tensor;
}

/// The tensor itself if it already has this kind.
pub(crate) fn as_kind(tensor: &Tensor, kind: Kind) -> Tensor {
    if tensor.kind() == kind { tensor.shallow_clone() } else { tensor.to_kind(kind) }
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

/// Batch normalisation with stored statistics, per channel: `(x − mean) / √(variance + ε) · weight + bias`.
pub(crate) struct Affine<'a> {
    pub weight: &'a Tensor,
    pub bias: &'a Tensor,
    pub mean: &'a Tensor,
    pub variance: &'a Tensor,
    pub epsilon: f64,
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

    pub(crate) fn affine(&self) -> Affine<'_> {
        let FrozenBatchNorm { weight, bias, mean, variance, epsilon } = self;
        Affine { weight, bias, mean, variance, epsilon: *epsilon }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let (weight, bias) = (Some(&self.weight), Some(&self.bias));
        // The momentum doesn't matter, as the statistics are fixed.
        x.batch_norm(weight, bias, Some(&self.mean), Some(&self.variance), false, 0.1, self.epsilon, true)
    }
}

impl Layer for (Conv, FrozenBatchNorm) {
    /// The statistics are fixed: always the stored ones.
    fn forward(&self, x: &Tensor, _: Statistics) -> Tensor {
        let (conv, norm) = self;
        norm.forward(&conv.forward(x))
    }
}

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

    /// The branches that count.
    pub(crate) fn summed(&self) -> &[Conv] {
        &self.branches[..self.summed]
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let (first, rest) = self.summed().split_first().expect("at least one branch is summed");
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
    fn normal_first_values_have_the_mean_deviation_and_tails_of_the_normal_distribution() {
        const COUNT: usize = 100_000;
        let values = normal(7, "weight", COUNT, 0.01);
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / COUNT as f64;
        let variance = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / COUNT as f64;
        assert!(mean.abs() < 1.5e-4 && (variance.sqrt() - 0.01).abs() < 1e-4, "{mean} {variance}");
        let beyond = |deviations: f32| values.iter().filter(|v| v.abs() > 0.01 * deviations).count() as f64;
        assert!((beyond(1.0) / COUNT as f64 - 0.3173).abs() < 0.01, "{}", beyond(1.0));
        assert!((beyond(2.0) / COUNT as f64 - 0.0455).abs() < 0.005, "{}", beyond(2.0));
    }

    #[test]
    fn double_precision_starts_at_the_same_point_as_single() {
        let make = |kind| Scope::new(3, kind, Device::Cpu).uniform("w".into(), &[50], 0.1, RateGroup::Body);
        assert_eq!(make(Kind::Float).to_kind(Kind::Double), make(Kind::Double));
    }
}
