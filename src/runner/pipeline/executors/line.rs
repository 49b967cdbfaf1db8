//! Lines for a shell with placeholders, such as `qsub -N {name} {script}`.
//!
//! Knows neither a batch system nor what replaces a placeholder. A shell and other programs use braces, too: only a name of
//! small letters directly between two braces is a placeholder, so `${HOME}`, `awk '{ print }'` and `{{end}}` stay as they are.

use std::ops::Range;

use super::super::near::did_you_mean;
use super::super::problem::Problem;
use super::super::read::Reader;
use super::super::source::Span;
use super::super::typed::Typed;
use super::super::words::alternatives;

/// The line with the values of its placeholders, in one pass: braces in a value stay as they are. Nothing is quoted here, so
/// values for a shell must be.
pub fn filled<'v>(line: &str, value: impl Fn(&str) -> Option<&'v str>) -> String {
    let mut text = String::with_capacity(line.len());
    let mut end = 0;
    for (place, name) in placeholders(line) {
        if let Some(value) = value(name) {
            text += &line[end..place.start];
            text += value;
            end = place.end;
        }
    }
    text + &line[end..]
}

/// Reports placeholders that aren't among `known`, and that `needed` is missing.
pub(super) fn check(reader: &mut Reader<'_>, (key, typed): (&str, &Typed), needed: Option<&str>, known: &[&str]) {
    let line = typed.text();
    for (place, name) in placeholders(line) {
        if !known.contains(&name) {
            let span = span_of(reader, typed.span, &line[place.clone()]);
            let braced = known.iter().map(|name| format!("`{{{name}}}`"));
            let expected = format!("expected {}", alternatives(braced));
            let problem = Problem::error(format!("`{key}` has no placeholder `{{{name}}}`")).at(span, expected);
            let other = format!("braces that are not a placeholder: `{{ {name} }}`");
            reader.problems.push(problem.help(did_you_mean(name, known.iter().copied()).unwrap_or(other)));
        }
    }
    if let Some(needed) = needed.filter(|needed| placeholders(line).all(|(_, name)| name != *needed)) {
        let title = format!("`{key}` needs the placeholder `{{{needed}}}`");
        reader.problems.push(Problem::error(title).at(typed.span, "it is missing"));
    }
}

/// The placeholders of a line, in order: where each is, and its name.
fn placeholders(line: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    line.match_indices('{').filter_map(|(start, _)| {
        let (before, inside) = (&line[..start], &line[start + 1..]);
        let length = inside.find(|c: char| !(c.is_ascii_lowercase() || c == '_')).filter(|length| *length > 0)?;
        let after = inside[length..].strip_prefix('}')?;
        let is_of_others = before.ends_with(['$', '{']) || after.starts_with('}');
        (!is_of_others).then(|| (start..start + length + 2, &inside[..length]))
    })
}

/// Where a placeholder was typed: within the string, unless it was typed with escapes.
fn span_of(reader: &Reader<'_>, string: Span, placeholder: &str) -> Span {
    let typed = reader.sources.text(string);
    typed.find(placeholder).map_or(string, |at| {
        let start = string.start + at as u32;
        Span { start, end: start + placeholder.len() as u32, ..string }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_directly_between_braces_is_a_placeholder() {
        let names = |line| placeholders(line).map(|(_, name)| name).collect::<Vec<_>>();
        assert_eq!(names("qsub -N {name} -l mem={memory_mb}mb {script}"), ["name", "memory_mb", "script"]);
        for line in
            ["${jobs}", "awk '{ print $1 }'", "awk '{print $1}'", "{{end}}", "{}", "{a,b}", "{Jobs}", "{jobs", "jobs}"]
        {
            assert_eq!(names(line), [""; 0], "{line}");
        }
    }

    #[test]
    fn braces_in_a_value_are_not_replaced_again_and_those_of_others_stay() {
        let value = |name: &str| match name {
            "script" => Some("'/a/{log}'"),
            "log" => Some("l"),
            _ => None,
        };
        let line = "x {script} {log}{log} ${log} {other} ü {{log}}";
        assert_eq!(filled(line, value), "x '/a/{log}' ll ${log} {other} ü {{log}}");
        assert_eq!(filled("", value), "");
    }
}
