//! Laws that hold for every upstream: damage and failures cost time, never a wrong result.

mod memory;
mod signed;

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::store::{Artifact, Placement, Recorded, Store, Take, Trace, Unpushed, sample};

use memory::{Fault, Memory, Request};

struct Scene {
    dir: tempfile::TempDir,
    artifact: Artifact,
    trace: Trace,
    /// The record and the objects, as another machine has published them.
    things: Vec<(Thing, Vec<u8>)>,
}

/// A result of another machine: a folder with two files, one of them below another folder.
fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = Store::open(&dir.path().join("elsewhere")).unwrap();
    let (artifact, trace) = sample::publish(&elsewhere, dir.path());
    let mut things = vec![(Thing::Trace(trace.key), fs::read(elsewhere.trace_path(trace.key)).unwrap())];
    for file in elsewhere.object_files().unwrap() {
        things.push((Thing::Object(file.object), elsewhere.read(file.object).unwrap().unwrap()));
    }
    Scene { dir, artifact, trace, things }
}

impl Scene {
    /// An upstream that has the result.
    fn upstream(&self, name: &'static str) -> Memory {
        let upstream = Memory::new(name);
        upstream.state().things.extend(self.things.iter().cloned());
        upstream
    }

    /// A new store of this machine.
    fn store(&self, upstreams: &[&Memory]) -> Store {
        let place = tempfile::tempdir_in(self.dir.path()).unwrap().keep();
        upstreams.iter().fold(Store::open(&place).unwrap(), |store, upstream| {
            store.with_upstream(Box::new(Memory::clone(upstream)))
        })
    }

    /// Looks the result up and puts it in place, as a run does. Answers with the upstream that its record came from; `None`: the
    /// stage has to run.
    fn hit(&self, store: &Store) -> Option<String> {
        let recorded = store.look_up(self.trace.key).unwrap()?;
        assert_eq!(recorded.trace, self.trace);
        let out = self.dir.path().join("out");
        match store.restore(&self.artifact, &out, Placement::View) {
            Err(error) => {
                assert!(error.is_miss(), "{error}");
                return None;
            }
            Ok(_) => store.keep_pulled(&recorded).unwrap(),
        }
        assert_eq!(["deep/one", "two"].map(|path| fs::read_to_string(out.join(path)).unwrap()), ["one", "two"]);
        fs::remove_dir_all(out).unwrap();
        Some(recorded.pulled_from().unwrap_or("its own").to_owned())
    }
}

fn key(name: &str) -> Key {
    Key(Digest::of(name.as_bytes()))
}

fn left_in_tmp(store: &Store) -> usize {
    fs::read_dir(store.root().join("tmp")).unwrap().count()
}

#[test]
fn two_upstreams_are_asked_in_order_and_the_second_only_for_what_the_first_lacks() {
    let scene = scene();
    let [near, far] = ["near", "far"].map(|name| scene.upstream(name));
    let store = scene.store(&[&near, &far]);
    assert!(store.could_restore(&scene.artifact).unwrap());
    assert_eq!(scene.hit(&store), Some("near".to_owned()));
    assert_eq!(far.heard(), []);
    assert_eq!(scene.hit(&store), Some("its own".to_owned()));

    let (lacking, _) = scene.things.last().unwrap();
    near.state().things.remove(lacking);
    let store = scene.store(&[&near, &far]);
    assert_eq!(scene.hit(&store), Some("near".to_owned()));
    assert_eq!(far.heard(), [Request::Get(*lacking)]);
    assert_eq!(store.complaints(), [""; 0]);
}

#[test]
fn whatever_is_damaged_upstream_is_never_used_and_told_once() {
    let scene = scene();
    for (thing, bytes) in &scene.things {
        let [near, far] = ["near", "far"].map(|name| scene.upstream(name));
        let mut damaged = bytes.clone();
        damaged[0] ^= 1;
        near.state().things.insert(*thing, damaged);

        let store = scene.store(&[&near]);
        for _ in 0..2 {
            assert_eq!(scene.hit(&store), None);
        }
        let complaints = store.complaints();
        assert!(complaints.len() == 1 && complaints[0].contains(&near.name_of(*thing)), "{complaints:?}");
        assert_eq!(left_in_tmp(&store), 0);

        let store = scene.store(&[&near, &far]);
        assert!(scene.hit(&store).is_some(), "the second has it intact");
        assert_eq!(store.complaints().len(), 1);
    }
}

