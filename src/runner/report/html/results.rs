//! Results: what each evaluation found, last beside best, class by class, with the confusion matrices.
//!
//! Knows `metrics.json` and decides nothing: numbers are shown as they are there. What may be said of a difference is said in
//! the head of the page.

use std::fmt::Write as _;

use super::markup::{colour, percent, section, swatch, table, tabs, text};
use super::training::{self, Evaluated};
use super::workspace::Workspace;
use crate::kind::Gives;
use crate::report::measures::count;
use crate::report::metrics::{Measured, Metrics};
use crate::spec::{Class, InputSource, StageId};

/// Evaluations that have matrices and pictures; the others of a large sweep have their numbers.
pub(super) const IN_FULL: usize = 8;

/// What one evaluation stage found.
pub(super) struct Evaluation {
    /// The stage.
    pub(super) stage: StageId,
    /// Its name.
    pub(super) name: String,
    /// The data set.
    pub(super) dataset: String,
    /// `metrics.json` as it is.
    pub(super) raw: serde_json::Value,
    /// The networks, in the order in which the file names them.
    pub(super) models: Vec<Model>,
}

/// One network in it.
pub(super) struct Model {
    /// As the evaluation calls it.
    pub(super) name: String,
    /// The training that it comes from.
    pub(super) training: Option<StageId>,
    /// The data set by whose labels it was chosen, where it was.
    pub(super) chosen_on: Option<String>,
    /// What was measured.
    pub(super) measured: Measured,
    /// The best that its training saw on the same images.
    pub(super) best: Option<Evaluated>,
}

/// Every evaluation whose results count, in the order of the graph.
pub(super) fn gather(workspace: &Workspace) -> Vec<Evaluation> {
    workspace.stages().filter_map(|(id, _)| evaluation(workspace, id)).collect()
}

fn evaluation(workspace: &Workspace, id: StageId) -> Option<Evaluation> {
    let stage = workspace.pipeline.stage(id);
    let bytes = workspace.bytes(id, Gives::Metrics)?;
    let raw: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    let metrics: Metrics = serde_json::from_slice(&bytes).ok()?;
    let dataset = workspace.dataset_name(stage, "dataset").unwrap_or_default().to_owned();
    let models = stage.inputs.iter().filter_map(|input| {
        let name = input.role.strip_prefix("weights.")?;
        let measured = metrics.get(name)?.clone();
        let (training, by_name) = match input.from {
            InputSource::Output { output, .. } => {
                (Some(output.stage), workspace.pipeline.stage(output.stage).outputs[output.output].by_name)
            }
            _ => (None, false),
        };
        let validated_on = training.and_then(|id| workspace.dataset_name(workspace.pipeline.stage(id), "dataset"));
        let best = training
            .filter(|_| validated_on == Some(dataset.as_str()))
            .and_then(|training| training::best(&training::evaluations(workspace, training)));
        let chosen_on = validated_on.filter(|_| by_name).map(str::to_owned);
        Some(Model { name: name.to_owned(), training, chosen_on, measured, best })
    });
    Some(Evaluation { stage: id, name: stage.name.clone(), models: models.collect(), dataset, raw })
}

/// The section; empty where nothing was evaluated.
pub(super) fn render(evaluations: &[Evaluation], classes: &[Class]) -> String {
    if evaluations.is_empty() {
        return String::new();
    }
    let all = evaluations.iter().enumerate();
    let mut body: String = all.map(|(at, evaluation)| one(evaluation, classes, at < IN_FULL)).collect();
    if evaluations.len() > IN_FULL {
        let _ =
            writeln!(body, "<p class=\"note\">Matrices and pictures are those of the first {IN_FULL} evaluations.</p>");
    }
    section("results", "Results", &body)
}

fn one(evaluation: &Evaluation, classes: &[Class], in_full: bool) -> String {
    let images = evaluation.models.first().map_or(0, |model| model.measured.images);
    let mut html = format!(
        "<h3>{} <small>on {}, {} images</small></h3>\n",
        text(&evaluation.name),
        text(&evaluation.dataset),
        count(images)
    );
    let _ = writeln!(
        html,
        "<div class=\"beside\"><div>{}{}</div><div>{}</div></div>",
        means(evaluation),
        bars(evaluation, classes),
        if in_full { confusions(evaluation, classes) } else { String::new() }
    );
    html
}

fn means(evaluation: &Evaluation) -> String {
    let has_best = evaluation.models.iter().any(|model| model.best.is_some());
    let mut heads = vec!["mIoU in %", "last"];
    heads.extend(has_best.then_some(["best", "at iteration"]).into_iter().flatten());
    let row = |model: &Model| {
        let star = if model.chosen_on.is_some() { " <small>(chosen with labels)</small>" } else { "" };
        let mut row = vec![format!("{}{star}", text(&model.name)), percent(model.measured.miou)];
        if has_best {
            row.push(percent(model.best.as_ref().map(|best| best.miou)));
            row.push(model.best.as_ref().map_or("–".to_owned(), |best| count(best.iteration)));
        }
        row
    };
    let mut html = table(&heads, &evaluation.models.iter().map(row).collect::<Vec<_>>());
    if has_best || evaluation.models.iter().any(|model| model.chosen_on.is_some()) {
        html += "<p class=\"note\">Best was chosen on labelled target images, as in the papers: it is no number of a \
                 method that sees no labels. Last is.</p>\n";
    }
    html
}

