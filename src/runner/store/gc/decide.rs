//! The gc policy: which results to keep and which to delete, as a pure function.
//!
//! Knows results as indices with a stage, a last use and the objects they consist of; no files, no clock. A kept result
//! also keeps what it was made from, because its own key can't be computed without its inputs' results.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::digest::ArtifactDigest;

/// Limits for gc. Without any, only unreferenced objects are deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Delete results unused for longer than this.
    pub older_than: Option<Duration>,
    /// Keep only this many of each stage, the most recently used. With `older_than`: delete those that exceed both.
    pub keep_last: Option<usize>,
    /// Delete the least recently used until at most this many bytes are left.
    pub max_size: Option<u64>,
    /// Include results that are in place in a workspace without an active run.
    pub all: bool,
}

/// Why a result is kept or deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Kept: pinned.
    Pinned,
    /// Kept: an active run found or made it.
    InUse,
    /// Kept: in place in a workspace.
    InPlace,
    /// Kept: another kept result was made from it.
    Needed(usize),
    /// Kept: another experiment uses it.
    Shared,
    /// Kept: within all limits.
    Recent,
    /// Deleted: unused for too long.
    Old,
    /// Deleted: its stage has enough that were used later.
    Superseded,
    /// Deleted: least recently used, and the size limit is exceeded.
    OverSize,
    /// Deleted: by command.
    Asked,
}

impl Verdict {
    /// Whether it is deleted.
    pub fn goes(self) -> bool {
        matches!(self, Verdict::Old | Verdict::Superseded | Verdict::OverSize | Verdict::Asked)
    }
}

/// A result as the policy sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct Candidate {
    /// The pipeline's name and the stage's.
    pub(super) stage: (String, String),
    /// Nanoseconds since the Unix epoch.
    pub(super) last_use_ns: i64,
    /// Why it is kept whatever the limits are.
    pub(super) protection: Option<Verdict>,
    /// The results it was made from.
    pub(super) takes: Vec<ArtifactDigest>,
    /// Its contents.
    pub(super) gives: Vec<ArtifactDigest>,
    /// Its objects, as indices into the list of sizes; each once.
    pub(super) objects: Vec<u32>,
}

/// A verdict for each candidate. `sizes`: of the objects, in bytes. `others`: further bytes that count and are kept.
pub(super) fn decide(all: &[Candidate], sizes: &[u64], others: u64, limits: &Limits, now_ns: i64) -> Vec<Verdict> {
    let mut verdicts = by_age_and_number(all, limits, now_ns);
    let providers = providers(all);
    keep_what_is_needed(all, &providers, &mut verdicts);
    if let Some(max) = limits.max_size {
        shrink(all, &providers, sizes, max.saturating_sub(others), &mut verdicts);
    }
    verdicts
}

/// A verdict for each candidate if all without a protection are to go. Kept is also what a kept one was made from.
pub(super) fn decide_chosen(all: &[Candidate]) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> =
        all.iter().map(|candidate| candidate.protection.unwrap_or(Verdict::Asked)).collect();
    keep_what_is_needed(all, &providers(all), &mut verdicts);
    verdicts
}

/// The results that have these contents.
fn providers(all: &[Candidate]) -> HashMap<ArtifactDigest, Vec<usize>> {
    let mut providers: HashMap<ArtifactDigest, Vec<usize>> = HashMap::new();
    for (i, candidate) in all.iter().enumerate() {
        candidate.gives.iter().for_each(|gives| providers.entry(*gives).or_default().push(i));
    }
    providers
}

fn by_age_and_number(all: &[Candidate], limits: &Limits, now_ns: i64) -> Vec<Verdict> {
    let mut ranks = vec![0; all.len()];
    let mut stages: BTreeMap<&(String, String), Vec<usize>> = BTreeMap::new();
    for (i, candidate) in all.iter().enumerate() {
        stages.entry(&candidate.stage).or_default().push(i);
    }
    for results in stages.values_mut() {
        results.sort_by_key(|i| std::cmp::Reverse(all[*i].last_use_ns));
        for (rank, i) in results.iter().enumerate() {
            ranks[*i] = rank;
        }
    }
    let verdict = |(i, candidate): (usize, &Candidate)| {
        let age = u128::try_from(now_ns.saturating_sub(candidate.last_use_ns)).unwrap_or(0);
        let old = limits.older_than.map(|limit| age > limit.as_nanos());
        let beyond = limits.keep_last.map(|limit| ranks[i] >= limit);
        match (candidate.protection, old, beyond) {
            (Some(protection), ..) => protection,
            (_, Some(true), Some(true) | None) => Verdict::Old,
            (_, None, Some(true)) => Verdict::Superseded,
            _ => Verdict::Recent,
        }
    };
    all.iter().enumerate().map(verdict).collect()
}

