//! SegFormer (arXiv 2105.15203): a Mix Transformer with its own head, or with DAFormer's (arXiv 2111.14887).
//!
//! Knows no losses and no data, and doesn't upsample: logits are at a quarter of the image's resolution, rounded up. Keys are
//! those of NVIDIA's and DAFormer's released code: `backbone.` and the keys of [`mit`](super::mit), `decode_head.` and those
//! of the head.
use intrada_data::input_file::InputFile;
use intrada_weights::names::segformer::ALL;
use intrada_weights::names::{Extent, HEAD};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::checkpoint::{self, CheckpointError, Member, Restored, Rule};
use crate::draws::Draw;
use crate::equations::Alignment;
use crate::layer::Scope;
use crate::network::{Logits, Network, Parameter, Statistics};

use super::daformer_head::DaFormerHead;
use super::mit::{FEATURE_STRIDE, MixTransformer, SMALLEST_SIDE, Size};
use super::mmseg_head::MmsegHead;
use super::names::{has_head, read, whole_or_encoder};
use super::segformer_head::SegFormerHead;

mod names;

/// A head, by its name in a pipeline file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeadKind {
    /// NVIDIA's: linear layers and a 1×1 convolution.
    #[default]
    SegFormer,
    /// DAFormer's: linear layers and separable dilated convolutions.
    DaFormer,
    /// mmsegmentation's form of NVIDIA's, with more normalisation.
    #[serde(rename = "segformer-mmseg")]
    Mmseg,
}

/// What only this network has a choice of.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// The head.
    pub head: HeadKind,
    /// The drop-path rate of the last block, 0..1. 0.1 in all released configurations.
    pub drop_path: f64,
    /// The share of channels that are dropped before the classifier, 0..1. 0.1 in all released configurations.
    pub dropout: f64,
}

impl Default for Choice {
    fn default() -> Choice {
        Choice { head: HeadKind::default(), drop_path: 0.1, dropout: 0.1 }
    }
}

/// The network.
pub struct SegFormer {
    size: Size,
    classes: i64,
    scope: Scope,
    backbone: MixTransformer,
    head: Head,
}

enum Head {
    SegFormer(SegFormerHead),
    DaFormer(DaFormerHead),
    Mmseg(MmsegHead),
}

impl Head {
    fn kind(&self) -> HeadKind {
        match self {
            Head::SegFormer(_) => HeadKind::SegFormer,
            Head::DaFormer(_) => HeadKind::DaFormer,
            Head::Mmseg(_) => HeadKind::Mmseg,
        }
    }
}

impl SegFormer {
    /// A network with random weights.
    pub fn new(size: Size, classes: i64, choice: Choice, seed: u64, device: Device, kind: Kind) -> SegFormer {
        let Choice { head, drop_path, dropout } = choice;
        let mut scope = Scope::new(seed, kind, device).channels_last();
        let backbone = MixTransformer::new(&mut scope, "backbone", size, drop_path);
        let prefix = "decode_head";
        let head = match head {
            HeadKind::SegFormer => Head::SegFormer(SegFormerHead::new(&mut scope, prefix, size, classes, dropout)),
            HeadKind::DaFormer => Head::DaFormer(DaFormerHead::new(&mut scope, prefix, size, classes, dropout)),
            HeadKind::Mmseg => Head::Mmseg(MmsegHead::new(&mut scope, prefix, size, classes, dropout)),
        };
        SegFormer { size, classes, scope, backbone, head }
    }
}

impl Network for SegFormer {
    fn forward(&self, x: &Tensor, statistics: Statistics, draw: Option<Draw>) -> Logits {
        let mut maps = self.backbone.forward(x, draw);
        let main = match &self.head {
            Head::SegFormer(head) => head.forward(&maps, statistics, draw),
            Head::DaFormer(head) => head.forward(&maps, statistics, draw),
            Head::Mmseg(head) => head.forward(&maps, statistics, draw),
        };
        Logits { aux: None, main, features: maps.pop().expect("a Mix Transformer has four stages") }
    }

