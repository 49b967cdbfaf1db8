//! Laws of a bucket, against an S3 server in this process whose answers go wrong on request.

mod server;

use std::fs;
use std::io::Read;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::super::super::{Placement, Store, sample};
use super::*;
use crate::signing::PrivateKey;

use server::{Asked, Fault, Server};

struct Scene {
    dir: tempfile::TempDir,
    server: Server,
}

fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"));
    Scene { dir, server }
}

impl Scene {
    /// The bucket as another program sees it that has just started.
    fn bucket(&self) -> Bucket {
        let environment = self.server.environment().into_iter().map(|(name, value)| (name.into(), value.into()));
        Bucket::open("s3://cache/team/", true, environment).unwrap()
    }

    /// A new store of this machine.
    fn store(&self) -> Store {
        let place = tempfile::tempdir_in(self.dir.path()).unwrap().keep();
        Store::open(&place).unwrap().with_upstream(Box::new(self.bucket()))
    }
}

fn key(name: &str) -> Key {
    Key(Digest::of(name.as_bytes()))
}

fn object(bytes: &[u8]) -> FileDigest {
    FileDigest(Digest::of(bytes))
}

fn put(bucket: &Bucket, bytes: &[u8]) -> io::Result<()> {
    bucket.put_object(object(bytes), &mut &*bytes, bytes.len() as u64)
}

