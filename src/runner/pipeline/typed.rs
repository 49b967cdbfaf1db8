//! A value as it stands in the file: what it is, and where.
//!
//! Knows no key. What a key takes has been checked by whoever makes one.

use super::source::Span;
use super::value::Value;

/// A value as it was typed, checked against what its key takes.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub value: Value,
    /// The value's place.
    pub span: Span,
    /// The places of the elements, if it is a list.
    pub elements: Vec<Span>,
}

impl Typed {
    /// The value, if it is a string.
    pub(super) fn text(&self) -> &str {
        self.value.as_text().unwrap_or_default()
    }

    /// The strings of a list, or the one string, each with its place.
    pub(super) fn texts(&self) -> Vec<(&str, Span)> {
        match &self.value {
            Value::Text(text) => vec![(text, self.span)],
            value => value.elements().iter().filter_map(Value::as_text).zip(self.elements.iter().copied()).collect(),
        }
    }
}
