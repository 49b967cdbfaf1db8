//! `command`: any program as a stage.
//!
//! Nothing is known about what it does, so everything that it depends on has to be declared: its inputs by path, what
//! it reads of the environment by name. It starts with nothing else of the environment, so that a forgotten name fails
//! early.

use super::{KeySpec, Kind, Runs, ValueType};

pub(super) const KIND: Kind = Kind {
    name: "command",
    revision: 1,
    summary: "Runs a program in the workspace root.",
    keys: &[&[
        KeySpec::new("command", ValueType::Texts, "the program and its arguments, started without a shell").optional(),
        KeySpec::new("shell", ValueType::Text, "a line for `sh -c`, in the place of `command`").optional(),
        KeySpec::new(
            "inputs",
            ValueType::Paths,
            "files and folders that it reads; a path that is another stage's output makes an edge",
        )
        .optional(),
        KeySpec::new("outputs", ValueType::OutputPaths, "files and folders that it writes; a missing one is an error"),
        KeySpec::new(
            "env",
            ValueType::Texts,
            "environment variables that it sees beside those that are always passed on; their values enter the key",
        )
        .optional(),
    ]],
    exactly_one: &["command", "shell"],
    computes: false,
    revised: &[],
    classes: &[],
    outputs: &[],
    items: None,
    runs: Runs::Command,
};
