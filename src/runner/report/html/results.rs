//! Results: what each evaluation found, last beside best, class by class.
//!
//! Knows `metrics.json` and decides nothing: numbers are shown as they are there. What may be said of a difference is said in
//! the head of the page.

use std::fmt::Write as _;

use super::confusion;
use super::markup::{percent, section, signed, swatch, text};
use super::training::{self, Evaluated};
use super::workspace::Workspace;
use crate::kind::Gives;
use crate::report::measures::{count, plural};
use crate::report::metrics::{Measured, Metrics};
use crate::spec::{Class, InputSource, StageId};

/// Evaluations that have matrices and pictures; the others of a large sweep have their numbers.
pub(super) const IN_FULL: usize = 8;

/// Evaluations up to which all are open: nobody scrolls past fifty, and the sweep's table leads to each.
const UNFOLDED: usize = 3;
/// Letters of a network's name beyond which the head of its column has several lines.
const LONG: usize = 16;
/// Networks up to which their table leaves room beside it.
const BESIDE: usize = 3;

/// One of the means of a result, 0 to 1.
type Mean = fn(&Measured) -> Option<f64>;

/// Over all classes, and over the parts of them that papers report.
const MEANS: [(&str, Mean); 3] = [
    ("mIoU", |measured| measured.miou),
    ("mIoU of 16", |measured| measured.miou_16),
    ("mIoU of 13", |measured| measured.miou_13),
];

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
    /// All stages that went into it, itself included.
    pub(super) came_from: Vec<StageId>,
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
        let came_from = training.map(|training| workspace.graph.ancestors(&[training])).unwrap_or_default();
        Some(Model { name: name.to_owned(), training, chosen_on, came_from, measured, best })
    });
    Some(Evaluation { stage: id, name: stage.name.clone(), models: models.collect(), dataset, raw })
}

/// The section; empty where nothing was evaluated.
pub(super) fn render(evaluations: &[Evaluation], classes: &[Class]) -> String {
    if evaluations.is_empty() {
        return String::new();
    }
    let is_folded = evaluations.len() > UNFOLDED;
    let all = evaluations.iter().enumerate();
    let mut body: String = all.map(|(at, evaluation)| one(evaluation, classes, at < IN_FULL, is_folded)).collect();
    if evaluations.len() > IN_FULL {
        let _ =
            writeln!(body, "<p class=\"note\">Matrices and pictures are those of the first {IN_FULL} evaluations.</p>");
    }
    section("results", "Results", &body)
}

fn one(evaluation: &Evaluation, classes: &[Class], in_full: bool, is_folded: bool) -> String {
    let images = evaluation.models.first().map_or(0, |model| model.measured.images);
    let id = anchor(evaluation.stage);
    let name = text(&evaluation.name);
    let on = format!("on {}, {}", text(&evaluation.dataset), plural(images as usize, "image"));
    let means = evaluation.models.iter().map(|model| format!("{} {}", text(&model.name), percent(model.measured.miou)));
    let means = means.collect::<Vec<_>>().join(" · ");
    let (start, end) = match is_folded {
        true => {
            let summary = format!("<h3>{name}</h3> <small>{on}: mIoU {means}</small>");
            (format!("<details id=\"{id}\"><summary>{summary}</summary>"), "</details>")
        }
        false => (format!("<h3 id=\"{id}\">{name} <small>{on}</small></h3>"), ""),
    };
    format!(
        "{start}\n<div class=\"{}\"><div>{}{}</div><div>{}</div></div>{end}\n",
        if evaluation.models.len() <= BESIDE { "beside" } else { "below" },
        table_of_iou(evaluation, classes),
        remarks(evaluation, classes),
        if in_full { confusion::render(evaluation, classes) } else { String::new() }
    )
}

/// Where the results of an evaluation stand in the page.
pub(super) fn anchor(evaluation: StageId) -> String {
    format!("evaluation-{}", evaluation.0)
}

