//! How a stage of any kind is run, and the `[resources]` to run stages on.
//!
//! Knows no kind. None of it can change a result, so none of it is part of a key: a training that moves to another GPU keeps
//! its key.

use super::{KeySpec, ValueType};

/// The name of a time limit among the amounts of a stage.
pub const TIME: &str = "time";

/// The keys of every stage, besides those of its kind.
pub const KEYS: &[KeySpec] = &[
    KeySpec::new("executor", ValueType::Executor, "where it runs").or_of_pipeline().execution(),
    KeySpec::new(
        "resources",
        ValueType::Amounts,
        "what it uses while it runs, as in `{ gpus = 1, cpu = 4, memory = \"8 GiB\", licence = 1 }`; on an executor other than \
         `local` also `time = \"12 h\"`, the time limit of its job",
    )
    .optional()
    .execution(),
    KeySpec::new(
        "retries",
        ValueType::Integer { min: 0, max: 1000 },
        "number of retries after a failure; a training resumes from its last checkpoint",
    )
    .or_integer(0)
    .execution(),
    KeySpec::new(
        "timeout",
        ValueType::Duration,
        "an attempt that takes longer is stopped as by Ctrl-C, keeps its checkpoint and fails",
    )
    .optional()
    .execution(),
];

/// The keys of every kind that processes a data set item by item ([`Kind::items`](super::Kind::items)).
pub(super) const SHARDS: &[KeySpec] = &[
    KeySpec::new(
        "shards",
        ValueType::Integer { min: 1, max: 10_000 },
        "splits the images over at most so many jobs, each with the `resources` of the stage",
    )
    .optional()
    .execution(),
    KeySpec::new(
        "shard_items",
        ValueType::Integer { min: 1, max: i64::MAX },
        "the same by number of images: at most so many per job",
    )
    .optional()
    .execution(),
];

/// `[resources]`. Any other name with a number is a custom resource with that many units.
pub const RESOURCES: &[KeySpec] = &[
    KeySpec::new(
        "gpus",
        ValueType::Texts,
        "the GPUs, as in `CUDA_VISIBLE_DEVICES`; each is assigned to one stage at a time; default: the one of `device`, for \
         one stage at a time",
    )
    .optional()
    .execution(),
    KeySpec::new("cpu", ValueType::Integer { min: 1, max: 65_536 }, "total CPU threads; default: the machine's cores")
        .optional()
        .execution(),
    KeySpec::new("memory", ValueType::Bytes, "memory for the stages that declare their need").optional().execution(),
];
