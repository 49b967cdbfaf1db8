//! Confusion matrices: of the pixels of a class, the share predicted as each class.
//!
//! Knows one evaluation. Shares that round to 0 % are left blank, since most cells would hide the rest.

use maud::{Markup, html};

use super::evaluation::{Evaluation, Model};
use super::markup::tabs;
use crate::pipeline::Class;
use crate::shown;

/// A matrix per network, and the difference of the two compared; empty if there are no counts.
pub(super) fn render(evaluation: &Evaluation, classes: &[Class]) -> Markup {
    let rows = |model: &Model| shares(&model.measured.confusion);
    let is_counted = |model: &&Model| model.measured.confusion.len() == classes.len();
    let mut panels: Vec<(String, Markup)> = evaluation
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
    let id = format!("confusion-{}", evaluation.stage.0);
    html! {
        @if !panels.is_empty() {
            h4 { "Confusion: % of a class (row) predicted as (column)" }
            (tabs(&id, &panels, open))
        }
    }
}

/// Each row's counts as shares of the row; undefined if the labels don't have the class.
fn shares(confusion: &[Vec<u64>]) -> Vec<Vec<Option<f64>>> {
    let row = |row: &Vec<u64>| {
        let sum: u64 = row.iter().sum();
        row.iter().map(|count| (sum > 0).then(|| *count as f64 / sum as f64)).collect()
    };
    confusion.iter().map(row).collect()
}

/// With at most this many classes, large cells fit next to the table of IoUs.
const FEW: usize = 12;
/// Space for the names of rows: at least, and at most.
const NAME: [usize; 2] = [92, 200];
/// Space for those of columns, at 45 degrees: at least, and at most.
const TOP: [usize; 2] = [66, 150];

/// Cells are shaded by value; in differences, orange is above 0 and blue below.
fn matrix(rows: &[Vec<Option<f64>>], classes: &[Class], signed: bool) -> Markup {
    let side = if classes.len() > FEW { 24 } else { 44 };
    let letters = |class: &Class| shown::width(&class.name);
    let longest = classes.iter().map(letters).max().unwrap_or(0);
    // A letter is about 6 pixels wide.
    let name = (6 * longest + 8).clamp(NAME[0], NAME[1]);
    let top = (9 * longest / 2 + 10).clamp(TOP[0], TOP[1]);
    let after = (9 * classes.last().map_or(0, letters) / 2).clamp(30, TOP[1]);
    let (width, height) = (name + classes.len() * side + after, top + classes.len() * side);
    let cells = rows.iter().zip(classes).enumerate().flat_map(|(i, (row, of))| {
        let cell = move |(j, (share, other)): (usize, (&Option<f64>, &Class))| {
            // Shares that round to 0 % are left blank.
            let share = share.filter(|share| share.abs() >= 0.005)?;
            let place = (name + j * side, top + i * side);
            Some(cell(place, side, share, signed, &format!("{} as {}", of.name, other.name)))
        };
        row.iter().zip(classes).enumerate().filter_map(cell)
    });
    html! {
        div.wide {
            svg.matrix width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } role="img"
                aria-label="confusion matrix"
            {
                @for (i, class) in classes.iter().enumerate() {
                    @let (x, y) = (name + i * side + side / 2, top - 6);
                    text transform=(format_args!("translate({x} {y}) rotate(-45)")) { (class.name) }
                    text.end x=(name - 6) y=(top + i * side + side / 2 + 4) { (class.name) }
                }
                @for cell in cells { (cell) }
            }
        }
    }
}

fn cell((x, y): (usize, usize), side: usize, share: f64, signed: bool, about: &str) -> Markup {
    let tone = match (signed, share < 0.0) {
        (false, _) => "count",
        (true, false) => "above",
        (true, true) => "below",
    };
    let strength = share.abs().sqrt().min(1.0);
    let shown =
        if signed { format!("{:+.0}", 100.0 * share).replace('-', "−") } else { format!("{:.0}", 100.0 * share) };
    html! {
        g {
            title { (about) }
            rect class=(tone) x=(x) y=(y) width=(side - 1) height=(side - 1)
                fill-opacity=(format_args!("{strength:.2}")) {}
            text.mid.on[strength > 0.6] x=(x + side / 2) y=(y + side / 2 + 4) { (shown) }
        }
    }
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
