//! Reads one table of the file according to its keys.
//!
//! Knows of a key only its [`KeySpec`]; names of stages, data sets and models stay names. Each error is reported once: an
//! invalid value counts as present, so that it isn't reported as missing too.

use std::collections::HashMap;
use std::time::Duration;

use super::homes::home;
use super::measure;
use super::near::{WORTH, nearest};
use super::problem::Problem;
use super::raw::{Entry, Table};
use super::read_value::read;
use super::source::{Sources, Span};
use super::typed::Typed;
use super::value::Value;
use super::words::{alternatives, written};
use crate::by_name::Hashing;
use crate::kind::{KeySpec, Keys, Literal, Only, Presence, ValueType, all};

/// The values of one table. A key is absent, invalid (and reported), or has a value.
#[derive(Clone, Debug)]
pub(super) struct Values {
    keys: Keys,
    typed: HashMap<&'static str, Option<Typed>, Hashing>,
    /// The name in the table's header: the position of missing keys.
    pub header: Span,
}

impl Values {
    pub(super) fn get(&self, key: &str) -> Option<&Typed> {
        self.typed.get(key)?.as_ref()
    }

    /// The values with the texts that `change` replaces; `None` if it replaces none. It is called for each string and each
    /// string of a list, with the type of its key and its position.
    pub(super) fn with_texts(&self, mut change: impl FnMut(ValueType, &str, Span) -> Option<String>) -> Option<Values> {
        let mut changed: Option<Values> = None;
        for key in all(self.keys) {
            let Some(typed) = self.get(key.name) else { continue };
            let mut texts: Vec<(usize, String)> = Vec::new();
            for (at, (text, span)) in typed.texts().into_iter().enumerate() {
                texts.extend(change(key.value_type, text, span).map(|text| (at, text)));
            }
            for (at, text) in texts {
                let values = changed.get_or_insert_with(|| self.clone());
                let typed = values.typed.get_mut(key.name).and_then(Option::as_mut).expect("it was just read");
                match &mut typed.value {
                    Value::List(elements) => elements[at] = Value::Text(text),
                    value => *value = Value::Text(text),
                }
            }
        }
        changed
    }

    /// Whether the key is present, valid or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.typed.contains_key(key)
    }

    /// The value, or the key's default; `None` if it is invalid, doesn't apply, or is absent without default.
    pub(super) fn value(&self, name: &str) -> Option<Value> {
        let key = all(self.keys).find(|key| key.name == name)?;
        if self.applies(key.only) != Some(true) {
            return None;
        }
        match self.typed.get(name) {
            Some(typed) => typed.as_ref().map(|typed| typed.value.clone()),
            None => self.default(key).map(Value::from),
        }
    }

    /// The default of a key that is absent.
    pub(super) fn default(&self, key: &KeySpec) -> Option<Literal> {
        key.default_where(|only| self.applies(Some(only)) == Some(true))
    }

    /// The same for an integer.
    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        self.value(name)?.as_integer()
    }

    /// The same for a duration.
    pub(super) fn duration(&self, name: &str) -> Option<Duration> {
        let seconds = match self.value(name)? {
            Value::Number(seconds) => seconds,
            // A default is written as in the file.
            value => measure::seconds(value.as_text()?)?,
        };
        Some(Duration::from_secs_f64(seconds))
    }

    /// Its position; that of the table's name if it is absent.
    pub(super) fn span(&self, key: &str) -> Span {
        self.get(key).map_or(self.header, |typed| typed.span)
    }

    /// Whether a condition holds; `None` if its key is invalid.
    pub(super) fn applies(&self, only: Option<Only>) -> Option<bool> {
        let Some(only) = only else { return Some(true) };
        let holds = only.alternatives().map(|only| self.holds(only));
        holds.reduce(|one, other| match (one, other) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        })?
    }

    /// The same of a condition without its alternatives.
    fn holds(&self, only: Only) -> Option<bool> {
        if only.is.is_empty() {
            return Some(self.has(only.key));
        }
        // A key that doesn't apply, and none that is invalid, has no value.
        let key = all(self.keys).find(|key| key.name == only.key)?;
        match self.value(only.key) {
            Some(value) => Some(value.is_among(only.is)),
            None if self.applies(key.only) == Some(false) => Some(false),
            None => None,
        }
    }
}

/// Reads tables and collects their errors.
pub(super) struct Reader<'a> {
    pub sources: &'a Sources,
    pub problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    /// Reads a table. `noun` is its name with article, as in "a ranking stage"; `beside` are keys that the caller reads.
    pub(super) fn table(&mut self, table: &Table, keys: Keys, beside: &[&str], noun: &str, header: Span) -> Values {
        let mut values = Values { keys, typed: HashMap::default(), header };
        for entry in &table.0 {
            if let Some(key) = all(keys).find(|key| key.name == entry.key) {
                let typed = read(key, &entry.node).map_err(|problem| self.problems.push(*problem)).ok();
                values.typed.insert(key.name, typed);
            } else if !beside.contains(&&*entry.key) {
                self.unknown_key(entry, all(keys).map(|key| key.name).chain(beside.iter().copied()), noun);
            }
        }
        self.presence(&mut values, noun);
        values
    }

    /// Reads these keys of a table and ignores others.
    pub(super) fn part(&mut self, table: &Table, keys: Keys, header: Span) -> Values {
        let mut values = Values { keys, typed: HashMap::default(), header };
        for key in all(keys) {
            if let Some(entry) = table.get(key.name) {
                let typed = read(key, &entry.node).map_err(|problem| self.problems.push(*problem)).ok();
                values.typed.insert(key.name, typed);
            }
        }
        values
    }

    pub(super) fn unknown_key<'n>(&mut self, entry: &Entry, names: impl Iterator<Item = &'n str>, noun: &str) {
        let is_worth_it = self.problems.len() < WORTH;
        let near = is_worth_it.then(|| nearest(&entry.key, names)).flatten();
        let meant = near.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        let title = if entry.key_span.is_argument() {
            let argument = &self.sources.of(entry.key_span).text;
            format!("--set {argument}: no such key in {noun}{meant}")
        } else {
            format!("unknown key `{}` in {noun}{meant}", entry.key)
        };
        let home = is_worth_it.then(|| home(&entry.key)).flatten();
        self.problems.push(Problem::error(title).at(entry.key_span, "").help_if(home));
    }

    /// Reports missing keys, and drops keys that don't apply.
    fn presence(&mut self, values: &mut Values, noun: &str) {
        for key in all(values.keys) {
            let applies = values.applies(key.only);
            if let (Some(false), Some(only)) = (applies, key.only) {
                if let Some(Some(typed)) = values.typed.remove(key.name) {
                    let needs = only.alternatives().map(|only| {
                        let values = || alternatives(only.is.iter().map(|value| written(value)));
                        let to_be = if only.is.is_empty() { String::new() } else { format!(" to be {}", values()) };
                        format!("`{}`{to_be}", only.key)
                    });
                    let needs: Vec<String> = needs.collect();
                    let title = format!("`{}` has no effect here: it needs {}", key.name, needs.join(", or "));
                    self.problems.push(Problem::warning(title).at(typed.span, ""));
                }
            } else if applies == Some(true) && key.presence == Presence::Required && !values.has(key.name) {
                let title = format!("{noun} needs `{}`", key.name);
                let label = format!("`{}` is missing", key.name);
                self.problems
                    .push(Problem::error(title).at(values.header, label).note(format!("{}: {}", key.name, key.doc)));
            }
        }
    }
}
