//! Findings of single items: cached by the runner and handed in by a worker, as lines of text.
//!
//! Knows neither stages, cache nor jobs: an item is a name. One line per item, each with its own checksum; a torn or
//! altered line loses only that item.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, FileDigest, Item};

/// The result for one item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Its files, by output.
    pub files: BTreeMap<String, FileDigest>,
    /// Further values; only the kind knows their meaning.
    pub values: serde_json::Value,
    /// Where it was computed: sums are rounded differently elsewhere.
    pub made_on: String,
    /// Whether something of it is still to be found, as for an image that one of two networks has seen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

#[derive(Serialize, Deserialize)]
struct Line {
    item: Item,
    #[serde(flatten)]
    finding: Finding,
}

impl Finding {
    /// As a line with its line feed: a checksum of the rest, a space, JSON.
    pub fn line(self, item: Item) -> String {
        let text = serde_json::to_string(&Line { item, finding: self }).expect("a finding is plain data");
        format!("{} {text}\n", Digest::of(text.as_bytes()))
    }
}

/// The findings in `bytes`, the last one of each item. Incomplete lines are skipped.
pub fn read(bytes: &[u8]) -> BTreeMap<Item, Finding> {
    // Without a line feed the line may be truncated even if it looks complete.
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
    lines.filter_map(whole).map(|Line { item, finding }| (item, finding)).collect()
}

fn whole(line: &[u8]) -> Option<Line> {
    let (checksum, text) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    (checksum.parse() == Ok(Digest::of(text.as_bytes()))).then(|| serde_json::from_str(text).ok())?
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::{Strategy, any};
    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    pub(crate) fn item(number: u8) -> Item {
        Item(Digest::of(&[number]))
    }

    pub(crate) fn finding(object: FileDigest) -> Finding {
        let values = serde_json::json!({"mean_entropy": 0.1f32, "text": "two\nlines"});
        Finding {
            files: [("predictions".to_owned(), object)].into(),
            values,
            made_on: "cpu".to_owned(),
            partial: false,
        }
    }

    fn findings() -> impl Strategy<Value = BTreeMap<Item, Finding>> {
        let one = (any::<u8>(), any::<[u8; 32]>())
            .prop_map(|(number, object)| (item(number), finding(FileDigest(object.into()))));
        proptest::collection::btree_map(any::<u8>(), one, 1..6).prop_map(|all| all.into_values().collect())
    }

    fn text(findings: &BTreeMap<Item, Finding>) -> Vec<u8> {
        findings.iter().flat_map(|(item, finding)| finding.clone().line(*item).into_bytes()).collect()
    }

    proptest! {
        #[test]
        fn findings_read_back_what_was_written(findings in findings()) {
            prop_assert_eq!(read(&text(&findings)), findings);
        }

        #[test]
        fn cut_anywhere_the_lines_that_are_left_are_read(findings in findings(), at in any::<proptest::sample::Index>()) {
            let mut bytes = text(&findings);
            bytes.truncate(at.index(bytes.len()));
            let whole = bytes.iter().filter(|byte| **byte == b'\n').count();
            prop_assert_eq!(read(&bytes), findings.into_iter().take(whole).collect());
        }

        #[test]
        fn a_byte_that_is_altered_costs_a_line_or_two_and_never_alters_a_finding(
            findings in findings(), at in any::<proptest::sample::Index>(), flip in 1u8..,
        ) {
            let mut bytes = text(&findings);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let found = read(&bytes);
            // A missing line feed joins two lines.
            prop_assert!(found.len() < findings.len() && found.len() + 2 >= findings.len());
            prop_assert!(found.iter().all(|(item, finding)| findings.get(item) == Some(finding)));
        }

        #[test]
        fn whatever_the_bytes_reading_ends(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(read(&bytes).is_empty());
        }
    }
}
