//! Gathers what an exported network's files are made from: the training with its lineage and results.
//!
//! Knows no file of an export. Evaluations that aren't up to date are skipped, as a network can be exported without them.

use serde_json::Value as Json;

use super::Error;
use super::seeds::repeated;
use super::subject::{Found, Network};
use crate::kind::OutputRole;
use crate::pipeline::{OutputId, Pipeline, StageId};
use crate::results::metrics::Metrics;
use crate::sched::done::{Done, done};
use crate::sched::session::Session;

/// The weights `output` of a training, with all that is known of them.
///
/// # Errors
/// [`Error::Sources`].
pub(super) fn network(session: &mut Session, output: OutputId) -> Result<Network<'_>, Error> {
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
    Ok(Network { session, stage: output.stage, output: output.output, lineage, results, repeated })
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

/// JSON as the files of an export have it.
pub(super) fn pretty(value: &Json) -> String {
    // `{:#}` writes it indented.
    format!("{value:#}\n")
}
