//! Known findings for a stage's data set: loaded before its jobs start, and stored after they ended, even if they failed.
//!
//! Knows the store and the contract with the worker, not what a kind computes. Each line that a worker left in the slot is
//! valid by itself, since a worker only reads files that match the key; so lines are kept after a failure, an interrupt or
//! a kill as well, which is all that resuming such a stage takes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::digest::{Item, Setting};
use crate::exec::job::{self, Job};
use crate::finding::{Finding, read};
use crate::plan::items;
use crate::plan::manifest::Manifest;
use crate::store::{Error, Store, Take};

/// The items of one stage.
pub struct KnownItems {
    setting: Setting,
    samples: Option<BTreeMap<String, Item>>,
    /// Their number; of scenes, which only the worker can name, at most.
    number: usize,
}

impl KnownItems {
    /// For a stage with this manifest that processes `dataset`, its input of this role.
    pub fn new(manifest: &Manifest, role: &str, dataset: &job::Dataset) -> KnownItems {
        let samples = match dataset {
            job::Dataset::Files { samples, .. } => Some(items::items(samples)),
            job::Dataset::Scenes { .. } => None,
        };
        KnownItems { setting: items::setting(manifest, role, dataset), samples, number: dataset.len_at_most() }
    }

    /// The items for the job, with the store's findings, unless everything is to be re-computed.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn for_job(&self, store: &Store, anew: bool) -> Result<job::Items, Error> {
        let ours = self.distinct();
        let mut known = BTreeMap::new();
        for (item, finding) in if anew { BTreeMap::new() } else { store.findings(self.setting)? } {
            if ours.as_ref().is_none_or(|ours| ours.contains(&item)) && store.has_all_of(&finding)? {
                known.insert(item, handed_out(store, finding));
            }
        }
        Ok(job::Items { samples: self.samples.clone(), known, part: None })
    }

    /// How many items the job has to find, as far as can be told before it runs; of scenes, at most.
    pub fn unknown(&self, job: &Job) -> usize {
        let known = job.items.as_ref().map(|items| &items.known);
        let reused = known.into_iter().flatten().filter(|(_, known)| job.may_reuse(known)).count();
        self.distinct().map_or(self.number, |ours| ours.len()).saturating_sub(reused)
    }

    /// Stores the findings that jobs left in this slot and in those below it, so that other keys with this setting can use them.
    /// They stay in the slots as well: objects that no trace names are garbage, but an unfinished pass must not be lost.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn keep(&self, store: &Store, slot: &Path) -> Result<(), Error> {
        let mut all = BTreeMap::<Item, Finding>::new();
        for slot in shard_slots(slot).into_iter().chain([slot.to_owned()]) {
            for (item, finding) in self.take(store, &slot)? {
                // An earlier attempt that was split in another way may have left a part of what a later one completed.
                if !finding.partial || all.get(&item).is_none_or(|other| other.partial) {
                    all.insert(item, finding);
                }
            }
        }
        self.note(store, all)
    }

    /// Stores the files of the findings that a job left in this slot, and returns the findings.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn take(&self, store: &Store, slot: &Path) -> Result<BTreeMap<Item, Finding>, Error> {
        let (files, findings) = (job::Items::files(slot), job::Items::findings(slot));
        let lines = match crate::plain::read(&findings) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
            lines => lines.map_err(|source| Error::Io { action: "read", path: findings, source })?,
        };
        if files.exists() {
            store.insert(&files, Take::Copy)?;
        }
        let mut whole = BTreeMap::new();
        for (item, finding) in read(&lines) {
            if store.has_all_of(&finding)? {
                whole.insert(item, finding);
            }
        }
        Ok(whole)
    }

    /// Adds findings, whose files are in the store, to those of the setting.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn note(&self, store: &Store, findings: BTreeMap<Item, Finding>) -> Result<(), Error> {
        store.keep_findings(self.setting, findings)
    }

    /// The items; `None` for scenes.
    fn distinct(&self) -> Option<BTreeSet<&Item>> {
        self.samples.as_ref().map(|samples| samples.values().collect())
    }
}

/// The folder in a slot for the slots of the jobs that a stage is split into.
pub fn shard_slots_in(slot: &Path) -> PathBuf {
    slot.join("shards")
}

/// The slot of one of `number` such jobs, counted from 0.
pub fn shard_slot(slot: &Path, shard: usize, number: usize) -> PathBuf {
    shard_slots_in(slot).join(format!("{}-of-{number}", shard + 1))
}

/// The slots of all such jobs, also of an attempt that was split in another way.
fn shard_slots(slot: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(shard_slots_in(slot)).into_iter().flatten().flatten();
    let mut slots: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    slots.sort_unstable();
    slots
}

/// A finding as a job is told of it.
pub fn handed_out(store: &Store, Finding { files, values, made_on, partial }: Finding) -> job::Known {
    let files = files.into_iter().map(|(output, object)| (output, store.object_path(object))).collect();
    job::Known { files, values, made_on, partial, fresh: false }
}
