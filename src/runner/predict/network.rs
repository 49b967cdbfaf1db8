//! A trained network with all that is needed to predict with it.
//!
//! Knows no image. A network of a stage is found in the cache; that of a folder, in [`super::exported`].

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::Error;
use crate::dataset;
use crate::digest::{Digest, Encoder};
use crate::exec::job::{Class, Input};
use crate::kind::dataset::Scaling;
use crate::kind::training::is_learnt_from;
use crate::pipeline::{Dataset, Format, InputSource, OutputId, Pipeline, Stage, StageId};
use crate::plan::assemble;
use crate::sched::done::done;
use crate::sched::session::Session;

/// A network.
#[derive(Clone, Debug)]
pub struct Network {
    /// What messages call it: `intra`, or a folder.
    pub name: String,
    /// Its architecture and options, as `model.arch` and so on.
    pub parameters: BTreeMap<String, Json>,
    /// By index.
    pub classes: Vec<Class>,
    /// Width and height in pixels of the images of its training; `None`: as stored.
    pub size: Option<[u32; 2]>,
    /// How images take that size.
    pub scaling: Scaling,
    /// The file.
    pub weights: Input,
    /// The label value of each class, if the network was trained with labels of a data set.
    pub label_ids: Option<Vec<u8>>,
    /// A digest of everything that determines what it predicts.
    pub identity: Digest,
}

impl Network {
    /// That of a stage's output.
    ///
    /// # Errors
    /// Its stage is not up to date, or the cache has lost it.
    pub fn of_stage(session: &mut Session, output: OutputId, name: &str) -> Result<Network, Error> {
        let lineage = done(session, &[output.stage])?;
        let (stage, file) = (session.pipeline.stage(output.stage), session.pipeline.file.clone());
        let called = stage.name.clone();
        let Some(done) = lineage.last().filter(|done| done.stage == output.stage) else {
            return Err(Error::NotDone { stage: called, file });
        };
        let object = done.artifacts[output.output].object;
        // Brings it here if only a shared cache has it.
        if session.store.read(object)?.is_none() {
            return Err(Error::Gone { stage: called, file });
        }
        let (pipeline, job) = (&session.pipeline, assemble::job(&session.pipeline, stage));
        let parameters = job.parameters.into_iter().filter(|(key, _)| key.starts_with("model.")).collect();
        let images = seen_by(pipeline, stage);
        Ok(Network {
            name: name.to_owned(),
            identity: identity(object.0, &parameters),
            parameters,
            classes: job.classes,
            size: images.and_then(size_of),
            scaling: images.map(|images| images.scaling).unwrap_or_default(),
            weights: Input::File(session.store.object_path(object)),
            label_ids: label_ids(pipeline, &session.graph.ancestors(&[output.stage])),
        })
    }
}

/// A digest of a network with these weights and parameters.
pub(super) fn identity(weights: Digest, parameters: &BTreeMap<String, Json>) -> Digest {
    let mut encoder = Encoder::new("intrada/network/1");
    encoder.field("weights", weights.as_bytes());
    for (name, value) in parameters {
        encoder.field(name, value.to_string().as_bytes());
    }
    encoder.finish()
}

/// The data set of the target domain that a training's network learns to see; of a training without target, of the source.
pub fn seen_by<'a>(pipeline: &'a Pipeline, stage: &Stage) -> Option<&'a Dataset> {
    let input = ["target", "images"].iter().find_map(|role| stage.input(role));
    let input = input.or_else(|| stage.inputs.iter().find(|input| is_learnt_from(&input.role)))?;
    let InputSource::Dataset { dataset, .. } = input.from else { return None };
    Some(pipeline.dataset(dataset))
}

/// `[width, height]` in pixels of a data set's images, as a network sees them; `None`: as stored.
pub fn size_of(dataset: &Dataset) -> Option<[u32; 2]> {
    match dataset.format {
        Format::Scenes { size, .. } => Some(size),
        _ => dataset.size,
    }
}

/// The label value of each class in the labels that these stages learn from, the smallest of several; `None` if they learn from
/// none, or these lack a class.
pub fn label_ids(pipeline: &Pipeline, stages: &[StageId]) -> Option<Vec<u8>> {
    let inputs = stages.iter().flat_map(|stage| &pipeline.stage(*stage).inputs);
    let labelled = inputs.filter(|input| is_learnt_from(&input.role)).find_map(|input| match input.from {
        InputSource::Dataset { dataset, .. } => Some(pipeline.dataset(dataset)),
        _ => None,
    })?;
    let names: Vec<&str> = pipeline.classes.iter().map(|class| class.name.as_str()).collect();
    let published = match &labelled.format {
        Format::Published { format, selection, .. } => dataset::version(format, &selection.labels),
        Format::Folder { .. } | Format::Scenes { .. } => None,
    };
    // What a map doesn't name stays what it is.
    let mut map: BTreeMap<u8, u8> = (0..=u8::MAX).map(|value| (value, value)).collect();
    map.extend(published.map_or_else(|| labelled.map.clone(), |layout| layout.map(&names)));
    let value = |class: u8| map.iter().find(|(_, to)| **to == class).map(|(value, _)| *value);
    (0..u8::try_from(names.len()).ok()?).map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline;

    const OWN: &str = "[[classes]]\nname = \"a\"\n[[classes]]\nname = \"b\"";

    fn ids(dataset: &str, classes: &str) -> Option<Vec<u8>> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.toml");
        let text = format!(
            "format = 1\n{classes}\n[datasets.s]\n{dataset}\n[models.m]\narch = \"small\"\n\
             [stages.t]\nkind = \"inter-training\"\nmethod = \"source-only\"\nmodel = \"m\"\nsource = \"s\"\niterations = 1\n"
        );
        std::fs::write(&file, text).unwrap();
        let pipeline = pipeline::load(&file, &[]).unwrap();
        label_ids(&pipeline, &[StageId(0)])
    }

    #[test]
    fn a_class_has_the_smallest_label_value_that_means_it() {
        let folder = "format = \"folder\"\nroot = \"x\"\n";
        assert_eq!(ids(folder, OWN), Some(vec![0, 1]));
        let mapped = format!("{folder}map = {{ 0 = 255, 7 = 0, 9 = 1, 8 = 1, 1 = 255 }}");
        assert_eq!(ids(&mapped, OWN), Some(vec![7, 8]));
        let lost = format!("{folder}map = {{ 1 = 0 }}");
        assert_eq!(ids(&lost, OWN), None, "no value means b");
        let published = ids("format = \"gta5\"\nroot = \"x\"", "[pipeline]\nclasses = \"cityscapes-19\"").unwrap();
        assert_eq!(published[..3], [7, 8, 11], "Cityscapes' label ids");
    }
}
