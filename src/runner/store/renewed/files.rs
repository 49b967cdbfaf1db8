//! What a renewed lock asks of a file system, of clocks and of processes: the real ones, or a model of them in tests.
//!
//! Each operation on a lock is one that a server performs in one step. What is read may be older than the question, by less than
//! half an expiry.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::name::{Entry, Name};

/// A file system with clocks.
pub(super) trait Files {
    /// Puts a folder with this one entry at `lock`, if nothing or an empty folder is there.
    fn begin(&self, lock: &Path, entry: &Entry, text: &[u8]) -> io::Result<bool>;

    /// Creates this entry beside others that share the lock, if the lock is shared.
    fn join(&self, lock: &Path, entry: &Entry, text: &[u8]) -> io::Result<bool>;

    /// Gives an entry another name. False: there is no such entry.
    fn rename(&self, lock: &Path, from: &Entry, to: &Entry) -> io::Result<bool>;

    /// Overwrites an entry. False: there is no such entry.
    fn rewrite(&self, lock: &Path, entry: &Entry, text: &[u8]) -> io::Result<bool>;

    /// The text of an entry. None: there is no such entry.
    fn read(&self, lock: &Path, entry: &Entry) -> io::Result<Option<Vec<u8>>>;

    /// The entries of a lock.
    fn entries(&self, lock: &Path) -> io::Result<Vec<Entry>>;

    /// Removes an entry if it is there.
    fn remove(&self, lock: &Path, entry: &Entry) -> io::Result<()>;

    /// Removes the lock's folder, and that of those who share it, if they are empty.
    fn prune(&self, lock: &Path) -> io::Result<()>;

    /// Whether it is certain that the process of that name has ended.
    fn has_ended(&self, name: &Name) -> bool;

    /// A new name for this process.
    fn fresh(&self) -> Name;

    /// The time by which a waiting process measures the silence of others: it may stand still while the machine sleeps.
    fn awake(&self) -> Duration;

    /// The time by which a holder measures its own silence: it goes on while the machine sleeps.
    fn elapsed(&self) -> Duration;
}
