//! Collects each result's objects, and the results that no limit applies to.
//!
//! Reads traces and listings and changes nothing; damaged ones are skipped, as `verify` handles those.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rayon::iter::{IntoParallelIterator, IntoParallelRefIterator, ParallelIterator};

use super::super::artifact::Kind;
use super::super::error::Error;
use super::super::listing::{EntryKind, Listing};
use super::super::stat::Stat;
use super::super::strange::names;
use super::super::trace::Found;
use super::super::{Store, Trace};
use super::decide::{Candidate, Limits, Verdict};
use super::{Needs, Roots};
use crate::digest::{Digest, FileDigest, Key};

/// An object's file.
pub(in crate::store) struct ObjectFile {
    pub(in crate::store) object: FileDigest,
    pub(in crate::store) size: u64,
    pub(in crate::store) changed_ns: i64,
    /// Whether it has no other hard link: only then does removing it free its bytes.
    pub(in crate::store) is_alone: bool,
}

/// A trace with its last use and what it references.
pub(super) struct Marked {
    pub(super) trace: Trace,
    pub(super) last_use_ns: i64,
    pub(super) needs: Needs,
    pub(super) objects: Vec<FileDigest>,
}

impl Store {
    /// All object files, in order of their names.
    pub(in crate::store) fn object_files(&self) -> Result<Vec<ObjectFile>, Error> {
        let top = self.root.join("objects");
        let look = |prefix: &std::ffi::OsString| {
            let folder = top.join(prefix);
            let mut files = Vec::new();
            for name in names(&folder)? {
                let digest = prefix.to_str().zip(name.to_str()).and_then(|(a, b)| format!("{a}{b}").parse().ok());
                // Another process may have quarantined it since.
                let Some((digest, metadata)) = digest.zip(folder.join(&name).symlink_metadata().ok()) else { continue };
                files.push(ObjectFile {
                    object: FileDigest(digest),
                    size: metadata.len(),
                    changed_ns: Stat::from(&metadata).ctime_ns,
                    is_alone: metadata.nlink() == 1,
                });
            }
            Ok(files)
        };
        let folders: Vec<Result<Vec<ObjectFile>, Error>> = names(&top)?.par_iter().map(look).collect();
        Ok(folders.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// All readable traces with their references.
    pub(super) fn mark(&self, needs: &(dyn Fn(&Trace) -> Needs + Sync)) -> Result<Vec<Marked>, Error> {
        let mark = |key: Key| {
            let last_use_ns = Stat::of_itself(&self.trace_path(key)).ok()?.mtime_ns;
            let Ok(Some(Found::Trace(trace))) = self.find(key) else { return None };
            let needs = needs(&trace);
            let mut objects = HashSet::new();
            for output in &trace.outputs {
                self.reach(output.artifact.object, output.artifact.kind == Kind::Folder, &mut objects);
            }
            objects.extend(&needs.listings);
            Some(Marked { trace: *trace, last_use_ns, needs, objects: objects.into_iter().collect() })
        };
        Ok(self.keys()?.into_par_iter().filter_map(mark).collect())
    }

    fn reach(&self, object: FileDigest, is_listing: bool, found: &mut HashSet<FileDigest>) {
        let mut open = vec![(object, is_listing)];
        while let Some((object, is_listing)) = open.pop() {
            if !found.insert(object) || !is_listing {
                continue;
            }
            let bytes = crate::plain::read(&self.object_path(object)).ok();
            let intact = bytes.filter(|bytes| FileDigest(Digest::of(bytes)) == object);
            let listing = intact.and_then(|bytes| Listing::decode(&bytes).ok()).unwrap_or_default();
            open.extend(listing.entries().iter().map(|entry| (entry.object, entry.kind == EntryKind::Folder)));
        }
    }

    /// Results that no limit applies to: pinned, in place, or used by an active run.
    pub(super) fn roots(&self, limits: &Limits) -> Result<Roots, Error> {
        self.roots_but(limits, &|_, _| false)
    }

    /// The same. In a workspace without an active run a record counts as none if `leave_out` says so, by the workspace's
    /// root and the record's name.
    pub(super) fn roots_but(
        &self,
        limits: &Limits,
        leave_out: &dyn Fn(Option<&Path>, &str) -> bool,
    ) -> Result<Roots, Error> {
        let mut roots = Roots { pinned: self.pins()?.into_iter().map(|pin| pin.key).collect(), ..Roots::default() };
        for workspace in self.workspaces()? {
            let spared = !workspace.is_gone && (!limits.all || !workspace.runs.is_empty());
            let is_left_out = |name: &String| workspace.runs.is_empty() && leave_out(workspace.root.as_deref(), name);
            for (_, record) in workspace.index.stages.iter().filter(|(name, _)| spared && !is_left_out(name)) {
                // On another machine, or recorded before paths were noted: can't be checked.
                let lies_there = |root: &std::path::PathBuf| {
                    !root.exists()
                        || record.outputs.iter().any(|output| root.join(&output.path).symlink_metadata().is_ok())
                };
                if workspace.root.as_ref().is_none_or(lies_there) {
                    roots.in_place.insert(record.key);
                }
            }
            roots.runs += workspace.runs.len();
            for (run, used) in workspace.runs.iter().zip(workspace.used) {
                let since_ns = (run.since * 1e9) as i64 - super::CLOCKS_DIFFER_NS;
                roots.in_use_since_ns = roots.in_use_since_ns.min(since_ns);
                match used {
                    Some(used) => roots.in_use.extend(used),
                    None => roots.unnoted_since_ns = roots.unnoted_since_ns.min(since_ns),
                }
            }
        }
        Ok(roots)
    }
}

/// The results as the policy sees them, with the sizes of their objects.
pub(super) fn candidates(marked: &[Marked], files: &[ObjectFile], roots: &Roots) -> (Vec<Candidate>, Vec<u64>) {
    let numbers: HashMap<FileDigest, u32> = files.iter().zip(0..).map(|(file, number)| (file.object, number)).collect();
    let candidate = |marked: &Marked| {
        let key = marked.trace.key;
        let protection = if roots.pinned.contains(&key) {
            Some(Verdict::Pinned)
        } else if roots.in_use.contains(&key) || marked.last_use_ns >= roots.unnoted_since_ns {
            Some(Verdict::InUse)
        } else {
            roots.in_place.contains(&key).then_some(Verdict::InPlace)
        };
        Candidate {
            stage: (marked.trace.pipeline.clone(), marked.trace.stage.clone()),
            last_use_ns: marked.last_use_ns,
            protection,
            takes: marked.needs.inputs.iter().chain(&marked.trace.after).copied().collect(),
            gives: marked.trace.outputs.iter().map(|output| output.artifact.digest()).collect(),
            objects: marked.objects.iter().filter_map(|object| numbers.get(object).copied()).collect(),
        }
    };
    (marked.iter().map(candidate).collect(), files.iter().map(|file| file.size).collect())
}
