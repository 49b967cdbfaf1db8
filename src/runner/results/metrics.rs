//! The results of an evaluation as tables, model by model and class by class.
//!
//! Knows the formats of `metrics.json` and of `evaluations.jsonl`, and nothing of the training. It shows undefined IoUs as
//! such, and doesn't judge differences, as one run has one seed.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;

use super::evidence;
use crate::measures::{count, plural};
use crate::shown;
use intrada_statistics::evidence::Difference;

/// The maximum width of a name.
const NAME: usize = 40;

/// `metrics.json` of an evaluation stage: the weights' stage → its measurements.
pub type Metrics = BTreeMap<String, Measured>;

/// One model's result.
#[derive(Clone, Debug, Deserialize)]
pub struct Measured {
    /// Number of images.
    pub images: u64,
    /// Mean IoU, 0 to 1, over the defined classes.
    pub miou: Option<f64>,
    /// The mean over SYNTHIA's 16 classes, if the pipeline has them.
    #[serde(default)]
    pub miou_16: Option<f64>,
    /// The mean over the 13 of them without wall, fence and pole.
    #[serde(default)]
    pub miou_13: Option<f64>,
    /// IoU, 0 to 1, by class; none if neither label nor prediction has the class.
    pub iou: BTreeMap<String, Option<f64>>,
    /// Pixels: for each label, how often each class was predicted.
    #[serde(default)]
    pub confusion: Vec<Vec<u64>>,
}

/// One of the means of a result.
type Mean = fn(&Measured) -> Option<f64>;

/// Means over subsets of the classes.
const PARTS: [(&str, Mean); 2] =
    [("mIoU of 16", |measured| measured.miou_16), ("mIoU of 13", |measured| measured.miou_13)];

/// The table for a terminal: one column per model, one row per class, in %.
///
/// `weights` and `classes` give the order; `dataset` is the evaluated data set.
pub fn table(stage: &str, dataset: &str, weights: &[String], classes: &[String], metrics: &Metrics) -> String {
    let percent = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{:.1}", 100.0 * value));
    let measured: Vec<(&String, &Measured)> =
        weights.iter().filter_map(|name| Some((name, metrics.get(name)?))).collect();
    let images = measured.first().map_or(0, |(_, measured)| measured.images);
    let mut out = format!("{}: IoU in % on {dataset} ({})\n", shown::line(stage), plural(images as usize, "image"));
    let is_known = |(_, mean): &(&str, Mean)| measured.iter().any(|(_, measured)| mean(measured).is_some());
    let parts: Vec<(&str, Mean)> = PARTS.into_iter().filter(is_known).collect();
    let names = classes.iter().map(String::as_str).chain(parts.iter().map(|(name, _)| *name));
    let first = names.map(|name| shown::width(&shown::cut(name, NAME))).chain([4]).max().unwrap_or(4);
    let mut row = |name: &str, cell: &dyn Fn(&str, &Measured) -> String| {
        let mut line = format!("  {}", shown::left(name, first));
        for (weights, measured) in &measured {
            let width = shown::width(&shown::cut(weights, NAME)).max(6);
            let _ = write!(line, "  {}", shown::right(&cell(weights, measured), width));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    };
    row("", &|weights, _| weights.to_owned());
    row("mIoU", &|_, measured| percent(measured.miou));
    for (name, mean) in parts {
        row(name, &|_, measured| percent(mean(measured)));
    }
    for class in classes {
        row(class, &|_, measured| percent(measured.iou.get(class).copied().flatten()));
    }
    out
}

/// The network of a training with the best mIoU among its evaluations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Best {
    /// 0 to 1.
    pub miou: f64,
    /// Its iteration, if known.
    pub iteration: Option<u64>,
}

/// The best line of an `evaluations.jsonl`, selected like in the training: a later one wins only if it is better once both
/// are rounded to hundredths of a percent.
pub fn best_of(evaluations: &str) -> Option<Best> {
    #[derive(Deserialize)]
    struct Evaluation {
        iteration: u64,
        miou: Option<f64>,
    }
    let lines = evaluations.lines().filter_map(|line| serde_json::from_str::<Evaluation>(line).ok());
    let found = lines.filter_map(|line| Some(Best { miou: line.miou?, iteration: Some(line.iteration) }));
    found.reduce(|best, later| if is_better(later.miou, best.miou) { later } else { best })
}

