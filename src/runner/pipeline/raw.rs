//! The raw file: TOML values in file order, each with its position.
//!
//! Knows no key. The only room that uses the crate toml, whose tables are sorted by key and whose spans don't name a text; here
//! they get both, so that errors are in file order and can point into arguments of `--set`.

use std::collections::HashSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::near::WORTH;
use super::problem::Problem;
use super::source::{Sources, Span};

/// A value and its position.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Of the value; of a table, its header.
    pub span: Span,
    pub item: Item,
}

/// A TOML value.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Flag(bool),
    Integer(i64),
    /// An integer that doesn't fit 64 bits.
    Huge,
    Number(f64),
    Text(String),
    Date,
    List(Vec<Node>),
    Table(Table),
}

impl Item {
    /// With its article, as in "this is a boolean".
    pub(super) fn words(&self) -> String {
        let words = match self {
            Item::Flag(_) => "a boolean",
            Item::Integer(_) | Item::Huge => "an integer",
            Item::Number(_) => "a number",
            Item::Text(_) => "a string",
            Item::Date => "a date",
            Item::List(nodes) => return format!("a list of {}", nodes.len()),
            Item::Table(_) => "a table",
        };
        words.to_owned()
    }
}

/// A table, in file order.
#[derive(Clone, Debug, Default)]
pub(super) struct Table(pub Vec<Entry>);

/// A key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: String,
    pub key_span: Span,
    pub node: Node,
}

impl Table {
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.key == key)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Entry> {
        self.0.iter_mut().find(|entry| entry.key == key)
    }
}

/// The result of parsing a text.
pub(super) struct Parsed {
    pub table: Table,
    pub problems: Vec<Problem>,
    /// The text is not TOML: its valid parts would only cause misleading errors.
    pub broken: bool,
}

/// Maximum bytes parsed again, over all duplicate names, to find the first position of each. Beyond that only the second is
/// reported.
const PARSED_AGAIN: usize = 32 << 20;

/// Parses the text with this number. The parser limits the nesting depth, including dotted keys.
pub(super) fn parse(sources: &Sources, source: u32) -> Parsed {
    let text = &*sources.of(Span { source, start: 0, end: 0 }).text;
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut parsed = Parsed { table: convert_table(table.into_inner(), source), problems: Vec::new(), broken: false };
    let mut repeated = 0..0;
    let mut lines = HashSet::new();
    let mut left = PARSED_AGAIN;
    for error in errors {
        let span = span(error.span().unwrap_or_default(), source);
        if !error.message().starts_with("duplicate key") {
            parsed.broken = true;
            // Further errors on the same line are mostly consequences of the first.
            if lines.insert(sources.position(span).0) {
                parsed.problems.push(syntax(error.message(), text, span));
            }
        } else if !repeated.contains(&span.start) {
            // The keys of a duplicate table are duplicates too, which isn't worth reporting.
            if line_of(text, span).starts_with('[') {
                let next = text[span.start as usize..].find("\n[").map_or(text.len(), |at| span.start as usize + at);
                repeated = span.end..next as u32;
            }
            left = left.saturating_sub(span.start as usize);
            let is_worth_it = left > 0 && parsed.problems.len() < WORTH;
            parsed.problems.push(duplicate(text, span, sources, is_worth_it));
        }
    }
    parsed
}

/// The line on which `span` starts, from its first non-blank character.
fn line_of(text: &str, span: Span) -> &str {
    let start = text[..span.start as usize].rfind('\n').map_or(0, |at| at + 1);
    text[start..].lines().next().unwrap_or_default().trim_start()
}

