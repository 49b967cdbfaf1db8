//! Deletes chosen results: those of one experiment, by command.
//!
//! Knows keys, not what they are results of. What anything else still needs stays, and it is said why: a result that other
//! experiments name, that is pinned, in place, in use by an active run, or that another kept result was made from. The order
//! of steps is that of gc, so it is as safe to kill and to run beside everything else. Objects that nothing references for
//! another reason are left to gc.

use std::collections::HashSet;
use std::path::Path;

use super::super::error::Error;
use super::super::{Store, Trace};
use super::decide::{Verdict, decide_chosen};
use super::mark::candidates;
use super::{Collection, Limits, Needs, entries};
use crate::digest::{FileDigest, Key};

/// Which results to delete.
pub struct Chosen<'a> {
    /// Those of the experiment, with and without a result: what a failed stage left to resume goes, too.
    pub wanted: &'a HashSet<Key>,
    /// Those that other experiments name.
    pub shared: &'a HashSet<Key>,
    /// Whether a result that is in place goes nevertheless: by the workspace's root, if known, and the name of its record in
    /// the index. Asked only for workspaces without an active run.
    pub also_in_place: &'a dyn Fn(Option<&Path>, &str) -> bool,
}

impl Store {
    /// Deletes these results, or with `dry` only reports it. `needs` reads a trace's manifest. The collection's entries are
    /// the wanted results only. `None`: a gc is active.
    ///
    /// # Errors
    /// [`Error::Io`]. What was removed before the error was removed correctly.
    pub fn remove(
        &self,
        chosen: &Chosen<'_>,
        needs: &(dyn Fn(&Trace) -> Needs + Sync),
        dry: bool,
    ) -> Result<Option<Collection>, Error> {
        let alone = if dry {
            None
        } else {
            self.settle_runs()?;
            match self.hold_alone()? {
                None => return Ok(None),
                alone => alone,
            }
        };
        let limits = Limits::default();
        let roots = self.roots_but(&limits, chosen.also_in_place)?;
        let marked = self.mark(needs)?;
        let files = self.object_files()?;
        let (mut candidates, sizes) = candidates(&marked, &files, &roots);
        for (candidate, marked) in candidates.iter_mut().zip(&marked) {
            let key = marked.trace.key;
            candidate.protection = match candidate.protection {
                _ if !chosen.wanted.contains(&key) => Some(Verdict::Recent),
                None if chosen.shared.contains(&key) => Some(Verdict::Shared),
                protection => protection,
            };
        }
        let verdicts = decide_chosen(&candidates);
        let (mut kept, mut given_up) = (HashSet::new(), HashSet::new());
        for (marked, verdict) in marked.iter().zip(&verdicts) {
            let objects = if verdict.goes() { &mut given_up } else { &mut kept };
            objects.extend(marked.objects.iter().copied());
        }
        let mut collection = Collection { runs: roots.runs, ..Collection::default() };
        let mut gone: Vec<FileDigest> = Vec::new();
        for file in files.iter().filter(|file| given_up.contains(&file.object) && !kept.contains(&file.object)) {
            if file.changed_ns >= roots.in_use_since_ns {
                continue;
            }
            collection.objects.files += 1;
            collection.objects.bytes += file.size;
            collection.freed += if file.is_alone { file.size } else { 0 };
            gone.push(file.object);
        }
        let mut slots = self.slots(&limits, &roots)?;
        for slot in &mut slots {
            let is_ours = chosen.wanted.contains(&slot.key) && !chosen.shared.contains(&slot.key);
            slot.goes = is_ours && slot.is_spare && !roots.in_use.contains(&slot.key);
        }
        collection.entries = entries(marked, &verdicts, &candidates, &sizes);
        self.sweep_all(&gone, &slots, &limits, alone.as_ref(), &mut collection)?;
        collection.entries = named_anew(collection.entries, chosen.wanted);
        Ok(Some(collection))
    }
}

