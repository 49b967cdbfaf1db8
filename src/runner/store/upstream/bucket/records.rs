//! Records in a bucket: the first one of a key stays.
//!
//! Knows keys and bytes. A server that knows `If-None-Match` decides which record is the first. There are servers that ignore
//! the condition and overwrite. They are recognized by a trial: an object that is created twice. In their buckets every
//! record has its own name, made from its bytes, and the smallest name counts as the first.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, PutMode, PutOptions};

use super::super::{MOST_BESIDE, Put};
use super::answer::failed;
use super::{courier, transfer};
use crate::digest::{Digest, Key};

/// A server that is busy with another request for the same name answers 409 and wants to be asked again.
const TRIES: u32 = 5;
/// Before the second try; doubled for each further one.
const PAUSE: Duration = Duration::from_millis(50);

/// The records of a bucket.
#[derive(Debug)]
pub(super) struct Records {
    client: Arc<dyn ObjectStore>,
    /// The folder of the cache.
    prefix: Path,
    /// Whether the server ignores conditions, once known.
    by_value: OnceLock<bool>,
}

impl Records {
    pub(super) fn new(client: Arc<dyn ObjectStore>, prefix: Path) -> Records {
        Records { client, prefix, by_value: OnceLock::new() }
    }

    pub(super) fn path(&self, key: Key) -> Path {
        let name = key.to_string();
        Path::from_iter(self.prefix.parts().chain(["traces", &name[..2], &name].map(Into::into)))
    }

    /// Other records of a key.
    fn beside(&self, key: Key) -> Path {
        Path::from(format!("{}.also", self.path(key)))
    }

    /// Whether the bucket is known to be one that ignores conditions.
    pub(super) fn is_by_value(&self) -> bool {
        self.by_value.get() == Some(&true)
    }

    /// The first record of a key.
    pub(super) fn first(&self, key: Key) -> io::Result<Option<Bytes>> {
        let found = transfer::read(&self.client, self.path(key))?;
        if found.is_some() || !self.is_marked()? {
            return Ok(found);
        }
        self.smallest(key)
    }

    /// Stores a record unless the key has one.
    pub(super) fn put_if_absent(&self, key: Key, record: &[u8]) -> io::Result<Put> {
        if self.ignores_conditions()? {
            self.put_beside(key, record)?;
            return Ok(match self.smallest(key)? {
                Some(first) if first != record => Put::AlreadyThere(first.into()),
                _ => Put::Stored,
            });
        }
        let mut last = None;
        for turn in 0..TRIES {
            if turn > 0 {
                std::thread::sleep(pause(turn));
            }
            match self.create(self.path(key), record) {
                Ok(()) => return Ok(Put::Stored),
                Err(error) if error.kind() == ErrorKind::PermissionDenied => return Err(error),
                Err(error) => last = Some(error),
            }
            // The answer to an earlier try may have been lost: then this is our own record.
            match transfer::read(&self.client, self.path(key))? {
                Some(first) if first == record => return Ok(Put::Stored),
                Some(first) => return Ok(Put::AlreadyThere(first.into())),
                None => {}
            }
        }
        Err(last.unwrap_or_else(|| ErrorKind::Other.into()))
    }

    /// Keeps a record that isn't the first of its key.
    pub(super) fn put_beside(&self, key: Key, record: &[u8]) -> io::Result<()> {
        let path = self.beside(key).join(Digest::of(record).to_string());
        transfer::put(&self.client, path, &mut &*record, record.len() as u64)
    }

    /// The records of a key that are kept beside the first one, or by value, in the order of their names.
    pub(super) fn all_beside(&self, key: Key) -> io::Result<Vec<Bytes>> {
        let names = transfer::unless_denied(self.names_beside(key).map(Some))?.unwrap_or_default();
        transfer::read_all(&self.client, names.into_iter().take(MOST_BESIDE).collect())
    }

    /// The record with the smallest name among those kept by value.
    fn smallest(&self, key: Key) -> io::Result<Option<Bytes>> {
        match self.names_beside(key)?.into_iter().next() {
            Some(path) => transfer::read(&self.client, path),
            None => Ok(None),
        }
    }

    /// In order.
    fn names_beside(&self, key: Key) -> io::Result<Vec<Path>> {
        let (client, folder) = (Arc::clone(&self.client), self.beside(key));
        let all = courier::wait(async move { client.list(Some(&folder)).try_collect::<Vec<_>>().await })?;
        let mut names = Vec::from_iter(all.map_err(failed)?.into_iter().map(|found| found.location));
        names.sort_unstable();
        Ok(names)
    }

    /// Creates an object that must not be there.
    fn create(&self, path: Path, bytes: &[u8]) -> io::Result<()> {
        let (client, bytes) = (Arc::clone(&self.client), Bytes::copy_from_slice(bytes));
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = async move { client.put_opts(&path, bytes.into(), options).await };
        courier::wait(put)?.map(drop).map_err(failed)
    }

    /// Whether the server overwrites what a request wants to create. Asked at the first write.
    pub(super) fn ignores_conditions(&self) -> io::Result<bool> {
        if let Some(known) = self.by_value.get() {
            return Ok(*known);
        }
        let trial = self.prefix.clone().join("trial");
        let mut ignores = true;
        // The object may be there from an earlier run; so the first refusal is enough.
        for _ in 0..2 {
            match self.create(trial.clone(), TRIAL) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    ignores = false;
                    break;
                }
                created => created?,
            }
        }
        if ignores {
            transfer::put(&self.client, self.mark(), &mut &*TRIAL, TRIAL.len() as u64)?;
        }
        Ok(*self.by_value.get_or_init(|| ignores))
    }

    /// Whether a writer has found that the server ignores conditions. Asked at the first record that isn't there.
    fn is_marked(&self) -> io::Result<bool> {
        if let Some(known) = self.by_value.get() {
            return Ok(*known);
        }
        let is_marked = transfer::read(&self.client, self.mark())?.is_some();
        // A reader believes it. If there is no mark, the first write still has to find out.
        if is_marked {
            return Ok(*self.by_value.get_or_init(|| true));
        }
        Ok(false)
    }

    /// It exists in a bucket whose server ignores conditions.
    fn mark(&self) -> Path {
        self.prefix.clone().join("records-by-value")
    }
}

/// The content of the trial object.
const TRIAL: &[u8] = b"intrada-run creates this object twice to learn whether the server refuses to overwrite it\n";

/// Longer with each turn, and by chance, so that several machines don't meet again.
fn pause(turn: u32) -> Duration {
    let chance = RandomState::new().build_hasher().finish() % 1000;
    let longest = PAUSE * 2u32.pow(turn);
    longest / 2 + longest.mul_f64(chance as f64 / 2000.0)
}
