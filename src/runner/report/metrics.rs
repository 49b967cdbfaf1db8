//! The closing table: what an evaluation found, model by model and class by class.
//!
//! Knows the layout of `metrics.json` and nothing of what was trained. It shows what is there: undefined IoUs as such, and no
//! judgement on differences, as one run is one seed.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;

/// `metrics.json` of an evaluation stage: the weights' stage → what was measured.
pub type Metrics = BTreeMap<String, Measured>;

/// One model's result.
#[derive(Clone, Debug, Deserialize)]
pub struct Measured {
    /// Number of images.
    pub images: u64,
    /// Mean IoU, 0 to 1, over the defined classes.
    pub miou: Option<f64>,
    /// The mean over SYNTHIA's 16 classes, where these are some of the pipeline's.
    #[serde(default)]
    pub miou_16: Option<f64>,
    /// The mean over the 13 of them without wall, fence and pole.
    #[serde(default)]
    pub miou_13: Option<f64>,
    /// IoU, 0 to 1, by class; none where neither label nor prediction holds the class.
    pub iou: BTreeMap<String, Option<f64>>,
}

/// One of the means of a result.
type Mean = fn(&Measured) -> Option<f64>;

/// Means over parts of the classes.
const PARTS: [(&str, Mean); 2] =
    [("mIoU of 16", |measured| measured.miou_16), ("mIoU of 13", |measured| measured.miou_13)];

/// The table for a terminal: a column a model, a row a class, in %.
///
/// `weights` and `classes` give the order; `dataset` is what it was measured on.
pub fn table(stage: &str, dataset: &str, weights: &[String], classes: &[String], metrics: &Metrics) -> String {
    let percent = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{:.1}", 100.0 * value));
    let measured: Vec<(&String, &Measured)> =
        weights.iter().filter_map(|name| Some((name, metrics.get(name)?))).collect();
    let images = measured.first().map_or(0, |(_, measured)| measured.images);
    let mut out = format!("{stage}: IoU in % on {dataset} ({images} images)\n");
    let is_known = |(_, mean): &(&str, Mean)| measured.iter().any(|(_, measured)| mean(measured).is_some());
    let parts: Vec<(&str, Mean)> = PARTS.into_iter().filter(is_known).collect();
    let names = classes.iter().map(String::as_str).chain(parts.iter().map(|(name, _)| *name));
    let first = names.map(|name| name.chars().count()).chain([4]).max().unwrap_or(4);
    let mut row = |name: &str, cell: &dyn Fn(&str, &Measured) -> String| {
        let mut line = format!("  {name:<first$}");
        for (weights, measured) in &measured {
            let width = weights.chars().count().max(6);
            let _ = write!(line, "  {:>width$}", cell(weights, measured));
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

#[cfg(test)]
mod tests {
    use super::*;

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
evaluate: IoU in % on val (1 images)
               inter
  mIoU          40.0
  mIoU of 16    45.0
  mIoU of 13    50.0
  sky           90.0
";
        assert_eq!(table("evaluate", "val", &["inter".to_owned()], &["sky".to_owned()], &metrics), expected);
    }
}
