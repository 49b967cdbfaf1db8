//! The regret of many trainings as a table: a row per training, then median and worst.
//!
//! Knows no layout: a terminal, a README and a spreadsheet show the same cells.

use serde_json::{Map, Value, json};

use super::{Choice, Chosen, median_and_largest};
use crate::kind::choosing::Score;
use crate::measures::{count, plural};

/// A column of the table.
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// A cell per row.
    pub cells: Vec<String>,
    /// Whether its cells are numbers.
    pub is_number: bool,
}

/// A number of a training.
type Number<'a> = Box<dyn Fn(&Choice) -> Option<f64> + 'a>;

/// How a column counts.
enum Unit {
    /// A share of 1, in points; small is good.
    Regret,
    /// Spearman's ρ; large is good.
    Correlation,
}

/// The measured columns: name, for programs and for people, unit, value.
fn measured() -> Vec<(&'static str, &'static str, Unit, Number<'static>)> {
    let regret = |score: Score| -> Number<'static> { Box::new(move |choice| choice.by(score).regret) };
    let correlation = |score: Score| -> Number<'static> { Box::new(move |choice| choice.by(score).correlation) };
    use Score::{Agreement, Entropy, SoftNeighbourhoodDensity as Density};
    vec![
        (Density.key(), "density", Unit::Regret, regret(Density)),
        (Entropy.key(), "entropy", Unit::Regret, regret(Entropy)),
        (Agreement.key(), "agreement", Unit::Regret, regret(Agreement)),
        ("last", "last", Unit::Regret, Box::new(|choice| choice.last().regret)),
        ("chance", "chance", Unit::Regret, Box::new(Choice::by_chance)),
        (Density.key(), "ρ density", Unit::Correlation, correlation(Density)),
        (Entropy.key(), "ρ entropy", Unit::Correlation, correlation(Entropy)),
        (Agreement.key(), "ρ agreement", Unit::Correlation, correlation(Agreement)),
    ]
}

/// Those that labels can judge.
fn judged(all: &[Chosen]) -> impl Iterator<Item = (&Chosen, &Choice)> {
    all.iter().filter_map(|chosen| {
        let choice = chosen.choice.as_ref().filter(|choice| !choice.evaluated.is_empty())?;
        Some((chosen, choice))
    })
}

/// The table of those that labels can judge; no row if there are none. In %, points and ρ.
pub fn columns(all: &[Chosen]) -> Vec<Column> {
    let rows: Vec<(&Chosen, &Choice)> = judged(all).collect();
    let has_several = rows.iter().any(|(chosen, _)| chosen.pipeline != rows[0].0.pipeline);
    let column = |name, is_number, cell: &dyn Fn(&Chosen, &Choice) -> String, ends: [String; 2]| {
        let ends = if rows.len() > 1 { ends.to_vec() } else { Vec::new() };
        let cells = rows.iter().map(|(chosen, choice)| cell(chosen, choice)).chain(ends).collect();
        Column { name, cells, is_number }
    };
    let empty = || [String::new(), String::new()];
    let mut columns = Vec::new();
    if has_several {
        columns.push(column("pipeline", false, &|chosen, _| chosen.pipeline.clone(), empty()));
    }
    let ends = ["median", "worst"].map(str::to_owned);
    columns.push(column("training", false, &|chosen, _| chosen.training.clone(), ends));
    columns.push(column("snapshots", true, &|_, choice| count(choice.evaluated.len() as u64), empty()));
    columns.push(column("best", true, &|_, choice| shown(&Unit::Regret, choice.best().map(|best| best.miou)), empty()));
    for (_, name, unit, number) in measured() {
        let ends = ends_of(&unit, rows.iter().filter_map(|(_, choice)| number(choice)));
        let ends = [0, 1].map(|end| shown(&unit, ends.map(|ends| ends[end])));
        columns.push(column(name, true, &|_, choice| shown(&unit, number(choice)), ends));
    }
    columns
}

/// Median and worst.
fn ends_of(unit: &Unit, numbers: impl Iterator<Item = f64>) -> Option<[f64; 2]> {
    match unit {
        Unit::Regret => median_and_largest(numbers),
        Unit::Correlation => median_and_largest(numbers.map(|rho| -rho)).map(|ends| ends.map(|end| -end)),
    }
}

fn shown(unit: &Unit, number: Option<f64>) -> String {
    match (unit, number) {
        (_, None) => "–".to_owned(),
        (Unit::Regret, Some(share)) => format!("{:.1}", 100.0 * share),
        // Without a minus before 0.
        (Unit::Correlation, Some(rho)) => format!("{:+.2}", (100.0 * rho).round() / 100.0 + 0.0),
    }
}

