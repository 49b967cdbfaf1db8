//! Upstreams: other places to get results from and to copy results to. Users know them as shared caches.
//!
//! Knows keys, objects and bytes; no stages, and nothing of the store's own folder. Nothing that an upstream returns is
//! trusted: the caller hashes it. An upstream that is slow, unreachable or damaged costs time, never a wrong result.

#[cfg(feature = "s3")]
mod bucket;
mod checked;
mod folder;
mod shared;
mod upstreams;

use std::collections::{BTreeSet, HashSet};
use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Read};

#[cfg(feature = "s3")]
pub(super) use self::bucket::Bucket;
pub use self::checked::Checked;
pub(super) use self::folder::Folder;
pub use self::shared::{Location, Shared};
pub(super) use self::upstreams::{Asked, Upstreams};

use crate::digest::{Digest, FileDigest, Key};
use crate::signing::PublicKey;

/// What a program without buckets says of a URL.
#[cfg(not(feature = "s3"))]
pub(super) const WITHOUT_BUCKETS: &str =
    "this program was built without buckets; `cargo build --release --features s3` builds it with them";

/// Asks the server of a bucket what it can do, with credentials from the environment. Writes some objects there, and deletes them.
///
/// # Errors
/// It isn't the URL of a bucket.
#[cfg(feature = "s3")]
pub fn check(url: &str) -> io::Result<Checked> {
    bucket::check(url, std::env::vars_os())
}

/// Refuses: this program was built without buckets.
///
/// # Errors
/// Always.
#[cfg(not(feature = "s3"))]
pub fn check(_url: &str) -> io::Result<Checked> {
    Err(io::Error::other(WITHOUT_BUCKETS))
}

/// How many records beside the first one are looked at. Whoever can write there can add any number of them.
#[cfg(feature = "s3")]
pub(super) const MOST_BESIDE: usize = 32;

/// One item of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// The record of a key's outputs.
    Trace(Key),
    /// The content of a file, a folder listing or a link target.
    Object(FileDigest),
}

/// An object's content as an upstream returns it.
pub enum Content {
    /// A file on this machine. Its blocks are shared (reflink) if the file system can do that.
    File(File),
    /// A stream, for instance from a network. It is never held in memory as a whole.
    Stream(Box<dyn Read + Send>),
}

/// A place to get results from. Called from several threads at once.
///
/// `None` means that the upstream doesn't have the item, an error that it couldn't be asked. Neither makes a run fail.
/// Retries are the implementation's job; they should take seconds, not minutes, because a run waits for them.
pub trait Upstream: Debug + Send + Sync {
    /// Its name in messages and in the note `from` of a result.
    fn name(&self) -> String;

    /// Where to find an item when something is wrong with it: a path, a URL.
    fn name_of(&self, thing: Thing) -> String;

    /// Whether this program reaches it over a network. If so, an error concerns the whole upstream: it is reported once, and
    /// after several in a row the upstream isn't used any more. Otherwise an error concerns only that file, and
    /// the first one is reported for all files.
    fn is_remote(&self) -> bool;

    /// The record of a key, byte for byte as it was published.
    ///
    /// # Errors
    /// It couldn't be asked.
    fn trace(&self, key: Key) -> io::Result<Option<Vec<u8>>>;

    /// The content of an object.
    ///
    /// # Errors
    /// It couldn't be asked. The stream returns later errors.
    fn open(&self, object: FileDigest) -> io::Result<Option<Content>>;

    /// Which of these objects it has, as far as it can tell without transferring them: a folder hashes its files, a server
    /// looks up their names.
    ///
    /// # Errors
    /// It couldn't be asked.
    fn has(&self, objects: &[FileDigest]) -> io::Result<HashSet<FileDigest>>;

    /// What it has of signatures of a record by these signers, as lines of text. There may be more in it, and nothing in it is
    /// trusted. `record` is the digest of the record's bytes.
    ///
    /// # Errors
    /// It couldn't be asked.
    fn signatures(&self, key: Key, record: Digest, signers: &BTreeSet<PublicKey>) -> io::Result<Vec<u8>>;

    /// The records of a key that aren't the first, in the order of their digests, as far as it keeps any and tells them. Not more
    /// than a few.
    ///
    /// # Errors
    /// It couldn't be asked.
    fn beside(&self, _key: Key) -> io::Result<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }

    /// Something about it that a user should know, once it is known. Reported once.
    fn remark(&self) -> Option<String> {
        None
    }

    /// The way to copy results there; `None` if it is only read.
    fn writer(&self) -> Option<&dyn UpstreamWriter>;
}

/// The write access of an upstream. Called from several threads at once.
///
pub trait UpstreamWriter: Sync {
    /// Stores an object under its digest. The content is complete when this returns, or there is none: a reader must never see
    /// half an object. Replacing an object that is there does no harm, because the digest determines its content.
    ///
    /// # Errors
    /// It couldn't be stored.
    fn put_object(&self, object: FileDigest, content: &mut (dyn Read + Send), size: u64) -> io::Result<()>;

    /// Stores the record of a key unless there is one, in one step: of several machines that try at the same time, one succeeds.
    /// All objects of the record have been stored before.
    ///
    /// The first record stays, also if it names other outputs, as it may after training on a GPU. The caller then goes on with the
    /// first one, see [`Store::push`](super::Store::push).
    ///
    /// # Errors
    /// It couldn't be stored. A conflict whose winner can't be read yet is an error too, after retries.
    fn put_trace_if_absent(&self, key: Key, record: &[u8]) -> io::Result<Put>;

    /// Keeps a record that isn't the first of its key. It is for people, and for those who don't trust the first one: see
    /// [`Upstream::beside`]. If no signature of it is there, its objects may be missing.
    ///
    /// # Errors
    /// It couldn't be stored.
    fn keep_beside(&self, key: Key, record: &[u8]) -> io::Result<()>;

    /// Stores somebody's signature of a record, as a line of text. The same signature always has the same bytes.
    ///
    /// # Errors
    /// It couldn't be stored.
    fn put_signature(&self, key: Key, record: Digest, signer: PublicKey, line: &[u8]) -> io::Result<()>;
}

/// The answer to [`UpstreamWriter::put_trace_if_absent`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// There was no record; now there is this one.
    Stored,
    /// This record was there, and stays.
    AlreadyThere(Vec<u8>),
}

#[cfg(test)]
mod tests;
