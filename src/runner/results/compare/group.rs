//! Runs become rows: what differs, which runs are repetitions of each other, and what is gained over which network.
//!
//! Knows no layout.

use std::collections::BTreeMap;

use super::images::{self, Images};
use super::{Run, SEEDS_FOR_A_GAIN, State, Wishes, is_seed};
use crate::results::metrics::Measured;

/// All rows, and which columns there are.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The parameters in which the runs differ.
    pub parameters: Vec<String>,
    /// The parameters that have one value in all runs that have them, with that value.
    pub same: Vec<(String, String)>,
    /// The network that the others are compared with; empty where there is no run.
    pub against: String,
    /// Whether differences are between last networks; else between best ones, as no last one was measured.
    pub compares_last: bool,
    /// The rows.
    pub rows: Vec<Row>,
    /// Whether the IoU of each class was wished for.
    pub classes: bool,
    /// Whether [`Comparison::same`] was.
    pub all: bool,
}

/// One run, or some that differ by their seeds alone.
#[derive(Clone, Debug)]
pub struct Row {
    /// The pipelines that it stands in.
    pub pipelines: Vec<String>,
    /// The evaluation.
    pub evaluation: String,
    /// What was measured on.
    pub dataset: String,
    /// The network.
    pub weights: String,
    /// By [`Comparison::parameters`]; `None` for what its training doesn't have.
    pub values: Vec<Option<String>>,
    /// How many runs were measured.
    pub measured: usize,
    /// How many never were, those that failed among them.
    pub not_run: usize,
    /// How many weren't as something failed.
    pub failed: usize,
    /// How many were measured before something changed.
    pub stale: usize,
    /// mIoU after the last iteration, 0 to 1.
    pub last: Option<Spread>,
    /// mIoU of the best network, 0 to 1.
    pub best: Option<Spread>,
    /// Compared with [`Comparison::against`].
    pub since: Option<Difference>,
    /// Seconds of training.
    pub seconds: Option<Spread>,
    /// The means over parts of the classes and the IoU of each class, 0 to 1, of the last network, else of the best.
    pub classes: BTreeMap<String, Spread>,
    /// The images that gained and lost most against [`Comparison::against`], where they were wished for.
    pub images: Option<Images>,
}

/// The mean of some numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation, as estimated from a sample (n − 1); unknown for one number.
    pub sd: Option<f64>,
    /// How many they are.
    pub count: usize,
}

impl Spread {
    /// Of no number, nothing.
    pub fn of(numbers: &[f64]) -> Option<Spread> {
        let count = numbers.len();
        let mean = numbers.iter().sum::<f64>() / count as f64;
        let squares = || numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>();
        let sd = (count > 1).then(|| (squares() / (count - 1) as f64).sqrt());
        (count > 0).then_some(Spread { mean, sd, count })
    }

    /// Of fractions, in %: `45.4`, or `45.4 ± 0.7` where there is a deviation.
    pub fn percent(&self) -> String {
        let sd = self.sd.map(|sd| format!(" ± {:.1}", 100.0 * sd)).unwrap_or_default();
        format!("{:.1}{sd}", 100.0 * self.mean)
    }
}

/// A difference of mIoU, taken run by run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// The mean of the differences.
    pub spread: Spread,
    /// Whether it is a gain: larger than its own standard deviation. Unknown over too few seeds.
    pub gain: Option<bool>,
}

impl Difference {
    fn of(numbers: &[f64]) -> Option<Difference> {
        let spread = Spread::of(numbers)?;
        let gain = spread.sd.filter(|_| spread.count >= SEEDS_FOR_A_GAIN).map(|sd| spread.mean > sd);
        Some(Difference { spread, gain })
    }
}

/// There is no such column to sort by.
#[derive(Debug, thiserror::Error)]
#[error("there is no column `{column}` to sort by; there are {}", known.join(", "))]
pub struct Unsortable {
    /// What was asked for.
    pub column: String,
    /// What there is.
    pub known: Vec<String>,
}

