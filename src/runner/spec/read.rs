//! One table of the file, read against the keys it may hold.
//!
//! Knows no meaning of a key, only what its [`KeySpec`] says; names of stages, data sets and models stay names. What is wrong
//! is reported once: a value that couldn't be read counts as there, so that it isn't reported as missing as well.

use std::collections::HashMap;

use super::near::{did_you_mean, nearest};
use super::problem::Problem;
use super::raw::{Entry, Item, Node, Table};
use super::source::{Sources, Span};
use super::value::Value;
use crate::kind::{Interval, KeySpec, Keys, Only, Presence, Takes};

/// A value as it was typed, checked against what its key takes.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub value: Value,
    /// The value's place.
    pub span: Span,
    /// The places of the elements, if it is a list.
    pub elements: Vec<Span>,
}

impl Typed {
    /// The value, if it is a string.
    pub(super) fn text(&self) -> &str {
        self.value.as_text().unwrap_or_default()
    }

    /// The strings of a list, or the one string, each with its place.
    pub(super) fn texts(&self) -> Vec<(&str, Span)> {
        match &self.value {
            Value::Text(text) => vec![(text, self.span)],
            value => value.elements().iter().filter_map(Value::as_text).zip(self.elements.iter().copied()).collect(),
        }
    }
}

/// What was typed in one table. A key is absent (not typed), wrong (typed and reported), or has a value.
#[derive(Clone, Debug)]
pub(super) struct Values {
    typed: HashMap<&'static str, Option<Typed>>,
    /// The name in the table's header: where what is missing is missing.
    pub header: Span,
}

impl Values {
    pub(super) fn get(&self, key: &str) -> Option<&Typed> {
        self.typed.get(key)?.as_ref()
    }

    /// Whether the key was typed, rightly or wrongly.
    pub(super) fn has(&self, key: &str) -> bool {
        self.typed.contains_key(key)
    }

    /// What was typed, or the key's default; nothing where it is wrong or there is none.
    pub(super) fn value(&self, key: &KeySpec) -> Option<Value> {
        match (self.typed.get(key.name), key.presence) {
            (Some(typed), _) => typed.as_ref().map(|typed| typed.value.clone()),
            (None, Presence::Default(literal)) => Some(literal.into()),
            (None, _) => None,
        }
    }

    /// Where it was typed; the table's name where it wasn't.
    pub(super) fn span(&self, key: &str) -> Span {
        self.get(key).map_or(self.header, |typed| typed.span)
    }

    /// Whether something that exists only under a condition does; unknown where the key it depends on is wrong.
    pub(super) fn applies(&self, only: Option<Only>, keys: Keys) -> Option<bool> {
        let Some(only) = only else { return Some(true) };
        let key = all(keys).find(|key| key.name == only.key)?;
        Some(only.is.contains(&self.value(key)?.as_text()?))
    }
}

/// Every key of the groups.
pub(super) fn all(keys: Keys) -> impl Iterator<Item = &'static KeySpec> + Clone {
    keys.iter().copied().flatten()
}

/// Reads tables and collects what is wrong with them.
pub(super) struct Reader<'a> {
    pub sources: &'a Sources,
    pub problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    /// Reads a table. `noun` names it with its article, as in "a ranking stage"; `beside` are keys that the caller reads.
    pub(super) fn table(&mut self, table: &Table, keys: Keys, beside: &[&str], noun: &str, header: Span) -> Values {
        let mut values = Values { typed: HashMap::new(), header };
        for entry in &table.0 {
            if let Some(key) = all(keys).find(|key| key.name == entry.key) {
                let typed = read(key, &entry.node).map_err(|problem| self.problems.push(*problem)).ok();
                values.typed.insert(key.name, typed);
            } else if !beside.contains(&&*entry.key) {
                self.unknown_key(entry, all(keys).map(|key| key.name).chain(beside.iter().copied()), noun);
            }
        }
        self.presence(&mut values, keys, noun);
        values
    }

    pub(super) fn unknown_key<'n>(&mut self, entry: &Entry, names: impl Iterator<Item = &'n str>, noun: &str) {
        let meant = nearest(&entry.key, names).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        let title = if entry.key_span.is_argument() {
            let argument = &self.sources.of(entry.key_span).text;
            format!("--set {argument}: no such key in {noun}{meant}")
        } else {
            format!("unknown key `{}` in {noun}{meant}", entry.key)
        };
        self.problems.push(Problem::error(title).at(entry.key_span, ""));
    }

    /// Reports what is missing, and drops what doesn't apply.
    fn presence(&mut self, values: &mut Values, keys: Keys, noun: &str) {
        for key in all(keys) {
            let applies = values.applies(key.only, keys);
            if let (Some(false), Some(only)) = (applies, key.only) {
                if let Some(Some(typed)) = values.typed.remove(key.name) {
                    let words = one_of(only.is);
                    let title = format!("`{}` has no effect here: it needs `{}` to be {words}", key.name, only.key);
                    self.problems.push(Problem::warning(title).at(typed.span, ""));
                }
            } else if applies == Some(true) && key.presence == Presence::Required && !values.has(key.name) {
                let title = format!("{noun} needs `{}`", key.name);
                let label = format!("`{}` is missing", key.name);
                self.problems
                    .push(Problem::error(title).at(values.header, label).note(format!("{}: {}", key.name, key.doc)));
            }
        }
    }
}

