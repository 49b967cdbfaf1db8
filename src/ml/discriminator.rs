//! The discriminator D of AdaptSegNet (arXiv 1802.10349, section 4.1) and AdvEnt: five 4×4 convolutions of stride 2 that
//! classify the domain of a map of C channels, patch by patch.
//!
//! Doesn't know whether the map is a softmax or weighted self-information, and has no sigmoid: its outputs are logits for
//! `equations::domain_loss`. Keys as in the released AdvEnt code, a `Sequential` in which every second entry is an
//! activation: `{0,2,4,6,8}.{weight,bias}`. AdaptSegNet's has the same layers under other names; its files are read too.
use intrada_data::input_file::InputFile;
use intrada_shim::elementwise::leaky_relu_;
use tch::{Device, Kind, Tensor};

use crate::checkpoint::{self, CheckpointError, Restored, Rule};
use crate::layer::{Conv, Geometry, Scope, channels_last};
use crate::network::{Parameter, RateGroup};

/// A smaller map has no pixel left after five halvings.
pub const SMALLEST_SIDE: i64 = 32;

/// Slope of the leaky ReLUs below zero.
const SLOPE: f64 = 0.2;

/// AdaptSegNet's names of the layers (`model/discriminator.py`), in the order of AdvEnt's numbers.
const ADAPTSEGNET: [&str; 5] = ["conv1", "conv2", "conv3", "conv4", "classifier"];

/// The map is too small.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the discriminator needs maps of at least {SMALLEST_SIDE} pixels a side, got {width}×{height}")]
pub struct MapTooSmall {
    /// Of the map, in pixels.
    pub width: i64,
    /// Of the map, in pixels.
    pub height: i64,
}

/// One discriminator. Adaptation on two levels has two, with weights of their own.
pub struct Discriminator {
    name: String,
    scope: Scope,
    convs: Vec<Conv>,
}

impl Discriminator {
    /// Random weights. `name`, such as `main`, prefixes all its keys (`main.0.weight`) and so makes its initial values
    /// differ from another's. `first_width` channels after the first convolution (64 in the papers), doubled three times.
    pub fn new(name: &str, classes: i64, first_width: i64, seed: u64, device: Device, kind: Kind) -> Discriminator {
        let mut scope = Scope::new(seed, kind, device);
        let w = first_width;
        let channels = [[classes, w], [w, 2 * w], [2 * w, 4 * w], [4 * w, 8 * w], [8 * w, 1]];
        let geometry = Geometry { kernel: 4, stride: 2, padding: 1, dilation: 1, groups: 1 };
        let conv = |(i, channels)| {
            Conv::new(&mut scope, &format!("{name}.{}", 2 * i), channels, geometry, true, RateGroup::Body)
        };
        let convs = channels.into_iter().enumerate().map(conv).collect();
        Discriminator { name: name.to_owned(), scope, convs }
    }

    /// Map N×C×H×W → logits N×1×⌊H/32⌋×⌊W/32⌋, halved with rounding down five times.
    ///
    /// # Errors
    /// A side below [`SMALLEST_SIDE`].
    pub fn forward(&self, map: &Tensor) -> Result<Tensor, MapTooSmall> {
        let size = map.size();
        let (height, width) = (size[2], size[3]);
        if height.min(width) < SMALLEST_SIDE {
            return Err(MapTooSmall { width, height });
        }
        let (last, inner) = self.convs.split_last().expect("there are five");
        // oneDNN computes these convolutions with channels adjacent in memory, and else copies each map there and back.
        let x = inner.iter().fold(channels_last(map), |x, conv| leaky_relu_(conv.forward(&x), SLOPE));
        Ok(last.forward(&x))
    }

    /// Copies the weights of a file that contains one discriminator: AdvEnt's (`model_*_D_main.pth`, keys `0.weight` …),
    /// AdaptSegNet's (`*_D2.pth`, keys `conv1.weight` … `classifier.bias`) or one with our own keys.
    ///
    /// # Errors
    /// A missing or unexpected key, a wrong shape, an unreadable file.
    pub fn load(&self, file: &InputFile) -> Result<Restored, CheckpointError> {
        let renamed = |key: String| {
            let Some((layer, rest)) = key.split_once('.') else { return key };
            match ADAPTSEGNET.iter().position(|name| *name == layer) {
                Some(place) => format!("{}.{}.{rest}", self.name, 2 * place),
                None if layer.parse::<u8>().is_ok() => format!("{}.{key}", self.name),
                None => key,
            }
        };
        let mut stored = checkpoint::read_network(file, &self.forms())?;
        // Discriminators of different levels are different, though their names below the level are equal.
        let is_there = |level: &str| {
            let before = format!("{level}.");
            let is_first = |key: &String| key.starts_with(&format!("{before}0."));
            stored.wrapping.below.ends_with(&before) || stored.tensors.keys().any(is_first)
        };
        let levels: Vec<&str> = ["aux", "main"].into_iter().filter(|level| is_there(level)).collect();
        if levels.iter().any(|level| *level != self.name) {
            let (path, wanted) = (file.path().to_owned(), self.name.clone());
            return Err(CheckpointError::Levels { path, levels, wanted });
        }
        stored.tensors = stored.tensors.into_iter().map(|(key, tensor)| (renamed(key), tensor)).collect();
        checkpoint::copy_into(file.path(), &stored, &self.state(), Rule::WEIGHTS)
    }

