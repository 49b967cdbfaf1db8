//! Traces: the records of what the outputs of a key are.
//!
//! Knows a stage's name and manifest only as text to show. One small immutable file per key, published by rename: there is
//! nothing to repair or compact, no locking, and `cat` reads it. The file is two JSON values: the trace, and on the last line
//! the checksum of all bytes before it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use serde::{Deserialize, Serialize};

use super::Store;
use super::artifact::Artifact;
use super::error::{At, Error};
use super::later::Durable;
use super::signature::Signed;
use super::stat::now_ns;
use super::strange::names;
use super::strange::{self, Record};
use crate::digest::{ArtifactDigest, Digest, FileDigest, Key};

/// The record version that this program writes and reads. A record of any other version is a miss and is left unchanged.
const FORMAT: u32 = 1;

/// One finished computation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// Version of this record.
    pub format: u32,
    /// The key under which it is found.
    pub key: Key,
    /// The name of the pipeline that computed it. Empty in records of older programs.
    #[serde(default)]
    pub pipeline: String,
    /// The name of the stage that computed it.
    pub stage: String,
    /// The kind of that stage.
    pub kind: String,
    /// The data that the key is the hash of, for `why` and for people.
    pub manifest: serde_json::Value,
    /// Outputs of other results inside a folder or data set that the stage reads, so the manifest doesn't name them
    /// individually. For gc.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<ArtifactDigest>,
    /// The outputs, in the order in which the stage declares them.
    pub outputs: Vec<TracedOutput>,
    /// When the job started, in seconds since the Unix epoch.
    pub started: f64,
    /// How long it took, in seconds; for a resumed training, the sum over all its runs.
    pub seconds: f64,
    /// The iteration at which it was resumed, if it was.
    pub resumed_from: Option<u64>,
    /// Further information that is not part of the key: host, device, versions.
    pub note: BTreeMap<String, String>,
}

/// One output of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TracedOutput {
    /// Its name in the stage.
    pub name: String,
    /// Its path relative to the workspace's root.
    pub path: String,
    /// Its content.
    pub artifact: Artifact,
}

#[derive(Serialize, Deserialize)]
struct Checksum {
    checksum: Digest,
}

impl Trace {
    /// A trace without outputs, started now.
    pub fn new(key: Key, pipeline: &str, stage: &str, kind: &str, manifest: serde_json::Value) -> Trace {
        Trace {
            format: FORMAT,
            key,
            pipeline: pipeline.to_owned(),
            stage: stage.to_owned(),
            kind: kind.to_owned(),
            manifest,
            after: Vec::new(),
            outputs: Vec::new(),
            started: now_ns() as f64 / 1e9,
            seconds: 0.0,
            resumed_from: None,
            note: BTreeMap::new(),
        }
    }

    fn encode(&self) -> Vec<u8> {
        // Serialization fails only for map keys that aren't strings and for failing writers; neither occurs here.
        let mut bytes = serde_json::to_vec_pretty(self).expect("a trace can always be written as JSON");
        bytes.push(b'\n');
        let checksum = Checksum { checksum: Digest::of(&bytes) };
        bytes.extend(serde_json::to_vec(&checksum).expect("a digest can always be written as JSON"));
        bytes.push(b'\n');
        bytes
    }
}

/// A record and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The record.
    pub trace: Trace,
    pub(super) pulled: Option<Pulled>,
}

/// The origin of a record that this store doesn't have yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pulled {
    /// The upstream's name.
    pub(super) from: String,
    /// The record, byte for byte.
    pub(super) bytes: Vec<u8>,
    /// The signatures that made it count; none if none was asked for.
    pub(super) signed: Vec<Signed>,
}

impl Recorded {
    /// A record of this store.
    pub fn own(trace: Trace) -> Recorded {
        Recorded { trace, pulled: None }
    }

    pub(super) fn pulled(trace: Trace, from: String, bytes: Vec<u8>, signed: Vec<Signed>) -> Recorded {
        Recorded { trace, pulled: Some(Pulled { from, bytes, signed }) }
    }

    /// The upstream that it came from, if this store doesn't have it yet.
    pub fn pulled_from(&self) -> Option<&str> {
        self.pulled.as_ref().map(|pulled| &*pulled.from)
    }
}

/// The result of decoding a record.
pub(super) enum Found {
    Trace(Box<Trace>),
    OtherFormat,
    Damaged,
}

