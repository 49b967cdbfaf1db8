//! Claims: long-held locks on places of the workspace, for reading or changing them.
//!
//! Knows only paths. Two runs of one workspace with different values put different outputs in the same places. Several may
//! read a place at once; changing it needs exclusive access. Like a lease, a claim is a lock that ends with its process.
//! Claiming never waits: a run that needs several gives all back if one is taken, so there are no deadlocks.
//!
//! Two runs of one workspace may use two caches, or one that was deleted in between, and two workspaces may share a folder.
//! So claims are not kept in the cache. Each consists of two locks:
//!
//! ```text
//! <root>/.intrada/claims/   by the place's path relative to the root: for all machines and mounts of this workspace. For
//!                           a place that a link leads to outside of it: in its parent folder, by its name there.
//! /tmp/intrada-<uid>/claims/  by the parent folder's inode and the name in it: for all workspaces on this machine
//! ```
//!
//! If the first can't be written or locked, the cache's `locks/` is used instead; if the second can't, it is omitted.

use std::collections::HashMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::Store;
use super::choice;
use super::error::{At, Error};
use super::holder::Holder;
use super::lock::{Lock, LockKind, Locks, Mode, swept};
use super::stat::Stat;
use super::strange::names;
use crate::digest::Digest;
use crate::own::OWN;
use crate::plain;

/// The name of the folder of claims in `.intrada`.
const CLAIMS: &str = "claims";

/// How often to retry making a lock in a folder that others remove when it is empty.
const ROUNDS: usize = 1000;

/// The purpose of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// Reading, shared with other readers.
    Read,
    /// Writing.
    Write,
}

/// The right to read or change a place. Released when dropped.
#[derive(Debug)]
pub struct Claim {
    locks: Vec<Locked>,
}

impl Claim {
    /// Whether it still excludes others: no longer once all its lock files were deleted, or once another process may have
    /// taken it over, as this one was suspended for long.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn holds(&self) -> Result<bool, Error> {
        let mut is_there = false;
        for locked in &self.locks {
            is_there |= locked.lock.is_there()?;
            if !locked.lock.holds() {
                return Ok(false);
            }
        }
        Ok(is_there)
    }

    /// The previous holder if it was killed: processes that it started may still run.
    pub fn left_by(&self) -> Option<&Holder> {
        // A reader beside us may also have left its name.
        self.locks.iter().find_map(|locked| locked.lock.left_by().filter(|holder| holder.is_gone()))
    }

    /// Duplicates the open files. The claim is held until all duplicates are closed or this is dropped. Renewed locks have no
    /// open files, and end with this process.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn share(&self) -> Result<Vec<OwnedFd>, Error> {
        self.locks.iter().filter_map(|locked| locked.lock.share().transpose()).collect()
    }
}

/// One of the locks of a claim. Its last holder removes the file.
#[derive(Debug)]
struct Locked {
    lock: Lock,
    /// Removes a folder `.intrada` outside of the workspace with its last claim. Dropped after the lock.
    _outside: Option<Outside>,
}

#[derive(Debug)]
struct Outside(PathBuf);

impl Drop for Outside {
    fn drop(&mut self) {
        remove_if_empty(&self.0);
    }
}

/// Folders of claims that this process has locked something in, and how: finding that out takes longer than locking.
#[derive(Clone, Debug, Default)]
pub(super) struct Known(Arc<Mutex<HashMap<PathBuf, Locks>>>);

impl Known {
    /// Takes a lock in this folder's folder of claims, if that is known. `None`: the long way is to be taken.
    fn lock(&self, folder: &Path, name: &str, purpose: Use) -> Option<Result<Lock, Option<Holder>>> {
        let claims = folder.join(CLAIMS);
        let locks = self.known().get(&claims)?.clone();
        let taken = locks.take(&claims.join(name), purpose.mode());
        // Somebody may have removed it.
        taken.inspect_err(|_| drop(self.known().remove(&claims))).ok()
    }

    fn note(&self, claims: &Path, locks: &Locks) {
        self.known().insert(claims.to_owned(), locks.clone().with_spares());
    }

    fn known(&self) -> MutexGuard<'_, HashMap<PathBuf, Locks>> {
        self.0.lock().expect("no code panics while it holds these")
    }
}

/// The result of claiming.
#[derive(Debug)]
pub enum Claimed {
    /// All were claimed.
    All(Vec<Claim>),
    /// Another process holds one of the places. Its identity is unknown in the moment between locking and writing the file.
    Busy(Option<Holder>),
}