    fn feature_stride(&self) -> i64 {
        FEATURE_STRIDE
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

    /// The published networks have one head.
    fn multi_level(&self) -> bool {
        false
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.scope.parameters()
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.scope.state()
    }

    /// As saved by NVIDIA's SegFormer, DAFormer, MIC, `transformers` or mmsegmentation.
    fn load_weights(&self, file: &InputFile, member: Member) -> Result<Restored, CheckpointError> {
        self.take(file, Extent::Whole, member).map_err(|error| self.explained(file, error))
    }

    /// Reads a whole network, or an encoder as pretrained on ImageNet, under the names of any of these programs.
    fn load_pretrained(&self, file: &InputFile, member: Member) -> Result<Restored, CheckpointError> {
        let taken = whole_or_encoder(|extent| self.take(file, extent, member));
        taken.map_err(|error| self.explained(file, error))
    }
}

impl SegFormer {
    fn take(&self, file: &InputFile, extent: Extent, member: Member) -> Result<Restored, CheckpointError> {
        let (live, rule) = (self.state(), rule(extent));
        let stored = read(file, member, &ALL, &live, rule, extent)?;
        if extent == Extent::Encoder && has_head(&stored.wrapping) {
            return Err(self.of_other_head(file));
        }
        checkpoint::copy_into(file.path(), &stored, &live, rule)
    }

    /// The file's encoder fits, and it has a head that doesn't.
    fn of_other_head(&self, file: &InputFile) -> CheckpointError {
        let cure = "give the model the `head` of the file, or name a file of the encoder alone, such as `mit_b5.pth`";
        self.relative(file, "a whole network whose head isn't this model's".to_owned(), cure)
    }

    /// A file of another size is told by it: hundreds of missing tensors say less.
    fn explained(&self, file: &InputFile, error: CheckpointError) -> CheckpointError {
        if !error.is_misfit() {
            return error;
        }
        let shapes = checkpoint::shapes(file);
        let found = ALL.iter().find_map(|program| Some((names::size_in(program, &shapes)?, program.name)));
        match found.filter(|(size, _)| *size != self.size) {
            Some((size, program)) => self.relative(
                file,
                format!("a MiT-{size:?} under the names of {program}"),
                "give the stage a model of that `arch`, or name a file of the model's size",
            ),
            None if matches!(error, CheckpointError::Unfitting { .. }) => self.encoder_alone(file).unwrap_or(error),
            None => error,
        }
    }

    /// The file has this model's encoder, and a whole network was wanted.
    fn encoder_alone(&self, file: &InputFile) -> Option<CheckpointError> {
        let (live, rule) = (self.state(), rule(Extent::Encoder));
        let stored = read(file, Member::Student, &ALL, &live, rule, Extent::Encoder).ok()?;
        let cure = "name it as the `init` of the model, or import it with `part = \"backbone\"`";
        let found = || self.relative(file, format!("the encoder of a MiT-{:?} alone", self.size), cure);
        (!has_head(&stored.wrapping)).then(found)
    }

    fn relative(&self, file: &InputFile, found: String, cure: &'static str) -> CheckpointError {
        let head = serde_json::to_value(self.head.kind()).unwrap_or_default();
        let wanted = format!("a MiT-{:?} with `head = {head}`", self.size);
        CheckpointError::Relative { path: file.path().to_owned(), found, wanted, cure }
    }
}

/// What of a file is taken.
fn rule(extent: Extent) -> Rule<'static> {
    match extent {
        Extent::Whole => Rule { skip: &[(UNUSED, "a classifier that this head doesn't use")], ..Rule::WEIGHTS },
        Extent::Encoder => {
            Rule { skip: CLASSIFIER, keep: &[(HEAD, "a head, which a backbone lacks")], ..Rule::WEIGHTS }
        }
    }
}

/// Of mmsegmentation's base class; SegFormer's head has its own, and leaves this one as it was made.
const UNUSED: &str = "decode_head.conv_seg.";

/// Of ImageNet's classes, in NVIDIA's files and in those of `transformers`.
const CLASSIFIER: &[(&str, &str)] = &[("head.", "ImageNet's classifier"), ("classifier.", "ImageNet's classifier")];

#[cfg(test)]
mod tests;
