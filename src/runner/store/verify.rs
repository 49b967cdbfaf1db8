//! Verifying: reads everything again, whatever its stat, and heals what a workspace or shared cache still has.
//!
//! Runs may continue meanwhile: objects and traces are never modified in place, so what is read is complete or damaged.
//! Damaged files go to quarantine, as a run would do; verifying only finds them before they are needed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::artifact::Kind;
use super::error::Error;
use super::gc::ObjectFile;
use super::listing::{EntryKind, Listing};
use super::stat::now_ns;
use super::trace::Found;
use super::{Health, Store, Tally, Trace};
use crate::digest::{Digest, FileDigest, Key};

/// Progress of verifying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes hashed.
    pub done: u64,
    /// Bytes to hash.
    pub total: u64,
}

/// The result of verifying.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Objects that were hashed.
    pub hashed: Tally,
    /// Objects whose content didn't match their name. They are now in quarantine.
    pub damaged: u64,
    /// Objects that a trace names and that were missing.
    pub missing: u64,
    /// Damaged and missing objects that were restored from a copy in a workspace.
    pub healed: u64,
    /// Files that couldn't be read, and why. They were left in place.
    pub unreadable: Vec<(PathBuf, String)>,
    /// Traces that were read.
    pub traces: u64,
    /// Traces with a wrong checksum. They are now in quarantine.
    pub damaged_traces: u64,
    /// Traces of another format. They were left alone.
    pub other_traces: u64,
    /// Results that the cache no longer has, as `pipeline/stage`: their stages re-run when they are needed.
    pub lost: BTreeSet<String>,
}

impl Findings {
    /// Whether everything is intact or healed.
    pub fn is_well(&self) -> bool {
        self.damaged + self.missing == self.healed
            && self.unreadable.is_empty()
            && self.damaged_traces == 0
            && self.lost.is_empty()
    }
}

impl Store {
    /// Hashes every object, or each with probability `share`; reads every trace, and checks that its objects are present.
    /// Reports progress from several threads.
    ///
    /// # Errors
    /// [`Error::Io`] if a folder can't be listed or nothing can be moved to quarantine.
    pub fn verify(&self, share: f64, tell: &(dyn Fn(Progress) + Sync)) -> Result<Findings, Error> {
        let mut findings = Findings::default();
        let files = self.object_files()?;
        let mut wanted = self.hash_again(&sample(&files, share), &mut findings, tell)?;
        findings.damaged = wanted.len() as u64;
        let (traces, damaged) = self.read_traces(&mut findings)?;
        let present: HashSet<FileDigest> =
            files.iter().map(|file| file.object).filter(|object| !wanted.contains(object)).collect();
        let workspaces = self.workspaces()?;
        let lacks = loop {
            let lacks: Vec<HashSet<FileDigest>> = traces.par_iter().map(|trace| self.lacks(trace, &present)).collect();
            let missing = lacks.iter().flatten().filter(|object| wanted.insert(**object)).count() as u64;
            findings.missing += missing;
            let is_new = missing > 0 || findings.healed == 0 && findings.damaged > 0;
            let healed = if is_new && !self.only_looks { self.heal(&wanted, &workspaces)? } else { 0 };
            findings.healed += healed;
            // A restored listing may name missing objects, so the traces are checked once more.
            if healed == 0 {
                break lacks;
            }
        };
        let is_lost = |(trace, lacks): &(&Trace, &HashSet<FileDigest>)| {
            !lacks.is_empty()
                && !trace.outputs.iter().all(|output| self.could_restore(&output.artifact).unwrap_or(false))
        };
        let lost = traces.iter().zip(&lacks).filter(is_lost);
        findings.lost = lost.map(|(trace, _)| format!("{}/{}", trace.pipeline, trace.stage)).collect();
        let names: HashMap<Key, &String> = workspaces
            .iter()
            .flat_map(|workspace| workspace.index.stages.iter().map(|(name, record)| (record.key, name)))
            .collect();
        findings.lost.extend(damaged.iter().filter_map(|key| names.get(key)).map(|name| (*name).clone()));
        Ok(findings)
    }