/// Removes a folder `.intrada` that has no claims and nothing else in it.
fn remove_if_empty(folder: &Path) {
    let _ = fs::remove_dir(folder.join(CLAIMS)).and_then(|()| fs::remove_dir(folder));
}

impl Store {
    /// Claims these places (absolute paths), all or none, without waiting.
    ///
    /// # Errors
    /// [`Error::Io`], also if the file system has no locks.
    pub fn try_claim<'p>(&self, places: impl IntoIterator<Item = (&'p Path, Use)>) -> Result<Claimed, Error> {
        let mut claims = Vec::new();
        for (place, purpose) in places {
            match self.claim(place, purpose)? {
                Ok(claim) => claims.push(claim),
                Err(holder) => return Ok(Claimed::Busy(holder)),
            }
        }
        Ok(Claimed::All(claims))
    }

    fn claim(&self, place: &Path, purpose: Use) -> Result<Result<Claim, Option<Holder>>, Error> {
        let real = real(place);
        let mut claim = Claim { locks: Vec::new() };
        let home = self.home(&real);
        match home.lock(purpose, self)? {
            Ok(locked) => claim.locks.push(locked),
            Err(holder) => return Ok(Err(holder)),
        }
        // There is none on a full disk, for instance.
        if let Some((folder, name)) = machine(&real)
            && let Some(locked) = self.claims.lock(&folder, &name, purpose).or_else(|| {
                plain::private_folder(&folder).ok()?;
                // Of this machine alone.
                let locks = |claims: &Path| Locks::new(LockKind::Kernel, claims.to_owned());
                lock_beside(&folder, &name, purpose, locks, Some(&self.claims)).ok()?
            })
        {
            match locked {
                Ok(lock) => claim.locks.push(Locked { lock, _outside: None }),
                Err(holder) => return Ok(Err(holder)),
            }
        }
        Ok(Ok(claim))
    }

    /// The path of a place's lock that everyone who shares the workspace sees.
    fn home(&self, real: &Path) -> Home {
        let whole = Digest::of(real.as_os_str().as_bytes()).to_string();
        let Some(at) = self.at_work() else { return Home { folder: None, name: whole.clone(), outside: false, whole } };
        let (folder, below) = match real.strip_prefix(&at.root) {
            Ok(below) => (at.root.join(OWN), below),
            Err(_) => {
                let parent = real.parent().unwrap_or(Path::new("/"));
                (parent.join(OWN), real.file_name().map_or(real, Path::new))
            }
        };
        let outside = !real.starts_with(&at.root);
        Home { folder: Some(folder), name: Digest::of(below.as_os_str().as_bytes()).to_string(), outside, whole }
    }

    /// Removes claims left by killed runs. Calls `end_orphans` for each such run of the workspace: processes that it
    /// started may still run, though they no longer hold the claim.
    pub(super) fn sweep_claims(&self, end_orphans: &mut dyn FnMut(&Holder)) -> Result<(), Error> {
        let Some(at) = self.at_work() else { return Ok(()) };
        sweep(&at.root.join(OWN).join(CLAIMS), end_orphans)?;
        match plain::private_folder(&machine_folder()) {
            Ok(_) => sweep(&machine_folder().join(CLAIMS), &mut |_| ()),
            Err(_) => Ok(()),
        }
    }
}

/// Where the lock of a place is kept.
struct Home {
    /// A folder `.intrada`; none outside of any workspace.
    folder: Option<PathBuf>,
    name: String,
    /// Whether the place is outside of the workspace.
    outside: bool,
    /// The name of the lock in a cache.
    whole: String,
}

impl Home {
    /// Locks it in this folder, if locks work there.
    fn lock_in(
        &self,
        folder: &Path,
        purpose: Use,
        store: &Store,
    ) -> Result<Option<Result<Lock, Option<Holder>>>, Error> {
        let locks = |claims: &Path| store.locks_of_claims(claims);
        // A folder outside goes with its last claim, so nothing stays in it.
        if self.outside {
            return lock_beside(folder, &self.name, purpose, locks, None);
        }
        match store.claims.lock(folder, &self.name, purpose) {
            None => lock_beside(folder, &self.name, purpose, locks, Some(&store.claims)),
            taken => Ok(taken),
        }
    }