/// Puts runs side by side.
///
/// # Errors
/// The column to sort by doesn't exist.
pub fn compare(runs: Vec<Run>, wishes: &Wishes) -> Result<Comparison, Unsortable> {
    let runs = once_each(runs);
    let against = wishes.against.clone().or_else(|| first_network(&runs)).unwrap_or_default();
    let parameters = differing(&runs, |name| wishes.each_run || !is_seed(name));
    let last = |run: &Run| run.measured().and_then(|result| result.last.as_ref()?.miou);
    let best = |run: &Run| run.measured().and_then(|result| result.best.as_ref()?.miou);
    let compares_last = runs.iter().any(|run| last(run).is_some());
    let miou = |run: &Run| if compares_last { last(run) } else { best(run) };
    let groups = if wishes.each_run { runs.iter().map(|run| vec![run]).collect() } else { grouped(&runs, &parameters) };
    let row = |group: &Vec<&Run>| {
        let spread = |of: &dyn Fn(&Run) -> Option<f64>| {
            Spread::of(&group.iter().filter_map(|run| of(run)).collect::<Vec<f64>>())
        };
        let pairs: Vec<(&Run, &Run)> =
            group.iter().filter_map(|run| Some((*run, base(&runs, run, &against)?))).collect();
        let since = |(run, base): &(&Run, &Run)| Some(miou(run)? - miou(base)?);
        let count = |is: fn(&State) -> bool| group.iter().filter(|run| is(&run.state)).count();
        let first = group[0];
        let mut pipelines: Vec<String> = group.iter().map(|run| run.pipeline.clone()).collect();
        pipelines.dedup();
        Row {
            pipelines,
            evaluation: first.evaluation.clone(),
            dataset: first.dataset.clone(),
            weights: first.weights.clone(),
            values: parameters.iter().map(|name| first.parameter(name).map(str::to_owned)).collect(),
            measured: count(|state| matches!(state, State::Measured(_))),
            not_run: count(|state| matches!(state, State::NotRun | State::Failed)),
            failed: count(|state| matches!(state, State::Failed)),
            stale: count(|state| matches!(state, State::Stale)),
            last: spread(&last),
            best: spread(&best),
            since: Difference::of(&pairs.iter().filter_map(since).collect::<Vec<_>>()),
            seconds: spread(&|run| run.seconds),
            classes: if wishes.classes { classes(group) } else { BTreeMap::new() },
            images: images::compare(&pairs).filter(|_| wishes.by_image),
        }
    };
    let rows = groups.iter().map(row).collect();
    let (same, classes, all) = (same(&runs), wishes.classes, wishes.all);
    let comparison = Comparison { parameters, same, against, compares_last, rows, classes, all };
    match &wishes.sort {
        Some(column) => sorted(comparison, column),
        None => Ok(comparison),
    }
}

/// A network that several members of an evaluation measure is one run: what comes before a sweep is shared.
fn once_each(runs: Vec<Run>) -> Vec<Run> {
    let mut once: Vec<Run> = Vec::with_capacity(runs.len());
    let mut places = std::collections::HashMap::new();
    for run in runs {
        let identity = (
            run.pipeline.clone(),
            run.evaluation.clone(),
            run.dataset.clone(),
            run.weights.clone(),
            run.parameters.clone(),
        );
        let place = *places.entry(identity).or_insert(once.len());
        match once.get_mut(place) {
            None => once.push(run),
            Some(known) if known.state.worth() < run.state.worth() => *known = run,
            Some(_) => {}
        }
    }
    once
}

fn first_network(runs: &[Run]) -> Option<String> {
    let inter = runs.iter().find(|run| run.weights == "inter");
    inter.or(runs.first()).map(|run| run.weights.clone())
}

/// The parameters that have several values, in the order in which they are met. One that repeats an earlier one of another
/// stage (`intra.seed` in a sweep that shares `inter.seed`) says nothing new.
fn differing(runs: &[Run], wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut values: Vec<(&str, Vec<Option<&str>>)> = Vec::new();
    let mut places: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
    for (at, run) in runs.iter().enumerate() {
        for (name, value) in run.parameters.iter().filter(|(name, _)| wanted(name)) {
            let place = *places.entry(name).or_insert_with(|| {
                values.push((name, vec![None; runs.len()]));
                values.len() - 1
            });
            values[place].1[at] = Some(value);
        }
    }
    values.retain(|(_, values)| {
        let mut known = values.iter().flatten();
        let first = known.next();
        known.any(|value| Some(value) != first)
    });
    let key = |name: &str| name.split_once('.').map_or(String::new(), |(_, key)| key.to_owned());
    let repeats = |(name, values): &(&str, Vec<Option<&str>>), (other, others): &(&str, Vec<Option<&str>>)| {
        let pairs = || values.iter().zip(others).filter(|(value, _)| value.is_some());
        key(name) == key(other) && pairs().all(|(value, other)| value == other)
    };
    let is_new = |at: &usize| !values[..*at].iter().any(|earlier| repeats(&values[*at], earlier));
    (0..values.len()).filter(is_new).map(|at| values[at].0.to_owned()).collect()
}

/// The parameters that have one value, whichever run has them, in the order in which they are met.
fn same(runs: &[Run]) -> Vec<(String, String)> {
    let mut known: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    let all = || runs.iter().flat_map(|run| &run.parameters);
    for (name, value) in all() {
        let first = known.entry(name).or_insert(Some(value));
        *first = first.filter(|first| *first == value);
    }
    all().filter_map(|(name, _)| Some((name.clone(), known.remove(name.as_str())??.to_owned()))).collect()
}

