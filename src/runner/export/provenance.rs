//! The lineage of a result as RO-Crate 1.1 (JSON-LD).
//!
//! The exported folder is the crate. Each stage is an action with inputs and outputs; everything is identified by its digest, so
//! the same data set or file has the same identifier in two crates. The format prescribes the file name.
//! (Source: <https://w3id.org/ro/crate/1.1>; the actions as in its "Provenance of entities".)

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value as Json, json};

use super::subject::Network;
use crate::digest::{Digest, Encoder};
use crate::measures::timestamp;
use crate::pipeline::{InputSource, Pipeline, Stage};
use crate::results::made_with;
use crate::sched::done::Done;
use crate::sched::session::Session;

/// The name that the format prescribes.
pub(super) const FILE: &str = "ro-crate-metadata.json";

const SOFTWARE: &str = "#intrada";

/// A hash over the keys and outputs of a result and its ancestors, independent of names and times.
pub(super) fn digest(lineage: &[Done]) -> Digest {
    let mut encoder = Encoder::new("intrada/lineage/1");
    let mut stages: Vec<_> = lineage.iter().map(|done| (done.key, &done.artifacts)).collect();
    // Sorted, as the graph order depends on names.
    stages.sort_by_key(|(key, _)| *key.0.as_bytes());
    encoder.list("stages", stages.len());
    for (key, artifacts) in stages {
        encoder.field("key", key.0.as_bytes()).list("outputs", artifacts.len());
        for artifact in artifacts.iter() {
            encoder.field("", artifact.digest().0.as_bytes());
        }
    }
    encoder.finish()
}

/// A file of an exported network's folder.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    /// Its name in the folder.
    pub(super) name: &'a str,
    /// What it is.
    pub(super) about: &'a str,
    /// Its media type.
    pub(super) media: &'a str,
}

/// The description of an exported network's folder. `export`: what was done to the weights, which the first of the parts has.
pub(super) fn crate_of(network: &Network<'_>, export: &str, parts: &[Part<'_>]) -> Json {
    let mut graph = Graph::default();
    let (mut actions, ends) = graph.stages(network.session, &network.lineage);
    for Part { name, about, media } in parts {
        graph.add(name, json!({"@type": "File", "name": about, "encodingFormat": media}));
    }
    let weights = network.done().artifacts[network.output].digest().to_string();
    graph.add(
        "#export",
        json!({
            "@type": "CreateAction",
            "name": export,
            "instrument": reference(SOFTWARE),
            "object": [reference(&artifact_id(&weights))],
            "result": [reference(parts[0].name)],
        }),
    );
    actions.push(reference("#export"));
    let (stage, pipeline) = (&network.stage().name, &network.pipeline().name);
    graph.described(json!({
        "name": format!("{stage} of {pipeline}"),
        "description": format!("a network for semantic segmentation, trained by the stage {stage} of the pipeline {pipeline}"),
        // The end of the training, not of the export, so that the bytes are reproducible.
        "datePublished": timestamp(ends.last().copied().unwrap_or_default()),
        "identifier": format!("blake3:{}", digest(&network.lineage)),
        "hasPart": parts.iter().map(|part| reference(part.name)).collect::<Vec<_>>(),
        "mentions": actions,
    }))
}

/// The description of a pipeline's results, without files. `None` if there are none.
pub(super) fn of_pipeline(session: &Session, lineage: &[Done]) -> Option<Json> {
    let mut graph = Graph::default();
    let (actions, ends) = graph.stages(session, lineage);
    let ended = ends.into_iter().reduce(f64::max)?;
    let pipeline = &session.pipeline.name;
    Some(graph.described(json!({
        "name": pipeline,
        "description": format!("inputs and outputs of the stages of the pipeline {pipeline}"),
        "datePublished": timestamp(ended),
        "identifier": format!("blake3:{}", digest(lineage)),
        "hasPart": [],
        "mentions": actions,
    })))
}

/// Entities by identifier, each once.
#[derive(Default)]
struct Graph {
    entities: BTreeMap<String, Json>,
}

impl Graph {
    /// Adds an entity unless it exists.
    fn add(&mut self, id: &str, mut entity: Json) {
        self.entities.entry(id.to_owned()).or_insert_with(|| {
            entity["@id"] = id.into();
            entity
        });
    }

