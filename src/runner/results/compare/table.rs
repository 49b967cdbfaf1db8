//! The content of a comparison for people: its columns, title and remarks, in words and in %.
//!
//! Knows no layout: a terminal, a README and a paper show the same cells.

use std::collections::BTreeSet;

use super::{Comparison, Row};
use crate::measures::duration;
use crate::results::evidence;
use crate::shown;
use intrada_statistics::evidence::{Difference, SEEDS_FOR_A_VERDICT, Verdict};
use intrada_statistics::spread::Spread;

/// Columns of the widest cell: the name of a class or a path may be longer than any screen.
const WIDEST: usize = 60;

const NOTHING: &str = "–";
/// The caveat on a number that was selected by its own value.
pub(super) const CHOSEN: &str = "best was selected by mIoU on labelled images, which a method without labels can't do";

/// One column of a table.
pub(super) struct Column {
    pub(super) name: String,
    pub(super) cells: Vec<String>,
    pub(super) is_number: bool,
    /// A parameter, which may be omitted for lack of room; a measure may not.
    pub(super) is_parameter: bool,
}

impl Column {
    fn left(name: &str, rows: &[Row], cell: impl Fn(&Row) -> String) -> Column {
        Column::of(name, rows.iter().map(cell))
    }

    fn of(name: &str, cells: impl Iterator<Item = String>) -> Column {
        let cells = cells.map(|cell| shown::cut(&cell, WIDEST)).collect();
        Column { name: shown::cut(name, WIDEST), cells, is_number: false, is_parameter: false }
    }

    fn right(name: &str, rows: &[Row], cell: impl Fn(&Row) -> String) -> Column {
        Column { is_number: true, ..Column::left(name, rows, cell) }
    }
}

/// The columns; those that identify a row come first.
pub(super) fn columns(comparison: &Comparison) -> Vec<Column> {
    let rows = &comparison.rows;
    let mut columns = places(comparison);
    columns.push(Column::left("weights", rows, |row| row.weights.clone()));
    for (at, name) in comparison.parameters.iter().enumerate() {
        let cell = |row: &Row| row.values[at].clone().unwrap_or_else(|| NOTHING.to_owned());
        columns.push(Column { is_parameter: true, ..Column::left(name, rows, cell) });
    }
    if rows.iter().any(|row| row.measured + row.not_run + row.stale > 1) {
        columns.push(Column::right("seeds", rows, seeds));
    }
    if rows.iter().any(|row| row.last.is_some()) {
        columns.push(Column::right("last", rows, |row| percent(row.last)));
    }
    if rows.iter().any(|row| row.best.is_some()) {
        columns.push(Column::right("best", rows, |row| percent(row.best)));
    }
    if rows.iter().any(|row| row.since.is_some()) {
        let measure = if comparison.compares_last { "last" } else { "best" };
        columns.push(Column::right(&format!("{measure} − {}", comparison.against), rows, |row| since(row.since)));
    }
    // One seed has no verdict, and a column without any is omitted.
    if rows.iter().any(|row| !verdict(row.since).is_empty()) {
        columns.push(Column::left("", rows, |row| verdict(row.since).to_owned()));
    }
    if rows.iter().any(|row| row.seconds.is_some()) {
        let time = |row: &Row| row.seconds.map_or(NOTHING.to_owned(), |seconds| duration(seconds.mean));
        columns.push(Column::right("training", rows, time));
    }
    if rows.iter().any(|row| row.not_run + row.stale > 0) {
        columns.push(Column::left("state", rows, state));
    }
    columns
}

/// The columns that show a row's origin, if rows differ in it.
fn places(comparison: &Comparison) -> Vec<Column> {
    let all = [
        Column::left("pipeline", &comparison.rows, |row| row.pipelines.join(", ")),
        Column::left("evaluation", &comparison.rows, |row| row.evaluation.clone()),
        Column::left("data set", &comparison.rows, |row| row.dataset.clone()),
    ];
    all.into_iter().filter(|column| column.cells.iter().collect::<BTreeSet<_>>().len() > 1).collect()
}

