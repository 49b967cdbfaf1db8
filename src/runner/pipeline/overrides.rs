//! `--set` and `--executor`: override values of the file on the command line.
//!
//! Knows no other keys: an argument of `--set` is TOML, and its value replaces the file's before any check. Errors in it are
//! found by the same rules and point at the argument.

use super::near::nearest;
use super::problem::Problem;
use super::raw::{self, Entry, Item, Node, Table};
use super::source::{Sources, Span};
use crate::kind::pipeline::SECTIONS;

/// Inserts the argument with this number into the file's table.
pub(super) fn apply(file: &mut Table, sources: &Sources, source: u32) -> Result<(), Problem> {
    let whole = whole(sources, source);
    let argument = sources.text(whole);
    let mut parsed = raw::parse(sources, source);
    if let Some(problem) = parsed.problems.pop() {
        return Err(not_toml(file, argument, whole, problem));
    }
    let path = path_of(&parsed.table);
    let [.., _] = path.as_slice() else {
        return Err(Problem::error(format!("--set {argument}: takes one `key.path=value`")).at(whole, ""));
    };
    reachable(file, &path, argument)?;
    merge(file, parsed.table);
    Ok(())
}

/// The name in the argument with this number becomes the `executor` of each stage.
pub(super) fn move_all(file: &mut Table, sources: &Sources, source: u32) {
    let whole = whole(sources, source);
    let name = sources.text(whole).to_owned();
    let Some(Item::Table(stages)) = file.get_mut("stages").map(|stages| &mut stages.node.item) else { return };
    for stage in &mut stages.0 {
        if let Item::Table(keys) = &mut stage.node.item {
            let node = Node { span: whole, item: Item::Text(name.clone()) };
            merge(keys, Table(vec![Entry { key: "executor".to_owned(), key_span: whole, node }]));
        }
    }
}

fn whole(sources: &Sources, source: u32) -> Span {
    Span { source, start: 0, end: sources.of(Span { source, start: 0, end: 0 }).text.len() as u32 }
}

/// The keys down to the value; empty if there are several values, or none.
fn path_of(table: &Table) -> Vec<(&str, Span)> {
    let mut path = Vec::new();
    let mut table = table;
    loop {
        match table.0.as_slice() {
            [entry] => {
                path.push((entry.key.as_str(), entry.key_span));
                match &entry.node.item {
                    // An inline table is a value; one from a dotted key has the position of its key.
                    Item::Table(inner) if entry.node.span.end <= entry.key_span.end => table = inner,
                    _ => return path,
                }
            }
            _ => return Vec::new(),
        }
    }
}

fn not_toml(file: &Table, argument: &str, whole: Span, problem: Problem) -> Problem {
    let mut answer = Problem { title: format!("--set {argument}: {}", problem.title), ..problem };
    if let Some((key, value)) = argument.split_once('=') {
        // The key may be wrong too, and is reported together.
        let names: Vec<(&str, Span)> = key.split('.').map(|name| (name.trim(), whole)).collect();
        let other = reachable(file, &names, argument).err();
        let number = toml_number(value);
        let word = !value.is_empty() && value.chars().all(|c| c.is_alphanumeric() || "-_./:".contains(c));
        if word {
            let span = Span { start: whole.start + key.len() as u32 + 1, ..whole };
            answer.labels.clear();
            answer.help.clear();
            answer = answer.at(span, "").help(match number {
                Some(number) => format!("in TOML this number is: --set {key}={number}"),
                None => format!("a string needs its quotes: --set '{key}=\"{value}\"'"),
            });
        }
        let said = other.and_then(|other| Some(other.title.split_once("=")?.1.split_once(": ")?.1.to_owned()));
        answer = answer.help_if(said);
    } else {
        answer = answer.help("it takes one `key.path=value`, such as stages.rank.lambda=0.6");
    }
    answer
}

/// A number in TOML syntax, for numbers that other languages accept: `.5`, `5.`, `+.5`, `007`.
fn toml_number(typed: &str) -> Option<String> {
    let is_number = !typed.is_empty() && typed.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE_".contains(&byte));
    let number = typed.replace('_', "").parse::<f64>().ok().filter(|number| is_number && number.is_finite())?;
    Some(if typed.contains(['.', 'e', 'E']) { format!("{number:?}") } else { number.to_string() })
}

/// Values can be replaced or added, but no stage, data set, model or executor, as a typing error in a name would create one.
fn reachable(file: &Table, path: &[(&str, Span)], argument: &str) -> Result<(), Problem> {
    let unknown = |what: &str, (name, span): (&str, Span), nearest: Option<&str>| {
        let meant = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        Err(Problem::error(format!("--set {argument}: no such {what}{meant}")).at(span, format!("no {what} `{name}`")))
    };
    let section = path[0];
    if section.0 != "format" && !SECTIONS.contains(&section.0) {
        return unknown("section", section, nearest(section.0, SECTIONS.iter().copied()));
    }
    let what = match section.0 {
        "stages" => "stage",
        "datasets" => "data set",
        "models" => "model",
        "executors" => "executor",
        _ => return Ok(()),
    };
    let Some(name) = path.get(1) else { return Ok(()) };
    let names: Vec<&str> = match file.get(section.0).map(|entry| &entry.node.item) {
        Some(Item::Table(table)) => table.0.iter().map(|entry| entry.key.as_str()).collect(),
        _ => Vec::new(),
    };
    if names.contains(&name.0) { Ok(()) } else { unknown(what, *name, nearest(name.0, names)) }
}

fn merge(into: &mut Table, from: Table) {
    for Entry { key, key_span, node } in from.0 {
        match into.get_mut(&key) {
            Some(entry) => match (&mut entry.node.item, node) {
                (Item::Table(inner), Node { item: Item::Table(table), span }) if span.end <= key_span.end => {
                    merge(inner, table);
                }
                (_, node) => {
                    entry.key_span = key_span;
                    entry.node = node;
                }
            },
            None => into.0.push(Entry { key, key_span, node }),
        }
    }
}
