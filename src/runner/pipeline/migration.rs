//! Tests docs/migration.md against the tables of `kind`: its defaults are correct.
//!
//! The document is written by hand, as it says more than the tables. Its table of training keys has five columns: the released
//! code's key, ours, our default, the released code's default with its source, and the difference.

use std::collections::BTreeSet;
use std::path::Path;

use super::value::Value;
use crate::kind::{KeySpec, Presence, model, pipeline, training};

const DOCUMENT: &str = "../../docs/migration.md";

struct Row {
    cells: Vec<String>,
}

impl Row {
    /// The key of ours that the row is about; none where there is none.
    fn key(&self) -> Option<&'static KeySpec> {
        find(quoted(&self.cells[1]).first()?)
    }

    fn differs(&self) -> bool {
        !self.cells[4].is_empty()
    }
}

fn document() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT)).unwrap()
}

/// The rows of the first table that has five columns.
fn rows() -> Vec<Row> {
    let text = document();
    let lines = text.lines().skip_while(|line| !line.starts_with("| configuration | here | default here |"));
    let cells =
        |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim_matches([' ', '|']).to_owned()).collect();
    let rows = lines.skip(2).take_while(|line| line.starts_with('|')).map(|line| Row { cells: cells(line) });
    rows.collect()
}

/// What stands in backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn find(name: &str) -> Option<&'static KeySpec> {
    let of_models = model::ARCHS.iter().flat_map(|arch| arch.keys.iter().copied().flatten());
    training::KEYS
        .iter()
        .filter(|key| key.presence != Presence::OfPipeline)
        .chain(pipeline::KEYS)
        .chain(of_models)
        .find(|key| key.name == name)
}

/// As `help` shows it.
fn default_of(key: &KeySpec) -> Option<String> {
    match key.presence {
        Presence::Default(literal) => Some(Value::from(literal).to_string().replace(',', ", ")),
        _ => None,
    }
}

/// Numbers may be written in several ways.
fn same(a: &str, b: &str) -> bool {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

#[test]
fn each_default_in_the_table_is_the_program_s_and_what_the_released_code_has_is_marked_where_it_differs() {
    let rows = rows();
    assert!(rows.len() > 30);
    for row in &rows {
        assert_eq!(row.cells.len(), 5, "{:?}", row.cells);
        let [ours, theirs] = [&row.cells[2], &row.cells[3]].map(|cell| quoted(cell).first().cloned());
        let default = row.key().filter(|_| ours.is_some() || theirs.is_some()).and_then(default_of);
        assert_eq!(ours, default, "{:?}", row.cells);
        let equal = match (&ours, &theirs) {
            (Some(ours), Some(theirs)) => same(ours, theirs),
            (ours, theirs) => ours.is_none() && theirs.is_none(),
        };
        assert_eq!(row.differs(), !equal, "{:?}", row.cells);
        if let (Some(key), Some(_)) = (row.key().filter(|_| default.is_some()), &theirs) {
            assert!(row.cells[3].contains(&format!("({})", key.origin)), "{:?} is from {}", row.cells, key.origin);
        }
    }
}

#[test]
fn every_default_of_a_training_is_in_the_document() {
    let rows = rows();
    let in_table =
        |key: &KeySpec| rows.iter().any(|row| quoted(&row.cells[1]).first().is_some_and(|name| name == key.name));
    let text = document();
    for key in training::KEYS {
        let Some(default) = default_of(key) else { continue };
        let in_text = text.contains(&format!("`{}` is `{default}`", key.name))
            || (text.contains(&format!("`{}`\n", key.name)) && text.contains(&format!("is `{default}`")));
        assert!(in_table(key) || in_text, "{} = {default}", key.name);
    }
}

#[test]
fn the_sentence_before_the_table_names_what_differs_and_nothing_else() {
    let text = document();
    let (_, sentence) = text.split_once("are equal except for ").unwrap();
    let said: BTreeSet<String> = quoted(sentence.split(", explained").next().unwrap()).into_iter().collect();
    let rows = rows();
    let differing = rows.iter().filter(|row| row.differs()).map(|row| quoted(&row.cells[1])[0].clone());
    assert_eq!(said, differing.collect());
}
