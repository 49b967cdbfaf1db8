//! Names of the tables of a section, and what a name refers to.
//!
//! Knows no section. A name whose table is invalid is known, so that it isn't reported as unknown as well.

use std::collections::HashMap;

use super::near::did_you_mean;
use super::problem::Problem;
use super::typed::Typed;
use crate::by_name::Hashing;

/// The entries of a section by name; `None` for invalid ones, which have been reported.
pub(super) type Names<T> = HashMap<String, Option<T>, Hashing>;

/// Splits what was read into its names and the list of the valid ones.
pub(super) fn known<T, Id>(read: Vec<(String, Option<T>)>, id: impl Fn(usize) -> Id) -> (Names<Id>, Vec<T>) {
    let mut names = HashMap::default();
    let mut list = Vec::new();
    for (name, value) in read {
        names.insert(name, value.is_some().then(|| id(list.len())));
        list.extend(value);
    }
    (names, list)
}

/// Resolves a name. The error is empty if its table is invalid, which has been reported; `is_worth_it`: with a suggestion.
pub(super) fn named<T: Copy>(
    names: &Names<T>,
    typed: &Typed,
    what: &str,
    is_worth_it: bool,
) -> Result<T, Option<Problem>> {
    let name = typed.text();
    if let Some(known) = names.get(name) {
        return known.ok_or(None);
    }
    let near = || did_you_mean(name, names.keys().map(String::as_str));
    let help = is_worth_it.then(|| near().or_else(|| known_names(&format!("{what}s"), names.keys()))).flatten();
    Err(Some(Problem::error(format!("no {what} is called `{name}`")).at(typed.span, "").help_if(help)))
}

/// Lists some of the existing names, if none is near.
pub(super) fn known_names(what: &str, names: impl IntoIterator<Item = impl AsRef<str>>) -> Option<String> {
    const SHOWN: usize = 6;
    let mut names: Vec<String> = names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!names.is_empty()).then(|| format!("{what}: {}{more}", names.join(", ")))
}
