//! The items of a job: what is known of them, and which of them it finds.
//!
//! A part of the contract of [`super`], for kinds that process a data set item by item. Knows no kind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Job;
use crate::digest::{Encoder, Item};

/// The items of a data set: what a worker needs to leave out those that are known, and to hand in what it finds of the rest.
///
/// It hands in through the slot, so that a pass which is killed has not been for nothing: the files of the items under
/// [`Items::files`], and then a [line](crate::finding::Finding::line) an item in [`Items::findings`], after those of an earlier
/// attempt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Items {
    /// The samples by name. `None` for painted scenes: these are what they are called.
    pub samples: Option<BTreeMap<String, Item>>,
    /// What is known.
    pub known: BTreeMap<Item, Known>,
    /// Which of the rest this job finds. `None`: all of it, and then it writes the outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
}

/// One of several parts of the items that aren't known. A job with a part only hands in what it finds, and writes no outputs.
///
/// The worker divides, as it alone knows which findings it can use: of the items that it lacks, in the order of the samples,
/// each `of`th, from `index` on. Jobs that know the same and run on equal machines thus share out all items. An item that no
/// part contains, since a machine differs, is found by the job that writes the outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Which part, from 0.
    pub index: usize,
    /// The number of parts.
    pub of: usize,
}

/// What an earlier job found of an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// The path of its file by the output that it is a part of.
    pub files: BTreeMap<String, PathBuf>,
    /// See [`Finding`](crate::finding::Finding).
    pub values: serde_json::Value,
    /// See [`Finding`](crate::finding::Finding).
    pub made_on: String,
    /// See [`Finding`](crate::finding::Finding).
    #[serde(default)]
    pub partial: bool,
    /// Whether another job of this very attempt has found it: it is not reused. For a job with a part, it counts as one of the
    /// items that were divided, though it needn't be found again.
    #[serde(default)]
    pub fresh: bool,
}

impl Items {
    /// Which item a sample is.
    pub fn item(&self, sample: &str) -> Option<Item> {
        match &self.samples {
            Some(samples) => samples.get(sample).copied(),
            None => Some(Item(Encoder::new("intrada/item/1").field("scene", sample.as_bytes()).finish())),
        }
    }

    /// The folder in `slot` for the files of findings.
    pub fn files(slot: &Path) -> PathBuf {
        slot.join("items").join("files")
    }

    /// The file in `slot` for the findings.
    pub fn findings(slot: &Path) -> PathBuf {
        slot.join("items").join("findings")
    }
}

impl Part {
    /// Whether it contains the item at this place among those that aren't known.
    pub fn has(self, place: usize) -> bool {
        place % self.of == self.index
    }
}

/// Where a finding is made, as far as its last digits depend on it: sums are rounded in another order with other threads,
/// another kind of device, or other instructions of the CPU, where these are known.
pub fn made_on(is_cpu: bool, threads: u32, set: Option<&str>) -> String {
    match (is_cpu, set) {
        (true, Some(set)) => format!("cpu, {threads} threads, {set}"),
        (true, None) => format!("cpu, {threads} threads"),
        (false, _) => format!("gpu, {threads} threads"),
    }
}

impl Job {
    /// Whether the job can use a finding, as far as can be told before it runs: the instructions of its CPU are not known yet.
    pub fn may_reuse(&self, known: &Known) -> bool {
        let is_made = |is_cpu: bool| {
            let rest = known.made_on.strip_prefix(&made_on(is_cpu, self.threads, None));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(','))
        };
        !known.partial
            && match self.device.as_str() {
                "cpu" => is_made(true),
                "auto" => is_made(true) || is_made(false),
                _ => is_made(false),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_out_every_place_once_and_their_sizes_differ_by_one_at_most() {
        for of in 1..9 {
            for places in 0..40 {
                let parts: Vec<Vec<usize>> =
                    (0..of).map(|index| (0..places).filter(|place| Part { index, of }.has(*place)).collect()).collect();
                let mut all = parts.concat();
                all.sort_unstable();
                assert!(all.into_iter().eq(0..places));
                let sizes = || parts.iter().map(Vec::len);
                assert!(sizes().max().unwrap() - sizes().min().unwrap() <= 1, "{places} in {of}");
            }
        }
    }

    #[test]
    fn the_items_of_a_job_without_parts_read_back_as_those_of_an_older_runner() {
        let items: Items = serde_json::from_str(r#"{"samples":null,"known":{}}"#).unwrap();
        assert_eq!(items, Items::default());
        assert_eq!(serde_json::to_string(&items).unwrap(), r#"{"samples":null,"known":{}}"#);
    }
}
