//! Measures a network against the labels of a data set; used by evaluation stages and by evaluations during a training.
//!
//! The only metric it knows is the confusion matrix. Predictions are resized to the label, not the reverse (released code,
//! `eval_UDA.py`).

use intrada_data::raster::Index;
use intrada_data::source::LabelUse;
use intrada_ml::data::pass::{Frame, Pass, Photographs};
use intrada_ml::entropy_inference::{InferenceError, judge};
use intrada_ml::equations::Alignment;
use intrada_ml::metrics::Confusion;
use intrada_ml::network::{ImageTooSmall, Network, Normalization};
use intrada_ml::sight::{Eye, Sight, View};
use intrada_work::{Failure, Work};
use tch::{Device, Kind};

use crate::{device, passes};

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
    /// With the weights as they are now. Doesn't change the network.
    pub(crate) fn looking(self, device: Device, view: View) -> Looking<'a> {
        let (predictor, kind) = (self.network.predictor(), self.kind);
        let eye = Box::new(move |input: &tch::Tensor| predictor(&input.to_device(device).to_kind(kind)));
        Looking { subject: self, view, alignment: self.network.alignment(), eye }
    }
}

/// A network that looks at images.
pub(crate) struct Looking<'a> {
    /// The network.
    pub(crate) subject: Subject<'a>,
    view: View,
    alignment: Alignment,
    eye: Box<Eye<'a>>,
}

impl Looking<'_> {
    /// What it sees of an image. Fails for an image that is too small for it.
    pub(crate) fn at<'f>(&'f self, frame: &'f Frame) -> Result<Sight<'f>, Failure> {
        self.through(frame, self.view).map_err(|small| too_small(&frame.name, &small))
    }

    /// The same in another view.
    ///
    /// # Errors
    /// The image is too small for the network.
    pub(crate) fn through<'f>(&'f self, frame: &'f Frame, view: View) -> Result<Sight<'f>, ImageTooSmall> {
        let size = view.at_once(frame.seen_size()).map(|side| side as i64);
        ImageTooSmall::check_size(self.subject.network, size)?;
        Ok(Sight::new(frame, view, self.alignment, &self.eye))
    }
}

/// One measured image.
pub(crate) struct Seen<'a> {
    /// The image and its label.
    pub(crate) frame: &'a Frame,
    /// The score that `entropy-inference` gives the image, if that was asked for.
    pub(crate) entropy: Option<f32>,
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

/// The counts over all images, each looked at whole. `at` is where a stopped job will resume.
pub(crate) fn confusion(work: &Work, subject: Subject, at: u64) -> Result<Confusion, Failure> {
    let classes = work.class_count()?;
    let mut confusion = Confusion::new(classes);
    let source = work.source(ROLE)?;
    let pass = passes::over(&source, &subject.normalization, LabelUse::Required { classes }, Photographs::AsSeen)?;
    over(work, &subject.looking(device::of(&work.job), View::default()), pass, Entropy::Unwanted, |seen| {
        confusion.merge(seen.confusion);
        if work.is_stopping() { Err(Failure::Interrupted { at }) } else { Ok(()) }
    })?;
    Ok(confusion)
}

/// Whether to compute the entropy as well.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entropy {
    Wanted,
    Unwanted,
}

/// Measures the images at these places of the data set, in this order.
pub(crate) fn images(
    work: &Work,
    looking: &Looking,
    places: Vec<usize>,
    entropy: Entropy,
    see: impl FnMut(Seen) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let labels = LabelUse::Required { classes: work.class_count()? };
    let pass = passes::of(&work.source(ROLE)?, places, &looking.subject.normalization, labels, Photographs::AsStored)?;
    over(work, looking, pass, entropy, see)
}

fn over(
    work: &Work,
    looking: &Looking,
    pass: Pass,
    entropy: Entropy,
    mut see: impl FnMut(Seen) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for frame in pass {
        let frame = frame?;
        let label = frame.label.as_ref().expect("labels are required");
        let entropy_at = (entropy == Entropy::Wanted).then(|| frame.seen_size());
        let judged = judge(&frame.name, &looking.at(&frame)?, label.size(), entropy_at);
        let (prediction, entropy) = judged.map_err(|error| diverged(&looking.subject, &error))?;
        let mut own = Confusion::new(work.class_count()?);
        own.add(label.bytes(), prediction.bytes())?;
        see(Seen { frame: &frame, entropy, prediction: &prediction, confusion: &own })?;
    }
    Ok(())
}
