//! Dangling links in data sets and in folders that a stage names.
//!
//! Knows no folder: the caller passes the links. A link's missing target, on an unmounted disk for example, is part of no
//! input, so it is reported.

use std::path::PathBuf;

use crate::pipeline::{Problem, Span};

/// How many links are named besides the first.
const NAMED: usize = 5;

/// `links`: each with why it has no target.
pub(super) fn dead_links(links: impl Iterator<Item = (PathBuf, &'static str)>, span: Span) -> Option<Problem> {
    let mut links = links;
    let (first, why) = links.next()?;
    let others: Vec<String> = links.map(|(path, why)| format!("`{}` {why}", path.display())).collect();
    let title = format!("`{}` is a symbolic link that {why}", first.display());
    let title = match others.len() {
        0 => title,
        1 => title + ", and 1 more link is like it",
        more => format!("{title}, and {more} more links are like it"),
    };
    let problem = Problem::warning(title).at(span, "its target is not part of this input");
    let named = &others[..others.len().min(NAMED)];
    let more = if named.len() < others.len() { ", …" } else { "" };
    Some(if others.is_empty() { problem } else { problem.note(format!("{}{more}", named.join(", "))) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_link_is_told_with_its_own_reason_and_of_many_the_first() {
        let links =
            |count: usize| (0..count).map(|i| (PathBuf::from(format!("d/{i}")), if i == 1 { "b" } else { "a" }));
        let told =
            |count| dead_links(links(count), Span::FILE).map(|problem| (problem.title.clone(), problem.notes.clone()));
        assert_eq!(told(0), None);
        assert_eq!(told(1), Some(("`d/0` is a symbolic link that a".to_owned(), vec![])));
        let (title, notes) = told(2).unwrap();
        assert_eq!(
            (title.as_str(), notes[0].as_str()),
            ("`d/0` is a symbolic link that a, and 1 more link is like it", "`d/1` b")
        );
        let (title, notes) = told(9).unwrap();
        assert!(title.ends_with(", and 8 more links are like it") && notes[0].ends_with("`d/5` a, …"), "{notes:?}");
    }
}
