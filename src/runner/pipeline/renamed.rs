//! A pipeline file under another name: the same text, but for the value of `name` in `[pipeline]`.
//!
//! For a file that is put beside another one. Keeps everything else to the byte.

use super::raw::{self, Item};
use super::source::{Source, Sources};

/// The text with this name in place of its own. A file without a name is named by its own file's name, so it stays as it is.
pub fn renamed(text: &str, name: &str) -> String {
    let sources = Sources::new(vec![Source { name: String::new(), text: text.to_owned() }]);
    let parsed = raw::parse(&sources, 0);
    let span = parsed.table.get("pipeline").and_then(|entry| match &entry.node.item {
        Item::Table(pipeline) => pipeline.get("name").map(|entry| entry.node.span),
        _ => None,
    });
    match span.map(|span| (span.start as usize, span.end as usize)) {
        Some((start, end)) if text.is_char_boundary(start) && text.is_char_boundary(end) => {
            format!("{}\"{name}\"{}", &text[..start], &text[end..])
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_the_pipeline_is_another_wherever_it_stands() {
        let cases = [
            (
                "[pipeline]\nname = \"p\" # p\nseed = 1\n[stages.p]\nname = \"p\"",
                "[pipeline]\nname = \"q-run1\" # p\nseed = 1\n[stages.p]\nname = \"p\"",
            ),
            ("pipeline = { seed = 1, name = 'ü' }\n", "pipeline = { seed = 1, name = \"q-run1\" }\n"),
            ("pipeline.name = \"\"\"p\"\"\"\n", "pipeline.name = \"q-run1\"\n"),
            ("[pipeline]\nseed = 1\n", "[pipeline]\nseed = 1\n"),
            ("format = 1\n", "format = 1\n"),
        ];
        for (text, expected) in cases {
            assert_eq!(renamed(text, "q-run1"), expected);
        }
    }
}
