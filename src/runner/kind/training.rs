//! The keys of both kinds of training: the settings of the adaptation loop.
//!
//! Knows no loop: `ml` reads these by name. The defaults are those of the released code, which IntraDA takes unchanged from
//! AdvEnt (`advent/domain_adaptation/config.py`); where papers and code differ, they follow the code, except
//! `parameter_repeats`, which follows the text. docs/migration.md lists both.

use super::{Interval, KeySpec, Literal, Only, OutputRole, OutputSpec, ValueType};

/// The methods with a discriminator.
pub(super) const ADVERSARIAL: Only = Only { key: "method", is: &["advent", "adaptsegnet"] };
/// The methods that use the target domain.
pub(super) const ADAPTING: Only = Only { key: "method", is: &["minent", "advent", "adaptsegnet"] };
/// The key of the data set whose labels a training learns from; labels of other keys are only for evaluation.
pub const LEARNT_FROM: &str = "source";
/// Minimum side of an image for a discriminator, which halves it five times. `ml` repeats this number; a test of the worker
/// compares them.
pub const DISCRIMINATOR_SIDE: u32 = 32;

/// Whether a training with this `method` has a discriminator.
pub fn has_discriminator(method: &str) -> bool {
    ADVERSARIAL.is.contains(&method)
}

const ENTROPY: Only = Only { key: "method", is: &["minent"] };
/// The trainings with intermediate evaluations.
const VALIDATED: Only = Only::with("dataset");
const SGD: Only = Only { key: "optimizer", is: &["sgd"] };
const ADAM: Only = Only { key: "optimizer", is: &["adam"] };

const COUNT: ValueType = ValueType::Integer { min: 1, max: i64::MAX };
const RATE: ValueType = ValueType::Number(Interval::POSITIVE);
const WEIGHT: ValueType = ValueType::Number(Interval::NOT_NEGATIVE);
const CONFIG: &str = "AdvEnt, config.py";

pub(super) const METHOD: KeySpec = KeySpec::new(
    "method",
    ValueType::Choice(&["source-only", "minent", "advent", "adaptsegnet"]),
    "how to adapt to the target domain: not at all, by minimising its entropy (MinEnt), by an adversary that sees \
     weighted self-information maps (AdvEnt), or by one that sees softmax outputs (AdaptSegNet)",
);

