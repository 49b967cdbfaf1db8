//! Building blocks of the networks: named tensors with reproducible initial values, convolutions, normalisations.
//!
//! Knows no network. Initial values depend only on (seed, tensor name), not on libtorch's generator: so they depend neither
//! on the order in which layers are made nor on the device, and a network with an additional head starts with the same
//! body.
use intrada_shim::convolution::{convolve, is_ours};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tch::{Device, Kind, Tensor, no_grad};

use crate::device::has_channels_last;
use crate::draws::{Draw, fnv1a};
use crate::equations::{Alignment, upsample};
use crate::network::{Parameter, RateGroup, Statistics};
use crate::operations;

/// Creates a network's tensors and keeps them by name, in order of creation.
pub(crate) struct Scope {
    seed: u64,
    kind: Kind,
    device: Device,
    order: Order,
    tensors: Vec<(String, Tensor, Role)>,
}

/// How the weights of convolutions lie in memory. What they are convolved with is to lie alike.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    RowByRow,
    ChannelsLast,
}

#[derive(Clone, Copy)]
enum Role {
    Parameter(RateGroup),
    Buffer,
}

impl Scope {
    pub(crate) fn new(seed: u64, kind: Kind, device: Device) -> Scope {
        Scope { seed, kind, device, order: Order::RowByRow, tensors: Vec::new() }
    }

    /// For a network that is quicker with its channels adjacent in memory: one of many channels, without group normalisation, which
    /// libtorch has no quick form of in that order.
    pub(crate) fn channels_last(self) -> Scope {
        Scope { order: Order::ChannelsLast, ..self }
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
        let is_turned = self.order == Order::ChannelsLast && tensor.dim() == 4;
        let tensor = if is_turned { channels_last(&tensor) } else { tensor };
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

/// Initial weights and biases of a convolution or a linear layer.
#[derive(Clone, Copy)]
pub(crate) enum First {
    /// Both uniform in ±1/√(fan in): Kaiming's rule with a = √5, which is PyTorch's default.
    Uniform,
    /// Weights normal with mean 0 and this deviation, biases uniform in ±1/√(fan in).
    Normal(f64),
    /// Weights normal with mean 0 and this deviation, biases 0.
    NormalAndZero(f64),
}

impl First {
    /// Kaiming's rule by fan-out, √(2 / (outputs · k²)), which mmcv uses before a batch normalisation, without regard to
    /// groups.
    pub(crate) fn kaiming(outputs: i64, Geometry { kernel, .. }: Geometry) -> First {
        First::Normal((2.0 / (outputs * kernel * kernel) as f64).sqrt())
    }

    /// `prefix.weight` of this shape (outputs first) and, where there is one, `prefix.bias`.
    fn tensors(
        self,
        scope: &mut Scope,
        prefix: &str,
        shape: &[i64],
        bias: bool,
        group: RateGroup,
    ) -> (Tensor, Option<Tensor>) {
        let fan_in: i64 = shape[1..].iter().product();
        let bound = 1.0 / (fan_in as f64).sqrt();
        let name = format!("{prefix}.weight");
        let weight = match self {
            First::Uniform => scope.uniform(name, shape, bound, group),
            First::Normal(deviation) | First::NormalAndZero(deviation) => scope.normal(name, shape, deviation, group),
        };
        let name = format!("{prefix}.bias");
        let bias = bias.then(|| match self {
            First::Uniform | First::Normal(_) => scope.uniform(name, &shape[..1], bound, group),
            First::NormalAndZero(_) => scope.constant(name, &shape[..1], 0.0, group),
        });
        (weight, bias)
    }
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
        let shape = [output, input / groups, kernel, kernel];
        let (weight, bias) = first.tensors(scope, prefix, &shape, bias, group);
        Conv { weight, bias, geometry }
    }

    /// In the precision of `x`. Weights of another precision are converted, and get their gradients in their own.
    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let (weight, bias) = (as_kind(&self.weight, x.kind()), self.bias.as_ref().map(|bias| as_kind(bias, x.kind())));
        convolution(x, &weight, bias.as_ref(), self.geometry)
    }