    /// Locks it there, or else in the cache's `locks`.
    fn lock(self, purpose: Use, store: &Store) -> Result<Result<Locked, Option<Holder>>, Error> {
        if let Some(folder) = &self.folder
            && let Some(taken) = self.lock_in(folder, purpose, store)?
        {
            let outside = self.folder.filter(|_| self.outside);
            return Ok(taken.map(|lock| Locked { lock, _outside: outside.map(Outside) }));
        }
        let path = store.locks().join(format!("claim-{}", self.whole));
        let taken = store.locking.take(&path, purpose.mode())?;
        Ok(taken.map(|lock| Locked { lock, _outside: None }))
    }
}

impl Use {
    fn mode(self) -> Mode {
        match self {
            Use::Read => Mode::Shared,
            Use::Write => Mode::Alone,
        }
    }
}

impl Store {
    /// How the locks in a folder of claims are taken.
    fn locks_of_claims(&self, claims: &Path) -> Locks {
        let is_beside = Stat::of(claims).is_ok_and(|found| found.dev == self.device);
        choice::of_claims(claims, is_beside.then(|| self.locking.kind()))
    }
}

/// Removes claims that nobody holds from a folder, and tells those of their holders that are dead.
fn sweep(folder: &Path, tell: &mut dyn FnMut(&Holder)) -> Result<(), Error> {
    for name in names(folder)? {
        let path = folder.join(name);
        // Exclusively: readers share a lock.
        if let Some(left_by) = swept(&path)?.filter(Holder::is_gone) {
            tell(&left_by);
        }
    }
    Ok(())
}

/// This user's folder on this machine, which may not be there, or belong to somebody else.
fn machine_folder() -> PathBuf {
    PathBuf::from(format!("/tmp/intrada-{}", rustix::process::getuid().as_raw()))
}

/// The folder and name of a place's lock for all workspaces on this machine.
fn machine(real: &Path) -> Option<(PathBuf, String)> {
    let above = fs::metadata(real.parent()?).ok()?;
    let name = Digest::of(real.file_name()?.as_bytes()).short();
    Some((machine_folder(), format!("{}-{}-{name}", above.dev(), above.ino())))
}

/// The folder of claims in a workspace. It is removed with the last run, not with the last claim: coming and going in a
/// folder that a stage reads would look like an edit.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    known: Known,
}

impl Folder {
    /// For the workspace at this root.
    pub(super) fn of(root: PathBuf, known: Known) -> Folder {
        Folder { root, known }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.known.known().clear();
        remove_if_empty(&self.root.join(OWN));
    }
}

/// Takes a lock in this folder's folder of claims. `None`: locks don't work there.
fn lock_beside(
    folder: &Path,
    name: &str,
    purpose: Use,
    locks: impl Fn(&Path) -> Locks,
    learnt: Option<&Known>,
) -> Result<Option<Result<Lock, Option<Holder>>>, Error> {
    let claims = folder.join(CLAIMS);
    let path = claims.join(name);
    let mut known = None;
    for _ in 0..ROUNDS {
        match fs::create_dir_all(&claims).at("make", &claims) {
            Err(error) if error.is_refusal() || error.is_read_only() => return Ok(None),
            made => made?,
        }
        let locks = known.get_or_insert_with(|| locks(&claims));
        match locks.take(&path, purpose.mode()) {
            Err(Error::NoLocks { .. }) => return Ok(None),
            Err(error) if (error.is_refusal() || error.is_read_only()) && !path.exists() => return Ok(None),
            // The last holder removed the folder.
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            taken => {
                if let Some(learnt) = learnt {
                    learnt.note(&claims, locks);
                }
                return taken.map(Some);
            }
        }
    }
    Err(io::Error::from(ErrorKind::NotFound)).at("make", &claims)
}

