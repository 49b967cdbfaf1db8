//! DeepLab-v2 (arXiv 1606.00915) as trained by AdaptSegNet, AdvEnt and IntraDA: a dilated ResNet with one or two sums of
//! four dilated convolutions. No fully connected CRF, no multiple scales.
//!
//! Knows no losses and no data, and doesn't upsample: logits are at an eighth of the image's resolution (rounded up, or one
//! more). Keys are those of the released code: [`resnet`](crate::arch::resnet)'s, and `layer5.conv2d_list.{0..3}.{weight,bias}`
//! for the auxiliary head on layer 3 and `layer6.…` for the main one on layer 4.
use std::path::Path;

use intrada_data::input_file::InputFile;
use serde::Deserialize;
use tch::{Device, Kind, Tensor, no_grad};

use crate::arch::resnet::{Depth, FIRST, OUTPUTS, ResNet};
use crate::aspp::Aspp;
use crate::checkpoint::{self, Apart, Checkpoint, CheckpointError, Member, Restored, Rule};
use crate::draws::Draw;
use crate::layer::{Scope, channels_last};
use crate::network::{Logits, Network, Parameter, Predictor, RateGroup, Statistics};

const DILATIONS: [i64; 4] = [6, 12, 18, 24];

/// What a backbone file may lack.
const BACKBONE: Rule<'static> = Rule { keep: &[("layer5.", HEAD), ("layer6.", HEAD)], ..Rule::WEIGHTS };
const HEAD: &str = "a head, which a backbone lacks";

/// How many of a head's four branches are summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub enum Branches {
    /// Dilations 6 and 12, as in AdaptSegNet's released code, whose loop returns too early. Its published checkpoints reach
    /// their published scores only with these.
    Two = 2,
    /// All, as in the papers and AdvEnt's and IntraDA's code.
    #[default]
    Four = 4,
}

impl TryFrom<i64> for Branches {
    type Error = String;

    fn try_from(branches: i64) -> Result<Branches, String> {
        match branches {
            2 => Ok(Branches::Two),
            4 => Ok(Branches::Four),
            _ => Err(format!("a sum of {branches} branches; 2 and 4 exist")),
        }
    }
}

/// The network.
pub struct DeepLabV2 {
    classes: i64,
    scope: Scope,
    backbone: ResNet,
    aux: Option<Aspp>,
    main: Aspp,
}

impl DeepLabV2 {
    /// A network with random weights: N(0, 0.01), heads' biases uniform in ±1/√(9·channels). Without `multi_level` it has
    /// no auxiliary head.
    pub fn new(
        depth: Depth,
        classes: i64,
        multi_level: bool,
        branches: Branches,
        seed: u64,
        device: Device,
        kind: Kind,
    ) -> DeepLabV2 {
        let mut scope = Scope::new(seed, kind, device).channels_last();
        let backbone = ResNet::new(&mut scope, depth);
        let mut head =
            |name, input| Aspp::new(&mut scope, name, [input, classes], &DILATIONS, FIRST).summing(branches as usize);
        let aux = multi_level.then(|| head("layer5", OUTPUTS[0]));
        let main = head("layer6", OUTPUTS[1]);
        DeepLabV2 { classes, scope, backbone, aux, main }
    }
}

impl Network for DeepLabV2 {
    fn forward(&self, x: &Tensor, statistics: Statistics, _: Option<Draw>) -> Logits {
        let [middle, deep] = self.backbone.forward(&channels_last(x), statistics);
        let aux = self.aux.as_ref().map(|head| head.forward(&middle));
        Logits { aux, main: self.main.forward(&deep), features: deep }
    }

    fn feature_stride(&self) -> i64 {
        8
    }

