//! A value of the file with its position.
//!
//! Knows no key. The creator has checked the value against its key.

use super::source::Span;
use super::value::Value;

/// A value of the file, checked against its key.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub value: Value,
    /// The value's position.
    pub span: Span,
    /// The positions of the elements, if it is a list.
    pub elements: Vec<Span>,
}

impl Typed {
    /// The value, if it is a string.
    pub(super) fn text(&self) -> &str {
        self.value.as_text().unwrap_or_default()
    }

    /// The strings of a list, or the one string, each with its position.
    pub(super) fn texts(&self) -> Vec<(&str, Span)> {
        match &self.value {
            Value::Text(text) => vec![(text, self.span)],
            value => value.elements().iter().filter_map(Value::as_text).zip(self.elements.iter().copied()).collect(),
        }
    }
}