/// The place without links in its parent path: two names of one place are one place.
fn real(place: &Path) -> PathBuf {
    match (place.parent().map(fs::canonicalize), place.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => place.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(claimed: Claimed) -> Vec<Claim> {
        match claimed {
            Claimed::All(claims) => claims,
            Claimed::Busy(holder) => panic!("held by {holder:?}"),
        }
    }

    #[test]
    fn many_read_a_place_or_one_writes_it_and_the_last_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let [store, other] = ["cache", "other"].map(|cache| Store::open(&dir.path().join(cache)).unwrap());
        let visits = [&store, &other].map(|store| store.visit(&root).unwrap());
        let (a, b) = (&*root.join("a"), &*root.join("b"));
        let first = held(store.try_claim([(a, Use::Read), (b, Use::Write)]).unwrap());
        let second = held(store.try_claim([(a, Use::Read)]).unwrap());
        for wanted in [(a, Use::Write), (b, Use::Read), (b, Use::Write)] {
            for store in [&store, &other] {
                let Claimed::Busy(holder) = store.try_claim([wanted]).unwrap() else { panic!("{wanted:?}") };
                assert_eq!(holder.unwrap().pid, std::process::id());
            }
        }
        drop(first);
        assert!(matches!(store.try_claim([(a, Use::Write)]).unwrap(), Claimed::Busy(_)));
        drop(second);
        drop(held(store.try_claim([(a, Use::Write), (b, Use::Write)]).unwrap()));
        let is_spare = |name: &std::ffi::OsString| name.to_string_lossy().starts_with(&crate::store::publish::owner());
        assert!(names(&root.join(".intrada/claims")).unwrap().iter().all(is_spare));
        drop(visits);
        assert!(!root.join(".intrada").exists());
    }

    #[test]
    fn one_place_by_two_names_is_claimed_once_also_out_of_two_workspaces() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two, data] = ["one", "two", "data"].map(|name| {
            fs::create_dir(dir.path().join(name)).unwrap();
            dir.path().join(name)
        });
        let stores = [&one, &two].map(|root| {
            std::os::unix::fs::symlink(&data, root.join("runs")).unwrap();
            let store = Store::open(&root.join("cache")).unwrap();
            let visit = store.visit(root).unwrap();
            (store, visit)
        });
        let claims = held(stores[0].0.try_claim([(&*one.join("runs/a"), Use::Write)]).unwrap());
        assert!(claims[0].holds().unwrap());
        assert!(matches!(stores[1].0.try_claim([(&*two.join("runs/a"), Use::Read)]).unwrap(), Claimed::Busy(Some(_))));
        fs::remove_dir_all(data.join(".intrada")).unwrap();
        assert!(claims[0].holds().unwrap(), "on this machine it does");
        assert!(matches!(stores[1].0.try_claim([(&*two.join("runs/a"), Use::Read)]).unwrap(), Claimed::Busy(Some(_))));
        claims[0].locks.iter().for_each(|locked| drop(fs::remove_file(locked.lock.path())));
        assert!(!claims[0].holds().unwrap());
        drop(claims);
        drop(held(stores[1].0.try_claim([(&*two.join("runs/a"), Use::Read)]).unwrap()));
        assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_run_has_left_of_claims_is_swept_and_told() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let _visit = store.visit(dir.path()).unwrap();
        let claims = dir.path().join(".intrada/claims");
        fs::create_dir_all(&claims).unwrap();
        // No process has this number.
        let gone = format!(r#"{{"pid":{},"host":"{}","since":0.0}}"#, i32::MAX, crate::store::publish::host());
        fs::write(claims.join("left"), gone).unwrap();
        let held = held(store.try_claim([(&*dir.path().join("a"), Use::Read)]).unwrap());
        let mut told = 0;
        store.sweep_claims(&mut |_| told += 1).unwrap();
        assert_eq!((told, fs::read_dir(&claims).unwrap().count(), held.len()), (1, 1, 1));
    }

    #[test]
    fn whoever_does_not_get_all_keeps_none() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let (a, b) = (Path::new("/w/a"), Path::new("/w/b"));
        let _b = held(store.try_claim([(b, Use::Read)]).unwrap());
        assert!(matches!(store.try_claim([(a, Use::Write), (b, Use::Write)]).unwrap(), Claimed::Busy(_)));
        held(store.try_claim([(a, Use::Write)]).unwrap());
    }

    #[test]
    fn at_most_one_writes_at_a_time_and_never_beside_a_reader() {
        use std::sync::atomic::{AtomicI32, Ordering};
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let inside = AtomicI32::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (store, inside) = (&store, &inside);
                scope.spawn(move || {
                    for turn in 0..200 {
                        let purpose = if (thread + turn) % 3 == 0 { Use::Write } else { Use::Read };
                        let Claimed::All(claims) = store.try_claim([(Path::new("/w/a"), purpose)]).unwrap() else {
                            continue;
                        };
                        let weight = if purpose == Use::Write { 1000 } else { 1 };
                        let before = inside.fetch_add(weight, Ordering::SeqCst);
                        assert!(before < 1000 && (purpose == Use::Read || before == 0), "{before} beside {purpose:?}");
                        std::thread::yield_now();
                        inside.fetch_sub(weight, Ordering::SeqCst);
                        drop(claims);
                    }
                });
            }
        });
    }
}
