//! Measures a network against the labels of a data set; used by evaluation stages and by evaluations during a training.
//!
//! The only metric it knows is the confusion matrix. Predictions are resized to the label, not the reverse (released code,
//! `eval_UDA.py`).

use intrada_ml::data::pass::Frame;
use intrada_ml::data::raster::Index;
use intrada_ml::data::source::LabelUse;
use intrada_ml::entropy_inference::{InferenceError, predict_finite};
use intrada_ml::metrics::Confusion;
use intrada_ml::network::{Network, Normalization};
use tch::{Device, Kind, Tensor};

use crate::work::{Failure, Work};

/// The role of the labelled data set in a job.
pub(crate) const ROLE: &str = "dataset";

/// A network to measure.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// Its name in messages.
    pub(crate) name: &'a str,
    /// The network.
    pub(crate) network: &'a dyn Network,
    /// Its input format.
    pub(crate) normalization: Normalization,
    /// The element type of its weights.
    pub(crate) kind: Kind,
}

impl<'a> Subject<'a> {
    /// Maps an image to the main head's logits, `1×C×h×w`, with the current weights. Doesn't change the network.
    pub(crate) fn predictor(&self, device: Device) -> impl Fn(&Frame) -> Tensor + use<'a> {
        let (predictor, kind) = (self.network.predictor(), self.kind);
        move |frame| predictor(&frame.input.to_device(device).to_kind(kind))
    }
}

/// One measured image.
pub(crate) struct Seen<'a> {
    /// Its index in the data set, from 0.
    pub(crate) index: u64,
    /// Number of images in the data set.
    pub(crate) images: u64,
    /// The image and its label.
    pub(crate) frame: &'a Frame,
    /// The main head's logits, `1×C×h×w`.
    pub(crate) logits: &'a Tensor,
    /// Most likely classes, at the label's size.
    pub(crate) prediction: &'a Index,
    /// The counts of this image only.
    pub(crate) confusion: &'a Confusion,
}

/// Advice on non-finite logits. Without this error they would give a number that looks like a bad network.
fn diverged(subject: &Subject, error: &InferenceError) -> Failure {
    Failure::advised(
        format!("`{}`: {error}", subject.name),
        "its weights have diverged, or are too large for its element type; a training with a lower `learning_rate` gives others",
    )
}

/// The counts over all images, and the number of images. `at` is where a stopped job will resume.
pub(crate) fn confusion(
    work: &Work,
    subject: Subject,
    at: u64,
    mut see: impl FnMut(Seen) -> Result<(), Failure>,
) -> Result<(Confusion, u64), Failure> {
    let classes = work.class_count()?;
    let pass = work.pass_over(&work.source(ROLE)?, &subject.normalization, LabelUse::Required { classes })?;
    let images = pass.samples() as u64;
    let mut confusion = Confusion::new(classes);
    let predictor = subject.predictor(work.device);
    for (index, frame) in (0..).zip(pass) {
        let frame = frame?;
        let label = frame.label.as_ref().expect("labels are required");
        let logits = predictor(&frame);
        let prediction =
            predict_finite(&frame.name, &logits, label.size()).map_err(|error| diverged(&subject, &error))?;
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