/// The wanted entries; [`Verdict::Needed`] by one that isn't among them names it by its place after them.
fn named_anew(entries: Vec<super::Entry>, wanted: &HashSet<Key>) -> Vec<super::Entry> {
    let is_wanted = |entry: &super::Entry| wanted.contains(&entry.trace.key);
    let needing: HashSet<usize> = entries
        .iter()
        .filter(|entry| is_wanted(entry))
        .filter_map(|entry| match entry.verdict {
            Verdict::Needed(by) => Some(by),
            _ => None,
        })
        .collect();
    let (mut own, mut others, mut places) = (Vec::new(), Vec::new(), std::collections::HashMap::new());
    for (old, entry) in entries.into_iter().enumerate() {
        if is_wanted(&entry) {
            own.push((old, entry));
        } else if needing.contains(&old) {
            others.push((old, entry));
        }
    }
    let all: Vec<(usize, super::Entry)> = own.into_iter().chain(others).collect();
    places.extend(all.iter().enumerate().map(|(new, (old, _))| (*old, new)));
    all.into_iter()
        .map(|(_, mut entry)| {
            if let Verdict::Needed(by) = entry.verdict {
                entry.verdict = places.get(&by).map_or(Verdict::Recent, |by| Verdict::Needed(*by));
            }
            entry
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::digest::Digest;
    use crate::store::{Artifact, Pin, Take, TracedOutput};

    struct Scene {
        dir: tempfile::TempDir,
        store: Store,
    }

    fn key(name: &str) -> Key {
        Key(Digest::of(name.as_bytes()))
    }

    impl Scene {
        fn new() -> Scene {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(&dir.path().join("cache")).unwrap();
            Scene { dir, store }
        }

        fn result(&self, name: &str, files: &[&str], from: &[&Artifact]) -> Artifact {
            let folder = self.dir.path().join(name);
            fs::create_dir(&folder).unwrap();
            files.iter().for_each(|file| fs::write(folder.join(file), file).unwrap());
            let artifact = self.store.insert(&folder, Take::Copy).unwrap();
            let inputs: Vec<_> = from.iter().map(|from| from.digest()).collect();
            let mut trace = Trace::new(key(name), "demo", name, "command", serde_json::to_value(inputs).unwrap());
            trace.outputs = vec![TracedOutput { name: "out".into(), path: "out".into(), artifact }];
            self.store.publish(&trace, &[]).unwrap();
            fs::write(self.store.log_path(key(name)), "log").unwrap();
            artifact
        }

        fn remove(&self, wanted: &[&str], shared: &[&str], dry: bool) -> Collection {
            let keys = |names: &[&str]| names.iter().map(|name| key(name)).collect::<HashSet<Key>>();
            let needs = |trace: &Trace| Needs {
                inputs: serde_json::from_value(trace.manifest.clone()).unwrap(),
                listings: Vec::new(),
            };
            let (wanted, shared) = (keys(wanted), keys(shared));
            let chosen = Chosen { wanted: &wanted, shared: &shared, also_in_place: &|_, _| false };
            self.store.remove(&chosen, &needs, dry).unwrap().unwrap()
        }

        fn left(&self) -> HashSet<Key> {
            self.store.keys().unwrap().into_iter().collect()
        }
    }

    fn keys(names: &[&str]) -> HashSet<Key> {
        names.iter().map(|name| key(name)).collect()
    }

    #[test]
    fn exactly_what_is_chosen_goes_and_what_is_shared_or_needed_stays_and_is_named() {
        let scene = Scene::new();
        let base = scene.result("base", &["base"], &[]);
        let own = scene.result("own", &["own", "both"], &[&base]);
        let other = scene.result("other", &["other", "both"], &[&base]);
        scene.result("shared", &["shared"], &[]);
        let loose = scene.store.insert_bytes(b"for gc").unwrap();
        let would = scene.remove(&["base", "own", "shared"], &["shared"], true);
        assert_eq!(scene.left().len(), 4, "a dry run changes nothing");
        let did = scene.remove(&["base", "own", "shared"], &["shared"], false);
        assert_eq!((would.objects, would.freed), (did.objects, did.freed));
        assert_eq!(scene.left(), keys(&["base", "other", "shared"]));
        assert_eq!(did.objects.files, 2, "its listing and its file; another result has `both`");
        assert!(scene.store.could_restore(&other).unwrap() && !scene.store.could_restore(&own).unwrap());
        assert!(scene.store.object_path(loose).exists() && !scene.store.log_path(key("own")).exists());
        let verdict = |name: &str| did.entries.iter().find(|entry| entry.trace.key == key(name)).unwrap().verdict;
        assert_eq!((verdict("own"), verdict("shared")), (Verdict::Asked, Verdict::Shared));
        let Verdict::Needed(by) = verdict("base") else { panic!("{:?}", verdict("base")) };
        assert_eq!(did.entries[by].trace.key, key("other"));
    }

    #[test]
    fn what_is_pinned_or_in_use_by_a_run_stays() {
        let scene = Scene::new();
        for name in ["pinned", "used", "free"] {
            scene.result(name, &[name], &[]);
        }
        let pin = Pin { key: key("pinned"), pipeline: "p".into(), stage: "s".into(), since: 0.0 };
        scene.store.pin(&pin).unwrap();
        let run = Store::open(scene.store.root()).unwrap();
        let visit = run.visit(scene.dir.path()).unwrap();
        run.note_use(key("used"));
        let slot = scene.store.slot(key("free"));
        slot.create().unwrap();
        let removed = scene.remove(&["pinned", "used", "free"], &[], false);
        assert_eq!((scene.left(), removed.runs), (keys(&["pinned", "used"]), 1));
        drop(visit);
        scene.remove(&["pinned", "used", "free"], &[], false);
        assert_eq!(scene.left(), keys(&["pinned"]));
        assert!(!slot.path().exists(), "nobody can go on from it");
    }

    #[test]
    fn whatever_is_chosen_what_stays_is_whole() {
        // Each made from the one before it.
        let names = ["a", "b", "c", "d"];
        for chosen in 0..16_u32 {
            let scene = Scene::new();
            let mut made: Vec<Artifact> = Vec::new();
            for name in names {
                let from: Vec<&Artifact> = made.last().into_iter().collect();
                let artifact = scene.result(name, &[name, "common"], &from);
                made.push(artifact);
            }
            let wanted: Vec<&str> =
                (0..4).filter(|bit| chosen >> bit & 1 == 1).map(|bit| names[bit as usize]).collect();
            scene.remove(&wanted, &[], false);
            let left = scene.left();
            for (place, name) in names.iter().enumerate() {
                let is_needed = names[place + 1..].iter().any(|later| !wanted.contains(later));
                assert_eq!(left.contains(&key(name)), !wanted.contains(name) || is_needed, "{name} of {wanted:?}");
                if left.contains(&key(name)) {
                    assert!(scene.store.could_restore(&made[place]).unwrap(), "{name} of {wanted:?}");
                }
            }
        }
    }
}
