//! gc: deletes results that nothing references.
//!
//! Knows results by their traces; the caller reads what a trace was made from, since manifests are opaque here. The order
//! of steps makes it safe to kill at any point, and to run beside everything else:
//!
//! 1. It waits for processes that have looked something up and are about to restore it, or have stored something and are about
//!    to publish it ([`Store::hold`]), and blocks new ones until it is done.
//! 2. It keeps what active runs have found or made, by their own lists, and what is in place in their workspaces
//!    ([`Store::visit`]).
//! 3. It removes traces before the objects that they name. A kill in between leaves unreferenced objects.
//!
//! The last use of a result is the modification time of its trace.

mod decide;
mod mark;
mod remove;
mod sweep;

use std::collections::HashSet;

pub use self::decide::{Limits, Verdict};
pub use self::remove::Chosen;

use self::decide::decide;
pub(super) use self::mark::ObjectFile;
use self::mark::{Marked, candidates};
use super::error::Error;
use super::stat::now_ns;
use super::{Store, Tally, Trace};
use crate::digest::{ArtifactDigest, FileDigest, Key};

/// Clocks of two machines that share a cache may differ by this much.
const CLOCKS_DIFFER_NS: i64 = 3600 * 1_000_000_000;

/// References in a trace's manifest.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// What the result was made from.
    pub inputs: Vec<ArtifactDigest>,
    /// Objects that list what it was made from, so that `why` can name files.
    pub listings: Vec<FileDigest>,
}

/// What no limit applies to.
struct Roots {
    pinned: HashSet<Key>,
    in_place: HashSet<Key>,
    /// The results that active runs have recorded as found or made.
    in_use: HashSet<Key>,
    /// Results used or made since then belong to an active run that has recorded nothing.
    unnoted_since_ns: i64,
    /// Unreferenced objects newer than this may be in use by an active run.
    in_use_since_ns: i64,
    /// Number of active runs.
    runs: usize,
}

impl Default for Roots {
    fn default() -> Roots {
        Roots {
            pinned: HashSet::new(),
            in_place: HashSet::new(),
            in_use: HashSet::new(),
            unnoted_since_ns: i64::MAX,
            in_use_since_ns: i64::MAX,
            runs: 0,
        }
    }
}

/// A result and its verdict.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its trace.
    pub trace: Trace,
    /// Bytes of its objects; several results may share some of them.
    pub size: u64,
    /// Last use, in seconds since the Unix epoch.
    pub last_use: f64,
    /// Kept or deleted.
    pub verdict: Verdict,
}

/// What gc did, or would do.
#[derive(Clone, Debug, Default)]
pub struct Collection {
    /// Every result. [`Verdict::Needed`] is an index into these.
    pub entries: Vec<Entry>,
    /// Deleted objects: those of deleted results and unreferenced ones.
    pub objects: Tally,
    /// How many of these bytes are freed: a restored hard link keeps its own.
    pub freed: u64,
    /// Kept objects.
    pub kept: Tally,
    /// Deleted resume slots.
    pub slots: Tally,
    /// Deleted logs.
    pub logs: Tally,
    /// Deleted files of findings whose objects are all gone, or which are old and have none.
    pub settings: Tally,
    /// Deleted samples, and those that are kept.
    pub samples: Tally,
    /// See [`Collection::samples`].
    pub samples_kept: Tally,
    /// Deleted damaged files.
    pub quarantine: Tally,
    /// Deleted leftovers of killed processes.
    pub tmp: usize,
    /// Edited outputs that were put aside. They are kept: they exist nowhere else.
    pub orphans: Tally,
    /// Active runs, whose results are kept.
    pub runs: usize,
    /// Bytes above the limit that can't be deleted.
    pub above: u64,
}

impl Store {
    /// Deletes what exceeds `limits`, or with `dry` only reports it. `needs` reads a trace's manifest. `None`: another gc
    /// is active.
    ///
    /// # Errors
    /// [`Error::Io`]. What was removed before the error was removed correctly.
    pub fn gc(
        &self,
        limits: &Limits,
        needs: &(dyn Fn(&Trace) -> Needs + Sync),
        dry: bool,
    ) -> Result<Option<Collection>, Error> {
        let alone = if dry {
            None
        } else {
            // First, as it may take as long as a lock of another machine may be silent.
            self.settle_runs()?;
            match self.hold_alone()? {
                None => return Ok(None),
                alone => alone,
            }
        };
        let roots = self.roots(limits)?;
        let marked = self.mark(needs)?;
        let files = self.object_files()?;
        let slots = self.slots(limits, &roots)?;
        let (candidates, sizes) = candidates(&marked, &files, &roots);
        let others: u64 = slots.iter().filter(|slot| !slot.goes).map(|slot| slot.tally.bytes).sum();
        let verdicts = decide(&candidates, &sizes, others, limits, now_ns());
        let mut collection = Collection { runs: roots.runs, orphans: self.tally("orphans")?, ..Collection::default() };
        let gone = self.unreferenced(&marked, &verdicts, files, &roots, &mut collection);
        collection.above = limits.max_size.map_or(0, |max| (collection.kept.bytes + others).saturating_sub(max));
        collection.entries = entries(marked, &verdicts, &candidates, &sizes);
        let room = limits.max_size.map(|max| max.saturating_sub(collection.kept.bytes + others));
        self.sweep_samples(limits, room, alone.is_some(), &mut collection)?;
        self.sweep_all(&gone, &slots, limits, alone.as_ref(), &mut collection)?;
        Ok(Some(collection))
    }

    /// The objects that no kept result references.
    fn unreferenced(
        &self,
        marked: &[Marked],
        verdicts: &[Verdict],
        files: Vec<ObjectFile>,
        roots: &Roots,
        collection: &mut Collection,
    ) -> Vec<FileDigest> {
        let kept = marked.iter().zip(verdicts).filter(|(_, verdict)| !verdict.goes());
        let referenced: HashSet<FileDigest> = kept.flat_map(|(marked, _)| &marked.objects).copied().collect();
        let mut gone = Vec::new();
        for file in files {
            let stays = referenced.contains(&file.object) || file.changed_ns >= roots.in_use_since_ns;
            let tally = if stays { &mut collection.kept } else { &mut collection.objects };
            *tally = Tally { files: tally.files + 1, bytes: tally.bytes + file.size };
            if !stays {
                collection.freed += if file.is_alone { file.size } else { 0 };
                gone.push(file.object);
            }
        }
        gone
    }
}

fn entries(marked: Vec<Marked>, verdicts: &[Verdict], candidates: &[decide::Candidate], sizes: &[u64]) -> Vec<Entry> {
    let with = marked.into_iter().zip(verdicts).zip(candidates);
    with.map(|((marked, verdict), candidate)| Entry {
        trace: marked.trace,
        size: candidate.objects.iter().map(|object| sizes[*object as usize]).sum(),
        last_use: marked.last_use_ns as f64 / 1e9,
        verdict: *verdict,
    })
    .collect()
}

#[cfg(test)]
mod tests;
