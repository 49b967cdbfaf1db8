//! Leases: exclusive rights to compute a key, or to change a place.
//!
//! Knows only keys and places. A lease is a lock, which ends with its process: nothing ever has to be unlocked by hand. There
//! is one per key and none for the whole store, so two runs wait for each other only if they need the same result; the second
//! then finds it computed.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Store;
use super::answer::is_lack_of_room;
use super::error::Error;
use super::holder::Holder;
use super::lock::{self, Lock, Mode};
use crate::digest::{Digest, Key};

/// The right to compute one key. Released when dropped.
#[derive(Debug)]
pub struct Lease(Lock);

impl Lease {
    /// The previous holder if it was killed: processes that it started may still run.
    pub fn left_by(&self) -> Option<&Holder> {
        self.0.left_by()
    }

    /// Releases it but keeps the previous holder's name, for those who must learn that there was one.
    pub(super) fn leave(self) {
        self.0.leave();
    }

    /// Duplicates the open file. The lease is held until all duplicates are closed or this is dropped. None: there is no open
    /// file, and the lease ends with this process.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn share(&self) -> Result<Option<OwnedFd>, Error> {
        self.0.share()
    }

    /// Whether nobody else can have had it meanwhile. If this process was suspended for long, another may have taken it over.
    pub fn holds(&self) -> bool {
        self.0.holds()
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
    lock: Lock,
    /// Of a gc: excludes other gcs.
    _turn: Option<Lease>,
}

impl Hold {
    /// Whether it has excluded others until now.
    pub(super) fn holds(&self) -> bool {
        self.lock.holds()
    }
}

