//! Why a stage runs: the fields of its manifest that differ from an earlier one's.
//!
//! Knows no stage and no cache: compares two manifests, in the order of the fields that the key hashes. For a data set or
//! folder it names the differing files if both listings are available.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::manifest::{Field, Ingredient, Manifest};
use crate::inputs::listing::Files;

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name for people: `lambda`, `revision`, ``weights (model of `inter`)``.
    pub field: String,
    /// Before; none if the field is new.
    pub old: Option<String>,
    /// Now; none if the field is gone.
    pub new: Option<String>,
    /// For an input made of files: the differing files.
    pub files: Vec<FileDifference>,
}

/// A difference between two listings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileDifference {
    /// It is new.
    Added(String),
    /// It is gone.
    Removed(String),
    /// Another content: name, short digest before, short digest now.
    Changed(String, String, String),
    /// No file differs, but something of the data set's description: its name, before, now.
    Option(String, String, String),
    /// No file differs: the difference isn't part of a file listing.
    BesideContent,
}

/// The differences between `old` and `new`, field by field.
///
/// `files` looks up an input's files: first for the old manifest's role, then for the new one's.
pub fn differences(
    old: &Manifest,
    new: &Manifest,
    files: impl Fn(&Manifest, &str) -> Option<Files>,
) -> Vec<Difference> {
    let by_name = |manifest: &Manifest| -> BTreeMap<String, String> {
        manifest.fields().into_iter().map(|Field { name, value }| (name, value)).collect()
    };
    let (before, after) = (by_name(old), by_name(new));
    let mut names: Vec<String> = new.fields().into_iter().map(|field| field.name).collect();
    names.extend(old.fields().into_iter().map(|field| field.name).filter(|name| !after.contains_key(name)));
    names
        .into_iter()
        .filter(|name| before.get(name) != after.get(name))
        .map(|name| {
            let (group, short) = name.split_once('/').unwrap_or(("", &name));
            let shown = |value: Option<&String>| value.map(|value| shorten(group, value));
            let before_of = |role: &str| old.inputs.get(role).map(|input| &**input);
            let after_of = |role: &str| new.inputs.get(role).map(|input| &**input);
            let changed_files = match (group, files(old, short), files(new, short)) {
                ("inputs", Some(old), Some(new)) if old == new => beside_content(before_of(short), after_of(short)),
                ("inputs", Some(old), Some(new)) => file_differences(&old, &new),
                _ => Vec::new(),
            };
            let input = new.inputs.get(short).or_else(|| old.inputs.get(short)).filter(|_| group == "inputs");
            let field = match input {
                Some(input) => format!("{short} ({})", input.what),
                None => called(&name).to_owned(),
            };
            Difference { field, old: shown(before.get(&name)), new: shown(after.get(&name)), files: changed_files }
        })
        .collect()
}

/// The equal fields of two manifests, with their names for people, in the order in which the key hashes them.
pub fn agreements(old: &Manifest, new: &Manifest) -> Vec<String> {
    let before = old.fields();
    let same = new.fields().into_iter().filter(|field| before.contains(field));
    same.map(|field| called(&field.name).to_owned()).collect()
}

/// The names of the fields in which two manifests differ.
pub fn disagreements(old: &Manifest, new: &Manifest) -> Vec<String> {
    let (before, after) = (old.fields(), new.fields());
    let names = |one: &[Field], other: &[Field]| -> Vec<String> {
        one.iter().filter(|field| !other.contains(field)).map(|field| field.name.clone()).collect()
    };
    let mut all = names(&after, &before);
    all.extend(names(&before, &after).into_iter().filter(|name| !all.contains(name)).collect::<Vec<_>>());
    all.iter().map(|name| called(name).to_owned()).collect()
}

fn called(name: &str) -> &str {
    match name {
        "kind/name" => "kind",
        name => name.split_once('/').map_or(name, |(_, short)| short),
    }
}

/// Which files were added, removed or changed, by name.
pub fn file_differences(old: &Files, new: &Files) -> Vec<FileDifference> {
    let mut all: Vec<FileDifference> = Vec::new();
    for (name, now) in new {
        match old.get(name) {
            None => all.push(FileDifference::Added(name.clone())),
            Some(before) if before != now => {
                all.push(FileDifference::Changed(name.clone(), before.clone(), now.clone()));
            }
            Some(_) => {}
        }
    }
    all.extend(old.keys().filter(|name| !new.contains_key(*name)).map(|name| FileDifference::Removed(name.clone())));
    all
}

