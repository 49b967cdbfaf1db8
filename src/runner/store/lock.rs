//! Locks of the store, of two kinds: the kernel's, and renewed ones for file systems where those fail or stay on one machine.
//!
//! Knows paths, not what they stand for; who uses a lock doesn't know its kind. What lies at a path decides before the kind
//! does: a lock of the other kind that somebody holds is respected, as both can't have one name.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{At, Error};
use super::holder::Holder;
use super::kernel;
pub(super) use super::kernel::Mode;
use super::renewed::{self, Disk, Held};
use super::spares::{Spare, Spares};

/// How long to wait before asking again for a renewed lock, at most.
const PAUSE: Duration = Duration::from_millis(200);

/// The kinds of locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// Released by the kernel when their process dies.
    Kernel,
    /// Renewed by their process while it lives.
    Renewed,
}

impl LockKind {
    /// Its name in `INTRADA_LOCKS` and in a cache.
    pub fn word(self) -> &'static str {
        match self {
            LockKind::Kernel => "kernel",
            LockKind::Renewed => "renewed",
        }
    }

    /// The kind of this name.
    pub(super) fn of(word: &str) -> Option<LockKind> {
        [LockKind::Kernel, LockKind::Renewed].into_iter().find(|kind| kind.word() == word)
    }
}

/// How locks are taken on one file system.
#[derive(Clone, Debug)]
pub(super) struct Locks {
    kind: LockKind,
    /// A folder on it for what becomes a lock.
    nursery: PathBuf,
    /// Files for locks that come and go often.
    spares: Option<Spares>,
}

/// A lock. Released when dropped.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    mode: Mode,
    left_by: Option<Holder>,
    held: Option<Kept>,
    /// Its file is never removed.
    stays: bool,
    /// What its file is used for again.
    spare: Option<Spare>,
}

#[derive(Debug)]
enum Kept {
    /// Closing it releases the lock, once no duplicate is open.
    File(File),
    Renewed(Held),
}

impl Locks {
    /// `nursery`: a folder on the file system of the locks, which other programs leave alone.
    pub(super) fn new(kind: LockKind, nursery: PathBuf) -> Locks {
        Locks { kind, nursery, spares: None }
    }

    /// The same, with files that are used again for one lock after the other, and removed with the last copy of this.
    pub(super) fn with_spares(self) -> Locks {
        let spares = (self.kind == LockKind::Kernel).then(|| Spares::in_folder(&self.nursery));
        Locks { spares, ..self }
    }

    pub(super) fn kind(&self) -> LockKind {
        self.kind
    }

    /// Takes the lock at `path`, or returns its holder, who is unknown in the moment between taking and signing it.
    pub(super) fn take(&self, path: &Path, mode: Mode) -> Result<Result<Lock, Option<Holder>>, Error> {
        if let Some((file, spare)) = self.spares.as_ref().and_then(|spares| spares.lock(path, mode)) {
            let mut lock = Lock::of_file(path, mode, file, None);
            lock.spare = Some(spare);
            return Ok(Ok(lock));
        }
        if self.kind == LockKind::Kernel
            && let Some(taken) = kernel::take_file(path, mode)?
        {
            return Ok(taken.map(|(file, left_by)| Lock::of_file(path, mode, file, left_by)));
        }
        if !self.is_renewed(path)? {
            let taken = kernel::take(path, mode)?;
            return Ok(taken.map(|(file, left_by)| Lock::of_file(path, mode, file, left_by)));
        }
        if let Some(holder) = make_way(path)? {
            return Ok(Err(Some(holder)));
        }
        let taken = match renewed::take(Disk::new(self.nursery.clone()), path, mode) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(kernel::gone(path, error)),
            taken => taken.locked(path)?,
        };
        Ok(taken.map(|held| {
            let left_by = held.left_by();
            Lock { path: path.to_owned(), mode, left_by, held: Some(Kept::Renewed(held)), stays: false, spare: None }
        }))
    }

    /// The same, and waits for it.
    pub(super) fn wait(&self, path: &Path, mode: Mode) -> Result<Lock, Error> {
        if !self.is_renewed(path)? {
            let (file, left_by) = kernel::wait(path, mode)?;
            return Ok(Lock::of_file(path, mode, file, left_by));
        }
        self.ask_until_taken(path, mode)
    }

    /// Waits for a lock whose file is not signed and, if it is the kernel's, never removed.
    pub(super) fn wait_unsigned(&self, path: &Path, mode: Mode) -> Result<Lock, Error> {
        if !self.is_renewed(path)? {
            let file = kernel::wait_unsigned(path, mode)?;
            let mut lock = Lock::of_file(path, mode, file, None);
            lock.stays = true;
            return Ok(lock);
        }
        self.ask_until_taken(path, mode)
    }

    fn ask_until_taken(&self, path: &Path, mode: Mode) -> Result<Lock, Error> {
        let mut pause = Duration::from_millis(2);
        loop {
            if let Ok(lock) = self.take(path, mode)? {
                return Ok(lock);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE);
        }
    }

    /// Whether to take the lock at `path` as a renewed one.
    fn is_renewed(&self, path: &Path) -> Result<bool, Error> {
        Ok(match self.kind {
            LockKind::Renewed => true,
            LockKind::Kernel => is_folder(path) && renewed::has_entries(path).at("list", path)?,
        })
    }
}

