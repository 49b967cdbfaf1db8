//! An upstream in memory that returns objects as streams, as a server does, and can be made to fail.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{self, Cursor, ErrorKind, Read};
use std::sync::{Arc, Mutex, MutexGuard};

use super::super::{Content, Put, Thing, Upstream, UpstreamWriter};
use crate::digest::{Digest, FileDigest, Key};
use crate::signing::PublicKey;

/// A request that it received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Get(Thing),
    Has(Vec<FileDigest>),
    Put(Thing),
    Signatures(Key),
}

/// How it fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// It doesn't answer.
    Away,
    /// It answers, and its streams break off.
    BreaksOff,
    /// It takes so many items more.
    FullAfter(usize),
}

/// Clones share their state.
#[derive(Clone, Debug)]
pub struct Memory {
    name: &'static str,
    takes_results: bool,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
pub struct State {
    pub things: BTreeMap<Thing, Vec<u8>>,
    /// Records that aren't the first of their keys.
    pub beside: Vec<Vec<u8>>,
    /// Lines, by the record's digest and the signer.
    pub signatures: BTreeMap<(Digest, PublicKey), Vec<u8>>,
    /// A record that another machine stores before the next one that is put.
    pub arrives: Option<(Thing, Vec<u8>)>,
    pub heard: Vec<Request>,
    pub fault: Fault,
}

impl Memory {
    pub fn new(name: &'static str) -> Memory {
        Memory { name, takes_results: true, state: Arc::default() }
    }

    /// The same upstream, to be read only.
    pub fn read_only(&self) -> Memory {
        Memory { takes_results: false, ..self.clone() }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The requests since the last call.
    pub fn heard(&self) -> Vec<Request> {
        std::mem::take(&mut self.state().heard)
    }

    fn hear(&self, request: Request) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        state.heard.push(request);
        if state.fault == Fault::Away { Err(ErrorKind::TimedOut.into()) } else { Ok(state) }
    }
}

impl Upstream for Memory {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn name_of(&self, thing: Thing) -> String {
        match thing {
            Thing::Trace(key) => format!("{}/traces/{key}", self.name),
            Thing::Object(object) => format!("{}/objects/{object}", self.name),
        }
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn trace(&self, key: Key) -> io::Result<Option<Vec<u8>>> {
        let thing = Thing::Trace(key);
        Ok(self.hear(Request::Get(thing))?.things.get(&thing).cloned())
    }

    fn open(&self, object: FileDigest) -> io::Result<Option<Content>> {
        let thing = Thing::Object(object);
        let state = self.hear(Request::Get(thing))?;
        let Some(bytes) = state.things.get(&thing).cloned() else { return Ok(None) };
        Ok(Some(Content::Stream(match state.fault {
            Fault::BreaksOff => Box::new(Cursor::new(bytes[..bytes.len() / 2].to_vec()).chain(Broken)),
            Fault::None | Fault::Away | Fault::FullAfter(_) => Box::new(Cursor::new(bytes)),
        })))
    }

    fn has(&self, objects: &[FileDigest]) -> io::Result<HashSet<FileDigest>> {
        let state = self.hear(Request::Has(objects.to_vec()))?;
        let is_there = |object: &&FileDigest| state.things.contains_key(&Thing::Object(**object));
        Ok(objects.iter().filter(is_there).copied().collect())
    }

    fn signatures(&self, key: Key, record: Digest, signers: &BTreeSet<PublicKey>) -> io::Result<Vec<u8>> {
        let state = self.hear(Request::Signatures(key))?;
        Ok(signers.iter().filter_map(|signer| state.signatures.get(&(record, *signer))).flatten().copied().collect())
    }

    fn beside(&self, _key: Key) -> io::Result<Vec<Vec<u8>>> {
        let mut beside = self.state().beside.clone();
        beside.sort_by_key(|record| Digest::of(record));
        Ok(beside)
    }

    fn writer(&self) -> Option<&dyn UpstreamWriter> {
        self.takes_results.then_some(self)
    }
}

impl UpstreamWriter for Memory {
    fn put_object(&self, object: FileDigest, content: &mut (dyn Read + Send), size: u64) -> io::Result<()> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        assert_eq!(bytes.len() as u64, size);
        let thing = Thing::Object(object);
        self.hear(Request::Put(thing))?.take(thing, bytes)
    }

    fn put_trace_if_absent(&self, key: Key, record: &[u8]) -> io::Result<Put> {
        let thing = Thing::Trace(key);
        let mut state = self.hear(Request::Put(thing))?;
        let arrived = state.arrives.take();
        state.things.extend(arrived);
        match state.things.get(&thing) {
            Some(first) => Ok(Put::AlreadyThere(first.clone())),
            None => state.take(thing, record.to_vec()).map(|()| Put::Stored),
        }
    }

    fn keep_beside(&self, key: Key, record: &[u8]) -> io::Result<()> {
        self.hear(Request::Put(Thing::Trace(key)))?.beside.push(record.to_vec());
        Ok(())
    }

    fn put_signature(&self, key: Key, record: Digest, signer: PublicKey, line: &[u8]) -> io::Result<()> {
        let mut state = self.hear(Request::Signatures(key))?;
        state.count()?;
        state.signatures.insert((record, signer), line.to_vec());
        Ok(())
    }
}

impl State {
    fn take(&mut self, thing: Thing, bytes: Vec<u8>) -> io::Result<()> {
        self.count()?;
        self.things.insert(thing, bytes);
        Ok(())
    }

    fn count(&mut self) -> io::Result<()> {
        match &mut self.fault {
            Fault::FullAfter(0) => return Err(ErrorKind::StorageFull.into()),
            Fault::FullAfter(left) => *left -= 1,
            Fault::None | Fault::Away | Fault::BreaksOff => {}
        }
        Ok(())
    }
}

/// The end of a connection that was cut.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::ConnectionReset.into())
    }
}
