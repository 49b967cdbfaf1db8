//! Training: the losses of all trainings on equal axes, and mIoU where it was measured.
//!
//! Knows `losses.jsonl` and `evaluations.jsonl`. A column that is null throughout belongs to another method and isn't drawn.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::chart::{Line, Range, draw};
use super::markup::{section, text};
use super::workspace::Workspace;
use crate::kind::Gives;
use crate::spec::StageId;

/// Charts and the columns of `losses.jsonl` that they show.
const CHARTS: [(&str, &[&str]); 4] = [
    ("segmentation loss", &["seg_main", "seg_aux"]),
    ("adversarial loss of the generator", &["adv_main", "adv_aux"]),
    ("loss of the discriminator", &["d_main_s", "d_main_t", "d_aux_s", "d_aux_t"]),
    ("entropy loss", &["ent_main", "ent_aux"]),
];

/// Trainings whose curves are shown: more charts in a row can't be compared.
const SHOWN: usize = 24;

/// One training.
pub(super) struct Training {
    /// Its name.
    pub(super) name: String,
    /// By column: (iteration, loss).
    pub(super) losses: BTreeMap<String, Vec<(f64, f64)>>,
    /// In order.
    pub(super) evaluations: Vec<Evaluated>,
    /// Where it went on after a kill.
    pub(super) resumed_from: Option<u64>,
}

/// mIoU of a network in training: a line of `evaluations.jsonl`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Evaluated {
    /// Iterations done.
    pub(super) iteration: u64,
    /// 0 to 1.
    pub(super) miou: f64,
}

/// Trainings whose results count, in the order of the graph.
pub(super) fn gather(workspace: &Workspace) -> Vec<Training> {
    let training = |id: StageId| {
        let losses = workspace.bytes(id, Gives::Losses)?;
        Some(Training {
            name: workspace.pipeline.stage(id).name.clone(),
            losses: columns(&losses),
            evaluations: evaluations(workspace, id),
            resumed_from: workspace.trace(id).and_then(|trace| trace.resumed_from),
        })
    };
    workspace.stages().filter_map(|(id, _)| training(id)).take(SHOWN).collect()
}

/// Where a training's networks stood.
pub(super) fn evaluations(workspace: &Workspace, training: StageId) -> Vec<Evaluated> {
    #[derive(Deserialize)]
    struct Line {
        iteration: u64,
        miou: Option<f64>,
    }
    let bytes = workspace.bytes(training, Gives::Evaluations).unwrap_or_default();
    let lines = serde_json::Deserializer::from_slice(&bytes).into_iter::<Line>();
    lines
        .map_while(Result::ok)
        .filter_map(|line| Some(Evaluated { iteration: line.iteration, miou: line.miou? }))
        .collect()
}

/// The first of the best.
pub(super) fn best(evaluations: &[Evaluated]) -> Option<Evaluated> {
    let better = |best: Option<&Evaluated>, next: &Evaluated| best.is_none_or(|best| next.miou > best.miou);
    evaluations.iter().fold(None, |best, next| if better(best, next) { Some(next) } else { best }).cloned()
}

fn columns(jsonl: &[u8]) -> BTreeMap<String, Vec<(f64, f64)>> {
    type Line = BTreeMap<String, Option<f64>>;
    let mut columns: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for line in serde_json::Deserializer::from_slice(jsonl).into_iter::<Line>().map_while(Result::ok) {
        let iteration = line.get("iteration").copied().flatten().unwrap_or(0.0);
        for (name, value) in line.into_iter().filter(|(name, _)| name != "iteration") {
            if let Some(value) = value {
                columns.entry(name).or_default().push((iteration, value));
            }
        }
    }
    columns
}

