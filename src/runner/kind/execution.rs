//! How a stage is run, whatever its kind, and what `[resources]` there are to run stages on.
//!
//! Knows no kind. None of it can change a result, so none of it is ever part of a key: a training that moves to another GPU
//! stays the training that it was.

use super::{KeySpec, ValueType};

/// The keys of every stage, beside those of its kind.
pub const KEYS: &[KeySpec] = &[
    KeySpec::new(
        "resources",
        ValueType::Amounts,
        "what it occupies while it runs, as in `{ gpus = 1, cpu = 4, memory = \"8 GiB\", licence = 1 }`",
    )
    .optional()
    .execution(),
    KeySpec::new(
        "retries",
        ValueType::Integer { min: 0, max: 1000 },
        "how often it is tried again when it fails; a training goes on from its last checkpoint",
    )
    .or_integer(0)
    .execution(),
    KeySpec::new(
        "timeout",
        ValueType::Duration,
        "an attempt that takes longer is stopped as by Ctrl-C, keeps its checkpoint and has failed",
    )
    .optional()
    .execution(),
];

/// `[resources]`. Beside these it takes any name with a number: so many stages can hold one at once.
pub const RESOURCES: &[KeySpec] = &[
    KeySpec::new(
        "gpus",
        ValueType::Texts,
        "the GPUs, by what `CUDA_VISIBLE_DEVICES` takes; each is lent to one stage at a time; default: whatever `device` finds, \
         for one stage at a time",
    )
    .optional()
    .execution(),
    KeySpec::new("cpu", ValueType::Integer { min: 1, max: 65_536 }, "CPU threads in all; default: the machine's cores")
        .optional()
        .execution(),
    KeySpec::new("memory", ValueType::Bytes, "memory for the stages that say how much they need").optional().execution(),
];
