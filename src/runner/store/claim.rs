//! Claims: who may read or change what lies at a place of the workspace, while it takes long.
//!
//! Knows paths only. Two runs of one workspace with different values put different outputs in the same places. Many may read a
//! place at once; whoever changes it has it alone. Like a lease, a claim is an advisory lock that the kernel drops with its
//! process. It is asked for without waiting: whoever needs several gives all back when one can't be had, so nobody waits for
//! somebody who waits.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Store;
use super::error::{At, Error};
use super::lease::{Holder, locked, still_has_its_name};
use crate::digest::Digest;

/// What a place is claimed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// To read what lies there, as others may, too.
    Read,
    /// To put something there.
    Write,
}

/// The right to read a place or to change it. Given back when dropped.
#[derive(Debug)]
pub struct Claim {
    file: File,
    path: PathBuf,
    left_by: Option<Holder>,
}

impl Claim {
    /// Who had the place before and was killed: what that one had started may still run.
    pub fn left_by(&self) -> Option<&Holder> {
        self.left_by.as_ref()
    }

    /// The same open file once more. Whoever has it holds the claim as well, until all have closed it or this is dropped.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn share(&self) -> Result<OwnedFd, Error> {
        Ok(self.file.try_clone().at("share", &self.path)?.into())
    }
}

/// How asking for claims went.
#[derive(Debug)]
pub enum Claimed {
    /// All are ours.
    All(Vec<Claim>),
    /// Somebody else has one of the places. Who is unknown for the moment between locking the file and writing it.
    Busy(Option<Holder>),
}

impl Drop for Claim {
    fn drop(&mut self) {
        let alone = self.file.unlock().is_ok() && self.file.try_lock().is_ok();
        // The last one removes it, under the lock that excludes all others; whoever opened it meanwhile notices that it has
        // lost its name.
        if alone && still_has_its_name(&self.file, &self.path).unwrap_or(false) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Store {
    /// Claims these places, absolute paths, all or none of them, without waiting.
    ///
    /// # Errors
    /// [`Error::Io`], also where the file system has no locks.
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
        let name = Digest::of(real(place).as_os_str().as_bytes()).to_string();
        let path = self.root.join("locks").join(format!("claim-{name}"));
        let try_lock = match purpose {
            Use::Read => File::try_lock_shared,
            Use::Write => File::try_lock,
        };
        Ok(locked(&path, try_lock)?.map(|(file, left_by)| {
            // A reader beside us may have left its name, too.
            Claim { file, path, left_by: left_by.filter(Holder::is_gone) }
        }))
    }
}

/// The place without links above it: two names of one place are one place.
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
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let (a, b) = (Path::new("/w/a"), Path::new("/w/b"));
        let first = held(store.try_claim([(a, Use::Read), (b, Use::Write)]).unwrap());
        let second = held(store.try_claim([(a, Use::Read)]).unwrap());
        for wanted in [(a, Use::Write), (b, Use::Read), (b, Use::Write)] {
            let Claimed::Busy(holder) = store.try_claim([wanted]).unwrap() else { panic!("{wanted:?}") };
            assert_eq!(holder.unwrap().pid, std::process::id());
        }
        drop(first);
        assert!(matches!(store.try_claim([(a, Use::Write)]).unwrap(), Claimed::Busy(_)));
        drop(second);
        drop(held(store.try_claim([(a, Use::Write), (b, Use::Write)]).unwrap()));
        assert_eq!(fs::read_dir(store.root().join("locks")).unwrap().count(), 0);
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
