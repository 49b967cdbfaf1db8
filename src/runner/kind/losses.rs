//! The losses of a training by their keys in `losses.jsonl`: what each measures and where it is shown.
//!
//! Whoever shows losses takes their names and order from here: the report, TensorBoard's events, the progress of a run, the
//! reference. Knows no training: the worker computes them (`ml::adapt::Loss`), and a test of the worker holds both lists
//! against each other.

/// A loss. A line of `losses.jsonl` has those that its training has. Lines of older trainings, which caches still hold, have `null`
/// for the others.
#[derive(Debug)]
pub struct LossSpec {
    /// Its key.
    pub name: &'static str,
    /// What it measures, for the reference.
    pub doc: &'static str,
    /// Its unit or range, for the reference.
    pub unit: &'static str,
    /// The title of the chart that it stands in.
    pub chart: &'static str,
    /// Of which head.
    pub level: Level,
    /// Whether a run shows it while the training goes on.
    pub in_progress: bool,
}

/// A head of the network. In a chart the main one comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The one that predicts.
    Main,
    /// The auxiliary one.
    Aux,
}

/// The key of the segmentation network's learning rate, which stands beside the losses.
pub const LEARNING_RATE: &str = "lr";

const SEGMENTATION: &str = "segmentation loss";
const ADVERSARIAL: &str = "adversarial loss of the generator";
const DISCRIMINATOR: &str = "loss of the discriminator";
const ENTROPY: &str = "entropy loss";
const SELF_TRAINING: &str = "loss on mixed images";
const MASKING: &str = "loss on masked images";
const NATS: &str = "nats";
const GAN: &str = "nats; with `gan = \"ls\"` a squared distance";

/// All of them, in the order of the keys in a line.
pub const LOSSES: &[LossSpec] = &[
    LossSpec::new("seg_aux", "cross-entropy on labelled images", NATS, SEGMENTATION, Level::Aux),
    LossSpec::new("seg_main", "cross-entropy on labelled images", NATS, SEGMENTATION, Level::Main).in_progress(),
    LossSpec::new("adv_aux", ADV, GAN, ADVERSARIAL, Level::Aux),
    LossSpec::new("adv_main", ADV, GAN, ADVERSARIAL, Level::Main),
    LossSpec::new("d_aux_s", D_S, GAN, DISCRIMINATOR, Level::Aux),
    LossSpec::new("d_aux_t", D_T, GAN, DISCRIMINATOR, Level::Aux),
    LossSpec::new("d_main_s", D_S, GAN, DISCRIMINATOR, Level::Main),
    LossSpec::new("d_main_t", D_T, GAN, DISCRIMINATOR, Level::Main).in_progress(),
    LossSpec::new("ent_aux", "mean entropy of target predictions", "0 to 1", ENTROPY, Level::Aux),
    LossSpec::new("ent_main", "mean entropy of target predictions", "0 to 1", ENTROPY, Level::Main).in_progress(),
    LossSpec::new("feature_distance", DISTANCE, "unweighted", "feature distance", Level::Main),
    LossSpec::new(
        "sure",
        "share of target pixels of whose class the teacher is sure",
        "0 to 1",
        "sure pixels",
        Level::Main,
    )
    .in_progress(),
    LossSpec::new("mixed_aux", MIXED, NATS, SELF_TRAINING, Level::Aux),
    LossSpec::new("mixed_main", MIXED, NATS, SELF_TRAINING, Level::Main).in_progress(),
    LossSpec::new("masked_aux", MASKED, NATS, MASKING, Level::Aux),
    LossSpec::new("masked_main", MASKED, NATS, MASKING, Level::Main),
];

const ADV: &str = "the discriminator's loss on target maps, judged as source: what the generator minimises";
const DISTANCE: &str = "mean distance of the features of things from those of `init`; absent where a batch shows none";
const MIXED: &str = "cross-entropy on mixed images, weighted by pixel";
const MASKED: &str = "cross-entropy on masked images, weighted by pixel";
const D_S: &str = "the discriminator's loss on source maps, halved";
const D_T: &str = "the discriminator's loss on target maps, halved";

impl LossSpec {
    const fn new(
        name: &'static str,
        doc: &'static str,
        unit: &'static str,
        chart: &'static str,
        level: Level,
    ) -> LossSpec {
        LossSpec { name, doc, unit, chart, level, in_progress: false }
    }

    const fn in_progress(self) -> LossSpec {
        LossSpec { in_progress: true, ..self }
    }
}