    /// The complete description, with `root` as its subject.
    fn described(mut self, mut root: Json) -> Json {
        let version = env!("CARGO_PKG_VERSION");
        self.add(SOFTWARE, json!({"@type": "SoftwareApplication", "name": "intrada", "softwareVersion": version}));
        let terms = "those of the data sets, unknown to intrada";
        self.add("#licence", json!({"@type": "CreativeWork", "name": "not stated", "description": terms}));
        root["@type"] = "Dataset".into();
        root["license"] = reference("#licence");
        self.add("./", root);
        let standard = reference("https://w3id.org/ro/crate/1.1");
        self.add(FILE, json!({"@type": "CreativeWork", "about": reference("./"), "conformsTo": standard}));
        let entities: Vec<Json> = self.entities.into_values().collect();
        json!({"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": entities})
    }

    /// The stages: references to their actions, and when each ended.
    fn stages(&mut self, session: &Session, lineage: &[Done]) -> (Vec<Json>, Vec<f64>) {
        lineage.iter().map(|done| (reference(&action_id(done)), self.stage(session, done))).unzip()
    }

    /// A stage with its inputs, parameters and outputs; when it ended, in seconds since the Unix epoch.
    fn stage(&mut self, session: &Session, done: &Done) -> f64 {
        let pipeline = &session.pipeline;
        let stage = pipeline.stage(done.stage);
        let mut objects = Vec::new();
        for (role, ingredient) in &done.manifest.inputs {
            let id = artifact_id(&ingredient.digest.to_string());
            let count = done.samples.iter().find(|(of, _)| of == role).map(|(_, count)| *count);
            self.add(&id, source(pipeline, stage, role, &ingredient.digest.to_string(), count));
            objects.push(reference(&id));
        }
        for (name, value) in &done.manifest.parameters {
            let id = format!("{}-{name}", action_id(done));
            self.add(&id, json!({"@type": "PropertyValue", "name": name, "value": value}));
            objects.push(reference(&id));
        }
        let results = stage.outputs.iter().zip(done.artifacts.iter()).map(|(output, artifact)| {
            let digest = artifact.digest().to_string();
            let id = artifact_id(&digest);
            let entity = json!({
                "@type": "CreativeWork",
                "name": format!("{} of {}", output.name, stage.name),
                "identifier": format!("blake3:{digest}"),
                "size": format!("{} bytes in {} files", artifact.size, artifact.files),
            });
            self.add(&id, entity);
            reference(&id)
        });
        let results: Vec<Json> = results.collect();
        let mut action = json!({
            "@type": "CreateAction",
            "name": stage.name,
            "description": stage.kind.summary,
            "instrument": reference(SOFTWARE),
            "object": objects,
            "result": results,
        });
        // The record may have been deleted from the cache since.
        let trace = session.store.load(done.key).ok().flatten();
        if let Some(line) = trace.as_ref().and_then(|trace| made_with::line(&trace.note)) {
            action["description"] = format!("{} Computed with {line}.", stage.kind.summary).into();
        }
        let times = trace.map(|trace| (trace.started, trace.started + trace.seconds));
        if let Some((started, ended)) = times {
            action["startTime"] = timestamp(started).into();
            action["endTime"] = timestamp(ended).into();
        }
        self.add(&action_id(done), action);
        times.map_or(0.0, |(_, ended)| ended)
    }
}

/// An input other than a whole output of an earlier stage, which exists already.
fn source(pipeline: &Pipeline, stage: &Stage, role: &str, digest: &str, count: Option<usize>) -> Json {
    let identifier = format!("blake3:{digest}");
    match stage.input(role).map(|input| &input.from) {
        Some(InputSource::Dataset { dataset, labels }) => {
            let dataset = pipeline.dataset(*dataset);
            let count = count.map(|count| format!(", {count} images")).unwrap_or_default();
            let labels = if *labels { "images and labels" } else { "images without labels" };
            let description = format!("{labels}, format {}{count}", dataset.format_name());
            json!({"@type": "Dataset", "name": dataset.name, "description": description, "identifier": identifier})
        }
        Some(InputSource::Path { path, .. }) => {
            json!({"@type": "CreativeWork", "name": name_of(path), "identifier": identifier})
        }
        _ => json!({"@type": "CreativeWork", "name": format!("{role} of {}", stage.name), "identifier": identifier}),
    }
}

/// A path for publication, without the machine's folders.
pub(super) fn name_of(path: &Path) -> String {
    let name = if path.is_absolute() { path.file_name().map(Path::new) } else { None };
    name.unwrap_or(path).to_string_lossy().into_owned()
}

fn action_id(done: &Done) -> String {
    format!("#stage-{}", done.key)
}

fn artifact_id(digest: &str) -> String {
    format!("#blake3-{digest}")
}

fn reference(id: &str) -> Json {
    json!({"@id": id})
}
