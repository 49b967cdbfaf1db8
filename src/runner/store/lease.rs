//! Leases: exclusive rights to compute a key, or to change a place.
//!
//! Knows only keys and places. A lease is an advisory lock on a file, which the kernel releases when its process dies:
//! nothing ever has to be unlocked by hand. There is one per key and none for the whole store, so two runs wait for each
//! other only if they need the same result; the second then finds it computed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use super::answer::is_lack_of_room;
use super::error::{At, Error};
use super::publish::host;
use super::stat::now_ns;
use super::{Store, strange};
use crate::digest::{Digest, Key};
use crate::plain;

/// The right to compute one key. Released when dropped.
#[derive(Debug)]
pub struct Lease {
    /// Closing it releases the lock, once no duplicate is open.
    file: File,
    path: PathBuf,
    left_by: Option<Holder>,
}

impl Lease {
    /// The previous holder if it was killed: processes that it started may still run.
    pub fn left_by(&self) -> Option<&Holder> {
        self.left_by.as_ref()
    }

    /// Releases it but keeps the file with the holder's name, for those who must learn that there was one.
    pub(super) fn leave(mut self) {
        self.path = PathBuf::new();
    }

    /// Duplicates the open file. The lease is held until all duplicates are closed or this is dropped.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn share(&self) -> Result<OwnedFd, Error> {
        Ok(self.file.try_clone().at("share", &self.path)?.into())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Removed while still locked, unless it is to stay. A waiting process detects that the file lost its name, and
        // creates a new one. If the cache was deleted and recreated meanwhile, the name belongs to another process.
        if still_has_its_name(&self.file, &self.path).unwrap_or(false) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The holder of a lease, for the message of a waiting process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    /// Process number.
    pub pid: u32,
    /// Machine.
    pub host: String,
    /// When it got the lease, in seconds since the Unix epoch.
    pub since: f64,
}

impl Holder {
    /// Whether it was a process of this machine that is now dead.
    pub fn is_gone(&self) -> bool {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        self.host == host() && pid.is_some_and(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
    }
}

/// The result of trying to get a lease.
#[derive(Debug)]
pub enum Attempt {
    /// The lease is ours.
    Held(Lease),
    /// Another process has it. Its identity is unknown in the moment between locking and writing the file.
    Busy(Option<Holder>),
}

/// While it exists, gc removes nothing: looked-up or stored objects stay until a trace names them.
#[derive(Debug)]
pub struct Hold {
    /// Closing it releases the lock.
    _file: File,
    /// Of a gc: excludes other gcs.
    _turn: Option<Lease>,
}

impl Store {
    /// Tries to get the lease of `key`, without waiting, so that the caller can give up. Look the key up again once the
    /// lease is held, as the previous holder may have computed it.
    ///
    /// # Errors
    /// [`Error::Io`], also if the file system has no locks.
    /// [`Error::Io`], also where the file system has no locks.
    pub fn try_lease(&self, key: Key) -> Result<Attempt, Error> {
        lock(self.lock_path(key))
    }

    /// The right to change `destination`, an absolute path: waits for other writers. Held only for moments; its holder must
    /// take no other lock.
    pub(super) fn lease_place(&self, destination: &Path) -> Result<Lease, Error> {
        let name = Digest::of(destination.as_os_str().as_bytes()).to_string();
        let path = self.locks().join(format!("place-{name}"));
        loop {
            let file = open(&path)?;
            file.lock().locked(&path)?;
            if still_has_its_name(&file, &path)? {
                return signed(file, path);
            }
        }
    }

    /// Keeps gc from removing anything, by a shared lock. Only for the moment between looking up and restoring, or between
    /// storing and publishing; never during long work.
    ///
    /// # Errors
    /// [`Error::Io`], also where the file system has no locks.
    pub fn hold(&self) -> Result<Hold, Error> {
        let path = self.gc_lock_path();
        let file = open(&path)?;
        file.lock_shared().locked(&path)?;
        Ok(Hold { _file: file, _turn: None })
    }