/// The keys of every training.
pub const KEYS: &[KeySpec] = &[
    KeySpec::new("model", ValueType::Model, "the network to train, a `[models.…]`"),
    KeySpec::new(
        "weights",
        ValueType::StageOrFile(OutputRole::Weights),
        "initial weights, a training or a file, instead of the model's `init`; optimisers and discriminators start from scratch",
    )
    .optional(),
    KeySpec::new("iterations", COUNT, "number of steps")
        .or_integer(120_000)
        .origin("AdvEnt, config.py: EARLY_STOP"),
    KeySpec::new(
        "schedule_iterations",
        COUNT,
        "steps after which the learning rates would reach 0: rate · (1 − i / schedule_iterations)^power",
    )
    .or_integer(250_000)
    .origin("AdvEnt, config.py: MAX_ITERS"),
    KeySpec::new("power", ValueType::Number(Interval::NOT_NEGATIVE), "exponent of that schedule")
        .or_number(0.9)
        .origin(CONFIG),
    KeySpec::new("batch", ValueType::Integer { min: 1, max: 65_536 }, "images of each domain per step")
        .or_integer(1)
        .origin(CONFIG),
    KeySpec::new(
        "order",
        ValueType::Choice(&["shuffle", "sequential"]),
        "order of the images within an epoch: random, or that of the data set (in an intra training for both the easy and the hard \
     part)")
        .or_text("shuffle"),
    KeySpec::new(
        "seed",
        ValueType::Integer { min: 0, max: i64::MAX },
        "seed of all random choices: initial weights, order, augmentation",
    )
    .or_of_pipeline(),
    KeySpec::new("optimizer", ValueType::Choice(&["sgd", "adam"]), "optimiser of the segmentation network")
        .or_text("sgd")
        .origin("AdvEnt, train_UDA.py"),
    KeySpec::new("learning_rate", RATE, "learning rate of the segmentation network's body, at step 0")
        .or_number(2.5e-4)
        .origin(CONFIG),
    KeySpec::new("head_factor", RATE, "learning rate of the heads, as a multiple of the body's")
        .or_number(10.0)
        .origin("AdvEnt, deeplabv2.py: optim_parameters"),
    KeySpec::new("momentum", ValueType::Number(Interval::DECAY), "momentum of SGD").or_number(0.9).only(SGD).origin(CONFIG),
    KeySpec::new("weight_decay", ValueType::Number(Interval::NOT_NEGATIVE), "weight decay of SGD, on every parameter")
        .or_number(5e-4)
        .only(SGD)
        .origin(CONFIG),
    KeySpec::new(
        "parameter_repeats",
        ValueType::Choice(&["once", "released", "multi-tensor"]),
        "update of the parameters of DeepLab-v2's body that the released code passes to SGD three or four times: once per \
         step, as often as its CPU loop does, or as its GPU loop does; with `once` and the released learning rate the body \
         learns at about a third of the released speed",
    )
    .or_text("once")
    .only(SGD)
    .origin("AdvEnt, deeplabv2.py: optim_parameters"),
    KeySpec::new("betas", ValueType::Pair(Interval::DECAY), "betas of the segmentation network's Adam")
        .or(Literal::Pair([0.9, 0.999]))
        .only(ADAM),
    KeySpec::new("segmentation_weight", WEIGHT, "weight of the main head's cross-entropy").or_number(1.0).origin(CONFIG),
    KeySpec::new("segmentation_weight_aux", WEIGHT, "weight of the auxiliary head's cross-entropy")
        .or_number(0.1)
        .origin(CONFIG),
    KeySpec::new("entropy_weight", WEIGHT, "weight of the main head's target entropy")
        .or_number(0.001)
        .only(ENTROPY)
        .origin(CONFIG),
    KeySpec::new("entropy_weight_aux", WEIGHT, "weight of the auxiliary head's target entropy")
        .or_number(0.0002)
        .only(ENTROPY)
        .origin(CONFIG),
    KeySpec::new("adversarial_weight", WEIGHT, "weight of the main head's adversarial loss")
        .or_number(0.001)
        .only(ADVERSARIAL)
        .origin(CONFIG),
    KeySpec::new("adversarial_weight_aux", WEIGHT, "weight of the auxiliary head's adversarial loss; 0: no discriminator there")
        .or_number(0.0002)
        .only(ADVERSARIAL)
        .origin(CONFIG),
    KeySpec::new("discriminator_learning_rate", RATE, "learning rate of the discriminators' Adam, at step 0")
        .or_number(1e-4)
        .only(ADVERSARIAL)
        .origin(CONFIG),
    KeySpec::new("discriminator_betas", ValueType::Pair(Interval::DECAY), "betas of the discriminators' Adam")
        .or(Literal::Pair([0.9, 0.99]))
        .only(ADVERSARIAL)
        .origin("AdvEnt, train_UDA.py"),
    KeySpec::new(
        "gan",
        ValueType::Choice(&["vanilla", "ls"]),
        "adversarial loss: cross-entropy, or the squared distance of the discriminator's raw output from 0 (source) or 1 \
         (target), for which AdaptSegNet uses adversarial_weight = 0.01 and no auxiliary level",
    )
    .or_text("vanilla")
    .added()
    .only(ADVERSARIAL)
    .origin("AdaptSegNet, train_gta2cityscapes_multi.py: --gan"),
    KeySpec::new(
        "discriminator_width",
        ValueType::Integer { min: 1, max: 4096 },
        "channels of a discriminator's first layer; the next three have 2, 4 and 8 times as many",
    )
    .or_integer(64)
    .only(ADVERSARIAL)
    .origin("AdvEnt, discriminator.py"),
    KeySpec::new(
        "discriminator_init",
        ValueType::Path,
        "initial weights of the discriminators, a `discriminator.safetensors`; default: random",
    )
    .optional()
    .only(ADVERSARIAL),
    KeySpec::new(
        "discriminator_init_main",
        ValueType::Path,
        "initial weights of the main level's discriminator, a file of AdvEnt (`model_…_D_main.pth`) or AdaptSegNet (`…_D2.pth`)",
    )
    .optional()
    .only(ADVERSARIAL),
    KeySpec::new("discriminator_init_aux", ValueType::Path, "the same for the auxiliary level (`…_D_aux.pth`, `…_D1.pth`)")
        .optional()
        .only(ADVERSARIAL),
    KeySpec::new("flip", ValueType::Flag, "mirror half of the images").or_flag(false).origin("none in AdvEnt"),
    KeySpec::new("crop", ValueType::Size, "size of a random crop of each image, in pixels; default: none")
        .optional()
        .origin("none in AdvEnt"),
    KeySpec::new(
        "colour_jitter",
        ValueType::Number(Interval::UNIT),
        "strength of random changes of brightness, contrast and noise; 0: none",
    )
    .or_number(0.0)
    .origin("none in AdvEnt"),
    KeySpec::new(
        "precision",
        ValueType::Choice(&["float32", "float64", "bfloat16"]),
        "precision of parameters and arithmetic; `bfloat16` applies to convolutions only, parameters and losses stay float32",
    )
    .or_text("float32"),
    KeySpec::new(
        "dataset",
        ValueType::Dataset { labels: true },
        "labelled images for evaluations during the training, a `[datasets.…]`; `<stage>.best` is then the network with the \
         best mIoU on them, chosen with labels, while `<stage>` is the last one",
    )
    .optional()
    .origin("AdvEnt, eval_UDA.py: best"),
    KeySpec::new(
        "evaluate_every",
        COUNT,
        "steps between such evaluations; the last step is always evaluated",
    )
    .or_integer(2000)
    .only(VALIDATED)
    .origin("AdvEnt, config.py: SAVE_PRED_EVERY"),
    KeySpec::new(
        "checkpoint_every",
        COUNT,
        "steps between checkpoints, from which an interrupted training resumes; default: about 20 seconds of work",
    )
    .optional()
    .execution(),
];

pub(super) const OUTPUTS: &[OutputSpec] = &[
    OutputSpec::file("model", "model.safetensors", OutputRole::Weights),
    OutputSpec::file("discriminator", "discriminator.safetensors", OutputRole::Discriminator).only(ADVERSARIAL),
    OutputSpec::file("losses", "losses.jsonl", OutputRole::Losses),
    OutputSpec::folder("pictures", OutputRole::Snapshots),
    OutputSpec::file("best", "best.safetensors", OutputRole::Weights).only(VALIDATED).by_name(),
    OutputSpec::file("evaluations", "evaluations.jsonl", OutputRole::Evaluations).only(VALIDATED),
];