    /// The part of it without a bias that sees `count` of the input channels, from this one on: a convolution is the sum of its parts.
    pub(crate) fn of_channels(&self, from: i64, count: i64) -> Conv {
        Conv { weight: self.weight.narrow(1, from, count), bias: None, geometry: self.geometry }
    }

    /// A 1×1 convolution without bias of `count` maps of equally many channels, concatenated, as one linear layer for each of them: it
    /// gives the sum of theirs.
    pub(crate) fn parts(&self, count: i64) -> Vec<Linear> {
        assert!(self.geometry.kernel == 1 && self.bias.is_none(), "only a matrix has parts");
        let parts = self.weight.flatten(1, 3).chunk(count, 1);
        parts.into_iter().map(|weight| Linear { weight, bias: None }).collect()
    }
}

/// The form that is quickest on this device.
pub(crate) fn convolution(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, geometry: Geometry) -> Tensor {
    let Geometry { stride, padding, dilation, groups, .. } = geometry;
    let result = if stride == 1 && groups == 1 && is_ours(x, weight) {
        convolve(x, weight, bias, padding, dilation)
    } else {
        x.conv2d(weight, bias, stride, padding, dilation, groups)
    };
    operations::convolution(x, weight, &result);
    result
}

/// x·Wᵀ + b over the last dimension, in the form that is quickest on this device.
fn product(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
    let (size, kernel) = (x.size(), weight.unsqueeze(-1).unsqueeze(-1));
    let (input, output) = (size[size.len() - 1], weight.size()[0]);
    if !is_ours(x, &kernel) {
        return x.linear(weight, bias);
    }
    // The rows as the cells of an image.
    let image = x.reshape([1, 1, -1, input]).permute([0, 3, 1, 2]);
    let result = convolve(&image, &kernel, bias, 0, 1).permute([0, 2, 3, 1]);
    result.reshape([&size[..size.len() - 1], &[output]].concat())
}

/// softmax(q·kᵀ · `scale`)·v, of …×n×d queries by …×m×d keys and values.
pub(crate) fn attention(query: &Tensor, key: &Tensor, value: &Tensor, scale: f64) -> Tensor {
    let (no_mask, no_dropout, is_causal, is_grouped) = (None::<&Tensor>, 0.0, false, false);
    let result =
        Tensor::scaled_dot_product_attention(query, key, value, no_mask, no_dropout, is_causal, scale, is_grouped);
    operations::attention([query, key, value], &result);
    result
}

/// x·Wᵀ + b over the last dimension: `prefix.weight`, output × input, and `prefix.bias`.
pub(crate) struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// `sizes`: input, output.
    pub(crate) fn new(scope: &mut Scope, prefix: &str, sizes: [i64; 2], group: RateGroup, first: First) -> Linear {
        let [input, output] = sizes;
        let (weight, bias) = first.tensors(scope, prefix, &[output, input], true, group);
        Linear { weight, bias }
    }

    /// In the precision of `x`, like [`Conv::forward`].
    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let bias = self.bias.as_ref().map(|bias| as_kind(bias, x.kind()));
        let weight = as_kind(&self.weight, x.kind());
        let result = product(x, &weight, bias.as_ref());
        operations::linear(x, &weight, &result);
        result
    }

    /// This layer and one without bias after it, as one.
    pub(crate) fn then(&self, next: &Linear) -> Linear {
        assert!(next.bias.is_none(), "it would have to be added");
        let bias = self.bias.as_ref().map(|bias| next.weight.mv(bias));
        let weight = next.weight.matmul(&self.weight);
        operations::linear(&self.weight, &next.weight, &weight);
        Linear { weight, bias }
    }

    /// On the channels of a map: N×d×h×w → N×e×h×w.
    pub(crate) fn forward_map(&self, map: &Tensor) -> Tensor {
        self.forward(&map.permute([0, 2, 3, 1])).permute([0, 3, 1, 2])
    }
}

/// Dropout of whole channels.
pub(crate) struct Dropout {
    name: String,
    rate: f64,
}

impl Dropout {
    /// `name` distinguishes its draws from those of other layers.
    pub(crate) fn new(name: String, rate: f64) -> Dropout {
        Dropout { name, rate }
    }

