//! Which kind of locks a folder has, found out when a store is opened.
//!
//! All machines must use the same kind, so on a file system that others see the choice is written into the cache, by whoever
//! comes first, and counts for everyone.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{At, Error};
use super::kernel;
use super::lock::{LockKind, Locks};
use super::mount::{LocksAre, Mount, is_surely_local};
use super::publish::owner;
use super::strange;
use crate::plain;

/// Chooses the kind for new caches: `kernel` or `renewed`.
pub const VARIABLE: &str = "INTRADA_LOCKS";

/// The file in `locks/` with the kind.
pub(super) const FILE: &str = "kind";

/// How often to ask again for a choice that somebody is just writing, every 10 ms.
const ROUNDS: usize = 20;

/// A kind of locks, and why it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The kind.
    pub kind: LockKind,
    /// The reason, as half a sentence.
    pub why: String,
    /// Whether other machines may use the folder.
    pub is_network: bool,
    /// Whether nobody can tell how far they reach.
    pub is_doubtful: bool,
}

impl Choice {
    fn new(kind: LockKind, is_network: bool, why: impl Into<String>) -> Choice {
        Choice { kind, why: why.into(), is_network, is_doubtful: false }
    }

    /// For the cache at `root`, as a run would choose. Changes nothing. `folder`: an existing folder on its file system.
    pub(super) fn look(root: &Path, folder: &Path) -> Result<Choice, Error> {
        let said = said(root)?;
        if let Some(kind) = noted(root)? {
            if let Some(said) = said.filter(|said| *said != kind) {
                return Err(Error::OtherLocks { path: note(root), noted: kind.word(), said: said.word() });
            }
            let is_network = !is_surely_local(folder) && Mount::of(folder).is_some_and(|mount| mount.is_network());
            return Ok(Choice::new(kind, is_network, "as the cache says"));
        }
        let found = found(folder);
        Ok(said.map_or(found.clone(), |kind| Choice::new(kind, found.is_network, format!("as {VARIABLE} says"))))
    }
}

/// The locks of the cache at `root`. Its folders exist; a choice that others have to know is written into it. Returns the
/// file that this created.
pub(super) fn of_cache(root: &Path) -> Result<(Locks, Option<PathBuf>), Error> {
    let mut choice = Choice::look(root, root)?;
    let mut made = None;
    if choice.is_network || choice.kind == LockKind::Renewed {
        let path = note(root);
        if is_damaged(&path) {
            strange::put_away(root, &path).at("clear", &path)?;
        }
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => {
                file.write_all(format!("{}\n", choice.kind.word()).as_bytes()).at("write", &path)?;
                file.sync_all().at("sync", &path)?;
                made = Some(path);
            }
            // Somebody has chosen meanwhile.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => choice = Choice::look(root, root)?,
            Err(error) => return Err(error).at("make", &path),
        }
    }
    Ok((Locks::new(choice.kind, root.join("tmp")), made))
}

/// The locks of a cache that is only looked at.
pub(super) fn of_looking(root: &Path) -> Locks {
    let kind = noted(root).ok().flatten().unwrap_or(LockKind::Kernel);
    Locks::new(kind, root.join("tmp"))
}

/// The locks of a folder of claims, which several caches may use and which comes and goes. So nothing can be noted in it: where
/// machines may disagree on what the kernel's locks do, they are renewed. `cache`: the kind in the cache, if that is on the
/// same file system.
pub(super) fn of_claims(folder: &Path, cache: Option<LockKind>) -> Locks {
    let place = folder.ancestors().find(|place| place.is_dir()).unwrap_or(folder);
    let is_shared = || !is_surely_local(place) && Mount::of(place).is_some_and(|mount| mount.is_network());
    let is_renewed = cache == Some(LockKind::Renewed) || is_shared();
    Locks::new(if is_renewed { LockKind::Renewed } else { LockKind::Kernel }, folder.to_owned())
}

