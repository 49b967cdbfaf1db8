//! Copies a file's tensors into a network's: which differences are allowed, and what happened to each tensor.
//!
//! The whole file is compared with the whole network before anything is copied, and differences are counted.
use std::collections::{HashMap, HashSet};
use std::path::Path;

use intrada_data::input_file::InputFile;
use intrada_weights::shown::Shown;
use serde::Serialize;
use tch::{Kind, Tensor, no_grad};

use super::{Checkpoint, CheckpointError, Header, Member, Wrapping, read_input, read_member};

/// Which differences between a file and a network are allowed.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'a> {
    /// Prefixes of keys that only the file may have, each with the reason.
    pub skip: &'a [(&'a str, &'static str)],
    /// Prefixes of keys that only the network may have, each with the reason: these tensors keep their values.
    pub keep: &'a [(&'a str, &'static str)],
    /// Whether the file holds weights from any source: then floating-point elements may be converted, as when a network
    /// trained in double precision predicts in single; names may have a prefix; and every element must be finite.
    pub convert: bool,
}

impl Rule<'_> {
    /// Exactly the network's keys, shapes and element types: required to continue a run bit-identically.
    pub const RESUME: Rule<'static> = Rule { skip: &[], keep: &[], convert: false };
    /// Exactly the network's keys and shapes, in any precision; except `num_batches_tracked`, which no network reads and
    /// PyTorch before 0.4.1 didn't write.
    pub const WEIGHTS: Rule<'static> = Rule { skip: &[], keep: &[], convert: true };
}

/// The result of [`restore`], each list sorted by key.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Keys of the tensors that were copied.
    pub loaded: Vec<String>,
    /// Tensors of the file that were skipped.
    pub skipped: Vec<Apart>,
    /// Tensors of the network that kept their values.
    pub kept: Vec<Apart>,
    /// Unused counters of the network that the file lacks.
    pub counters: Vec<Apart>,
    /// Where in the file the network was.
    pub wrapping: Wrapping,
    /// The metadata of the file's header.
    pub header: Header,
}

/// A tensor that only the file or only the network has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Apart {
    /// Its key.
    pub name: String,
    /// Its shape.
    pub shape: Vec<i64>,
    /// Why that is allowed.
    pub why: &'static str,
}

impl Apart {
    /// `tensor`, with the name `name`.
    pub fn new(name: &str, tensor: &Tensor, why: &'static str) -> Apart {
        Apart { name: Shown(name).to_string(), shape: tensor.size(), why }
    }
}

/// Why `num_batches_tracked` may be missing.
const COUNTER: &str = "a counter that nothing reads; PyTorch before 0.4.1 didn't write it";

fn is_counter(key: &str) -> bool {
    key.ends_with(".num_batches_tracked")
}

/// The names that a weights file must have.
pub fn required(live: &[(String, Tensor)], rule: Rule) -> Vec<String> {
    let may_lack = |key: &str| is_counter(key) || rule.keep.iter().any(|(prefix, _)| key.starts_with(prefix));
    live.iter().map(|(key, _)| key).filter(|key| !may_lack(key)).cloned().collect()
}

/// Copies a file's tensors into live ones by name, in place, after checking all of them: after an error none has changed.
///
/// # Errors
/// The file can't be read, or differs from the live tensors in a way that `rule` doesn't allow.
pub fn restore(file: &InputFile, live: &[(String, Tensor)], rule: Rule) -> Result<Restored, CheckpointError> {
    restore_member(file, live, rule, Member::Student)
}

/// The same from a file that may hold several networks.
///
/// # Errors
/// Those of [`restore`]; the file has no such member.
pub fn restore_member(
    file: &InputFile,
    live: &[(String, Tensor)],
    rule: Rule,
    member: Member,
) -> Result<Restored, CheckpointError> {
    let stored = if rule.convert { read_member(file, &[required(live, rule)], member)? } else { read_input(file)? };
    copy_into(file.path(), &stored, live, rule)
}