fn get(bucket: &Bucket, object: FileDigest) -> io::Result<Option<Vec<u8>>> {
    let Some(Content::Stream(mut stream)) = bucket.open(object)? else { return Ok(None) };
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn creates(asked: &Asked) -> bool {
    asked.is_conditional && asked.path.contains("/traces/")
}

#[test]
fn what_is_put_is_there_under_its_digest_small_and_in_parts() {
    let scene = scene();
    let bucket = scene.bucket();
    let large: Vec<u8> = (0..20u32 << 20).map(|i| (i / 7) as u8).collect();
    for bytes in [&b""[..], b"one", &large] {
        assert_eq!(get(&bucket, object(bytes)).unwrap(), None);
        put(&bucket, bytes).unwrap();
        assert!(get(&bucket, object(bytes)).unwrap().is_some_and(|got| got == bytes));
    }
    let name = object(b"one").to_string();
    let file = scene.server.file(&format!("team/v1/objects/{}/{name}", &name[..2]));
    assert_eq!(fs::read(file).unwrap(), b"one");
    assert_eq!(
        bucket.name_of(Thing::Object(object(b"one"))),
        format!("s3://cache/team/v1/objects/{}/{name}", &name[..2])
    );
    let has = bucket.has(&[object(b"one"), object(b"two"), object(&large)]).unwrap();
    assert_eq!(has, HashSet::from([object(b"one"), object(&large)]));
}

#[test]
fn content_that_ends_early_is_an_error_and_no_object() {
    let scene = scene();
    let bucket = scene.bucket();
    for size in [4, 20 << 20] {
        assert!(bucket.put_object(object(b"one"), &mut &b"one"[..], size).is_err());
        assert_eq!(get(&bucket, object(b"one")).unwrap(), None);
    }
}

#[test]
fn of_many_writers_of_a_record_one_is_first_and_all_others_learn_which() {
    let scene = scene();
    let writers: Vec<_> = (0..8)
        .map(|number| {
            let bucket = scene.bucket();
            thread::spawn(move || (number, bucket.put_trace_if_absent(key("a"), &[number]).unwrap()))
        })
        .collect();
    let answers: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
    let stored: Vec<u8> = answers.iter().filter(|(_, put)| *put == Put::Stored).map(|(number, _)| *number).collect();
    let [first] = stored[..] else { panic!("{answers:?}") };
    let others = answers.iter().filter(|(number, _)| *number != first);
    assert!(others.clone().all(|(_, put)| *put == Put::AlreadyThere(vec![first])), "{answers:?}");
    assert_eq!(scene.bucket().trace(key("a")).unwrap(), Some(vec![first]));
}

#[test]
fn a_conflict_is_tried_again_and_an_answer_lost_is_our_own_record() {
    let scene = scene();
    let faults: [&[Fault]; 3] =
        [&[Fault::Status(409); 4], &[Fault::AnswerLost], &[Fault::Status(409), Fault::AnswerLost]];
    for (name, faults) in ["a", "b", "c"].into_iter().zip(faults) {
        scene.server.faults_in_turn(creates, faults.iter().copied());
        assert_eq!(scene.bucket().put_trace_if_absent(key(name), b"record").unwrap(), Put::Stored, "{faults:?}");
        assert_eq!(scene.bucket().trace(key(name)).unwrap().as_deref(), Some(&b"record"[..]));
    }
    scene.server.fault(|asked| if creates(asked) { Fault::Status(409) } else { Fault::None });
    assert!(scene.bucket().put_trace_if_absent(key("d"), b"record").is_err(), "not for ever");
}

#[test]
fn a_server_that_is_busy_is_asked_again_and_nobody_hears_of_it() {
    let scene = scene();
    let bucket = scene.bucket();
    scene.server.faults_in_turn(|_| true, [Fault::Status(503); 3]);
    put(&bucket, b"one").unwrap();
    scene.server.faults_in_turn(|_| true, [Fault::Status(503); 3]);
    assert_eq!(get(&bucket, object(b"one")).unwrap().as_deref(), Some(&b"one"[..]));
    scene.server.faults_in_turn(|asked| asked.method == "PUT", [Fault::AnswerLost]);
    put(&bucket, b"two").unwrap();
    assert_eq!(get(&bucket, object(b"two")).unwrap().as_deref(), Some(&b"two"[..]));
}

#[test]
fn where_the_server_ignores_conditions_the_smallest_record_is_the_first_and_that_is_told_once() {
    let scene = scene();
    scene.server.fault(|asked| if asked.is_conditional { Fault::Unconditional } else { Fault::None });
    let mut records = [b"one", b"two", b"six"].map(|record| (Digest::of(record).to_string(), record.to_vec()));
    records.sort();
    let [first, second, third] = records.map(|(_, record)| record);
    let writer = scene.bucket();
    assert_eq!(writer.put_trace_if_absent(key("a"), &second).unwrap(), Put::Stored);
    assert_eq!(writer.put_trace_if_absent(key("a"), &third).unwrap(), Put::AlreadyThere(second));
    assert_eq!(scene.bucket().put_trace_if_absent(key("a"), &first).unwrap(), Put::Stored);
    let reader = scene.bucket();
    assert_eq!(reader.trace(key("a")).unwrap(), Some(first));
    assert!([writer, reader].iter().all(|bucket| bucket.remark().is_some_and(|text| text.contains("overwrites"))));
}

#[test]
fn signatures_and_records_beside_the_first_are_found_and_where_listing_is_denied_there_are_none() {
    let scene = scene();
    let bucket = scene.bucket();
    let signers = [1, 2, 3].map(|seed| PrivateKey::of_seed(&[seed; 32]).public());
    let (first, other) = (Digest::of(b"first"), Digest::of(b"other"));
    for (record, signer, line) in [(first, 0, "1\n"), (first, 1, "2\n"), (other, 2, "3\n")] {
        bucket.put_signature(key("a"), record, signers[signer], line.as_bytes()).unwrap();
    }
    let found = |asked: &[PublicKey]| {
        let text = bucket.signatures(key("a"), first, &asked.iter().copied().collect()).unwrap();
        let mut lines: Vec<String> = String::from_utf8(text).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(found(&signers), ["1", "2"]);
    assert_eq!((found(&signers[1..]), found(&[])), (vec!["2".to_owned()], vec![]));
    let name = Digest::of(format!("{first} {}", signers[0]).as_bytes());
    let key_name = key("a").to_string();
    let file = scene.server.file(&format!("team/v1/signatures/{}/{key_name}/{name}", &key_name[..2]));
    assert_eq!(fs::read(file).unwrap(), b"1\n");

    assert_eq!(bucket.beside(key("a")).unwrap(), [b""; 0]);
    let mut records = [b"first".to_vec(), b"other".to_vec(), b"third".to_vec()];
    records.iter().for_each(|record| bucket.keep_beside(key("a"), record).unwrap());
    records.sort_by_key(|record| Digest::of(record));
    assert_eq!(bucket.beside(key("a")).unwrap(), records);
    scene.server.fault(|_| Fault::Status(403));
    assert_eq!((found(&signers), bucket.beside(key("a")).unwrap()), (vec![], vec![]));
}

#[test]
fn a_bucket_that_is_away_is_an_error_in_seconds_and_works_when_it_is_back() {
    let mut scene = scene();
    let bucket = scene.bucket();
    put(&bucket, b"one").unwrap();
    scene.server.stop();
    let error = get(&bucket, object(b"one")).unwrap_err().to_string();
    assert!(error.contains("refused"), "{error}");
    scene.server.restart();
    assert!(get(&bucket, object(b"one")).unwrap().is_some());
}

#[test]
fn a_wrong_password_is_told_as_that() {
    let scene = scene();
    let environment = scene.server.environment().into_iter().map(|(name, value)| {
        let value = if name == "AWS_SECRET_ACCESS_KEY" { "wrong".to_owned() } else { value };
        (name.into(), value.into())
    });
    let bucket = Bucket::open("s3://cache", true, environment).unwrap();
    let error = bucket.put_trace_if_absent(key("a"), b"record").unwrap_err().to_string();
    assert!(error.starts_with("access is denied: ") && error.contains("credentials"), "{error}");
}

#[test]
fn a_url_that_is_none_of_a_bucket_is_refused_with_a_reason() {
    for (url, reason) in [
        ("s3://", "names no bucket"),
        ("s3:///prefix", "names no bucket"),
        ("ftp://cache/prefix", "none of s3://"),
        ("s3://cache/prefix?x=1", "no `?`"),
        ("s3://cache/a//b", "the folder in the bucket"),
    ] {
        let error = Bucket::open(url, false, std::iter::empty()).unwrap_err().to_string();
        assert!(error.contains(reason), "{url}: {error}");
    }
}

#[test]
fn a_plain_connection_is_made_only_where_the_endpoint_is_written_so() {
    let scene = scene();
    let environment =
        scene.server.environment().into_iter().map(|(name, value)| (name, value.replace("http:", "https:")));
    let environment = environment.chain([("AWS_ALLOW_HTTP".to_owned(), "true".to_owned())]);
    let bucket =
        Bucket::open("s3://cache", false, environment.map(|(name, value)| (name.into(), value.into()))).unwrap();
    assert!(bucket.trace(key("a")).is_err());
    assert_eq!(scene.server.asked(), []);
}

#[test]
fn a_result_goes_to_another_machine_and_what_is_damaged_on_the_way_is_a_miss() {
    let scene = scene();
    let maker = scene.store();
    let (artifact, trace) = sample::publish(&maker, scene.dir.path());
    assert_eq!(maker.push(trace.key, &mut |_| true).unwrap(), None);
    assert_eq!((maker.unpushed().unwrap(), maker.complaints()), (vec![], vec![]));
    let out = scene.dir.path().join("out");
    let hit = |store: &Store| {
        let Some(recorded) = store.look_up(trace.key).unwrap() else { return false };
        let restored = store.restore(&artifact, &out, Placement::View);
        restored.is_ok() && store.keep_pulled(&recorded).is_ok()
    };
    for fault in [Fault::Flipped, Fault::Cut] {
        for part in ["/traces/", "/objects/"] {
            scene.server.fault(
                move |asked| if asked.method == "GET" && asked.path.contains(part) { fault } else { Fault::None },
            );
            let store = scene.store();
            assert!(!hit(&store), "{fault:?} {part}");
            assert_eq!(store.complaints().len(), 1, "{fault:?} {part}");
        }
    }
    scene.server.no_faults();
    scene.server.delay(Duration::from_millis(50));
    let store = scene.store();
    assert!(hit(&store));
    assert_eq!(fs::read_to_string(out.join("deep/one")).unwrap(), "one");
    scene.server.asked();
    assert!(hit(&store));
    assert_eq!(scene.server.asked(), [], "now it is in the own cache");
    assert_eq!(store.complaints(), [""; 0]);
}

#[test]
fn a_bucket_is_shared_by_threads() {
    let scene = scene();
    let bucket = Arc::new(scene.bucket());
    thread::scope(|scope| {
        for number in 0..16u8 {
            let bucket = &bucket;
            scope.spawn(move || {
                put(bucket, &[number]).unwrap();
                assert_eq!(get(bucket, object(&[number])).unwrap(), Some(vec![number]));
            });
        }
    });
}
