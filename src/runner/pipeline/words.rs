//! What a key takes, in words: the same for messages, the schema and the reference.
//!
//! Knows no value and no place.

use crate::kind::{Kind, MAX_SIDE, Takes};

/// "a ranking stage", "an evaluation stage".
pub(super) fn stage_of(kind: &Kind) -> String {
    let article = if kind.name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {} stage", kind.name)
}

/// What a key takes, with its article: "`lambda` takes a number".
pub(super) fn noun(takes: Takes) -> &'static str {
    match takes {
        Takes::Flag => "a boolean",
        Takes::Integer { .. } | Takes::OneOf(_) => "a whole number",
        Takes::Number(_) => "a number",
        Takes::Pair(_) => "a list of two numbers",
        Takes::Size => "a list of two whole numbers",
        Takes::Colour => "a list of three whole numbers",
        Takes::Texts | Takes::Paths | Takes::OutputPaths => "a list of strings",
        Takes::LabelMap => "a table of label values",
        Takes::StagesOrFiles(_) => "a string or a list of strings",
        Takes::Amounts => "a table of amounts",
        Takes::Bytes => "a size with its unit",
        Takes::Duration => "a duration with its unit",
        Takes::Text | Takes::Choice(_) | Takes::Path | Takes::Folder | Takes::Dataset { .. } | Takes::Model => {
            "a string"
        }
        Takes::Stage(_) | Takes::StageOrFile(_) => "a string",
    }
}

/// The same, as exactly as it can be said.
pub(super) fn expected(takes: Takes) -> String {
    match takes {
        Takes::Flag => "true or false".to_owned(),
        Takes::Integer { min, max: i64::MAX } => format!("a whole number, {min} or more"),
        Takes::Integer { min, max } => format!("a whole number from {min} to {max}"),
        Takes::OneOf(numbers) => alternatives(numbers.iter().map(i64::to_string)),
        Takes::Number(interval) => format!("a number, {}", interval.words()),
        Takes::Pair(interval) => format!("two numbers in brackets, each {}", interval.words()),
        Takes::Size => format!("[width, height] in pixels, each from 1 to {MAX_SIDE}"),
        Takes::Colour => "[red, green, blue], each from 0 to 255".to_owned(),
        Takes::Text => "a string".to_owned(),
        Takes::Choice(names) => one_of(names),
        Takes::Path => "a path".to_owned(),
        Takes::Folder => "the name of a folder".to_owned(),
        Takes::Texts => "a list of strings".to_owned(),
        Takes::Paths | Takes::OutputPaths => "a list of paths".to_owned(),
        Takes::LabelMap => "label values from 0 to 255, as in { 34 = 255 }".to_owned(),
        Takes::Amounts => "amounts by name, as in { cpu = 4 }".to_owned(),
        Takes::Duration => "a duration, such as \"90 s\" or \"1 h 30 min\"".to_owned(),
        Takes::Bytes => "a size, such as \"24 GiB\"".to_owned(),
        Takes::Dataset { .. } => "the name of a data set".to_owned(),
        Takes::Model => "the name of a model".to_owned(),
        Takes::Stage(gives) => format!("the name of a stage that gives {}", gives.words()),
        Takes::StageOrFile(gives) => {
            format!("the name of a stage that gives {}, or a .safetensors or .pth file", gives.words())
        }
        Takes::StagesOrFiles(gives) => {
            format!("names of stages that give {}, or .safetensors or .pth files", gives.words())
        }
    }
}

/// `"a", "b" or "c"`.
pub(super) fn one_of(names: &[&str]) -> String {
    alternatives(names.iter().map(|name| format!("\"{name}\"")))
}

/// `a, b or c`.
pub(super) fn alternatives(names: impl IntoIterator<Item = String>) -> String {
    listed(names, "or")
}

/// `a, b and c`, with another word in the place of "and".
pub(super) fn listed(names: impl IntoIterator<Item = String>, word: &str) -> String {
    let mut names: Vec<String> = names.into_iter().collect();
    match names.pop() {
        Some(last) if !names.is_empty() => format!("{} {word} {last}", names.join(", ")),
        last => last.unwrap_or_default(),
    }
}
