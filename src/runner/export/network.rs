//! A trained network as a folder that stands alone: weights, how to use them, how good they are, where they come from.
//!
//! Gathers and puts together; each file's content is made in the module of its own. Evaluations that aren't up to date are
//! left out rather than waited for, as a network is worth handing on without them.

use std::path::Path;

use serde_json::Value as Json;

use super::package::Package;
use super::seeds::{Repeated, repeated};
use super::{Error, card, config, definition, provenance, safetensors};
use crate::kind::Gives;
use crate::report::made_with;
use crate::report::metrics::{Measured, Metrics};
use crate::sched::done::{Done, done};
use crate::sched::session::Session;
use crate::spec::{DatasetId, Format, InputSource, OutputId, Pipeline, Stage, StageId};

/// What is told of a network.
pub(super) struct Network<'a> {
    pub(super) session: &'a Session,
    /// The training, or whatever else gives weights.
    pub(super) stage: StageId,
    /// Which of its outputs: the last network, or the best.
    pub(super) output: usize,
    /// The training and what it needed, in the order of the graph.
    pub(super) lineage: Vec<Done>,
    /// What evaluations of the pipeline found of the training's networks, in the order of the file.
    pub(super) results: Vec<Found>,
    /// What they found of it and its repetitions with other seeds.
    pub(super) repeated: Repeated,
}

/// What one evaluation found of one network.
pub(super) struct Found {
    /// The stage.
    pub(super) evaluation: String,
    /// The labelled images.
    pub(super) dataset: DatasetId,
    /// Which output of the training it took.
    pub(super) output: usize,
    /// What it found.
    pub(super) measured: Measured,
}

/// Exports the weights `output` of a training into the folder `place`; the names of the files.
///
/// # Errors
/// [`Error`]; `place` is as it was then.
pub fn network(session: &mut Session, output: OutputId, place: &Path) -> Result<Vec<&'static str>, Error> {
    let package = Package::begin(place)?;
    let lineage = done(session, &[output.stage])?;
    let evaluations = evaluations(&session.pipeline, output.stage);
    // What is wrong with the images of an evaluation is no reason to keep the network back.
    let evaluated = match evaluations[..] {
        // No target would mean all stages.
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
    package.finish()?;
    Ok(vec!["model.safetensors", "config.json", "README.md", provenance::FILE, "load.py"])
}

impl Network<'_> {
    pub(super) fn pipeline(&self) -> &Pipeline {
        &self.session.pipeline
    }

    /// The training.
    pub(super) fn stage(&self) -> &Stage {
        self.pipeline().stage(self.stage)
    }

    /// The training as it was done. It is the last of its lineage.
    pub(super) fn done(&self) -> &Done {
        self.lineage.last().expect("`weights` has found it to be done")
    }

    /// Whether it was trained here; else it was read of a file.
    pub(super) fn is_trained(&self) -> bool {
        self.stage().parameter("iterations").is_some()
    }

    /// Whether an output of the training is the network that was chosen by its mIoU.
    pub(super) fn is_chosen(&self, output: usize) -> bool {
        self.stage().outputs[output].by_name
    }

    /// The labelled images by which the best network is chosen.
    pub(super) fn chosen_on(&self) -> Option<&str> {
        let InputSource::Dataset { dataset, .. } = self.stage().input("dataset")?.from else { return None };
        Some(&self.pipeline().dataset(dataset).name)
    }

    /// `[width, height]` in pixels of the images of the domain that the network is made for; `None`: as stored.
    pub(super) fn size(&self) -> Option<[u32; 2]> {
        let input = ["target", "images", "source"].iter().find_map(|role| self.stage().input(role))?;
        let InputSource::Dataset { dataset, .. } = input.from else { return None };
        let dataset = self.pipeline().dataset(dataset);
        match dataset.format {
            Format::Scenes { size, .. } => Some(size),
            _ => dataset.size,
        }
    }

    /// The commit of the workspace at which it was made, and whether its files differed from that.
    pub(super) fn commit(&self) -> Option<String> {
        self.session.store.load(self.done().key).ok()??.note.remove("commit")
    }

    /// With what it was computed, where that was noted.
    pub(super) fn made_with(&self) -> Option<String> {
        made_with::line(&self.session.store.load(self.done().key).ok()??.note)
    }

    fn weights(&self) -> Result<Vec<u8>, Error> {
        let (stage, file) = (self.stage().name.clone(), self.pipeline().file.clone());
        let Some(done) = self.lineage.last().filter(|done| done.stage == self.stage) else {
            return Err(Error::NotDone { stage, file });
        };
        let bytes = self.session.store.read(done.artifacts[self.output].object)?;
        bytes.ok_or(Error::Gone { what: "the weights", stage, file })
    }
}

/// The evaluations that take networks of a training.
fn evaluations(pipeline: &Pipeline, training: StageId) -> Vec<StageId> {
    let is_one = |id: &StageId| {
        let stage = pipeline.stage(*id);
        stage.outputs.iter().any(|output| output.gives == Gives::Metrics)
            && stage
                .inputs
                .iter()
                .any(|input| matches!(input.from, InputSource::Output { output, .. } if output.stage == training))
    };
    pipeline.stage_ids().filter(is_one).collect()
}

/// What an evaluation found of the networks of a training.
fn found(session: &Session, done: &Done, training: StageId) -> Vec<Found> {
    let stage = session.pipeline.stage(done.stage);
    let metrics = || -> Option<Metrics> {
        let place = stage.outputs.iter().position(|output| output.gives == Gives::Metrics)?;
        serde_json::from_slice(&session.store.read(done.artifacts[place].object).ok()??).ok()
    };
    let (Some(mut metrics), Some(dataset)) = (metrics(), stage.input("dataset")) else { return Vec::new() };
    let InputSource::Dataset { dataset, .. } = dataset.from else { return Vec::new() };
    let found = stage.inputs.iter().filter_map(|input| {
        let InputSource::Output { output, .. } = input.from else { return None };
        let measured = metrics.remove(input.role.strip_prefix("weights.")?)?;
        (output.stage == training).then(|| Found {
            evaluation: stage.name.clone(),
            dataset,
            output: output.output,
            measured,
        })
    });
    found.collect()
}

fn pretty(value: &Json) -> String {
    // `{:#}` writes it indented.
    format!("{value:#}\n")
}
