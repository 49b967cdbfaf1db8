//! Builds the network that a job names.

use std::collections::BTreeMap;

use intrada_data::input_file::InputFile;
use intrada_ml::arch::deeplab_v2::Branches;
use intrada_ml::arch::efficientnet_lite::OutputStride;
use intrada_ml::arch::{Arch, Options, dinov2, segformer};
use intrada_ml::checkpoint::{self, Apart, CheckpointError, Member, Restored};
use intrada_ml::network::Network;
use intrada_runner::kind::model::heads;
use intrada_work::log::log;
use intrada_work::{Failure, Work};
use serde::{Deserialize, Serialize};
use tch::Kind;

use crate::device;
use crate::exported::Exported;

/// A model of the pipeline file, from the job's parameters.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Model {
    /// Which network.
    #[serde(rename = "model.arch")]
    pub(crate) arch: Arch,
    /// Whether it has an auxiliary head, if the network has a choice.
    #[serde(rename = "model.multi_level")]
    multi_level: Option<bool>,
    /// Output stride at one of the heads' inputs, if the network has a choice.
    #[serde(rename = "model.output_stride")]
    output_stride: Option<OutputStride>,
    /// How many branches a head sums, if the network has a choice.
    #[serde(rename = "model.branches")]
    branches: Option<Branches>,
    /// The head, if the network has a choice.
    #[serde(rename = "model.head")]
    head: Option<Head>,
    /// The drop-path rate of the last block in training, if the network has one.
    #[serde(rename = "model.drop_path")]
    drop_path: Option<f64>,
    /// The share of channels dropped before the classifier in training, if the network drops any.
    #[serde(rename = "model.dropout")]
    dropout: Option<f64>,
}

/// The head of a network that has a choice; no two networks' heads have the same name.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum Head {
    SegFormer(segformer::HeadKind),
    DinoV2(dinov2::HeadKind),
}

impl Model {
    /// The network with fresh weights that depend only on `seed`.
    pub(crate) fn fresh(&self, work: &Work, seed: u64, kind: Kind) -> Result<Box<dyn Network>, Failure> {
        device::settle_layout(work)?;
        Ok(self.arch.build(self.options(work.class_count()?.into()), seed, device::of(&work.job), kind))
    }

    pub(crate) fn options(&self, classes: i64) -> Options {
        let Model { arch: _, multi_level, output_stride, branches, head, drop_path, dropout } = *self;
        let or = Options::new(classes, multi_level.unwrap_or(false));
        let segformer = segformer::Choice {
            head: if let Some(Head::SegFormer(head)) = head { head } else { or.segformer.head },
            drop_path: drop_path.unwrap_or(or.segformer.drop_path),
            dropout: dropout.unwrap_or(or.segformer.dropout),
        };
        let dinov2 = dinov2::Choice {
            head: if let Some(Head::DinoV2(head)) = head { head } else { or.dinov2.head },
            drop_path: drop_path.unwrap_or(or.dinov2.drop_path),
        };
        Options { output_stride, branches, segformer, dinov2, ..or }
    }

    /// The network with the weights of a training or of a published file, for inference.
    pub(crate) fn trained(&self, work: &Work, weights: &InputFile) -> Result<Box<dyn Network>, Failure> {
        let network = self.fresh(work, 0, Kind::Float)?;
        log_restored(&self.checked(work, weights, || network.load_weights(weights, Member::Student))?);
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
                let is_head = |name: &String| heads(&own[0].1).contains(&name.as_str());
                let has_head = restored.loaded.iter().any(is_head);
                if has_head && let Some(doubt) = said(&restored.header).agrees(&own, &classes, false)? {
                    work.warn(doubt);
                }
                Ok(restored)
            }
            // Differing values explain more than differing tensors.
            Err(error) => {
                if error.is_misfit() {
                    said(&checkpoint::header(file)).agrees(&own, &classes, true)?;
                }
                Err(error.into())
            }
        }
    }

    /// Everything that determines what the network predicts, as `export` writes it into a header. What is dropped in a
    /// training isn't.
    fn values(&self) -> Vec<(&'static str, String)> {
        let Model { arch, multi_level, output_stride, branches, head, drop_path: _, dropout: _ } = *self;
        let said = |name, value: Option<String>| value.map(|value| (name, value));
        let values = [
            said("arch", Some(name(arch))),
            said("multi_level", multi_level.map(|has| has.to_string())),
            said("output_stride", output_stride.map(|stride| (stride as i64).to_string())),
            said("branches", branches.map(|branches| (branches as i64).to_string())),
            said("head", head.map(name)),
        ];
        values.into_iter().flatten().collect()
    }
}