impl Evaluation {
    /// The network that is judged and the one to compare it with, by their places, the latter first. That is the last that came
    /// from another, as intra training from what ranked the images, and the nearest of its origins; where there are no two such,
    /// the last network and the nearest before it. Both were chosen alike, with labels or without.
    pub(super) fn compared(&self) -> Option<(usize, usize)> {
        let models = &self.models;
        let nearest = |judged: usize, fits: &dyn Fn(&Model) -> bool| {
            let is_alike = |other: &Model| other.chosen_on.is_some() == models[judged].chosen_on.is_some();
            let before = (0..judged).rev().find(|at| is_alike(&models[*at]) && fits(&models[*at]))?;
            Some((before, judged))
        };
        let is_origin = |of: usize| {
            move |other: &Model| {
                let (own, other) = (&models[of], other.training);
                other != own.training && other.is_some_and(|training| own.came_from.contains(&training))
            }
        };
        let last = models.len().checked_sub(1)?;
        (0..=last).rev().find_map(|at| nearest(at, &is_origin(at))).or_else(|| nearest(last, &|_| true))
    }

    /// Points that the network that is judged lies above the one it is compared with.
    fn gain(&self, of: impl Fn(&Measured) -> Option<f64>) -> Option<f64> {
        let (before, judged) = self.compared()?;
        Some(100.0 * (of(&self.models[judged].measured)? - of(&self.models[before].measured)?))
    }
}

/// IoU of a class.
fn of_class<'a>(class: &'a Class) -> impl Fn(&Measured) -> Option<f64> + 'a {
    |measured| measured.iou.get(&class.name).copied().flatten()
}

/// A row a mean and a class, a column a network: the last networks as bars and numbers. The script can put the classes into
/// another order, for which the rows hold their IoU and their gain.
fn table_of_iou(evaluation: &Evaluation, classes: &[Class]) -> String {
    let models = &evaluation.models;
    let mut html = String::from("<div class=\"wide\"><table class=\"iou\"><thead><tr><th>IoU in %</th><th></th>");
    for (at, model) in models.iter().enumerate() {
        let chosen = if model.chosen_on.is_some() { "<br><small>chosen with labels</small>" } else { "" };
        let long = if model.name.chars().count() > LONG { " long" } else { "" };
        let name = text(&model.name);
        let _ = write!(html, "<th scope=\"col\"><span class=\"key n{}{long}\">{name}</span>{chosen}</th>", at % 8);
    }
    if let Some((before, last)) = evaluation.compared() {
        let _ = write!(html, "<th scope=\"col\">{} − {}</th>", text(&models[last].name), text(&models[before].name));
    }
    html += "</tr></thead>\n<tbody class=\"means\">\n";
    for (name, mean) in MEANS {
        if name == "mIoU" || models.iter().any(|model| mean(&model.measured).is_some()) {
            html += &row(evaluation, name, mean);
        }
    }
    html += &best(evaluation);
    html += "</tbody>\n<tbody class=\"classes\">\n";
    for class in classes {
        html += &row(evaluation, &format!("{} {}", swatch(class.colour), text(&class.name)), of_class(class));
    }
    html + "</tbody></table></div>\n"
}

/// One row; `name` is HTML.
fn row(evaluation: &Evaluation, name: &str, of: impl Fn(&Measured) -> Option<f64>) -> String {
    let shares: Vec<Option<f64>> = evaluation.models.iter().map(|model| of(&model.measured)).collect();
    let gain = evaluation.gain(of);
    // Of a bar and the room below it, in units of the drawing, which is 100 wide.
    let bar = if shares.len() <= BESIDE { 8 } else { 6 };
    let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
    let last = shares.last().copied().flatten();
    let mut html = format!(
        "<tr data-iou=\"{}\" data-gain=\"{}\"><th scope=\"row\">{name}</th><td><svg class=\"bars\" viewBox=\"0 0 100 {}\" \
         preserveAspectRatio=\"none\" height=\"{}\" aria-hidden=\"true\">",
        number(last.map(|share| 100.0 * share)),
        number(gain),
        shares.len() * bar,
        shares.len() * bar
    );
    for (at, share) in shares.iter().enumerate() {
        let length = 100.0 * share.unwrap_or(0.0);
        let _ = write!(
            html,
            "<rect class=\"f{}\" y=\"{}\" width=\"{length:.1}\" height=\"{}\"/>",
            at % 8,
            at * bar,
            bar - 1
        );
    }
    html += "</svg></td>";
    for share in &shares {
        let _ = write!(html, "<td>{}</td>", percent(*share));
    }
    if evaluation.compared().is_some() {
        let _ = write!(html, "<td>{}</td>", gain.map_or("–".to_owned(), signed));
    }
    html + "</tr>\n"
}

