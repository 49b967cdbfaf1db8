//! A finding: what was found, what to try, and where it is seen.
//!
//! Knows no check. Findings of one check about members of one sweep are told once.

use serde::Serialize;

use crate::measures::plural;

/// A finding. All of it is text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in super::super) struct Finding {
    /// The finding, with its numbers.
    pub(in super::super) found: String,
    /// What to try.
    pub(in super::super) advice: String,
    /// The section that shows it: its id is its heading in lower case.
    pub(in super::super) section: &'static str,
}

/// The findings of one check, each with what it is about in the words of the file (a stage without its coordinates): of those
/// about the same only the first is kept, and the others are counted.
pub(super) fn told_once(found: impl Iterator<Item = (String, Finding)>) -> Vec<Finding> {
    let mut told: Vec<(String, Finding, usize)> = Vec::new();
    for (about, finding) in found {
        match told.iter_mut().find(|(known, _, _)| *known == about) {
            // A network that several members share is one network.
            Some((_, first, _)) if first.found == finding.found => {}
            Some((_, _, others)) => *others += 1,
            None => told.push((about, finding, 0)),
        }
    }
    let with_count = |(_, finding, others): (String, Finding, usize)| match others {
        0 => finding,
        others => Finding {
            found: format!("{}; likewise {} of the sweep", finding.found, plural(others, "other member")),
            ..finding
        },
    };
    told.into_iter().map(with_count).collect()
}
