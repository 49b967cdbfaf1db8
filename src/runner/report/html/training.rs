//! Training: the losses of all trainings on equal axes, and mIoU where it was measured.
//!
//! Knows `losses.jsonl` and `evaluations.jsonl`. A loss without a value in any line is not drawn: older trainings have `null`
//! for those that they lack.

use std::collections::BTreeMap;

use maud::{Markup, Render as _, html};
use serde::Deserialize;

use super::chart::{Line, Range, draw, thinned};
use super::markup::{percent, table};
use super::workspace::Workspace;
use crate::kind::OutputRole;
use crate::kind::losses::{LEARNING_RATE, LOSSES};
use crate::measures::{count, plural};
use crate::pipeline::{Stage, StageId, Value};
use crate::results::metrics::is_better;
use intrada_statistics::spread::Spread;

/// For how many trainings curves are shown: more charts in a row can't be compared. A setting is shown with all its seeds or not
/// at all.
const SHOWN: usize = 24;

/// The trainings that are shown, in the order of the graph, and how many are not.
pub(super) struct Trainings {
    /// Of whole settings.
    pub(super) shown: Vec<Training>,
    left_out: LeftOut,
}

/// What the limit leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LeftOut {
    settings: usize,
    trainings: usize,
}

/// One training.
pub(super) struct Training {
    /// Its name.
    pub(super) name: String,
    /// Its name without the seed: trainings that differ by the seed alone are drawn in one chart.
    pub(super) setting: String,
    /// Its losses, by column.
    pub(super) losses: BTreeMap<String, Curve>,
    /// Number of iterations.
    pub(super) iterations: u64,
    /// In order.
    pub(super) evaluations: Vec<Evaluated>,
    /// Where it resumed after a kill.
    pub(super) resumed_from: Option<u64>,
    /// Whether its discriminators minimise squares (`gan = "ls"`) and not cross-entropy.
    pub(super) minimises_squares: bool,
}

/// A column of `losses.jsonl`. All of it would be 20 MB of a training of the papers' length.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Curve {
    /// (iteration, loss), reduced for drawing.
    pub(super) points: Vec<(f64, f64)>,
    /// The mean over its last tenth.
    pub(super) end: f64,
    /// By which share of itself the mean falls from the last fifth but one to the last fifth, if that is more than twice its
    /// standard error.
    pub(super) late_fall: Option<f64>,
}

/// mIoU of a network during training: a line of `evaluations.jsonl`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Evaluated {
    /// Iterations done.
    pub(super) iteration: u64,
    /// 0 to 1.
    pub(super) miou: f64,
}

/// Trainings with current results, in the order of the graph; of a large sweep those of the first settings.
pub(super) fn gather(workspace: &Workspace) -> Trainings {
    let training = |id: StageId| {
        let losses = workspace.bytes(id, OutputRole::Losses)?;
        let stage = workspace.pipeline.stage(id);
        Some(Training {
            name: stage.name.clone(),
            setting: setting(stage),
            iterations: iterations(&losses),
            losses: columns(&losses),
            evaluations: evaluations(workspace, id),
            resumed_from: workspace.trace(id).and_then(|trace| trace.resumed_from),
            minimises_squares: workspace.pipeline.stage(id).parameter("gan").and_then(Value::as_text) == Some("ls"),
        })
    };
    let done = workspace.stages().filter(|(id, _)| workspace.artifact(*id, OutputRole::Losses).is_some());
    let all: Vec<(StageId, String)> = done.map(|(id, stage)| (id, setting(stage))).collect();
    let (fitting, left_out) = fitting(all.iter().map(|(_, setting)| setting.as_str()));
    let shown = all.iter().filter(|(_, setting)| fitting.contains(&setting.as_str()));
    Trainings { shown: shown.filter_map(|(id, _)| training(*id)).collect(), left_out }
}

/// Of the settings of all trainings the first that have at most [`SHOWN`] trainings together, but at least one; and what is left out.
fn fitting<'a>(of_trainings: impl Iterator<Item = &'a str>) -> (Vec<&'a str>, LeftOut) {
    let mut settings: Vec<(&str, usize)> = Vec::new();
    for setting in of_trainings {
        match settings.iter_mut().find(|(known, _)| *known == setting) {
            Some((_, seeds)) => *seeds += 1,
            None => settings.push((setting, 1)),
        }
    }
    let mut trainings: usize = 0;
    let fits = |(_, seeds): &&(&str, usize)| {
        let is_first = trainings == 0;
        trainings += *seeds;
        is_first || trainings <= SHOWN
    };
    let shown: Vec<&str> = settings.iter().take_while(fits).map(|(setting, _)| *setting).collect();
    let rest = &settings[shown.len()..];
    let left_out = LeftOut { settings: rest.len(), trainings: rest.iter().map(|(_, seeds)| seeds).sum() };
    (shown, left_out)
}

