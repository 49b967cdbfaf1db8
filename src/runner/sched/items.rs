//! Known findings for a stage's data set: loaded before its job starts, and stored after it ended, even if it failed.
//!
//! Knows the store and the contract with the worker, not what a kind computes. Each line that a worker left in the slot is
//! valid by itself, since a worker only reads files that match the key; so lines are kept after a failure, an interrupt or
//! a kill as well, which is all that resuming such a stage takes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;

use crate::digest::{Item, Setting};
use crate::exec::job;
use crate::finding::{Finding, read};
use crate::plan::items;
use crate::plan::manifest::Manifest;
use crate::store::{Error, ResumeSlot, Store, Take};

/// The items of one stage.
pub struct KnownItems {
    setting: Setting,
    samples: Option<BTreeMap<String, Item>>,
}

impl KnownItems {
    /// For a stage with this manifest that processes `dataset`, its input of this role.
    pub fn new(manifest: &Manifest, role: &str, dataset: &job::Dataset) -> KnownItems {
        let samples = match dataset {
            job::Dataset::Files { samples, .. } => Some(items::items(samples)),
            job::Dataset::Scenes { .. } => None,
        };
        KnownItems { setting: items::setting(manifest, role, dataset), samples }
    }

    /// The items for the job, with the store's findings, unless everything is to be re-computed.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn for_job(&self, store: &Store, anew: bool) -> Result<job::Items, Error> {
        let ours: Option<BTreeSet<&Item>> = self.samples.as_ref().map(|samples| samples.values().collect());
        let mut known = BTreeMap::new();
        for (item, finding) in if anew { BTreeMap::new() } else { store.findings(self.setting)? } {
            if ours.as_ref().is_none_or(|ours| ours.contains(&item)) && store.has_all_of(&finding)? {
                known.insert(item, handed_out(store, finding));
            }
        }
        Ok(job::Items { samples: self.samples.clone(), known })
    }

    /// Stores the findings that a job left in its slot, so that other keys with this setting can use them. They stay in the
    /// slot as well: objects that no trace names are garbage, but an unfinished pass must not be lost.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn keep(&self, store: &Store, slot: &ResumeSlot<'_>) -> Result<(), Error> {
        let (files, findings) = (job::Items::files(slot.path()), job::Items::findings(slot.path()));
        let lines = match crate::plain::read(&findings) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
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
        store.keep_findings(self.setting, whole)
    }
}

fn handed_out(store: &Store, Finding { files, values, made_on }: Finding) -> job::Known {
    let files = files.into_iter().map(|(output, object)| (output, store.object_path(object))).collect();
    job::Known { files, values, made_on }
}
