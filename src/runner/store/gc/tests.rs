//! gc on real stores: deleted results are gone, and kept ones can be restored.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::*;
use crate::digest::{Digest, Item, Setting};
use crate::finding::Finding;
use crate::store::index::{Index, PlacedOutput, StageRecord};
use crate::store::{Artifact, Pin, Placement, Take, TracedOutput};

const DAY: Duration = Duration::from_secs(24 * 3600);

struct Scene {
    dir: tempfile::TempDir,
    store: Store,
}

fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("cache")).unwrap();
    Scene { dir, store }
}

fn key(name: &str) -> Key {
    Key(Digest::of(name.as_bytes()))
}

fn age(path: &Path, age: Duration) {
    File::open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

impl Scene {
    /// A result of stage `stage`: a folder with these files, made from others, last used this many days ago.
    fn result(&self, name: &str, stage: &str, files: &[&str], from: &[&Artifact], days: u32) -> Artifact {
        let folder = self.dir.path().join(name);
        fs::create_dir(&folder).unwrap();
        files.iter().for_each(|file| fs::write(folder.join(file), file).unwrap());
        let artifact = self.store.insert(&folder, Take::Copy).unwrap();
        let inputs: Vec<ArtifactDigest> = from.iter().map(|from| from.digest()).collect();
        let mut trace = Trace::new(key(name), "demo", stage, "command", serde_json::to_value(inputs).unwrap());
        trace.outputs = vec![TracedOutput { name: "out".into(), path: "out".into(), artifact }];
        self.store.publish(&trace, &[]).unwrap();
        age(&self.store.trace_path(trace.key), DAY * days);
        artifact
    }

    fn gc(&self, limits: Limits, dry: bool) -> Collection {
        let needs = |trace: &Trace| Needs {
            inputs: serde_json::from_value(trace.manifest.clone()).unwrap(),
            listings: Vec::new(),
        };
        self.store.gc(&limits, &needs, dry).unwrap().unwrap()
    }

    fn has(&self, artifact: &Artifact) -> bool {
        self.store.could_restore(artifact).unwrap()
    }

    fn everything(&self) -> Vec<PathBuf> {
        let (mut all, mut open) = (Vec::new(), vec![self.store.root().to_owned()]);
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            all.push(path);
        }
        all.sort();
        all
    }
}

fn older(days: u32) -> Limits {
    Limits { older_than: Some(DAY * days), ..Limits::default() }
}

#[test]
fn what_goes_is_gone_and_what_stays_is_whole_though_they_share_objects() {
    let scene = scene();
    let old = scene.result("old", "a", &["shared", "own"], &[], 60);
    let young = scene.result("young", "a", &["shared", "other"], &[], 1);
    let loose = scene.store.insert_bytes(b"of a run that was killed").unwrap();
    let before = scene.everything();
    let would = scene.gc(older(30), true);
    assert_eq!(scene.everything(), before, "a dry run changes nothing");
    let did = scene.gc(older(30), false);
    assert_eq!((would.objects, would.freed, would.kept), (did.objects, did.freed, did.kept));
    // A file, a listing, and an unreferenced object.
    assert_eq!(did.objects.files, 3);
    assert!(!scene.has(&old) && scene.has(&young));
    assert!(!scene.store.object_path(loose).exists());
    assert_eq!(scene.store.keys().unwrap(), [key("young")]);
    assert_eq!(scene.gc(older(30), false).objects, Tally::default(), "a second one finds nothing");
}

#[test]
fn what_a_kept_result_was_made_from_stays_and_a_pin_keeps_both() {
    let scene = scene();
    let upstream = scene.result("upstream", "inter", &["weights"], &[], 90);
    scene.result("downstream", "rank", &["list"], &[&upstream], 60);
    scene
        .store
        .pin(&Pin { key: key("downstream"), pipeline: "demo".into(), stage: "rank".into(), since: 0.0 })
        .unwrap();
    let limits = Limits { max_size: Some(0), ..older(30) };
    let kept = scene.gc(limits, false);
    assert!(kept.entries.iter().all(|entry| !entry.verdict.goes()) && scene.has(&upstream));
    assert_eq!(kept.above, kept.kept.bytes);
    scene.store.unpin(key("downstream")).unwrap();
    scene.gc(limits, false);
    assert!(scene.store.keys().unwrap().is_empty() && !scene.has(&upstream));
}

