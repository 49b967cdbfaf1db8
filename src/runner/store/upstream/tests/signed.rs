//! Laws of signed records: what nobody has signed who is trusted is a miss, and keeps nobody from what is signed.

use std::time::Duration;

use super::*;
use crate::signing::{Keyring, PrivateKey};
use crate::store::gc::{Limits, Needs};
use crate::store::signature::Signed;
use crate::store::{Signing, TracedOutput};

fn own(seed: u8) -> PrivateKey {
    PrivateKey::of_seed(&[seed; 32])
}

/// Signs with the first key and asks for signatures of these.
fn keyring(seed: Option<u8>, trusted: &[u8]) -> Keyring {
    let trusted = trusted.iter().copied().chain(seed).map(|seed| own(seed).public()).collect();
    Keyring { own: seed.map(own), trusted: Some(trusted) }
}

fn signs(seed: u8) -> Keyring {
    Keyring { own: Some(own(seed)), trusted: None }
}

fn trusts(seeds: &[u8]) -> Keyring {
    keyring(None, seeds)
}

impl Scene {
    /// Whether a new machine with these keys gets the result from this upstream.
    fn hits(&self, keys: Keyring, upstream: &Memory) -> bool {
        self.hit(&self.store(&[upstream]).with_keyring(keys)).is_some()
    }

    /// A new machine with these keys that computes a result with this content, which it doesn't push yet.
    fn computes(&self, keys: Keyring, upstream: &Memory, content: &str) -> (Store, Trace) {
        let store = self.store(&[upstream]).with_keyring(keys);
        let mut trace = self.trace.clone();
        let out = self.dir.path().join("computed");
        fs::write(&out, content).unwrap();
        let artifact = store.insert(&out, Take::Copy).unwrap();
        trace.outputs = vec![TracedOutput { artifact, ..trace.outputs[0].clone() }];
        store.publish(&trace, &[]).unwrap();
        (store, trace)
    }

    /// The outputs' record that a new machine with these keys goes on with, if it can place them.
    fn found(&self, keys: Keyring, upstream: &Memory) -> Option<Trace> {
        let store = self.store(&[upstream]).with_keyring(keys);
        let recorded = store.look_up(self.trace.key).unwrap()?;
        let out = self.dir.path().join("found");
        store.restore(&recorded.trace.outputs[0].artifact, &out, Placement::View).unwrap();
        crate::plain::remove(&out).unwrap();
        Some(recorded.trace)
    }

    /// An upstream to which a machine has pushed the result and signed it.
    fn signed(&self, seed: u8) -> Memory {
        let upstream = Memory::new("near");
        let store = self.store(&[&upstream]).with_keyring(signs(seed));
        assert_eq!(store.insert(&self.dir.path().join("from"), Take::Copy).unwrap(), self.artifact);
        store.publish(&self.trace, &[]).unwrap();
        assert_eq!(push(&store, self.trace.key), None);
        upstream
    }
}

#[test]
fn a_result_counts_if_a_trusted_key_has_signed_it_and_else_is_a_miss_that_is_told_once_with_its_number() {
    let scene = scene();
    let signed = scene.signed(1);
    assert!(
        scene.hits(trusts(&[1]), &signed)
            && scene.hits(trusts(&[2, 1]), &signed)
            && scene.hits(keyring(Some(1), &[]), &signed)
    );
    assert!(scene.hits(Keyring::default(), &signed), "who asks for no signature needs none");
    for (keys, upstream) in [(trusts(&[2]), &signed), (trusts(&[]), &signed), (trusts(&[1]), &scene.upstream("near"))] {
        let store = scene.store(&[upstream]).with_keyring(keys);
        for _ in 0..3 {
            assert_eq!(scene.hit(&store), None);
        }
        assert_eq!(store.complaints(), [""; 0]);
        let told = store.distrust();
        let begin = format!(
            "the shared cache `{}` has 1 result that nobody in `trust` has signed, which are not used",
            upstream.name()
        );
        assert!(told.len() == 1 && told[0].starts_with(&begin), "{told:?}");
        assert_eq!(store.distrust(), [""; 0]);
    }
}

