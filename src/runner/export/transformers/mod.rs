//! Exports a SegFormer or a DINOv2 as a folder that `transformers` loads by `from_pretrained`.
//!
//! The tensors get the names that `transformers` gives them, and some are cut into several; they stay in their place in the file,
//! so that only its header is new. A head that `transformers` has no class for comes as code, which its users have to allow.
//! Knows no tensor; a test of the worker compares the logits.

mod form;

use std::path::Path;

use serde_json::{Map, Value as Json};

use super::config::{arch, config, metadata};
use super::network::{network, pretty};
use super::package::Package;
use super::provenance::{self, Part};
use super::wishes::Wishes;
use super::{Error, Format, card};
use crate::kind::OutputRole;
use crate::pipeline::OutputId;
use crate::sched::session::Session;

pub use form::Form;

/// The format.
pub(super) const FORMAT: Format = Format {
    name: "transformers",
    about: "a SegFormer or DINOv2 as a folder that Hugging Face's transformers loads, with model card and lineage",
    exports: OutputRole::Weights,
    stage: "a training",
    is_graph: false,
    write,
};

/// The files of every such folder, but for the lineage, which describes them.
const PARTS: [Part; 4] = [
    Part { name: "model.safetensors", about: "the weights", media: "application/octet-stream" },
    Part { name: "config.json", about: "classes, colours, the network's options", media: "application/json" },
    Part { name: "preprocessor_config.json", about: "preprocessing", media: "application/json" },
    Part { name: "README.md", about: "the model card", media: "text/markdown" },
];

/// Exports the weights `output` of a training into the folder `place`; their paths.
///
/// # Errors
/// [`Error`]; `place` is as it was then.
fn write(session: &mut Session, output: OutputId, place: &Path, _: &Wishes) -> Result<Vec<String>, Error> {
    let (store, root) = (session.store.clone(), session.pipeline.root.clone());
    let network = network(session, output)?;
    let own = entries(config(&network));
    let Some(form) = Form::of(&own) else {
        return Err(Error::NotOfTransformers { stage: network.stage().name.clone(), arch: arch(&network).to_owned() });
    };
    let package = Package::begin(&store, &root, place)?;
    let weights = network.weights()?;
    let malformed = |reason| Error::NotSafetensors { stage: network.stage().name.clone(), reason };
    let (header, data) = form.weights(&weights, &metadata(&network)).map_err(malformed)?;
    let code = form.code().iter().map(|(name, about, _)| Part { name, about, media: "text/x-python" });
    let parts: Vec<Part> = PARTS.into_iter().chain(code).collect();
    let lineage = provenance::crate_of(&network, "export: the same numbers under the names of transformers", &parts);
    package.write("model.safetensors", &[&header, data])?;
    package.write("config.json", &[pretty(&form.config(&own).into()).as_bytes()])?;
    package.write("preprocessor_config.json", &[pretty(&form.preprocessor(&own).into()).as_bytes()])?;
    package.write("README.md", &[card::card(&network, &form.usage(&own)).as_bytes()])?;
    for (name, _, text) in form.code() {
        package.write(name, &[text.as_bytes()])?;
    }
    package.write(provenance::FILE, &[pretty(&lineage).as_bytes()])?;
    package.list_sums()?;
    Ok(package.finish()?.into_iter().map(|file| place.join(file).display().to_string()).collect())
}

fn entries(config: Json) -> Map<String, Json> {
    let Json::Object(entries) = config else { panic!("config.json is an object") };
    entries
}
