//! `checkpoint-import`: a published file → weights under the released code's names, and what became of each tensor.

use intrada_ml::arch::Arch;
use intrada_ml::checkpoint::{self, Apart, Restored};
use intrada_ml::network::Network;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::summary;
use crate::model::{Model, told};
use crate::work::{Failure, Notes, Work};

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
    Backbone,
}

/// What `import.json` holds.
#[derive(Serialize)]
struct Record {
    arch: Arch,
    classes: i64,
    part: Part,
    loaded: Vec<Loaded>,
    /// Of the file.
    skipped: Vec<Apart>,
    /// Of the network.
    missing: Vec<Apart>,
}

#[derive(Serialize)]
struct Loaded {
    name: String,
    shape: Vec<i64>,
}

pub(super) fn perform(work: &Work) -> Result<Notes, Failure> {
    let Parameters { model, part } = work.parameters()?;
    let network = model.fresh(work, 0, Kind::Float)?;
    let file = work.file("file")?;
    let (restored, output) = match part {
        Part::Network => (network.load_weights(file)?, "model.safetensors"),
        Part::Backbone => (network.load_pretrained(file)?, "backbone.safetensors"),
    };
    let notes = summary(told(&restored));
    let mut state = network.state();
    state.retain(|(name, _)| restored.kept.iter().all(|apart| apart.name != *name));
    checkpoint::write(&work.output(output)?, &state, None)?;
    let record = record(&model, part, network.as_ref(), &state, restored);
    std::fs::write(work.output("import.json")?, serde_json::to_string_pretty(&record)? + "\n")?;
    Ok(notes)
}

/// `state`: what is written.
fn record(model: &Model, part: Part, network: &dyn Network, state: &[(String, Tensor)], restored: Restored) -> Record {
    let Restored { loaded, skipped, kept: mut missing } = restored;
    let (loaded, counters): (Vec<_>, Vec<_>) = state.iter().partition(|(name, _)| loaded.binary_search(name).is_ok());
    let shaped = |(name, tensor): &(String, Tensor)| Loaded { name: name.clone(), shape: tensor.size() };
    // Whatever else the network has and the file lacks would have been an error.
    const COUNTER: &str = "a counter that nothing reads; PyTorch before 0.4.1 didn't write it";
    missing.extend(counters.into_iter().map(|(name, tensor)| Apart::new(name, tensor, COUNTER)));
    missing.sort();
    let loaded = loaded.into_iter().map(shaped).collect();
    Record { arch: model.arch, classes: network.classes(), part, loaded, skipped, missing }
}
