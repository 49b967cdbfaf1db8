//! A result for tests: a folder with two files, one of them below another folder.

use std::fs;
use std::path::Path;

use super::{Artifact, Store, Take, Trace, TracedOutput};
use crate::digest::{Digest, Key};

/// Makes the folder `from` in `place`, stores it, and publishes its record: the output `out` of a stage `a`, under a key that is
/// always the same.
pub(super) fn publish(store: &Store, place: &Path) -> (Artifact, Trace) {
    let from = place.join("from");
    fs::create_dir_all(from.join("deep")).unwrap();
    fs::write(from.join("deep/one"), "one").unwrap();
    fs::write(from.join("two"), "two").unwrap();
    let artifact = store.insert(&from, Take::Copy).unwrap();
    let mut trace = Trace::new(Key(Digest::of(b"key")), "demo", "a", "command", serde_json::Value::Null);
    trace.outputs = vec![TracedOutput { name: "out".into(), path: "out".into(), artifact }];
    store.publish(&trace, &[]).unwrap();
    (artifact, trace)
}
