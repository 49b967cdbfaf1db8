//! A comparison as text, CSV and JSON.
//!
//! Knows no rule of comparing. Text is in %, for eyes; the others keep the fractions of `metrics.json` in full precision.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::{Comparison, Difference, Row, SEEDS_FOR_A_GAIN, Spread};
use crate::report::measures::duration;

const NOTHING: &str = "–";
/// What a number says that was chosen by itself.
const CHOSEN: &str = "best was chosen by its mIoU on labelled images: no method that sees no labels could choose it";

/// For a terminal. `classes` gives their order.
pub fn text(comparison: &Comparison, classes: &[String]) -> String {
    let rows = &comparison.rows;
    let mut columns = places(comparison);
    columns.push(Column::left("weights", rows, |row| row.weights.clone()));
    for (at, name) in comparison.parameters.iter().enumerate() {
        columns.push(Column::left(name, rows, |row| row.values[at].clone().unwrap_or_else(|| NOTHING.to_owned())));
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
        columns.push(Column::left("", rows, |row| verdict(row.since).to_owned()));
    }
    if rows.iter().any(|row| row.seconds.is_some()) {
        let time = |row: &Row| row.seconds.map_or(NOTHING.to_owned(), |seconds| duration(seconds.mean));
        columns.push(Column::right("training", rows, time));
    }
    if rows.iter().any(|row| row.not_run + row.stale > 0) {
        columns.push(Column::left("state", rows, state));
    }
    let mut text = heading(comparison) + &lines(&columns);
    if comparison.classes {
        text += &by_class(comparison, classes);
    }
    text + &remarks(comparison)
}

/// One column of a table.
struct Column {
    name: String,
    cells: Vec<String>,
    is_number: bool,
}

impl Column {
    fn left(name: &str, rows: &[Row], cell: impl Fn(&Row) -> String) -> Column {
        Column { name: name.to_owned(), cells: rows.iter().map(cell).collect(), is_number: false }
    }

    fn right(name: &str, rows: &[Row], cell: impl Fn(&Row) -> String) -> Column {
        Column { is_number: true, ..Column::left(name, rows, cell) }
    }
}