#[test]
fn an_upstream_that_always_fails_is_told_once_and_left_alone_after_three_failures() {
    let scene = scene();
    let [near, far] = ["near", "far"].map(|name| scene.upstream(name));
    near.state().fault = Fault::Away;
    let store = scene.store(&[&near, &far]);
    for name in ["a", "b", "c", "d", "e"] {
        assert_eq!(store.look_up(key(name)).unwrap(), None);
    }
    assert_eq!(scene.hit(&store), Some("far".to_owned()));
    assert_eq!(near.heard().len(), 3);
    let complaints = store.complaints();
    assert!(complaints.len() == 1 && complaints[0].contains("`near` fails"), "{complaints:?}");
}

#[test]
fn an_answer_between_failures_keeps_an_upstream_asked() {
    let scene = scene();
    let upstream = scene.upstream("near");
    let store = scene.store(&[&upstream]);
    for fault in [Fault::Away, Fault::Away, Fault::None, Fault::Away, Fault::Away, Fault::None] {
        upstream.state().fault = fault;
        assert_eq!(store.look_up(key("other")).unwrap(), None);
    }
    assert_eq!(scene.hit(&store), Some("near".to_owned()));
}

#[test]
fn a_stream_that_breaks_off_is_a_failure_and_nothing_of_it_is_used() {
    let scene = scene();
    let upstream = scene.upstream("near");
    upstream.state().fault = Fault::BreaksOff;
    let store = scene.store(&[&upstream]);
    for _ in 0..4 {
        assert!(store.restore(&scene.artifact, &scene.dir.path().join("out"), Placement::View).unwrap_err().is_miss());
    }
    assert_eq!(upstream.heard().len(), 3, "that it began to answer doesn't count");
    assert_eq!((store.object_files().unwrap().len(), left_in_tmp(&store), store.complaints().len()), (0, 0, 1));
}

/// Has one large object, and measures how far reading is ahead of writing.
#[derive(Debug)]
struct Large {
    tmp: PathBuf,
    size: u64,
    most_ahead: Arc<AtomicU64>,
}

struct Counted {
    tmp: PathBuf,
    left: u64,
    given: u64,
    most_ahead: Arc<AtomicU64>,
}

impl Upstream for Large {
    fn name(&self) -> String {
        "large".to_owned()
    }

    fn name_of(&self, _thing: Thing) -> String {
        self.name()
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn trace(&self, _key: Key) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn open(&self, _object: FileDigest) -> io::Result<Option<Content>> {
        let (tmp, most_ahead) = (self.tmp.clone(), Arc::clone(&self.most_ahead));
        Ok(Some(Content::Stream(Box::new(Counted { tmp, left: self.size, given: 0, most_ahead }))))
    }

    fn has(&self, objects: &[FileDigest]) -> io::Result<HashSet<FileDigest>> {
        Ok(objects.iter().copied().collect())
    }

    fn signatures(&self, _key: Key, _record: Digest, _signers: &BTreeSet<PublicKey>) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn writer(&self) -> Option<&dyn UpstreamWriter> {
        None
    }
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.left as usize);
        buffer[..count].fill(7);
        self.left -= count as u64;
        self.given += count as u64;
        self.most_ahead.fetch_max(self.given - bytes_in(&self.tmp), Ordering::Relaxed);
        Ok(count)
    }
}