    /// Hashes these objects; returns the damaged ones.
    fn hash_again(
        &self,
        files: &[&ObjectFile],
        findings: &mut Findings,
        tell: &(dyn Fn(Progress) + Sync),
    ) -> Result<HashSet<FileDigest>, Error> {
        let total = files.iter().map(|file| file.size).sum();
        findings.hashed = Tally { files: files.len() as u64, bytes: total };
        let done = AtomicU64::new(0);
        let unreadable = Mutex::new(Vec::new());
        let is_damaged = |file: &&&ObjectFile| {
            let health = self.check_content(file.object);
            tell(Progress { done: done.fetch_add(file.size, Ordering::Relaxed) + file.size, total });
            match health {
                Ok(health) => health == Health::Damaged,
                Err(error) => {
                    let cause = std::error::Error::source(&error).map_or(String::new(), ToString::to_string);
                    let mut unreadable = unreadable.lock().expect("no code panics while it holds this list");
                    unreadable.push((self.object_path(file.object), cause));
                    false
                }
            }
        };
        let damaged = files.par_iter().filter(is_damaged).map(|file| file.object).collect();
        findings.unreadable = unreadable.into_inner().expect("no code panics while it holds this list");
        findings.unreadable.sort();
        Ok(damaged)
    }

    fn read_traces(&self, findings: &mut Findings) -> Result<(Vec<Trace>, Vec<Key>), Error> {
        let (mut traces, mut damaged) = (Vec::new(), Vec::new());
        for key in self.keys()? {
            match self.find(key) {
                Ok(Some(Found::Trace(trace))) => traces.push(*trace),
                Ok(Some(Found::OtherFormat)) => findings.other_traces += 1,
                Ok(Some(Found::Damaged)) => {
                    self.quarantine(&self.trace_path(key))?;
                    damaged.push(key);
                }
                Ok(None) => {}
                Err(error) => findings.unreadable.push((self.trace_path(key), error.to_string())),
            }
        }
        findings.traces = (traces.len() + damaged.len()) as u64;
        findings.damaged_traces = damaged.len() as u64;
        Ok((traces, damaged))
    }

    /// The missing objects of a result, as far as its listings can be read.
    fn lacks(&self, trace: &Trace, present: &HashSet<FileDigest>) -> HashSet<FileDigest> {
        let artifacts = trace.outputs.iter().map(|output| output.artifact);
        let mut open: Vec<(FileDigest, bool)> =
            artifacts.map(|artifact| (artifact.object, artifact.kind == Kind::Folder)).collect();
        let mut lacks = HashSet::new();
        while let Some((object, is_listing)) = open.pop() {
            // It may have been published since the objects were listed.
            if !present.contains(&object) && !self.object_path(object).exists() {
                lacks.insert(object);
            } else if is_listing {
                let bytes = crate::plain::read(&self.object_path(object)).unwrap_or_default();
                match Listing::decode(&bytes) {
                    Ok(listing) => open
                        .extend(listing.entries().iter().map(|entry| (entry.object, entry.kind == EntryKind::Folder))),
                    Err(_) => drop(lacks.insert(object)),
                }
            }
        }
        lacks
    }
}