/// `inter` of `inter[seed=1]`, `inter[lambda=0.6]` of `inter[lambda=0.6,seed=1]`.
fn setting(stage: &Stage) -> String {
    let swept = stage.coordinates.iter().filter(|at| at.axis != "seed");
    let swept: Vec<String> = swept.map(|at| format!("{}={}", at.axis, at.value)).collect();
    if swept.is_empty() { stage.family.clone() } else { format!("{}[{}]", stage.family, swept.join(",")) }
}

/// The trainings of each setting, in order.
fn settings(trainings: &[Training]) -> Vec<(&str, Vec<&Training>)> {
    let mut settings: Vec<(&str, Vec<&Training>)> = Vec::new();
    for training in trainings {
        match settings.iter_mut().find(|(setting, _)| *setting == training.setting) {
            Some((_, seeds)) => seeds.push(training),
            None => settings.push((&training.setting, vec![training])),
        }
    }
    settings
}

/// The name of a setting, with the number of its seeds if there are several.
fn titled(setting: &str, seeds: &[&Training]) -> String {
    match seeds {
        [one] => one.name.clone(),
        _ => format!("{setting}, {} seeds", seeds.len()),
    }
}

/// The evaluations of a training.
pub(super) fn evaluations(workspace: &Workspace, training: StageId) -> Vec<Evaluated> {
    #[derive(Deserialize)]
    struct Line {
        iteration: u64,
        miou: Option<f64>,
    }
    let bytes = workspace.bytes(training, OutputRole::Evaluations).unwrap_or_default();
    let lines = serde_json::Deserializer::from_slice(&bytes).into_iter::<Line>();
    lines
        .map_while(Result::ok)
        .filter_map(|line| Some(Evaluated { iteration: line.iteration, miou: line.miou? }))
        .collect()
}

/// The best, as the training selects it.
pub(super) fn best(evaluations: &[Evaluated]) -> Option<Evaluated> {
    let better =
        |best: Evaluated, later: &Evaluated| if is_better(later.miou, best.miou) { later.clone() } else { best };
    evaluations.split_first().map(|(first, later)| later.iter().fold(first.clone(), better))
}

fn columns(jsonl: &[u8]) -> BTreeMap<String, Curve> {
    let mut columns: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    let lines = serde_json::Deserializer::from_slice(jsonl).into_iter::<BTreeMap<&str, Option<f64>>>();
    for line in lines.map_while(Result::ok) {
        let iteration = line.get("iteration").copied().flatten().unwrap_or(0.0);
        for (name, value) in line.into_iter().filter(|(name, _)| *name != "iteration") {
            if let Some(value) = value {
                columns.entry(name).or_default().push((iteration, value));
            }
        }
    }
    columns.into_iter().map(|(name, points)| (name.to_owned(), Curve::of(&points))).collect()
}

/// One more than the last line's.
fn iterations(jsonl: &[u8]) -> u64 {
    #[derive(Deserialize)]
    struct Line {
        iteration: u64,
    }
    let last = jsonl.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    serde_json::from_slice::<Line>(last).map_or(0, |line| line.iteration + 1)
}

impl Curve {
    /// From all points, of which there is at least one.
    fn of(points: &[(f64, f64)]) -> Curve {
        let tenth = &points[points.len() - points.len().div_ceil(10)..];
        let end = tenth.iter().map(|(_, loss)| loss).sum::<f64>() / tenth.len() as f64;
        Curve { points: thinned(points), end, late_fall: late_fall(points) }
    }
}

/// See [`Curve::late_fall`]. Losses of single steps are noisy: their number decides what a fall means.
fn late_fall(points: &[(f64, f64)]) -> Option<f64> {
    let fifth = points.len() / 5;
    let spread = |part: &[(f64, f64)]| Spread::of(&part.iter().map(|(_, loss)| *loss).collect::<Vec<f64>>());
    let (before, last) =
        (spread(&points[points.len() - 2 * fifth..points.len() - fifth])?, spread(&points[points.len() - fifth..])?);
    let error = |spread: Spread| spread.sd.map(|sd| sd * sd / spread.count as f64);
    let (fall, error) = (before.mean - last.mean, (error(before)? + error(last)?).sqrt());
    (fall > 2.0 * error && before.mean > 0.0).then(|| fall / before.mean)
}