    /// Our names, AdvEnt's and AdaptSegNet's.
    fn forms(&self) -> Vec<Vec<String>> {
        let own = checkpoint::required(&self.state(), Rule::WEIGHTS);
        let advent = own.iter().map(|key| key[self.name.len() + 1..].to_owned());
        let adaptsegnet = advent.clone().map(|key| match key.split_once('.') {
            Some((layer, rest)) => {
                let place: usize = layer.parse().expect("layers have numbers");
                format!("{}.{rest}", ADAPTSEGNET[place / 2])
            }
            None => key,
        });
        vec![own.clone(), advent.collect(), adaptsegnet.collect()]
    }

    /// Whether a backward pass also computes the gradients of D's own weights. Switched off for the generator's step, which
    /// doesn't need them.
    pub fn train(&self, on: bool) {
        for p in self.scope.parameters() {
            let _ = p.tensor.set_requires_grad(on);
        }
    }

    /// All weights and biases, at the base learning rate.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.scope.parameters()
    }

    /// All weights and biases by key.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.scope.state()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discriminator(classes: i64, first_width: i64) -> Discriminator {
        Discriminator::new("main", classes, first_width, 1, Device::Cpu, Kind::Float)
    }

    fn map(height: i64, width: i64) -> Tensor {
        Tensor::ones([1, 2, height, width], (Kind::Float, Device::Cpu))
    }

    #[test]
    fn keys_shapes_and_size_are_those_of_the_released_code() {
        let state = discriminator(19, 64).state();
        let names: Vec<_> = state.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[..3], ["main.0.weight", "main.0.bias", "main.2.weight"]);
        assert_eq!(state[8].1.size(), [1, 512, 4, 4]);
        assert_eq!(state.iter().map(|(_, t)| t.numel()).sum::<usize>(), 2_781_121);
    }

    #[test]
    fn the_grid_is_the_size_halved_five_times_with_rounding_down() {
        let d = discriminator(2, 4);
        for (input, output) in [((720, 1280), [22, 40]), ((760, 1280), [23, 40]), ((32, 63), [1, 1])] {
            assert_eq!(d.forward(&map(input.0, input.1)).unwrap().size()[2..], output);
        }
        let error = d.forward(&map(31, 40)).unwrap_err();
        assert_eq!(error, MapTooSmall { width: 40, height: 31 });
    }

    #[test]
    fn a_discriminator_that_does_not_train_passes_gradients_on_and_keeps_none() {
        let d = discriminator(2, 4);
        let map = map(32, 32).set_requires_grad(true);
        d.train(false);
        d.forward(&map).unwrap().sum(None).backward();
        assert!(map.grad().defined());
        assert!(d.parameters().iter().all(|p| !p.tensor.grad().defined()));
        d.train(true);
        d.forward(&map.detach()).unwrap().sum(None).backward();
        assert!(d.parameters().iter().all(|p| p.tensor.grad().defined()));
    }
    #[test]
    fn one_is_loaded_under_the_names_of_advent_of_adaptsegnet_and_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let (from, path) = (discriminator(3, 4).state(), folder.path().join("d.pth"));
        let advent = |key: &str| key.replace("main.", "");
        let adaptsegnet = |key: &str| {
            let (layer, rest) = advent(key).split_once('.').map(|(l, rest)| (l.to_owned(), rest.to_owned())).unwrap();
            format!(
                "{}.{rest}",
                ["conv1", "conv2", "conv3", "conv4", "classifier"][layer.parse::<usize>().unwrap() / 2]
            )
        };
        let ours = |key: &str| key.to_owned();
        for rename in [&advent as &dyn Fn(&str) -> String, &adaptsegnet, &ours] {
            let named: Vec<_> = from.iter().map(|(key, t)| (rename(key), t.shallow_clone())).collect();
            checkpoint::write(&path, &named, None).unwrap();
            let to = Discriminator::new("main", 3, 4, 2, Device::Cpu, Kind::Float);
            assert_ne!(to.state()[0].1, from[0].1);
            assert_eq!(to.load(&InputFile::new(&path)).unwrap().loaded.len(), 10);
            assert!(to.state().iter().zip(&from).all(|(to, from)| to == from));
        }
        let aux: Vec<_> = from.iter().map(|(key, t)| (key.replace("main.", "aux."), t.shallow_clone())).collect();
        checkpoint::write(&path, &aux, None).unwrap();
        let error = discriminator(3, 4).load(&InputFile::new(&path)).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "it holds the discriminator of the level `aux`, but the discriminator of one level is needed, `main`"
            ),
            "{error}"
        );
        let aux: Vec<_> = aux.into_iter().chain(from.iter().map(|(key, t)| (key.clone(), t.shallow_clone()))).collect();
        checkpoint::write(&path, &aux, None).unwrap();
        let error = discriminator(3, 4).load(&InputFile::new(&path)).unwrap_err();
        assert!(error.to_string().contains("the discriminators of the levels `aux` and `main`"), "{error}");
        assert!(error.cure().unwrap().starts_with("`discriminator_init` takes"));
        checkpoint::write(&path, &from, None).unwrap();
        let error = discriminator(5, 4).load(&InputFile::new(&path)).unwrap_err().to_string();
        assert!(
            error.ends_with("d.pth: tensor `main.0.weight` has shape [4, 3, 4, 4], expected [4, 5, 4, 4]"),
            "{error}"
        );
    }
}
