//! Choosing without labels: the scores of each training's snapshots, which one each score chooses, and, where labels tell, what the
//! choice cost.
//!
//! Decides nothing: `results::choice` judges the snapshots.

use maud::{Markup, Render as _, html};

use super::chart::{Line, Range, draw, thinned};
use super::markup::{Part, parts, percent, table, with_code};
use super::workspace::Workspace;
use crate::exec::job::Candidate;
use crate::kind::choosing::Score;
use crate::measures::{count, plural};
use crate::pipeline::StageId;
use crate::results::choice::{self, Choice, Chosen, Judged};

/// For how many trainings curves are shown; all are in the table and in the page's data.
const SHOWN: usize = 24;

/// Every training with current results that chooses a snapshot, in the order of the graph.
pub(super) fn gather(workspace: &Workspace) -> Vec<Chosen> {
    workspace.stages().filter_map(|(id, _)| chosen(workspace, id)).collect()
}

fn chosen(workspace: &Workspace, id: StageId) -> Option<Chosen> {
    let read = |role| workspace.bytes(id, role);
    let chosen = choice::of_training(workspace.pipeline, id, &read)?;
    chosen.choice.is_some().then_some(chosen)
}

/// For the page's data.
pub(super) fn data(chosen: &Chosen) -> (String, serde_json::Value) {
    (chosen.training.clone(), chosen.json())
}

/// The section; none if no training chooses a snapshot.
pub(super) fn render(all: &[Chosen]) -> Option<Markup> {
    (!all.is_empty()).then(|| {
        html! {
            p {
                "Each training scored its snapshots on images without labels, and " code { "chosen" } " is the one with the best \
                 score. A score can be good for a bad network: where labels exist, regret says what the choice cost, and ρ how the \
                 score orders snapshots: as mIoU does (1), by chance (0), or the other way round (−1)."
            }
            @if all.len() > 1 { (overview(all)) }
            (parts(&all.iter().take(SHOWN).enumerate().filter_map(part).collect::<Vec<_>>()))
            @if all.len() > SHOWN {
                p.note {
                    "Curves are those of the first " (SHOWN) " trainings; those of "
                    (plural(all.len() - SHOWN, "further training")) " are left out."
                }
            }
        }
    })
}

/// A row for each training that labels can judge, with median and worst.
fn overview(all: &[Chosen]) -> Markup {
    let columns = choice::columns(all);
    let height = columns.first().map_or(0, |column| column.cells.len());
    if height == 0 {
        return html! {};
    }
    let heads: Vec<&str> = columns.iter().map(|column| column.name).collect();
    let cell = |text: &String| text.replace('-', "−").render();
    let row = |at: usize| {
        let cells = columns.iter().map(|column| &column.cells[at]);
        cells.zip(&columns).map(|(text, column)| if column.is_number { cell(text) } else { text.render() }).collect()
    };
    html! {
        (table(&heads, &(0..height).map(row).collect::<Vec<_>>()))
        p.note { @for remark in choice::remarks(all) { (with_code(&remark)) ". " } }
    }
}

fn part((at, chosen): (usize, &Chosen)) -> Option<Part> {
    let Chosen { training, scored_on, evaluated_on, choice, .. } = chosen;
    let choice = choice.as_ref()?;
    let images = choice.candidates.first().map_or(0, |candidate| candidate.images);
    let labels = match evaluated_on {
        Some(dataset) => format!("; mIoU on {dataset}"),
        None => "; no labels to check it".to_owned(),
    };
    let (snapshots, images) = (plural(choice.candidates.len(), "snapshot"), plural(images as usize, "image"));
    let about = format!("{snapshots} scored on {images} of {scored_on}{labels}");
    let body = html! {
        div.charts { @for score in Score::ALL { (curve(choice, score)) } }
        "\n"
        (judgement(choice))
    };
    Some(Part { id: format!("choice-{at}"), name: training.clone(), about, body })
}

/// A score over the iterations, with its choice ringed.
fn curve(choice: &Choice, score: Score) -> Markup {
    let point = |of: &Candidate| Some((of.iteration as f64, of.score(score)?));
    let points: Vec<(f64, f64)> = choice.candidates.iter().filter_map(point).collect();
    let place = choice.by(score).iteration.map(|iteration| iteration as f64);
    let marked = points.iter().copied().find(|(x, _)| Some(*x) == place);
    let x = Range::over(points.iter().map(|(x, _)| *x).chain([0.0]));
    let y = Range::over(points.iter().map(|(_, y)| *y));
    let title = format!("{}, {} is better", score.words(), if score.prefers_large() { "more" } else { "less" });
    match x.zip(y) {
        Some((x, y)) => {
            let (dots, points) = (thinned(&points), thinned(&points));
            draw(&title, &[Line { name: title.clone(), points, dots, marked, ..Line::default() }], x, y.wider(), &[])
        }
        None => html! { figure.none { figcaption { (title) ": none, as the network has diverged" } } },
    }
}

