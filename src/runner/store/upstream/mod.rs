//! Upstreams: other places to get results from. Users know them as shared caches.
//!
//! Knows keys, objects and bytes; no stages, and nothing of the store's own folder. Nothing that an upstream returns is
//! trusted: the caller hashes it. An upstream that is slow, unreachable or damaged costs time, never a wrong result.

mod folder;
mod upstreams;

use std::collections::HashSet;
use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Read};

pub(super) use self::folder::Folder;
pub(super) use self::upstreams::Upstreams;

use crate::digest::{FileDigest, Key};

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
    /// after several in a row the upstream isn't used any more. Otherwise an error concerns only that file.
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
}

#[cfg(test)]
mod tests;
