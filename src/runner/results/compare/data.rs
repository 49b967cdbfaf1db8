//! A comparison for programs: JSON, CSV, and one line per number.
//!
//! Knows no rule of comparing. Fractions of `metrics.json` in full precision; readers round them.

use serde_json::{Value as Json, json};

use super::table::CHOSEN;
use super::{Comparison, Row};
use crate::shown;
use intrada_statistics::bootstrap::Interval;
use intrada_statistics::evidence::{Difference, Verdict};
use intrada_statistics::spread::Spread;

/// The rows, and the baseline.
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
            "failed": row.failed,
            "stale": row.stale,
            "last": spread(row.last),
            "best": spread(row.best),
            "since": row.since.map(difference),
            "gain": gain(row),
            "training_seconds": spread(row.seconds),
        });
        if comparison.classes {
            out["classes"] = classes.collect::<serde_json::Map<_, _>>().into();
        }
        if let Some(images) = &row.images {
            out["images"] = json!(images);
        }
        out
    };
    json!({
        "against": comparison.against,
        "since_is_between": if comparison.compares_last { "last" } else { "best" },
        "note": CHOSEN,
        "same": comparison.same.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<serde_json::Map<_, _>>(),
        "rows": comparison.rows.iter().map(row).collect::<Vec<_>>(),
    })
}

/// With the interval over the images, and that of seeds and images together.
fn difference(difference: Difference) -> Json {
    let interval = |interval: Interval| json!({ "low": interval.low, "high": interval.high });
    let Difference { spread: Spread { mean, sd, count }, images, all, range, leaves_out_classes } = difference;
    json!({
        "mean": mean,
        "sd": sd,
        "count": count,
        "images": images.map(|images| json!({
            "low": images.interval.low, "high": images.interval.high, "error": images.error, "count": images.images,
        })),
        "all": all.map(interval),
        "by_seed": { "least": range[0], "most": range[1] },
        "leaves_out_classes": leaves_out_classes,
    })
}

/// Whether the difference is called a gain; nothing without a verdict.
fn gain(row: &Row) -> Option<bool> {
    row.since?.verdict().map(|verdict| verdict == Verdict::Gain)
}

/// For spreadsheets, with a header line.
pub fn csv(comparison: &Comparison, classes: &[String]) -> String {
    let line = |cells: Vec<String>| cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",") + "\n";
    let (head, rows) = cells(comparison, classes);
    line(head) + &rows.into_iter().map(line).collect::<String>()
}

/// The same, one value per line under the number of its row: `2.rank.lambda 0.5`. Empty cells are omitted.
pub fn long(comparison: &Comparison, classes: &[String]) -> String {
    let (head, rows) = cells(comparison, classes);
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        for (name, cell) in head.iter().zip(row).filter(|(_, cell)| !cell.is_empty()) {
            text += &format!("{}.{} {cell}\n", at + 1, name.replace(' ', "-"));
        }
    }
    text
}

/// The header and the rows.
fn cells(comparison: &Comparison, classes: &[String]) -> (Vec<String>, Vec<Vec<String>>) {
    let measures = ["last", "best", "since", "training_seconds"];
    let with_sd = |name: &&str| [(*name).to_owned(), format!("{name}_sd")];
    let parts = ["mIoU of 16", "mIoU of 13"].map(str::to_owned);
    let is_there = |name: &&String| comparison.rows.iter().any(|row| row.classes.contains_key(*name));
    let classes: Vec<&String> = parts.iter().chain(classes).filter(is_there).collect();
    let mut head: Vec<String> = ["pipeline", "evaluation", "dataset", "weights"].map(str::to_owned).to_vec();
    head.extend(comparison.parameters.iter().cloned());
    head.extend(["measured", "not_run", "failed", "stale"].map(str::to_owned));
    head.extend(measures.iter().flat_map(with_sd));
    head.extend(["since_low", "since_high", "gain"].map(str::to_owned));
    head.extend(classes.iter().flat_map(|name| with_sd(&name.as_str())));
    let number = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
    let pair = |spread: Option<Spread>| [number(spread.map(|of| of.mean)), number(spread.and_then(|of| of.sd))];
    let row = |row: &Row| {
        let mut cells = vec![row.pipelines.join(" "), row.evaluation.clone(), row.dataset.clone(), row.weights.clone()];
        cells.extend(row.values.iter().map(|value| value.clone().unwrap_or_default()));
        cells.extend([row.measured, row.not_run, row.failed, row.stale].map(|count| count.to_string()));
        let measures = [row.last, row.best, row.since.map(|since| since.spread), row.seconds];
        cells.extend(measures.into_iter().flat_map(pair));
        let interval = row.since.and_then(|since| since.interval());
        cells.extend([interval.map(|interval| interval.low), interval.map(|interval| interval.high)].map(number));
        cells.push(gain(row).map(|gain| gain.to_string()).unwrap_or_default());
        cells.extend(classes.iter().flat_map(|name| pair(row.classes.get(*name).copied())));
        cells
    };
    // One line each, as in any table: a name must not break a program that reads line by line.
    let lines = |cells: Vec<String>| cells.into_iter().map(|cell| shown::line(&cell).into_owned()).collect::<Vec<_>>();
    (lines(head), comparison.rows.iter().map(row).map(lines).collect())
}

/// A cell of a table in CSV, as RFC 4180 says.
pub fn quoted(cell: &str) -> String {
    let needs = cell.contains([',', '"', '\n', '\r']);
    if needs { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}
