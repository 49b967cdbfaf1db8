//! The exported network with its training, lineage and results.
//!
//! Knows no file of the export; each is generated from this.

use super::Error;
use super::seeds::Repeated;
use crate::kind::dataset::Scaling;
use crate::pipeline::{DatasetId, Pipeline, Stage, StageId, Which};
use crate::predict::network::{label_ids, seen_by, size_of};
use crate::results::made_with;
use crate::results::metrics::Measured;
use crate::sched::done::Done;
use crate::sched::session::Session;

/// The data on an exported network.
pub(super) struct Network<'a> {
    pub(super) session: &'a Session,
    /// The training, or another stage with weights.
    pub(super) stage: StageId,
    /// The exported output: the last network, or the best.
    pub(super) output: usize,
    /// The training and its ancestors, in graph order.
    pub(super) lineage: Vec<Done>,
    /// Evaluation results of the training's networks, in file order.
    pub(super) results: Vec<Found>,
    /// Evaluation results of it and its repetitions with other seeds.
    pub(super) repeated: Repeated,
}

/// One evaluation's result for one network.
pub(super) struct Found {
    /// The stage.
    pub(super) evaluation: String,
    /// The labelled images.
    pub(super) dataset: DatasetId,
    /// The evaluated output of the training.
    pub(super) output: usize,
    /// The result.
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

    /// The training's record, the last of its lineage.
    pub(super) fn done(&self) -> &Done {
        self.lineage.last().expect("`weights` has found it to be done")
    }

    /// Whether it was trained here, else imported from a file.
    pub(super) fn is_trained(&self) -> bool {
        self.stage().parameter("iterations").is_some()
    }

    /// Which network of the training an output is.
    pub(super) fn which(&self, output: usize) -> Which {
        Which::of(&self.stage().outputs[output].name)
    }

    /// The labelled images on which the best network was chosen.
    pub(super) fn chosen_on(&self) -> Option<&str> {
        self.pipeline().dataset_of(self.stage()).map(|dataset| &*self.pipeline().dataset(dataset).name)
    }

    /// The labelled target images that it has learnt from, itself or by an ancestor.
    pub(super) fn target_labels(&self) -> Vec<&str> {
        self.pipeline().target_labels(&self.session.graph.ancestors(&[self.stage]))
    }

    /// `[width, height]` in pixels of the images of the target domain; `None`: as stored.
    pub(super) fn size(&self) -> Option<[u32; 2]> {
        seen_by(self.pipeline(), self.stage()).and_then(size_of)
    }

    /// How these images take that size.
    pub(super) fn scaling(&self) -> Scaling {
        seen_by(self.pipeline(), self.stage()).map(|dataset| dataset.scaling).unwrap_or_default()
    }

    /// The label value of each class, if it was trained with labels of a data set.
    pub(super) fn label_ids(&self) -> Option<Vec<u8>> {
        label_ids(self.pipeline(), &self.session.graph.ancestors(&[self.stage]))
    }

    /// The commit of the workspace at the time, and whether its files were modified.
    pub(super) fn commit(&self) -> Option<String> {
        self.session.store.load(self.done().key).ok()??.note.remove("commit")
    }

    /// The recorded environment of the computation, if any.
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
