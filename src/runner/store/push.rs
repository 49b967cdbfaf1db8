//! Pushing: copies a published result to the upstreams that take results.
//!
//! Knows upstreams only by their interface. The order of steps is what all machines rely on:
//!
//! 1. The result is published here, and noted as [`Unpushed`]. From now on nothing can be lost.
//! 2. If an upstream already has a record of the key with other outputs, as after a training on another GPU, that one is the
//!    first and stays. Ours is kept beside it, and the caller goes on with the first one ([`Store::push`] returns it): its
//!    outputs are put in place, so that keys downstream agree on all machines.
//! 3. Otherwise the objects that the upstream lacks are copied, then the record, put only if absent. An upstream never has a record
//!    without its objects. If another machine was quicker with the record, step 2 applies.
//!
//! If the record is signed here, its signature goes before it. If the upstream's record isn't the very same, ours is kept beside that
//! one and signed: each machine signs the bytes that it wrote itself, nothing else. A first record that doesn't count here, because
//! nobody has signed it who is trusted, isn't gone on with: our own signed one beside it is what others find who trust us.
//!
//! So outputs are placed and seen by dependents only after the push, which runs on the job's thread and takes as long as the network
//! needs. Meanwhile the stage occupies no resources, and other stages run. Failures are warnings and never fail a run; what
//! wasn't copied stays noted.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::error::Error;
use super::signature::Signed;
use super::unpushed::Unpushed;
use super::upstream::{Asked, Put, Thing, UpstreamWriter};
use super::{Health, Recorded, Store, Trace};
use crate::digest::{Digest, FileDigest, Key};
use crate::plain;

/// How often progress is told.
const INTERVAL: Duration = Duration::from_millis(200);

/// How far a push is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// The upstream's name.
    pub to: String,
    /// Bytes that were sent.
    pub bytes: u64,
    /// Bytes to send.
    pub of: u64,
}

/// One result to push.
struct Package<'a> {
    trace: &'a Trace,
    /// The record, byte for byte as in this store.
    bytes: &'a [u8],
    objects: &'a [FileDigest],
    /// Who vouches for it.
    signed: &'a [Signed],
}

/// What became of a push to one upstream.
enum Settled {
    /// It has this result.
    Ours,
    /// It has another result of the key, and keeps it.
    Theirs(Box<Recorded>),
}

/// One transfer, seen by several threads.
#[derive(Default)]
struct Transfer {
    sent: AtomicU64,
    is_over: AtomicBool,
}

impl Store {
    /// Whether results are copied anywhere.
    pub fn pushes(&self) -> bool {
        self.upstreams.writers().next().is_some()
    }

    /// Notes that a result, which is about to be published, is to be pushed.
    pub(super) fn note_push(&self, key: Key, listings: &[FileDigest]) -> Result<(), Error> {
        let to = BTreeSet::from_iter(self.upstreams.writers().map(Asked::name));
        if to.is_empty() {
            return Ok(());
        }
        self.note_unpushed(key, &Unpushed { to, listings: listings.to_vec() })
    }

