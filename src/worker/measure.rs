//! A network held against the labels of a data set: the loop that an evaluation and a training's own evaluations share.
//!
//! Knows no metric but the confusion matrix. Predictions are brought to the size of the label, not the reverse (released
//! code, `eval_UDA.py`).

use intrada_ml::data::pass::Frame;
use intrada_ml::data::raster::Index;
use intrada_ml::data::source::LabelUse;
use intrada_ml::entropy_inference::predict;
use intrada_ml::metrics::Confusion;
use intrada_ml::network::{Network, Normalization};
use tch::{Kind, Tensor};

use crate::work::{Failure, Work};

/// The role of the labelled data set in a job.
pub(crate) const ROLE: &str = "dataset";

/// One image that has been looked at.
pub(crate) struct Seen<'a> {
    /// Its place in the data set, from 0.
    pub(crate) index: u64,
    /// Images of the data set.
    pub(crate) images: u64,
    /// The image and its label.
    pub(crate) frame: &'a Frame,
    /// The main head's logits, `1×C×h×w`.
    pub(crate) logits: &'a Tensor,
    /// Most likely classes, at the label's size.
    pub(crate) prediction: &'a Index,
    /// The counts of this image alone.
    pub(crate) confusion: &'a Confusion,
}

/// Counts over all images, and how many these were. `network` has elements of `kind`; `at` is where a job that is asked to
/// stop meanwhile will go on.
pub(crate) fn confusion(
    work: &Work,
    network: &dyn Network,
    normalization: &Normalization,
    kind: Kind,
    at: u64,
    mut see: impl FnMut(Seen) -> Result<(), Failure>,
) -> Result<(Confusion, u64), Failure> {
    let classes = work.class_count()?;
    let pass = work.pass(ROLE, normalization, LabelUse::Required { classes })?;
    let images = pass.samples() as u64;
    let mut confusion = Confusion::new(classes);
    let predictor = network.predictor();
    for (index, frame) in (0..).zip(pass) {
        let frame = frame?;
        let label = frame.label.as_ref().expect("labels are required");
        let input = frame.input.to_device(work.device).to_kind(kind);
        let logits = predictor(&input);
        let prediction = predict(&logits, label.size());
        let mut own = Confusion::new(classes);
        own.add(label.bytes(), prediction.bytes())?;
        confusion.merge(&own);
        see(Seen { index, images, frame: &frame, logits: &logits, prediction: &prediction, confusion: &own })?;
        if work.is_stopping() {
            return Err(Failure::Interrupted { at });
        }
    }
    Ok((confusion, images))
}
