//! The keys of both kinds of training: the settings of the adaptation loop.
//!
//! Knows no loop: `ml` reads these by name. The defaults are those of the released code, which IntraDA takes unchanged from
//! AdvEnt (`advent/domain_adaptation/config.py`); where papers and code differ, they follow the code, except
//! `parameter_repeats`, which follows the text. docs/migration.md lists both.

use super::choosing::Score;
use super::{Interval, KeySpec, Literal, Only, OutputRole, OutputSpec, ValueType, viewing};

/// The methods with a discriminator.
pub(super) const ADVERSARIAL: Only = Only::is("method", &["advent", "adaptsegnet"]);
/// The trainings that use the target domain.
pub const ADAPTING: Only = Only::is("method", &["minent", "advent", "adaptsegnet"]).or(&ASKS_TEACHER);
/// The methods of self-training with a teacher, whose defaults are those of DAFormer's and MIC's released code.
const SELF_TRAINING: Only = Only::is("method", &["dacs", "daformer", "mic"]);
/// The trainings that learn from a teacher's pseudo-labels.
pub const ASKS_TEACHER: Only = Only::on("mixed").or(&MASKS_TARGET);
const MASKS_TARGET: Only = Only::is("masked_images", &["target", "both"]);
/// The trainings that change colours.
const CHANGES_COLOURS: Only = Only::on("mixed").or(&Only::on("masked"));
/// The trainings with a teacher.
const TAUGHT: Only = Only::on("teacher");
/// The method without adaptation.
pub const SOURCE_ONLY: &str = "source-only";
/// The role of the images that a training adapts to.
pub const TARGET: &str = "target";
/// The output that holds the network which was best on labelled images.
pub const BEST: &str = "best";
/// The output that holds the network which had the best score on images without labels.
pub const CHOSEN: &str = "chosen";
/// The output that holds the teacher.
pub const TEACHER: &str = "teacher";
/// The trainings with a feature distance.
pub const FEATURE_DISTANCE: Only = Only::on("feature_distance");
/// The key of the data set whose labels a training learns from; labels of other keys are only for evaluation.
pub const LEARNT_FROM: &str = "source";
/// The key of the labelled target images that a training learns from besides.
pub const LABELLED: &str = "labelled";
/// The key of the shares of several data sets of that key.
pub const SHARES: &str = "source_shares";
/// The key of an intra training's own labels.
pub(super) const PSEUDO_LABELLED: &str = "easy";
/// The key of the images without labels on which a training scores its snapshots.
pub const CANDIDATES: &str = "candidates";
/// The key of the steps between two such snapshots.
pub const CANDIDATES_EVERY: &str = "candidates_every";
/// The key of the score by which one of them is chosen.
pub const CHOOSE_BY: &str = "choose_by";
/// The roles of the data set on which a training scores its snapshots; the first that it has counts.
pub const SCORED_ON: [&str; 3] = [CANDIDATES, "target", "images"];
/// Minimum side of an image for a discriminator, which halves it five times. `ml` repeats this number; a test of the worker
/// compares them.
pub const DISCRIMINATOR_SIDE: u32 = 32;

/// Whether an input of this role is labels that a training learns from.
pub fn is_learnt_from(role: &str) -> bool {
    [LEARNT_FROM, PSEUDO_LABELLED, LABELLED].contains(&role) || role.starts_with("source[")
}

/// Whether a training with this `method` has a discriminator.
pub fn has_discriminator(method: &str) -> bool {
    ADVERSARIAL.is.contains(&method)
}

const ENTROPY: Only = Only::is("method", &["minent"]);
/// The trainings with intermediate evaluations.
const VALIDATED: Only = Only::with("dataset");
/// The trainings that choose a snapshot without labels.
const CHOOSING: Only = Only::with(CANDIDATES_EVERY);
const SGD: Only = Only::is("optimizer", &["sgd"]);
/// The trainings that draw images by their rare classes.
const RARE: Only = Only::on("rare_class_sampling");
const ADAM: Only = Only::is("optimizer", &["adam", "adamw"]);
const ADAMW: Only = Only::is("optimizer", &["adamw"]);
const DECAYING: Only = Only::is("optimizer", &["sgd", "adamw"]);

const COUNT: ValueType = ValueType::Integer { min: 1, max: i64::MAX };
const RATE: ValueType = ValueType::Number(Interval::POSITIVE);
const WEIGHT: ValueType = ValueType::Number(Interval::NOT_NEGATIVE);
const CONFIG: &str = "AdvEnt, config.py";

