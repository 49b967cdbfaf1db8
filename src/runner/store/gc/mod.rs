//! gc: lets go what no kept result needs.
//!
//! Knows results by their traces; what a trace was made from it is told, since manifests are opaque here. The order makes it
//! safe to kill at any point, and to run beside everything else:
//!
//! 1. It waits for whoever has looked something up and is about to restore it, or has stored something and is about to
//!    publish it ([`Store::hold`]), and keeps others from beginning with that until it is done.
//! 2. What a run at work has found or made stays, by its own list, and so does what lies in its workspace ([`Store::visit`]).
//! 3. Traces go before the objects that they name. A kill in between leaves objects that nothing refers to.
//!
//! The last use of a result is the modification time of its trace.

mod decide;
mod mark;
mod sweep;

use std::collections::HashSet;

pub use self::decide::{Limits, Verdict};

use self::decide::decide;
pub(super) use self::mark::ObjectFile;
use self::mark::{Marked, candidates};
use super::error::Error;
use super::stat::now_ns;
use super::{Store, Tally, Trace};
use crate::digest::{ArtifactDigest, FileDigest, Key};

/// Clocks of two machines that share a cache may differ by so much.
const CLOCKS_DIFFER_NS: i64 = 3600 * 1_000_000_000;

/// What a trace's manifest refers to.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// What the result was made from.
    pub inputs: Vec<ArtifactDigest>,
    /// Objects that list what it was made from, so that `why` goes down to the file.
    pub listings: Vec<FileDigest>,
}

/// What no limit reaches.
struct Roots {
    pinned: HashSet<Key>,
    in_place: HashSet<Key>,
    /// What runs at work have found or made, as they have noted it.
    in_use: HashSet<Key>,
    /// What was used or made since then belongs to a run that is at work and has noted nothing.
    unnoted_since_ns: i64,
    /// Garbage of later than that may be what a run at work is about to use.
    in_use_since_ns: i64,
    /// How many are at work.
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

/// A result and what becomes of it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its record.
    pub trace: Trace,
    /// Bytes of its objects; several results may share some of them.
    pub size: u64,
    /// When it was last used, in seconds since the Unix epoch.
    pub last_use: f64,
    /// Stays or goes.
    pub verdict: Verdict,
}

/// What gc did, or would do.
#[derive(Clone, Debug, Default)]
pub struct Collection {
    /// Every result. [`Verdict::Needed`] is an index into these.
    pub entries: Vec<Entry>,
    /// Objects that go, those of results that go and those that nothing referred to.
    pub objects: Tally,
    /// How many of these bytes are freed: a view that is a hard link keeps its own.
    pub freed: u64,
    /// Objects that stay.
    pub kept: Tally,
    /// Resume slots that go.
    pub slots: Tally,
    /// Logs that go.
    pub logs: Tally,
    /// Files of findings that go, as nothing that they name is left.
    pub settings: Tally,
    /// Damaged things that go.
    pub quarantine: Tally,
    /// Leftovers of killed processes that go.
    pub tmp: usize,
    /// Edited outputs that were put aside. They stay: nobody else has them.
    pub orphans: Tally,
    /// Runs at work, whose results stay.
    pub runs: usize,
    /// Bytes above the limit that can't go.
    pub above: u64,
}

impl Store {
    /// Lets go what `limits` say, or only says what would go. `needs` reads a trace's manifest. `None`: another gc is at work.
    ///
    /// # Errors
    /// [`Error::Io`]. What was removed by then was let go rightly.
    pub fn gc(
        &self,
        limits: &Limits,
        needs: &(dyn Fn(&Trace) -> Needs + Sync),
        dry: bool,
    ) -> Result<Option<Collection>, Error> {
        let _alone = if dry {
            None
        } else {
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
        self.sweep_all(&gone, &slots, limits, dry, &mut collection)?;
        Ok(Some(collection))
    }

    /// The objects that no kept result refers to.
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
