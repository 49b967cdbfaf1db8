//! Results: what each evaluation found, last beside best, class by class.
//!
//! Knows evaluations and decides nothing: numbers are shown as they are there. What may be said of a difference is said in
//! the head of the page.

use std::fmt::Write as _;

use super::confusion;
use super::evaluation::{Evaluation, IN_FULL, Model, anchor};
use super::markup::{percent, section, signed, swatch, text};
use crate::report::measures::{count, plural};
use crate::report::metrics::Measured;
use crate::spec::Class;

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