/// The section; none without a training. `snapshots` come below the curves.
pub(super) fn render(Trainings { shown: trainings, left_out }: &Trainings, snapshots: &Markup) -> Option<Markup> {
    if trainings.is_empty() {
        return None;
    }
    let iterations = trainings.iter().map(|training| training.iterations as f64);
    let x = Range::over(iterations.chain([0.0]))?;
    let losses = charts().into_iter().filter_map(|(title, columns)| row(trainings, title, &columns, true, x));
    let rate = row(trainings, "learning rate of the generator", &[LEARNING_RATE], false, x);
    let rows = losses.chain(rate);
    Some(html! {
        (miou(trainings, x))
        @for row in rows { (row) }
        p.note {
            "By iteration, not smoothed. Charts of one row have the same axes; trainings that differ by the seed alone are in one \
             chart. Of each few iterations the minimum and the maximum are drawn. For a training resumed more than once only the last resume is marked."
        }
        @if left_out.settings > 0 {
            p.note {
                "Curves are those of " (plural(trainings.len(), "training")) ", of the first settings; "
                (plural(left_out.settings, "further setting")) " with " (plural(left_out.trainings, "training"))
                " are left out: at most " (SHOWN) " trainings are shown, and each setting with all its seeds."
            }
        }
        (snapshots)
    })
}

/// The charts of losses in their order, each with its losses, those of the main head first.
fn charts() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut titles: Vec<&str> = LOSSES.iter().map(|loss| loss.chart).collect();
    titles.dedup();
    let columns = |title: &str| {
        let mut shown: Vec<_> = LOSSES.iter().filter(|loss| loss.chart == title).collect();
        shown.sort_by_key(|loss| loss.level);
        shown.iter().map(|loss| loss.name).collect()
    };
    titles.into_iter().map(|title| (title, columns(title))).collect()
}

/// One chart per setting, one row per quantity; `None` if no training has any of the columns.
fn row(trainings: &[Training], title: &str, columns: &[&str], are_losses: bool, x: Range) -> Option<Markup> {
    let shown = |seeds: &[&Training]| -> Vec<Line> {
        let line = |tone: usize, name: &str, training: &Training| {
            let points = training.losses.get(name)?.points.clone();
            let named = if seeds.len() == 1 { name.to_owned() } else { format!("{name} of {}", training.name) };
            Some(Line { name: named, points, group: Some((tone, name.to_owned())), ..Line::default() })
        };
        let of_all = |(tone, name): (usize, &&str)| -> Vec<Line> {
            seeds.iter().filter_map(|training| line(tone, name, training)).collect()
        };
        columns.iter().enumerate().flat_map(of_all).collect()
    };
    let settings = settings(trainings);
    let rows: Vec<(String, &[&Training], Vec<Line>)> =
        settings.iter().map(|(setting, seeds)| (titled(setting, seeds), &seeds[..], shown(seeds))).collect();
    let values = rows.iter().flat_map(|(.., lines)| lines).flat_map(|line| line.points.iter().map(|(_, y)| *y));
    let y = if are_losses { Range::of_losses(values)? } else { Range::over(values.chain([0.0]))? };
    if rows.iter().all(|(.., lines)| lines.is_empty()) {
        return None;
    }
    let chart = |title: &str, seeds: &[&Training], lines: &[Line]| {
        let resumed = seeds.iter().filter_map(|training| Some((training.resumed_from? as f64, "resumed")));
        draw(title, lines, x, y, &resumed.collect::<Vec<_>>())
    };
    Some(html! {
        h3 { (title) }
        div.charts {
            @for (title, seeds, lines) in &rows {
                @if lines.is_empty() {
                    figure.none { figcaption { (title) " has none" } }
                } @else {
                    (chart(title, seeds, lines))
                }
            }
        }
        "\n"
    })
}