/// The second half of [`restore`], for tensors already read; `path` is for messages.
///
/// # Errors
/// As [`restore`].
pub fn copy_into(
    path: &Path,
    stored: &Checkpoint,
    live: &[(String, Tensor)],
    rule: Rule,
) -> Result<Restored, CheckpointError> {
    let tensors = &stored.tensors;
    let mut restored =
        Restored { wrapping: stored.wrapping.clone(), header: stored.header.clone(), ..Restored::default() };
    let mut pairs = Vec::new();
    let mut missing = Vec::new();
    for (key, to) in live {
        match (tensors.get(key), why(key, rule.keep)) {
            (Some(from), _) => pairs.push(Pair { key, from, to }),
            (None, _) if rule.convert && is_counter(key) => restored.counters.push(Apart::new(key, to, COUNTER)),
            (None, Some(why)) => restored.kept.push(Apart::new(key, to, why)),
            (None, None) => missing.push((key, to)),
        }
    }
    if let [(key, to), others @ ..] = &missing[..] {
        let (path, key) = (path.to_owned(), (*key).clone());
        return Err(CheckpointError::Missing { path, key, expected: to.size(), others: others.len() });
    }
    check(path, &pairs, rule)?;
    restored.skipped = skipped(path, tensors, live, rule)?;
    restored.loaded = pairs.iter().map(|pair| pair.key.to_owned()).collect();
    restored.loaded.sort();
    restored.kept.sort();
    restored.counters.sort();
    no_grad(|| pairs.iter().for_each(|pair| pair.to.shallow_clone().copy_(pair.from)));
    Ok(restored)
}

fn why(key: &str, prefixes: &[(&str, &'static str)]) -> Option<&'static str> {
    prefixes.iter().find(|(prefix, _)| key.starts_with(prefix)).map(|(_, why)| *why)
}

/// Tensors that only the file has.
fn skipped(
    path: &Path,
    tensors: &HashMap<String, Tensor>,
    live: &[(String, Tensor)],
    rule: Rule,
) -> Result<Vec<Apart>, CheckpointError> {
    let known: HashSet<&str> = live.iter().map(|(key, _)| key.as_str()).collect();
    let mut unknown: Vec<(&String, &Tensor)> =
        tensors.iter().filter(|(key, _)| !known.contains(key.as_str())).collect();
    unknown.sort_by_key(|(key, _)| *key);
    let reason = |key: &str| if rule.convert && is_counter(key) { Some(COUNTER) } else { why(key, rule.skip) };
    let foreign: Vec<_> = unknown.iter().filter(|(key, _)| reason(key).is_none()).collect();
    if let [(key, tensor), others @ ..] = &foreign[..] {
        let (path, key) = (path.to_owned(), (*key).clone());
        return Err(CheckpointError::Unexpected { path, key, found: tensor.size(), others: others.len() });
    }
    Ok(unknown.into_iter().filter_map(|(key, tensor)| Some(Apart::new(key, tensor, reason(key)?))).collect())
}

/// A tensor of a file and the network's tensor that it is copied to.
struct Pair<'a> {
    key: &'a str,
    from: &'a Tensor,
    to: &'a Tensor,
}

/// Checks shapes, element types, and that every element is finite.
fn check(path: &Path, pairs: &[Pair], rule: Rule) -> Result<(), CheckpointError> {
    let path = || path.to_owned();
    let other_shape = |pair: &&Pair| pair.from.size() != pair.to.size();
    if let Some(first) = pairs.iter().find(other_shape) {
        let (key, expected, found) = (first.key.to_owned(), first.to.size(), first.from.size());
        let others = pairs.iter().filter(other_shape).count() - 1;
        return Err(CheckpointError::Shape { path: path(), key, expected, found, others });
    }
    let convertible = |pair: &Pair| rule.convert && is_floating(pair.from.kind()) && is_floating(pair.to.kind());
    if let Some(Pair { key, from, to }) = pairs.iter().find(|p| p.from.kind() != p.to.kind() && !convertible(p)) {
        let (key, expected, found) = ((*key).to_owned(), to.kind(), from.kind());
        return Err(CheckpointError::ElementKind { path: path(), key, expected, found });
    }
    if !rule.convert {
        return Ok(()); // a run's own checkpoint was checked when it was written
    }
    let infinite: Vec<(&Pair, i64)> =
        pairs.iter().map(|pair| (pair, not_finite(pair))).filter(|(_, n)| *n > 0).collect();
    match infinite[..] {
        [] => Ok(()),
        [(Pair { key, from, .. }, elements), ref others @ ..] => Err(CheckpointError::NotFinite {
            path: path(),
            key: (*key).to_owned(),
            elements,
            total: from.numel() as i64,
            others: others.len(),
        }),
    }
}

/// Elements that are NaN or infinite in the network's type.
fn not_finite(pair: &Pair) -> i64 {
    if !is_floating(pair.to.kind()) {
        return 0;
    }
    let finite = no_grad(|| pair.from.to_kind(pair.to.kind()).isfinite().sum(Kind::Int64).int64_value(&[]));
    pair.from.numel() as i64 - finite
}

fn is_floating(kind: Kind) -> bool {
    matches!(kind, Kind::Double | Kind::Float | Kind::Half | Kind::BFloat16)
}
