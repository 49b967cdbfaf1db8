//! `command`: any program as a stage.
//!
//! Knows nothing of the program, so all its dependencies must be declared: inputs by path, environment variables by name. It
//! starts with an otherwise clean environment, so that a missing declaration fails early.

use super::{KeySpec, Kind, Runs, ValueType};

pub(super) const KIND: Kind = Kind {
    name: "command",
    revision: 1,
    summary: "Runs a program in the workspace root.",
    keys: &[&[
        KeySpec::new("command", ValueType::Texts, "the program and its arguments, started without a shell").optional(),
        KeySpec::new("shell", ValueType::Text, "a line for `sh -c`, instead of `command`").optional(),
        KeySpec::new(
            "inputs",
            ValueType::Paths,
            "files and folders that it reads; another stage's output makes an edge",
        )
        .optional(),
        KeySpec::new("outputs", ValueType::OutputPaths, "files and folders that it writes; a missing one is an error"),
        KeySpec::new(
            "env",
            ValueType::Texts,
            "environment variables to pass on, besides those always passed on; their values are part of the key",
        )
        .optional(),
    ]],
    exactly_one: &["command", "shell"],
    computes: false,
    revised: &[],
    classes: &[],
    outputs: &[],
    items: None,
    tensors: false,
    runs: Runs::Command,
};