/// `gta5: mIoU in % on cityscapes-val`, as far as it holds for all rows.
pub(super) fn title(comparison: &Comparison) -> String {
    let one = |of: fn(&Row) -> String| {
        let all: BTreeSet<String> = comparison.rows.iter().map(of).collect();
        if all.len() == 1 { all.into_iter().next() } else { None }
    };
    let parts = [
        one(|row| row.pipelines.join(", ")).map(|name| format!("{name}: ")),
        Some("mIoU in %".to_owned()),
        one(|row| row.dataset.clone()).map(|name| format!(" on {name}")),
    ];
    parts.into_iter().flatten().collect()
}

/// The IoU of each class, one column per row of the table; none if not requested or not evaluated.
pub(super) fn classes(comparison: &Comparison, order: &[String]) -> Vec<Column> {
    let is_there = |name: &&str| comparison.rows.iter().any(|row| row.classes.contains_key(*name));
    let names: Vec<&str> =
        ["mIoU of 16", "mIoU of 13"].into_iter().chain(order.iter().map(String::as_str)).filter(is_there).collect();
    if names.is_empty() || !comparison.classes {
        return Vec::new();
    }
    let name = Column::of("", names.iter().map(|name| (*name).to_owned()));
    let column = |(at, row): (usize, &Row)| {
        let cells = names.iter().map(|name| percent(row.classes.get(*name).copied()));
        Column { is_number: true, ..Column::of(&format!("row {}", at + 1), cells) }
    };
    [name].into_iter().chain(comparison.rows.iter().enumerate().map(column)).collect()
}

/// Caveats that prevent over-interpretation.
pub(super) fn remarks(comparison: &Comparison) -> Vec<String> {
    let rows = &comparison.rows;
    let mut remarks = Vec::new();
    if rows.iter().any(|row| row.best.is_some()) {
        remarks.push(CHOSEN.to_owned());
    }
    let differences: Vec<Difference> = rows.iter().filter_map(|row| row.since).collect();
    let few = format!("fewer than {SEEDS_FOR_A_VERDICT} seeds: another training may differ by more");
    if differences.iter().any(|since| since.all.is_none() && since.images.is_some()) {
        remarks.push(format!("[low, high]: 95 % interval over the images; {few}"));
    } else if differences.iter().any(|since| since.all.is_none()) {
        remarks.push(format!("rows with {few}"));
    }
    if differences.iter().any(|since| since.all.is_some()) {
        let has_images = differences.iter().any(|since| since.all.is_some() && since.images.is_some());
        let over = if has_images { "seeds and images" } else { "seeds" };
        remarks.push(format!("gain, loss: the 95 % interval over {over}, [low, high], doesn't hold 0"));
    }
    if rows.iter().any(|row| row.stale > 0) {
        remarks.push("stale: evaluated before a change; `intrada-run plan` shows it".to_owned());
    }
    if comparison.all && !comparison.same.is_empty() {
        remarks.push("the same in all rows:".to_owned());
        let same = |(name, value): &(String, String)| format!("  {} {}", shown::line(name), shown::brief(value, 200));
        remarks.extend(comparison.same.iter().map(same));
    }
    remarks
}

/// In %, with its standard deviation if known.
fn percent(spread: Option<Spread>) -> String {
    spread.map_or_else(|| NOTHING.to_owned(), |spread| spread.percent())
}

fn since(difference: Option<Difference>) -> String {
    difference.map_or_else(String::new, |difference| evidence::points(&difference))
}

fn verdict(difference: Option<Difference>) -> &'static str {
    match difference.and_then(|difference| difference.verdict()) {
        Some(Verdict::Gain) => "gain",
        Some(Verdict::Loss) => "loss",
        Some(Verdict::WithinChance) => "within chance",
        None => "",
    }
}

fn seeds(row: &Row) -> String {
    let all = row.measured + row.not_run + row.stale;
    if row.measured == all { all.to_string() } else { format!("{} of {all}", row.measured) }
}

fn state(row: &Row) -> String {
    let part = |count: usize, words: &str| match count {
        0 => None,
        1 if row.measured + row.not_run + row.stale == 1 => Some(words.to_owned()),
        count => Some(format!("{count} {words}")),
    };
    let never = row.not_run - row.failed;
    [part(row.failed, "failed"), part(never, "not run"), part(row.stale, "stale")]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ")
}
