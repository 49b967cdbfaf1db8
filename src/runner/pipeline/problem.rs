//! An error or warning about a pipeline file, with its positions.
//!
//! Knows no rule of the file and prints nothing: a [`Problem`] is data until it is rendered. Any room may create one, to report
//! its own error at the line that caused it.

use super::source::Span;

/// The severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Nothing can be run.
    Error,
    /// A warning.
    Warning,
}

/// One error or warning: a sentence, its positions, and advice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    /// Its severity.
    pub severity: Severity,
    /// One sentence, lower case, without a full stop; names are quoted with backticks.
    pub title: String,
    /// The positions; the first is shown in the header.
    pub labels: Vec<Label>,
    /// Facts, one per line.
    pub notes: Vec<String>,
    /// Advice, one per line.
    pub help: Vec<String>,
}

/// A position and its label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// Text beside the underline; may be empty.
    pub text: String,
    /// Whether the error is here; else the position is context.
    pub primary: bool,
}

impl Problem {
    /// An error, which prevents a run.
    pub fn error(title: impl Into<String>) -> Problem {
        Problem::new(Severity::Error, title.into())
    }

    /// A warning.
    pub fn warning(title: impl Into<String>) -> Problem {
        Problem::new(Severity::Warning, title.into())
    }

    fn new(severity: Severity, title: String) -> Problem {
        Problem { severity, title, labels: Vec::new(), notes: Vec::new(), help: Vec::new() }
    }

    /// Adds the position of the error.
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Problem {
        self.labels.push(Label { span, text: text.into(), primary: true });
        self
    }

    /// Adds another position as context.
    pub fn beside(mut self, span: Span, text: impl Into<String>) -> Problem {
        self.labels.push(Label { span, text: text.into(), primary: false });
        self
    }

    /// Adds a fact.
    pub fn note(mut self, text: impl Into<String>) -> Problem {
        self.notes.push(text.into());
        self
    }

    /// Adds advice.
    pub fn help(mut self, text: impl Into<String>) -> Problem {
        self.help.push(text.into());
        self
    }

    /// Adds advice, if any.
    pub fn help_if(mut self, text: Option<String>) -> Problem {
        self.help.extend(text);
        self
    }

    /// Whether it stops the run.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The position that determines the order of problems.
    pub fn span(&self) -> Span {
        self.labels.first().map_or(Span::FILE, |label| label.span)
    }
}