    /// The exclusive right to remove things: waits for all holds. `None`: another gc has it.
    pub(super) fn hold_alone(&self) -> Result<Option<Hold>, Error> {
        let turn = match lock(self.locks().join("gc-turn")) {
            Ok(Attempt::Held(turn)) => Some(turn),
            Ok(Attempt::Busy(_)) => return Ok(None),
            // No file can be created any more. The lock below still makes two gcs run one after the other.
            Err(Error::Io { source, .. }) if is_lack_of_room(&source) => None,
            Err(error) => return Err(error),
        };
        let path = self.gc_lock_path();
        let file = open(&path)?;
        file.lock().locked(&path)?;
        Ok(Some(Hold { _file: file, _turn: turn }))
    }

    /// The folder of the leases.
    pub fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    /// The file name of the lease of `key`.
    pub fn lock_path(&self, key: Key) -> PathBuf {
        self.locks().join(key.to_string())
    }

    /// Whether somebody computes `key`.
    pub(super) fn is_leased(&self, key: Key) -> Result<bool, Error> {
        living(&self.lock_path(key), true).map(|holder| holder.is_some())
    }

    /// Who computes `key`, if that can be told. Changes nothing.
    pub fn holder(&self, key: Key) -> Option<Holder> {
        living(&self.lock_path(key), true).ok().flatten()
    }

    fn gc_lock_path(&self) -> PathBuf {
        self.locks().join("gc")
    }
}

/// Tries to lock the file at `path`, which is created for it and removed with the lease.
pub(super) fn lock(path: PathBuf) -> Result<Attempt, Error> {
    Ok(match locked(&path, File::try_lock)? {
        Ok((file, left_by)) => Attempt::Held(Lease { file, path, left_by }),
        Err(holder) => Attempt::Busy(holder),
    })
}

/// A locked and signed file, and the previous holder's signature.
pub(super) type Locked = (File, Option<Holder>);

/// Locks and signs the file at `path`, creating it, as `try_lock` does; or returns its holder.
pub(super) fn locked(
    path: &Path,
    try_lock: fn(&File) -> Result<(), TryLockError>,
) -> Result<Result<Locked, Option<Holder>>, Error> {
    loop {
        let mut file = open(path)?;
        match try_lock(&file) {
            Ok(()) if still_has_its_name(&file, path)? => {
                let left_by = sign(&mut file, path)?;
                return Ok(Ok((file, left_by)));
            }
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Err(signature(&mut file))),
            Err(TryLockError::Error(error)) => return Err(error).locked(path),
        }
    }
}

/// The holder of the lock on the file at `path`, if any. Removes a file that a killed process left, unless `leave` says
/// otherwise.
pub(super) fn living(path: &Path, leave: bool) -> Result<Option<Holder>, Error> {
    let Some(mut file) = existing(path)? else { return Ok(None) };
    match file.try_lock_shared() {
        Ok(()) => {
            if !leave && still_has_its_name(&file, path)? {
                let _ = fs::remove_file(path);
            }
            Ok(None)
        }
        Err(TryLockError::WouldBlock) => {
            let unsigned = Holder { pid: 0, host: String::new(), since: 0.0 };
            Ok(Some(signature(&mut file).unwrap_or(unsigned)))
        }
        Err(TryLockError::Error(error)) => Err(error).locked(path),
    }
}

/// Removes the lock file at `path` if nobody has it locked. Returns who had.
pub(super) fn swept(path: &Path) -> Result<Option<Holder>, Error> {
    let Some(mut file) = existing(path)? else { return Ok(None) };
    match file.try_lock() {
        Ok(()) if still_has_its_name(&file, path)? => {
            let had = signature(&mut file);
            let _ = fs::remove_file(path);
            Ok(had)
        }
        _ => Ok(None),
    }
}

/// The lock file, if there is one: anything but a file is no lock.
fn existing(path: &Path) -> Result<Option<File>, Error> {
    match plain::open(path) {
        Err(error)
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput | ErrorKind::IsADirectory) =>
        {
            Ok(None)
        }
        file => file.at("open", path).map(Some),
    }
}

