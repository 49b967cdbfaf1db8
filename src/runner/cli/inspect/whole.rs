//! `inspect --format json` without a stage: the whole pipeline for another program, as docs/python.md describes it.
//!
//! Says where results are and how to read them, not what they hold: a program reads the objects itself. Existing fields are
//! stable, new ones may be added.

use serde_json::{Map, Value as Json, json};

use super::super::Refusal;
use crate::pipeline::{Dataset, Input, InputSource, MeasuredNetwork, Stage, Which};
use crate::sched::dry::{self, Planned};
use crate::sched::session::Session;
use crate::store::{Artifact, Kind};

/// The version of this form.
const FORMAT: u32 = 1;

/// The pipeline with all its stages, in the order in which they run.
///
/// # Errors
/// Problems of the sources.
pub(super) fn as_json(session: &mut Session) -> Result<Json, Refusal> {
    let planned = dry::plan(session, &[], &[])?.stages;
    let pipeline = &session.pipeline;
    let cache = std::path::absolute(session.store.root()).unwrap_or_else(|_| session.store.root().to_owned());
    let classes = pipeline.classes.iter().map(|class| json!({ "name": class.name, "colour": class.colour }));
    Ok(json!({
        "format": FORMAT,
        "pipeline": pipeline.name,
        "description": pipeline.about.description,
        "tags": pipeline.about.tags,
        "root": pipeline.root.display().to_string(),
        "cache": cache.display().to_string(),
        "classes": classes.collect::<Vec<_>>(),
        "datasets": pipeline.datasets.iter().map(dataset).collect::<Vec<_>>(),
        "stages": planned.iter().map(|planned| stage(session, planned)).collect::<Vec<_>>(),
    }))
}

fn dataset(dataset: &Dataset) -> Json {
    json!({ "name": dataset.name, "format": dataset.format_name(), "size": dataset.size })
}

fn stage(session: &Session, planned: &Planned) -> Json {
    let pipeline = &session.pipeline;
    let stage = pipeline.stage(planned.stage);
    let axes = stage.coordinates.iter().map(|coordinate| (coordinate.axis.clone(), json!(coordinate.value)));
    let parameters = stage.parameters.iter().map(|parameter| (parameter.name.clone(), json!(parameter.value)));
    let artifacts = planned.artifacts.as_deref().unwrap_or_default();
    let outputs = stage.outputs.iter().enumerate().map(|(place, output)| {
        json!({
            "name": output.name,
            "contents": output.role.words(),
            "path": output.path.display().to_string(),
            "artifact": artifacts.get(place).map(artifact),
        })
    });
    json!({
        "name": stage.name,
        "family": stage.family,
        "kind": stage.kind.name,
        "axes": axes.collect::<Map<_, _>>(),
        "decision": planned.decision.name(),
        "reason": planned.reason,
        "key": planned.key,
        "seconds": planned.seconds,
        "parameters": parameters.collect::<Map<_, _>>(),
        "inputs": inputs(session, stage),
        "networks": networks(session, stage),
        "outputs": outputs.collect::<Vec<_>>(),
    })
}

/// What each key reads: a data set, another stage's output or a path.
fn inputs(session: &Session, stage: &Stage) -> Vec<Json> {
    let input = |input: &Input| match &input.from {
        InputSource::Dataset { dataset, .. } => {
            json!({ "key": input.role, "dataset": session.pipeline.dataset(*dataset).name })
        }
        InputSource::Output { output, .. } => {
            let other = session.pipeline.stage(output.stage);
            json!({ "key": input.role, "stage": other.name, "output": other.outputs[output.output].name })
        }
        InputSource::Path { path, .. } => json!({ "key": input.role, "path": path.display().to_string() }),
    };
    stage.inputs.iter().map(input).collect()
}

/// The networks that an evaluation measures: the name in its tables, and how it was chosen.
fn networks(session: &Session, stage: &Stage) -> Vec<Json> {
    let network = |network: MeasuredNetwork<'_>| {
        let training = network.training().map(|training| session.pipeline.stage(training).name.clone());
        json!({
            "name": network.name,
            "training": training,
            "is_teacher": network.which == Which::Teacher,
            "is_chosen_with_labels": network.is_chosen(),
            "is_chosen_without_labels": network.which == Which::Chosen,
        })
    };
    session.pipeline.measured_by(stage).map(network).collect()
}

fn artifact(artifact: &Artifact) -> Json {
    json!({
        "kind": if artifact.kind == Kind::Folder { "folder" } else { "file" },
        "object": artifact.object,
        "size": artifact.size,
        "files": artifact.files,
    })
}