#[test]
fn no_byte_of_a_signed_record_or_of_its_signature_can_be_changed() {
    let scene = scene();
    let (thing, _) = scene.things[0];
    let upstream = scene.signed(1);
    let mut trace = scene.trace.clone();
    trace.note.insert("machine".into(), "another one".into());
    let elsewhere = Store::open(&scene.dir.path().join("elsewhere")).unwrap();
    elsewhere.publish(&trace, &[]).unwrap();
    let record = upstream.state().things[&thing].clone();
    upstream.state().things.insert(thing, fs::read(elsewhere.trace_path(trace.key)).unwrap());
    assert_eq!(
        scene.store(&[&upstream]).with_keyring(trusts(&[1])).look_up(trace.key).unwrap(),
        None,
        "whole, but another one"
    );
    upstream.state().things.insert(thing, record);
    assert!(scene.hits(trusts(&[1]), &upstream));

    let (name, line) = upstream.state().signatures.first_key_value().map(|(name, line)| (*name, line.clone())).unwrap();
    for at in 0..line.len() - 1 {
        let mut altered = line.clone();
        altered[at] ^= 1;
        upstream.state().signatures.insert(name, altered);
        let store = scene.store(&[&upstream]).with_keyring(trusts(&[1]));
        assert_eq!(store.look_up(trace.key).unwrap(), None, "altered at {at}");
    }
    let digits = String::from_utf8(line).unwrap();
    let (start, digit) = digits.split_at(digits.len() - 4);
    let other = if digit.starts_with('0') { '1' } else { '0' };
    upstream.state().signatures.insert(name, format!("{start}{other}{}", &digit[1..]).into_bytes());
    let store = scene.store(&[&upstream]).with_keyring(trusts(&[1]));
    assert_eq!(scene.hit(&store), None);
    assert!(store.distrust()[0].contains("(1 with a signature that does not fit"));
}

#[test]
fn a_signature_is_of_one_key_and_one_record() {
    let scene = scene();
    let upstream = scene.upstream("near");
    let (_, bytes) = &scene.things[0];
    let record = Digest::of(bytes);
    let put = |signed: Signed| {
        upstream.state().signatures.insert((record, signed.signer), signed.line());
    };
    put(Signed::new(&own(1), key("another"), record));
    assert!(!scene.hits(trusts(&[1]), &upstream), "signed under another key");
    put(Signed::new(&own(1), scene.trace.key, Digest::of(b"another")));
    assert!(!scene.hits(trusts(&[1]), &upstream), "of another record");
    put(Signed::new(&own(1), scene.trace.key, record));
    assert!(scene.hits(trusts(&[1]), &upstream));
}

#[test]
fn of_equal_results_each_machine_signs_its_own_record_and_every_signer_counts() {
    let scene = scene();
    let upstream = scene.signed(1);
    let first = upstream.state().things[&scene.things[0].0].clone();
    let store = scene.store(&[&upstream]).with_keyring(keyring(Some(2), &[]));
    store.insert(&scene.dir.path().join("from"), Take::Copy).unwrap();
    let mut trace = scene.trace.clone();
    trace.seconds = 7.0;
    store.publish(&trace, &[]).unwrap();
    assert_eq!(push(&store, trace.key), None, "the outputs are the same");
    assert_eq!(upstream.state().things[&scene.things[0].0], first, "the first one stays");
    for (trusted, seconds) in [(1, scene.trace.seconds), (2, 7.0)] {
        assert_eq!(scene.found(trusts(&[trusted]), &upstream).unwrap().seconds, seconds, "{trusted}");
    }
    assert_eq!(scene.found(Keyring::default(), &upstream).unwrap(), scene.trace);
    upstream.heard();
    store.push_also(trace.key, "near", Vec::new()).unwrap();
    assert_eq!(push(&store, trace.key), None);
    assert_eq!(upstream.state().signatures.len(), 2);

    // The very same record, as two machines with two keys copy it there.
    let third = scene.store(&[&upstream]).with_keyring(signs(3));
    third.insert(&scene.dir.path().join("from"), Take::Copy).unwrap();
    third.publish(&scene.trace, &[]).unwrap();
    let beside = upstream.state().beside.len();
    assert_eq!(push(&third, trace.key), None);
    assert_eq!(upstream.state().beside.len(), beside, "it is the first one itself");
    assert_eq!(upstream.state().signatures.len(), 3);
    assert_eq!(scene.found(trusts(&[3]), &upstream).unwrap(), scene.trace);
}

