//! The keys of the file itself, of `[pipeline]` and of `[[classes]]`.
//!
//! Knows no stage. Of these keys only the seed, the classes and the instruction set can change a result.

use std::ops::RangeInclusive;

use super::{KeySpec, ValueType, classes, executor, instruction_set};

/// The version of the file format that this program reads.
pub const FORMAT: i64 = 1;

/// The sections of a pipeline file, besides `format`.
pub const SECTIONS: &[&str] =
    &["pipeline", "resources", "executors", "cache", "classes", "datasets", "models", "stages"];

/// `[pipeline]`.
pub const KEYS: &[KeySpec] = &[
    KeySpec::new(
        "name",
        ValueType::Text,
        "letters, digits, `-` and `_`; outputs are in `runs/<name>`; default: the file's name without extension",
    )
    .optional(),
    KeySpec::new(
        "description",
        ValueType::Text,
        "what the pipeline is for, a sentence or more; shown by the report, `status`, `history` and exported cards",
    )
    .optional()
    .execution(),
    KeySpec::new(
        "tags",
        ValueType::Texts,
        "words to select by, as in `intrada-run history p.toml --tag night` and `compare *.toml --tag night`; at most 50 \
         characters each, without blanks and commas",
    )
    .optional()
    .execution(),
    KeySpec::new("seed", ValueType::Integer { min: 0, max: i64::MAX }, "default seed of the stages")
        .or_integer(1234)
        .origin("AdvEnt, config.py: RANDOM_SEED"),
    KeySpec::new(
        "classes",
        ValueType::Choice(classes::NAMES),
        "a named class set; for other classes, omit it and list them as `[[classes]]`",
    )
    .optional(),
    KeySpec::new(
        "things",
        ValueType::Texts,
        "the names of the classes that are things (a car, a person), not stuff (road, sky); default: those of the named class \
         set, and none of `[[classes]]`",
    )
    .optional()
    .origin("DAFormer, fdthings configuration"),
    KeySpec::new("device", ValueType::Text, "`auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:<n>`")
        .or_text("auto")
        .execution(),
    KeySpec::new(
        "executor",
        ValueType::Executor,
        "where stages run: `local`, which is this machine, or one of `[executors]`",
    )
    .or_text(executor::LOCAL)
    .execution(),
    KeySpec::new(
        "threads",
        ValueType::Integer { min: 1, max: 1024 },
        "CPU threads per stage; default: half of `cpu` of `[resources]`, from 1 to 8, so that two stages run at once",
    )
    .optional()
    .execution(),
    KeySpec::new(
        "instruction_set",
        ValueType::Choice(instruction_set::NAMES),
        "restricts the CPU libraries to these instructions: the same libtorch and `threads` then give the same bytes on every \
         x86-64 CPU that has them; other CPUs are refused; default: the best of the CPU, so that last digits differ between \
         CPUs. Slower, as it disables oneDNN, and part of the key of each stage that computes with a network",
    )
    .optional(),
];

/// How many classes a pipeline may have: their indices are bytes in labels, of which 255 means "ignore".
pub const CLASS_COUNT: RangeInclusive<usize> = 2..=254;

/// One of `[[classes]]`; its index is its position in the list.
pub const CLASS_KEYS: &[KeySpec] = &[
    KeySpec::new("name", ValueType::Text, "the name shown in tables"),
    KeySpec::new(
        "colour",
        ValueType::Colour,
        "`[red, green, blue]`; default: a distinct colour that depends on the index",
    )
    .optional(),
    KeySpec::new("rare", ValueType::Flag, "whether it counts as rare when a ranking normalizes by rare classes")
        .or_flag(false),
];
