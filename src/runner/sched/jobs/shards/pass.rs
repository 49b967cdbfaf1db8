//! How a pass over the items was divided into shards, for a later run that finds some of them under way.
//!
//! Knows names and items, no job. What a batch system runs goes on when this program ends, and each shard was told which items
//! were known when the pass was divided. A later run must divide in the same way, though more is known by then: else its shards
//! would find what those under way find, and leave out other items. On this machine no shard outlives its run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Item;
use crate::exec::Failure;
use crate::exec::batch::was_submitted;
use crate::exec::job::Job;
use crate::plain;
use crate::store::Store;

use super::super::super::failure::io_failure;
use super::super::super::items::shard_slots_in;

/// A pass that was divided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Pass {
    /// The number of shards.
    pub(super) number: usize,
    /// What was known when it was divided.
    pub(super) known: BTreeSet<Item>,
    /// The shards that have ended well.
    pub(super) done: BTreeSet<usize>,
}

impl Pass {
    /// A new one.
    pub(super) fn new(number: usize, job: &Job) -> Pass {
        let known = job.items.iter().flat_map(|items| &items.known).filter(|(_, known)| job.may_reuse(known));
        Pass { number, known: known.map(|(item, _)| *item).collect(), done: BTreeSet::new() }
    }

    /// The one that an earlier run has left in this slot, if a batch system has got a shard of it. `name`: of the stage's own job.
    pub(super) fn under_way(store: &Store, slot: &Path, name: &str) -> Option<Pass> {
        let pass: Pass = serde_json::from_slice(&plain::read(&file(slot)).ok()?).ok()?;
        let is_under_way = |shard| was_submitted(store.job_folder(&shard_name(name, shard, pass.number)).path());
        (0..pass.number).any(is_under_way).then_some(pass)
    }

    /// Notes it in the slot. One that is cut off is none.
    pub(super) fn note(&self, slot: &Path) -> Result<(), Failure> {
        let file = file(slot);
        let text = serde_json::to_vec(self).expect("numbers and items are plain data");
        let folder = shard_slots_in(slot);
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(&file, text))
            .map_err(|error| io_failure("write", &file, &error))
    }
}

/// The name of one of `number` shards, counted from 0, of the stage whose own job has this name.
pub(super) fn shard_name(name: &str, shard: usize, number: usize) -> String {
    format!("{name}.{}-of-{number}", shard + 1)
}

/// Removes the folders of all shards of the stage whose own job has this name, of whatever pass.
///
/// # Errors
/// One can't be removed.
pub(super) fn clear(store: &Store, name: &str) -> Result<(), crate::store::Error> {
    let entries = std::fs::read_dir(store.job_folders()).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let is_shard = |other: &String| other.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    names.filter(is_shard).try_for_each(|shard| store.job_folder(&shard).remove())
}

fn file(slot: &Path) -> PathBuf {
    shard_slots_in(slot).join("pass.json")
}
