//! A store's upstreams in the order in which they are asked, and the warnings about them.
//!
//! Knows that a request failed, not what it was for. Each problem is reported once; apart from that, an upstream with a
//! problem is treated as one that doesn't have the item.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{Thing, Upstream, UpstreamWriter};
use crate::digest::{FileDigest, Key};
use crate::measures::plural;

/// After this many failures in a row, a remote upstream isn't used any more while the store is open: each failure may have
/// taken as long as all retries of the upstream.
const FAILURES_IN_A_ROW: u32 = 3;

/// Objects that are on their way over a network at once: a server answers late, not slowly. Each may have 16 MiB in memory.
const AT_ONCE: usize = 16;

/// All upstreams of a store.
#[derive(Debug, Default)]
pub(in crate::store) struct Upstreams {
    all: Vec<Asked>,
    complaints: Complaints,
    distrusted: Mutex<BTreeMap<String, Distrusted>>,
    threads: OnceLock<Option<ThreadPool>>,
}

#[derive(Debug, Default)]
struct Complaints {
    /// Not yet reported.
    untold: Mutex<Vec<String>>,
    /// Everything that has had a warning.
    subjects: Mutex<HashSet<String>>,
}

/// The keys of an upstream whose records didn't count since they were last told.
#[derive(Debug, Default)]
struct Distrusted {
    keys: HashSet<Key>,
    /// Those of them with a signature that doesn't fit.
    wrong: HashSet<Key>,
}

/// An upstream and its recent failures.
#[derive(Debug)]
pub(in crate::store) struct Asked {
    upstream: Box<dyn Upstream>,
    /// Its records count though nobody has signed them.
    is_trusted: bool,
    /// In a row.
    failures: AtomicU32,
    /// Objects that came damaged from it: it has them, and they have to be replaced.
    damaged: Mutex<HashSet<FileDigest>>,
}

impl Asked {
    pub(in crate::store) fn name(&self) -> String {
        self.upstream.name()
    }

    pub(in crate::store) fn name_of(&self, thing: Thing) -> String {
        self.upstream.name_of(thing)
    }

    pub(in crate::store) fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    pub(in crate::store) fn writer(&self) -> Option<&dyn UpstreamWriter> {
        self.upstream.writer()
    }

    pub(in crate::store) fn is_known_damaged(&self, object: FileDigest) -> bool {
        self.damaged.lock().expect("no code panics while it holds this set").contains(&object)
    }

    /// An object was stored there again.
    pub(in crate::store) fn note_replaced(&self, object: FileDigest) {
        self.damaged.lock().expect("no code panics while it holds this set").remove(&object);
    }

    fn is_given_up(&self) -> bool {
        self.upstream.is_remote() && self.failures.load(Ordering::Relaxed) >= FAILURES_IN_A_ROW
    }

    fn note_answer(&self) {
        // An upstream that was given up stays so, even if a request from before that succeeds.
        let reset = |failures| (failures < FAILURES_IN_A_ROW).then_some(0);
        let _ = self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reset);
    }
}

impl Upstreams {
    pub(in crate::store) fn add(&mut self, upstream: Box<dyn Upstream>, is_trusted: bool) {
        self.all.push(Asked { upstream, is_trusted, failures: AtomicU32::new(0), damaged: Mutex::default() });
    }

    /// Those that take results, also those that were given up.
    pub(in crate::store) fn writers(&self) -> impl Iterator<Item = &Asked> {
        self.all.iter().filter(|asked| asked.writer().is_some())
    }

