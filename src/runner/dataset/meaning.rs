//! The likely meaning of label values that don't match the classes.
//!
//! Knows no file and no pipeline: takes values, classes and a map; returns classes without a value, and maps that would fix
//! it. A map is only proposed if after it every value is a class or ignored, if it loses no class, and if its condition
//! names what it ignores. Of two equally good maps, the one that keeps the other values comes first. The user decides;
//! these are only suggestions.

mod ids;

use super::labels::{IGNORED, mapped};

use self::ids::Ids;
pub use self::ids::{Instead, Suspicion, suspicion};

/// The maximum number of proposals.
const PROPOSED: usize = 3;

/// The values of some labels, and their current meaning.
#[derive(Clone, Copy, Debug)]
pub struct Labelling<'a> {
    /// All values found, ascending.
    pub values: &'a [u8],
    /// The names of the classes, by index.
    pub classes: &'a [&'a str],
    /// Stored value → class; unlisted values stay.
    pub map: &'a [(u8, u8)],
}

/// Another meaning of the values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// When it applies: "if 0 means unlabelled".
    pub condition: String,
    /// The data set's `map` for it, in order of the value; unlisted values stay.
    pub map: Vec<(u8, u8)>,
}

impl Reading {
    /// "if 255 is lesion: `map = { 255 = 1 }`"; values that are the classes' indices need no map.
    pub fn advice(&self) -> String {
        if self.map.is_empty() {
            format!("{}: leave `map` out", self.condition)
        } else {
            format!("{}: `map = {}`", self.condition, shown(&self.map))
        }
    }
}

/// `{ 1 = 0, 2 = 1 }`.
pub fn shown(map: &[(u8, u8)]) -> String {
    let pairs: Vec<String> = map.iter().map(|(from, to)| format!("{from} = {to}")).collect();
    format!("{{ {} }}", pairs.join(", "))
}

/// The decision on values when the user can't be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// They are the classes' indices.
    Indices,
    /// Most likely the first; the others are possible.
    Likely(Reading, Vec<Reading>),
    /// Some are classes, and the others are ignored by this map.
    Ignored(Vec<(u8, u8)>),
    /// Unknown.
    Unclear,
}

impl Settled {
    /// The map for it.
    pub fn map(&self) -> &[(u8, u8)] {
        match self {
            Settled::Likely(reading, _) => &reading.map,
            Settled::Ignored(map) => map,
            Settled::Indices | Settled::Unclear => &[],
        }
    }
}