pub(super) fn decode(bytes: &[u8], key: Key) -> Found {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let Some(body) = checked_body(bytes) else { return Found::Damaged };
    match serde_json::from_slice::<Format>(body) {
        Ok(Format { format }) if format != FORMAT => return Found::OtherFormat,
        _ => {}
    }
    match serde_json::from_slice::<Trace>(body) {
        Ok(trace) if trace.key == key => Found::Trace(Box::new(trace)),
        _ => Found::Damaged,
    }
}

/// All but the last line, if the last line is the right checksum.
fn checked_body(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.strip_suffix(b"\n")?.iter().rposition(|&byte| byte == b'\n')? + 1;
    let (body, last) = bytes.split_at(end);
    let Checksum { checksum } = serde_json::from_slice(last).ok()?;
    (Digest::of(body) == checksum).then_some(body)
}

impl Store {
    /// The record of `key`, from here or from an upstream. A damaged record goes to quarantine and counts as absent.
    ///
    /// Its objects may be missing or damaged: see [`Store::could_restore`] and [`Store::restore`].
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn look_up(&self, key: Key) -> Result<Option<Recorded>, Error> {
        match self.find(key)? {
            Some(Found::Trace(trace)) => return Ok(Some(Recorded::own(*trace))),
            Some(Found::OtherFormat) | None => {}
            Some(Found::Damaged) => self.quarantine(&self.trace_path(key))?,
        }
        Ok(self.pull_trace(key))
    }

    /// Like [`Store::look_up`], without the origin.
    ///
    /// # Errors
    /// Those of [`Store::look_up`].
    pub fn load(&self, key: Key) -> Result<Option<Trace>, Error> {
        Ok(self.look_up(key)?.map(|recorded| recorded.trace))
    }

    /// The record of `key` in this store; no upstream is asked, and nothing is changed. None if it is absent or damaged.
    pub fn here(&self, key: Key) -> Option<Trace> {
        match self.find(key) {
            Ok(Some(Found::Trace(trace))) => Some(*trace),
            _ => None,
        }
    }

    /// Whether this store has a record of `key`, readable or not: quick, for lists of many.
    pub fn has_record(&self, key: Key) -> bool {
        self.trace_path(key).symlink_metadata().is_ok()
    }

    /// The record of `key` in this store. A damaged one stays where it is.
    pub(super) fn find(&self, key: Key) -> Result<Option<Found>, Error> {
        if self.is_absent {
            return Ok(None);
        }
        let path = self.trace_path(key);
        Ok(match strange::read(&path).at("read", &path)? {
            Record::Absent => None,
            Record::Bytes(bytes) => Some(decode(&bytes, key)),
            Record::Strange => Some(Found::Damaged),
        })
    }

    /// The record of `key` in this store, with its bytes.
    pub(super) fn own_record(&self, key: Key) -> Result<Option<(Trace, Vec<u8>)>, Error> {
        let path = self.trace_path(key);
        let Some(bytes) = strange::read(&path).at("read", &path)?.bytes() else { return Ok(None) };
        Ok(match decode(&bytes, key) {
            Found::Trace(trace) => Some((*trace, bytes)),
            Found::OtherFormat | Found::Damaged => None,
        })
    }

