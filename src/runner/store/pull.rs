//! Pulling: copies what the store lacks from its upstreams.
//!
//! Knows upstreams only by their interface. Everything is hashed before it is used or kept; after a damaged item, the next
//! upstream is asked. If signatures are asked for, a record without one counts as absent ([`Store::counting`]).

use std::collections::{BTreeSet, HashSet};
use std::io::{self, Read};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::error::Error;
use super::later::Durable;
use super::objects::{Failed, Staged};
use super::signature::{Vouched, vouched};
use super::trace::{Found, decode};
#[cfg(feature = "s3")]
use super::upstream::Bucket;
use super::upstream::{Asked, Content, Folder, Location, Shared, Thing, Upstream};
use super::{Recorded, Store};
use crate::digest::{Digest, FileDigest, Key};
use crate::signing::{Keyring, PublicKey};

impl Store {
    /// Adds these shared caches as upstreams, in this order; one that is named twice, at its first place. One that can't be used
    /// is left out with a warning.
    #[must_use]
    pub fn with_shared(mut self, shared: &[Shared]) -> Store {
        let mut known = HashSet::from([Location::Folder(self.root.clone())]);
        for one in shared {
            let name = one.at.text().to_string_lossy().into_owned();
            let is = |what: fn(&Shared) -> bool| shared.iter().any(|other| other.at == one.at && what(other));
            match open(&one.at, is(|one| one.push)) {
                Ok((at, upstream)) => {
                    if known.insert(at) {
                        self.upstreams.add(upstream, is(|one| one.is_trusted));
                    }
                }
                Err(why) => self.upstreams.warn(name.clone(), format!("the shared cache `{name}` is not used: {why}")),
            }
        }
        self
    }

    /// With these keys: what is published is signed, and records of upstreams count only if they are signed.
    #[must_use]
    pub fn with_keyring(mut self, keyring: Keyring) -> Store {
        self.keyring = keyring;
        self
    }

    /// Adds an upstream, to be asked after the existing ones.
    #[must_use]
    pub fn with_upstream(mut self, upstream: Box<dyn Upstream>) -> Store {
        self.upstreams.add(upstream, false);
        self
    }

    /// The warnings about upstreams since the last call. Each problem is reported once.
    pub fn complaints(&self) -> Vec<String> {
        self.upstreams.take_complaints()
    }

    /// How many results of which upstreams didn't count since the last call, because nobody has signed them who is trusted: a
    /// sentence for each upstream. For the end of a run.
    pub fn distrust(&self) -> Vec<String> {
        self.upstreams.take_distrust()
    }

