//! Results: each evaluation's numbers, last and best, class by class.
//!
//! Knows evaluations and decides nothing: numbers stay as they are. The head of the page judges differences.

use maud::{Markup, Render as _, html};

use super::confusion;
use super::evaluation::{Evaluation, IN_FULL, Model, anchor};
use super::markup::{Part, TONES, parts, percent, signed, swatch};
use crate::measures::{count, plural};
use crate::pipeline::{Class, Which};
use crate::results::metrics::Measured;

/// Names of networks longer than this are broken over several lines in the table's header.
const LONG: usize = 16;
/// With at most this many networks, there is space next to their table.
const BESIDE: usize = 3;

/// One of the means of a result, 0 to 1.
type Mean = fn(&Measured) -> Option<f64>;

/// Over all classes, and over the subsets that papers report.
const MEANS: [(&str, Mean); 3] = [
    ("mIoU", |measured| measured.miou),
    ("mIoU of 16", |measured| measured.miou_16),
    ("mIoU of 13", |measured| measured.miou_13),
];

/// The section; none without an evaluation.
pub(super) fn render(evaluations: &[Evaluation], classes: &[Class]) -> Option<Markup> {
    let is_one = evaluations.len() == 1;
    let part = |(at, evaluation): (usize, &Evaluation)| part(evaluation, classes, at < IN_FULL, is_one);
    (!evaluations.is_empty()).then(|| {
        html! {
            (parts(&evaluations.iter().enumerate().map(part).collect::<Vec<_>>()))
            @if evaluations.len() > IN_FULL {
                p.note { "Matrices and pictures are those of the first " (IN_FULL) " evaluations." }
            }
        }
    })
}

/// One evaluation. A folded one has its means in its heading.
fn part(evaluation: &Evaluation, classes: &[Class], in_full: bool, is_one: bool) -> Part {
    let Evaluation { name, dataset, models, .. } = evaluation;
    let images = models.first().map_or(0, |model| model.measured.images);
    let on = format!("on {dataset}, {}", plural(images as usize, "image"));
    let means = || {
        let of = models.iter().map(|model| format!("{} {}", model.name, percent(model.measured.miou)));
        of.collect::<Vec<_>>().join(" · ")
    };
    let body = html! {
        div class=(if models.len() <= BESIDE { "beside" } else { "below" }) {
            div { (table_of_iou(evaluation, classes)) (remarks(evaluation, classes)) }
            div { @if in_full { (confusion::render(evaluation, classes)) } }
        }
    };
    let about = if is_one { on } else { format!("{on}: mIoU {}", means()) };
    Part { id: anchor(evaluation.stage), name: name.clone(), about, body }
}

/// IoU of a class.
fn of_class<'a>(class: &'a Class) -> impl Fn(&Measured) -> Option<f64> + 'a {
    |measured| measured.iou.get(&class.name).copied().flatten()
}

/// One row per mean and class, one column per network: the last networks as bars and numbers. The script can sort the
/// classes, for which the rows have their IoU and their gain as attributes.
fn table_of_iou(evaluation: &Evaluation, classes: &[Class]) -> Markup {
    let (models, judged) = (&evaluation.models, judged(evaluation));
    let is_known = |mean: Mean| models.iter().any(|model| mean(&model.measured).is_some());
    html! {
        div.wide {
            table.iou {
                thead {
                    tr {
                        th { "IoU in %" } th {}
                        @for (at, model) in models.iter().enumerate() { (head(at, model, judged == Some(at))) }
                        @if let Some((before, last)) = evaluation.compared() {
                            th.gain scope="col" { (models[last].name) " − " (models[before].name) }
                        }
                    }
                }
                "\n"
                tbody.means {
                    @for (name, mean) in MEANS {
                        @if name == "mIoU" || is_known(mean) { (row(evaluation, &name.render(), mean)) }
                    }
                    (best(evaluation))
                }
                "\n"
                tbody.classes {
                    @for class in classes {
                        (row(evaluation, &html! { (swatch(class.colour)) " " (class.name) }, of_class(class)))
                    }
                }
            }
        }
        "\n"
    }
}