    /// Batch normalisation folded, the main head as taps.
    fn predictor(&self) -> Predictor<'_> {
        let (backbone, main) = no_grad(|| (self.backbone.folded(), self.main.taps()));
        Box::new(move |x| no_grad(|| main.forward(&backbone.deep(x))))
    }

    fn classes(&self) -> i64 {
        self.classes
    }

    fn multi_level(&self) -> bool {
        self.aux.is_some()
    }

    /// Only convolutions: scale and shift of batch normalisation are frozen. `repeats` are the released code's.
    fn parameters(&self) -> Vec<Parameter> {
        let repeated = |p: Parameter| Parameter { repeats: listed(&p), ..p };
        self.scope.parameters().into_iter().map(repeated).collect()
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.scope.state()
    }

    /// Key for key as saved by AdvEnt, IntraDA and AdaptSegNet's multi-level program. A single-level network skips
    /// another's auxiliary head. It also reads AdaptSegNet's network of one head (`deeplab.py`), which calls it `layer5`.
    fn load_weights(&self, file: &InputFile, member: Member) -> Result<Restored, CheckpointError> {
        self.take_whole(file.path(), checkpoint::read_member(file, &self.whole_forms(), member)?)
    }

    /// Reads a whole network or a backbone, distinguished by the main head, `layer6`. A backbone gives layers 1 to 4 and no
    /// head: `layer5` in the published ImageNet files is a head of older networks on another layer, and `fc` ImageNet's
    /// classifier. Files converted from Caffe have the prefix `Scale.`.
    fn load_pretrained(&self, file: &InputFile, member: Member) -> Result<Restored, CheckpointError> {
        let mut forms = self.whole_forms();
        forms.push(checkpoint::required(&self.state(), BACKBONE));
        let (path, stored) = (file.path(), checkpoint::read_member(file, &forms, member)?);
        if has(&stored, "layer6.") { self.take_whole(path, stored) } else { self.take_backbone(path, stored) }
    }
}

impl DeepLabV2 {
    /// The names of a whole network in its files.
    fn whole_forms(&self) -> Vec<Vec<String>> {
        let own = checkpoint::required(&self.state(), Rule::WEIGHTS);
        let of_one_head = |key: &String| key.strip_prefix("layer6.").map(|rest| format!("layer5.{rest}"));
        let adaptsegnet = own.iter().map(|key| of_one_head(key).unwrap_or_else(|| key.clone())).collect();
        if self.aux.is_none() { vec![own, adaptsegnet] } else { vec![own] }
    }

    /// [`Network::load_weights`] for tensors already read; `path` is for messages.
    fn take_whole(&self, path: &Path, mut stored: Checkpoint) -> Result<Restored, CheckpointError> {
        if self.aux.is_none() && !has(&stored, "layer6.") {
            let named = |key: String| key.strip_prefix("layer5.").map(|rest| format!("layer6.{rest}")).unwrap_or(key);
            stored.tensors = stored.tensors.into_iter().map(|(key, tensor)| (named(key), tensor)).collect();
        }
        let skip: &[_] =
            if self.aux.is_none() { &[("layer5.", "an auxiliary head, which this network lacks")] } else { &[] };
        checkpoint::copy_into(path, &stored, &self.state(), Rule { skip, ..Rule::WEIGHTS })
    }

    /// Layers 1 to 4.
    fn take_backbone(&self, path: &Path, mut stored: Checkpoint) -> Result<Restored, CheckpointError> {
        // By name an old head could be taken for the auxiliary one.
        let foreign = [("layer5.", "a head of older networks, on another layer"), ("fc.", "ImageNet's classifier")];
        let reason = |key: &str| foreign.iter().find(|(prefix, _)| key.starts_with(prefix)).map(|(_, why)| *why);
        let aside: Vec<Apart> =
            stored.tensors.iter().filter_map(|(key, tensor)| Some(Apart::new(key, tensor, reason(key)?))).collect();
        stored.tensors.retain(|key, _| reason(key).is_none());
        let mut restored = checkpoint::copy_into(path, &stored, &self.state(), BACKBONE)?;
        restored.skipped.extend(aside);
        restored.skipped.sort();
        Ok(restored)
    }
}

fn has(stored: &Checkpoint, prefix: &str) -> bool {
    stored.tensors.keys().any(|key| key.starts_with(prefix))
}

/// How often the released code passes a parameter to SGD. Its routine takes all parameters below each module below a layer,
/// so a parameter occurs once for each module that contains it: once for the stem; for layer, block and convolution three
/// times, four times with a `downsample` in between. Heads are collected in another way, once.
fn listed(parameter: &Parameter) -> u32 {
    match (parameter.group, parameter.name.as_str()) {
        (RateGroup::Head, _) | (_, "conv1.weight") => 1,
        (_, name) if name.contains(".downsample.") => 4,
        _ => 3,
    }
}

#[cfg(test)]
mod tests;