    /// Adds a record that came from an upstream to this store, so that the result is found without the upstream and is subject
    /// to this store's limits. Its objects must have been restored before. Does nothing for a record of this store.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn keep_pulled(&self, recorded: &Recorded) -> Result<(), Error> {
        let (key, Some(pulled)) = (recorded.trace.key, &recorded.pulled) else { return Ok(()) };
        self.note_origin(key, Digest::of(&pulled.bytes), &pulled.from, &pulled.signed)?;
        self.publish_file(self.stage_bytes(&pulled.bytes)?, &self.trace_path(key))
    }

    /// Whether an upstream may have a result that this store lacks.
    pub fn may_fetch(&self, key: Key) -> bool {
        !self.upstreams.are_none() && !self.trace_path(key).exists()
    }

    /// Copies the result of a key from the first upstream that has a record of it, with its objects, so that it is found here.
    /// Calls `found` before the objects are copied. Returns the upstream's name; `None` if no upstream has a record.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::Damaged`] if no upstream has the objects intact, [`Error::Io`] otherwise.
    pub fn fetch(&self, key: Key, found: impl FnOnce()) -> Result<Option<String>, Error> {
        let _hold = self.hold()?;
        let Some(recorded) = self.look_up(key)? else { return Ok(None) };
        let Some(from) = recorded.pulled_from().map(str::to_owned) else { return Ok(None) };
        found();
        for output in &recorded.trace.outputs {
            self.hand_out(&output.artifact)?;
        }
        self.keep_pulled(&recorded)?;
        Ok(Some(from))
    }

    /// The record of a key from the first upstream that has one that counts.
    pub(super) fn pull_trace(&self, key: Key) -> Option<Recorded> {
        self.upstreams.iter().find_map(|asked| {
            let first = self.upstreams.ask(asked, Thing::Trace(key), |upstream| upstream.trace(key))?;
            self.counting(asked, key, first)
        })
    }

    /// The record of a key that counts: the first one. If signatures are asked for, the first one that has one: whoever can write
    /// there may have been the first, and must not keep others from what they trust.
    pub(super) fn counting(&self, asked: &Asked, key: Key, first: Vec<u8>) -> Option<Recorded> {
        let thing = Thing::Trace(key);
        let decoded = match decode(&first, key) {
            Found::Trace(trace) => Some(trace),
            Found::OtherFormat => return None,
            Found::Damaged => {
                self.upstreams.complain_of(asked, thing, "is damaged");
                None
            }
        };
        let Some(trusted) = self.keyring.trusted.as_ref().filter(|_| !asked.is_trusted()) else {
            return decoded.map(|trace| Recorded::pulled(*trace, asked.name(), first, Vec::new()));
        };
        let is_whole = decoded.is_some();
        let mut is_wrong = false;
        if let Some(trace) = decoded {
            let vouched = self.vouched(asked, key, Digest::of(&first), trusted)?;
            is_wrong |= vouched.is_wrong;
            if !vouched.by.is_empty() {
                return Some(Recorded::pulled(*trace, asked.name(), first, vouched.by));
            }
        }
        for bytes in self.upstreams.ask(asked, thing, |upstream| upstream.beside(key).map(Some))? {
            let Found::Trace(trace) = decode(&bytes, key) else { continue };
            let vouched = self.vouched(asked, key, Digest::of(&bytes), trusted)?;
            is_wrong |= vouched.is_wrong;
            if !vouched.by.is_empty() {
                return Some(Recorded::pulled(*trace, asked.name(), bytes, vouched.by));
            }
        }
        // What is damaged has been told.
        if is_whole {
            self.upstreams.distrust(asked, key, is_wrong);
        }
        None
    }

    /// Which of these signers have signed a record, as an upstream knows it. `None`: it couldn't be asked.
    pub(super) fn vouched(
        &self,
        asked: &Asked,
        key: Key,
        record: Digest,
        signers: &BTreeSet<PublicKey>,
    ) -> Option<Vouched> {
        let request = |upstream: &dyn Upstream| upstream.signatures(key, record, signers).map(Some);
        let text = self.upstreams.ask(asked, Thing::Trace(key), request)?;
        Some(vouched(&text, key, record, signers))
    }

    /// The verified content of a small object.
    pub(super) fn pull_bytes(&self, object: FileDigest) -> Option<Vec<u8>> {
        let thing = Thing::Object(object);
        self.upstreams.iter().find_map(|asked| {
            let read = |upstream: &dyn Upstream| upstream.open(object)?.map(read_whole).transpose();
            let bytes = self.upstreams.ask(asked, thing, read)?;
            let is_intact = FileDigest(Digest::of(&bytes)) == object;
            if !is_intact {
                self.upstreams.complain_of_damage(asked, object);
            }
            is_intact.then_some(bytes)
        })
    }

    /// Whether the upstreams together have all these objects, as far as they can tell.
    pub(super) fn could_pull(&self, mut objects: Vec<FileDigest>) -> bool {
        for asked in self.upstreams.iter() {
            // An error names the first of them.
            let Some(first) = objects.first() else { break };
            let has = |upstream: &dyn Upstream| upstream.has(&objects).map(Some);
            if let Some(has) = self.upstreams.ask(asked, Thing::Object(*first), has) {
                objects.retain(|object| !has.contains(object));
            }
        }
        objects.is_empty()
    }

    /// Copies objects from the upstreams, leaving out those that none has intact. Returns the number copied.
    pub(super) fn pull(&self, objects: &[FileDigest]) -> Result<usize, Error> {
        if self.upstreams.are_none() || objects.is_empty() {
            return Ok(0);
        }
        let staged: Vec<Result<Option<Staged>, Error>> =
            self.upstreams.at_once(|| objects.par_iter().map(|object| self.stage_pulled(*object)).collect());
        let staged: Vec<Staged> = staged.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        let count = staged.len();
        self.publish_objects(staged, Durable::Now)?;
        Ok(count)
    }

    /// Stages an object from the first upstream that has it intact.
    fn stage_pulled(&self, object: FileDigest) -> Result<Option<Staged>, Error> {
        for asked in self.upstreams.iter() {
            let staged = self.upstreams.ask(asked, Thing::Object(object), |upstream| {
                let Some(content) = upstream.open(object)? else { return Ok(None) };
                match Staged::of_content(self, object, content) {
                    Err(Failed::Source(error)) => Err(error),
                    Err(Failed::Store(error)) => Ok(Some(Err(error))),
                    Ok(staged) => Ok(Some(Ok(staged))),
                }
            });
            match staged.transpose()? {
                Some(Some(staged)) => return Ok(Some(staged)),
                Some(None) => self.upstreams.complain_of_damage(asked, object),
                None => {}
            }
        }
        Ok(None)
    }
}

/// Opens a shared cache. Returns its resolved location, too. `push`: whether it also takes results.
///
/// # Errors
/// Why it can't be used.
fn open(at: &Location, push: bool) -> Result<(Location, Box<dyn Upstream>), String> {
    match at {
        Location::Folder(folder) => {
            let opened = Folder::open(folder).map_err(|error| why_unusable(&error))?;
            Ok((Location::Folder(opened.root().to_owned()), Box::new(opened)))
        }
        Location::Bucket(url) => Ok((at.clone(), open_bucket(url, push)?)),
    }
}

#[cfg(feature = "s3")]
fn open_bucket(url: &str, push: bool) -> Result<Box<dyn Upstream>, String> {
    let bucket = Bucket::open(url, push, std::env::vars_os()).map_err(|error| error.to_string())?;
    Ok(Box::new(bucket))
}

#[cfg(not(feature = "s3"))]
fn open_bucket(_url: &str, _push: bool) -> Result<Box<dyn Upstream>, String> {
    Err(super::upstream::WITHOUT_BUCKETS.to_owned())
}

/// Why the folder of a shared cache can't be opened.
fn why_unusable(error: &Error) -> String {
    match error {
        Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => "there is no such folder".to_owned(),
        _ => {
            let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
            format!("{error}{}", cause.unwrap_or_default())
        }
    }
}

fn read_whole(content: Content) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match content {
        Content::File(mut file) => file.read_to_end(&mut bytes)?,
        Content::Stream(mut stream) => stream.read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}

#[cfg(test)]
mod tests;