    /// Notes that a result of this store is to be pushed to this upstream, too.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn push_also(&self, key: Key, to: &str, listings: Vec<FileDigest>) -> Result<(), Error> {
        let mut unpushed = self.unpushed_of(key)?.unwrap_or_default();
        unpushed.to.insert(to.to_owned());
        unpushed.listings = listings;
        self.note_unpushed(key, &unpushed)
    }

    /// Pushes a result that is noted as unpushed to the upstreams that don't have it. `go_on` is told how far it is, and stops
    /// it by `false`. Returns the first record of the key if that is another machine's with other outputs: then those are to be
    /// placed. Its objects are still in the upstream.
    ///
    /// # Errors
    /// [`Error::Io`] of this store. A failure of an upstream is a warning: see [`Store::complaints`].
    pub fn push(&self, key: Key, go_on: &mut dyn FnMut(&Sent) -> bool) -> Result<Option<Recorded>, Error> {
        let Some(mut unpushed) = self.unpushed_of(key)? else { return Ok(None) };
        let Some((trace, bytes)) = self.own_record(key)? else {
            self.note_unpushed(key, &Unpushed::default())?;
            return Ok(None);
        };
        let objects = match self.objects_of(&trace, &unpushed.listings) {
            Ok(objects) => objects,
            Err(error) if error.is_miss() => {
                self.warn_of_push(&trace, &error.to_string());
                self.note_unpushed(key, &Unpushed::default())?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let signed = self.signatures(key, Digest::of(&bytes))?;
        let package = Package { trace: &trace, bytes: &bytes, objects: &objects, signed: &signed };
        let mut first = None;
        for asked in self.upstreams.iter() {
            if !unpushed.to.contains(&asked.name()) {
                continue;
            }
            let Some(writer) = asked.writer() else { continue };
            let Some(settled) = self.push_to(asked, writer, &package, go_on) else { continue };
            unpushed.to.remove(&asked.name());
            if let Settled::Theirs(theirs) = settled {
                // Its objects are not here, so other upstreams get it later.
                first = Some(*theirs);
                break;
            }
        }
        self.note_unpushed(key, &unpushed)?;
        Ok(first)
    }

    /// `None`: it was not pushed, and there was a warning unless it was told to stop.
    fn push_to(
        &self,
        asked: &Asked,
        writer: &dyn UpstreamWriter,
        package: &Package<'_>,
        go_on: &mut dyn FnMut(&Sent) -> bool,
    ) -> Option<Settled> {
        let record = Thing::Trace(package.trace.key);
        let there = self.upstreams.ask(asked, record, |upstream| upstream.trace(package.trace.key).map(Some))?;
        if let Some(first) = &there
            && let Some(theirs) = self.other_result(asked, package, first)
        {
            return self.keep_beside(asked, writer, package, theirs);
        }
        let sent = self.send_objects(asked, writer, package, go_on)?;
        if let Some(first) = there {
            return self.vouch(asked, writer, package, &first);
        }
        if !go_on(&sent) {
            return None;
        }
        self.put_signatures(asked, writer, package)?;
        let put = || writer.put_trace_if_absent(package.trace.key, package.bytes);
        match self.upstreams.give(asked, record, put)? {
            Put::Stored => Some(Settled::Ours),
            Put::AlreadyThere(first) => match self.other_result(asked, package, &first) {
                Some(theirs) => self.keep_beside(asked, writer, package, theirs),
                None => self.vouch(asked, writer, package, &first),
            },
        }
    }

    /// Adds our signatures to an upstream that has a record of the key. `first`: the record, which names the same outputs, or doesn't
    /// count here.
    fn vouch(
        &self,
        asked: &Asked,
        writer: &dyn UpstreamWriter,
        package: &Package<'_>,
        first: &[u8],
    ) -> Option<Settled> {
        if package.signed.is_empty() {
            return Some(Settled::Ours);
        }
        if first == package.bytes {
            return self.put_signatures(asked, writer, package).map(|()| Settled::Ours);
        }
        let (key, signers) = (package.trace.key, package.signed.iter().map(|signed| signed.signer).collect());
        if !self.vouched(asked, key, Digest::of(first), &signers)?.by.is_empty() {
            return Some(Settled::Ours);
        }
        self.put_signatures(asked, writer, package)?;
        self.upstreams.give(asked, Thing::Trace(key), || writer.keep_beside(key, package.bytes))?;
        // Another machine that is trusted may have done the same with another result. Both now see both.
        let other = self.other_result(asked, package, first);
        Some(other.map_or(Settled::Ours, |theirs| Settled::Theirs(Box::new(theirs))))
    }

    fn put_signatures(&self, asked: &Asked, writer: &dyn UpstreamWriter, package: &Package<'_>) -> Option<()> {
        let key = package.trace.key;
        package.signed.iter().try_for_each(|signed| {
            let put = || writer.put_signature(key, signed.record, signed.signer, &signed.line());
            self.upstreams.give(asked, Thing::Trace(key), put)
        })
    }

    /// Sends the objects that an upstream lacks, and returns what was sent. `None`: not all were.
    fn send_objects(
        &self,
        asked: &Asked,
        writer: &dyn UpstreamWriter,
        package: &Package<'_>,
        go_on: &mut dyn FnMut(&Sent) -> bool,
    ) -> Option<Sent> {
        let record = Thing::Trace(package.trace.key);
        let present = self.upstreams.ask(asked, record, |upstream| upstream.has(package.objects).map(Some))?;
        let is_absent = |object: &&FileDigest| !present.contains(object) || asked.is_known_damaged(**object);
        let absent: Vec<FileDigest> = package.objects.iter().filter(is_absent).copied().collect();
        let of = absent.iter().filter_map(|object| plain::open(&self.object_path(*object)).ok()?.metadata().ok());
        let of = of.map(|metadata| metadata.len()).sum();
        let progress = |bytes: u64| Sent { to: asked.name(), bytes, of };
        if !go_on(&progress(0)) {
            return None;
        }
        let transfer = Transfer::default();
        let send = |object: &FileDigest| self.send(asked, writer, package.trace, *object, &transfer);
        std::thread::scope(|scope| {
            let (done, ended) = mpsc::channel::<()>();
            let sent = scope.spawn(|| {
                let _done = done;
                self.upstreams.at_once(|| absent.par_iter().try_for_each(send))
            });
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                if !go_on(&progress(transfer.sent.load(Ordering::Relaxed))) {
                    transfer.is_over.store(true, Ordering::Relaxed);
                }
            }
            sent.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
        .map(|()| progress(of))
    }

    fn send(
        &self,
        asked: &Asked,
        writer: &dyn UpstreamWriter,
        trace: &Trace,
        object: FileDigest,
        transfer: &Transfer,
    ) -> Option<()> {
        if transfer.is_over() {
            return None;
        }
        let Some((file, size)) = self.open_intact(object) else {
            self.warn_of_push(trace, &format!("object {object} is no longer in the cache"));
            return None;
        };
        let mut counted = Counted { file, transfer };
        let put = || match writer.put_object(object, &mut counted, size) {
            // That isn't the upstream's fault.
            Err(_) if transfer.is_over() => Ok(false),
            put => put.map(|()| true),
        };
        let is_sent = self.upstreams.give(asked, Thing::Object(object), put)?;
        is_sent.then(|| asked.note_replaced(object))
    }

    /// The record of an upstream that counts, if it names other outputs. One that can't be read counts as ours: it is never
    /// replaced, and there is a warning.
    fn other_result(&self, asked: &Asked, package: &Package<'_>, first: &[u8]) -> Option<Recorded> {
        let outputs = |trace: &Trace| {
            let outputs = trace.outputs.iter().map(|output| (output.name.clone(), output.artifact.digest()));
            BTreeSet::from_iter(outputs)
        };
        let theirs = self.counting(asked, package.trace.key, first.to_vec())?;
        (outputs(&theirs.trace) != outputs(package.trace)).then_some(theirs)
    }

    fn keep_beside(
        &self,
        asked: &Asked,
        writer: &dyn UpstreamWriter,
        package: &Package<'_>,
        theirs: Recorded,
    ) -> Option<Settled> {
        let record = Thing::Trace(package.trace.key);
        self.upstreams.give(asked, record, || writer.keep_beside(package.trace.key, package.bytes))?;
        Some(Settled::Theirs(Box::new(theirs)))
    }

    /// The objects of all outputs with their listings, and the listings that the manifest names.
    fn objects_of(&self, trace: &Trace, listings: &[FileDigest]) -> Result<Vec<FileDigest>, Error> {
        let mut objects: HashSet<FileDigest> = listings.iter().copied().collect();
        for output in &trace.outputs {
            objects.extend(self.layout(&output.artifact)?.into_iter().map(|item| item.object));
        }
        let mut objects = Vec::from_iter(objects);
        objects.sort_unstable();
        Ok(objects)
    }

    /// An object to be read, with its size.
    fn open_intact(&self, object: FileDigest) -> Option<(File, u64)> {
        match self.check(object) {
            Ok(Health::Intact(stat)) => Some((plain::open(&self.object_path(object)).ok()?, stat.size)),
            _ => None,
        }
    }

    fn warn_of_push(&self, trace: &Trace, why: &str) {
        let text = format!("the result of {}/{} is not copied to shared caches: {why}", trace.pipeline, trace.stage);
        self.upstreams.warn(format!("push of {}", trace.key), text);
    }
}

impl Transfer {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// A file that is sent: counts, and ends when the transfer is stopped.
struct Counted<'a> {
    file: File,
    transfer: &'a Transfer,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.transfer.is_over() {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        let count = self.file.read(buffer)?;
        self.transfer.sent.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
