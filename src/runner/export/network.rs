//! Exports a trained network as a folder: weights, usage, results and lineage.
//!
//! Collects the data and writes the files; each file's content is generated in its own module. Evaluations that aren't up to
//! date are skipped, as a network can be exported without them.

use std::path::Path;

use serde_json::Value as Json;

use super::package::Package;
use super::seeds::repeated;
use super::subject::{Found, Network};
use super::{Error, Format, card, config, definition, provenance, safetensors};
use crate::kind::OutputRole;
use crate::pipeline::{OutputId, Pipeline, StageId};
use crate::results::metrics::Metrics;
use crate::sched::done::{Done, done};
use crate::sched::session::Session;
use crate::sums;

/// The network export format.
pub(super) const FORMAT: Format = Format {
    name: "network",
    about: "the weights of a training with model card, settings and lineage",
    exports: OutputRole::Weights,
    stage: "a training",
    write: network,
};

/// Exports the weights `output` of a training into the folder `place`; their paths.
///
/// # Errors
/// [`Error`]; `place` is as it was then.
fn network(session: &mut Session, output: OutputId, place: &Path) -> Result<Vec<String>, Error> {
    let package = Package::begin(&session.store, &session.pipeline.root, place)?;
    let lineage = done(session, &[output.stage])?;
    let evaluations = evaluations(&session.pipeline, output.stage);
    // Problems with an evaluation's images don't prevent the export.
    let evaluated = match evaluations[..] {
        // An empty list would mean all stages.
        [] => Vec::new(),
        _ => done(session, &evaluations).unwrap_or_default(),
    };
    let results = evaluated.iter().filter(|done| evaluations.contains(&done.stage));
    let results: Vec<Found> = results.flat_map(|done| found(session, done, output.stage)).collect();
    let repeated = repeated(session, output.stage);
    let network = Network { session, stage: output.stage, output: output.output, lineage, results, repeated };

    let weights = network.weights()?;
    let config = config::config(&network);
    let malformed = |reason| Error::NotSafetensors { stage: network.stage().name.clone(), reason };
    let (header, data) = safetensors::with_metadata(&weights, &config::metadata(&network)).map_err(malformed)?;
    let provenance = provenance::crate_of(&network);
    package.write("model.safetensors", &[&header, data])?;
    package.write("config.json", &[pretty(&config).as_bytes()])?;
    package.write("README.md", &[card::card(&network).as_bytes()])?;
    package.write(provenance::FILE, &[pretty(&provenance).as_bytes()])?;
    package.write("load.py", &[definition::program(&network).as_bytes()])?;
    package.list_sums()?;
    package.finish()?;
    let files = ["model.safetensors", "config.json", "README.md", provenance::FILE, "load.py", sums::FILE];
    Ok(files.map(|file| place.join(file).display().to_string()).into())
}

/// The evaluations of a training's networks.
fn evaluations(pipeline: &Pipeline, training: StageId) -> Vec<StageId> {
    let takes = |id: &StageId| {
        let mut networks = pipeline.measured_by(pipeline.stage(*id));
        networks.any(|network| network.training() == Some(training))
    };
    pipeline.evaluations().filter(takes).collect()
}

/// An evaluation's results for the networks of a training.
fn found(session: &Session, done: &Done, training: StageId) -> Vec<Found> {
    let stage = session.pipeline.stage(done.stage);
    let metrics = || -> Option<Metrics> {
        let place = stage.outputs.iter().position(|output| output.role == OutputRole::Metrics)?;
        serde_json::from_slice(&session.store.read(done.artifacts[place].object).ok()??).ok()
    };
    let (Some(mut metrics), Some(dataset)) = (metrics(), session.pipeline.dataset_of(stage)) else { return Vec::new() };
    let found = session.pipeline.measured_by(stage).filter_map(|network| {
        let measured = metrics.remove(network.name)?;
        let output = network.output.filter(|output| output.stage == training)?.output;
        Some(Found { evaluation: stage.name.clone(), dataset, output, measured })
    });
    found.collect()
}

fn pretty(value: &Json) -> String {
    // `{:#}` writes it indented.
    format!("{value:#}\n")
}