    /// N×C×h×w; as it is without a draw.
    pub(crate) fn forward(&self, x: Tensor, draw: Option<Draw>) -> Tensor {
        let Some(draw) = draw.filter(|_| self.rate > 0.0) else { return x };
        let [images, channels] = [x.size()[0], x.size()[1]];
        let factors = draw.factors(&self.name, images * channels, self.rate, (x.kind(), x.device()));
        x * factors.view([images, channels, 1, 1])
    }
}

/// Drop-path (arXiv 1603.09382): a residual branch is left out for a whole image, else divided by the probability that it
/// isn't.
pub(crate) struct DropPath {
    name: String,
    rate: f64,
}

impl DropPath {
    /// `name` distinguishes its draws from those of other branches.
    pub(crate) fn new(name: String, rate: f64) -> DropPath {
        DropPath { name, rate }
    }

    /// N×…; as it is without a draw.
    pub(crate) fn forward(&self, branch: Tensor, draw: Option<Draw>) -> Tensor {
        let Some(draw) = draw.filter(|_| self.rate > 0.0) else { return branch };
        let mut shape = vec![1; branch.dim()];
        shape[0] = branch.size()[0];
        let factors = draw.factors(&self.name, shape[0], self.rate, (branch.kind(), branch.device()));
        branch * factors.view(&shape[..])
    }

    /// The probability that the branch is left out.
    #[cfg(test)]
    pub(crate) fn rate(&self) -> f64 {
        self.rate
    }
}

/// Bilinear, by edges, to the size of `other`, inside a network.
pub(crate) fn resized_like(map: &Tensor, other: &Tensor) -> Tensor {
    let size = [other.size()[2], other.size()[3]];
    if map.size()[2..] == size { map.shallow_clone() } else { upsample(map, size, Alignment::Edges) }
}

/// The sum of maps, each interpolated to the size of the first.
pub(crate) fn sum_on_first(maps: impl IntoIterator<Item = Tensor>) -> Tensor {
    let sum = maps.into_iter().reduce(|sum, map| &sum + resized_like(&map, &sum));
    sum.expect("there is a first map")
}

/// Layer normalisation over the last dimension, `prefix.{weight,bias}`.
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl LayerNorm {
    pub(crate) fn new(scope: &mut Scope, prefix: &str, size: i64, group: RateGroup, epsilon: f64) -> LayerNorm {
        let weight = scope.constant(format!("{prefix}.weight"), &[size], 1.0, group);
        let bias = scope.constant(format!("{prefix}.bias"), &[size], 0.0, group);
        LayerNorm { weight, bias, epsilon }
    }

    /// In the precision of the weights; the result has that of `x`.
    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let LayerNorm { weight, bias, epsilon } = self;
        let normed = as_kind(x, weight.kind()).layer_norm(weight.size(), Some(weight), Some(bias), *epsilon, true);
        as_kind(&normed, x.kind())
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

    /// As the factor and the shift of each channel, in the precision of the weights. Gradients reach scale and shift.
    fn factors(&self) -> [Tensor; 2] {
        let factor = &self.weight * (&self.variance + self.epsilon).rsqrt();
        let shift = &self.bias - &self.mean * &factor;
        [factor, shift]
    }
}

impl Layer for (Conv, FrozenBatchNorm) {
    /// The statistics are fixed: always the stored ones. So both are one convolution, and the maps are passed over once forwards
    /// and once backwards, not twice.
    fn forward(&self, x: &Tensor, _: Statistics) -> Tensor {
        let (conv, norm) = self;
        assert!(conv.bias.is_none(), "a convolution before a normalisation has no bias");
        let [factor, shift] = norm.factors();
        let weight = as_kind(&(&conv.weight * factor.view([-1, 1, 1, 1])), x.kind());
        convolution(x, &weight, Some(&as_kind(&shift, x.kind())), conv.geometry)
    }
}

/// Batch normalisation, `prefix.{weight,bias,running_mean,running_var,num_batches_tracked}`, with changing statistics: in
/// training each forward pass normalises by its own batch's statistics and updates the running ones, source and target in
/// turn; inference uses the running ones.
pub(crate) struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    batches: Tensor,
}

impl BatchNorm {
    /// The weight of a batch's statistics in the running ones; their variance is the unbiased one.
    const MOMENTUM: f64 = 0.1;
    const EPSILON: f64 = 1e-5;

