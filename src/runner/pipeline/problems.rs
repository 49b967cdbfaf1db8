//! The mistakes of one pipeline file, all of them at once.
//!
//! Knows no rule of the file and prints nothing: a screen of them is a text.

use std::fmt;

use super::problem::Problem;
use super::rendered::{self, Look};
use super::source::Sources;

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

    /// All of them as a screen, each followed by an empty line; of very many, the first and how many more there are.
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
