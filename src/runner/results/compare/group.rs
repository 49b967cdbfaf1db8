//! Groups entries into rows: the differing parameters, repetitions, and the gain over a baseline network.
//!
//! Knows no layout.

use std::collections::BTreeMap;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::images::{self, Images};
use super::{Entry, State, Wishes, is_seed};
use crate::results::metrics::Measured;
use intrada_statistics::evidence::{Difference, Pair};
use intrada_statistics::spread::Spread;

/// All rows and the columns.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The parameters in which the entries differ.
    pub parameters: Vec<String>,
    /// The parameters that have one value in all entries that have them, with that value.
    pub same: Vec<(String, String)>,
    /// The baseline network; empty if there is no entry.
    pub against: String,
    /// Whether differences are between last networks; else between best ones, as no last one was evaluated.
    pub compares_last: bool,
    /// The rows.
    pub rows: Vec<Row>,
    /// Whether the IoU of each class was requested.
    pub classes: bool,
    /// Whether [`Comparison::same`] was requested.
    pub all: bool,
}

/// One entry, or several that differ only by their seeds.
#[derive(Clone, Debug)]
pub struct Row {
    /// The pipelines that define it.
    pub pipelines: Vec<String>,
    /// The evaluation.
    pub evaluation: String,
    /// The data set.
    pub dataset: String,
    /// The network.
    pub weights: String,
    /// By [`Comparison::parameters`]; `None` for parameters that its training doesn't have.
    pub values: Vec<Option<String>>,
    /// How many entries were evaluated.
    pub measured: usize,
    /// How many never were, including failed ones.
    pub not_run: usize,
    /// How many failed, themselves or an ancestor.
    pub failed: usize,
    /// How many were evaluated before a change.
    pub stale: usize,
    /// mIoU after the last iteration, 0 to 1.
    pub last: Option<Spread>,
    /// mIoU of the best network, 0 to 1.
    pub best: Option<Spread>,
    /// The difference to [`Comparison::against`].
    pub since: Option<Difference>,
    /// Seconds of training.
    pub seconds: Option<Spread>,
    /// Means over subsets of the classes and the IoU of each class, 0 to 1, of the last network, else of the best.
    pub classes: BTreeMap<String, Spread>,
    /// The images with the largest gains and losses against [`Comparison::against`], if requested.
    pub images: Option<Images>,
}

/// The sort column doesn't exist.
#[derive(Debug, thiserror::Error)]
#[error("there is no column `{column}` to sort by; there are {}", known.join(", "))]
pub struct Unsortable {
    /// The requested column.
    pub column: String,
    /// The existing columns.
    pub known: Vec<String>,
}

/// Compares entries.
///
/// # Errors
/// The column to sort by doesn't exist.
pub fn compare(entries: Vec<Entry>, wishes: &Wishes) -> Result<Comparison, Unsortable> {
    let entries = once_each(entries);
    let against = wishes.against.clone().or_else(|| first_network(&entries)).unwrap_or_default();
    let parameters = differing(&entries, |name| wishes.each_run || !is_seed(name));
    let last = |entry: &Entry| entry.measured().and_then(|result| result.last.as_ref()?.miou);
    let best = |entry: &Entry| entry.measured().and_then(|result| result.best.as_ref()?.miou);
    let compares_last = entries.iter().any(|entry| last(entry).is_some());
    let miou = |entry: &Entry| if compares_last { last(entry) } else { best(entry) };
    let groups = if wishes.each_run {
        entries.iter().map(|entry| vec![entry]).collect()
    } else {
        grouped(&entries, &parameters)
    };
    let row = |group: &Vec<&Entry>| {
        let spread = |of: &dyn Fn(&Entry) -> Option<f64>| {
            Spread::of(&group.iter().filter_map(|entry| of(entry)).collect::<Vec<f64>>())
        };
        let pairs: Vec<(&Entry, &Entry)> =
            group.iter().filter_map(|entry| Some((*entry, base(&entries, entry, &against)?))).collect();
        let count = |is: fn(&State) -> bool| group.iter().filter(|entry| is(&entry.state)).count();
        let first = group[0];
        let mut pipelines: Vec<String> = group.iter().map(|entry| entry.pipeline.clone()).collect();
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
            since: Difference::of(&seeds(&pairs, &miou)),
            seconds: spread(&|entry| entry.seconds),
            classes: if wishes.classes { classes(group) } else { BTreeMap::new() },
            images: images::compare(&pairs).filter(|_| wishes.by_image),
        }
    };
    // The bootstrap of a row takes milliseconds, and a sweep may have a thousand of them.
    let rows = groups.par_iter().map(row).collect();
    let (same, classes, all) = (same(&entries), wishes.classes, wishes.all);
    let comparison = Comparison { parameters, same, against, compares_last, rows, classes, all };
    match &wishes.sort {
        Some(column) => sorted(comparison, column),
        None => Ok(comparison),
    }
}

