//! DINOv2 (arXiv 2304.07193) for segmentation: its vision transformer with the linear head by which the paper evaluates it.
//!
//! Knows no losses and no data. An image whose sides are no multiples of 14 is padded to whole patches with zeros, which are
//! its mean colour, on both sides alike; the odd pixel is below and on the right. So does the released code
//! (`CenterPadding`), which then stretches the padded image's logits over the image; here the padding is cut off. So
//! logits are at a 14th of an image's sides where these are multiples of 14, else at its own size.
//!
//! Keys are those of the released code: `backbone.` and the keys of [`vit`](super::vit), `decode_head.` and those of the
//! head.
use intrada_data::input_file::InputFile;
use intrada_weights::names::dinov2::{ENCODERS, WHOLE};
use intrada_weights::names::{Extent, HEAD};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::checkpoint::{self, CheckpointError, Member, Restored, Rule};
use crate::draws::Draw;
use crate::equations::{Alignment, upsample};
use crate::layer::Scope;
use crate::network::{Logits, Network, Parameter, Statistics};

use super::linear_head::LinearHead;
use super::names::{has_head, read, whole_or_encoder};
use super::vit::{Form, PATCH, VisionTransformer};

mod names;

use names::Found;

/// The smallest side of an image, in pixels: one more than a patch. Of a single cell there is no variance, which batch
/// normalisation needs.
pub const SMALLEST_SIDE: i64 = PATCH + 1;

/// A head, by its name in a pipeline file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeadKind {
    /// On the last layer: that of the published `…_linear_head.pth`.
    #[default]
    #[serde(rename = "linear")]
    Linear,
    /// On the last four: that of the published `…_ms_head.pth`.
    #[serde(rename = "linear-4")]
    LinearFour,
}

impl HeadKind {
    /// How many of the last layers it sees.
    fn layers(self) -> usize {
        match self {
            HeadKind::Linear => 1,
            HeadKind::LinearFour => 4,
        }
    }
}

/// What only this network has a choice of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice {
    /// The head.
    pub head: HeadKind,
    /// The drop-path rate of the last block, 0..1. 0 where the released code evaluates.
    pub drop_path: f64,
}

/// The network.
pub struct DinoV2 {
    form: Form,
    kind: HeadKind,
    classes: i64,
    scope: Scope,
    backbone: VisionTransformer,
    head: LinearHead,
}

impl DinoV2 {
    /// A network with random weights.
    pub fn new(form: Form, classes: i64, choice: Choice, seed: u64, device: Device, kind: Kind) -> DinoV2 {
        let mut scope = Scope::new(seed, kind, device);
        let backbone = VisionTransformer::new(&mut scope, "backbone", form, choice.drop_path);
        let channels = form.size.width() * choice.head.layers() as i64;
        let head = LinearHead::new(&mut scope, "decode_head", channels, classes);
        DinoV2 { form, kind: choice.head, classes, scope, backbone, head }
    }
}

impl Network for DinoV2 {
    fn forward(&self, x: &Tensor, statistics: Statistics, draw: Option<Draw>) -> Logits {
        let margins = Margins::of(x);
        let mut maps = self.backbone.forward(&margins.added(x), draw, self.kind.layers());
        let main = margins.cut_off(self.head.forward(&maps, statistics));
        Logits { aux: None, main, features: maps.pop().expect("a head sees a layer at least") }
    }

    /// Of a padded image the map is that of the padding, too.
    fn feature_stride(&self) -> i64 {
        PATCH
    }

    fn alignment(&self) -> Alignment {
        Alignment::Edges
    }

    fn smallest_side(&self) -> i64 {
        SMALLEST_SIDE
    }

    fn classes(&self) -> i64 {
        self.classes
    }

    /// The published heads are single.
    fn multi_level(&self) -> bool {
        false
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.scope.parameters()
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.scope.state()
    }

    fn load_weights(&self, file: &InputFile, member: Member) -> Result<Restored, CheckpointError> {
        self.take(file, Extent::Whole, member).map_err(|error| self.explained(file, error, Extent::Whole))
    }

    /// Reads a whole network, or a transformer alone as published by the released code or by `transformers`.
    fn load_pretrained(&self, file: &InputFile, member: Member) -> Result<Restored, CheckpointError> {
        let taken = whole_or_encoder(|extent| self.take(file, extent, member));
        taken.map_err(|error| self.explained(file, error, Extent::Encoder))
    }
}