fn bytes_in(folder: &Path) -> u64 {
    fs::read_dir(folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn a_large_object_is_never_in_memory_as_a_whole() {
    const SIZE: usize = 20 << 20;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("cache")).unwrap();
    let most_ahead = Arc::default();
    let upstream = Large { tmp: store.root().join("tmp"), size: SIZE as u64, most_ahead: Arc::clone(&most_ahead) };
    let store = store.with_upstream(Box::new(upstream));
    let object = FileDigest(Digest::of(&vec![7; SIZE]));
    assert_eq!(store.pull(&[object]).unwrap(), 1);
    assert_eq!(fs::metadata(store.object_path(object)).unwrap().len(), SIZE as u64);
    let most_ahead = most_ahead.load(Ordering::Relaxed);
    assert!(most_ahead > 0 && most_ahead <= 2 << 20, "{most_ahead}");
}

/// Pushes a result; the first record if it is another.
fn push(store: &Store, key: Key) -> Option<Recorded> {
    store.push(key, &mut |_| true).unwrap()
}

impl Scene {
    /// Computes the result in a new store and publishes it, with a listing that its manifest names.
    fn published(&self, upstreams: &[&Memory]) -> (Store, FileDigest) {
        let store = self.store(upstreams);
        assert_eq!(store.insert(&self.dir.path().join("from"), Take::Copy).unwrap(), self.artifact);
        let listing = store.insert_bytes(b"a listing of an input").unwrap();
        store.publish(&self.trace, &[listing]).unwrap();
        assert_eq!(push(&store, self.trace.key), None);
        assert_eq!(store.look_up(self.trace.key).unwrap().unwrap().pulled_from(), None);
        (store, listing)
    }
}

#[test]
fn a_published_result_goes_to_each_upstream_that_takes_results_objects_first() {
    let scene = scene();
    let [read, near, far] = ["read", "near", "far"].map(Memory::new);
    let (store, listing) = scene.published(&[&read.read_only(), &near, &far]);
    assert_eq!((read.heard(), store.complaints()), (vec![], vec![]));
    for upstream in [near, far] {
        let heard = upstream.heard();
        let objects: Vec<FileDigest> = store.object_files().unwrap().iter().map(|file| file.object).collect();
        assert_eq!(
            (heard.len(), heard.last().unwrap()),
            (objects.len() + 3, &Request::Put(Thing::Trace(scene.trace.key)))
        );
        assert!(objects.contains(&listing));
        assert!(objects.iter().all(|object| heard.contains(&Request::Put(Thing::Object(*object)))));
        assert_eq!(
            scene.hit(&scene.store(&[&upstream])),
            Some(upstream.name()),
            "it is all that another machine needs"
        );
    }
}

#[test]
fn what_an_upstream_has_is_not_sent_again() {
    let scene = scene();
    let upstream = scene.upstream("near");
    let (store, listing) = scene.published(&[&upstream]);
    let puts = upstream.heard().into_iter().filter(|request| matches!(request, Request::Put(_)));
    assert_eq!(Vec::from_iter(puts), [Request::Put(Thing::Object(listing))]);
    assert_eq!(store.complaints(), [""; 0], "it has the same outputs");
}

/// Computes another result of the key in a new store, and publishes it.
fn other_result(scene: &Scene, upstream: &Memory) -> (Store, Trace) {
    let other = scene.store(&[upstream]);
    let mut trace = scene.trace.clone();
    fs::write(scene.dir.path().join("other"), "other").unwrap();
    trace.outputs[0].artifact = other.insert(&scene.dir.path().join("other"), Take::Copy).unwrap();
    other.publish(&trace, &[]).unwrap();
    (other, trace)
}

#[test]
fn the_first_record_stays_and_whoever_comes_later_goes_on_with_it() {
    let scene = scene();
    let upstream = scene.upstream("near");
    let (record, bytes) = &scene.things[0];
    let (other, trace) = other_result(&scene, &upstream);
    let own = fs::read(other.trace_path(trace.key)).unwrap();
    let first = push(&other, trace.key).unwrap();
    assert_eq!((&first.trace, first.pulled_from()), (&scene.trace, Some("near")));
    assert_eq!(&upstream.state().things[record], bytes);
    assert_eq!(upstream.state().beside, [own]);
    let out = scene.dir.path().join("out");
    other.restore(&first.trace.outputs[0].artifact, &out, Placement::View).unwrap();
    other.keep_pulled(&first).unwrap();
    assert_eq!(other.load(trace.key).unwrap().as_ref(), Some(&scene.trace));
    assert_eq!((other.unpushed().unwrap(), other.complaints()), (vec![], vec![]));
}

#[test]
fn a_record_that_comes_while_objects_are_sent_is_the_first() {
    let scene = scene();
    let upstream = Memory::new("near");
    let (other, trace) = other_result(&scene, &upstream);
    upstream.state().arrives = Some(scene.things[0].clone());
    let first = push(&other, trace.key).unwrap();
    assert_eq!(first.trace, scene.trace);
    assert_eq!(upstream.state().beside.len(), 1);
}

#[test]
fn what_was_not_pushed_is_pushed_later_and_noted_until_then() {
    let scene = scene();
    let upstream = Memory::new("near");
    upstream.state().fault = Fault::Away;
    let (store, listing) = scene.published(&[&upstream]);
    let noted = Unpushed { to: ["near".to_owned()].into(), listings: vec![listing] };
    assert_eq!(store.unpushed().unwrap(), [(scene.trace.key, noted.clone())]);
    let store = Store::open(store.root()).unwrap();
    assert_eq!((push(&store, scene.trace.key), store.unpushed().unwrap().len()), (None, 1), "nobody takes it");
    upstream.state().fault = Fault::None;
    let store = store.with_upstream(Box::new(upstream.clone()));
    assert_eq!(store.push(scene.trace.key, &mut |_| false).unwrap(), None);
    assert_eq!(
        (store.unpushed().unwrap(), store.complaints()),
        (vec![(scene.trace.key, noted)], vec![]),
        "it was stopped"
    );
    assert_eq!(push(&store, scene.trace.key), None);
    assert_eq!(store.unpushed().unwrap(), []);
    assert!(scene.hit(&scene.store(&[&upstream])).is_some());
}

#[test]
fn an_object_that_came_damaged_is_replaced_by_whoever_computes_it_again() {
    let scene = scene();
    let upstream = scene.upstream("near");
    let damaged = Thing::Object(FileDigest(Digest::of(b"two")));
    upstream.state().things.insert(damaged, b"2".to_vec());
    let store = scene.store(&[&upstream]);
    assert_eq!(scene.hit(&store), None);
    store.insert(&scene.dir.path().join("from"), Take::Copy).unwrap();
    store.publish(&scene.trace, &[]).unwrap();
    assert_eq!(push(&store, scene.trace.key), None);
    assert_eq!(upstream.state().things[&damaged], b"two");
}

#[test]
fn wherever_a_push_fails_the_result_is_published_here_and_no_record_is_there_without_its_objects() {
    let scene = scene();
    let all = scene.things.len() + 1;
    for taken in 0..=all {
        let upstream = Memory::new("near");
        upstream.state().fault = Fault::FullAfter(taken);
        let (store, _) = scene.published(&[&upstream]);
        assert_eq!(upstream.state().things.len(), taken);
        assert_eq!(upstream.state().things.contains_key(&Thing::Trace(scene.trace.key)), taken == all);
        assert_eq!(store.complaints().len(), usize::from(taken < all), "{taken}");
    }
    let upstream = Memory::new("near");
    upstream.state().fault = Fault::Away;
    let (store, _) = scene.published(&[&upstream]);
    assert_eq!((upstream.heard().len(), store.complaints().len()), (1, 1));
}

#[test]
fn a_damaged_object_is_not_pushed_and_neither_is_its_record() {
    let scene = scene();
    let upstream = Memory::new("near");
    let store = scene.store(&[&upstream]);
    store.insert(&scene.dir.path().join("from"), Take::Copy).unwrap();
    let damaged = FileDigest(Digest::of(b"two"));
    fs::remove_file(store.object_path(damaged)).unwrap();
    fs::write(store.object_path(damaged), "2").unwrap();
    store.publish(&scene.trace, &[]).unwrap();
    push(&store, scene.trace.key);
    let things = upstream.state().things.clone();
    assert!(!things.contains_key(&Thing::Object(damaged)) && !things.contains_key(&Thing::Trace(scene.trace.key)));
    let complaints = store.complaints();
    assert!(complaints.len() == 1 && complaints[0].contains("the result of demo/a"), "{complaints:?}");
}
