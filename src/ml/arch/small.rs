//! A small encoder–decoder that learns the synthetic road scenes from scratch in about a minute on two CPU cores.
//!
//! It is from no paper: DeepLab-v2 needs a pretrained backbone and hours, and a first run should show within minutes that
//! adaptation works. Group normalisation (arXiv 1803.08494) instead of batch normalisation, because with the statistics of
//! small batches from two domains the entropies of easy and hard images became indistinguishable.
//!
//! Keys: `encoder.{0..5}.{conv,norm}.*`, `fuse.{conv,norm}.*`, `aux.{weight,bias}`, `main.{weight,bias}`.
use tch::{Device, Kind, Tensor};

use crate::draws::Draw;
use crate::equations::{Alignment, upsample};
use crate::layer::{Conv, Geometry, GroupNorm, Scope};
use crate::network::{Logits, Network, Parameter, RateGroup, Statistics};

/// Channels at half resolution; twice as many at a quarter.
const WIDTH: i64 = 16;

/// The network. Logits are at half the image's resolution (main) and a quarter (aux).
pub struct Small {
    classes: i64,
    scope: Scope,
    encoder: Vec<Layer>,
    fuse: Layer,
    aux: Option<Conv>,
    main: Conv,
}

impl Small {
    /// A network with random weights. Without `multi_level` it has no auxiliary head.
    pub fn new(classes: i64, multi_level: bool, seed: u64, device: Device, kind: Kind) -> Small {
        let mut scope = Scope::new(seed, kind, device);
        let s = &mut scope;
        let encoder = vec![
            Layer::new(s, "encoder.0", [3, WIDTH], Geometry { stride: 2, ..Geometry::same(3, 1) }), // 1/2
            Layer::new(s, "encoder.1", [WIDTH, WIDTH], Geometry::same(3, 1)),
            Layer::new(s, "encoder.2", [WIDTH, 2 * WIDTH], Geometry { stride: 2, ..Geometry::same(3, 1) }), // 1/4
            Layer::new(s, "encoder.3", [2 * WIDTH, 2 * WIDTH], Geometry::same(3, 2)),
            Layer::new(s, "encoder.4", [2 * WIDTH, 2 * WIDTH], Geometry::same(3, 4)),
            Layer::new(s, "encoder.5", [2 * WIDTH, 2 * WIDTH], Geometry::same(3, 2)),
        ];
        let fuse = Layer::new(s, "fuse", [3 * WIDTH, WIDTH], Geometry::same(1, 1));
        // Everything is initialised randomly, with no pretrained body to preserve: one learning rate for all.
        let mut head = |name, input| Conv::new(s, name, [input, classes], Geometry::same(3, 1), true, RateGroup::Body);
        let aux = multi_level.then(|| head("aux", 2 * WIDTH));
        let main = head("main", WIDTH);
        Small { classes, scope, encoder, fuse, aux, main }
    }
}

impl Network for Small {
    fn forward(&self, x: &Tensor, _: Statistics, _: Option<Draw>) -> Logits {
        let half = self.encoder[..2].iter().fold(x.shallow_clone(), |x, layer| layer.forward(&x)); // N×16×H/2×W/2
        let middle = self.encoder[2..4].iter().fold(half.shallow_clone(), |x, layer| layer.forward(&x)); // N×32×H/4×W/4
        let deep = self.encoder[4..].iter().fold(middle.shallow_clone(), |x, layer| layer.forward(&x));
        let size = half.size();
        let features = deep.shallow_clone(); // N×32×H/4×W/4
        // The convolution of both maps, concatenated. It is linear, as interpolation is, so that the coarse map passes it while it is coarse.
        let [of_half, of_deep] =
            [(0, WIDTH), (WIDTH, 2 * WIDTH)].map(|(from, count)| self.fuse.conv.of_channels(from, count));
        let deep = upsample(&of_deep.forward(&deep), [size[2], size[3]], Alignment::Corners); // N×16×H/2×W/2
        let fused = self.fuse.norm.forward(&of_half.forward(&half).g_add_(&deep)).relu_(); // N×16×H/2×W/2
        let aux = self.aux.as_ref().map(|aux| aux.forward(&middle));
        Logits { aux, main: self.main.forward(&fused), features }
    }

    fn feature_stride(&self) -> i64 {
        4
    }

    fn classes(&self) -> i64 {
        self.classes
    }

    fn multi_level(&self) -> bool {
        self.aux.is_some()
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.scope.parameters()
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.scope.state()
    }
}

/// Convolution without bias, group normalisation, ReLU.
struct Layer {
    conv: Conv,
    norm: GroupNorm,
}

impl Layer {
    fn new(scope: &mut Scope, prefix: &str, channels: [i64; 2], geometry: Geometry) -> Layer {
        let conv = Conv::new(scope, &format!("{prefix}.conv"), channels, geometry, false, RateGroup::Body);
        let norm = GroupNorm::new(scope, &format!("{prefix}.norm"), channels[1], RateGroup::Body);
        Layer { conv, norm }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        self.norm.forward(&self.conv.forward(x)).relu_()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(height: i64, width: i64) -> Tensor {
        Tensor::arange(2 * 3 * height * width, (Kind::Float, Device::Cpu)).sin().view([2, 3, height, width])
    }

    #[test]
    fn logits_are_at_half_and_quarter_resolution_of_any_size() {
        let network = Small::new(8, true, 1, Device::Cpu, Kind::Float);
        for (height, width) in [(64, 128), (33, 50)] {
            let logits = network.forward(&image(height, width), Statistics::Running, None);
            assert_eq!(logits.main.size(), [2, 8, (height + 1) / 2, (width + 1) / 2]);
            assert_eq!(logits.aux.unwrap().size(), [2, 8, (height + 3) / 4, (width + 3) / 4]);
        }
    }

    #[test]
    fn a_single_level_network_is_the_same_without_the_auxiliary_head() {
        let build = |multi_level| Small::new(8, multi_level, 1, Device::Cpu, Kind::Float);
        let (one, two) = (build(false), build(true));
        let (a, b) = (
            one.forward(&image(32, 32), Statistics::Batch, None),
            two.forward(&image(32, 32), Statistics::Batch, None),
        );
        assert!(a.aux.is_none());
        assert_eq!(a.main, b.main);
        let names = |n: &Small| n.state().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let without_aux: Vec<_> = names(&two).into_iter().filter(|name| !name.starts_with("aux")).collect();
        assert_eq!(names(&one), without_aux);
    }

    #[test]
    fn every_parameter_is_reached_by_a_gradient() {
        let network = Small::new(4, true, 1, Device::Cpu, Kind::Double);
        let logits = network.forward(&image(32, 32).to_kind(Kind::Double), Statistics::Batch, None);
        (logits.main.square().sum(None) + logits.aux.unwrap().square().sum(None)).backward();
        for p in network.parameters() {
            assert!(p.tensor.grad().abs().sum(Kind::Double).double_value(&[]) > 0.0, "{}", p.name);
        }
    }
}
