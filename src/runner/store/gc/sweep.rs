//! Deletes traces, then objects, then leftovers.
//!
//! Decides only about leftovers, which no result needs: resume slots, logs, damaged files. They are deleted by age alone.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::super::error::{At, Error};
use super::super::strange::names;
use super::super::{Hold, Store, Tally};
use super::{Collection, Limits, Roots};
use crate::digest::{FileDigest, Key};
use crate::finding;
use crate::plain;

/// Leftovers of a job that didn't succeed.
pub(super) struct SlotFound {
    pub(super) key: Key,
    pub(super) tally: Tally,
    /// Whether nobody computes its key or waits for its job.
    pub(super) is_spare: bool,
    pub(super) goes: bool,
}

impl Store {
    /// The resume slots, each with the folder of a job that a batch system has. One is deleted if both are older than the limit,
    /// nobody computes its key, and the next run wouldn't take the job's result.
    pub(super) fn slots(&self, limits: &Limits, roots: &Roots) -> Result<Vec<SlotFound>, Error> {
        let folder = self.root.join("slots");
        let mut slots = Vec::new();
        for key in names(&folder)?.iter().filter_map(|name| name.to_str()?.parse::<Key>().ok()) {
            let (mut tally, mut changed) = weigh(&folder.join(key.to_string()))?;
            let job = self.job_folder(&key.to_string());
            if job.path().exists() {
                let (of_job, job_changed) = weigh(job.path())?;
                (tally, changed) = (tally + of_job, changed.max(job_changed));
            }
            let in_use = changed.is_none_or(|changed| nanoseconds(changed) >= roots.in_use_since_ns);
            let is_spare = !in_use && !job.is_awaited() && !self.is_leased(key)?;
            let goes = is_older(changed, limits.older_than) && is_spare;
            slots.push(SlotFound { key, tally, is_spare, goes });
        }
        Ok(slots)
    }

    /// Deletes all that, unless `alone` is none: the lock that keeps others away.
    pub(super) fn sweep_all(
        &self,
        gone: &[FileDigest],
        slots: &[SlotFound],
        limits: &Limits,
        alone: Option<&Hold>,
        collection: &mut Collection,
    ) -> Result<(), Error> {
        let goes = |entry: &&super::Entry| entry.verdict.goes();
        let keys: Vec<Key> = collection.entries.iter().filter(goes).map(|entry| entry.trace.key).collect();
        for slot in slots.iter().filter(|slot| slot.goes) {
            collection.slots = collection.slots + slot.tally;
        }
        let going = slots.iter().filter(|slot| slot.goes).map(|slot| slot.key);
        let logs = self.stale_logs(&going.chain(keys.iter().copied()).collect(), limits)?;
        let quarantined = self.old_files("quarantine", limits.older_than)?;
        let settings = self.stale_settings(gone, limits)?;
        let tallies = [
            (&mut collection.logs, &logs),
            (&mut collection.quarantine, &quarantined),
            (&mut collection.settings, &settings),
        ];
        for (tally, files) in tallies {
            *tally = files.iter().fold(*tally, |tally, (_, found)| tally + *found);
        }
        let Some(alone) = alone else { return Ok(()) };
        // Each time: if this process was suspended for long, others may look up what it is about to remove.
        let remove =
            |path: &Path| if alone.holds() { remove(path) } else { Err(Error::Overtaken { path: self.root.clone() }) };
        keys.iter().try_for_each(|key| remove(&self.trace_path(*key)))?;
        keys.iter().try_for_each(|key| remove(&self.signature_path(*key)))?;
        gone.iter().try_for_each(|object| remove(&self.object_path(*object)))?;
        for slot in slots.iter().filter(|slot| slot.goes) {
            // A run may have taken it meanwhile; its lease says so.
            if !alone.holds() {
                return Err(Error::Overtaken { path: self.root.clone() });
            }
            self.slot(slot.key).remove()?;
            self.job_folder(&slot.key.to_string()).remove()?;
        }
        logs.iter().chain(&quarantined).chain(&settings).try_for_each(|(path, _)| remove(path))?;
        collection.tmp = self.sweep()?;
        Ok(())
    }