#[test]
fn what_lies_in_place_stays_until_all_is_asked_for_or_it_is_taken_away() {
    let scene = scene();
    let artifact = scene.result("old", "a", &["file"], &[], 60);
    let work = scene.dir.path().join("work");
    fs::create_dir(&work).unwrap();
    drop(scene.store.visit(&work).unwrap());
    let entries = scene.store.restore(&artifact, &work.join("out"), Placement::View).unwrap().entries;
    let outputs = vec![PlacedOutput { path: "out".into(), artifact, entries }];
    let record = StageRecord { key: key("old"), outputs, finished: 0.0, seconds: 0.0 };
    let index = Index { stages: HashMap::from_iter([("demo/a".to_owned(), record)]), ..Index::default() };
    index.save(&scene.store, &scene.store.index_path(&work).unwrap()).unwrap();
    let verdict = |limits| scene.gc(limits, true).entries[0].verdict;
    let all = Limits { all: true, ..older(30) };
    assert_eq!(verdict(older(30)), Verdict::InPlace);
    assert_eq!(verdict(all), Verdict::Old);
    let run = scene.store.visit(&work).unwrap();
    assert_eq!(verdict(all), Verdict::InPlace, "a run at work counts on it");
    drop(run);
    fs::remove_dir_all(work.join("out")).unwrap();
    assert_eq!(verdict(older(30)), Verdict::Old);
}

#[test]
fn what_a_run_at_work_has_used_or_made_stays() {
    let scene = scene();
    let used = scene.result("used", "a", &["used"], &[], 60);
    let unused = scene.result("unused", "b", &["unused"], &[], 60);
    let run = scene.store.visit(scene.dir.path()).unwrap();
    scene.store.note_use(key("used"));
    let made = scene.store.insert_bytes(b"not published yet").unwrap();
    let limits = Limits { max_size: Some(0), all: true, ..Limits::default() };
    assert_eq!(scene.gc(limits, false).runs, 1);
    assert!(scene.has(&used) && scene.store.object_path(made).exists());
    assert_eq!(scene.store.load(key("unused")).unwrap(), None);
    drop(run);
    scene.gc(limits, false);
    assert!(!scene.has(&used) && !scene.has(&unused) && !scene.store.object_path(made).exists());
}

#[test]
fn what_a_run_at_work_has_used_or_made_stays_however_the_clock_was_set() {
    // By the clock, the run began long after it used a result, or long before somebody else used another one.
    for (days_of_uses, days_of_others) in [(800, 0), (0, 800)] {
        let scene = scene();
        let used = scene.result("used", "a", &["used"], &[], 60);
        let unused = scene.result("unused", "b", &["unused"], &[], 60);
        let run = scene.store.visit(scene.dir.path()).unwrap();
        scene.store.note_use(key("used"));
        let made = scene.result("made", "c", &["made"], &[], 0);
        for (name, days) in [("used", days_of_uses), ("made", days_of_uses), ("unused", days_of_others)] {
            age(&scene.store.trace_path(key(name)), DAY * days);
        }
        let limits = Limits { max_size: Some(0), all: true, ..Limits::default() };
        scene.gc(limits, false);
        assert!(scene.has(&used) && scene.has(&made));
        assert_eq!(scene.store.load(key("unused")).unwrap(), None);
        drop(run);
        scene.gc(limits, false);
        assert!(!scene.has(&used) && !scene.has(&made) && !scene.has(&unused));
    }
}

#[test]
fn a_run_that_could_not_note_what_it_used_is_taken_to_have_used_what_is_younger_than_it() {
    let scene = scene();
    let run = scene.store.visit(scene.dir.path()).unwrap();
    let lists = scene.store.index_path(scene.dir.path()).unwrap().with_file_name("used");
    fs::write(&lists, "in the way").unwrap();
    let made = scene.result("made", "c", &["made"], &[], 0);
    let limits = Limits { max_size: Some(0), all: true, ..Limits::default() };
    scene.gc(limits, false);
    assert!(scene.has(&made));
    drop(run);
    scene.gc(limits, false);
    assert!(!scene.has(&made));
}

