//! The network that a job names.

use std::collections::BTreeMap;

use intrada_ml::arch::{Arch, Options};
use intrada_ml::checkpoint::{Apart, Restored};
use intrada_ml::deeplab_v2::Branches;
use intrada_ml::efficientnet_lite::OutputStride;
use intrada_ml::input_file::InputFile;
use intrada_ml::network::Network;
use serde::Deserialize;
use tch::Kind;

use crate::work::{Failure, Work, log};

/// A model of the pipeline file, as its parameters arrive.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Model {
    /// Which network.
    #[serde(rename = "model.arch")]
    pub(crate) arch: Arch,
    /// Whether it has an auxiliary head.
    #[serde(rename = "model.multi_level")]
    multi_level: bool,
    /// Pixels of the image to one of the heads' input, where the network has a choice.
    #[serde(rename = "model.output_stride")]
    output_stride: Option<OutputStride>,
    /// How many branches of a head are summed, where the network has a choice.
    #[serde(rename = "model.branches")]
    branches: Option<Branches>,
}

impl Model {
    /// The network with fresh weights, a function of `seed`.
    pub(crate) fn fresh(&self, work: &Work, seed: u64, kind: Kind) -> Result<Box<dyn Network>, Failure> {
        let Model { multi_level, output_stride, branches, .. } = *self;
        let options = Options { classes: work.class_count()?.into(), multi_level, output_stride, branches };
        Ok(self.arch.build(options, seed, work.device, kind))
    }

    /// The network with the weights of a training or of a published file, for inference.
    pub(crate) fn trained(&self, work: &Work, weights: &InputFile) -> Result<Box<dyn Network>, Failure> {
        let network = self.fresh(work, 0, Kind::Float)?;
        told(&network.load_weights(weights)?);
        Ok(network)
    }
}

/// How much of a file and of a network was loaded, in the words of `import.json`; which tensors exactly were not, and why,
/// goes to the log.
pub(crate) fn told(restored: &Restored) -> String {
    let Restored { loaded, skipped, kept, counters, wrapping } = restored;
    for (what, tensors) in [("skipped", skipped), ("missing", kept), ("missing", counters)] {
        let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for Apart { name, why, .. } in tensors {
            by_reason.entry(why).or_default().push(name);
        }
        for (why, names) in by_reason {
            log(&format!("{what}, {why}: {}", names.join(" ")));
        }
    }
    let (loaded, skipped, missing) = (loaded.len(), skipped.len(), kept.len() + counters.len());
    let said = format!("{loaded} tensors loaded, {skipped} skipped, {missing} missing{wrapping}");
    log(&said);
    said
}

#[cfg(test)]
mod tests {
    use intrada_ml::network::{ChannelOrder, Normalization};
    use intrada_runner::kind::model::{ARCHS, head, preprocessing};

    use super::*;

    #[test]
    fn the_head_that_a_plan_counts_classes_by_is_that_of_the_network() {
        for arch in ARCHS {
            let own: Arch = serde_json::from_value(arch.name.into()).unwrap();
            let options = Options { classes: 7, multi_level: true, output_stride: None, branches: None };
            let state = own.build(options, 1, tch::Device::Cpu, Kind::Float).state();
            let head = head(arch.name).unwrap();
            let named: Vec<_> = state.iter().filter(|(name, _)| name.ends_with(head)).collect();
            assert_eq!(named.len(), 1, "{}", arch.name);
            assert_eq!((named[0].0.as_str(), named[0].1.size()[0]), (head, 7), "{}", arch.name);
        }
    }

    #[test]
    fn an_exported_preprocessing_is_that_of_the_network() {
        for arch in ARCHS {
            let said = preprocessing(arch.name).unwrap();
            let own: Arch = serde_json::from_value(arch.name.into()).unwrap();
            let Normalization { channels, mean, scale } = own.normalization();
            let channels = if channels == ChannelOrder::Rgb { "rgb" } else { "bgr" };
            assert_eq!((said.channels, said.mean, said.scale), (channels, mean, scale), "{}", arch.name);
        }
    }
}
