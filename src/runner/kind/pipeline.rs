//! The keys of the file itself, of `[pipeline]` and of `[[classes]]`.
//!
//! Knows no stage. What is here holds for the whole pipeline; of it the seed, the classes and the instruction set can change a
//! result.

use super::{KeySpec, ValueType, classes, instruction_set};

/// The version of the file format that this program reads.
pub const FORMAT: i64 = 1;

/// The sections that a pipeline file may have beside `format`.
pub const SECTIONS: &[&str] = &["pipeline", "resources", "classes", "datasets", "models", "stages"];

/// `[pipeline]`.
pub const KEYS: &[KeySpec] = &[
    KeySpec::new(
        "name",
        ValueType::Text,
        "letters, digits, `-` and `_`; the outputs lie in `runs/<name>`; default: the file's name without its ending",
    )
    .optional(),
    KeySpec::new("seed", ValueType::Integer { min: 0, max: i64::MAX }, "of every stage that doesn't set its own")
        .or_integer(1234)
        .origin("AdvEnt, config.py: RANDOM_SEED"),
    KeySpec::new(
        "classes",
        ValueType::Choice(classes::NAMES),
        "the classes; for others, leave it out and list them as `[[classes]]`",
    )
    .optional(),
    KeySpec::new("device", ValueType::Text, "`auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:<n>`")
        .or_text("auto")
        .execution(),
    KeySpec::new(
        "threads",
        ValueType::Integer { min: 1, max: 1024 },
        "CPU threads of one stage; default: the machine's cores, shared by what runs at once",
    )
    .optional()
    .execution(),
    KeySpec::new(
        "instruction_set",
        ValueType::Choice(instruction_set::NAMES),
        "holds the libraries that compute on the CPU to these instructions: the same libtorch and the same `threads` then give \
         the same bytes on every x86-64 CPU that has them, and one that has not is refused; default: the best that the CPU \
         has, and other CPUs give other last digits. It is slower, as oneDNN is left out, and part of the key of each stage \
         that computes with a network",
    )
    .optional(),
];

/// One of `[[classes]]`; its index is its place in the list.
pub const CLASS_KEYS: &[KeySpec] = &[
    KeySpec::new("name", ValueType::Text, "the class, as tables show it"),
    KeySpec::new(
        "colour",
        ValueType::Colour,
        "`[red, green, blue]`; default: a colour of its own, fixed by the class's index",
    )
    .optional(),
    KeySpec::new("rare", ValueType::Flag, "whether it counts as rare where ranking normalizes by rare classes")
        .or_flag(false),
];