#[test]
fn leftovers_go_by_age_and_a_slot_that_is_worked_in_stays() {
    let scene = scene();
    for name in ["abandoned", "leased", "fresh"] {
        let slot = scene.store.slot(key(name));
        slot.create().unwrap();
        fs::write(slot.path().join("checkpoint"), "12345").unwrap();
        fs::write(scene.store.log_path(key(name)), "log").unwrap();
        if name != "fresh" {
            age(&slot.path().join("checkpoint"), 40 * DAY);
            age(slot.path(), 40 * DAY);
        }
    }
    let _lease = scene.store.try_lease(key("leased")).unwrap();
    let collection = scene.gc(older(30), false);
    assert_eq!((collection.slots, collection.logs.files), (Tally { files: 1, bytes: 5 }, 1));
    let left = ["abandoned", "leased", "fresh"].map(|name| scene.store.slot(key(name)).exists());
    assert_eq!(left, [false, true, true]);
}

#[test]
fn what_a_batch_system_has_or_has_made_for_the_next_run_stays_however_old_it_is() {
    let scene = scene();
    for name in ["awaited", "failed"] {
        let (slot, job) = (scene.store.slot(key(name)), scene.store.job_folder(&key(name).to_string()));
        slot.create().unwrap();
        fs::create_dir_all(job.path()).unwrap();
        fs::write(job.path().join("order.json"), "{}").unwrap();
        age(&job.path().join("order.json"), 40 * DAY);
        if name == "awaited" {
            fs::write(job.path().join(crate::store::SUBMISSION), "{}").unwrap();
            age(&job.path().join(crate::store::SUBMISSION), 40 * DAY);
        }
        age(job.path(), 40 * DAY);
        age(slot.path(), 40 * DAY);
    }
    scene.gc(older(30), false);
    let left = ["awaited", "failed"].map(|name| scene.store.job_folder(&key(name).to_string()).path().exists());
    assert_eq!(left, [true, false]);
}

#[test]
fn findings_without_objects_go_by_age() {
    let scene = scene();
    let bare = Finding { files: [].into(), values: 1.into(), made_on: "cpu".to_owned(), partial: false };
    let setting = Setting(Digest::of(b"a"));
    scene.store.keep_findings(setting, [(Item(Digest::of(b"1")), bare)].into()).unwrap();
    let left = |limits| (scene.gc(limits, false).settings.files, scene.store.findings(setting).unwrap().len());
    assert_eq!(left(older(30)), (0, 1));
    age(&scene.store.fanned("items", setting.0, ""), 31 * DAY);
    assert_eq!(left(Limits::default()), (0, 1));
    assert_eq!(left(older(30)), (1, 0));
}

#[test]
fn findings_go_with_the_last_object_that_they_name() {
    let scene = scene();
    let kept = scene.result("kept", "a", &["kept"], &[], 1);
    let object = |bytes: &str| scene.store.insert_bytes(bytes.as_bytes()).unwrap();
    let finding = |object| Finding {
        files: [("predictions".to_owned(), object)].into(),
        values: serde_json::Value::Null,
        made_on: "cpu".to_owned(),
        partial: false,
    };
    let [item, other] = [b"1", b"2"].map(|name| Item(Digest::of(name)));
    let [alive, dead] = [b"a", b"b"].map(|name| Setting(Digest::of(name)));
    let (of_kept, of_none) = (finding(object("kept")), finding(object("of no result")));
    let both = [(item, of_kept.clone()), (other, of_none.clone())];
    scene.store.keep_findings(alive, both.clone().into()).unwrap();
    scene.store.keep_findings(dead, [(item, of_none)].into()).unwrap();
    assert_eq!(scene.gc(older(30), true).settings.files, 1);
    assert_eq!(scene.gc(older(30), false).settings.files, 1);
    assert!(scene.has(&kept) && scene.store.findings(dead).unwrap().is_empty());
    assert_eq!(scene.store.findings(alive).unwrap(), both.into(), "what is left over in a file costs nothing");
    assert_eq!(scene.gc(older(30), false).settings.files, 0);
}

#[test]
fn gc_waits_for_whoever_holds_and_a_second_gc_does_not_wait() {
    let scene = scene();
    let hold = scene.store.hold().unwrap();
    let object = scene.store.insert_bytes(b"about to be named by a trace").unwrap();
    std::thread::scope(|scope| {
        let gc = scope.spawn(|| scene.gc(Limits::default(), false));
        // Once it has signed, it has its turn, and waits.
        let turn = scene.store.root().join("locks/gc-turn");
        while fs::read(&turn).unwrap_or_default().is_empty() {
            std::thread::yield_now();
        }
        assert!(scene.store.hold_alone().unwrap().is_none());
        assert!(scene.store.object_path(object).exists());
        drop(hold);
        assert_eq!(gc.join().unwrap().objects.files, 1);
    });
    assert!(!scene.store.object_path(object).exists());
}
