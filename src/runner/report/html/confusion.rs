//! Confusion matrices: of the pixels of a class, which share was predicted as which.
//!
//! Knows one evaluation. A share that rounds to 0 % is left blank, since most of a matrix is such and would hide the rest.

use std::fmt::Write as _;

use super::evaluation::{Evaluation, Model};
use super::markup::{tabs, text};
use crate::spec::Class;

/// A matrix a network, and the difference of the two that are compared; empty where none was counted.
pub(super) fn render(evaluation: &Evaluation, classes: &[Class]) -> String {
    let rows = |model: &Model| shares(&model.measured.confusion);
    let is_counted = |model: &&Model| model.measured.confusion.len() == classes.len();
    let mut panels: Vec<(String, String)> = evaluation
        .models
        .iter()
        .filter(is_counted)
        .map(|model| (model.name.clone(), matrix(&rows(model), classes, false)))
        .collect();
    let mut open = panels.len().saturating_sub(1);
    if let Some((before, judged)) = evaluation.compared()
        && panels.len() == evaluation.models.len()
    {
        open = judged;
        let (before, judged) = (&evaluation.models[before], &evaluation.models[judged]);
        let differences: Vec<Vec<Option<f64>>> = rows(judged)
            .iter()
            .zip(rows(before))
            .map(|(own, before)| own.iter().zip(before).map(|(own, before)| Some((*own)? - before?)).collect())
            .collect();
        panels.push((format!("{} − {}", judged.name, before.name), matrix(&differences, classes, true)));
    }
    if panels.is_empty() {
        return String::new();
    }
    let id = format!("confusion-{}", evaluation.stage.0);
    format!("<h4>Confusion: % of a class (row) predicted as (column)</h4>\n{}", tabs(&id, &panels, open))
}

/// Each row's counts as shares of the row; undefined where the labels don't hold the class.
fn shares(confusion: &[Vec<u64>]) -> Vec<Vec<Option<f64>>> {
    let row = |row: &Vec<u64>| {
        let sum: u64 = row.iter().sum();
        row.iter().map(|count| (sum > 0).then(|| *count as f64 / sum as f64)).collect()
    };
    confusion.iter().map(row).collect()
}

/// Cells as dark as they are large; of differences, orange above 0 and blue below.
fn matrix(rows: &[Vec<Option<f64>>], classes: &[Class], signed: bool) -> String {
    /// Up to so many classes there is room for large cells beside the table of IoUs.
    const FEW: usize = 12;
    const NAME: usize = 92;
    const TOP: usize = 66;
    let cell = if classes.len() > FEW { 24 } else { 44 };
    let side = classes.len() * cell;
    let (width, height) = (NAME + side + 30, TOP + side);
    let mut svg = format!(
        "<svg class=\"matrix\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"confusion matrix\">"
    );
    for (i, class) in classes.iter().enumerate() {
        let name = text(&class.name);
        let (x, y) = (NAME + i * cell + cell / 2, TOP - 6);
        let _ = write!(
            svg,
            "<text transform=\"translate({x} {y}) rotate(-45)\">{name}</text><text class=\"end\" x=\"{}\" y=\"{}\">{name}</text>",
            NAME - 6,
            TOP + i * cell + cell / 2 + 4
        );
    }
    for (i, row) in rows.iter().enumerate() {
        for (j, share) in row.iter().enumerate() {
            let Some(share) = share.filter(|share| share.abs() >= 0.005) else { continue };
            let (x, y) = (NAME + j * cell, TOP + i * cell);
            let tone = match (signed, share < 0.0) {
                (false, _) => "count",
                (true, false) => "above",
                (true, true) => "below",
            };
            let strength = share.abs().sqrt().min(1.0);
            let on = if strength > 0.6 { " on" } else { "" };
            let shown = if signed {
                format!("{:+.0}", 100.0 * share).replace('-', "−")
            } else {
                format!("{:.0}", 100.0 * share)
            };
            let _ = write!(
                svg,
                "<g><title>{} as {}</title><rect class=\"{tone}\" x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" \
                 fill-opacity=\"{strength:.2}\"/><text class=\"mid{on}\" x=\"{}\" y=\"{}\">{shown}</text></g>",
                text(&classes[i].name),
                text(&classes[j].name),
                cell - 1,
                cell - 1,
                x + cell / 2,
                y + cell / 2 + 4
            );
        }
    }
    format!("<div class=\"wide\">{svg}</svg></div>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confusion_matrix_is_normalised_by_row_and_undefined_without_labels() {
        let shares = shares(&[vec![3, 1], vec![0, 0]]);
        assert_eq!(shares, [vec![Some(0.75), Some(0.25)], vec![None, None]]);
    }
}
