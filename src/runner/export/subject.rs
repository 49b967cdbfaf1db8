//! The network that is exported, with all that is told of it: its training, what that needed, and how good it was found to be.
//!
//! Knows no file of the export; each of them is told from this.

use super::Error;
use super::seeds::Repeated;
use crate::pipeline::{DatasetId, Format, InputSource, Pipeline, Stage, StageId};
use crate::results::made_with;
use crate::results::metrics::Measured;
use crate::sched::done::Done;
use crate::sched::session::Session;

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
        self.pipeline().dataset_of(self.stage()).map(|dataset| &*self.pipeline().dataset(dataset).name)
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

    /// The file of its weights.
    pub(super) fn weights(&self) -> Result<Vec<u8>, Error> {
        let (stage, file) = (self.stage().name.clone(), self.pipeline().file.clone());
        let Some(done) = self.lineage.last().filter(|done| done.stage == self.stage) else {
            return Err(Error::NotDone { stage, file });
        };
        let bytes = self.session.store.read(done.artifacts[self.output].object)?;
        bytes.ok_or(Error::Gone { what: "the weights", stage, file })
    }
}
