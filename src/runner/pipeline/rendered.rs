//! Renders errors and warnings in the layout of rustc, which people and editors know.
//!
//! Knows no rule of the file. The input may be hostile, endless, or have twenty thousand errors: control characters are
//! replaced, long lines are cut, and only the first errors are shown.

use std::borrow::Cow;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use super::problem::{Label, Problem, Severity};
use super::source::{Sources, Span};
use crate::shown;

/// Maximum number of errors shown, and of warnings.
const SHOWN: usize = 50;
/// Maximum characters of a sentence: a path has up to 4096, a name less than a tenth of that.
const SENTENCE: usize = 600;
/// Bytes of a line that are shown on either side of a position.
const AROUND: usize = 2000;
/// Maximum bytes between two positions that are shown as one snippet.
const TOGETHER: usize = 64 << 10;

/// Plain, or with terminal escape codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Text only.
    Plain,
    /// In colour.
    Coloured,
}

/// All of them, each followed by an empty line, then their number.
pub(super) fn screen(problems: &[Problem], sources: Option<&Sources>, look: Look) -> String {
    let renderer = match look {
        Look::Plain => Renderer::plain(),
        Look::Coloured => Renderer::styled(),
    };
    let (mut errors, mut warnings) = (0, 0);
    let mut text = String::new();
    for problem in problems {
        let seen = if problem.is_error() { &mut errors } else { &mut warnings };
        *seen += 1;
        if *seen <= SHOWN {
            text += &shown::painted(&renderer.render(&[group(problem, sources)]));
            text += "\n\n";
        }
    }
    text += &more(errors, "error");
    text += &more(warnings, "warning");
    if let (Some(sources), 1..) = (sources, errors) {
        let noun = if errors == 1 { "error" } else { "errors" };
        text += &format!("{errors} {noun} in {}, nothing was run\n", sentence(&sources.of(Span::FILE).name));
    }
    text
}

fn more(all: usize, noun: &str) -> String {
    match all.saturating_sub(SHOWN) {
        0 => String::new(),
        1 => format!("and 1 more {noun}\n\n"),
        more => format!("and {more} more {noun}s\n\n"),
    }
}

fn group<'a>(problem: &'a Problem, sources: Option<&'a Sources>) -> Group<'a> {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(sentence(&problem.title)));
    if let Some(sources) = sources {
        group = group.elements(pieces(&problem.labels, sources));
    }
    let note = |text| Level::NOTE.message(sentence(text));
    let help = |text| Level::HELP.message(sentence(text));
    group.elements(problem.notes.iter().map(|text| note(text))).elements(problem.help.iter().map(|text| help(text)))
}

/// One line of limited length.
fn sentence(text: &str) -> Cow<'_, str> {
    match shown::brief(text, SENTENCE) {
        Cow::Borrowed(text) => shown::line(text),
        Cow::Owned(text) => Cow::Owned(shown::line(&text).into_owned()),
    }
}

/// One snippet for all positions near each other, in the order of the labels.
fn pieces<'a>(labels: &'a [Label], sources: &'a Sources) -> Vec<Element<'a>> {
    let mut pieces: Vec<Vec<&Label>> = Vec::new();
    for label in labels {
        let is_near = |piece: &&mut Vec<&Label>| {
            let near = |other: &&Label| {
                let between = other.span.start.abs_diff(label.span.start) as usize;
                other.span.source == label.span.source && between <= TOGETHER
            };
            piece.iter().all(near)
        };
        match pieces.iter_mut().find(is_near) {
            Some(piece) => piece.push(label),
            None => pieces.push(vec![label]),
        }
    }
    pieces.into_iter().map(|labels| piece(&labels, sources)).collect()
}

