//! Measures a network against the labels of a data set; used by evaluation stages and by evaluations during a training.
//!
//! The only metric it knows is the confusion matrix. Predictions are resized to the label, not the reverse (released code,
//! `eval_UDA.py`).

use intrada_ml::data::pass::{Frame, Pass};
use intrada_ml::data::raster::Index;
use intrada_ml::data::source::LabelUse;
use intrada_ml::entropy_inference::{InferenceError, predict_finite};
use intrada_ml::metrics::Confusion;
use intrada_ml::network::{ImageTooSmall, Network, Normalization, Prediction};
use tch::{Device, Kind};

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
    /// Maps an image to its logits, `1×C×h×w`, with the current weights. Doesn't change the network. Fails for an image that
    /// is too small for it.
    pub(crate) fn predictor(&self, device: Device) -> impl Fn(&Frame) -> Result<Prediction, Failure> + use<'a> {
        let Subject { name: _, network, normalization: _, kind } = *self;
        let (predictor, alignment) = (network.predictor(), network.alignment());
        move |frame| {
            ImageTooSmall::check(network, &frame.input).map_err(|small| too_small(&frame.name, &small))?;
            Ok(Prediction { logits: predictor(&frame.input.to_device(device).to_kind(kind)), alignment })
        }
    }
}

/// One measured image.
pub(crate) struct Seen<'a> {
    /// The image and its label.
    pub(crate) frame: &'a Frame,
    /// Its logits, `1×C×h×w`.
    pub(crate) logits: &'a Prediction,
    /// Most likely classes, at the label's size.
    pub(crate) prediction: &'a Index,
    /// The counts of this image only.
    pub(crate) confusion: &'a Confusion,
}

fn too_small(image: &str, small: &ImageTooSmall) -> Failure {
    Failure::advised(format!("{image} is {small}"), "a larger `size` of the data set, or a `list` without such images")
}

/// Advice on non-finite logits. Without this error they would give a number that looks like a bad network.
fn diverged(subject: &Subject, error: &InferenceError) -> Failure {
    Failure::advised(
        format!("`{}`: {error}", subject.name),
        "its weights have diverged, or are too large for its element type; a training with a lower `learning_rate` gives others",
    )
}

/// The counts over all images. `at` is where a stopped job will resume.
pub(crate) fn confusion(work: &Work, subject: Subject, at: u64) -> Result<Confusion, Failure> {
    let classes = work.class_count()?;
    let mut confusion = Confusion::new(classes);
    let source = work.source(ROLE)?;
    let pass = work.pass_over(&source, &subject.normalization, LabelUse::Required { classes })?;
    over(work, subject, pass, |seen| {
        confusion.merge(seen.confusion);
        if work.is_stopping() { Err(Failure::Interrupted { at }) } else { Ok(()) }
    })?;
    Ok(confusion)
}

/// Measures the images at these places of the data set, in this order.
pub(crate) fn images(
    work: &Work,
    subject: Subject,
    places: Vec<usize>,
    see: impl FnMut(Seen) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let labels = LabelUse::Required { classes: work.class_count()? };
    let pass = work.pass_of(&work.source(ROLE)?, places, &subject.normalization, labels)?;
    over(work, subject, pass, see)
}

fn over(
    work: &Work,
    subject: Subject,
    pass: Pass,
    mut see: impl FnMut(Seen) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let predictor = subject.predictor(work.device);
    for frame in pass {
        let frame = frame?;
        let label = frame.label.as_ref().expect("labels are required");
        let logits = predictor(&frame)?;
        let prediction =
            predict_finite(&frame.name, &logits, label.size()).map_err(|error| diverged(&subject, &error))?;
        let mut own = Confusion::new(work.class_count()?);
        own.add(label.bytes(), prediction.bytes())?;
        see(Seen { frame: &frame, logits: &logits, prediction: &prediction, confusion: &own })?;
    }
    Ok(())
}