/// The results that result `i` was made from. If several have the same output: one that is kept anyway, else the latest
/// used.
fn upstream<'a>(
    i: usize,
    all: &'a [Candidate],
    providers: &'a HashMap<ArtifactDigest, Vec<usize>>,
    verdicts: &'a [Verdict],
) -> impl Iterator<Item = usize> + 'a {
    all[i].takes.iter().filter_map(move |takes| {
        // A stage may output its input unchanged.
        let others = providers.get(takes)?.iter().copied().filter(|other| *other != i);
        others.max_by_key(|other| (!verdicts[*other].goes(), all[*other].last_use_ns))
    })
}

fn keep_what_is_needed(all: &[Candidate], providers: &HashMap<ArtifactDigest, Vec<usize>>, verdicts: &mut [Verdict]) {
    let mut open: Vec<usize> = (0..all.len()).filter(|i| !verdicts[*i].goes()).collect();
    while let Some(i) = open.pop() {
        for upstream in upstream(i, all, providers, verdicts).collect::<Vec<_>>() {
            if verdicts[upstream].goes() {
                verdicts[upstream] = Verdict::Needed(i);
                open.push(upstream);
            }
        }
    }
}

/// Deletes the least recently used until at most `max` bytes are left, or only protected results.
fn shrink(
    all: &[Candidate],
    providers: &HashMap<ArtifactDigest, Vec<usize>>,
    sizes: &[u64],
    max: u64,
    verdicts: &mut [Verdict],
) {
    let mut references = vec![0_u32; sizes.len()];
    for (candidate, _) in all.iter().zip(&*verdicts).filter(|(_, verdict)| !verdict.goes()) {
        candidate.objects.iter().for_each(|object| references[*object as usize] += 1);
    }
    let mut total: u64 = sizes.iter().zip(&references).filter(|(_, count)| **count > 0).map(|(size, _)| size).sum();
    for i in order_of_going(all, providers, verdicts) {
        if total <= max {
            break;
        }
        verdicts[i] = Verdict::OverSize;
        for object in all[i].objects.iter().map(|object| *object as usize) {
            references[object] -= 1;
            total -= if references[object] == 0 { sizes[object] } else { 0 };
        }
    }
}