    /// Deletes samples by age, and those for which results and resume slots leave no room: a sample is made again in
    /// milliseconds. With `really` unset only counts them.
    pub(super) fn sweep_samples(
        &self,
        limits: &Limits,
        room: Option<u64>,
        really: bool,
        collection: &mut Collection,
    ) -> Result<(), Error> {
        let (stale, left) = self.stale_samples(limits.older_than, room)?;
        collection.samples_kept = left;
        for file in &stale {
            collection.samples = collection.samples + Tally { files: 1, bytes: file.bytes };
            if really {
                remove(&file.path)?;
            }
        }
        Ok(())
    }

    /// The logs of deleted results, and old logs of failed jobs that left nothing to resume.
    fn stale_logs(&self, gone: &HashSet<Key>, limits: &Limits) -> Result<Vec<(PathBuf, Tally)>, Error> {
        let is_spare = |key: &Key| !self.trace_path(*key).exists() && !self.slot(*key).path().exists();
        let mut stale = Vec::new();
        for name in names(&self.root.join("logs"))? {
            let Some(key) = name.to_str().and_then(|name| name.strip_suffix(".log")?.parse::<Key>().ok()) else {
                continue;
            };
            let path = self.log_path(key);
            let (tally, changed) = weigh(&path)?;
            let is_stale = gone.contains(&key) || (is_spare(&key) && is_older(changed, limits.older_than));
            if is_stale && !self.is_leased(key)? {
                stale.push((path, tally));
            }
        }
        Ok(stale)
    }

    /// The files of settings in which no finding has its objects, once those in `gone` are deleted. Findings without objects go by
    /// age.
    fn stale_settings(&self, gone: &[FileDigest], limits: &Limits) -> Result<Vec<(PathBuf, Tally)>, Error> {
        let gone: HashSet<&FileDigest> = gone.iter().collect();
        let is_there = |object: &FileDigest| !gone.contains(object) && self.object_path(*object).exists();
        let top = self.root.join("items");
        let mut stale = Vec::new();
        for prefix in names(&top)? {
            for name in names(&top.join(&prefix))? {
                let path = top.join(&prefix).join(name);
                // An unreadable one is not ours to remove.
                let Ok(bytes) = plain::read(&path) else { continue };
                let findings = finding::read(&bytes);
                let (bare, others): (Vec<_>, Vec<_>) = findings.values().partition(|finding| finding.files.is_empty());
                let is_spare = bare.is_empty() || is_older(weigh(&path)?.1, limits.older_than);
                if is_spare && !others.iter().any(|finding| finding.files.values().all(is_there)) {
                    stale.push((path, Tally { files: 1, bytes: bytes.len() as u64 }));
                }
            }
        }
        Ok(stale)
    }

    fn old_files(&self, part: &str, older_than: Option<Duration>) -> Result<Vec<(PathBuf, Tally)>, Error> {
        let mut old = Vec::new();
        for name in names(&self.root.join(part))? {
            let path = self.root.join(part).join(name);
            let (tally, changed) = weigh(&path)?;
            if is_older(changed, older_than) {
                old.push((path, tally));
            }
        }
        Ok(old)
    }
}

/// Only if there is a limit.
fn is_older(changed: Option<SystemTime>, limit: Option<Duration>) -> bool {
    let age = changed.and_then(|changed| SystemTime::now().duration_since(changed).ok());
    limit.zip(age).is_some_and(|(limit, age)| age > limit)
}

fn nanoseconds(time: SystemTime) -> i64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}

/// The files at and below `path`, and their latest change. Files that vanish meanwhile don't count.
fn weigh(path: &Path) -> Result<(Tally, Option<SystemTime>), Error> {
    let (mut tally, mut latest) = (Tally::default(), None);
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        latest = latest.max(metadata.modified().ok());
        if metadata.is_dir() {
            open.extend(names(&path)?.into_iter().map(|name| path.join(name)));
        } else {
            tally = tally + Tally { files: 1, bytes: metadata.len() };
        }
    }
    Ok((tally, latest))
}

fn remove(path: &Path) -> Result<(), Error> {
    plain::remove(path).at("remove", path)
}
