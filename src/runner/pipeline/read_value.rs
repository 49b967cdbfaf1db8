//! Reads one value of the file according to the type of its key.
//!
//! Knows no table and no other key. Returns a [`Value`] or an error that says what was expected; names of stages, data sets and
//! models are strings here.

use super::measure;
use super::near::did_you_mean;
use super::paths;
use super::problem::Problem;
use super::raw::{Entry, Item, Node, Table};
use super::source::Span;
use super::typed::Typed;
use super::value::Value;
use super::words::{expected, noun, one_of};
use crate::kind::{Interval, KeySpec, MAX_SIDE, ValueType};

/// Reads one value.
pub(super) fn read(key: &KeySpec, node: &Node) -> Result<Typed, Box<Problem>> {
    let wrong = || Box::new(wrong_type(key, node));
    let typed = |value, elements| Ok(Typed { value, span: node.span, elements });
    match (key.value_type, &node.item) {
        (ValueType::Flag, Item::Flag(flag)) => typed(Value::Flag(*flag), Vec::new()),
        (ValueType::Integer { .. } | ValueType::OneOf(_), Item::Integer(number)) => {
            typed(Value::Integer(whole_number(key, *number, node)?), Vec::new())
        }
        (ValueType::Integer { .. } | ValueType::OneOf(_), Item::Huge) => {
            Err(Box::new(out_of_range(key, node, "more than 64 bits")))
        }
        (ValueType::Number(interval), _) => typed(Value::Number(number(key, interval, node)?), Vec::new()),
        (ValueType::Choice(names), Item::Text(text)) => typed(choice(key, names, text, node)?, Vec::new()),
        (ValueType::Choices(names), Item::List(nodes)) => {
            typed(choices(key, names, nodes, node)?, nodes.iter().map(|node| node.span).collect())
        }
        (
            ValueType::Text
            | ValueType::Path
            | ValueType::Folder
            | ValueType::Dataset { .. }
            | ValueType::Datasets { .. }
            | ValueType::Model
            | ValueType::Executor
            | ValueType::Stage(_)
            | ValueType::Stages(_)
            | ValueType::StageOrFile(_)
            | ValueType::StagesOrFiles(_),
            Item::Text(text),
        ) => text_value(key, text, node).and_then(|value| typed(value, Vec::new())),
        (
            ValueType::Texts
            | ValueType::Paths
            | ValueType::OutputPaths
            | ValueType::Datasets { .. }
            | ValueType::Stages(_)
            | ValueType::StagesOrFiles(_),
            Item::List(nodes),
        ) => typed(texts(key, nodes, node)?, nodes.iter().map(|node| node.span).collect()),
        (ValueType::Pair(interval), Item::List(nodes)) if nodes.len() == 2 => {
            let numbers = nodes.iter().map(|node| number(key, interval, node).map(Value::Number));
            typed(Value::List(numbers.collect::<Result<_, _>>()?), Vec::new())
        }
        (ValueType::Numbers(interval), Item::List(nodes)) if !nodes.is_empty() => {
            let numbers = nodes.iter().map(|node| number(key, interval, node).map(Value::Number));
            typed(Value::List(numbers.collect::<Result<_, _>>()?), nodes.iter().map(|node| node.span).collect())
        }
        (ValueType::Size, Item::List(nodes)) if nodes.len() == 2 => typed(whole_numbers(key, nodes)?, Vec::new()),
        (ValueType::Colour, Item::List(nodes)) if nodes.len() == 3 => typed(whole_numbers(key, nodes)?, Vec::new()),
        (ValueType::LabelMap, Item::Table(table)) => typed(label_map(key, table)?, Vec::new()),
        (ValueType::Palette(names), Item::Text(text)) => typed(choice(key, names, text, node)?, Vec::new()),
        (ValueType::Palette(_), Item::Table(table)) => {
            typed(colours(key, table, node)?, table.0.iter().map(|entry| entry.node.span).collect())
        }
        (ValueType::Duration, Item::Text(text)) => {
            let seconds = measure::seconds(text).filter(|seconds| *seconds > 0.0);
            let seconds = seconds.ok_or_else(|| Box::new(out_of_range(key, node, "")))?;
            typed(Value::Number(seconds), Vec::new())
        }
        (ValueType::Bytes, Item::Text(text)) => {
            let bytes = measure::bytes(text).filter(|bytes| *bytes > 0);
            let bytes = bytes.ok_or_else(|| Box::new(out_of_range(key, node, "")))?;
            typed(Value::Integer(bytes), Vec::new())
        }
        (ValueType::Amounts, Item::Table(table)) => {
            let amounts = table.0.iter().map(amount).collect::<Result<_, _>>()?;
            typed(Value::List(amounts), table.0.iter().map(|entry| entry.key_span).collect())
        }
        _ => Err(wrong()),
    }
}

