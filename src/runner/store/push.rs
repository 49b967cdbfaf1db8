//! Pushing: copies a published result to the upstreams that take results.
//!
//! Knows upstreams only by their interface. Objects go first and the record last, so an upstream never gets a record without
//! its objects. A failure is a warning and never fails a run: this store has the result already.

use std::collections::BTreeSet;
use std::fs::File;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::error::Error;
use super::trace::{Found, decode};
use super::upstream::{Asked, Put, Thing, UpstreamWriter};
use super::{Health, Store, Trace};
use crate::digest::FileDigest;
use crate::plain;

/// One result to push.
struct Package<'a> {
    trace: &'a Trace,
    /// The record, byte for byte as in this store.
    bytes: &'a [u8],
    objects: Vec<FileDigest>,
}

impl Store {
    /// Pushes a result of this store; `bytes` is its record. `listings` are objects that the record's manifest names.
    pub(super) fn push(&self, trace: &Trace, bytes: &[u8], listings: &[FileDigest]) {
        let writers = self.upstreams.iter().filter_map(|asked| Some((asked, asked.writer()?)));
        let writers: Vec<(&Asked, &dyn UpstreamWriter)> = writers.collect();
        if writers.is_empty() {
            return;
        }
        let objects = match self.objects_of(trace, listings) {
            Ok(objects) => objects,
            Err(error) => return self.warn_of_push(trace, &error.to_string()),
        };
        let package = Package { trace, bytes, objects };
        for (asked, writer) in writers {
            if let Some(Put::AlreadyThere(first)) = self.push_to(asked, writer, &package) {
                self.compare(asked, trace, &first);
            }
        }
    }

    /// `None`: there was a warning, and the record was not pushed.
    fn push_to(&self, asked: &Asked, writer: &dyn UpstreamWriter, package: &Package<'_>) -> Option<Put> {
        let Package { trace, bytes, objects } = package;
        let record = Thing::Trace(trace.key);
        let present = self.upstreams.ask(asked, record, |upstream| upstream.has(objects).map(Some))?;
        let absent: Vec<FileDigest> = objects.iter().filter(|object| !present.contains(object)).copied().collect();
        absent.par_iter().try_for_each(|object| {
            let Some((mut file, size)) = self.open_intact(*object) else {
                self.warn_of_push(trace, &format!("object {object} is no longer in the cache"));
                return None;
            };
            self.upstreams.give(asked, Thing::Object(*object), || writer.put_object(*object, &mut file, size))
        })?;
        self.upstreams.give(asked, record, || writer.put_trace_if_absent(trace.key, bytes))
    }

    /// The objects of all outputs with their listings, and the listings that the manifest names.
    fn objects_of(&self, trace: &Trace, listings: &[FileDigest]) -> Result<Vec<FileDigest>, Error> {
        let mut objects: BTreeSet<FileDigest> = listings.iter().copied().collect();
        for output in &trace.outputs {
            objects.extend(self.layout(&output.artifact)?.into_iter().map(|item| item.object));
        }
        Ok(Vec::from_iter(objects))
    }

    /// An object to be read, with its size.
    fn open_intact(&self, object: FileDigest) -> Option<(File, u64)> {
        match self.check(object) {
            Ok(Health::Intact(stat)) => Some((plain::open(&self.object_path(object)).ok()?, stat.size)),
            _ => None,
        }
    }

    /// Warns if the record that an upstream already had names other outputs.
    fn compare(&self, asked: &Asked, trace: &Trace, first: &[u8]) {
        let outputs = |trace: &Trace| {
            let outputs = trace.outputs.iter().map(|output| (output.name.clone(), output.artifact.digest()));
            BTreeSet::from_iter(outputs)
        };
        let record = Thing::Trace(trace.key);
        match decode(first, trace.key) {
            Found::Trace(first) if outputs(&first) != outputs(trace) => {
                let (name, stage) = (asked.name(), stage_of(trace));
                let text = format!(
                    "the shared cache `{name}` already had another result of {stage}, and keeps it; this run goes on with its own"
                );
                self.upstreams.warn(asked.name_of(record), text);
            }
            Found::Trace(_) | Found::OtherFormat => {}
            Found::Damaged => self.upstreams.complain_of(asked, record, "is damaged"),
        }
    }

    fn warn_of_push(&self, trace: &Trace, why: &str) {
        let text = format!("the result of {} is not copied to shared caches: {why}", stage_of(trace));
        self.upstreams.warn(format!("push of {}", trace.key), text);
    }
}

fn stage_of(trace: &Trace) -> String {
    format!("{}/{}", trace.pipeline, trace.stage)
}