/// Runs that differ by their seeds alone. Two pipelines are repetitions of one experiment only if their seeds differ: where
/// they don't, something else does that no parameter shows.
fn grouped<'r>(runs: &'r [Run], parameters: &[String]) -> Vec<Vec<&'r Run>> {
    let values = |run: &'r Run| parameters.iter().map(|name| run.parameter(name)).collect::<Vec<_>>();
    let of_one = |run: &'r Run| (&run.evaluation, &run.dataset, &run.weights, values(run));
    let mut groups = Vec::new();
    for group in by(runs.iter().collect(), of_one) {
        let is_repeated = by(group.clone(), |run| run.seeds()).len() < group.len();
        if is_repeated { groups.extend(by(group, |run| &run.pipeline)) } else { groups.push(group) }
    }
    groups
}

/// In the order in which the keys are met.
fn by<'r, K: Ord>(runs: Vec<&'r Run>, key: impl Fn(&'r Run) -> K) -> Vec<Vec<&'r Run>> {
    let mut groups: Vec<Vec<&Run>> = Vec::new();
    let mut places = BTreeMap::new();
    for run in runs {
        let place = *places.entry(key(run)).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(run);
    }
    groups
}

/// The run of `against` that a run is compared with: of the same pipeline and data set, with the same parameters where both
/// have them, and, where there is a choice, of the same evaluation, then of the same seeds. Nothing where several are left.
fn base<'r>(runs: &'r [Run], run: &Run, against: &str) -> Option<&'r Run> {
    let agrees = |other: &&Run| {
        let same = |(name, value): &(String, String)| run.parameter(name).is_none_or(|own| own == value);
        other.weights == against
            && other.pipeline == run.pipeline
            && other.dataset == run.dataset
            && other.parameters.iter().all(same)
    };
    if run.weights == against {
        return None;
    }
    let mut fitting: Vec<&Run> = runs.iter().filter(agrees).collect();
    let seeds: Vec<&str> = run.seeds().into_values().collect();
    let narrower: [&dyn Fn(&Run) -> bool; 3] =
        [&|other| other.evaluation == run.evaluation, &|other| other.member == run.member, &|other| {
            other.seeds().values().all(|seed| seeds.contains(seed))
        }];
    for is_nearer in narrower {
        if fitting.len() > 1 && fitting.iter().any(|other| is_nearer(other)) {
            fitting.retain(|other| is_nearer(other));
        }
    }
    match fitting.as_slice() {
        [one] => Some(one),
        _ => None,
    }
}

fn classes(group: &[&Run]) -> BTreeMap<String, Spread> {
    let mut numbers: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for measured in
        group.iter().filter_map(|run| run.measured()).filter_map(|result| result.last.as_ref().or(result.best.as_ref()))
    {
        for (name, value) in named(measured) {
            numbers.entry(name).or_default().push(value);
        }
    }
    numbers.into_iter().filter_map(|(name, numbers)| Some((name, Spread::of(&numbers)?))).collect()
}

fn named(measured: &Measured) -> impl Iterator<Item = (String, f64)> + '_ {
    let parts = [("mIoU of 16", measured.miou_16), ("mIoU of 13", measured.miou_13)];
    let parts = parts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    parts.chain(measured.iou.iter().filter_map(|(name, value)| Some((name.clone(), (*value)?))))
}

/// Measures come with the largest first, all else with the smallest; what isn't there comes last.
fn sorted(mut comparison: Comparison, column: &str) -> Result<Comparison, Unsortable> {
    let parameter = comparison.parameters.iter().position(|name| name == column);
    let down = |spread: &Option<Spread>| spread.map_or(f64::INFINITY, |spread| -spread.mean);
    let rows = &mut comparison.rows;
    match (column, parameter) {
        (_, Some(at)) => rows.sort_by(|a, b| {
            let number = |row: &Row| row.values[at].as_ref().and_then(|value| value.parse::<f64>().ok());
            let missing = |row: &Row| row.values[at].is_none();
            missing(a)
                .cmp(&missing(b))
                .then(number(a).unwrap_or(f64::INFINITY).total_cmp(&number(b).unwrap_or(f64::INFINITY)))
                .then_with(|| a.values[at].cmp(&b.values[at]))
        }),
        ("last", _) => rows.sort_by(|a, b| down(&a.last).total_cmp(&down(&b.last))),
        ("best", _) => rows.sort_by(|a, b| down(&a.best).total_cmp(&down(&b.best))),
        ("since", _) => {
            let since = |row: &Row| down(&row.since.map(|since| since.spread));
            rows.sort_by(|a, b| since(a).total_cmp(&since(b)));
        }
        ("time", _) => rows.sort_by(|a, b| down(&b.seconds).total_cmp(&down(&a.seconds))),
        ("weights", _) => rows.sort_by(|a, b| a.weights.cmp(&b.weights)),
        ("pipeline", _) => rows.sort_by(|a, b| a.pipelines.cmp(&b.pipelines)),
        _ => {
            let fixed = ["pipeline", "weights", "last", "best", "since", "time"].map(str::to_owned);
            let known = fixed.into_iter().chain(comparison.parameters).collect();
            return Err(Unsortable { column: column.to_owned(), known });
        }
    }
    Ok(comparison)
}