/// Whether a training prefers a later network to the best so far: both mIoUs, 0 to 1, are rounded as in [`best_of`].
pub fn is_better(later: f64, best: f64) -> bool {
    let rounded = |miou: f64| (miou * 10_000.0).round() as i64;
    rounded(later) > rounded(best)
}

/// A training in the summary.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// mIoU of its last network, 0 to 1.
    pub last: Option<f64>,
    /// Its best network, if one was selected.
    pub best: Option<Best>,
    /// The value of [`Row::last`] in the previous run.
    pub before: Option<f64>,
}

/// A step of an adaptation: two networks, and the difference of the second to the first.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The network before it.
    pub from: String,
    /// The network after it.
    pub to: String,
    /// mIoU of `to` minus that of `from`.
    pub difference: Difference,
}

/// Last and best, in %, and the change since the previous run; empty if neither is known. Then the steps, and caveats that
/// prevent over-interpretation.
pub fn summary(dataset: &str, rows: &[Row], steps: &[Step], is_one_seed: bool) -> String {
    let (has_best, has_before) =
        (rows.iter().any(|row| row.best.is_some()), rows.iter().any(|row| row.before.is_some()));
    // Where the best network is measured by the evaluation alone, its iteration isn't known.
    let has_iteration = rows.iter().any(|row| row.best.is_some_and(|best| best.iteration.is_some()));
    let mut out = String::new();
    if has_best || has_before {
        let title = format!("mIoU, {dataset}");
        let names = rows.iter().map(|row| shown::width(&shown::cut(&row.name, NAME)));
        let first = names.chain([shown::width(&shown::cut(&title, NAME))]).max().unwrap_or(0);
        let mut line = |name: &str, last: &str, best: &str, iteration: &str, before: &str| {
            let mut text = format!("  {}  {last:>6}", shown::left(name, first));
            if has_best {
                let _ = write!(text, "  {best:>6}");
            }
            if has_iteration {
                let _ = write!(text, "  {iteration:>12}");
            }
            if has_before {
                let _ = write!(text, "  {before:>18}");
            }
            let _ = write!(out, "\n{}", text.trim_end());
        };
        line(&title, "last", "best", "at iteration", "last, since before");
        for row in rows {
            let percent = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{:.1}", 100.0 * value));
            let iteration = row.best.and_then(|best| best.iteration).map_or(String::new(), count);
            line(&row.name, &percent(row.last), &percent(row.best.map(|best| best.miou)), &iteration, &change(row));
        }
        out.push('\n');
    }
    if has_best {
        out += "  best is picked with labels, as the papers' numbers are\n";
    }
    let told = told(steps);
    out += &told;
    if is_one_seed {
        let interval = if told.contains('[') { "[low, high]: 95 % interval over the images; " } else { "" };
        out += &format!("  {interval}one seed: another may differ by {CHANCE} points\n");
    }
    out
}

/// A line per step, in points: `intra − inter  +1.4 [+0.6, +2.2] over 204 images`.
fn told(steps: &[Step]) -> String {
    let name = |step: &Step| format!("{} − {}", shown::cut(&step.to, NAME), shown::cut(&step.from, NAME));
    let first = steps.iter().map(|step| shown::width(&name(step))).max().unwrap_or(0);
    let line = |step: &Step| {
        let over = evidence::over(&step.difference).map(|over| format!(" {over}")).unwrap_or_default();
        format!("  {}  {}{over}\n", shown::left(&name(step), first), evidence::points(&step.difference))
    };
    steps.iter().map(line).collect()
}

/// Points of mIoU: the standard deviation between seeds of an adversarial adaptation is at least this (docs/results.md).
pub const CHANCE: f64 = 2.0;