fn choice(key: &KeySpec, names: &[&str], text: &str, node: &Node) -> Result<Value, Box<Problem>> {
    if names.contains(&text) {
        return Ok(Value::Text(text.to_owned()));
    }
    let problem = Problem::error(format!("`{}` can't be \"{text}\"", key.name));
    let problem = problem.at(node.span, format!("expected {}", one_of(names)));
    Err(Box::new(problem.help_if(did_you_mean(text, names.iter().copied()))))
}

fn choices(key: &KeySpec, names: &[&str], nodes: &[Node], list: &Node) -> Result<Value, Box<Problem>> {
    if nodes.is_empty() {
        let problem = Problem::error(format!("`{}` is empty", key.name));
        return Err(Box::new(problem.at(list.span, format!("expected {}", expected(key.value_type)))));
    }
    let element = |node: &Node| match &node.item {
        Item::Text(text) => choice(key, names, text, node),
        _ => Err(Box::new(wrong_type(key, node))),
    };
    Ok(Value::List(nodes.iter().map(element).collect::<Result<_, _>>()?))
}

fn texts(key: &KeySpec, nodes: &[Node], list: &Node) -> Result<Value, Box<Problem>> {
    if nodes.is_empty() && !matches!(key.value_type, ValueType::Paths) {
        let problem = Problem::error(format!("`{}` is empty", key.name));
        return Err(Box::new(problem.at(list.span, "at least one is needed")));
    }
    let element = |node: &Node| match &node.item {
        Item::Text(text) => text_value(key, text, node),
        _ => Err(Box::new(wrong_type(key, node))),
    };
    Ok(Value::List(nodes.iter().map(element).collect::<Result<_, _>>()?))
}

fn text_value(key: &KeySpec, text: &str, node: &Node) -> Result<Value, Box<Problem>> {
    if text.is_empty() {
        return Err(Box::new(Problem::error(format!("`{}` is empty", key.name)).at(node.span, "")));
    }
    // Not valid in a path, name or program argument.
    if text.contains('\0') {
        return Err(Box::new(Problem::error(format!("`{}` contains a NUL character", key.name)).at(node.span, "")));
    }
    let is_path = match key.value_type {
        ValueType::Path | ValueType::Paths | ValueType::Folder => true,
        // Other errors of outputs are reported where outputs are checked.
        ValueType::OutputPaths => text.len() > paths::LONGEST,
        ValueType::StageOrFile(_) | ValueType::StagesOrFiles(_) => text.contains('/'),
        _ => false,
    };
    if let Some(why) = is_path.then(|| paths::refused(text)).flatten() {
        let title = format!("`{}` is not a valid path", key.name);
        return Err(Box::new(Problem::error(title).at(node.span, why)));
    }
    Ok(Value::Text(text.to_owned()))
}

fn number(key: &KeySpec, interval: Interval, node: &Node) -> Result<f64, Box<Problem>> {
    let number = match node.item {
        Item::Number(number) => number,
        Item::Integer(number) => number as f64,
        _ => return Err(Box::new(wrong_type(key, node))),
    };
    if !number.is_finite() {
        let title = format!("`{}` must be a finite number, not {number}", key.name);
        return Err(Box::new(Problem::error(title).at(node.span, format!("expected {}", expected(key.value_type)))));
    }
    if interval.contains(number) {
        // Adding 0 turns -0 into 0, as equal numbers need equal texts.
        return Ok(number + 0.0);
    }
    let percent = interval.max == 1.0 && number > 1.0 && number <= 100.0;
    let help = percent.then(|| format!("for {number} % write {}", number / 100.0));
    Err(Box::new(out_of_range(key, node, &number.to_string()).help_if(help)))
}

fn whole_number(key: &KeySpec, number: i64, node: &Node) -> Result<i64, Box<Problem>> {
    let inside = match key.value_type {
        ValueType::Integer { min, max } => (min..=max).contains(&number),
        ValueType::OneOf(numbers) => numbers.contains(&number),
        ValueType::Size => (1..=MAX_SIDE).contains(&number),
        _ => (0..=255).contains(&number),
    };
    if inside { Ok(number) } else { Err(Box::new(out_of_range(key, node, &number.to_string()))) }
}

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
            let title = format!("`{}` replaces label values from 0 to 255; `{from}` is not one", key.name);
            return Err(Box::new(Problem::error(title).at(*key_span, "expected an integer from 0 to 255")));
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

