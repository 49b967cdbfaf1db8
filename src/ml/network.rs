//! What the adaptation loop sees of a segmentation network: logits from one or two levels, named tensors, learning rates.
//!
//! It doesn't know any particular network (`arch` lists them), nor losses or optimisers. A network owns its tensors;
//! everybody else holds shallow copies of them by name, because libtorch's tensors are shared handles and a second
//! registry of variables (tch's `VarStore`) would only hide which of them an optimiser moves.
//!
//! A forward pass takes the statistics that it normalises by, and from which draw it drops (dropout, drop-path), if from
//! any. A "training mode" would tie the two together, and a teacher in self-training needs the statistics of its batch
//! without drops.
use intrada_data::input_file::InputFile;
use serde::Deserialize;
use tch::{Tensor, no_grad};

use crate::checkpoint::{self, CheckpointError, Member, Restored, Rule};
use crate::draws::Draw;
use crate::equations::Alignment;

/// What batch normalisation normalises by. Networks without it ignore this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistics {
    /// Those of the batch, which also move the running ones: training.
    Batch,
    /// The running ones, which stay: inference.
    Running,
}

/// Class scores before softmax at the network's own resolution, each N×C×h×w.
pub struct Logits {
    /// The auxiliary head's, in the middle of the network; none in a single-level network.
    pub aux: Option<Tensor>,
    /// The main head's, which alone predicts.
    pub main: Tensor,
    /// The network's deepest map, N×D×h×w, from which the main head predicts: what the feature distance compares.
    pub features: Tensor,
}

/// Input N×3×H×W → the main head's logits, N×C×h×w: those of [`Network::forward`] by [`Statistics::Running`] but for rounding,
/// without the auxiliary head and without anything that a gradient would need.
pub type Predictor<'a> = Box<dyn Fn(&Tensor) -> Tensor + 'a>;

/// What a network predicts of images: the main head's logits at its own resolution, and how that grid lies on the images.
pub struct Prediction {
    /// N×C×h×w.
    pub logits: Tensor,
    /// The network's.
    pub alignment: Alignment,
}

/// Which learning rate a parameter gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateGroup {
    /// The base rate: what was pretrained.
    Body,
    /// The base rate times a factor (10 in the papers): classifiers that start from random numbers.
    Head,
}

/// A trainable tensor.
pub struct Parameter {
    /// Its checkpoint key.
    pub name: String,
    /// A shallow copy of the live tensor.
    pub tensor: Tensor,
    /// Its learning rate.
    pub group: RateGroup,
    /// How often the released code lists it in its optimiser: 1 unless a network says otherwise. Whether that counts is
    /// the optimiser's setting, [`Repeats`](crate::optim::Repeats).
    pub repeats: u32,
}

/// A segmentation network.
pub trait Network {
    /// N×3×H×W → logits N×C×h×w. The input is normalised as the network's `Arch::normalization` says. Without a `draw`
    /// nothing is dropped; networks that never drop anything ignore it.
    ///
    /// # Panics
    /// A side is below [`Network::smallest_side`]; [`ImageTooSmall::check`] tells before.
    fn forward(&self, x: &Tensor, statistics: Statistics, draw: Option<Draw>) -> Logits;

    /// How its logits lie on the image.
    fn alignment(&self) -> Alignment {
        Alignment::Corners
    }

    /// The network in the form in which it predicts, with its weights as they are now; see [`Predictor`].
    fn predictor(&self) -> Predictor<'_> {
        Box::new(|x| no_grad(|| self.forward(x, Statistics::Running, None).main))
    }

    /// Pixels per cell of its deepest map, a side: images whose sides are multiples of it are covered by whole cells.
    fn feature_stride(&self) -> i64;

    /// The smallest side of an image that it can see, in pixels.
    fn smallest_side(&self) -> i64 {
        1
    }

    /// C, the number of classes.
    fn classes(&self) -> i64;

    /// Whether [`Network::forward`] gives auxiliary logits.
    fn multi_level(&self) -> bool;

    /// What an optimiser may move, in a fixed order.
    fn parameters(&self) -> Vec<Parameter>;

    /// All parameters and buffers by checkpoint key, as shallow copies of the live tensors.
    fn state(&self) -> Vec<(String, Tensor)>;

    /// Copies the weights of a whole network like this one: of a training, or published ones. If the file has a student and
    /// a teacher, `member` is taken.
    ///
    /// # Errors
    /// A missing or unexpected key, a wrong shape, an unreadable file.
    fn load_weights(&self, file: &InputFile, member: Member) -> Result<Restored, CheckpointError> {
        checkpoint::restore_member(file, &self.state(), Rule::WEIGHTS, member)
    }

    /// Copies published pretrained weights into the network, perhaps of a part of it only.
    ///
    /// Unless a network says otherwise, the file must hold exactly its own state.
    ///
    /// # Errors
    /// A missing or unexpected key, a wrong shape, an unreadable file.
    fn load_pretrained(&self, file: &InputFile, member: Member) -> Result<Restored, CheckpointError> {
        self.load_weights(file, member)
    }
}

/// An image that is smaller than a network can see.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("too small for the network: {width}×{height} pixels, and it needs {least} a side")]
pub struct ImageTooSmall {
    /// Pixels.
    pub width: i64,
    /// Pixels.
    pub height: i64,
    /// [`Network::smallest_side`].
    pub least: i64,
}

impl ImageTooSmall {
    /// Whether a network can see images N×3×H×W.
    ///
    /// # Errors
    /// They are too small.
    pub fn check(network: &dyn Network, images: &Tensor) -> Result<(), ImageTooSmall> {
        let size = images.size();
        ImageTooSmall::check_size(network, [size[3], size[2]])
    }

    /// Whether a network can see images of this width and height.
    ///
    /// # Errors
    /// They are too small.
    pub fn check_size(network: &dyn Network, [width, height]: [i64; 2]) -> Result<(), ImageTooSmall> {
        let least = network.smallest_side();
        if height.min(width) >= least { Ok(()) } else { Err(ImageTooSmall { width, height, least }) }
    }
}

/// The order of an image's channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    /// Red first, as image files are decoded.
    Rgb,
    /// Blue first, as networks that were converted from Caffe expect.
    Bgr,
}

/// How pixel values in 0..=255 become a network's input: first the channel order, then `(x - mean) / scale` per channel.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Normalization {
    /// Applied first; `mean` and `scale` are in this order.
    pub channels: ChannelOrder,
    /// Grey levels.
    pub mean: [f32; 3],
    /// Grey levels per unit of input.
    pub scale: [f32; 3],
}