impl Lock {
    fn of_file(path: &Path, mode: Mode, file: File, left_by: Option<Holder>) -> Lock {
        Lock { path: path.to_owned(), mode, left_by, held: Some(Kept::File(file)), stays: false, spare: None }
    }

    #[cfg(test)]
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The previous holder, if that didn't give it back.
    pub(super) fn left_by(&self) -> Option<&Holder> {
        self.left_by.as_ref()
    }

    /// Releases it but keeps the previous holder's name, for those who must learn that there was one.
    pub(super) fn leave(mut self) {
        self.stays = true;
        if let Some(Kept::Renewed(held)) = self.held.take() {
            held.leave();
        }
    }

    /// Duplicates the open file of a kernel's lock, which is held until all duplicates are closed. A renewed lock has none: it
    /// ends with this process.
    pub(super) fn share(&self) -> Result<Option<OwnedFd>, Error> {
        match &self.held {
            Some(Kept::File(file)) => Ok(Some(file.try_clone().at("share", &self.path)?.into())),
            _ => Ok(None),
        }
    }

    /// Whether nobody else can have taken it until now: not if this process was suspended for long, and another came. Costs
    /// nothing.
    pub(super) fn holds(&self) -> bool {
        match &self.held {
            Some(Kept::Renewed(held)) => held.holds(),
            _ => true,
        }
    }

    /// Whether its file, or entry, is still there: somebody may have deleted it.
    pub(super) fn is_there(&self) -> Result<bool, Error> {
        match &self.held {
            Some(Kept::File(file)) => kernel::still_has_its_name(file, &self.path),
            Some(Kept::Renewed(held)) => Ok(held.is_there()),
            None => Ok(false),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(Kept::File(file)) = &self.held
            && !self.stays
        {
            let is_gone = kernel::give_back(file, &self.path, self.mode);
            self.held = None;
            if let Some(spare) = self.spare.take().filter(|_| is_gone) {
                spare.put_back();
            }
        }
    }
}

/// The holder of the lock at `path`, if any. Removes what a killed process left, unless `leave` says otherwise.
pub(super) fn living(path: &Path, leave: bool) -> Result<Option<Holder>, Error> {
    if is_folder(path) { renewed::living(path, leave).at("look at", path) } else { kernel::living(path, leave) }
}

/// Removes what is left of the lock at `path` if nobody has it. Returns who had.
pub(super) fn swept(path: &Path) -> Result<Option<Holder>, Error> {
    if is_folder(path) { renewed::swept(path).at("sweep", path) } else { kernel::swept(path) }
}

/// Looks at these locks until it is known of each whether its holder lives: renewed ones of other machines take time.
pub(super) fn settle(paths: &[PathBuf]) -> Result<(), Error> {
    for path in paths {
        while is_folder(path) && !renewed::is_settled(path).at("look at", path)? {
            std::thread::sleep(PAUSE);
            // They all fall silent, or move, at the same time.
            for other in paths.iter().filter(|other| is_folder(other)) {
                renewed::is_settled(other).at("look at", other)?;
            }
        }
    }
    Ok(())
}

fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_dir())
}

/// Clears the path of anything but a renewed lock. Returns the holder of a kernel's lock there.
fn make_way(path: &Path) -> Result<Option<Holder>, Error> {
    let Ok(found) = path.symlink_metadata() else { return Ok(None) };
    if found.is_file() {
        return kernel::make_way(path);
    }
    if !found.is_dir() || renewed::is_strange(path).at("list", path)? {
        kernel::clear(path).at("clear", path)?;
    }
    Ok(None)
}