/// What the file system of a folder suggests.
fn found(folder: &Path) -> Choice {
    if is_surely_local(folder) {
        return Choice::new(LockKind::Kernel, false, "the file system is local");
    }
    let mount = Mount::of(folder);
    let is_network = mount.as_ref().is_some_and(Mount::is_network);
    let of = mount.as_ref().map_or("a file system of unknown type".to_owned(), |mount| mount.kind.clone());
    match mount.map_or(LocksAre::Unknown, |mount| mount.locks()) {
        LocksAre::OnThisHostOnly(why) => {
            Choice::new(LockKind::Renewed, is_network, format!("the kernel's stay on this machine: on {of}, {why}"))
        }
        _ if !works(folder) => Choice::new(LockKind::Renewed, is_network, format!("the kernel's don't work on {of}")),
        LocksAre::Shared if is_network => {
            Choice::new(LockKind::Kernel, true, format!("they reach other machines on {of}"))
        }
        LocksAre::Shared => Choice::new(LockKind::Kernel, false, "the file system is local"),
        LocksAre::Unknown => {
            let why = format!("they work here; whether they reach other machines, {of} doesn't tell");
            Choice { is_doubtful: true, ..Choice::new(LockKind::Kernel, is_network, why) }
        }
    }
}

/// Whether the kernel's locks exclude other processes of this machine.
fn works(folder: &Path) -> bool {
    tempfile::Builder::new()
        .prefix(&owner())
        .tempfile_in(if folder.join("tmp").is_dir() { folder.join("tmp") } else { folder.to_owned() })
        .is_ok_and(|file| kernel::excludes(file.as_file(), file.path()))
}

fn note(root: &Path) -> PathBuf {
    root.join("locks").join(FILE)
}

/// What the cache says.
fn noted(root: &Path) -> Result<Option<LockKind>, Error> {
    let path = note(root);
    for _ in 0..ROUNDS {
        match plain::read_to_string(&path) {
            Ok(text) if text.is_empty() => std::thread::sleep(Duration::from_millis(10)),
            // What nobody knows counts as the kind that works everywhere.
            Ok(text) => return Ok(Some(LockKind::of(text.trim_end()).unwrap_or(LockKind::Renewed))),
            Err(error) if error.kind() == ErrorKind::NotFound || fs::symlink_metadata(&path).is_err() => {
                return Ok(None);
            }
            Err(error) if matches!(error.kind(), ErrorKind::IsADirectory | ErrorKind::InvalidInput) => {
                return Ok(Some(LockKind::Renewed));
            }
            read => drop(read.at("read", &path)?),
        }
    }
    Ok(Some(LockKind::Renewed))
}

/// Whether something is there that says nothing. All take it for renewed locks, so that can be written again.
fn is_damaged(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| !found.is_file() || found.len() == 0)
}

/// What the environment says.
fn said(root: &Path) -> Result<Option<LockKind>, Error> {
    let Some(word) = std::env::var_os(VARIABLE).filter(|word| !word.is_empty()) else { return Ok(None) };
    match word.to_str().and_then(LockKind::of) {
        None => Err(Error::NoSuchLocks { path: root.to_owned(), said: word.to_string_lossy().into_owned() }),
        kind => Ok(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn what_a_cache_says_counts_for_everyone_who_opens_it() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        Store::open(&cache).unwrap().insert_bytes(b"one").unwrap();
        assert!(!note(&cache).exists(), "on a local file system nothing is written");
        assert_eq!(Store::open(&cache).unwrap().locking.kind(), LockKind::Kernel);
        for (text, kind) in
            [("renewed\n", LockKind::Renewed), ("kernel\n", LockKind::Kernel), ("later\n", LockKind::Renewed)]
        {
            fs::write(note(&cache), text).unwrap();
            assert_eq!(Store::open(&cache).unwrap().locking.kind(), kind, "{text}");
            assert_eq!(Store::look_at(&cache).unwrap().locking.kind(), kind, "{text}");
        }
    }

    #[test]
    fn a_note_that_says_nothing_counts_as_renewed_and_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        Store::open(&cache).unwrap().insert_bytes(b"one").unwrap();
        for what in ["", "folder"] {
            let _ = plain::remove(&note(&cache));
            if what.is_empty() { fs::write(note(&cache), "") } else { fs::create_dir(note(&cache)) }.unwrap();
            assert_eq!(Store::open(&cache).unwrap().locking.kind(), LockKind::Renewed, "{what}");
            assert_eq!(fs::read_to_string(note(&cache)).unwrap(), "renewed\n");
        }
    }

    #[test]
    fn claims_are_renewed_if_the_cache_beside_them_has_renewed_locks() {
        let dir = tempfile::tempdir().unwrap();
        let claims = dir.path().join(".intrada/claims");
        assert_eq!(of_claims(&claims, Some(LockKind::Renewed)).kind(), LockKind::Renewed);
        assert_eq!(of_claims(&claims, Some(LockKind::Kernel)).kind(), LockKind::Kernel);
        assert_eq!(of_claims(&claims, None).kind(), LockKind::Kernel);
    }
}