pub(super) const METHOD: KeySpec = KeySpec::new(
    "method",
    ValueType::Choice(&[SOURCE_ONLY, "minent", "advent", "adaptsegnet", "dacs", "daformer", "mic"]),
    "how to adapt to the target domain: not at all, by minimising its entropy (MinEnt), by an adversary that sees \
     weighted self-information maps (AdvEnt), by one that sees softmax outputs (AdaptSegNet), by self-training on mixed images \
     with a teacher (DACS), with a feature distance too (DAFormer), or with masked images as well (MIC)",
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
        .or_where(&[(SELF_TRAINING, Literal::Integer(40_000))])
        .origin("AdvEnt, config.py: EARLY_STOP"),
    KeySpec::new(
        "schedule_iterations",
        COUNT,
        "steps after which the learning rates would reach 0: rate · (1 − i / schedule_iterations)^power",
    )
    .or_integer(250_000)
    .or_where(&[(SELF_TRAINING, Literal::Integer(40_000))])
    .origin("AdvEnt, config.py: MAX_ITERS"),
    KeySpec::new("power", ValueType::Number(Interval::NOT_NEGATIVE), "exponent of that schedule")
        .or_number(0.9)
        .or_where(&[(SELF_TRAINING, Literal::Number(1.0))])
        .origin(CONFIG),
    KeySpec::new("batch", ValueType::Integer { min: 1, max: 65_536 }, "images of each domain per step")
        .or_integer(1)
        .or_where(&[(SELF_TRAINING, Literal::Integer(2))])
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
    KeySpec::new("optimizer", ValueType::Choice(&["sgd", "adam", "adamw"]), "optimiser of the segmentation network")
        .or_text("sgd")
        .or_where(&[(SELF_TRAINING, Literal::Text("adamw"))])
        .origin("AdvEnt, train_UDA.py"),
    KeySpec::new("learning_rate", RATE, "learning rate of the segmentation network's body, at step 0")
        .or_number(2.5e-4)
        .or_where(&[(ADAMW, Literal::Number(6e-5))])
        .origin(CONFIG),
    KeySpec::new("head_factor", RATE, "learning rate of the heads, as a multiple of the body's")
        .or_number(10.0)
        .origin("AdvEnt, deeplabv2.py: optim_parameters"),
    KeySpec::new("momentum", ValueType::Number(Interval::DECAY), "momentum of SGD").or_number(0.9).only(SGD).origin(CONFIG),
    KeySpec::new(
        "weight_decay",
        ValueType::Number(Interval::NOT_NEGATIVE),
        "weight decay: of SGD on every parameter, as a part of the gradient; of AdamW apart from it, on all but `no_decay`",
    )
    .or_number(5e-4)
    .or_where(&[(ADAMW, Literal::Number(0.01))])
    .only(DECAYING)
    .origin(CONFIG),
    KeySpec::new(
        "no_decay",
        ValueType::Texts,
        "parameters of the network's body that have one of these in their names aren't decayed; heads are, and biases too",
    )
    .or(Literal::Texts(&["norm"]))
    .only(ADAMW)
    .origin("DAFormer, configs: paramwise_cfg"),
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
    KeySpec::new("betas", ValueType::Pair(Interval::DECAY), "betas of the segmentation network's Adam or AdamW")
        .or(Literal::Pair([0.9, 0.999]))
        .only(ADAM),
    KeySpec::new(
        "warmup_iterations",
        ValueType::Integer { min: 0, max: i64::MAX },
        "steps over which the segmentation network's learning rate rises to that of the schedule; 0: none",
    )
    .or_integer(0)
    .or_where(&[(ADAMW, Literal::Integer(1500))])
    .added()
    .origin("DAFormer, configs: poly10warm"),
    KeySpec::new("warmup_ratio", ValueType::Number(Interval::UNIT), "share of the rate at which that begins")
        .or_number(1e-6)
        .added()
        .origin("DAFormer, configs: poly10warm"),
    KeySpec::new(
        "clip_gradient",
        RATE,
        "largest Euclidean norm of all gradients of the segmentation network together; larger ones are scaled down; default: none",
    )
    .optional()
    .origin("none in AdvEnt, DAFormer or MIC"),
    KeySpec::new("segmentation_weight", WEIGHT, "weight of the main head's cross-entropy").or_number(1.0).origin(CONFIG),
    KeySpec::new("segmentation_weight_aux", WEIGHT, "weight of the auxiliary head's cross-entropy")
        .or_number(0.1)
        .origin(CONFIG),
    KeySpec::new(
        "cross_entropy_mean",
        ValueType::Choice(&["labelled", "all"]),
        "pixels over which the cross-entropy of labelled images is averaged: those with a label, or all, so that pixels without a \
         label make the loss smaller",
    )
    .or_text("labelled")
    .or_where(&[(SELF_TRAINING, Literal::Text("all"))])
    .added()
    .origin("AdvEnt, loss.py; DAFormer, losses/utils.py: all"),
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
    KeySpec::new(
        "mixed",
        ValueType::Flag,
        "learn from mixed images: half of the classes of a source image, pasted into a target image that the teacher labels",
    )
    .or_flag(false)
    .or_where(&[(SELF_TRAINING, Literal::Flag(true))])
    .added()
    .origin("DACS, section 3.2"),
    KeySpec::new("mixed_weight", WEIGHT, "weight of the cross-entropy on mixed images")
        .or_number(1.0)
        .added()
        .only(Only::on("mixed"))
        .origin("DAFormer, dacs.py"),
    KeySpec::new("masked", ValueType::Flag, "learn to predict images of which random patches are hidden")
        .or_flag(false)
        .or_where(&[(Only::is("method", &["mic"]), Literal::Flag(true))])
        .added()
        .origin("MIC, section 3.2"),
    KeySpec::new(
        "masked_images",
        ValueType::Choice(&["target", "both", "source"]),
        "which images are masked: those of the target, with the teacher's labels; one of each domain; or those of the source, with \
         their labels, which needs no teacher",
    )
    .or_text("target")
    .or_where(&[(Only::is("method", &[SOURCE_ONLY]), Literal::Text("source"))])
    .added()
    .only(Only::on("masked"))
    .origin("MIC, mask_mode: separatetrgaug; for ACDC and Dark Zurich separate"),
    KeySpec::new(
        "masked_block",
        ValueType::Integer { min: 1, max: super::MAX_SIDE },
        "side of a patch, in pixels; MIC: 64 for crops of 1024",
    )
    .or_integer(32)
    .added()
    .only(Only::on("masked"))
    .origin("MIC, configs for crops of 512"),
    KeySpec::new("masked_ratio", ValueType::Number(Interval::UNIT), "probability of each patch to be hidden")
        .or_number(0.7)
        .added()
        .only(Only::on("masked"))
        .origin("MIC, configs: mask_ratio"),
    KeySpec::new("masked_weight", WEIGHT, "weight of the cross-entropy on masked images")
        .or_number(1.0)
        .added()
        .only(Only::on("masked"))
        .origin("MIC, configs: mask_lambda"),
    KeySpec::new(
        "teacher",
        ValueType::Flag,
        "keep a second network, an average of this one over time: the output `<stage>.teacher`. `mixed` and masked target images \
         need it",
    )
    .or_flag(false)
    .or_where(&[(ASKS_TEACHER, Literal::Flag(true))])
    .added()
    .origin("DAFormer, dacs.py"),
    KeySpec::new(
        "teacher_alpha",
        ValueType::Number(Interval::DECAY),
        "share of its own weights that the teacher keeps in a step; in step k at most 1 − 1/(k + 1), so that it begins as a copy",
    )
    .or_number(0.999)
    .or_where(&[(Only::is("method", &["dacs"]), Literal::Number(0.99))])
    .added()
    .only(TAUGHT)
    .origin("DAFormer, configs: alpha"),
    KeySpec::new(
        "teacher_threshold",
        ValueType::Number(Interval::UNIT),
        "probability from which the teacher is sure of a pixel; the share of sure pixels in a batch is the weight of all its \
         pseudo-labels",
    )
    .or_number(0.968)
    .added()
    .only(ASKS_TEACHER)
    .origin("DAFormer, configs: pseudo_threshold"),
    KeySpec::new(
        "strong_colour_probability",
        ValueType::Number(Interval::UNIT),
        "how often the colours of mixed and masked images change",
    )
    .or_number(0.8)
    .added()
    .only(CHANGES_COLOURS)
    .origin("DAFormer, dacs_transforms.py: color_jitter_probability 0.2, applied above it"),
    KeySpec::new(
        "strong_colour_strength",
        ValueType::Number(Interval::UNIT),
        "how much: brightness, contrast and saturation by up to this share, hue by up to this part of a turn; DACS: 0.25",
    )
    .or_number(0.2)
    .added()
    .only(CHANGES_COLOURS)
    .origin("DAFormer, dacs_transforms.py: color_jitter_strength"),
    KeySpec::new("strong_blur_probability", ValueType::Number(Interval::UNIT), "how often mixed and masked images are blurred")
        .or_number(0.5)
        .added()
        .only(CHANGES_COLOURS)
        .origin("DAFormer, dacs_transforms.py"),
    KeySpec::new(
        "strong_blur_sigma",
        ValueType::Pair(Interval::POSITIVE),
        "least and largest standard deviation of that Gaussian blur, in pixels",
    )
    .or(Literal::Pair([0.15, 1.15]))
    .added()
    .only(CHANGES_COLOURS)
    .origin("DAFormer, dacs_transforms.py"),
    KeySpec::new(
        "feature_distance",
        ValueType::Flag,
        "keep the features of things near those of the model's `init`, the network as it was before any training; sides of the \
         images must be multiples of the stride of the deepest features: 32 in SegFormers",
    )
    .or_flag(false)
    .or_where(&[(Only::is("method", &["daformer", "mic"]), Literal::Flag(true))])
    .added()
    .origin("DAFormer, section 3.3"),
    KeySpec::new("feature_distance_weight", WEIGHT, "weight of the feature distance")
        .or_number(0.005)
        .added()
        .only(FEATURE_DISTANCE)
        .origin("DAFormer, configs: imnet_feature_dist_lambda"),
    KeySpec::new(
        "feature_distance_share",
        ValueType::Number(Interval::UNIT),
        "least share of a cell's pixels that its class must have; the classes that count are the `things` of the class set",
    )
    .or_number(0.75)
    .added()
    .only(FEATURE_DISTANCE)
    .origin("DAFormer, configs: imnet_feature_dist_scale_min_ratio"),
    KeySpec::new(
        "choices",
        ValueType::Path,
        "a JSON file of the classes to paste and the patches to mask, to compare with another program step by step; for tests only, \
         see docs/paper.md",
    )
    .optional()
    .only(CHANGES_COLOURS),
    KeySpec::new("flip", ValueType::Flag, "mirror half of the images")
        .or_flag(false)
        .or_where(&[(SELF_TRAINING, Literal::Flag(true))])
        .origin("none in AdvEnt"),
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
        LABELLED,
        ValueType::Dataset { labels: true },
        "a few labelled images of the target domain to learn from besides, a `[datasets.…]`",
    )
    .optional()
    .origin("none in AdvEnt"),
    KeySpec::new(
        "labelled_share",
        ValueType::Number(Interval::INSIDE_UNIT),
        "how often a labelled image of a batch is one of these: each position draws anew",
    )
    .or_number(0.5)
    .only(Only::with(LABELLED)),
    KeySpec::new(
        "crop_max_share",
        ValueType::Number(Interval { open_above: false, ..Interval::INSIDE_UNIT }),
        "a labelled crop is drawn again, up to ten times, until its largest class has less than this share of its labelled \
         pixels and it has two classes; 1: any crop serves. DAFormer uses 0.75",
    )
    .or_number(1.0)
    .added()
    .only(Only::with("crop"))
    .origin("none in AdvEnt"),
    KeySpec::new(
        "rare_class_sampling",
        ValueType::Flag,
        "draw labelled images by class instead of in turn: a class by P(c) = softmax((1 − f_c) / T), where f_c is its share of \
         all labelled pixels, then an image with enough of it (DAFormer). Classes that don't occur are never drawn",
    )
    .or_flag(false)
    .or_where(&[(Only::is("method", &["daformer", "mic"]), Literal::Flag(true))])
    .added()
    .origin("none in AdvEnt or DACS"),
    KeySpec::new(
        "class_counts",
        ValueType::Stages(OutputRole::ClassCounts),
        "the class-statistics stage that counted these labels; not needed with `rare_class_sampling = false`; of several data sets a list in their order, each drawn by its own \
         counts. Images of `labelled` are drawn so if theirs come last, else in turn",
    )
    .only(RARE),
    KeySpec::new("rare_class_temperature", RATE, "T: the smaller, the more often rare classes are drawn")
        .or_number(0.01)
        .only(RARE)
        .origin("DAFormer, uda_dataset.py"),
    KeySpec::new(
        "rare_class_min_pixels",
        ValueType::Integer { min: 0, max: i64::MAX },
        "an image is drawn for a class of which its label has more than so many pixels, at full size; smaller images need \
         a smaller number",
    )
    .or_integer(3000)
    .only(RARE)
    .origin("DAFormer, uda_dataset.py"),
    KeySpec::new(
        "rare_class_crop_share",
        WEIGHT,
        "a crop serves if it has more than `rare_class_min_pixels` times this of the class; HRDA uses 2.0",
    )
    .or_number(0.5)
    .only(RARE)
    .origin("DAFormer, uda_dataset.py"),
    KeySpec::new(
        "rare_class_tries",
        ValueType::Integer { min: 0, max: 10_000 },
        "further crops, each with its own flip, until one serves; the last one is taken as it is",
    )
    .or_integer(10)
    .only(RARE)
    .origin("DAFormer, uda_dataset.py"),
    KeySpec::new(
        "precision",
        ValueType::Choice(&["float32", "float64", "bfloat16"]),
        "precision of parameters and arithmetic; with `bfloat16` the networks' convolutions and matrix products are in it, as by \
         PyTorch's `torch.autocast`, and parameters, optimisers, statistics and losses stay float32. It is slower on a CPU that has \
         neither AVX512-BF16 nor AMX, and with an `instruction_set`",
    )
    .or_text("float32"),
    KeySpec::new(
        "tf32",
        ValueType::Flag,
        "let a GPU round the factors of matrix products to TF32 as well, as it does in convolutions by default; without effect on a \
         CPU. Never run on a GPU",
    )
    .or_flag(false)
    .added()
    .origin("none in AdvEnt, DAFormer or MIC"),
    KeySpec::new(
        "cudnn_benchmark",
        ValueType::Flag,
        "let cuDNN try its algorithms for each new size of images and take the quickest, which may be another one each time; without \
         effect on a CPU. Never run on a GPU",
    )
    .or_flag(false)
    .added()
    .origin("AdvEnt, train_UDA.py"),
    viewing::CHANNELS_LAST,
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
        CANDIDATES_EVERY,
        COUNT,
        "steps between snapshots that are scored on images without labels; the last step is always one. `<stage>.chosen` is then \
         the snapshot with the best score, chosen without labels, while `<stage>` is the last one; default: none",
    )
    .optional()
    .added()
    .origin("none in AdvEnt"),
    KeySpec::new(
        CHOOSE_BY,
        ValueType::Choice(Score::NAMES),
        "the score that chooses; all three are computed and written to `candidates.jsonl`, so that they can be compared. A training \
         with another one runs again, as its `chosen` is another network",
    )
    .or_text("entropy")
    .only(CHOOSING)
    .origin("Density: Saito et al. 2021"),
    KeySpec::new(
        CANDIDATES,
        ValueType::Dataset { labels: false },
        "the images on which snapshots are scored, a `[datasets.…]`; default: the training's target, of an intra training the easy \
         and the hard part. A training without target needs it",
    )
    .optional()
    .added()
    .only(CHOOSING),
    KeySpec::new(
        "candidates_images",
        COUNT,
        "how many of these images are looked at, evenly spaced over the data set; all if there are fewer",
    )
    .or_integer(50)
    .added()
    .only(CHOOSING),
    KeySpec::new(
        "checkpoint_every",
        COUNT,
        "steps between checkpoints, from which an interrupted training resumes; default: about 20 seconds of work",
    )
    .optional()
    .execution(),
    KeySpec::new(
        "copies_ahead",
        ValueType::Flag,
        "copy the images of a step to a GPU a step ahead and through pinned memory, so that it needn't wait for them; without effect on a \
         CPU. Never run on a GPU",
    )
    .or_flag(false)
    .execution()
    .origin("none in AdvEnt, DAFormer or MIC"),
];

pub(super) const OUTPUTS: &[OutputSpec] = &[
    OutputSpec::file("model", "model.safetensors", OutputRole::Weights),
    OutputSpec::file("discriminator", "discriminator.safetensors", OutputRole::Discriminator).only(ADVERSARIAL),
    OutputSpec::file("losses", "losses.jsonl", OutputRole::Losses),
    OutputSpec::folder("pictures", OutputRole::Snapshots),
    OutputSpec::file(BEST, "best.safetensors", OutputRole::Weights).only(VALIDATED).by_name(),
    OutputSpec::file("evaluations", "evaluations.jsonl", OutputRole::Evaluations).only(VALIDATED),
    OutputSpec::file(CHOSEN, "chosen.safetensors", OutputRole::Weights).only(CHOOSING).by_name(),
    OutputSpec::file("candidates", "candidates.jsonl", OutputRole::Candidates).only(CHOOSING),
    OutputSpec::file(TEACHER, "teacher.safetensors", OutputRole::Weights).only(TAUGHT).by_name(),
];