/// The snapshot that each way of choosing gives, and where there are labels what it cost.
fn judgement(choice: &Choice) -> Markup {
    let has_labels = !choice.evaluated.is_empty();
    let iteration = |iteration: Option<u64>| iteration.map_or("–".to_owned(), count).render();
    let points = |share: Option<f64>| share.map_or("–".to_owned(), |share| format!("{:.1}", 100.0 * share));
    let row = |name: Markup, judged: &Judged| -> Vec<Markup> {
        let mut row = vec![name, iteration(judged.iteration)];
        if has_labels {
            row.push(percent(judged.miou).render());
            row.push(points(judged.regret).render());
            let rho = judged.correlation.map_or("–".to_owned(), |rho| format!("{rho:+.2}").replace('-', "−"));
            row.push(rho.render());
        }
        row
    };
    let by = |score: Score| {
        let own = if score == choice.chosen_by {
            html! { b { (score.words()) } " " small { "chosen" } }
        } else {
            score.words().render()
        };
        row(own, &choice.by(score))
    };
    let mut rows: Vec<Vec<Markup>> = Score::ALL.into_iter().map(by).collect();
    rows.push(row("the last snapshot".render(), &choice.last()));
    if let Some(best) = choice.best() {
        let dash = || "–".render();
        let chance = points(choice.by_chance()).render();
        rows.push(vec!["any snapshot, by chance".render(), dash(), dash(), chance, dash()]);
        let miou = percent(Some(best.miou)).render();
        rows.push(vec!["the best, with labels".render(), count(best.iteration).render(), miou, "0.0".render(), dash()]);
    }
    let heads: &[&str] = if has_labels {
        &["choice by", "at iteration", "mIoU in %", "regret in points", "ρ with mIoU"]
    } else {
        &["choice by", "at iteration"]
    };
    let missing = choice.candidates.len() - choice.evaluated.len();
    html! {
        (table(heads, &rows))
        @if has_labels && missing > 0 {
            p.note {
                (plural(missing, "snapshot")) " were not evaluated and don't count in regret and ρ: set " code { "evaluate_every" }
                " to " code { "candidates_every" } "."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::results::choice::tests::{CANDIDATES, EVALUATIONS};

    fn example(evaluations: &str) -> Chosen {
        Chosen {
            pipeline: "p".to_owned(),
            training: "inter".to_owned(),
            scored_on: "target".to_owned(),
            evaluated_on: (!evaluations.is_empty()).then(|| "val".to_owned()),
            choice: Choice::read(CANDIDATES, evaluations, Score::Entropy),
        }
    }

    #[test]
    fn with_labels_the_table_says_what_each_choice_cost() {
        let html = render(&[example(EVALUATIONS)]).unwrap().into_string();
        let cells = |cells: &str| assert!(html.contains(cells), "{cells} is not in\n{html}");
        cells("<td>soft neighbourhood density</td><td>4</td><td>50.0</td><td>0.0</td><td>+1.00</td>");
        cells("<td><b>entropy</b> <small>chosen</small></td><td>6</td><td>37.5</td><td>12.5</td><td>+0.50</td>");
        cells("<td>the last snapshot</td><td>8</td><td>12.5</td><td>37.5</td><td>–</td>");
        cells("<td>any snapshot, by chance</td><td>–</td><td>–</td><td>18.8</td><td>–</td>");
        cells("<td>the best, with labels</td><td>4</td><td>50.0</td><td>0.0</td><td>–</td>");
        cells("4 snapshots scored on 3 images of target; mIoU on val");
        assert_eq!(html.matches("<figure").count(), 3);
    }

    #[test]
    fn without_labels_there_is_no_number_that_needs_them() {
        let html = render(&[example("")]).unwrap().into_string();
        assert!(html.contains("no labels to check it") && !html.contains("<th>regret"), "{html}");
        assert!(html.contains("<td>the last snapshot</td><td>8</td></tr>"), "{html}");
        assert!(render(&[]).is_none());
    }

    #[test]
    fn several_trainings_have_a_table_of_all_and_only_the_first_is_open() {
        let html = |count: usize| {
            let all: Vec<Chosen> = (0..count).map(|_| example(EVALUATIONS)).collect();
            render(&all).unwrap().into_string()
        };
        assert!(!html(1).contains("<td>median</td>"));
        let two = html(2);
        assert!(two.contains("<td>worst</td><td></td><td></td><td>0.0</td><td>12.5</td>"), "{two}");
        assert_eq!(html(1).matches("<details").count(), 0);
        assert_eq!((two.matches("<details").count(), two.matches(" open>").count()), (2, 1));
        let many = html(SHOWN + 1);
        assert_eq!(many.matches("<details").count(), SHOWN);
        assert!(many.contains("those of 1 further training are left out"), "{many}");
    }

    #[test]
    fn the_data_have_the_regret_of_each_score() {
        let (name, data) = data(&example(EVALUATIONS));
        assert_eq!((name.as_str(), &data["choose_by"]), ("inter", &json!("entropy")));
        assert_eq!(data["scores"]["entropy"]["regret"], 0.125);
        assert_eq!(data["scores"]["soft_neighbourhood_density"]["iteration"], 4);
        assert_eq!(data["best"], json!({ "iteration": 4, "miou": 0.5 }));
        assert_eq!((&data["last"]["regret"], &data["evaluated"]), (&json!(0.375), &json!(4)));
    }
}