/// The lines from the first to the last label; reads no other lines of a large file.
fn piece<'a>(labels: &[&'a Label], sources: &'a Sources) -> Element<'a> {
    let first = labels.iter().min_by_key(|label| label.span.start).expect("a piece is made of a label at least");
    let last = labels.iter().map(|label| label.span.start as usize).max().unwrap_or_default();
    let source = sources.of(first.span);
    let (line, column) = sources.position(first.span);
    let text = &source.text;
    let from = text.floor_char_boundary(first.span.start as usize);
    let start = text[..from].rfind('\n').map_or(0, |at| at + 1);
    let name = sentence(&source.name);
    if from - start > AROUND {
        // So far to the right, the start of the line can't be shown.
        return Origin::path(name).line(line).char_column(column).into();
    }
    let last = text.floor_char_boundary(last);
    let most = text.floor_char_boundary(last.saturating_add(AROUND));
    let end = text[last..most].find('\n').map_or(most, |at| last + at);
    let end = end.max(ends_within(labels, text, most));
    let annotations = labels.iter().map(|label| {
        let kind = if label.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        let at = |place: u32| text.floor_char_boundary((place as usize).clamp(start, end)) - start;
        let label_text = (!label.text.is_empty()).then(|| sentence(&label.text));
        kind.span(at(label.span.start)..at(label.span.end)).label(label_text)
    });
    Snippet::source(of_equal_length(&text[start..end])).path(name).line_start(line).annotations(annotations).into()
}

/// The end of the last label's line, if it is near.
fn ends_within(labels: &[&Label], text: &str, most: usize) -> usize {
    let end = labels.iter().map(|label| label.span.end as usize).max().unwrap_or_default();
    let end = text.floor_char_boundary(end.min(most));
    text[end..most.max(end)].find('\n').map_or(most.max(end), |at| end + at)
}

/// Replaces control characters by as many bytes, so that positions stay valid; the renderer itself replaces others. It would
/// show a carriage return as a symbol.
fn of_equal_length(text: &str) -> String {
    let replaced = |c: char| match c {
        '\r' => " ",
        '\u{80}'..='\u{9f}' => "??",
        '\u{2028}' | '\u{2029}' => "\u{fffd}",
        _ => "",
    };
    if !text.contains(|c| !replaced(c).is_empty()) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match replaced(c) {
            "" => out.push(c),
            other => out += other,
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::source::Source;
    use super::*;

    fn sources(text: &str) -> Sources {
        Sources::new(vec![Source { name: "p.toml".to_owned(), text: text.to_owned() }])
    }

    fn span(start: usize, end: usize) -> Span {
        Span { source: 0, start: start as u32, end: end as u32 }
    }

    #[test]
    fn of_many_mistakes_the_first_are_shown_and_all_are_counted() {
        let text = "a = 1\n".repeat(1000);
        let problems: Vec<Problem> = (0..1000)
            .map(|at| Problem::error(format!("mistake number {at}")).at(span(6 * at, 6 * at + 1), ""))
            .collect();
        let shown = screen(&problems, Some(&sources(&text)), Look::Plain);
        assert_eq!(shown.matches("error: mistake").count(), SHOWN);
        assert!(shown.ends_with("and 950 more errors\n\n1000 errors in p.toml, nothing was run\n"));
    }

    #[test]
    fn neither_a_long_line_nor_a_long_name_nor_a_far_place_is_shown_whole() {
        let long = "x".repeat(1 << 20);
        let text = format!("a = \"{long}\" # end\n{}b = 2\n", "\n".repeat(1 << 17));
        let far = text.len() - 6;
        let problem = Problem::error(format!("`{long}` is too long"))
            .at(span(4, 6 + long.len()), &*long)
            .beside(span(far, far + 1), "far away")
            .help(&*long);
        let shown = screen(&[problem], Some(&sources(&text)), Look::Plain);
        assert!(shown.len() < 20_000, "{} bytes", shown.len());
        assert!(shown.contains("p.toml:1:5") && shown.contains(&format!("p.toml:{}:1", (1 << 17) + 2)), "{shown}");
        let behind = Problem::error("here").at(span(1 << 19, (1 << 19) + 1), "");
        let shown = screen(&[behind], Some(&sources(&text)), Look::Plain);
        assert!(shown.contains(&format!("p.toml:1:{}", (1 << 19) + 1)), "{shown}");
    }

    #[test]
    fn nothing_that_was_typed_reaches_the_terminal_as_a_command() {
        let text = "a = \"\u{9b}2J\u{202e}\u{2028}\"\r\n";
        let problem = Problem::error("`\u{1b}[2J` is\nwrong")
            .at(span(4, 6), "\u{1b}[H")
            .help("a\nb\u{85}")
            .note("\u{1b}]0;x\u{7}");
        let shown = screen(&[problem], Some(&sources(text)), Look::Plain);
        assert!(!shown.contains(|c| shown::is_harmful(c) && c != '\n'), "{shown:?}");
        assert!(shown.contains("error: `\u{fffd}[2J` is\u{fffd}wrong\n"), "{shown}");
    }
}