/// `[red, green, blue, class]` of each entry, in the order of the file.
fn colours(key: &KeySpec, table: &Table, whole: &Node) -> Result<Value, Box<Problem>> {
    let mut seen: Vec<([u8; 3], Span)> = Vec::with_capacity(table.0.len());
    let mut read = Vec::with_capacity(table.0.len());
    for Entry { key: text, key_span, node } in &table.0 {
        let parts: Option<Vec<u8>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
        let Some(colour) = parts.and_then(|parts| <[u8; 3]>::try_from(parts).ok()) else {
            let title = format!("`{}` has colours as keys; \"{text}\" is none", key.name);
            let problem = Problem::error(title).at(*key_span, "expected red, green and blue from 0 to 255");
            return Err(Box::new(problem.help("as in `\"128,64,128\" = \"road\"`")));
        };
        if let Some((_, first)) = seen.iter().find(|(other, _)| *other == colour) {
            let problem = Problem::error(format!("`{}` has a colour twice", key.name)).at(*key_span, "again here");
            return Err(Box::new(problem.beside(*first, "first here")));
        }
        seen.push((colour, *key_span));
        let Item::Text(class) = &node.item else {
            let problem = Problem::error(format!("a colour stands for the name of a class, not {}", node.item.words()));
            return Err(Box::new(problem.at(node.span, "expected a class, or \"ignore\"")));
        };
        let colour = colour.map(|part| Value::Integer(part.into()));
        read.push(Value::List(colour.into_iter().chain([Value::Text(class.clone())]).collect()));
    }
    if read.is_empty() {
        let problem = Problem::error(format!("`{}` is empty", key.name));
        return Err(Box::new(problem.at(whole.span, format!("expected {}", expected(key.value_type)))));
    }
    Ok(Value::List(read))
}

/// `[name, amount]`: an integer, bytes for memory, seconds for time.
fn amount(entry: &Entry) -> Result<Value, Box<Problem>> {
    let amount = match (&*entry.key, &entry.node.item) {
        ("memory", Item::Text(text)) => measure::bytes(text).filter(|bytes| *bytes > 0).map(Value::Integer),
        ("time", Item::Text(text)) => measure::seconds(text).filter(|seconds| *seconds > 0.0).map(Value::Number),
        ("memory" | "time", _) => None,
        ("cpu", Item::Integer(number @ 1..)) => Some(Value::Integer(*number)),
        ("cpu", _) => None,
        (_, Item::Integer(number @ 0..)) => Some(Value::Integer(*number)),
        _ => None,
    };
    let expected = match &*entry.key {
        "memory" => expected(ValueType::Bytes),
        "time" => expected(ValueType::Duration),
        "cpu" => "an integer, 1 or more".to_owned(),
        _ => "an integer, 0 or more".to_owned(),
    };
    let wrong = || {
        Box::new(
            Problem::error(format!("`{}` is an amount", entry.key)).at(entry.node.span, format!("expected {expected}")),
        )
    };
    let amount = amount.ok_or_else(wrong)?;
    Ok(Value::List(vec![Value::Text(entry.key.clone()), amount]))
}

fn wrong_type(key: &KeySpec, node: &Node) -> Problem {
    let title = format!("`{}` takes {}, not {}", key.name, noun(key.value_type), node.item.words());
    let unquoted = match (&node.item, key.value_type) {
        (Item::Text(text), ValueType::Number(_) | ValueType::Integer { .. } | ValueType::OneOf(_)) => {
            text.trim().parse::<f64>().is_ok()
        }
        (Item::Text(text), ValueType::Flag) => matches!(text.as_str(), "true" | "false"),
        _ => false,
    };
    let help = match &node.item {
        Item::Text(text) if unquoted => Some(format!("remove the quotes: {}", text.trim())),
        Item::Number(number)
            if number.fract() == 0.0 && matches!(key.value_type, ValueType::Integer { .. } | ValueType::OneOf(_)) =>
        {
            Some(format!("remove the decimal point: {number}"))
        }
        _ => None,
    };
    Problem::error(title).at(node.span, format!("expected {}", expected(key.value_type))).help_if(help)
}

fn out_of_range(key: &KeySpec, node: &Node, label: &str) -> Problem {
    let title = match key.value_type {
        ValueType::Number(interval) | ValueType::Pair(interval) | ValueType::Numbers(interval)
            if interval.max.is_finite() =>
        {
            format!("`{}` must be {}", key.name, interval.words())
        }
        ValueType::Number(interval) | ValueType::Pair(interval) | ValueType::Numbers(interval) => {
            format!("`{}` must be {}", key.name, interval.words())
        }
        value_type => format!("`{}` must be {}", key.name, expected(value_type)),
    };
    Problem::error(title).at(node.span, label)
}