impl Labelling<'_> {
    /// The decision for a pipeline on labels with these values that has no map yet.
    pub fn settled(&self) -> Settled {
        let (strangers, here) = (self.strangers(), self.covered(self.map));
        // If each value is a class, another meaning must give more classes.
        let explains = |reading: &Reading| !strangers.is_empty() || self.covered(&reading.map) > here;
        let mut likely = self.readings().into_iter().filter(explains);
        match likely.next() {
            Some(reading) => Settled::Likely(reading, likely.collect()),
            None if here == 0 => Settled::Unclear,
            None if strangers.is_empty() => Settled::Indices,
            None => Settled::Ignored(strangers.into_iter().map(|value| (value, IGNORED)).collect()),
        }
    }

    /// The values that are neither a class nor ignored.
    pub fn strangers(&self) -> Vec<u8> {
        let is_strange = |value: &u8| !self.means_class(self.map, *value) && mapped(self.map, *value) != IGNORED;
        self.values.iter().copied().filter(is_strange).collect()
    }

    /// The indices of the classes without a value.
    pub fn absent(&self) -> Vec<usize> {
        (0..self.classes.len())
            .filter(|class| !self.values.iter().any(|value| usize::from(mapped(self.map, *value)) == *class))
            .collect()
    }

    /// Other possible meanings, the likeliest first. Empty if none is better.
    pub fn readings(&self) -> Vec<Reading> {
        let dropped: Vec<(u8, u8)> = self.map.iter().copied().filter(|(_, to)| *to == IGNORED).collect();
        let rest: Vec<u8> = self.values.iter().copied().filter(|value| !dropped.contains(&(*value, IGNORED))).collect();
        let values: Vec<u8> = rest.iter().copied().filter(|value| *value != IGNORED).collect();
        let candidates =
            self.as_ids(&values).into_iter().chain(self.counted_from_one(&values)).chain(self.ranked(&rest));
        let mut found: Vec<(usize, Reading)> = Vec::new();
        for mut reading in candidates {
            let more = dropped.iter().filter(|(value, _)| reading.map.iter().all(|(known, _)| known != value));
            reading.map.extend(more.copied().collect::<Vec<_>>());
            reading.map.retain(|(from, to)| from != to);
            reading.map.sort_unstable();
            let covered = self.covered(&reading.map);
            let says_the_same =
                |other: &[(u8, u8)]| self.values.iter().all(|v| mapped(other, *v) == mapped(&reading.map, *v));
            let is_new = !says_the_same(self.map) && found.iter().all(|(_, other)| !says_the_same(&other.map));
            if is_new && covered > 0 && covered >= self.covered(self.map) && self.is_accepted(&reading.map) {
                found.push((covered, reading));
            }
        }
        found.sort_by_key(|(covered, reading)| {
            let is_plain = reading.map.iter().all(|(_, to)| *to == IGNORED);
            // If most values are valid indices, a class without a value is likelier than a shift.
            let has_gap = is_plain && 2 * covered > values.len();
            (std::cmp::Reverse(covered + usize::from(has_gap)), !is_plain)
        });
        found.into_iter().take(PROPOSED).map(|(_, reading)| reading).collect()
    }

    /// The number of classes that occur with this map.
    pub fn covered(&self, map: &[(u8, u8)]) -> usize {
        Labelling { map, ..*self }.absent().len().abs_diff(self.classes.len())
    }

    fn is_accepted(&self, map: &[(u8, u8)]) -> bool {
        Labelling { map, ..*self }.strangers().is_empty()
    }

    fn means_class(&self, map: &[(u8, u8)], value: u8) -> bool {
        usize::from(mapped(map, value)) < self.classes.len()
    }

    /// As the ids of a published data set, if the pipeline's classes are its classes.
    fn as_ids(&self, values: &[u8]) -> Vec<Reading> {
        let reading = |ids: &Ids| {
            ids.fit(values, self.classes)
                .then(|| Reading { condition: format!("if these are {}", ids.called), map: ids.map(self.classes) })
        };
        Ids::known().iter().filter_map(reading).collect()
    }

    /// As 1 to n for n classes, or as 0 to n, where one end means unlabelled.
    fn counted_from_one(&self, values: &[u8]) -> Vec<Reading> {
        let Some(n) = u8::try_from(self.classes.len()).ok().filter(|n| values.last() == Some(n)) else {
            return Vec::new();
        };
        let from_one = Reading {
            condition: "if 0 means unlabelled and the first class is 1".to_owned(),
            map: [(0, IGNORED)].into_iter().chain((1..=n).map(|value| (value, value - 1))).collect(),
        };
        let last = Reading { condition: format!("if {n} means unlabelled"), map: vec![(n, IGNORED)] };
        if values.first() == Some(&0) { vec![from_one, last] } else { vec![from_one] }
    }

    /// As the classes in the order of the values, if there are equally many, or one more value.
    fn ranked(&self, all: &[u8]) -> Vec<Reading> {
        let n = self.classes.len();
        let below: Vec<u8> = all.iter().copied().filter(|value| *value != IGNORED).collect();
        let reading = |condition: String, taken: &[u8], ignored: &[u8]| Reading {
            condition,
            map: (taken.iter().zip(0u8..).map(|(value, class)| (*value, class)))
                .chain(ignored.iter().map(|value| (*value, IGNORED)))
                .collect(),
        };
        let mut found = Vec::new();
        // Where the other values are indices, 255 is what it usually is, and a class is missing.
        let is_ignored = n > 2 && below.iter().all(|value| usize::from(*value) < n);
        for taken in [all, &below] {
            if taken.len() == n && !(is_ignored && taken.contains(&IGNORED)) {
                found.push(reading(self.in_order(taken), taken, &[]));
            }
        }
        if let ([low, middle, IGNORED], 2) = (all, n) {
            let condition = format!("if {IGNORED} is {} and {middle} belongs to no class", self.classes[1]);
            found.push(reading(condition, &[*low, IGNORED], &[*middle]));
        }
        if let (Some((first, others)), true) = (below.split_first(), below.len() == n + 1) {
            let (last, before) = below.split_last().expect("it has a first one");
            // If each class has its value already, the extra value means no class.
            if self.covered(self.map) < n {
                found.push(reading(
                    format!("if {first} means unlabelled, and {}", in_order(others)),
                    others,
                    &[*first],
                ));
            }
            found.push(reading(format!("if {last} means unlabelled, and {}", in_order(before)), before, &[*last]));
        }
        found
    }

    fn in_order(&self, values: &[u8]) -> String {
        match (values, self.classes) {
            ([0, value], [_, class]) => format!("if {value} is {class}"),
            _ => format!("if {}", in_order(values)),
        }
    }
}

fn in_order(values: &[u8]) -> String {
    match values {
        [first, .., last] => format!("the values from {first} to {last} are the classes in their order"),
        values => format!("{} is the first class", values.first().copied().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests;