    /// With scale and shift that are trained.
    pub(crate) fn trained(scope: &mut Scope, prefix: &str, channels: i64, group: RateGroup) -> BatchNorm {
        let weight = scope.constant(format!("{prefix}.weight"), &[channels], 1.0, group);
        let bias = scope.constant(format!("{prefix}.bias"), &[channels], 0.0, group);
        BatchNorm::with(scope, prefix, [weight, bias])
    }

    /// With scale and shift that stay as they are loaded.
    pub(crate) fn untrained(scope: &mut Scope, prefix: &str, channels: i64) -> BatchNorm {
        let weight = scope.buffer(format!("{prefix}.weight"), &[channels], 1.0);
        let bias = scope.buffer(format!("{prefix}.bias"), &[channels], 0.0);
        BatchNorm::with(scope, prefix, [weight, bias])
    }

    fn with(scope: &mut Scope, prefix: &str, [weight, bias]: [Tensor; 2]) -> BatchNorm {
        let size = weight.size();
        BatchNorm {
            weight,
            bias,
            mean: scope.buffer(format!("{prefix}.running_mean"), &size, 0.0),
            variance: scope.buffer(format!("{prefix}.running_var"), &size, 1.0),
            // Nothing reads it, but PyTorch writes and expects it.
            batches: scope.counter(format!("{prefix}.num_batches_tracked")),
        }
    }

    pub(crate) fn affine(&self) -> Affine<'_> {
        let BatchNorm { weight, bias, mean, variance, .. } = self;
        Affine { weight, bias, mean, variance, epsilon: Self::EPSILON }
    }

    pub(crate) fn forward(&self, x: &Tensor, statistics: Statistics) -> Tensor {
        let of_batch = statistics == Statistics::Batch;
        if of_batch {
            no_grad(|| drop(self.batches.shallow_clone().g_add_scalar_(1)));
        }
        let (mean, variance) = (Some(&self.mean), Some(&self.variance));
        let affine = (Some(&self.weight), Some(&self.bias));
        x.batch_norm(affine.0, affine.1, mean, variance, of_batch, Self::MOMENTUM, Self::EPSILON, true)
    }
}

impl Layer for (Conv, BatchNorm) {
    fn forward(&self, x: &Tensor, statistics: Statistics) -> Tensor {
        let (conv, norm) = self;
        norm.forward(&conv.forward(x), statistics)
    }
}

/// The same tensor with its channels adjacent in memory, the fastest order for oneDNN's convolutions, where they are to be so: GPUs have
/// not been measured.
pub(crate) fn channels_last(x: &Tensor) -> Tensor {
    if has_channels_last(x.device()) {
        x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
    } else {
        x.shallow_clone()
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

    #[test]
    fn training_normalises_by_the_batch_and_moves_the_running_statistics_which_inference_uses() {
        let mut scope = Scope::new(1, Kind::Double, Device::Cpu);
        let norm = BatchNorm::untrained(&mut scope, "bn", 1);
        let x = Tensor::from_slice(&[1f64, 3.0, 5.0, 7.0]).view([1, 1, 2, 2]);
        let values = |t: &Tensor| Vec::<f64>::try_from(t.flatten(0, -1)).unwrap();
        let close = |ours: &Tensor, theirs: &[f64]| {
            assert!(values(ours).iter().zip(theirs).all(|(a, b)| (a - b).abs() < 1e-12), "{ours:?} is not {theirs:?}");
        };
        let biased = (5.0 + BatchNorm::EPSILON).sqrt();
        close(&norm.forward(&x, Statistics::Batch), &[-3.0 / biased, -1.0 / biased, 1.0 / biased, 3.0 / biased]);
        close(&norm.mean, &[0.4]);
        close(&norm.variance, &[0.9 + 0.1 * 20.0 / 3.0]);
        let running = (0.9 + 2.0 / 3.0 + BatchNorm::EPSILON).sqrt();
        let expected = [1.0, 3.0, 5.0, 7.0].map(|x| (x - 0.4) / running);
        close(&norm.forward(&x, Statistics::Running), &expected);
        close(&norm.mean, &[0.4]);
        assert_eq!(norm.batches.int64_value(&[]), 1);
        assert!(scope.parameters().is_empty(), "scale and shift are not trained");
    }
}
