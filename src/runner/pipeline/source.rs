//! The source texts of a pipeline, and positions in them.
//!
//! Knows no TOML. A text is the pipeline file, one argument of `--set` or that of `--executor`, so that errors point to where
//! they were typed.

use std::sync::{Arc, OnceLock};

/// A position in one of the [`Sources`]: bytes `start..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Which text: 0 is the pipeline file, the others are arguments of `--set` in the order of the command line, then that of
    /// `--executor`.
    pub source: u32,
    /// First byte.
    pub start: u32,
    /// Byte after the last.
    pub end: u32,
}

impl Span {
    /// The start of the pipeline file: the position of things that aren't written anywhere.
    pub const FILE: Span = Span { source: 0, start: 0, end: 0 };

    /// Whether it is in an argument of the command line.
    pub fn is_argument(self) -> bool {
        self.source > 0
    }
}

/// One text and its name in messages.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The file as typed, or the option: `--set`, `--executor`.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// The name of an argument of `--set`.
pub(super) const SET: &str = "--set";

/// The texts, by the number in a [`Span`]. Cheap to clone, so that errors can carry them.
#[derive(Clone, Debug)]
pub struct Sources(Arc<[Kept]>);

/// A text, and the lazily computed starts of its lines.
#[derive(Debug)]
struct Kept {
    source: Source,
    lines: OnceLock<Vec<u32>>,
}

impl Kept {
    fn lines(&self) -> &[u32] {
        self.lines.get_or_init(|| {
            let ends = self.source.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            [0].into_iter().chain(ends.map(|(at, _)| at as u32 + 1)).collect()
        })
    }
}

impl Sources {
    /// The file's text comes first.
    pub fn new(texts: Vec<Source>) -> Sources {
        Sources(texts.into_iter().map(|source| Kept { source, lines: OnceLock::new() }).collect())
    }

    /// Those that determine what is computed: the file's first, then those of `--set` in their order.
    pub fn decisive(&self) -> impl Iterator<Item = &Source> {
        let (file, arguments) = self.0.split_at(1);
        let arguments = arguments.iter().filter(|kept| kept.source.name == SET);
        file.iter().chain(arguments).map(|kept| &kept.source)
    }

    /// The text that contains `span`.
    pub fn of(&self, span: Span) -> &Source {
        &self.0[span.source as usize].source
    }

    /// The piece of text that `span` covers.
    pub fn text(&self, span: Span) -> &str {
        self.of(span).text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// The line (from 1) and the column (from 1, in characters) at which `span` starts.
    pub fn position(&self, span: Span) -> (usize, usize) {
        let kept = &self.0[span.source as usize];
        let place = kept.source.text.floor_char_boundary(span.start as usize);
        // The first line begins at 0, so there is one at or before any place.
        let line = kept.lines().partition_point(|start| *start as usize <= place) - 1;
        let start = kept.lines()[line] as usize;
        (line + 1, kept.source.text[start..place].chars().count() + 1)
    }

    /// `file:line`, as in "(pipelines/gta5.toml:18)".
    pub fn place(&self, span: Span) -> String {
        format!("{}:{}", self.of(span).name, self.position(span).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_start_at_one() {
        let text = "name = \"Zürich\"\n\tλ = 1";
        let sources = Sources::new(vec![Source { name: "a.toml".to_owned(), text: text.to_owned() }]);
        let at = |piece: &str| {
            let start = text.find(piece).unwrap() as u32;
            Span { source: 0, start, end: start + piece.len() as u32 }
        };
        assert_eq!(sources.position(at("name")), (1, 1));
        assert_eq!(sources.position(at("rich")), (1, 11));
        assert_eq!(sources.position(at("1")), (2, 6));
        assert_eq!(sources.place(at("1")), "a.toml:2");
        assert_eq!(sources.text(at("rich")), "rich");
    }
}
