//! Class numberings of street scenes in common use, and detection of labels that use another data set's numbering.
//!
//! Knows only values. Many values occur in several numberings, so a suspicion must explain more classes than the data set's
//! own numbering, and something must contradict the latter.
//! set's own numbers do, and something has to speak against these.

use super::{IGNORED, Labelling};
use crate::dataset::layout::Layout;
use crate::dataset::{camvid, cityscapes, synthia};

/// A numbering.
pub(super) struct Ids {
    pub(super) called: &'static str,
    pub(super) classes: Vec<(u8, &'static str)>,
    /// The largest value, of a class or not.
    pub(super) last: u8,
    /// Classes that occur in no published file.
    never: &'static [&'static str],
}

impl Ids {
    pub(super) fn known() -> [Ids; 4] {
        let nineteen = crate::kind::classes::find("cityscapes-19").map_or(&[][..], |set| set.classes);
        let nineteen: Vec<(u8, &'static str)> =
            (0u8..).zip(nineteen).map(|(index, class)| (index, class.name)).collect();
        let train_ids = Ids {
            called: "Cityscapes' train ids",
            last: nineteen.last().map_or(0, |(last, _)| *last),
            classes: nineteen,
            never: &[],
        };
        [
            Ids::of("Cityscapes' label ids", &cityscapes::LAYOUT),
            train_ids,
            Ids::of("SYNTHIA's ids", &synthia::LAYOUT),
            Ids::of("CamVid's, where 11 is unlabelled", &camvid::LAYOUT),
        ]
    }

    fn of(called: &'static str, layout: &Layout) -> Ids {
        Ids { called, classes: layout.values.to_vec(), last: layout.last, never: layout.never }
    }

    /// Whether they have a number for each of the classes, and no value exceeds their largest number.
    pub(super) fn fit(&self, values: &[u8], classes: &[&str]) -> bool {
        self.know(classes) && values.iter().all(|value| *value <= self.last)
    }

    fn know(&self, classes: &[&str]) -> bool {
        classes.iter().all(|class| self.classes.iter().any(|(_, name)| name == class))
    }

    /// The map that reads them.
    pub(super) fn map(&self, classes: &[&str]) -> Vec<(u8, u8)> {
        (0..=self.last).map(|id| (id, self.index(id, classes))).collect()
    }

    fn index(&self, id: u8, classes: &[&str]) -> u8 {
        let name = self.classes.iter().find(|(known, _)| *known == id).map(|(_, name)| name);
        let index = name.and_then(|name| classes.iter().position(|class| class == name));
        index.and_then(|index| u8::try_from(index).ok()).unwrap_or(IGNORED)
    }

    /// Whether all values occur in this numbering.
    fn has_all(&self, values: &[u8]) -> bool {
        values.iter().all(|value| *value <= self.last && !is_never(*value, &self.classes, self.never))
    }
}

fn is_never(value: u8, ids: &[(u8, &str)], never: &[&str]) -> bool {
    ids.iter().any(|(id, name)| *id == value && never.contains(name))
}

/// Why labels probably aren't those of the published data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspicion {
    /// Values that no label of that data set has.
    pub strange: Vec<u8>,
    /// What the values may be, the likeliest first.
    pub instead: Vec<Instead>,
}

/// Another numbering of the classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instead {
    /// "SYNTHIA's ids".
    pub called: &'static str,
    /// The map for reading them in a plain folder; empty if they are the classes' indices. `None`: they have no number for
    /// some class of the pipeline.
    pub map: Option<Vec<(u8, u8)>>,
}

/// The evidence against labels of the data set `of`. `labelling` has that data set's map.
pub fn suspicion(labelling: Labelling<'_>, of: &Layout) -> Option<Suspicion> {
    let values: Vec<u8> = labelling.values.iter().copied().filter(|value| *value != IGNORED).collect();
    if values.is_empty() {
        return None;
    }
    let strange: Vec<u8> = values.iter().copied().filter(|value| *value > of.last).collect();
    let own = labelling.covered(labelling.map);
    let mut instead: Vec<(usize, Instead)> = Vec::new();
    for ids in Ids::known().iter().filter(|ids| ids.classes != of.values && ids.has_all(&values)) {
        let map = ids.know(labelling.classes).then(|| ids.map(labelling.classes));
        let covered = map.as_ref().map(|map| labelling.covered(map));
        let least = if strange.is_empty() { own + 1 } else { own.max(1) };
        let is_better = covered.map_or(!strange.is_empty(), |covered| covered >= least);
        if is_better
            && (own == 0 || !strange.is_empty() || speaks_for(ids, (&values, labelling.values), of, covered, own))
        {
            let map = map.map(|map| map.into_iter().filter(|(from, to)| from != to).collect());
            instead.push((covered.unwrap_or_default(), Instead { called: ids.called, map }));
        }
    }
    instead.sort_by_key(|(covered, _)| std::cmp::Reverse(*covered));
    let instead: Vec<Instead> = instead.into_iter().map(|(_, instead)| instead).collect();
    (!strange.is_empty() || !instead.is_empty()).then_some(Suspicion { strange, instead })
}

/// Whether values that are all valid in the data set more likely use `ids`, which explain more classes. `all`: including
/// 255.
fn speaks_for(ids: &Ids, (values, all): (&[u8], &[u8]), of: &Layout, covered: Option<usize>, own: usize) -> bool {
    // Numbers of street scenes go up to 33 (22 in SYNTHIA): sky, cars and vegetation are above 18 in Cityscapes.
    if of.values.iter().all(|(id, _)| *id <= ids.last) {
        return false;
    }
    let marks_ignored = all.contains(&IGNORED);
    if !of.never.is_empty() {
        // Its labels without a wall and a bus have no larger number than train ids do.
        return marks_ignored || values.iter().any(|value| is_never(*value, of.values, of.never));
    }
    // Evidence for label ids: each value is a class there, or is 0, and 255 doesn't occur.
    let is_own = |value: &u8| *value == 0 || of.values.iter().any(|(id, _)| id == value);
    if !marks_ignored && values.iter().all(is_own) {
        return false;
    }
    let ends_late = values.last().is_some_and(|last| *last > TRAIN_IDS_LAST);
    let is_far_better = covered.is_some_and(|covered| covered >= own + FAR_BETTER);
    ids.never.is_empty() || (!marks_ignored && (!ends_late || is_far_better))
}

/// The last of Cityscapes' train ids, the indices of `cityscapes-19`.
const TRAIN_IDS_LAST: u8 = 18;

/// How many more classes must be explained if the values may be label ids of scenes without a person, a car and the sky.
const FAR_BETTER: usize = 3;