impl DinoV2 {
    fn take(&self, file: &InputFile, extent: Extent, member: Member) -> Result<Restored, CheckpointError> {
        let live = self.state();
        let (rule, programs) = match extent {
            Extent::Whole => (Rule { skip: BESIDES, ..Rule::WEIGHTS }, &WHOLE[..]),
            Extent::Encoder => {
                let keep = &[(HEAD, "a head, which a backbone lacks")];
                (Rule { skip: BESIDES, keep, ..Rule::WEIGHTS }, &ENCODERS[..])
            }
        };
        let stored = read(file, member, programs, &live, rule, extent)?;
        if extent == Extent::Encoder && has_head(&stored.wrapping) {
            return Err(self.of_other_head(file));
        }
        checkpoint::copy_into(file.path(), &stored, &live, rule)
    }

    /// The file's transformer fits, and it has a head that doesn't.
    fn of_other_head(&self, file: &InputFile) -> CheckpointError {
        let cure = "give the model the `head` of the file, or name a file of the transformer alone, such as \
                    `dinov2_vits14_pretrain.pth`";
        self.relative(file, "a whole network whose head isn't this model's".to_owned(), cure)
    }

    /// A file of another transformer, or of another part of a network, is told by it: hundreds of missing tensors say less.
    fn explained(&self, file: &InputFile, error: CheckpointError, wanted: Extent) -> CheckpointError {
        if !error.is_misfit() {
            return error;
        }
        let shapes = checkpoint::shapes(file);
        let of_head = |name: &str| {
            let name = format!("{HEAD}{name}");
            shapes.iter().find(|(found, _)| found.ends_with(&name)).map(|(_, shape)| &shape[..])
        };
        let found = ENCODERS.iter().find_map(|program| Some((Found::of(program, &shapes)?, program.name)));
        match (found, of_head("bn.weight")) {
            (Some((found, program)), _) if found.form() != Some(self.form) => self.relative(
                file,
                format!("{found} under the names of {program}"),
                "give the stage a model of that `arch`, or name a file of the model's transformer",
            ),
            (Some(_), Some([channels])) if *channels != self.kind.layers() as i64 * self.form.size.width() => {
                self.of_other_head(file)
            }
            (Some(_), None) if wanted == Extent::Whole && of_head("conv_seg.weight").is_none() => self.relative(
                file,
                format!("a {} without a head", self.form),
                "a whole network is needed here; the `init` of a model takes a transformer alone",
            ),
            (None, Some(_)) => self.relative(
                file,
                "a head without its transformer".to_owned(),
                "name the file of the transformer, such as `dinov2_vits14_pretrain.pth`; a head alone can't be read",
            ),
            _ => error,
        }
    }

    fn relative(&self, file: &InputFile, found: String, cure: &'static str) -> CheckpointError {
        let head = serde_json::to_value(self.kind).unwrap_or_default();
        let wanted = format!("a {} with `head = {head}`", self.form);
        CheckpointError::Relative { path: file.path().to_owned(), found, wanted, cure }
    }
}

/// What files have besides: names of our own, and those of `transformers`.
const BESIDES: &[(&str, &str)] = &[
    ("backbone.mask_token", MASK_TOKEN),
    ("mask_token", MASK_TOKEN),
    ("embeddings.mask_token", MASK_TOKEN),
    ("classifier.", "ImageNet's classifier"),
];
const MASK_TOKEN: &str = "what stands for masked patches, in the pretraining alone";

/// What an image lacks to whole patches.
struct Margins {
    /// H, W.
    image: [i64; 2],
    /// Above, on the left.
    before: [i64; 2],
    /// Below, on the right.
    after: [i64; 2],
}

impl Margins {
    /// `x`: N×3×H×W.
    fn of(x: &Tensor) -> Margins {
        let image = [2, 3].map(|side| x.size()[side]);
        let lacking = image.map(|side| (PATCH - side % PATCH) % PATCH);
        let before = lacking.map(|pixels| pixels / 2);
        Margins { image, before, after: lacking.map(|pixels| pixels - pixels / 2) }
    }

    fn are_none(&self) -> bool {
        self.after == [0, 0]
    }

    /// The image with zeros around it.
    fn added(&self, x: &Tensor) -> Tensor {
        let Margins { before: [above, left], after: [below, right], .. } = *self;
        if self.are_none() { x.shallow_clone() } else { x.constant_pad_nd([left, right, above, below]) }
    }

    /// What belongs to the image of the logits of the padded one: at its size, or as they are where nothing was added.
    fn cut_off(&self, logits: Tensor) -> Tensor {
        if self.are_none() {
            return logits;
        }
        let Margins { image: [height, width], before: [above, left], after: [below, right] } = *self;
        let padded = upsample(&logits, [above + height + below, left + width + right], Alignment::Edges);
        padded.narrow(2, above, height).narrow(3, left, width)
    }
}

#[cfg(test)]
mod tests;