/// The two networks of each pair, of which both have this mIoU.
fn seeds<'r>(pairs: &[(&'r Entry, &'r Entry)], miou: &dyn Fn(&Entry) -> Option<f64>) -> Vec<Pair<'r>> {
    let network = |entry: &'r Entry| Some((miou(entry)?, &entry.measured()?.pixels));
    pairs.iter().filter_map(|(own, base)| Some(Pair { base: network(base)?, own: network(own)? })).collect()
}

/// A network that several members of an evaluation measure is one entry: the stages before a sweep are shared.
fn once_each(entries: Vec<Entry>) -> Vec<Entry> {
    let mut once: Vec<Entry> = Vec::with_capacity(entries.len());
    let mut places = std::collections::HashMap::new();
    for entry in entries {
        let identity = (
            entry.pipeline.clone(),
            entry.evaluation.clone(),
            entry.dataset.clone(),
            entry.weights.clone(),
            entry.parameters.clone(),
        );
        let place = *places.entry(identity).or_insert(once.len());
        match once.get_mut(place) {
            None => once.push(entry),
            Some(known) if known.state.worth() < entry.state.worth() => *known = entry,
            Some(_) => {}
        }
    }
    once
}

fn first_network(entries: &[Entry]) -> Option<String> {
    let inter = entries.iter().find(|entry| entry.weights == "inter");
    inter.or(entries.first()).map(|entry| entry.weights.clone())
}

/// The parameters with several values, in the order of their first occurrence. A parameter that repeats an earlier one of
/// another stage (`intra.seed` in a sweep that shares `inter.seed`) adds nothing.
fn differing(entries: &[Entry], wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut values: Vec<(&str, Vec<Option<&str>>)> = Vec::new();
    let mut places: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
    for (at, entry) in entries.iter().enumerate() {
        for (name, value) in entry.parameters.iter().filter(|(name, _)| wanted(name)) {
            let place = *places.entry(name).or_insert_with(|| {
                values.push((name, vec![None; entries.len()]));
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

/// The parameters with one value in all entries that have them, in the order of their first occurrence.
fn same(entries: &[Entry]) -> Vec<(String, String)> {
    let mut known: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    let all = || entries.iter().flat_map(|entry| &entry.parameters);
    for (name, value) in all() {
        let first = known.entry(name).or_insert(Some(value));
        *first = first.filter(|first| *first == value);
    }
    all().filter_map(|(name, _)| Some((name.clone(), known.remove(name.as_str())??.to_owned()))).collect()
}

/// Entries that differ only by their seeds. Two pipelines are repetitions of one experiment only if their seeds differ:
/// otherwise they differ in something that no parameter shows.
fn grouped<'r>(entries: &'r [Entry], parameters: &[String]) -> Vec<Vec<&'r Entry>> {
    let values = |entry: &'r Entry| parameters.iter().map(|name| entry.parameter(name)).collect::<Vec<_>>();
    let of_one = |entry: &'r Entry| (&entry.evaluation, &entry.dataset, &entry.weights, values(entry));
    let mut groups = Vec::new();
    for group in by(entries.iter().collect(), of_one) {
        let is_repeated = by(group.clone(), |entry| entry.seeds()).len() < group.len();
        if is_repeated { groups.extend(by(group, |entry| &entry.pipeline)) } else { groups.push(group) }
    }
    groups
}

/// In the order in which the keys are met.
fn by<'r, K: Ord>(entries: Vec<&'r Entry>, key: impl Fn(&'r Entry) -> K) -> Vec<Vec<&'r Entry>> {
    let mut groups: Vec<Vec<&Entry>> = Vec::new();
    let mut places = BTreeMap::new();
    for entry in entries {
        let place = *places.entry(key(entry)).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(entry);
    }
    groups
}

/// The entry of `against` that an entry is compared with: same pipeline and data set, equal common parameters; if there are
/// several, the same evaluation, then the same seeds. None if it is still ambiguous.
fn base<'r>(entries: &'r [Entry], entry: &Entry, against: &str) -> Option<&'r Entry> {
    let agrees = |other: &&Entry| {
        let same = |(name, value): &(String, String)| entry.parameter(name).is_none_or(|own| own == value);
        other.weights == against
            && other.pipeline == entry.pipeline
            && other.dataset == entry.dataset
            && other.parameters.iter().all(same)
    };
    if entry.weights == against {
        return None;
    }
    let mut fitting: Vec<&Entry> = entries.iter().filter(agrees).collect();
    let seeds: Vec<&str> = entry.seeds().into_values().collect();
    let narrower: [&dyn Fn(&Entry) -> bool; 3] =
        [&|other| other.evaluation == entry.evaluation, &|other| other.member == entry.member, &|other| {
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

fn classes(group: &[&Entry]) -> BTreeMap<String, Spread> {
    let mut numbers: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for measured in group
        .iter()
        .filter_map(|entry| entry.measured())
        .filter_map(|result| result.last.as_ref().or(result.best.as_ref()))
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

/// Measures are sorted largest first, all else smallest first; missing values last.
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
