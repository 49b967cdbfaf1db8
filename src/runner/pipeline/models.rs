//! `[models.…]`: the tables of the networks.
//!
//! Knows no network and no stage. Models aren't part of a [`Pipeline`](super::Pipeline): their parameters are copied into the
//! stages that use them.

use super::raw::Table;
use super::read::Reader;
use super::sections::{read_variant, tables};
use super::source::Span;
use super::value::Value;
use crate::kind::{KeySpec, all, model};

/// A model's table.
pub(super) struct Model {
    pub name: String,
    pub span: Span,
    /// `arch` and the parameters that its table takes, in the order of the table's keys.
    pub parameters: Vec<(String, Value, Span)>,
    pub init: Option<(String, Span)>,
    /// `part`, which network of the file `init`, where there is a choice.
    pub part: Option<(String, Value, Span)>,
}

/// Reads `[models.…]`; invalid ones are `None`.
pub(super) fn read_models(reader: &mut Reader<'_>, file: &Table) -> Vec<(String, Option<Model>)> {
    let tables = tables(reader, file, "models", "model");
    let mut read = Vec::with_capacity(tables.len());
    for (entry, table) in tables {
        let before = reader.problems.len();
        let model = read_variant(reader, (entry, table), "arch", model::ARCHS, "model")
            .filter(|_| reader.problems[before..].iter().all(|problem| !problem.is_error()))
            .map(|(variant, values)| {
                let arch = ("arch".to_owned(), Value::Text(variant.name.to_owned()), entry.key_span);
                let of_key =
                    |key: &KeySpec| Some((key.name.to_owned(), values.value(key.name)?, values.span(key.name)));
                let is_of_init = |key: &&KeySpec| ["init", "part"].contains(&key.name);
                let parameters = all(variant.keys).filter(|key| !is_of_init(key)).filter_map(of_key);
                let part = all(variant.keys).find(|key| key.name == "part").and_then(of_key);
                let init = values.get("init").map(|typed| (typed.text().to_owned(), typed.span));
                Model {
                    name: entry.key.clone(),
                    span: entry.key_span,
                    parameters: [arch].into_iter().chain(parameters).collect(),
                    init,
                    part,
                }
            });
        read.push((entry.key.clone(), model));
    }
    read
}
