//! Common parts of the file's sections: `format`, names, tables by name, tables whose form a key selects.
//!
//! Knows no section's meaning; `header`, `datasets`, `models` and `stages` each read theirs.

use super::near::did_you_mean;
use super::problem::Problem;
use super::raw::{Entry, Item, Table};
use super::read::{Reader, Values};
use super::source::Span;
use super::words::one_of;
use crate::kind::{Variant, all, pipeline};

/// Checks `format` and reports unknown sections.
pub(super) fn check_format(reader: &mut Reader<'_>, file: &Table) {
    for entry in &file.0 {
        if entry.key != "format" && !pipeline::SECTIONS.contains(&&*entry.key) {
            let names = pipeline::SECTIONS.iter().copied().chain(["format"]);
            reader.unknown_key(entry, names, "a pipeline file");
        }
    }
    let problem = match file.get("format").map(|entry| (&entry.node.item, entry.node.span)) {
        Some((Item::Integer(pipeline::FORMAT), _)) => return,
        Some((Item::Integer(newer), span)) if *newer > pipeline::FORMAT => Problem::error(format!(
            "format {newer} is newer than this program, which reads format {}",
            pipeline::FORMAT
        ))
        .at(span, "")
        .help("install a newer intrada"),
        Some((_, span)) => Problem::error("`format` is the version of the file format")
            .at(span, format!("expected {}", pipeline::FORMAT)),
        None => Problem::error("the file has no `format`, its format version")
            .at(Span::FILE, "")
            .help(format!("add `format = {}` as the first line", pipeline::FORMAT)),
    };
    reader.problems.push(problem);
}

/// Whether it is a valid name of a stage, a data set, a model or the pipeline: a folder name, and a part of `a.b`.
pub(super) fn is_name(name: &str) -> bool {
    (1..=100).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// A section that is one table, and its position; `None` if it is missing or invalid (and reported).
pub(super) fn section<'t>(reader: &mut Reader<'_>, file: &'t Table, name: &str) -> Option<(&'t Table, Span)> {
    let entry = file.get(name)?;
    let Item::Table(table) = &entry.node.item else {
        let title = format!("`{name}` is a section, not {}", entry.node.item.words());
        reader.problems.push(Problem::error(title).at(entry.key_span, format!("expected [{name}]")));
        return None;
    };
    Some((table, entry.key_span))
}

/// The tables of a section, with their names. Reports values that aren't tables, and invalid names.
pub(super) fn tables<'t>(
    reader: &mut Reader<'_>,
    file: &'t Table,
    section: &str,
    what: &str,
) -> Vec<(&'t Entry, &'t Table)> {
    let Some(entry) = file.get(section) else { return Vec::new() };
    let Item::Table(table) = &entry.node.item else {
        let title = format!("`{section}` is a section, not {}", entry.node.item.words());
        reader.problems.push(Problem::error(title).at(entry.node.span, format!("expected [{section}.<name>]")));
        return Vec::new();
    };
    let mut tables = Vec::with_capacity(table.0.len());
    for entry in &table.0 {
        match &entry.node.item {
            Item::Table(table) if is_name(&entry.key) => tables.push((entry, table)),
            Item::Table(_) => {
                let article = if what.starts_with('e') { "an" } else { "a" };
                let title = format!("`{}` can't be the name of {article} {what}", entry.key);
                let rule = "expected letters, digits, `-` and `_`, at most 100";
                reader.problems.push(Problem::error(title).at(entry.key_span, rule));
            }
            item => {
                let title = format!("`{section}` contains tables, but `{}` is {}", entry.key, item.words());
                let label = format!("expected [{section}.{}]", entry.key);
                reader.problems.push(Problem::error(title).at(entry.key_span, label));
            }
        }
    }
    tables
}

/// The variant that `key` selects, and the table's values.
pub(super) fn read_variant(
    reader: &mut Reader<'_>,
    (entry, table): (&Entry, &Table),
    key: &str,
    variants: &'static [Variant],
    what: &str,
) -> Option<(&'static Variant, Values)> {
    let names: Vec<&str> = variants.iter().map(|variant| variant.name).collect();
    let problem = match table.get(key).map(|entry| (&entry.node.item, entry.node.span)) {
        Some((Item::Text(name), span)) => match variants.iter().find(|variant| variant.name == name) {
            Some(variant) => {
                let article = if variant.name.starts_with('e') { "an" } else { "a" };
                let noun = format!("{article} {} {what}", variant.name);
                let before = reader.problems.len();
                let values = reader.table(table, variant.keys, &[key], &noun, entry.key_span);
                for entry in &table.0 {
                    let help = elsewhere(entry, key, variant, variants);
                    let unknown = reader.problems[before..].iter_mut().find(|p| p.span() == entry.key_span);
                    // That the key belongs into such a table is right, but no help here.
                    if let (Some(help), Some(problem)) = (help, unknown) {
                        problem.help = vec![help];
                    }
                }
                return Some((variant, values));
            }
            None => Problem::error(format!("there is no {key} \"{name}\""))
                .at(span, format!("expected {}", one_of(&names)))
                .help_if(did_you_mean(name, names.iter().copied())),
        },
        Some((item, span)) => Problem::error(format!("`{key}` takes a string, not {}", item.words()))
            .at(span, format!("expected {}", one_of(&names))),
        None => Problem::error(format!("{what} `{}` needs `{key}`", entry.key))
            .at(entry.key_span, format!("`{key}` is missing: {}", one_of(&names))),
    };
    reader.problems.push(problem);
    None
}

/// Advice for a key that only other variants have.
fn elsewhere(entry: &Entry, key: &str, variant: &Variant, variants: &[Variant]) -> Option<String> {
    let has = |variant: &Variant| all(variant.keys).any(|known| known.name == entry.key);
    let others: Vec<&str> = variants.iter().filter(|other| has(other)).map(|other| other.name).collect();
    let is_of_others = !has(variant) && !others.is_empty();
    is_of_others.then(|| format!("remove it: it is a key only if `{key}` is {}", one_of(&others)))
}
