//! A finding: what was found, what to try, and where it is seen.
//!
//! Knows no check. What a check says alike of several members of one sweep is told once, with the members.

use serde::Serialize;

use crate::measures::plural;

/// How many other members are named; more are counted.
const NAMED: usize = 3;

/// A finding. All of it is text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in super::super) struct Finding {
    /// The finding, with its numbers.
    pub(in super::super) found: String,
    /// What to try.
    pub(in super::super) advice: String,
    /// The section that shows it: its id is its heading in lower case.
    pub(in super::super) section: &'static str,
    /// What it says without its numbers, such as the classes; empty if that is the same of all. Only findings that say
    /// the same are told together.
    #[serde(skip)]
    pub(in super::super) says: String,
}

/// What a finding is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct About {
    /// The same for all members of a sweep, in the words of the file: a network and its images, or a stage without its
    /// coordinates.
    pub(super) family: String,
    /// The member. A network that several evaluations measure on the same images is one.
    pub(super) member: String,
}

/// The findings of one check: of those that say the same of members of one sweep only the first is kept, and the other
/// members are named or counted. A member that is known already is not told again.
pub(super) fn told_once(found: impl Iterator<Item = (About, Finding)>) -> Vec<Finding> {
    let mut told: Vec<(String, Vec<String>, Finding)> = Vec::new();
    for (About { family, member }, finding) in found {
        match told.iter_mut().find(|(known, _, first)| *known == family && first.says == finding.says) {
            Some((_, members, _)) if members.contains(&member) => {}
            Some((_, members, _)) => members.push(member),
            None => told.push((family, vec![member], finding)),
        }
    }
    let with_others = |(_, members, finding): (String, Vec<String>, Finding)| Finding {
        found: format!("{}{}", finding.found, likewise(&members[1..])),
        ..finding
    };
    told.into_iter().map(with_others).collect()
}

/// Of which other members it is true.
fn likewise(others: &[String]) -> String {
    match others.len() {
        0 => String::new(),
        1..=NAMED => format!("; likewise {}", others.join(", ")),
        more => format!("; likewise {} of the sweep", plural(more, "other member")),
    }
}