/// As in a pipeline file.
fn name(choice: impl Serialize) -> String {
    let name = serde_json::to_value(choice).ok().and_then(|name| Some(name.as_str()?.to_owned()));
    name.expect("an architecture and a head are written as their names")
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
    use intrada_ml::equations::Alignment;
    use intrada_ml::network::{ChannelOrder, Normalization};
    use intrada_runner::kind::model::{ARCHS, aligns_corners, feature_stride, heads, preprocessing, smallest_side};
    use intrada_runner::kind::{ValueType, Variant};
    use serde_json::{Value, json};

    use super::*;

    /// A model of this architecture with a value for each of its keys.
    fn model(arch: &Variant, head: Option<&str>) -> Model {
        let keys: Vec<&str> = arch.keys.iter().copied().flatten().map(|key| key.name).collect();
        let with = |name: &str, value: Value| if keys.contains(&name) { value } else { Value::Null };
        serde_json::from_value(json!({
            "model.arch": arch.name,
            "model.multi_level": with("multi_level", json!(true)),
            "model.output_stride": with("output_stride", json!(8)),
            "model.branches": with("branches", json!(4)),
            "model.head": with("head", json!(head)),
            "model.drop_path": with("drop_path", json!(0.1)),
            "model.dropout": with("dropout", json!(0.1)),
        }))
        .unwrap()
    }

    /// The choices of a key that takes a name; one, of nothing, where there is no such key.
    fn choices(arch: &Variant, key: &str) -> Vec<Option<&'static str>> {
        let found = arch.keys.iter().copied().flatten().find(|spec| spec.name == key);
        match found.map(|spec| spec.value_type) {
            Some(ValueType::Choice(names)) => names.iter().copied().map(Some).collect(),
            _ => vec![None],
        }
    }

    #[test]
    fn the_head_that_a_plan_counts_classes_by_is_that_of_the_network() {
        for arch in ARCHS.iter().filter(|arch| !is_large(arch.name)) {
            for head in choices(arch, "head") {
                let model = model(arch, head);
                let state = model.arch.build(model.options(7), 1, tch::Device::Cpu, Kind::Float).state();
                let is_head = |name: &str| heads(arch.name).iter().any(|head| name.ends_with(head));
                let named: Vec<_> = state.iter().filter(|(name, _)| is_head(name)).collect();
                assert_eq!(named.len(), 1, "{} {head:?}", arch.name);
                let (name, tensor) = named[0];
                assert!(heads(arch.name).contains(&name.as_str()), "{name} in full");
                assert_eq!(tensor.size()[0], 7, "{} {head:?}", arch.name);
            }
        }
    }

    /// Those of which another size has the same names.
    fn is_large(arch: &str) -> bool {
        let b_or_l = arch.starts_with("dinov2-vitb") || arch.starts_with("dinov2-vitl");
        b_or_l || ["segformer-b2", "segformer-b3", "segformer-b4", "segformer-b5"].contains(&arch)
    }

    #[test]
    fn every_key_of_a_model_is_held_against_what_a_file_says_but_for_where_it_starts_and_what_a_training_drops() {
        for arch in ARCHS {
            let keys = arch.keys.iter().copied().flatten();
            let predicts = |name: &&str| !["init", "part", "drop_path", "dropout"].contains(name);
            let head = choices(arch, "head")[0];
            let mut held: Vec<&str> = model(arch, head).values().iter().map(|(name, _)| *name).collect();
            let mut wanted: Vec<&str> = keys.map(|key| key.name).filter(predicts).chain(["arch"]).collect();
            held.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(held, wanted, "{}", arch.name);
        }
    }

    #[test]
    fn the_smallest_image_that_a_plan_allows_is_that_of_the_network() {
        for arch in ARCHS.iter().filter(|arch| !is_large(arch.name)) {
            let model = model(arch, choices(arch, "head")[0]);
            let network = model.arch.build(model.options(2), 1, tch::Device::Cpu, Kind::Float);
            assert_eq!(i64::from(smallest_side(arch.name)), network.smallest_side(), "{}", arch.name);
        }
    }

    #[test]
    fn the_cells_that_a_plan_expects_are_those_of_the_deepest_map() {
        for arch in ARCHS.iter().filter(|arch| !is_large(arch.name)) {
            let model = model(arch, choices(arch, "head")[0]);
            let network = model.arch.build(model.options(2), 1, tch::Device::Cpu, Kind::Float);
            let said = feature_stride(arch.name, model.output_stride.map(|stride| stride as i64));
            assert_eq!(i64::from(said), network.feature_stride(), "{}", arch.name);
        }
    }

    #[test]
    fn an_exported_network_says_how_its_grid_lies_on_the_image() {
        for arch in ARCHS.iter().filter(|arch| !is_large(arch.name)) {
            let model = model(arch, choices(arch, "head")[0]);
            let network = model.arch.build(model.options(2), 1, tch::Device::Cpu, Kind::Float);
            assert_eq!(aligns_corners(arch.name), network.alignment() == Alignment::Corners, "{}", arch.name);
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