/// Reads one value.
pub(super) fn read(key: &KeySpec, node: &Node) -> Result<Typed, Box<Problem>> {
    let wrong = || Box::new(wrong_type(key, node));
    let typed = |value, elements| Ok(Typed { value, span: node.span, elements });
    match (key.takes, &node.item) {
        (Takes::Flag, Item::Flag(flag)) => typed(Value::Flag(*flag), Vec::new()),
        (Takes::Integer { .. } | Takes::OneOf(_), item) => {
            let number = match item {
                Item::Integer(number) => *number,
                Item::Huge => return Err(Box::new(out_of_range(key, node, "more than 64 bits"))),
                _ => return Err(wrong()),
            };
            whole_number(key, number, node).map(Value::Integer).and_then(|value| typed(value, Vec::new()))
        }
        (Takes::Number(interval), _) => {
            number(key, interval, node).map(Value::Number).and_then(|v| typed(v, Vec::new()))
        }
        (Takes::Choice(names), Item::Text(text)) => {
            if !names.contains(&text.as_str()) {
                let title = format!("`{}` can't be \"{text}\"", key.name);
                let label = format!("expected {}", one_of(names));
                return Err(Box::new(
                    Problem::error(title).at(node.span, label).help_if(did_you_mean(text, names.iter().copied())),
                ));
            }
            typed(Value::Text(text.clone()), Vec::new())
        }
        (
            Takes::Text
            | Takes::Path
            | Takes::Folder
            | Takes::Dataset { .. }
            | Takes::Model
            | Takes::Stage(_)
            | Takes::StageOrFile(_)
            | Takes::Stages(_),
            Item::Text(text),
        ) => text_value(key, text, node).and_then(|value| typed(value, Vec::new())),
        (Takes::Texts | Takes::Paths | Takes::OutputPaths | Takes::Stages(_), Item::List(nodes)) => {
            if nodes.is_empty() && !matches!(key.takes, Takes::Paths) {
                return Err(Box::new(
                    Problem::error(format!("`{}` is empty", key.name)).at(node.span, "at least one is needed"),
                ));
            }
            let element = |node: &Node| match &node.item {
                Item::Text(text) => text_value(key, text, node),
                _ => Err(Box::new(wrong_type(key, node))),
            };
            let values = nodes.iter().map(element).collect::<Result<_, _>>()?;
            typed(Value::List(values), nodes.iter().map(|node| node.span).collect())
        }
        (Takes::Pair(interval), Item::List(nodes)) if nodes.len() == 2 => {
            let numbers = nodes.iter().map(|node| number(key, interval, node).map(Value::Number));
            typed(Value::List(numbers.collect::<Result<_, _>>()?), Vec::new())
        }
        (Takes::Size, Item::List(nodes)) if nodes.len() == 2 => typed(whole_numbers(key, nodes)?, Vec::new()),
        (Takes::Colour, Item::List(nodes)) if nodes.len() == 3 => typed(whole_numbers(key, nodes)?, Vec::new()),
        (Takes::LabelMap, Item::Table(table)) => typed(label_map(key, table)?, Vec::new()),
        _ => Err(wrong()),
    }
}

fn text_value(key: &KeySpec, text: &str, node: &Node) -> Result<Value, Box<Problem>> {
    if text.is_empty() {
        return Err(Box::new(Problem::error(format!("`{}` is empty", key.name)).at(node.span, "")));
    }
    // No path, name or argument of a program can hold one.
    if text.contains('\0') {
        return Err(Box::new(Problem::error(format!("`{}` holds a NUL character", key.name)).at(node.span, "")));
    }
    Ok(Value::Text(text.to_owned()))
}

fn number(key: &KeySpec, interval: Interval, node: &Node) -> Result<f64, Box<Problem>> {
    let number = match node.item {
        Item::Number(number) => number,
        Item::Integer(number) => number as f64,
        _ => return Err(Box::new(wrong_type(key, node))),
    };
    if number.is_finite() && interval.contains(number) {
        // Adding 0 turns -0 into 0: they are equal, so their texts must be.
        return Ok(number + 0.0);
    }
    let percent = interval.max == 1.0 && number > 1.0 && number <= 100.0;
    let help = percent.then(|| format!("a share is meant: for {number} % write {}", number / 100.0));
    Err(Box::new(out_of_range(key, node, &number.to_string()).help_if(help)))
}