#[test]
fn a_first_record_that_nobody_signed_keeps_nobody_from_a_signed_one() {
    let scene = scene();
    let upstream = scene.upstream("near");
    let (store, trace) = scene.computes(keyring(Some(1), &[]), &upstream, "other");
    assert_eq!(push(&store, trace.key), None, "it isn't gone on with");
    assert_eq!(scene.found(trusts(&[1]), &upstream).unwrap(), trace);
    assert_eq!(scene.found(Keyring::default(), &upstream).unwrap(), scene.trace);
    let store = scene.store(&[&upstream]).with_keyring(trusts(&[1]));
    assert!(store.look_up(trace.key).unwrap().is_some());
    assert_eq!(store.distrust(), [""; 0], "nothing is missed");

    // Whoever trusts that key goes on with its result; whoever asks for no signature, with the first one.
    let (other, _) = scene.computes(keyring(Some(2), &[1]), &upstream, "third");
    assert_eq!(push(&other, trace.key).unwrap().trace, trace);
    let (other, _) = scene.computes(signs(3), &upstream, "fourth");
    assert_eq!(push(&other, trace.key).unwrap().trace, scene.trace);
    assert_eq!(scene.found(trusts(&[3]), &upstream), None, "what it didn't go on with isn't signed");
}

#[test]
fn two_that_trust_each_other_and_not_the_first_record_agree() {
    let scene = scene();
    let upstream = scene.upstream("near");
    let keys = [keyring(Some(1), &[2]), keyring(Some(2), &[1])];
    // Both have looked the key up before either has signed.
    let machines = keys.clone().map(|keys| scene.computes(keys.clone(), &upstream, &format!("by {:?}", keys.own)));
    let [(one, first), (other, second)] = &machines;
    let pushed = [push(one, first.key), push(other, second.key)];
    let gone_on_with = [first, second].into_iter().zip(&pushed);
    let gone_on_with: Vec<&Trace> =
        gone_on_with.map(|(own, theirs)| theirs.as_ref().map_or(own, |theirs| &theirs.trace)).collect();
    assert_eq!(gone_on_with[0], gone_on_with[1]);
    for keys in keys {
        assert_eq!(scene.found(keys, &upstream).as_ref(), Some(gone_on_with[0]));
    }
}

#[test]
fn a_machine_that_trusts_nobody_else_is_not_led_astray_by_whoever_was_quicker() {
    let scene = scene();
    let upstream = Memory::new("near");
    let (store, trace) = scene.computes(keyring(Some(1), &[]), &upstream, "own");
    upstream.state().arrives = Some(scene.things[0].clone());
    upstream.state().things.extend(scene.things[1..].iter().cloned());
    assert_eq!(push(&store, trace.key), None);
    assert_eq!(scene.found(trusts(&[1]), &upstream).unwrap(), trace);
}

#[test]
fn wherever_a_push_fails_no_record_of_ours_is_there_without_its_signature() {
    let scene = scene();
    // Objects, signature, record.
    let all = scene.things.len() + 1;
    for taken in 0..=all {
        let upstream = Memory::new("near");
        upstream.state().fault = Fault::FullAfter(taken);
        let store = scene.store(&[&upstream]).with_keyring(signs(1));
        store.insert(&scene.dir.path().join("from"), Take::Copy).unwrap();
        store.publish(&scene.trace, &[]).unwrap();
        assert_eq!(push(&store, scene.trace.key), None);
        let state = upstream.state();
        let is_there = state.things.contains_key(&scene.things[0].0);
        assert!(is_there == (taken == all) && (!is_there || !state.signatures.is_empty()), "{taken}");
        drop(state);
        assert_eq!(store.unpushed().unwrap().len(), usize::from(taken < all));
    }
}