    /// Stores a record, replacing an earlier one of its key, and notes that it is to be pushed, if there are upstreams that take
    /// results ([`Store::push`]). Signs it, if this store has a key for that. Its objects must have been stored before, and so
    /// must `listings`, the objects that its manifest
    /// names.
    ///
    /// The holder of the key's lease looks the key up again before computing it, so a record is replaced only if it was damaged,
    /// lost an object, or the stage was forced to run.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn publish(&self, trace: &Trace, listings: &[FileDigest]) -> Result<(), Error> {
        self.publish_by(trace, listings, Durable::Now)
    }

    /// The same, durable now or soon.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn publish_by(&self, trace: &Trace, listings: &[FileDigest], durable: Durable) -> Result<(), Error> {
        self.note_in_use(trace.key);
        self.note_push(trace.key, listings)?;
        let bytes = trace.encode();
        // A record is never to be seen without its signature.
        self.sign(trace.key, Digest::of(&bytes))?;
        self.publish_file_by(self.stage_bytes(&bytes)?, &self.trace_path(trace.key), durable)
    }

    /// Notes that the result of `key` was used: gc goes by the modification time of the trace, and by the list of each run in
    /// progress.
    ///
    /// Never fails: the file of another user can't be touched, and gc then considers it older than it is.
    pub fn note_use(&self, key: Key) {
        self.note_in_use(key);
        let now = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        };
        let _ = rustix::fs::utimensat(CWD, self.trace_path(key), &now, AtFlags::empty());
    }

    /// The keys of all traces, in order.
    ///
    /// # Errors
    /// [`Error::Io`] if a folder can't be listed.
    pub fn keys(&self) -> Result<Vec<Key>, Error> {
        let top = self.root.join("traces");
        let mut keys = Vec::new();
        for prefix in names(&top)? {
            for name in names(&top.join(&prefix))? {
                let key = prefix.to_str().zip(name.to_str().and_then(|name| name.strip_suffix(".json")));
                keys.extend(key.and_then(|(prefix, rest)| format!("{prefix}{rest}").parse::<Key>().ok()));
            }
        }
        Ok(keys)
    }

    pub(super) fn trace_path(&self, key: Key) -> PathBuf {
        self.fanned("traces", key.0, ".json")
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::store::Take;

    fn store_with_trace() -> (tempfile::TempDir, Store, Trace) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        fs::write(dir.path().join("out"), "0.5").unwrap();
        let artifact = store.insert(&dir.path().join("out"), Take::Copy).unwrap();
        let key = Key(Digest::of(b"key"));
        let mut trace = Trace::new(key, "demo", "rank", "ranking", serde_json::json!({"lambda": "0.67"}));
        trace.outputs = vec![TracedOutput { name: "out".into(), path: "out".into(), artifact }];
        trace.resumed_from = Some(100);
        trace.started = 1.5;
        (dir, store, trace)
    }

    #[test]
    fn a_trace_is_found_under_its_key_and_is_json_throughout() {
        let (_dir, store, trace) = store_with_trace();
        assert_eq!(store.load(trace.key).unwrap(), None);
        store.publish(&trace, &[]).unwrap();
        assert_eq!(store.load(trace.key).unwrap(), Some(trace.clone()));
        assert_eq!(store.keys().unwrap(), [trace.key]);
        let bytes = fs::read(store.trace_path(trace.key)).unwrap();
        let values = serde_json::Deserializer::from_slice(&bytes).into_iter::<serde_json::Value>();
        assert_eq!(values.collect::<Result<Vec<_>, _>>().unwrap().len(), 2);
    }

    #[test]
    fn a_later_trace_of_a_key_replaces_the_earlier_one_at_once() {
        let (dir, store, trace) = store_with_trace();
        store.publish(&trace, &[]).unwrap();
        fs::write(dir.path().join("out"), "0.6").unwrap();
        let mut other = trace.clone();
        other.outputs[0].artifact = store.insert(&dir.path().join("out"), Take::Copy).unwrap();
        store.publish(&other, &[]).unwrap();
        assert_eq!(store.load(trace.key).unwrap(), Some(other));
    }

    #[test]
    fn a_trace_cut_or_altered_anywhere_is_a_miss_and_goes_to_quarantine() {
        let (_dir, store, trace) = store_with_trace();
        let bytes = trace.encode();
        let key = trace.key;
        assert!(matches!(decode(&bytes, key), Found::Trace(_)));
        for length in 0..bytes.len() {
            assert!(matches!(decode(&bytes[..length], key), Found::Damaged), "cut to {length}");
            let mut altered = bytes.clone();
            altered[length] ^= 1;
            assert!(matches!(decode(&altered, key), Found::Damaged), "altered at {length}");
        }
        store.publish(&trace, &[]).unwrap();
        let path = store.trace_path(key);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(store.load(key).unwrap(), None);
        assert!(!path.exists());
        assert_eq!(fs::read_dir(store.root().join("quarantine")).unwrap().count(), 1);
    }

    #[test]
    fn a_trace_under_another_s_key_is_damaged_and_one_of_another_format_is_left_alone() {
        let (_dir, store, mut trace) = store_with_trace();
        assert!(matches!(decode(&trace.encode(), Key(Digest::of(b"other"))), Found::Damaged));
        trace.format = FORMAT + 1;
        store.publish(&trace, &[]).unwrap();
        assert_eq!(store.load(trace.key).unwrap(), None);
        assert!(store.trace_path(trace.key).exists());
    }
}