fn whole_number(key: &KeySpec, number: i64, node: &Node) -> Result<i64, Box<Problem>> {
    let inside = match key.takes {
        Takes::Integer { min, max } => (min..=max).contains(&number),
        Takes::OneOf(numbers) => numbers.contains(&number),
        Takes::Size => (1..=MAX_SIDE).contains(&number),
        _ => (0..=255).contains(&number),
    };
    if inside { Ok(number) } else { Err(Box::new(out_of_range(key, node, &number.to_string()))) }
}

/// The largest side of a picture, in pixels: PNG's limit is more, but so large a one is a slip of the keyboard.
pub(super) const MAX_SIDE: i64 = 65_535;

fn whole_numbers(key: &KeySpec, nodes: &[Node]) -> Result<Value, Box<Problem>> {
    let one = |node: &Node| match node.item {
        Item::Integer(number) => whole_number(key, number, node).map(Value::Integer),
        _ => Err(Box::new(wrong_type(key, node))),
    };
    nodes.iter().map(one).collect::<Result<_, _>>().map(Value::List)
}

/// `[[from, to], …]`, in order of `from`.
fn label_map(key: &KeySpec, table: &Table) -> Result<Value, Box<Problem>> {
    let mut pairs = Vec::with_capacity(table.0.len());
    for Entry { key: from, key_span, node } in &table.0 {
        let Ok(value) = from.parse::<u8>() else {
            let title = format!("`{}` replaces label values, 0 to 255; `{from}` is none", key.name);
            return Err(Box::new(Problem::error(title).at(*key_span, "expected a whole number from 0 to 255")));
        };
        let Item::Integer(to) = node.item else { return Err(Box::new(wrong_type(key, node))) };
        pairs.push((value, whole_number(key, to, node)?));
    }
    pairs.sort_unstable();
    Ok(Value::List(
        pairs
            .into_iter()
            .map(|(from, to)| Value::List(vec![Value::Integer(from.into()), Value::Integer(to)]))
            .collect(),
    ))
}

fn wrong_type(key: &KeySpec, node: &Node) -> Problem {
    let title = format!("`{}` takes {}, this is {}", key.name, noun(key.takes), node.item.words());
    let unquoted = match (&node.item, key.takes) {
        (Item::Text(text), Takes::Number(_) | Takes::Integer { .. } | Takes::OneOf(_)) => {
            text.trim().parse::<f64>().is_ok()
        }
        (Item::Text(text), Takes::Flag) => matches!(text.as_str(), "true" | "false"),
        _ => false,
    };
    let help = match &node.item {
        Item::Text(text) if unquoted => Some(format!("write it without the quotes: {}", text.trim())),
        Item::Number(number)
            if number.fract() == 0.0 && matches!(key.takes, Takes::Integer { .. } | Takes::OneOf(_)) =>
        {
            Some(format!("write it without a point: {number}"))
        }
        _ => None,
    };
    Problem::error(title).at(node.span, format!("expected {}", expected(key.takes))).help_if(help)
}

fn out_of_range(key: &KeySpec, node: &Node, label: &str) -> Problem {
    let title = match key.takes {
        Takes::Number(interval) | Takes::Pair(interval) if interval.max.is_finite() => {
            format!("`{}` must lie {}", key.name, interval.words())
        }
        Takes::Number(interval) | Takes::Pair(interval) => format!("`{}` must be {}", key.name, interval.words()),
        takes => format!("`{}` must be {}", key.name, expected(takes)),
    };
    Problem::error(title).at(node.span, label)
}

/// What a key takes, with its article: "`lambda` takes a number".
fn noun(takes: Takes) -> &'static str {
    match takes {
        Takes::Flag => "a boolean",
        Takes::Integer { .. } | Takes::OneOf(_) => "a whole number",
        Takes::Number(_) => "a number",
        Takes::Pair(_) => "a list of two numbers",
        Takes::Size => "a list of two whole numbers",
        Takes::Colour => "a list of three whole numbers",
        Takes::Texts | Takes::Paths | Takes::OutputPaths => "a list of strings",
        Takes::LabelMap => "a table of label values",
        Takes::Stages(_) => "a string or a list of strings",
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
        Takes::Dataset { .. } => "the name of a data set".to_owned(),
        Takes::Model => "the name of a model".to_owned(),
        Takes::Stage(gives) => format!("the name of a stage that gives {}", gives.words()),
        Takes::Stages(gives) => format!("the names of stages that give {}", gives.words()),
        Takes::StageOrFile(gives) => {
            format!("the name of a stage that gives {}, or a .safetensors file", gives.words())
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
