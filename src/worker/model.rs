//! Builds the network that a job names.

use std::collections::BTreeMap;

use intrada_ml::arch::deeplab_v2::Branches;
use intrada_ml::arch::efficientnet_lite::OutputStride;
use intrada_ml::arch::{Arch, Options};
use intrada_ml::checkpoint::{self, Apart, CheckpointError, Restored};
use intrada_ml::input_file::InputFile;
use intrada_ml::network::Network;
use intrada_runner::kind::model::head;
use serde::Deserialize;
use tch::Kind;

use crate::exported::Exported;
use crate::work::{Failure, Work, log};

/// A model of the pipeline file, from the job's parameters.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Model {
    /// Which network.
    #[serde(rename = "model.arch")]
    pub(crate) arch: Arch,
    /// Whether it has an auxiliary head.
    #[serde(rename = "model.multi_level")]
    multi_level: bool,
    /// Output stride at one of the heads' inputs, if the network has a choice.
    #[serde(rename = "model.output_stride")]
    output_stride: Option<OutputStride>,
    /// How many branches a head sums, if the network has a choice.
    #[serde(rename = "model.branches")]
    branches: Option<Branches>,
}

impl Model {
    /// The network with fresh weights that depend only on `seed`.
    pub(crate) fn fresh(&self, work: &Work, seed: u64, kind: Kind) -> Result<Box<dyn Network>, Failure> {
        let Model { multi_level, output_stride, branches, .. } = *self;
        let options = Options { classes: work.class_count()?.into(), multi_level, output_stride, branches };
        Ok(self.arch.build(options, seed, work.device, kind))
    }

    /// The network with the weights of a training or of a published file, for inference.
    pub(crate) fn trained(&self, work: &Work, weights: &InputFile) -> Result<Box<dyn Network>, Failure> {
        let network = self.fresh(work, 0, Kind::Float)?;
        log_restored(&self.checked(work, weights, || network.load_weights(weights))?);
        Ok(network)
    }

    /// Loads `file` with `load`, and checks that the network that the file describes agrees with this one.
    ///
    /// # Errors
    /// `load` fails, or the file was exported from a network that computes something else.
    pub(crate) fn checked(
        &self,
        work: &Work,
        file: &InputFile,
        load: impl FnOnce() -> Result<Restored, CheckpointError>,
    ) -> Result<Restored, Failure> {
        let own = self.values();
        let classes: Vec<&str> = work.job.classes.iter().map(|class| class.name.as_str()).collect();
        let said = |header| Exported { path: file.path(), header };
        match load() {
            Ok(restored) => {
                // A backbone file says nothing of the head: this model's settings decide.
                let has_head = head(&own[0].1).is_some_and(|head| restored.loaded.iter().any(|name| name == head));
                if has_head && let Some(doubt) = said(&restored.header).agrees(&own, &classes, false)? {
                    work.warn(doubt);
                }
                Ok(restored)
            }
            // Differing values explain more than differing tensors.
            Err(error) => {
                use CheckpointError::{Missing, Shape, Unexpected, Unfitting};
                if matches!(error, Missing { .. } | Shape { .. } | Unexpected { .. } | Unfitting { .. }) {
                    said(&checkpoint::header(file)).agrees(&own, &classes, true)?;
                }
                Err(error.into())
            }
        }
    }

    /// Everything that determines what the network computes, as `export` writes it into a header.
    fn values(&self) -> Vec<(&'static str, String)> {
        let Model { arch, multi_level, output_stride, branches } = *self;
        let arch = serde_json::to_value(arch).ok().and_then(|name| Some(name.as_str()?.to_owned()));
        let arch = arch.expect("an architecture is written as its name");
        let number = |name, value: Option<i64>| value.map(|value| (name, value.to_string()));
        let numbers = [
            number("output_stride", output_stride.map(|stride| stride as i64)),
            number("branches", branches.map(|branches| branches as i64)),
        ];
        let mut values = vec![("arch", arch), ("multi_level", multi_level.to_string())];
        values.extend(numbers.into_iter().flatten());
        values
    }
}

/// How much of a file and of a network was loaded, as in `import.json`; the log lists the tensors that were not, and why.
pub(crate) fn log_restored(restored: &Restored) -> String {
    let Restored { loaded, skipped, kept, counters, wrapping, header: _ } = restored;
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
    use serde_json::{Value, json};

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
    fn every_key_of_a_model_is_held_against_what_a_file_says_but_for_where_it_starts() {
        for arch in ARCHS {
            let keys: Vec<&str> = arch.keys.iter().copied().flatten().map(|key| key.name).collect();
            let number = |name: &str| if keys.contains(&name) { json!(8) } else { Value::Null };
            let branches = if keys.contains(&"branches") { json!(4) } else { Value::Null };
            let model: Model = serde_json::from_value(json!({
                "model.arch": arch.name,
                "model.multi_level": true,
                "model.output_stride": number("output_stride"),
                "model.branches": branches,
            }))
            .unwrap();
            let mut held: Vec<&str> = model.values().iter().map(|(name, _)| *name).collect();
            let mut wanted: Vec<&str> = keys.iter().copied().filter(|name| *name != "init").chain(["arch"]).collect();
            held.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(held, wanted, "{}", arch.name);
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
