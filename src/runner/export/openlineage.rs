//! The lineage as OpenLineage events: one at the start of each stage, and one at its completion.
//!
//! Generated from the records of finished runs. There are no events of failures, and the same call gives the same events with the
//! same ids, so they can be sent again. Collectors connect inputs with outputs by name, so all names are generated here; contents
//! are versions.
//! (Source: <https://openlineage.io/pipeline/2-0-2/OpenLineage.json>.)

use serde_json::{Value as Json, json};

use super::provenance;
use crate::digest::{Encoder, Key};
use crate::measures::timestamp;
use crate::pipeline::{InputSource, OutputId, Pipeline};
use crate::sched::done::Done;
use crate::sched::session::Session;

const PRODUCER: &str = concat!("urn:intrada:", env!("CARGO_PKG_VERSION"));

/// The events of these stages, in graph order. Stages without a record in the cache have none.
pub(super) fn events(session: &Session, lineage: &[Done]) -> Vec<Json> {
    let of_stage = |done: &Done| {
        let trace = session.store.load(done.key).ok()??;
        let event = |kind: &str, at: f64| {
            json!({
                "eventType": kind,
                "eventTime": timestamp(at),
                "producer": PRODUCER,
                "schemaURL": "https://openlineage.io/pipeline/2-0-2/OpenLineage.json#/$defs/RunEvent",
                "run": {"runId": run_id(done.key, trace.started)},
                "job": job(&session.pipeline, done),
                "inputs": inputs(&session.pipeline, done),
                "outputs": outputs(&session.pipeline, done),
            })
        };
        Some([event("START", trace.started), event("COMPLETE", trace.started + trace.seconds)])
    };
    lineage.iter().filter_map(of_stage).flatten().collect()
}

/// A UUID of version 8 (RFC 9562, 5.8) from a hash.
fn run_id(key: Key, started: f64) -> String {
    let digest =
        Encoder::new("intrada/run/1").field("key", key.0.as_bytes()).field("started", &started.to_le_bytes()).finish();
    let mut bytes: [u8; 16] = digest.as_bytes()[..16].try_into().expect("a digest has 32 bytes");
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = format!("{:032x}", u128::from_be_bytes(bytes));
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

fn job(pipeline: &Pipeline, done: &Done) -> Json {
    let stage = pipeline.stage(done.stage);
    let kind = json!({"processingType": "BATCH", "integration": "INTRADA", "jobType": stage.kind.name});
    json!({
        "namespace": pipeline.name,
        "name": stage.name,
        "facets": {"jobType": facet("2-0-3/JobTypeJobFacet", kind)},
    })
}

fn inputs(pipeline: &Pipeline, done: &Done) -> Vec<Json> {
    let stage = pipeline.stage(done.stage);
    let input = |input: &crate::pipeline::Input| {
        let name = match &input.from {
            InputSource::Output { output, .. } => output_name(pipeline, *output),
            InputSource::Dataset { dataset, .. } => format!("datasets/{}", pipeline.dataset(*dataset).name),
            InputSource::Path { path, .. } => format!("files/{}", provenance::name_of(path)),
        };
        Some(dataset(pipeline, &name, &done.manifest.inputs.get(&input.role)?.digest.to_string()))
    };
    stage.inputs.iter().filter_map(input).collect()
}

fn outputs(pipeline: &Pipeline, done: &Done) -> Vec<Json> {
    let outputs = done.artifacts.iter().enumerate().map(|(output, artifact)| {
        let name = output_name(pipeline, OutputId { stage: done.stage, output });
        dataset(pipeline, &name, &artifact.digest().to_string())
    });
    outputs.collect()
}

fn output_name(pipeline: &Pipeline, OutputId { stage, output }: OutputId) -> String {
    let stage = pipeline.stage(stage);
    format!("stages/{}/{}", stage.name, stage.outputs[output].name)
}

fn dataset(pipeline: &Pipeline, name: &str, digest: &str) -> Json {
    let version = facet("1-0-1/DatasetVersionDatasetFacet", json!({"datasetVersion": format!("blake3:{digest}")}));
    json!({"namespace": pipeline.name, "name": name, "facets": {"version": version}})
}

fn facet(of: &str, mut content: Json) -> Json {
    let (_, name) = of.split_once('/').expect("a version and a name");
    content["_producer"] = PRODUCER.into();
    content["_schemaURL"] = format!("https://openlineage.io/pipeline/facets/{of}.json#/$defs/{name}").into();
    content
}