    /// Does work that transfers many objects, on as many threads as that takes.
    pub(in crate::store) fn at_once<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        if !self.iter().any(|asked| asked.upstream.is_remote()) {
            return work();
        }
        // Without further threads it only takes longer.
        match self.threads.get_or_init(|| ThreadPoolBuilder::new().num_threads(AT_ONCE).build().ok()) {
            Some(threads) => threads.install(work),
            None => work(),
        }
    }

    /// Those still in use.
    pub(in crate::store) fn iter(&self) -> impl Iterator<Item = &Asked> {
        self.all.iter().filter(|asked| !asked.is_given_up())
    }

    pub(in crate::store) fn are_none(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Sends one request to an upstream. `request` covers the whole exchange, including reading a stream to its end. `None`:
    /// the upstream doesn't have the item or couldn't be asked.
    pub(in crate::store) fn ask<T>(
        &self,
        asked: &Asked,
        thing: Thing,
        request: impl FnOnce(&dyn Upstream) -> io::Result<Option<T>>,
    ) -> Option<T> {
        self.exchange(asked, thing, "read", || request(&*asked.upstream)).flatten()
    }

    /// Stores an item in an upstream. `None`: it couldn't be stored.
    pub(in crate::store) fn give<T>(
        &self,
        asked: &Asked,
        thing: Thing,
        request: impl FnOnce() -> io::Result<T>,
    ) -> Option<T> {
        self.exchange(asked, thing, "stored", request)
    }

    fn exchange<T>(
        &self,
        asked: &Asked,
        thing: Thing,
        verb: &str,
        request: impl FnOnce() -> io::Result<T>,
    ) -> Option<T> {
        if asked.is_given_up() {
            return None;
        }
        match request() {
            Ok(answer) => {
                asked.note_answer();
                Some(answer)
            }
            Err(error) => {
                asked.failures.fetch_add(1, Ordering::Relaxed);
                self.complain_of_failure(asked, thing, verb, &error);
                None
            }
        }
    }

    fn complain_of_failure(&self, asked: &Asked, thing: Thing, verb: &str, error: &io::Error) {
        if asked.upstream.is_remote() {
            let name = asked.name();
            let text = format!(
                "the shared cache `{name}` fails: {error}; after {FAILURES_IN_A_ROW} failures in a row it is not used any more"
            );
            self.warn(name, text);
        } else {
            // One setting of the file system may be behind all of them: a warning for each would bury everything else.
            let file = asked.name_of(thing);
            let text = format!(
                "the shared cache is not used for this: `{file}` can't be {verb}: {error}; other files of it that can't be {verb} \
                 are skipped without a warning"
            );
            self.warn(format!("{} can't be {verb}", asked.name()), text);
        }
    }

    /// Warns about one item of an upstream.
    pub(in crate::store) fn complain_of(&self, asked: &Asked, thing: Thing, what: &str) {
        let subject = asked.name_of(thing);
        let text = format!("the shared cache is not used for this: `{subject}` {what}");
        self.warn(subject, text);
    }

    /// Warns about an object that isn't what its name says.
    pub(in crate::store) fn complain_of_damage(&self, asked: &Asked, object: FileDigest) {
        asked.damaged.lock().expect("no code panics while it holds this set").insert(object);
        self.complain_of(asked, Thing::Object(object), "is damaged");
    }

    /// Counts a record that nobody has signed who is trusted. `is_wrong`: it has a signature that doesn't fit.
    pub(in crate::store) fn distrust(&self, asked: &Asked, key: Key, is_wrong: bool) {
        let mut distrusted = self.distrusted.lock().expect("no code panics while it holds this list");
        let distrusted = distrusted.entry(asked.name()).or_default();
        distrusted.keys.insert(key);
        if is_wrong {
            distrusted.wrong.insert(key);
        }
    }

    /// What was counted since the last call: a sentence for each upstream.
    pub(in crate::store) fn take_distrust(&self) -> Vec<String> {
        let all = std::mem::take(&mut *self.distrusted.lock().expect("no code panics while it holds this list"));
        all.iter().map(|(name, distrusted)| distrusted.sentence(name)).collect()
    }

    /// Adds a warning, the first about its subject.
    pub(in crate::store) fn warn(&self, subject: String, text: String) {
        self.complaints.add(subject, text);
    }

    /// The warnings not yet reported.
    pub(in crate::store) fn take_complaints(&self) -> Vec<String> {
        for text in self.all.iter().filter_map(|asked| asked.upstream.remark()) {
            self.warn(text.clone(), text);
        }
        std::mem::take(&mut *self.complaints.untold.lock().expect("no code panics while it holds this list"))
    }
}

impl Distrusted {
    fn sentence(&self, name: &str) -> String {
        let wrong = match self.wrong.len() {
            0 => String::new(),
            wrong => format!(" ({wrong} with a signature that does not fit: the record or the signature was changed)"),
        };
        format!(
            "the shared cache `{name}` has {} that nobody in `trust` has signed{wrong}, which are not used; to use them, \
             add the public key of whoever made them to `trust` in [cache], or ask them to sign: `intrada-run cache push URL \
             --all --sign KEY`",
            plural(self.keys.len(), "result")
        )
    }
}

impl Complaints {
    fn add(&self, subject: String, text: String) {
        let lock = "no code panics while it holds this list";
        if self.subjects.lock().expect(lock).insert(subject) {
            self.untold.lock().expect(lock).push(text);
        }
    }
}