fn lines(columns: &[Column]) -> String {
    let widths: Vec<usize> = columns
        .iter()
        .map(|column| column.cells.iter().chain([&column.name]).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let line = |cell: &dyn Fn(&Column) -> String| {
        let mut line = String::new();
        for (column, width) in columns.iter().zip(&widths) {
            let cell = cell(column);
            line += &if column.is_number { format!("  {cell:>width$}") } else { format!("  {cell:<width$}") };
        }
        line.trim_end().to_owned() + "\n"
    };
    let count = columns.first().map_or(0, |column| column.cells.len());
    let rows = (0..count).map(|row| line(&|column| column.cells[row].clone()));
    line(&|column| column.name.clone()) + &rows.collect::<String>()
}

/// The columns that say where a row comes from, as far as rows differ in them.
fn places(comparison: &Comparison) -> Vec<Column> {
    let all = [
        Column::left("pipeline", &comparison.rows, |row| row.pipelines.join(", ")),
        Column::left("evaluation", &comparison.rows, |row| row.evaluation.clone()),
        Column::left("data set", &comparison.rows, |row| row.dataset.clone()),
    ];
    all.into_iter().filter(|column| column.cells.iter().collect::<BTreeSet<_>>().len() > 1).collect()
}

fn heading(comparison: &Comparison) -> String {
    let one = |of: fn(&Row) -> String| {
        let all: BTreeSet<String> = comparison.rows.iter().map(of).collect();
        if all.len() == 1 { all.into_iter().next() } else { None }
    };
    let parts = [
        one(|row| row.pipelines.join(", ")).map(|name| format!("{name}: ")),
        Some("mIoU in %".to_owned()),
        one(|row| row.dataset.clone()).map(|name| format!(" on {name}")),
    ];
    parts.into_iter().flatten().collect::<String>() + "\n"
}

fn percent(spread: Option<Spread>) -> String {
    match spread {
        None => NOTHING.to_owned(),
        Some(Spread { mean, sd: None, .. }) => format!("{:.1}", 100.0 * mean),
        Some(Spread { mean, sd: Some(sd), .. }) => format!("{:.1} ± {:.1}", 100.0 * mean, 100.0 * sd),
    }
}

fn since(difference: Option<Difference>) -> String {
    let Some(Difference { spread, .. }) = difference else { return String::new() };
    let sd = spread.sd.map(|sd| format!(" ± {:.1}", 100.0 * sd)).unwrap_or_default();
    format!("{:+.1}{sd}", 100.0 * spread.mean)
}

fn verdict(difference: Option<Difference>) -> &'static str {
    match difference {
        Some(Difference { gain: Some(true), .. }) => "gain",
        Some(Difference { gain: Some(false), spread }) if spread.sd.is_some_and(|sd| -spread.mean > sd) => "loss",
        Some(Difference { gain: Some(false), .. }) => "within the spread",
        _ => "",
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
    [part(row.not_run, "not run"), part(row.stale, "stale")].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// A column a row of the table above.
fn by_class(comparison: &Comparison, classes: &[String]) -> String {
    let is_there = |name: &&str| comparison.rows.iter().any(|row| row.classes.contains_key(*name));
    let names: Vec<&str> =
        ["mIoU of 16", "mIoU of 13"].into_iter().chain(classes.iter().map(String::as_str)).filter(is_there).collect();
    if names.is_empty() {
        return String::new();
    }
    let name =
        Column { name: String::new(), cells: names.iter().map(|name| (*name).to_owned()).collect(), is_number: false };
    let column = |(at, row): (usize, &Row)| Column {
        name: format!("row {}", at + 1),
        cells: names.iter().map(|name| percent(row.classes.get(*name).copied())).collect(),
        is_number: true,
    };
    let columns: Vec<Column> = [name].into_iter().chain(comparison.rows.iter().enumerate().map(column)).collect();
    format!("\nIoU in %, by the rows above\n{}", lines(&columns))
}

fn remarks(comparison: &Comparison) -> String {
    let rows = &comparison.rows;
    let mut remarks = Vec::new();
    if rows.iter().any(|row| row.best.is_some()) {
        remarks.push(CHOSEN.to_owned());
    }
    if rows.iter().filter_map(|row| row.since).any(|since| since.spread.count < SEEDS_FOR_A_GAIN) {
        remarks.push(format!("fewer than {SEEDS_FOR_A_GAIN} seeds: a difference may be chance"));
    }
    if rows.iter().filter_map(|row| row.since).any(|since| since.gain.is_some()) {
        remarks.push("a gain is larger than its own standard deviation from seed to seed".to_owned());
    }
    if rows.iter().any(|row| row.stale > 0) {
        remarks.push("stale: measured before something changed; `intrada-run plan` says what".to_owned());
    }
    remarks.into_iter().map(|remark| format!("  {remark}\n")).collect()
}

/// The same for programs: `rows`, and what the numbers are compared with.
pub fn json(comparison: &Comparison) -> Json {
    let spread = |spread: Option<Spread>| {
        spread.map(|Spread { mean, sd, count }| json!({ "mean": mean, "sd": sd, "count": count }))
    };
    let row = |row: &Row| {
        let values = comparison.parameters.iter().zip(&row.values);
        let classes = row.classes.iter().map(|(name, of)| (name.clone(), json!(spread(Some(*of)))));
        let mut out = json!({
            "pipelines": row.pipelines,
            "evaluation": row.evaluation,
            "dataset": row.dataset,
            "weights": row.weights,
            "parameters": values.map(|(name, value)| (name.clone(), json!(value))).collect::<serde_json::Map<_, _>>(),
            "measured": row.measured,
            "not_run": row.not_run,
            "stale": row.stale,
            "last": spread(row.last),
            "best": spread(row.best),
            "since": spread(row.since.map(|since| since.spread)),
            "gain": row.since.and_then(|since| since.gain),
            "training_seconds": spread(row.seconds),
        });
        if comparison.classes {
            out["classes"] = classes.collect::<serde_json::Map<_, _>>().into();
        }
        out
    };
    json!({
        "against": comparison.against,
        "since_is_between": if comparison.compares_last { "last" } else { "best" },
        "note": CHOSEN,
        "rows": comparison.rows.iter().map(row).collect::<Vec<_>>(),
    })
}

/// The same for spreadsheets, with a head line.
pub fn csv(comparison: &Comparison, classes: &[String]) -> String {
    let measures = ["last", "best", "since", "training_seconds"];
    let with_sd = |name: &&str| [(*name).to_owned(), format!("{name}_sd")];
    let parts = ["mIoU of 16", "mIoU of 13"].map(str::to_owned);
    let is_there = |name: &&String| comparison.rows.iter().any(|row| row.classes.contains_key(*name));
    let classes: Vec<&String> = parts.iter().chain(classes).filter(is_there).collect();
    let mut head: Vec<String> = ["pipeline", "evaluation", "dataset", "weights"].map(str::to_owned).to_vec();
    head.extend(comparison.parameters.iter().cloned());
    head.extend(["measured", "not_run", "stale"].map(str::to_owned));
    head.extend(measures.iter().flat_map(with_sd));
    head.push("gain".to_owned());
    head.extend(classes.iter().flat_map(|name| with_sd(&name.as_str())));
    let number = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
    let pair = |spread: Option<Spread>| [number(spread.map(|of| of.mean)), number(spread.and_then(|of| of.sd))];
    let row = |row: &Row| {
        let mut cells = vec![row.pipelines.join(" "), row.evaluation.clone(), row.dataset.clone(), row.weights.clone()];
        cells.extend(row.values.iter().map(|value| value.clone().unwrap_or_default()));
        cells.extend([row.measured, row.not_run, row.stale].map(|count| count.to_string()));
        let measures = [row.last, row.best, row.since.map(|since| since.spread), row.seconds];
        cells.extend(measures.into_iter().flat_map(pair));
        cells.push(row.since.and_then(|since| since.gain).map(|gain| gain.to_string()).unwrap_or_default());
        cells.extend(classes.iter().flat_map(|name| pair(row.classes.get(*name).copied())));
        cells
    };
    let line = |cells: Vec<String>| cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",") + "\n";
    line(head) + &comparison.rows.iter().map(|of| line(row(of))).collect::<String>()
}

fn quoted(cell: &str) -> String {
    let needs = cell.contains([',', '"', '\n', '\r']);
    if needs { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}