/// The section; empty where nothing was trained.
pub(super) fn render(trainings: &[Training]) -> String {
    if trainings.is_empty() {
        return String::new();
    }
    let iterations = trainings.iter().flat_map(|training| training.losses.values().flatten().map(|(x, _)| *x));
    let Some(x) = Range::over(iterations.chain([0.0])) else { return String::new() };
    let mut body = miou(trainings, x);
    for (title, columns) in CHARTS {
        let shown = |training: &Training| -> Vec<Line> {
            let line = |name: &&str| {
                let points = training.losses.get(*name)?.clone();
                Some(Line { name: (*name).to_owned(), points, dots: false })
            };
            columns.iter().filter_map(line).collect()
        };
        let lines: Vec<(&Training, Vec<Line>)> = trainings
            .iter()
            .map(|training| (training, shown(training)))
            .filter(|(_, lines)| !lines.is_empty())
            .collect();
        let values = lines.iter().flat_map(|(_, lines)| lines).flat_map(|line| line.points.iter().map(|(_, y)| *y));
        let Some(y) = Range::of_losses(values) else { continue };
        body += &format!("<h3>{}</h3>\n<div class=\"charts\">", text(title));
        for (training, lines) in &lines {
            let resumed = training.resumed_from.map(|at| (at as f64, "resumed"));
            body += &draw(&training.name, lines, x, y, &resumed.into_iter().collect::<Vec<_>>());
        }
        body += "</div>\n";
    }
    body += "<p class=\"note\">By iteration, not smoothed. Charts of one row have the same axes; of each curve the least and \
             the greatest value of each part are kept.</p>\n";
    if trainings.len() == SHOWN {
        body += &format!("<p class=\"note\">At most {SHOWN} trainings are shown, the first of the graph.</p>\n");
    }
    section("training", "Training", &body)
}

/// mIoU at the evaluations of all trainings that were evaluated.
fn miou(trainings: &[Training], x: Range) -> String {
    let line = |training: &Training| {
        let points: Vec<(f64, f64)> =
            training.evaluations.iter().map(|seen| (seen.iteration as f64, 100.0 * seen.miou)).collect();
        (!points.is_empty()).then(|| Line { name: training.name.clone(), points, dots: true })
    };
    let lines: Vec<Line> = trainings.iter().filter_map(line).collect();
    let values = lines.iter().flat_map(|line| line.points.iter().map(|(_, y)| *y));
    let Some(y) = Range::over(values) else { return String::new() };
    let said = trainings.iter().filter_map(|training| {
        let (best, last) = (best(&training.evaluations)?, training.evaluations.last()?);
        Some(format!(
            "{}: last {:.1}, best {:.1} at iteration {}",
            text(&training.name),
            100.0 * last.miou,
            100.0 * best.miou,
            best.iteration
        ))
    });
    let said: Vec<String> = said.collect();
    format!(
        "<h3>mIoU in % during training</h3>\n<div class=\"charts\">{}</div><p class=\"note\">{}. Choosing the best uses \
         labels of the target.</p>\n",
        draw("mIoU", &lines, x, y, &[]),
        said.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_that_a_method_does_not_have_are_not_columns() {
        let text = b"{\"iteration\":0,\"seg_main\":4.5,\"adv_main\":null}\n{\"iteration\":1,\"seg_main\":2.5,\"adv_main\":null}\n";
        let columns = columns(text);
        assert_eq!(columns.keys().collect::<Vec<_>>(), ["seg_main"]);
        assert_eq!(columns["seg_main"], [(0.0, 4.5), (1.0, 2.5)]);
    }

    #[test]
    fn the_best_is_the_first_of_the_best() {
        let seen = |list: &[(u64, f64)]| -> Vec<Evaluated> {
            list.iter().map(|(iteration, miou)| Evaluated { iteration: *iteration, miou: *miou }).collect()
        };
        assert_eq!(best(&seen(&[(1, 0.2), (2, 0.5), (3, 0.5), (4, 0.4)])).unwrap().iteration, 2);
        assert_eq!(best(&[]), None);
    }
}