/// What is needed to read the table, and what it leaves out.
pub fn remarks(all: &[Chosen]) -> Vec<String> {
    let without_result = all.iter().filter(|chosen| chosen.choice.is_none()).count();
    let without_labels = all.len() - without_result - judged(all).count();
    let is_partly = |choice: &Choice| choice.evaluated.len() < choice.candidates.len();
    let partly = judged(all).filter(|(_, choice)| is_partly(choice)).count();
    let mut remarks = Vec::new();
    if judged(all).next().is_some() {
        remarks.push(
            "best: mIoU in % of the best snapshot; then regret: how many points less the chosen one has".to_owned(),
        );
        remarks.push("last: keeps the last snapshot; chance: the mean over all snapshots".to_owned());
        remarks.push("ρ: 1 if the score orders the snapshots as mIoU does, 0 if not at all".to_owned());
    }
    let mut add = |some: usize, why: &str| {
        if some > 0 {
            remarks.push(format!("{} {why}", plural(some, "training")));
        }
    };
    add(
        partly,
        "with snapshots that were not evaluated, which don't count: set `evaluate_every` to `candidates_every`",
    );
    add(without_labels, "left out: no labels to judge by; `dataset` and `evaluate_every` evaluate the snapshots");
    add(without_result, "left out: no result of the current file");
    remarks
}

/// The numbers of all trainings together, for programs: by score, and for the last snapshot and chance, as shares from 0 to 1.
pub fn summary(all: &[Chosen]) -> Value {
    let mut summary: Map<String, Value> = Map::new();
    for (key, _, unit, number) in measured() {
        let numbers: Vec<f64> = judged(all).filter_map(|(_, choice)| number(choice)).collect();
        let what = match unit {
            Unit::Regret => "regret",
            Unit::Correlation => "correlation",
        };
        let [median, worst] = ends_of(&unit, numbers.iter().copied()).map_or([None; 2], |ends| ends.map(Some));
        let entry = summary.entry(key).or_insert_with(|| json!({}));
        entry[what] = json!({ "trainings": numbers.len(), "median": median, "worst": worst });
    }
    Value::Object(summary)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{CANDIDATES, EVALUATIONS};
    use super::*;

    fn chosen(training: &str, evaluations: Option<&str>) -> Chosen {
        Chosen {
            pipeline: "p".to_owned(),
            training: training.to_owned(),
            scored_on: "target".to_owned(),
            evaluated_on: None,
            choice: evaluations.and_then(|lines| Choice::read(CANDIDATES, lines, Score::Entropy)),
        }
    }

    fn cells<'c>(columns: &'c [Column], name: &str) -> &'c [String] {
        &columns.iter().find(|column| column.name == name).unwrap().cells
    }

    #[test]
    fn a_table_has_a_row_per_training_and_median_and_worst_below() {
        let reversed = EVALUATIONS.replace("0.375", "0.0625");
        let all =
            [chosen("a", Some(EVALUATIONS)), chosen("b", Some(&reversed)), chosen("c", Some("")), chosen("d", None)];
        let columns = columns(&all);
        assert_eq!(columns[0].name, "training", "one pipeline needs no column");
        assert_eq!(cells(&columns, "training"), ["a", "b", "median", "worst"]);
        assert_eq!(cells(&columns, "entropy"), ["12.5", "43.8", "28.1", "43.8"]);
        assert_eq!(cells(&columns, "density"), ["0.0", "0.0", "0.0", "0.0"]);
        assert_eq!(cells(&columns, "ρ entropy"), ["+0.50", "-0.50", "+0.00", "-0.50"]);
        assert_eq!(cells(&columns, "best"), ["50.0", "50.0", "", ""]);
        let remarks = remarks(&all).join("\n");
        assert!(
            remarks.contains("1 training left out: no labels") && remarks.contains("1 training left out: no result")
        );
        let summary = summary(&all);
        assert_eq!(summary["entropy"]["regret"], json!({ "trainings": 2, "median": 0.28125, "worst": 0.4375 }));
        assert_eq!(summary["entropy"]["correlation"]["worst"], -0.5);
        assert_eq!(summary["last"]["regret"]["worst"], 0.375);
    }

    #[test]
    fn one_training_has_no_median() {
        assert_eq!(cells(&columns(&[chosen("a", Some(EVALUATIONS))]), "training"), ["a"]);
        assert!(columns(&[chosen("d", None)]).iter().all(|column| column.cells.is_empty()));
        assert_eq!(remarks(&[]), Vec::<String>::new());
    }
}