/// `=`, `+0.4`, or empty if there is nothing to compare.
fn change(row: &Row) -> String {
    match (row.last, row.before) {
        (Some(last), Some(before)) if last == before => "=".to_owned(),
        (Some(last), Some(before)) => evidence::signed(last - before),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use intrada_statistics::evidence::{ByImage, Pair};

    #[test]
    fn a_table_has_a_column_for_each_model_and_says_what_is_undefined() {
        let metrics: Metrics = serde_json::from_str(
            r#"{"intra-again": {"images": 2, "miou": 0.9, "iou": {"sky": 0.9, "pole": null}},
                "inter": {"images": 2, "miou": 0.4375, "iou": {"sky": 0.875, "pole": 0.0}}}"#,
        )
        .unwrap();
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let expected = "\
evaluate: IoU in % on val (2 images)
         inter  intra-again
  mIoU    43.8         90.0
  sky     87.5         90.0
  pole     0.0            –
";
        let weights = names(&["inter", "intra-again"]);
        assert_eq!(table("evaluate", "val", &weights, &names(&["sky", "pole"]), &metrics), expected);
    }

    #[test]
    fn the_means_over_parts_of_the_classes_are_shown_where_there_are_any() {
        let text = r#"{"inter": {"images": 1, "miou": 0.4, "miou_16": 0.45, "miou_13": 0.5, "iou": {"sky": 0.9}}}"#;
        let metrics: Metrics = serde_json::from_str(text).unwrap();
        let expected = "\
evaluate: IoU in % on val (1 image)
               inter
  mIoU          40.0
  mIoU of 16    45.0
  mIoU of 13    50.0
  sky           90.0
";
        assert_eq!(table("evaluate", "val", &["inter".to_owned()], &["sky".to_owned()], &metrics), expected);
    }

    #[test]
    fn last_stands_beside_best_and_beside_what_it_was_before() {
        let best = |miou, iteration| Some(Best { miou, iteration: Some(iteration) });
        let row = |name: &str, last, best, before| Row { name: name.into(), last: Some(last), best, before };
        let rows = [
            row("source-only", 0.362, best(0.37, 58_000), Some(0.362)),
            row("intra", 0.4541, best(0.461, 72_000), Some(0.45)),
            row("new", 0.5, None, None),
        ];
        let nothing = ByImage::new();
        let difference = Difference::of(&[Pair { base: (0.362, &nothing), own: (0.4541, &nothing) }]).unwrap();
        let steps = [Step { from: "source-only".into(), to: "intra".into(), difference }];
        let expected = "
  mIoU, val      last    best  at iteration  last, since before
  source-only    36.2    37.0        58,000                   =
  intra          45.4    46.1        72,000                +0.4
  new            50.0       –
  best is picked with labels, as the papers' numbers are
  intra − source-only  +9.2
  one seed: another may differ by 2 points
";
        assert_eq!(summary("val", &rows, &steps, true), expected);
    }

    #[test]
    fn without_an_iteration_there_is_no_column_of_iterations() {
        let best = Some(Best { miou: 0.461, iteration: None });
        let rows = [Row { name: "inter".into(), best, ..Row::default() }];
        let expected = "
  mIoU, val    last    best
  inter           –    46.1
  best is picked with labels, as the papers' numbers are
";
        assert_eq!(summary("val", &rows, &[], false), expected);
    }

    #[test]
    fn without_best_and_before_the_table_above_says_it_all() {
        let rows = [Row { name: "inter".into(), last: Some(0.4), ..Row::default() }];
        assert_eq!(summary("val", &rows, &[], false), "");
    }

    #[test]
    fn the_best_is_the_one_that_the_training_chose() {
        let text = "{\"iteration\":1,\"miou\":0.40001,\"iou\":{}}\n{\"iteration\":2,\"miou\":0.40004,\"iou\":{}}\n\
                    {\"iteration\":3,\"miou\":null,\"iou\":{}}\n";
        assert_eq!(best_of(text), Some(Best { miou: 0.40001, iteration: Some(1) }));
        assert_eq!(best_of(""), None);
    }
}