fn shorten(group: &str, value: &str) -> String {
    match group {
        "inputs" => value.chars().take(6).collect(),
        _ if value.is_empty() => "declared".to_owned(),
        _ => value.to_owned(),
    }
}

/// The differences of an input with unchanged files.
fn beside_content(old: Option<&Ingredient>, new: Option<&Ingredient>) -> Vec<FileDifference> {
    let (Some(old), Some(new)) = (old, new) else { return vec![FileDifference::BesideContent] };
    let names: BTreeSet<&String> = old.options.keys().chain(new.options.keys()).collect();
    // A record of an earlier version doesn't have them.
    let is_known = !old.options.is_empty();
    let shown = |options: &BTreeMap<String, String>, name| options.get(name).cloned().unwrap_or_else(|| "–".to_owned());
    let differ = names.into_iter().filter(|name| is_known && old.options.get(*name) != new.options.get(*name));
    let found: Vec<FileDifference> = differ
        .map(|name| FileDifference::Option(name.clone(), shown(&old.options, name), shown(&new.options, name)))
        .collect();
    if found.is_empty() { vec![FileDifference::BesideContent] } else { found }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "{} {old} → {new}", self.field),
            (None, Some(new)) => write!(f, "{} {new} is new", self.field),
            (Some(old), None) => write!(f, "{} {old} is gone", self.field),
            (None, None) => write!(f, "{}", self.field),
        }
    }
}

impl fmt::Display for FileDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileDifference::Added(name) => write!(f, "+ {name}"),
            FileDifference::Removed(name) => write!(f, "- {name}"),
            FileDifference::Changed(name, old, new) => write!(f, "~ {name}  {old} → {new}"),
            FileDifference::Option(name, old, new) => write!(f, "{name}: {old} → {new}"),
            FileDifference::BesideContent => {
                write!(f, "all files are unchanged; an executable bit, an empty folder or a link differs")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::tests::{ingredient, ranking};
    use super::*;

    #[test]
    fn equal_keys_have_no_differences_and_unequal_keys_have_some() {
        assert_eq!(differences(&ranking(), &ranking(), |_, _| None), []);
        let mut other = ranking();
        other.parameters.insert("lambda".into(), "0.6".into());
        let found = differences(&ranking(), &other, |_, _| None);
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), ["lambda 0.67 → 0.6"]);
    }

    #[test]
    fn fields_agree_or_disagree() {
        let mut other = ranking();
        other.parameters.insert("lambda".into(), "0.6".into());
        other.outputs.push("ranking".into());
        assert_eq!(disagreements(&ranking(), &other), ["lambda", "ranking"]);
        let agreed = agreements(&ranking(), &other);
        assert_eq!(agreed, ["kind", "revision", "normalize", "scores", "easy", "hard", "TZ"]);
    }

    #[test]
    fn what_no_file_shows_is_said_to_be_beside_their_content() {
        let mut other = ranking();
        other.inputs.insert("scores".into(), ingredient("scores of `entropy`", b"other"));
        let found = differences(&ranking(), &other, |_, _| Some([("a".to_owned(), "111".to_owned())].into()));
        assert_eq!(found[0].files, [FileDifference::BesideContent]);
    }

    #[test]
    fn fields_that_come_and_go_are_said() {
        let mut other = ranking();
        other.environment.insert("TZ".into(), Some("UTC".into()));
        other.outputs.push("ranking".into());
        let found = differences(&ranking(), &other, |_, _| None);
        let said: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(said, ["ranking declared is new", "TZ UTC is new", "TZ declared is gone"]);
    }

    #[test]
    fn an_input_is_explained_down_to_its_files() {
        let mut other = ranking();
        other.inputs.insert("scores".into(), ingredient("scores of `entropy`", b"other"));
        let files = |manifest: &Manifest, _: &str| -> Option<Files> {
            let entry = |name: &str, digest: &str| (name.to_owned(), digest.to_owned());
            Some(if *manifest == ranking() {
                [entry("a", "111"), entry("b", "222")].into()
            } else {
                [entry("b", "333"), entry("c", "444")].into()
            })
        };
        let found = differences(&ranking(), &other, files);
        assert_eq!(found[0].field, "scores (scores of `entropy`)");
        let said: Vec<_> = found[0].files.iter().map(ToString::to_string).collect();
        assert_eq!(said, ["~ b  222 → 333", "+ c", "- a"]);
    }
}