fn syntax(message: &str, text: &str, span: Span) -> Problem {
    let (title, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let label = if expected.is_empty() { String::new() } else { format!("expected {expected}") };
    let covered = text.get(span.start as usize..span.end as usize).unwrap_or_default();
    // Something missing at the end of a line is shown there, not across two lines.
    let end = span.start + covered.trim_end_matches(['\r', '\n']).len() as u32;
    let problem =
        Problem::error(format!("this is not TOML: {}", title.trim_end_matches('.'))).at(Span { end, ..span }, label);
    let word = title.contains("must be quoted") && !covered.is_empty() && !covered.contains(['"', '\'', '\n']);
    problem.help_if(word.then(|| format!("write a string as \"{covered}\"")))
}

/// A duplicate name. The parser gives the second position; the first is found, if that `is_worth_it`, by parsing the text
/// before it.
fn duplicate(text: &str, second: Span, sources: &Sources, is_worth_it: bool) -> Problem {
    let name = sources.text(second);
    let line_start = text[..second.start as usize].rfind('\n').map_or(0, |at| at + 1);
    let (before, _) = DeTable::parse_recoverable(if is_worth_it { &text[..line_start] } else { "" });
    let before = convert_table(before.into_inner(), second.source);
    let line = line_of(text, second);
    let is_header = line.starts_with('[');
    let path = if is_header { header_path(line) } else { Vec::new() };
    let first = if is_header { find_path(&before, &path) } else { last_named(&before, unquoted(name)) };
    let (what, name) = match path.as_slice() {
        [section, name] => (section.trim_end_matches('s').replace("dataset", "data set"), name.as_str()),
        _ if is_header => ("table".to_owned(), name),
        _ => ("key".to_owned(), name),
    };
    let Some(first) = first else {
        return Problem::error(format!("{what} `{name}` is defined twice")).at(second, "");
    };
    let lines = (sources.position(first).0, sources.position(second).0);
    let title = format!("{what} `{name}` is defined twice (lines {} and {})", lines.0, lines.1);
    Problem::error(title).at(second, "defined again").beside(first, "first defined here")
}

fn unquoted(key: &str) -> &str {
    key.trim_matches(['"', '\''])
}

/// The names in `[stages.rank]`.
fn header_path(line: &str) -> Vec<String> {
    let (table, _) = DeTable::parse_recoverable(line);
    let mut table = convert_table(table.into_inner(), 0);
    let mut path = Vec::new();
    while let Some(entry) = table.0.pop() {
        path.push(entry.key);
        table = match entry.node.item {
            Item::Table(inner) => inner,
            _ => break,
        };
    }
    path
}

fn find_path(table: &Table, path: &[String]) -> Option<Span> {
    let (name, rest) = path.split_first()?;
    let entry = table.get(name)?;
    match &entry.node.item {
        _ if rest.is_empty() => Some(entry.key_span),
        Item::Table(inner) => find_path(inner, rest),
        _ => None,
    }
}

/// The last key of this name: the keys of one table are adjacent, so it is in the same table.
fn last_named(table: &Table, name: &str) -> Option<Span> {
    let inner = |entry: &Entry| match &entry.node.item {
        Item::Table(inner) => last_named(inner, name),
        _ => None,
    };
    let own = |entry: &Entry| (entry.key == name).then_some(entry.key_span);
    table.0.iter().flat_map(|entry| [own(entry), inner(entry)]).flatten().max()
}

fn span(range: std::ops::Range<usize>, source: u32) -> Span {
    Span { source, start: range.start as u32, end: range.end as u32 }
}

fn convert_table(table: DeTable<'_>, source: u32) -> Table {
    let mut entries: Vec<Entry> = table
        .into_iter()
        .map(|(key, value)| {
            let key_span = span(key.span(), source);
            Entry { key: key.into_inner().into_owned(), key_span, node: convert(value, source) }
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_span.start);
    Table(entries)
}

fn convert(value: Spanned<DeValue<'_>>, source: u32) -> Node {
    let span = span(value.span(), source);
    let item = match value.into_inner() {
        DeValue::Boolean(flag) => Item::Flag(flag),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Item::Huge, Item::Integer)
        }
        DeValue::Float(number) => Item::Number(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::String(text) => Item::Text(text.into_owned()),
        DeValue::Datetime(_) => Item::Date,
        DeValue::Array(values) => Item::List(values.into_iter().map(|value| convert(value, source)).collect()),
        DeValue::Table(table) => Item::Table(convert_table(table, source)),
    };
    Node { span, item }
}
