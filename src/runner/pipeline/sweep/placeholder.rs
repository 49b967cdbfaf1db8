//! Placeholders `${matrix.<axis>}` in the strings of a command and in paths.
//!
//! Knows no shell. The form can't be a shell variable, whose name has no dot.

use std::rc::Rc;

use super::super::Coordinate;
use super::super::near::did_you_mean;
use super::super::paths::is_file;
use super::super::problem::Problem;
use super::super::read::{Reader, Values};
use super::super::source::Span;
use crate::kind::{Kind, Runs, ValueType};

/// Its start.
pub(in crate::pipeline) const OPEN: &str = "${matrix.";

/// The text before the first placeholder, and for each its axis and the text after it.
type Pieces<'t> = (&'t str, Vec<(&'t str, &'t str)>);

/// Splits a text. `Err`: the name of an unclosed placeholder.
fn pieces(text: &str) -> Result<Pieces<'_>, &str> {
    let mut parts = text.split(OPEN);
    let head = parts.next().unwrap_or_default();
    let closed = |part| str::split_once(part, '}').ok_or(part);
    Ok((head, parts.map(closed).collect::<Result<_, _>>()?))
}

/// The axes that a text names.
pub(super) fn axes_in(text: &str) -> Vec<String> {
    pieces(text).map(|(_, rest)| rest.into_iter().map(|(axis, _)| axis.to_owned()).collect()).unwrap_or_default()
}

/// The member with the values to fill in.
pub(super) struct Filling<'a> {
    pub family: &'a str,
    pub kind: &'static Kind,
    pub coordinates: &'a [Coordinate],
    /// The replacement of each axis.
    pub plain: &'a [&'a str],
}

impl Filling<'_> {
    /// The values with every placeholder filled in; borrowed if there is none.
    pub(super) fn fill(&self, reader: &mut Reader<'_>, values: &Rc<Values>) -> Rc<Values> {
        let may_be_filled = |value_type, text: &str| match value_type {
            _ if self.kind.runs == Runs::Command => true,
            ValueType::Path => true,
            ValueType::StageOrFile(_) | ValueType::StagesOrFiles(_) => is_file(text),
            _ => false,
        };
        let filled = values.with_texts(|value_type, text, span| {
            (text.contains(OPEN) && may_be_filled(value_type, text)).then(|| {
                self.text(text, span).unwrap_or_else(|problem| {
                    reader.problems.push(problem);
                    text.to_owned()
                })
            })
        });
        filled.map_or_else(|| values.clone(), Rc::new)
    }

    fn text(&self, text: &str, span: Span) -> Result<String, Problem> {
        let (head, rest) = pieces(text)
            .map_err(|axis| Problem::error(format!("`{OPEN}{axis}` isn't closed")).at(span, "expected a `}`"))?;
        let mut filled = head.to_owned();
        for (axis, behind) in rest {
            let place = self.coordinates.iter().position(|coordinate| coordinate.axis == axis);
            filled += self.plain[place.ok_or_else(|| self.no_axis(axis, span))?];
            filled += behind;
        }
        Ok(filled)
    }

    fn no_axis(&self, axis: &str, span: Span) -> Problem {
        let axes: Vec<&str> = self.coordinates.iter().map(|coordinate| coordinate.axis.as_str()).collect();
        let known = match axes.as_slice() {
            [] => format!("it is in no sweep: add [stages.{}.matrix]", self.family),
            axes => format!("it has `{}`", axes.join("`, `")),
        };
        let help = did_you_mean(axis, axes.iter().copied()).unwrap_or(known);
        Problem::error(format!("stage `{}` has no axis `{axis}`", self.family)).at(span, "").help(help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_form_is_a_placeholder() {
        assert_eq!(axes_in("a ${matrix.x}-${matrix.y-z} $HOME ${HOME} $matrix.q"), ["x", "y-z"]);
        assert_eq!(pieces("${matrix.x}b"), Ok(("", vec![("x", "b")])));
        assert_eq!(pieces("a${matrix.x"), Err("x"));
    }
}