/// A random choice, different each time: in the long run every object is checked.
fn sample(files: &[ObjectFile], share: f64) -> Vec<&ObjectFile> {
    let turn = now_ns().to_le_bytes();
    let is_chosen = |file: &&ObjectFile| {
        let digest = Digest::of(&[&turn[..], file.object.0.as_bytes()].concat());
        let bytes = digest.as_bytes().first_chunk().expect("a digest has 32 bytes");
        (u64::from_le_bytes(*bytes) as f64) < share * u64::MAX as f64
    };
    files.iter().filter(|file| share >= 1.0 || is_chosen(file)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;
    use crate::store::index::{Index, PlacedOutput, StageRecord};
    use crate::store::{Artifact, Placement, sample};

    struct Scene {
        dir: tempfile::TempDir,
        store: Store,
        artifact: Artifact,
        key: Key,
    }

    /// A result, a folder with two files, of which the workspace has a copy.
    fn scene() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let work = dir.path().join("work");
        let (artifact, Trace { key, .. }) = sample::publish(&store, &work);
        let entries = store.restore(&artifact, &work.join("out"), Placement::Writable).unwrap().entries;
        let outputs = vec![PlacedOutput { path: "out".into(), artifact, entries }];
        let record = StageRecord { key, outputs, finished: 0.0, seconds: 0.0 };
        let index = Index { stages: HashMap::from_iter([("demo/a".to_owned(), record)]), ..Index::default() };
        drop(store.visit(&work).unwrap());
        index.save(&store, &store.index_path(&work).unwrap()).unwrap();
        Scene { dir, store, artifact, key }
    }

    fn overwrite(path: &Path, bytes: &[u8]) {
        fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
        fs::write(path, bytes).unwrap();
    }

    impl Scene {
        fn verify(&self) -> Findings {
            self.store.verify(1.0, &|_| ()).unwrap()
        }

        fn objects(&self) -> Vec<PathBuf> {
            let files = self.store.object_files().unwrap();
            files.iter().map(|file| self.store.object_path(file.object)).collect()
        }
    }

    #[test]
    fn an_intact_store_is_well_and_each_byte_of_it_was_read() {
        let scene = scene();
        let seen = Mutex::new(Vec::new());
        let findings = scene.store.verify(1.0, &|progress| seen.lock().unwrap().push(progress)).unwrap();
        assert!(findings.is_well());
        let bytes = scene.objects().iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        assert_eq!((findings.hashed, findings.traces), (Tally { files: 4, bytes }, 1));
        let last = seen.into_inner().unwrap().into_iter().map(|progress| progress.done).max();
        assert_eq!(last, Some(bytes));
    }

    #[test]
    fn any_object_that_is_damaged_or_missing_comes_back_from_the_workspace() {
        for harm in [|path: &Path| overwrite(path, b"0ther"), |path: &Path| fs::remove_file(path).unwrap()] {
            let scene = scene();
            for object in scene.objects() {
                // The memo of an earlier run must not hide it.
                scene.store.could_restore(&scene.artifact).unwrap();
                harm(&object);
                let findings = scene.verify();
                assert_eq!((findings.damaged + findings.missing, findings.healed), (1, 1), "{}", object.display());
                assert!(findings.is_well());
                assert!(scene.store.could_restore(&scene.artifact).unwrap());
            }
            // All at once, too: then only the restored folder shows what it held.
            scene.objects().iter().for_each(|path| harm(path));
            assert!(scene.verify().is_well());
            assert!(scene.store.could_restore(&scene.artifact).unwrap());
        }
    }

    #[test]
    fn what_nobody_has_is_lost_and_its_stage_is_named() {
        let scene = scene();
        fs::write(scene.dir.path().join("work/out/two"), "2").unwrap();
        overwrite(&scene.store.object_path(FileDigest(Digest::of(b"two"))), b"2");
        let findings = scene.verify();
        assert_eq!((findings.damaged, findings.healed), (1, 0));
        assert_eq!(Vec::from_iter(&findings.lost), ["demo/a"]);
        assert!(!findings.is_well());
    }

    #[test]
    fn a_damaged_trace_is_quarantined_and_its_stage_is_named_where_an_index_knows_it() {
        let scene = scene();
        let path = scene.store.trace_path(scene.key);
        overwrite(&path, &fs::read(&path).unwrap()[1..]);
        let findings = scene.verify();
        assert_eq!((findings.damaged_traces, findings.traces), (1, 1));
        assert_eq!(Vec::from_iter(&findings.lost), ["demo/a"]);
        assert!(!path.exists());
        assert!(scene.verify().is_well(), "it is in quarantine now");
    }

    #[test]
    fn a_sample_takes_about_its_share() {
        let file = |i: u32| ObjectFile {
            object: FileDigest(Digest::of(&i.to_le_bytes())),
            size: 1,
            changed_ns: 0,
            is_alone: true,
        };
        let files: Vec<ObjectFile> = (0..4000).map(file).collect();
        let chosen = sample(&files, 0.05).len();
        // Seven standard deviations to either side.
        assert!((100..300).contains(&chosen), "{chosen}");
        assert_eq!([sample(&files, 0.0).len(), sample(&files, 1.0).len()], [0, 4000]);
    }
}