/// mIoU at the evaluations of all trainings that have some.
fn miou(trainings: &[Training], x: Range) -> Markup {
    let seen: Vec<&Training> = trainings.iter().filter(|training| !training.evaluations.is_empty()).collect();
    let place = |seen: &Evaluated| (seen.iteration as f64, 100.0 * seen.miou);
    let mut lines: Vec<Line> = Vec::new();
    for (tone, (setting, seeds)) in settings(trainings).into_iter().enumerate() {
        let group = Some((tone, titled(setting, &seeds)));
        for training in seeds.iter().filter(|training| !training.evaluations.is_empty()) {
            let points: Vec<(f64, f64)> = training.evaluations.iter().map(place).collect();
            let marked = best(&training.evaluations).as_ref().map(place);
            let (name, dots, group) = (training.name.clone(), points.clone(), group.clone());
            lines.push(Line { name, points, dots, marked, group });
        }
    }
    let values = lines.iter().flat_map(|line| line.points.iter().map(|(_, y)| *y));
    let Some(y) = Range::over(values) else { return html! {} };
    let cells = |seen: Option<&Evaluated>| match seen {
        Some(seen) => [percent(Some(seen.miou)), count(seen.iteration)],
        None => ["–".to_owned(), "–".to_owned()],
    };
    let row = |training: &&Training| -> Vec<Markup> {
        let (last, best) = (training.evaluations.last(), best(&training.evaluations));
        let numbers = [cells(last), cells(best.as_ref())].concat();
        std::iter::once(training.name.render()).chain(numbers.iter().map(|number| number.render())).collect()
    };
    let heads = ["mIoU in %", "last", "at iteration", "best", "at iteration"];
    html! {
        h3 { "mIoU during training" }
        div.beside {
            div { (draw("mIoU in %", &lines, x, y.wider(), &[])) }
            div {
                (table(&heads, &seen.iter().map(row).collect::<Vec<_>>()))
                p.note { "The best of each training is ringed. Choosing it uses labels of the target." }
            }
        }
        "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_that_a_training_does_not_have_are_not_columns_whether_left_out_or_null() {
        let left_out = "{\"iteration\":0,\"seg_main\":4.5}\n{\"iteration\":1,\"seg_main\":2.5}\n";
        let null = left_out.replace('}', ",\"adv_main\":null}");
        for text in [left_out, &null].map(str::as_bytes) {
            let columns = columns(text);
            assert_eq!(columns.keys().collect::<Vec<_>>(), ["seg_main"]);
            assert_eq!(columns["seg_main"].points, [(0.0, 4.5), (1.0, 2.5)]);
            assert_eq!((iterations(text), iterations(b"")), (2, 0));
        }
    }

    #[test]
    fn every_loss_stands_in_one_chart_and_the_main_head_before_the_auxiliary_one() {
        let expected = [
            ("segmentation loss", vec!["seg_main", "seg_aux"]),
            ("adversarial loss of the generator", vec!["adv_main", "adv_aux"]),
            ("loss of the discriminator", vec!["d_main_s", "d_main_t", "d_aux_s", "d_aux_t"]),
            ("entropy loss", vec!["ent_main", "ent_aux"]),
            ("feature distance", vec!["feature_distance"]),
            ("sure pixels", vec!["sure"]),
            ("loss on mixed images", vec!["mixed_main", "mixed_aux"]),
            ("loss on masked images", vec!["masked_main", "masked_aux"]),
        ];
        assert_eq!(charts(), expected);
    }

    #[test]
    fn of_a_long_curve_there_is_what_is_drawn_and_the_mean_of_its_last_tenth() {
        let points: Vec<(f64, f64)> = (0..10_000).map(|i| (f64::from(i), if i < 9000 { 7.0 } else { 1.5 })).collect();
        let curve = Curve::of(&points);
        assert!(curve.points.len() < 1000);
        assert_eq!(curve.end, 1.5);
        assert_eq!(Curve::of(&points[..1]).end, 7.0);
    }

    #[test]
    fn a_setting_is_shown_with_all_its_seeds_or_left_out_and_counted() {
        let names = |settings: &[usize]| -> Vec<String> {
            let seeds = settings.iter().enumerate().flat_map(|(at, seeds)| std::iter::repeat_n(at, *seeds));
            seeds.map(|at| format!("intra[lambda=0.{at}]")).collect()
        };
        let fit = |settings: &[usize]| {
            let names = names(settings);
            let (shown, left_out) = fitting(names.iter().map(String::as_str));
            (shown.len(), left_out)
        };
        assert_eq!(fit(&[]), (0, LeftOut::default()));
        assert_eq!(fit(&[3; 8]), (8, LeftOut::default()));
        assert_eq!(fit(&[1, 3, 3, 3, 3, 3, 3, 3, 3]), (8, LeftOut { settings: 1, trainings: 3 }));
        assert_eq!(fit(&[SHOWN + 6, 3]), (1, LeftOut { settings: 1, trainings: 3 }), "even a large one is whole");
        // Seeds of a setting need not stand together.
        let (shown, _) = fitting(["a", "b", "a", "b"].into_iter());
        assert_eq!(shown, ["a", "b"]);
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
