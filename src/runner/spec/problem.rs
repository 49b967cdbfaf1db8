//! What is wrong with a pipeline file, and where: collected, so that all of it is shown at once.
//!
//! Knows no rule of the file and prints nothing: a [`Problem`] is data until it is rendered, in the layout of rustc,
//! which people and editors already read. Any room may make one, to show its own mistake at the line that brought it
//! about.

use std::fmt;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};

use super::source::{Sources, Span};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing can be run.
    Error,
    /// Worth knowing.
    Warning,
}

/// One mistake: a sentence, the places it concerns, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// One sentence, lower case, without a full stop; names are quoted with backticks.
    pub title: String,
    /// The places, the first of them the one that is named in the header.
    pub labels: Vec<Label>,
    /// Facts, each a line of its own.
    pub notes: Vec<String>,
    /// What to do next, each a line of its own.
    pub help: Vec<String>,
}

/// A place and what is to be said there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// Shown beside the underline; may be empty.
    pub text: String,
    /// Whether the mistake is here; else the place only helps to see it.
    pub primary: bool,
}

impl Problem {
    /// A mistake because of which nothing can be run.
    pub fn error(title: impl Into<String>) -> Problem {
        Problem::new(Severity::Error, title.into())
    }

    /// Something worth knowing.
    pub fn warning(title: impl Into<String>) -> Problem {
        Problem::new(Severity::Warning, title.into())
    }

    fn new(severity: Severity, title: String) -> Problem {
        Problem { severity, title, labels: Vec::new(), notes: Vec::new(), help: Vec::new() }
    }

    /// Says where the mistake is.
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Problem {
        self.labels.push(Label { span, text: text.into(), primary: true });
        self
    }

    /// Points at another place that helps to see it.
    pub fn beside(mut self, span: Span, text: impl Into<String>) -> Problem {
        self.labels.push(Label { span, text: text.into(), primary: false });
        self
    }

    /// Adds a fact.
    pub fn note(mut self, text: impl Into<String>) -> Problem {
        self.notes.push(text.into());
        self
    }

    /// Adds what to do.
    pub fn help(mut self, text: impl Into<String>) -> Problem {
        self.help.push(text.into());
        self
    }

    /// Adds what to do, if there is anything.
    pub fn help_if(mut self, text: Option<String>) -> Problem {
        self.help.extend(text);
        self
    }

    /// Whether it stops the run.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The place that decides the order in which mistakes are shown.
    pub fn span(&self) -> Span {
        self.labels.first().map_or(Span::FILE, |label| label.span)
    }
}

/// Plain, or with the escape codes of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Text only.
    Plain,
    /// In colour.
    Coloured,
}

/// The mistakes of one pipeline file and the texts they point into.
#[derive(Clone, Debug)]
pub struct Problems {
    problems: Vec<Problem>,
    sources: Option<Sources>,
}

impl Problems {
    /// Puts them in the order of the file; arguments of `--set` come after it.
    pub fn new(mut problems: Vec<Problem>, sources: Sources) -> Problems {
        problems.sort_by_key(|problem| (problem.span().source, problem.span().start));
        Problems { problems, sources: Some(sources) }
    }

    /// A mistake that was made before there was any text: the file can't be read.
    pub fn without_text(problem: Problem) -> Problems {
        Problems { problems: vec![problem], sources: None }
    }

    /// The mistakes, in the order in which they are shown.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Problem> {
        self.problems.iter()
    }

    /// How many of them stop the run.
    pub fn errors(&self) -> usize {
        self.problems.iter().filter(|problem| problem.is_error()).count()
    }

    /// All of them as a screen, each followed by an empty line.
    pub fn render(&self, look: Look) -> String {
        let renderer = match look {
            Look::Plain => Renderer::plain(),
            Look::Coloured => Renderer::styled(),
        };
        let screen = |problem| renderer.render(&[group(problem, self.sources.as_ref())]) + "\n\n";
        let mut text: String = self.problems.iter().map(screen).collect();
        if let (Some(sources), errors @ 1..) = (&self.sources, self.errors()) {
            let mistakes = if errors == 1 { "mistake" } else { "mistakes" };
            text += &format!("{errors} {mistakes} in {}, nothing was run\n", sources.of(Span::FILE).name);
        }
        text
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Look::Plain))
    }
}

impl std::error::Error for Problems {}

fn group<'a>(problem: &'a Problem, sources: Option<&'a Sources>) -> Group<'a> {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(&*problem.title));
    if let Some(sources) = sources {
        group = group.elements(snippets(&problem.labels, sources));
    }
    let note = |text| Level::NOTE.message(text);
    let help = |text| Level::HELP.message(text);
    group
        .elements(problem.notes.iter().map(|text| note(&**text)))
        .elements(problem.help.iter().map(|text| help(&**text)))
}

/// One snippet a text, in the order in which the labels name the texts.
fn snippets<'a>(labels: &'a [Label], sources: &'a Sources) -> Vec<Snippet<'a, Annotation<'a>>> {
    let mut order: Vec<u32> = Vec::new();
    for label in labels {
        if !order.contains(&label.span.source) {
            order.push(label.span.source);
        }
    }
    order.into_iter().map(|source| snippet(labels.iter().filter(|l| l.span.source == source), sources)).collect()
}

/// The lines from the first to the last label; of a file of a million lines, no more than those are looked at.
fn snippet<'a>(labels: impl Iterator<Item = &'a Label> + Clone, sources: &'a Sources) -> Snippet<'a, Annotation<'a>> {
    let first = labels.clone().min_by_key(|label| label.span.start).expect("a snippet is made of a label at least");
    let last = labels.clone().map(|label| label.span.end as usize).max().unwrap_or_default();
    let source = sources.of(first.span);
    let (line, _) = sources.position(first.span);
    let text = &source.text;
    let start = text[..text.floor_char_boundary(first.span.start as usize)].rfind('\n').map_or(0, |at| at + 1);
    let last = text.floor_char_boundary(last);
    let end = text[last..].find('\n').map_or(text.len(), |at| last + at);
    // As wide as before, so that no span moves: a carriage return would be shown as a sign of its own.
    let lines = text[start..end].replace('\r', " ");
    Snippet::source(lines).path(&*source.name).line_start(line).annotations(labels.map(|label| {
        let kind = if label.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        let span = label.span.start as usize - start..(label.span.end as usize).min(end) - start;
        kind.span(span).label((!label.text.is_empty()).then_some(&*label.text))
    }))
}