/// The row of what each training saw at its best on the same images; none where nothing was looked at on the way.
fn best(evaluation: &Evaluation) -> String {
    if evaluation.models.iter().all(|model| model.best.is_none()) {
        return String::new();
    }
    let cell = |model: &Model| match &model.best {
        Some(best) => format!("<td>{}<br><small>at {}</small></td>", percent(Some(best.miou)), count(best.iteration)),
        None => "<td>–</td>".to_owned(),
    };
    let cells: String = evaluation.models.iter().map(cell).collect();
    let difference = if evaluation.compared().is_some() { "<td></td>" } else { "" };
    format!("<tr><th scope=\"row\">best mIoU <small>in training</small></th><td></td>{cells}{difference}</tr>\n")
}

/// What has to be known to read the table.
fn remarks(evaluation: &Evaluation, classes: &[Class]) -> String {
    let mut html = String::new();
    if evaluation.models.iter().any(|model| model.best.is_some() || model.chosen_on.is_some()) {
        html += "<p class=\"note\">Best was chosen on labelled target images, as in the papers: it is no number of a method \
                 that sees no labels. Last is.</p>\n";
    }
    let is_undefined =
        |class: &&Class| evaluation.models.iter().all(|model| of_class(class)(&model.measured).is_none());
    let left_out: Vec<String> = classes.iter().filter(is_undefined).map(|class| text(&class.name)).collect();
    if !left_out.is_empty() {
        let _ = writeln!(
            html,
            "<p class=\"note\">Neither in the labels nor predicted, so left out of the mean: {}.</p>",
            left_out.join(", ")
        );
    }
    html
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

    fn network(name: &str, chosen_on: Option<&str>, miou: f64) -> Model {
        let measured = Measured {
            images: 1,
            miou: Some(miou),
            miou_16: None,
            miou_13: None,
            iou: [].into(),
            confusion: Vec::new(),
        };
        let (chosen_on, came_from) = (chosen_on.map(str::to_owned), Vec::new());
        Model { name: name.to_owned(), training: None, chosen_on, came_from, measured, best: None }
    }

    #[test]
    fn what_was_chosen_with_labels_is_compared_with_nothing_that_was_not() {
        let compared = |models: Vec<Model>| {
            let (name, dataset) = (String::new(), String::new());
            let evaluation = Evaluation { stage: StageId(0), name, dataset, raw: serde_json::Value::Null, models };
            (evaluation.compared(), evaluation.gain(|measured| measured.miou).map(|gain| gain.round()))
        };
        let (inter, best, intra) = (
            || network("inter", None, 0.5),
            || network("inter.best", Some("val"), 0.6),
            || network("intra", None, 0.55),
        );
        assert_eq!(compared(vec![inter(), best(), intra()]), (Some((0, 2)), Some(5.0)));
        assert_eq!(compared(vec![inter(), best()]), (None, None));
        assert_eq!(compared(vec![intra()]), (None, None));
        // A ceiling beside them is no step of the method, wherever it stands.
        let from = |model: Model, training: u32, came_from: &[u32]| Model {
            training: Some(StageId(training)),
            came_from: came_from.iter().map(|id| StageId(*id)).collect(),
            ..model
        };
        let (source_only, supervised) = (|| network("source-only", None, 0.4), || network("supervised", None, 0.9));
        let all = vec![
            from(source_only(), 0, &[]),
            from(inter(), 1, &[]),
            from(intra(), 2, &[1, 2]),
            from(supervised(), 3, &[]),
        ];
        assert_eq!(compared(all), (Some((1, 2)), Some(5.0)));
    }
}
