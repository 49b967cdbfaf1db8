//! All errors and warnings of one pipeline file.
//!
//! Knows no rule of the file and prints nothing; renders them as text.

use std::fmt;

use super::problem::Problem;
use super::rendered::{self, Look};
use super::source::Sources;

/// The errors and warnings of one pipeline file and the texts they point into.
#[derive(Clone, Debug)]
pub struct Problems {
    problems: Vec<Problem>,
    sources: Option<Sources>,
}

impl Problems {
    /// Sorts them in file order; arguments of `--set` come last.
    pub fn new(mut problems: Vec<Problem>, sources: Sources) -> Problems {
        problems.sort_by_key(|problem| (problem.span().source, problem.span().start));
        Problems { problems, sources: Some(sources) }
    }

    /// An error without a text, as the file can't be read.
    pub fn without_text(problem: Problem) -> Problems {
        Problems { problems: vec![problem], sources: None }
    }

    /// The errors and warnings, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Problem> {
        self.problems.iter()
    }

    /// The number of errors.
    pub fn errors(&self) -> usize {
        self.problems.iter().filter(|problem| problem.is_error()).count()
    }

    /// Renders them, each followed by an empty line; if there are very many, the first ones and the number of others.
    pub fn render(&self, look: Look) -> String {
        rendered::screen(&self.problems, self.sources.as_ref(), look)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Look::Plain))
    }
}

impl std::error::Error for Problems {}