/// Kept, unprotected results, the least recently used first, and each after all results that were made from it.
fn order_of_going(
    all: &[Candidate],
    providers: &HashMap<ArtifactDigest, Vec<usize>>,
    verdicts: &[Verdict],
) -> Vec<usize> {
    // An ancestor counts as used when its descendant was, and is protected if the descendant is.
    let mut use_ns: Vec<i64> = all.iter().map(|candidate| candidate.last_use_ns).collect();
    let mut is_protected: Vec<bool> = all.iter().map(|candidate| candidate.protection.is_some()).collect();
    let mut made_from: Vec<Vec<usize>> = vec![Vec::new(); all.len()];
    let stays: Vec<usize> = (0..all.len()).filter(|i| !verdicts[*i].goes()).collect();
    for i in &stays {
        upstream(*i, all, providers, verdicts).for_each(|upstream| made_from[upstream].push(*i));
    }
    let mut open = stays.clone();
    while let Some(i) = open.pop() {
        for upstream in upstream(i, all, providers, verdicts) {
            if use_ns[upstream] < use_ns[i] || (is_protected[i] && !is_protected[upstream]) {
                use_ns[upstream] = use_ns[upstream].max(use_ns[i]);
                is_protected[upstream] |= is_protected[i];
                open.push(upstream);
            }
        }
    }
    let mut by_use: Vec<usize> = stays.into_iter().filter(|i| !is_protected[*i]).collect();
    by_use.sort_by_key(|i| use_ns[*i]);
    let (mut order, mut seen) = (Vec::with_capacity(by_use.len()), vec![false; all.len()]);
    for i in by_use {
        let mut open = vec![(i, false)];
        while let Some((i, are_dependents_done)) = open.pop() {
            if are_dependents_done {
                order.push(i);
            } else if !std::mem::replace(&mut seen[i], true) {
                open.push((i, true));
                open.extend(made_from[i].iter().map(|dependent| (*dependent, false)));
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::*;
    use crate::digest::Digest;

    const DAY: i64 = 24 * 3600 * 1_000_000_000;

    fn artifact(name: usize) -> ArtifactDigest {
        ArtifactDigest(Digest::of(&name.to_le_bytes()))
    }

    /// Result `i` of stage `stage`, last used this many days ago, made from others; its only object is `i`.
    fn candidate(i: usize, stage: &str, days: i64, from: &[usize]) -> Candidate {
        Candidate {
            stage: (String::new(), stage.to_owned()),
            last_use_ns: -days * DAY,
            protection: None,
            takes: from.iter().map(|from| artifact(*from)).collect(),
            gives: vec![artifact(i)],
            objects: vec![i as u32],
        }
    }

    fn days(days: u64) -> Option<Duration> {
        Some(Duration::from_secs(days * 24 * 3600))
    }

    #[test]
    fn what_is_used_keeps_what_it_was_made_from_however_old_that_is() {
        let all = [candidate(0, "inter", 90, &[]), candidate(1, "rank", 60, &[0]), candidate(2, "rank", 2, &[0])];
        let limits = Limits { older_than: days(30), ..Limits::default() };
        assert_eq!(decide(&all, &[1; 3], 0, &limits, 0), [Verdict::Needed(2), Verdict::Old, Verdict::Recent]);
    }

    #[test]
    fn with_an_age_and_a_number_only_what_is_beyond_both_goes() {
        let all = [1, 40, 50, 60].map(|days| candidate(days as usize, "a", days, &[]));
        let sizes = [1; 61];
        let number = Limits { keep_last: Some(2), ..Limits::default() };
        let both = Limits { older_than: days(45), ..number };
        let last_two_stay = |gone| [Verdict::Recent, Verdict::Recent, gone, gone];
        assert_eq!(decide(&all, &sizes, 0, &number, 0), last_two_stay(Verdict::Superseded));
        assert_eq!(decide(&all, &sizes, 0, &both, 0), last_two_stay(Verdict::Old));
        assert_eq!(decide(&all, &sizes, 0, &Limits { keep_last: Some(3), ..both }, 0)[2], Verdict::Recent);
        assert_eq!(decide(&all, &sizes, 0, &Limits::default(), 0), [Verdict::Recent; 4]);
    }

    #[test]
    fn the_least_recently_used_go_first_and_shared_objects_count_once() {
        let mut all = [candidate(0, "a", 3, &[]), candidate(1, "b", 2, &[]), candidate(2, "c", 1, &[])];
        all[1].objects = vec![0];
        let limits = |max| Limits { max_size: Some(max), ..Limits::default() };
        let goes = |max| decide(&all, &[10, 0, 10], 5, &limits(max), 0).iter().map(|v| v.goes()).collect::<Vec<_>>();
        assert_eq!(goes(25), [false, false, false]);
        assert_eq!(goes(24), [true, true, false], "the first alone frees nothing");
        assert_eq!(goes(0), [true, true, true]);
    }

    proptest! {
        #[test]
        fn no_limit_takes_what_is_protected_or_what_that_was_made_from(
            shape in proptest::collection::vec((0_i64..100, 0_usize..4, proptest::bool::weighted(0.2), 0_u64..50), 1..24),
            older in proptest::option::of(0_u64..100),
            keep in proptest::option::of(0_usize..4),
            max in proptest::option::of(0_u64..400),
        ) {
            let all: Vec<Candidate> = shape.iter().enumerate().map(|(i, (days, back, protected, _))| {
                // Each is made from the result this many places before it, if there is one.
                let from = if *back > 0 && i >= *back { vec![i - back] } else { Vec::new() };
                let mut candidate = candidate(i, if i % 2 == 0 { "a" } else { "b" }, *days, &from);
                candidate.protection = protected.then_some(Verdict::InPlace);
                candidate
            }).collect();
            let sizes: Vec<u64> = shape.iter().map(|(.., size)| *size).collect();
            let limits = Limits { older_than: older.and_then(days), keep_last: keep, max_size: max, all: false };
            let verdicts = decide(&all, &sizes, 0, &limits, 0);
            for (i, candidate) in all.iter().enumerate() {
                if candidate.protection.is_some() {
                    prop_assert_eq!(verdicts[i], Verdict::InPlace);
                }
                if let (false, Some(from)) = (verdicts[i].goes(), candidate.takes.first()) {
                    let upstream = (0..all.len()).find(|j| all[*j].gives[0] == *from).unwrap();
                    prop_assert!(!verdicts[upstream].goes(), "{i} stays and {upstream} goes");
                }
            }
            let kept: u64 = sizes.iter().zip(&verdicts).filter(|(_, verdict)| !verdict.goes()).map(|(size, _)| size).sum();
            let only_protected_stay = (0..all.len()).all(|i| {
                let needed = |i: usize| (0..all.len()).any(|j| !verdicts[j].goes() && all[j].takes.contains(&artifact(i)));
                verdicts[i].goes() || all[i].protection.is_some() || needed(i)
            });
            prop_assert!(max.is_none_or(|max| kept <= max) || only_protected_stay);
        }
    }
}
