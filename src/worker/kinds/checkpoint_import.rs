//! `checkpoint-import`: a published file → weights under this program's tensor names, and a record of each tensor.

use intrada_ml::arch::Arch;
use intrada_ml::checkpoint::{self, Apart, Member, Restored, Wrapping};
use intrada_ml::network::Network;
use intrada_work::kinds::summary;
use intrada_work::{Failure, Notes, Work};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::model::{Model, log_restored};

#[derive(Deserialize)]
struct Parameters {
    #[serde(flatten)]
    model: Model,
    part: Part,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Part {
    Network,
    Teacher,
    Backbone,
}

/// The contents of `import.json`.
#[derive(Serialize)]
struct Record {
    arch: Arch,
    classes: i64,
    part: Part,
    loaded: Vec<Loaded>,
    /// Tensors of the file.
    skipped: Vec<Apart>,
    /// Tensors of the network.
    missing: Vec<Apart>,
    /// Where in the file the network was, and what else it held; absent if the network is the whole file.
    #[serde(flatten)]
    wrapping: Wrapping,
}

#[derive(Serialize)]
struct Loaded {
    name: String,
    shape: Vec<i64>,
}

pub(super) fn perform(work: &Work) -> Result<Notes, Failure> {
    let parameters: Parameters = work.parameters()?;
    let (network, restored) = read(work, &parameters)?;
    let Parameters { model, part } = parameters;
    let output = match part {
        Part::Network | Part::Teacher => "model.safetensors",
        Part::Backbone => "backbone.safetensors",
    };
    let notes = summary(log_restored(&restored));
    let mut state = network.state();
    state.retain(|(name, _)| restored.kept.iter().all(|apart| apart.name != *name));
    checkpoint::write(&work.output(output)?, &state, None)?;
    let record = record(&model, part, network.as_ref(), restored);
    std::fs::write(work.output("import.json")?, serde_json::to_string_pretty(&record)? + "\n")?;
    Ok(notes)
}

pub(super) fn try_weights(work: &Work) -> Result<(), Failure> {
    read(work, &work.parameters()?).map(|_| ())
}

/// Loads what the file has of the network.
fn read(work: &Work, parameters: &Parameters) -> Result<(Box<dyn Network>, Restored), Failure> {
    let network = parameters.model.fresh(work, 0, Kind::Float)?;
    let file = &work.file("file")?;
    let restored = parameters.model.checked(work, file, || match parameters.part {
        Part::Network => network.load_weights(file, Member::Student),
        Part::Teacher => network.load_weights(file, Member::Teacher),
        Part::Backbone => network.load_pretrained(file, Member::Student),
    })?;
    Ok((network, restored))
}

fn record(model: &Model, part: Part, network: &dyn Network, restored: Restored) -> Record {
    let Restored { loaded, skipped, kept, counters, wrapping, header: _ } = restored;
    let is_loaded = |name: &String| loaded.binary_search(name).is_ok();
    let shaped = |(name, tensor): &(String, Tensor)| Loaded { name: name.clone(), shape: tensor.size() };
    let loaded = network.state().iter().filter(|(name, _)| is_loaded(name)).map(shaped).collect();
    let mut missing = [kept, counters].concat();
    missing.sort();
    Record { arch: model.arch, classes: network.classes(), part, loaded, skipped, missing, wrapping }
}
