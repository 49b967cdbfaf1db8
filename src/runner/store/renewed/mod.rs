//! Renewed locks: for file systems on which the kernel's locks fail, or exclude only the processes of one machine.
//!
//! Knows paths and processes, not what is locked. A lock is a folder; who has it has an entry in it, under a name that nobody
//! else ever uses, and renews the entry every few seconds. Nothing is decided by what a listing shows, which may be old on a
//! network file system, but only by operations that the server performs in one step and that one process at most can win:
//!
//! ```text
//! LOCK/<name>          has it alone
//! LOCK/shared/<name>   shares it
//!
//! begin    rename a folder that holds one's entry to LOCK: succeeds only if nothing or an empty folder is there
//! join     create LOCK/shared/<name>: succeeds only if the lock is shared
//! take     rename the entry of a dead holder to one's own name: one succeeds, all others find no such entry
//! release  remove one's own entry, then remove LOCK and LOCK/shared if they are empty
//! ```
//!
//! As no name is used twice, an operation that comes too late finds no such name, and changes nothing.
//!
//! **Time.** No clocks are compared. A holder believes that it has the lock only until half the expiry after the start of its
//! last renewal, by its own clock, and a renewal that took longer doesn't count. Others take an entry only after they have seen
//! it unchanged for the whole expiry, by their own clock. So a holder that was suspended, or whose file server didn't answer,
//! knows by itself that it may have lost the lock. It then renames its entry: if that succeeds, nobody had taken it, and it
//! has had the lock without a gap. The other half of the expiry is for operations on their way and for what clients cache.
//!
//! On one machine, entries of processes that have ended are taken at once. See docs/decisions/locks.md.

mod beat;
mod disk;
mod files;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod model;
mod name;
mod take;
mod tenure;
mod watch;

pub(super) use self::beat::Held;
pub(super) use self::disk::Disk;

use std::io;
use std::path::Path;
use std::sync::LazyLock;

use self::files::Files;
use self::watch::{Sight, Watch};
use super::holder::Holder;
use super::kernel::Mode;

/// What this process has seen of the locks of others.
static WATCH: LazyLock<Watch> = LazyLock::new(Watch::default);

/// Takes the lock at `lock`, or returns its holder.
pub(super) fn take(disk: Disk, lock: &Path, mode: Mode) -> io::Result<Result<Held, Option<Holder>>> {
    let signature = Holder::this().signature();
    Ok(take::take(&disk, &WATCH, lock, mode, &signature)?.map(|tenure| Held::new(tenure, disk)))
}

/// The holder of the lock, or one of those who share it. Removes entries of the dead, unless `leave` says otherwise.
pub(super) fn living(lock: &Path, leave: bool) -> io::Result<Option<Holder>> {
    let (living, _) = look(lock, leave)?;
    Ok(living)
}

/// Removes the lock if its holders are dead. Returns one of them.
pub(super) fn swept(lock: &Path) -> io::Result<Option<Holder>> {
    let (living, dead) = look(lock, false)?;
    Ok(dead.filter(|_| living.is_none()))
}

/// Whether it is known of each holder whether it lives. On another machine only time tells.
pub(super) fn is_settled(lock: &Path) -> io::Result<bool> {
    let disk = Disk::looking();
    for entry in disk.entries(lock)? {
        if matches!(WATCH.look(&disk, lock, &entry)?, Sight::Lives(_))
            && !disk.is_here(&entry.name)
            && !WATCH.has_moved(lock, &entry)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a folder is a lock that somebody has, or had.
pub(super) fn has_entries(lock: &Path) -> io::Result<bool> {
    Ok(!Disk::looking().entries(lock)?.is_empty())
}

/// Whether a folder holds other things than a lock does.
pub(super) fn is_strange(lock: &Path) -> io::Result<bool> {
    Ok(!has_entries(lock)? && Disk::looking().has_others(lock)?)
}

fn look(lock: &Path, leave: bool) -> io::Result<(Option<Holder>, Option<Holder>)> {
    let disk = Disk::looking();
    let (mut living, mut dead) = (None, None);
    for entry in disk.entries(lock)? {
        match WATCH.look(&disk, lock, &entry)? {
            Sight::Absent => {}
            Sight::Lives(holder) => living = Some(holder),
            Sight::Over(holder) => {
                dead = Some(holder);
                if !leave {
                    disk.remove(lock, &entry)?;
                }
            }
        }
    }
    if !leave && living.is_none() {
        disk.prune(lock)?;
    }
    Ok((living, dead))
}