/// Who signed the lock file; none if it was damaged.
fn signature(file: &mut File) -> Option<Holder> {
    /// Longer than any signature.
    const LONGEST: u64 = 4096;
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn open(path: &Path) -> Result<File, Error> {
    clear(path).at("clear", path)?;
    // Not truncated: it may be another's, with their name in it.
    match OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Err(cache_of(path).map_or_else(
            || Error::Io { action: "open", path: path.to_owned(), source: error },
            |cache| Error::Gone { path: cache.to_owned() },
        )),
        file => file.at("open", path),
    }
}

/// The cache in whose `locks` folder a file is.
fn cache_of(path: &Path) -> Option<&Path> {
    path.parent().filter(|folder| folder.ends_with("locks")).and_then(Path::parent)
}

/// Moves anything but a file at a lock's path to quarantine. Locking a link would lock its target, and opening a pipe would
/// block.
fn clear(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(found) if !found.is_file() => {
            let root = path.ancestors().find(|folder| folder.join("quarantine").is_dir());
            let no_file =
                || Err(io::Error::other("something lies there that is no file and not of this program: remove it"));
            root.map_or_else(no_file, |root| strange::put_away(root, path))
        }
        _ => Ok(()),
    }
}

/// Between our opening and locking the file, its holder may have removed it; the lock would then exclude nobody.
pub(super) fn still_has_its_name(file: &File, path: &Path) -> Result<bool, Error> {
    let ours = file.metadata().at("look at", path)?;
    Ok(fs::metadata(path).is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino())))
}

fn signed(mut file: File, path: PathBuf) -> Result<Lease, Error> {
    let left_by = sign(&mut file, &path)?;
    Ok(Lease { file, path, left_by })
}

/// Signs the locked file. Returns the previous signature.
fn sign(file: &mut File, path: &Path) -> Result<Option<Holder>, Error> {
    let left_by = signature(file);
    let holder = Holder { pid: std::process::id(), host: host(), since: now_ns() as f64 / 1e9 };
    let text = serde_json::to_string(&holder).expect("numbers and a string are always JSON");
    // A process that died left its name; ours may be shorter.
    match file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes())) {
        // Only the lock matters: without a signature a waiting process just can't name the holder. gc needs this on a full
        // disk.
        Err(error) if is_lack_of_room(&error) => {}
        result => result.at("write", path)?,
    }
    Ok(left_by)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn a_lease_is_held_by_one_and_names_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let [key, other] = [b"a", b"b"].map(|name| Key(Digest::of(name)));
        let Attempt::Held(lease) = store.try_lease(key).unwrap() else { panic!("nobody holds it") };
        let Attempt::Busy(Some(holder)) = store.try_lease(key).unwrap() else { panic!("it is held") };
        assert_eq!((holder.pid, holder.host), (std::process::id(), host()));
        assert!(matches!(store.try_lease(other).unwrap(), Attempt::Held(_)));
        drop(lease);
        assert!(matches!(store.try_lease(key).unwrap(), Attempt::Held(_)));
        assert_eq!(fs::read_dir(store.root().join("locks")).unwrap().count(), 0);
    }

    #[test]
    fn a_lock_file_that_a_dead_process_left_is_nobody_s() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let key = Key(Digest::of(b"a"));
        let long_name = "h".repeat(200);
        fs::write(store.lock_path(key), format!(r#"{{"pid":1,"host":"{long_name}","since":0.0}}"#)).unwrap();
        let Attempt::Held(lease) = store.try_lease(key).unwrap() else { panic!("nobody holds it") };
        assert_eq!(lease.left_by().map(|holder| holder.pid), Some(1));
        assert!(matches!(store.try_lease(key).unwrap(), Attempt::Busy(Some(_))));
        drop(lease);
        let Attempt::Held(lease) = store.try_lease(key).unwrap() else { panic!("it was given back") };
        assert_eq!(lease.left_by(), None);
    }

    #[test]
    fn of_many_threads_one_at_a_time_has_the_lease() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let key = Key(Digest::of(b"a"));
        let (inside, turns) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _lease = loop {
                            match store.try_lease(key).unwrap() {
                                Attempt::Held(lease) => break lease,
                                Attempt::Busy(_) => std::thread::yield_now(),
                            }
                        };
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        turns.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(turns.into_inner(), 200);
    }
}