/// The judged network, whose column narrow screens show first.
fn judged(evaluation: &Evaluation) -> Option<usize> {
    evaluation.compared().map(|(_, judged)| judged)
}

/// The class of the cells of the network with this index.
fn class(judged: Option<usize>, at: usize) -> Option<&'static str> {
    (judged == Some(at)).then_some("judged")
}

/// The header of a network's column.
fn head(at: usize, model: &Model, is_judged: bool) -> Markup {
    let long = if model.name.chars().count() > LONG { " long" } else { "" };
    html! {
        th class=[is_judged.then_some("judged")] scope="col" {
            span class={ "key n" (at % TONES) (long) } { (model.name) }
            @if model.chosen_on.is_some() { br; small { "chosen with labels" } }
            @if model.origin.which == Which::Chosen { br; small { "chosen without labels" } }
            @if model.origin.is_supervised { br; small { "learnt from target labels" } }
        }
    }
}

fn row(evaluation: &Evaluation, name: &Markup, of: impl Fn(&Measured) -> Option<f64>) -> Markup {
    let judged = judged(evaluation);
    let shares: Vec<Option<f64>> = evaluation.models.iter().map(|model| of(&model.measured)).collect();
    let gain = evaluation.gain(of);
    let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
    let last = shares.last().copied().flatten();
    html! {
        tr data-iou=(number(last.map(|share| 100.0 * share))) data-gain=(number(gain)) {
            th scope="row" { (name) }
            td { (bars(&shares)) }
            @for (at, share) in shares.iter().enumerate() { td class=[class(judged, at)] { (percent(*share)) } }
            @if evaluation.compared().is_some() { td.gain { (gain.map_or("–".to_owned(), signed)) } }
        }
        "\n"
    }
}

/// One bar per network.
fn bars(shares: &[Option<f64>]) -> Markup {
    // Height of a bar and its margin, in units of the drawing, which is 100 wide.
    let bar = if shares.len() <= BESIDE { 8 } else { 6 };
    let height = shares.len() * bar;
    html! {
        svg.bars viewBox={ "0 0 100 " (height) } preserveAspectRatio="none" height=(height) aria-hidden="true" {
            @for (at, share) in shares.iter().enumerate() {
                rect class={ "f" (at % TONES) } y=(at * bar) width=(format_args!("{:.1}", 100.0 * share.unwrap_or(0.0)))
                    height=(bar - 1) {}
            }
        }
    }
}

/// The row of each training's best evaluation on the same images; none without such evaluations.
fn best(evaluation: &Evaluation) -> Markup {
    if evaluation.models.iter().all(|model| model.best.is_none()) {
        return html! {};
    }
    let judged = judged(evaluation);
    html! {
        tr {
            th scope="row" { "best mIoU " small { "in training" } }
            td {}
            @for (at, model) in evaluation.models.iter().enumerate() {
                @match &model.best {
                    Some(best) => td class=[class(judged, at)] {
                        (percent(Some(best.miou))) br; small { "at " (count(best.iteration)) }
                    },
                    None => td class=[class(judged, at)] { "–" },
                }
            }
            @if evaluation.compared().is_some() { td.gain {} }
        }
        "\n"
    }
}

/// Notes needed to read the table.
fn remarks(evaluation: &Evaluation, classes: &[Class]) -> Markup {
    let is_chosen = evaluation.models.iter().any(|model| model.best.is_some() || model.chosen_on.is_some());
    let is_undefined =
        |class: &&Class| evaluation.models.iter().all(|model| of_class(class)(&model.measured).is_none());
    let left_out: Vec<&str> = classes.iter().filter(is_undefined).map(|class| class.name.as_str()).collect();
    html! {
        @if is_chosen {
            p.note {
                "What is called best was chosen on labelled target images, as in the papers. Without such labels it can't be \
                 chosen: the result of a method without labels is its last network, or the one that a score chose."
            }
        }
        @if !left_out.is_empty() {
            p.note { "Neither in the labels nor predicted, so left out of the mean: " (left_out.join(", ")) "." }
        }
    }
}
