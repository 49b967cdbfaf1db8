//! Lock files that the kernel locks (`flock`): released when their process dies, however it dies.
//!
//! Knows files, not what they are locked for. Works only where the file system has such locks, and between machines only if it
//! passes them on (`mount`).

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::answer::is_lack_of_room;
use super::error::{At, Error};
use super::holder::Holder;
use super::strange;
use crate::plain;

/// Whether others may have the lock at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    /// With others that share it.
    Shared,
    /// With nobody.
    Alone,
}

/// A locked and signed file, and the previous holder's signature.
pub(super) type Locked = (File, Option<Holder>);

/// Locks and signs the file at `path`, creating it; or returns its holder.
pub(super) fn take(path: &Path, mode: Mode) -> Result<Result<Locked, Option<Holder>>, Error> {
    loop {
        if let Some(taken) = take_file(path, mode)? {
            return Ok(taken);
        }
        clear(path).at("clear", path)?;
    }
}

/// The same. `None`: something else lies there.
pub(super) fn take_file(path: &Path, mode: Mode) -> Result<Option<Result<Locked, Option<Holder>>>, Error> {
    loop {
        let Some(mut file) = open_file(path)? else { return Ok(None) };
        let tried = match mode {
            Mode::Shared => file.try_lock_shared(),
            Mode::Alone => file.try_lock(),
        };
        match tried {
            Ok(()) => {
                if let Some(metadata) = with_its_name(&file, path)? {
                    let left_by = sign(&mut file, &metadata, path)?;
                    return Ok(Some(Ok((file, left_by))));
                }
            }
            Err(TryLockError::WouldBlock) => return Ok(Some(Err(Holder::of_file(&mut file)))),
            Err(TryLockError::Error(error)) => return Err(error).locked(path),
        }
    }
}

/// The same, and waits for it.
pub(super) fn wait(path: &Path, mode: Mode) -> Result<Locked, Error> {
    loop {
        let mut file = open(path)?;
        match mode {
            Mode::Shared => file.lock_shared(),
            Mode::Alone => file.lock(),
        }
        .locked(path)?;
        if let Some(metadata) = with_its_name(&file, path)? {
            let left_by = sign(&mut file, &metadata, path)?;
            return Ok((file, left_by));
        }
    }
}

/// Waits for the lock on a file that is never removed, and leaves it unsigned.
pub(super) fn wait_unsigned(path: &Path, mode: Mode) -> Result<File, Error> {
    let file = open(path)?;
    match mode {
        Mode::Shared => file.lock_shared(),
        Mode::Alone => file.lock(),
    }
    .locked(path)?;
    Ok(file)
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
            Ok(Some(Holder::of_file(&mut file).unwrap_or(unsigned)))
        }
        Err(TryLockError::Error(error)) => Err(error).locked(path),
    }
}

/// Removes the lock file at `path` if nobody has it locked. Returns who had.
pub(super) fn swept(path: &Path) -> Result<Option<Holder>, Error> {
    let Some(mut file) = existing(path)? else { return Ok(None) };
    match file.try_lock() {
        Ok(()) if still_has_its_name(&file, path)? => {
            let had = Holder::of_file(&mut file);
            let _ = fs::remove_file(path);
            Ok(had)
        }
        _ => Ok(None),
    }
}

/// Removes a lock file in the way of another kind of lock. Returns its holder if it is locked. Where the kernel locks nothing,
/// nobody can hold it.
pub(super) fn make_way(path: &Path) -> Result<Option<Holder>, Error> {
    match living(path, false) {
        Err(Error::NoLocks { .. }) => match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).at("remove", path),
            _ => Ok(None),
        },
        living => living,
    }
}

/// Whether the kernel's locks keep out others: a lock on one opening of a file, another opening of it.
pub(super) fn excludes(held: &File, path: &Path) -> bool {
    held.try_lock().is_ok()
        && File::open(path).is_ok_and(|other| matches!(other.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Gives the lock back, and removes its file unless others share it. Returns whether it removed the file.
pub(super) fn give_back(file: &File, path: &Path, mode: Mode) -> bool {
    // Removed while still locked. A process that opened it meanwhile detects that the file lost its name, and creates a new
    // one. If the folder was deleted and recreated meanwhile, the name belongs to another process.
    let alone = match mode {
        Mode::Alone => true,
        Mode::Shared => file.unlock().is_ok() && file.try_lock().is_ok(),
    };
    alone && still_has_its_name(file, path).unwrap_or(false) && fs::remove_file(path).is_ok()
}

/// Between our opening and locking the file, its holder may have removed it; the lock would then exclude nobody.
pub(super) fn still_has_its_name(file: &File, path: &Path) -> Result<bool, Error> {
    with_its_name(file, path).map(|metadata| metadata.is_some())
}

fn with_its_name(file: &File, path: &Path) -> Result<Option<Metadata>, Error> {
    let ours = file.metadata().at("look at", path)?;
    let has_its_name = fs::metadata(path).is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino()));
    Ok(has_its_name.then_some(ours))
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

fn open(path: &Path) -> Result<File, Error> {
    loop {
        if let Some(file) = open_file(path)? {
            return Ok(file);
        }
        clear(path).at("clear", path)?;
    }
}

/// The lock file, created if there is none. `None`: something else lies there.
fn open_file(path: &Path) -> Result<Option<File>, Error> {
    // Not truncated: it may be another's, with their name in it. Neither follows a link nor waits for the other end of a pipe.
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let no_file = [libc::ELOOP, libc::EISDIR, libc::ENXIO];
    match options.open(path) {
        Ok(file) => Ok(file.metadata().at("look at", path)?.is_file().then_some(file)),
        Err(error) if error.raw_os_error().is_some_and(|number| no_file.contains(&number)) => Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(gone(path, error)),
        Err(error) => Err(error).at("open", path),
    }
}

/// The error of a lock file whose folder isn't there.
pub(super) fn gone(path: &Path, source: io::Error) -> Error {
    // The cache in whose `locks` folder it is.
    let cache = path.parent().filter(|folder| folder.ends_with("locks")).and_then(Path::parent);
    match cache {
        Some(cache) => Error::Gone { path: cache.to_owned() },
        None => Error::Io { action: "open", path: path.to_owned(), source },
    }
}

/// Moves anything but a file at a lock's path to quarantine. Locking a link would lock its target, and opening a pipe would
/// block.
pub(super) fn clear(path: &Path) -> io::Result<()> {
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

/// Signs the locked file. Returns the previous signature.
fn sign(file: &mut File, metadata: &Metadata, path: &Path) -> Result<Option<Holder>, Error> {
    let is_new = metadata.len() == 0;
    let left_by = if is_new { None } else { Holder::of_file(file) };
    let text = Holder::this().signature();
    // A process that died left its name; ours may be shorter. A file that was emptied is written to the disk when it is closed, which
    // one that lives for a moment is to be spared.
    let emptied = if is_new { Ok(()) } else { file.set_len(0).and_then(|()| file.rewind()) };
    match emptied.and_then(|()| file.write_all(text.as_bytes())) {
        // Only the lock matters: without a signature a waiting process just can't name the holder. gc needs this on a full
        // disk.
        Err(error) if is_lack_of_room(&error) => {}
        result => result.at("write", path)?,
    }
    Ok(left_by)
}
