//! What is wrong with a pipeline file, and where: collected, so that all of it is shown at once.
//!
//! Knows no rule of the file and prints nothing: a [`Problem`] is data until it is rendered. Any room may make one, to show its own mistake at the line that brought it
//! about.

use super::source::Span;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Nothing can be run.
    Error,
    /// Worth knowing.
    Warning,
}

/// One mistake: a sentence, the places it concerns, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