impl Store {
    /// Tries to get the lease of `key`, without waiting, so that the caller can give up. Look the key up again once the
    /// lease is held, as the previous holder may have computed it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn try_lease(&self, key: Key) -> Result<Attempt, Error> {
        let locks = self.lease_locks.get_or_init(|| self.locking.clone().with_spares());
        Ok(match locks.take(&self.lock_path(key), Mode::Alone)? {
            Ok(lock) => Attempt::Held(Lease(lock)),
            Err(holder) => Attempt::Busy(holder),
        })
    }

    /// Tries to lock the file at `path`, which is created for it and removed with the lease.
    pub(super) fn lock(&self, path: &Path) -> Result<Attempt, Error> {
        Ok(match self.locking.take(path, Mode::Alone)? {
            Ok(lock) => Attempt::Held(Lease(lock)),
            Err(holder) => Attempt::Busy(holder),
        })
    }

    /// The right to change `destination`, an absolute path: waits for other writers. Held only for moments; its holder must
    /// take no other lock.
    pub(super) fn lease_place(&self, destination: &Path) -> Result<Lease, Error> {
        let name = Digest::of(destination.as_os_str().as_bytes()).to_string();
        self.locking.wait(&self.locks().join(format!("place-{name}")), Mode::Alone).map(Lease)
    }

    /// Keeps gc from removing anything, by a shared lock. Only for the moment between looking up and restoring, or between
    /// storing and publishing; never during long work.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn hold(&self) -> Result<Hold, Error> {
        Ok(Hold { lock: self.locking.wait_unsigned(&self.gc_lock_path(), Mode::Shared)?, _turn: None })
    }

    /// The exclusive right to remove things: waits for all holds. `None`: another gc has it.
    pub(super) fn hold_alone(&self) -> Result<Option<Hold>, Error> {
        let turn = match self.lock(&self.locks().join("gc-turn")) {
            Ok(Attempt::Held(turn)) => Some(turn),
            Ok(Attempt::Busy(_)) => return Ok(None),
            // No file can be created any more. The lock below still makes two gcs run one after the other.
            Err(Error::Io { source, .. }) if is_lack_of_room(&source) => None,
            Err(error) => return Err(error),
        };
        Ok(Some(Hold { lock: self.locking.wait_unsigned(&self.gc_lock_path(), Mode::Alone)?, _turn: turn }))
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
        lock::living(&self.lock_path(key), true).map(|holder| holder.is_some())
    }

    /// Who computes `key`, if that can be told. Changes nothing.
    pub fn holder(&self, key: Key) -> Option<Holder> {
        lock::living(&self.lock_path(key), true).ok().flatten()
    }

    fn gc_lock_path(&self) -> PathBuf {
        self.locks().join("gc")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::store::choice;
    use crate::store::publish::host;

    /// A new store with locks of this kind.
    fn store(dir: &Path, kind: &str) -> Store {
        let cache = dir.join(kind);
        fs::create_dir_all(cache.join("workspaces")).unwrap();
        fs::create_dir_all(cache.join("locks")).unwrap();
        fs::write(cache.join("locks").join(choice::FILE), kind).unwrap();
        Store::open(&cache).unwrap()
    }

    const KINDS: [&str; 2] = ["kernel", "renewed"];

    #[test]
    fn a_lease_is_held_by_one_and_names_its_holder() {
        for kind in KINDS {
            is_held_by_one_and_names_its_holder(kind);
        }
    }

    fn is_held_by_one_and_names_its_holder(kind: &str) {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path(), kind);
        let [key, other] = [b"a", b"b"].map(|name| Key(Digest::of(name)));
        let Attempt::Held(lease) = store.try_lease(key).unwrap() else { panic!("nobody holds it") };
        let Attempt::Busy(Some(holder)) = store.try_lease(key).unwrap() else { panic!("it is held") };
        assert_eq!((holder.pid, holder.host), (std::process::id(), host()));
        assert!(matches!(store.try_lease(other).unwrap(), Attempt::Held(_)));
        assert_eq!(store.holder(key).map(|holder| holder.pid), Some(std::process::id()));
        drop(lease);
        assert_eq!(store.holder(key), None);
        assert!(matches!(store.try_lease(key).unwrap(), Attempt::Held(_)));
        let left: Vec<_> =
            fs::read_dir(store.root().join("locks")).unwrap().map(|found| found.unwrap().file_name()).collect();
        assert_eq!(left, [choice::FILE], "{kind}");
        let tmp = store.root().join("tmp");
        drop(store);
        assert_eq!(fs::read_dir(tmp).unwrap().count(), 0);
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
        for kind in KINDS {
            one_at_a_time_has_the_lease(kind);
        }
    }

    fn one_at_a_time_has_the_lease(kind: &str) {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path(), kind);
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
    #[test]
    fn gc_waits_for_all_holds_and_holds_wait_for_gc() {
        for kind in KINDS {
            let dir = tempfile::tempdir().unwrap();
            let store = store(dir.path(), kind);
            let holds = [store.hold().unwrap(), store.hold().unwrap()];
            let (inside, is_done) = (AtomicU32::new(2), AtomicU32::new(0));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let alone = store.hold_alone().unwrap().unwrap();
                    assert_eq!(inside.load(Ordering::SeqCst), 0, "{kind}");
                    assert!(store.hold_alone().unwrap().is_none(), "{kind}: there is one gc at a time");
                    std::thread::yield_now();
                    is_done.store(1, Ordering::SeqCst);
                    assert!(alone.holds());
                    drop(alone);
                });
                for hold in holds {
                    std::thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(hold);
                }
                while is_done.load(Ordering::SeqCst) == 0 {
                    std::thread::yield_now();
                }
                drop(store.hold().unwrap());
            });
        }
    }

    #[test]
    fn a_lock_of_the_other_kind_that_somebody_holds_is_respected() {
        let dir = tempfile::tempdir().unwrap();
        let old = store(dir.path(), "kernel");
        let key = Key(Digest::of(b"a"));
        for (first, second) in KINDS.into_iter().zip(KINDS.into_iter().rev()) {
            let note = old.locks().join(choice::FILE);
            let open = |kind: &str| {
                fs::write(&note, kind).unwrap();
                Store::open(old.root()).unwrap()
            };
            let (first, second) = (open(first), open(second));
            let Attempt::Held(lease) = first.try_lease(key).unwrap() else { panic!("nobody holds it") };
            assert!(matches!(second.try_lease(key).unwrap(), Attempt::Busy(Some(_))));
            drop(lease);
            assert!(matches!(second.try_lease(key).unwrap(), Attempt::Held(_)));
        }
    }
}