/// A group of bars a class, a bar a network.
fn bars(evaluation: &Evaluation, classes: &[Class]) -> String {
    const NAME: usize = 110;
    const FULL: usize = 420;
    const BAR: usize = 11;
    const GAP: usize = 8;
    let group = evaluation.models.len() * BAR + GAP;
    let height = (classes.len() + 1) * group;
    let mut svg = format!(
        "<figure><svg class=\"bars\" viewBox=\"0 0 {} {height}\" role=\"img\"><title>IoU by class in %</title>",
        NAME + FULL + 44
    );
    let rows = std::iter::once(None).chain(classes.iter().map(Some));
    for (row, class) in rows.enumerate() {
        let top = row * group;
        let name = class.map_or("mIoU", |class| class.name.as_str());
        let middle = top + (group - GAP) / 2 + 4;
        if let Some(class) = class {
            let _ = write!(
                svg,
                "<rect x=\"0\" y=\"{}\" width=\"9\" height=\"9\" fill=\"{}\"/>",
                middle - 8,
                colour(class.colour)
            );
        }
        let _ = write!(svg, "<text x=\"14\" y=\"{middle}\">{}</text>", text(name));
        for (i, model) in evaluation.models.iter().enumerate() {
            let share = match class {
                None => model.measured.miou,
                Some(class) => model.measured.iou.get(&class.name).copied().flatten(),
            };
            let (y, length) = (top + i * BAR, share.unwrap_or(0.0) * FULL as f64);
            let _ = write!(
                svg,
                "<rect class=\"f{}\" x=\"{NAME}\" y=\"{y}\" width=\"{length:.1}\" height=\"{}\"><title>{} {}</title></rect>\
                 <text class=\"small\" x=\"{:.1}\" y=\"{}\">{}</text>",
                i % 8,
                BAR - 2,
                text(&model.name),
                percent(share),
                NAME as f64 + length + 4.0,
                y + BAR - 3,
                percent(share)
            );
        }
    }
    svg += "</svg><figcaption>IoU by class in %";
    for (i, model) in evaluation.models.iter().enumerate() {
        let _ = write!(svg, " <span class=\"key c{}\">{}</span>", i % 8, text(&model.name));
    }
    let left_out = classes.iter().filter(|class| {
        evaluation.models.iter().all(|model| model.measured.iou.get(&class.name).copied().flatten().is_none())
    });
    let left_out: Vec<String> = left_out.map(|class| text(&class.name)).collect();
    if !left_out.is_empty() {
        let _ = write!(svg, "; neither in the labels nor predicted, so left out of the mean: {}", left_out.join(", "));
    }
    svg + "</figcaption></figure>\n"
}

fn confusions(evaluation: &Evaluation, classes: &[Class]) -> String {
    let rows = |model: &Model| shares(&model.measured.confusion);
    let mut panels: Vec<(String, String)> = evaluation
        .models
        .iter()
        .filter(|model| model.measured.confusion.len() == classes.len())
        .map(|model| (model.name.clone(), matrix(&rows(model), classes, false)))
        .collect();
    if let [.., before, last] = &evaluation.models[..]
        && panels.len() == evaluation.models.len()
    {
        let differences: Vec<Vec<Option<f64>>> = rows(last)
            .iter()
            .zip(rows(before))
            .map(|(last, before)| last.iter().zip(before).map(|(l, b)| Some((*l)? - b?)).collect())
            .collect();
        panels.push((format!("{} − {}", last.name, before.name), matrix(&differences, classes, true)));
    }
    if panels.is_empty() {
        return String::new();
    }
    let id = format!("confusion-{}", evaluation.stage.0);
    format!("<h4>Confusion: of the pixels of a class (row), % predicted as (column)</h4>\n{}", tabs(&id, &panels))
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
    const NAME: usize = 110;
    const CELL: usize = 34;
    const TOP: usize = 70;
    let side = classes.len() * CELL;
    let (width, height) = (NAME + side + 40, TOP + side);
    let mut svg = format!(
        "<svg class=\"matrix\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">"
    );
    for (i, class) in classes.iter().enumerate() {
        let name = text(&class.name);
        let (x, y) = (NAME + i * CELL + CELL / 2, TOP - 6);
        let _ = write!(
            svg,
            "<text transform=\"translate({x} {y}) rotate(-45)\">{name}</text><text class=\"end\" x=\"{}\" y=\"{}\">{name}</text>",
            NAME - 6,
            TOP + i * CELL + CELL / 2 + 4
        );
    }
    for (i, row) in rows.iter().enumerate() {
        for (j, share) in row.iter().enumerate() {
            let (x, y) = (NAME + j * CELL, TOP + i * CELL);
            let tone = match share {
                Some(share) if signed && *share < 0.0 => "below",
                Some(_) if signed => "above",
                _ => "count",
            };
            let strength = share.map_or(0.0, |share| share.abs().sqrt().min(1.0));
            let strong = if strength > 0.6 && !signed { " class=\"mid on\"" } else { " class=\"mid\"" };
            let shown = share.map_or("–".to_owned(), |share| match signed {
                true => format!("{:+.0}", 100.0 * share),
                false => format!("{:.0}", 100.0 * share),
            });
            let _ = write!(
                svg,
                "<rect class=\"{tone}\" x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" fill-opacity=\"{strength:.2}\"/>\
                 <text{strong} x=\"{}\" y=\"{}\">{shown}</text>",
                CELL - 1,
                CELL - 1,
                x + CELL / 2,
                y + CELL / 2 + 4
            );
        }
    }
    format!("<div class=\"wide\">{svg}</svg></div>")
}

/// The classes with their colours: the legend of all label maps.
pub(super) fn legend(classes: &[Class]) -> String {
    let keys: Vec<String> =
        classes.iter().map(|class| format!("{} {}", swatch(class.colour), text(&class.name))).collect();
    format!("<p class=\"legend\">{}</p>\n", keys.join(" &nbsp; "))
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
