//! The types of keys in words, shared by messages, the schema and the reference.
//!
//! Knows no value and no position.

use crate::kind::{Kind, MAX_SIDE, ValueType};

/// "a ranking stage", "an evaluation stage".
pub(super) fn stage_of(kind: &Kind) -> String {
    let article = if kind.name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {} stage", kind.name)
}

/// The type of a key with its article: "`lambda` takes a number".
pub(super) fn noun(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Flag => "a boolean",
        ValueType::Integer { .. } | ValueType::OneOf(_) => "an integer",
        ValueType::Number(_) => "a number",
        ValueType::Pair(_) => "a list of two numbers",
        ValueType::Numbers(_) => "a list of numbers",
        ValueType::Size => "a list of two integers",
        ValueType::Colour => "a list of three integers",
        ValueType::Texts | ValueType::Choices(_) | ValueType::Paths | ValueType::OutputPaths => "a list of strings",
        ValueType::LabelMap => "a table of label values",
        ValueType::Palette(_) => "a table of colours or a string",
        ValueType::Datasets { .. } | ValueType::Stages(_) | ValueType::StagesOrFiles(_) => {
            "a string or a list of strings"
        }
        ValueType::Amounts => "a table of amounts",
        ValueType::Bytes => "a size with its unit",
        ValueType::Duration => "a duration with its unit",
        ValueType::Text
        | ValueType::Choice(_)
        | ValueType::Path
        | ValueType::Folder
        | ValueType::Dataset { .. }
        | ValueType::Executor
        | ValueType::Model => "a string",
        ValueType::Stage(_) | ValueType::StageOrFile(_) => "a string",
    }
}

/// The same, in detail.
pub(super) fn expected(value_type: ValueType) -> String {
    match value_type {
        ValueType::Flag => "true or false".to_owned(),
        ValueType::Integer { min, max: i64::MAX } => format!("an integer, {min} or more"),
        ValueType::Integer { min, max } => format!("an integer from {min} to {max}"),
        ValueType::OneOf(numbers) => alternatives(numbers.iter().map(i64::to_string)),
        ValueType::Number(interval) => format!("a number, {}", interval.words()),
        ValueType::Pair(interval) => format!("two numbers in brackets, each {}", interval.words()),
        ValueType::Numbers(interval) => format!("a list of numbers, each {}", interval.words()),
        ValueType::Size => format!("[width, height] in pixels, each from 1 to {MAX_SIDE}"),
        ValueType::Colour => "[red, green, blue], each from 0 to 255".to_owned(),
        ValueType::Text => "a string".to_owned(),
        ValueType::Choice(names) => one_of(names),
        ValueType::Choices(names) => {
            format!("a list of some of {}", listed(names.iter().map(|name| format!("\"{name}\"")), "and"))
        }
        ValueType::Path => "a path".to_owned(),
        ValueType::Folder => "the name of a folder".to_owned(),
        ValueType::Texts => "a list of strings".to_owned(),
        ValueType::Paths | ValueType::OutputPaths => "a list of paths".to_owned(),
        ValueType::LabelMap => "label values from 0 to 255, as in { 34 = 255 }".to_owned(),
        ValueType::Palette(names) => {
            format!("colours with classes, as in {{ \"128,64,128\" = \"road\" }}, or {}", one_of(names))
        }
        ValueType::Amounts => "amounts by name, as in { cpu = 4 }".to_owned(),
        ValueType::Duration => "a duration, such as \"90 s\" or \"1 h 30 min\"".to_owned(),
        ValueType::Bytes => "a size, such as \"24 GiB\"".to_owned(),
        ValueType::Dataset { .. } => "the name of a data set".to_owned(),
        ValueType::Datasets { .. } => "the name of a data set, or a list of names".to_owned(),
        ValueType::Model => "the name of a model".to_owned(),
        ValueType::Executor => "the name of an executor".to_owned(),
        ValueType::Stage(role) => format!("the name of a stage that gives {}", role.words()),
        ValueType::Stages(role) => format!("the name of a stage that gives {}, or a list of names", role.words()),
        ValueType::StageOrFile(role) => {
            format!("the name of a stage that gives {}, or a .safetensors or .pth file", role.words())
        }
        ValueType::StagesOrFiles(role) => {
            format!("names of stages that give {}, or .safetensors or .pth files", role.words())
        }
    }
}

/// A value of a condition as it is typed: `"a"`, but `true`. No key of strings takes `true` or `false`.
pub(super) fn written(value: &str) -> String {
    if matches!(value, "true" | "false") { value.to_owned() } else { format!("\"{value}\"") }
}

/// `"a", "b" or "c"`.
pub(super) fn one_of(names: &[&str]) -> String {
    alternatives(names.iter().map(|name| format!("\"{name}\"")))
}

/// `a, b or c`.
pub(super) fn alternatives(names: impl IntoIterator<Item = String>) -> String {
    listed(names, "or")
}

/// `a, b and c`, with another word instead of "and".
pub(super) fn listed(names: impl IntoIterator<Item = String>, word: &str) -> String {
    let mut names: Vec<String> = names.into_iter().collect();
    match names.pop() {
        Some(last) if !names.is_empty() => format!("{} {word} {last}", names.join(", ")),
        last => last.unwrap_or_default(),
    }
}