#[test]
fn signatures_travel_with_a_result_and_a_copy_is_not_signed_by_whoever_copied_it() {
    let scene = scene();
    let upstream = scene.signed(1);
    let copies = scene.store(&[&upstream]).with_keyring(keyring(Some(2), &[1]));
    assert!(scene.hit(&copies).is_some());
    assert_eq!(copies.sign_computed(scene.trace.key).unwrap(), Signing::FromElsewhere);
    let shared = [Shared::to_read(Location::Folder(copies.root().to_owned()))];
    let reads = |keys| {
        let own = tempfile::tempdir_in(scene.dir.path()).unwrap().keep();
        let store = Store::open(&own).unwrap().with_shared(&shared).with_keyring(keys);
        scene.hit(&store).is_some()
    };
    assert!(reads(trusts(&[1])) && !reads(trusts(&[2])));
    let far = Memory::new("far");
    let copies = Store::open(copies.root()).unwrap().with_upstream(Box::new(far.clone())).with_keyring(signs(2));
    copies.push_also(scene.trace.key, "far", Vec::new()).unwrap();
    assert_eq!(push(&copies, scene.trace.key), None);
    assert!(scene.hits(trusts(&[1]), &far) && !scene.hits(trusts(&[2]), &far));
}

#[test]
fn a_shared_cache_that_is_trusted_as_a_whole_needs_no_signature() {
    let scene = scene();
    let team = Shared::to_read(Location::Folder(scene.dir.path().join("elsewhere")));
    for (is_trusted, hits) in [(false, false), (true, true)] {
        let own = tempfile::tempdir_in(scene.dir.path()).unwrap().keep();
        let shared = [team.clone(), Shared { is_trusted, ..team.clone() }];
        let store = Store::open(&own).unwrap().with_shared(&shared).with_keyring(trusts(&[1]));
        assert_eq!(scene.hit(&store).is_some(), hits);
        assert_eq!(store.distrust().len(), usize::from(!hits));
    }
}

#[test]
fn a_team_can_begin_to_sign_later() {
    let scene = scene();
    let upstream = Memory::new("near");
    let (store, _) = scene.published(&[&upstream]);
    assert!(!scene.hits(trusts(&[1]), &upstream));
    let store = Store::open(store.root()).unwrap().with_upstream(Box::new(upstream.clone())).with_keyring(signs(1));
    assert_eq!(store.sign_computed(scene.trace.key).unwrap(), Signing::Done);
    store.push_also(scene.trace.key, "near", Vec::new()).unwrap();
    assert_eq!(push(&store, scene.trace.key), None);
    assert!(scene.hits(trusts(&[1]), &upstream));
}

#[test]
fn an_upstream_that_can_not_be_asked_for_signatures_is_away_and_not_distrusted() {
    let scene = scene();
    let upstream = scene.signed(1);
    upstream.state().fault = Fault::Away;
    let store = scene.store(&[&upstream]).with_keyring(trusts(&[1]));
    assert_eq!(scene.hit(&store), None);
    assert_eq!((store.complaints().len(), store.distrust().len()), (1, 0));
}

#[test]
fn a_result_is_gone_with_its_signature() {
    let scene = scene();
    let store = scene.store(&[]).with_keyring(signs(1));
    store.insert(&scene.dir.path().join("from"), Take::Copy).unwrap();
    store.publish(&scene.trace, &[]).unwrap();
    assert!(store.signature_path(scene.trace.key).exists());
    let limits = Limits { older_than: Some(Duration::ZERO), all: true, ..Limits::default() };
    store.gc(&limits, &|_| Needs::default(), false).unwrap();
    assert!(!store.trace_path(scene.trace.key).exists() && !store.signature_path(scene.trace.key).exists());
}
