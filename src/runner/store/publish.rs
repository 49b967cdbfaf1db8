//! Publishing a file in the store: written in `tmp/`, synced, renamed, its folder synced.
//!
//! Doesn't know what the file means. Only the rename is visible to other processes, so they see the file complete or not at
//! all. Also removes what killed processes left in `tmp/`.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, test_kill_process};
use tempfile::TempPath;

use super::answer::is_refusal;
use super::error::{At, Error};
use super::later::{Durable, SYNC_ONE_BY_ONE};
use super::{Store, crash, strange};

/// A file in `tmp/` that hasn't changed for this long isn't work in progress.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// For files of other machines, whose processes can't be checked. A month is longer than any job may run.
const STALE_ELSEWHERE: Duration = Duration::from_secs(30 * 24 * 3600);

impl Store {
    /// Creates something in `tmp/` under a new name that begins with its owner: `<host>.<pid>.<random>`.
    pub(super) fn temporary<R>(
        &self,
        make: impl FnOnce(&tempfile::Builder<'_, '_>, &Path) -> io::Result<R>,
    ) -> Result<R, Error> {
        let tmp = self.root.join("tmp");
        make(tempfile::Builder::new().prefix(&owner()), &tmp).at("write into", &tmp)
    }

    /// Removes a folder of the store with its contents; nothing if it is missing. It is renamed first, so that a kill can't leave
    /// half of it under its name.
    pub(super) fn remove_at_once(&self, folder: &Path) -> Result<(), Error> {
        match fs::remove_dir(folder) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            // It isn't empty.
            Err(_) => {}
        }
        // Without creating a folder to move it into: a full disk may have no room for one.
        let away = self.temporary(|builder, tmp| builder.make_in(tmp, |new| fs::rename(folder, new)));
        match away {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(()),
            away => fs::remove_dir_all(away?.into_temp_path().keep().expect("a path that was made here is kept"))
                .at("remove", folder),
        }
    }

    /// Writes a read-only file into `tmp/`. Removed on drop unless published.
    pub(super) fn stage_bytes(&self, bytes: &[u8]) -> Result<TempPath, Error> {
        let mut file = self.temporary(|builder, tmp| builder.tempfile_in(tmp))?;
        file.write_all(bytes).at("write", file.path())?;
        protect(file.path())?;
        Ok(file.into_temp_path())
    }

    /// Publishes one staged file at `destination`, replacing what is there.
    pub(super) fn publish_file(&self, staged: TempPath, destination: &Path) -> Result<(), Error> {
        self.publish_file_by(staged, destination, Durable::Now)
    }

    pub(super) fn publish_file_by(&self, staged: TempPath, destination: &Path, durable: Durable) -> Result<(), Error> {
        crash::point("staged");
        if durable == Durable::Now {
            sync_files(&[&*staged])?;
        }
        crash::point("synced");
        let staged = match staged.persist(destination) {
            // A rename replaces anything but a folder.
            Err(error) if error.error.kind() == ErrorKind::IsADirectory => {
                self.quarantine(destination)?;
                error.path.persist(destination)
            }
            Err(error) if is_without_parent(&error.error) => {
                self.ensure_parent(destination, durable)?;
                error.path.persist(destination)
            }
            result => result,
        };
        staged.map_err(|error| error.error).at("publish", destination)?;
        crash::point("renamed");
        match durable {
            Durable::Now => sync_parents([destination]),
            Durable::Soon => {
                self.later.note_file(destination);
                Ok(())
            }
        }
    }

    /// Creates the parent folder of `path`, and makes its name durable if it is new.
    pub(super) fn ensure_parent(&self, path: &Path, durable: Durable) -> Result<(), Error> {
        let Some(parent) = path.parent() else { return Ok(()) };
        if parent.is_dir() {
            return Ok(());
        }
        match fs::create_dir(parent) {
            Ok(()) if durable == Durable::Soon => {
                self.later.note_folder(parent);
                Ok(())
            }
            Ok(()) => sync_parents([parent]),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && parent.is_dir() => Ok(()),
            Err(_) => strange::make_folder(&self.root, parent).at("make", parent),
        }
    }

    /// Removes from `tmp/` the files of dead processes that are over a day old. Returns their number.
    ///
    /// # Errors
    /// [`Error::Io`] if `tmp/` can't be listed. An entry that can't be removed stays until the next sweep.
    pub fn sweep(&self) -> Result<usize, Error> {
        let tmp = self.root.join("tmp");
        let mut swept = 0;
        for entry in fs::read_dir(&tmp).at("list", &tmp)? {
            let entry = entry.at("list", &tmp)?;
            let Ok(metadata) = entry.metadata() else { continue };
            let age = metadata.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
            if !is_abandoned(&entry.file_name().to_string_lossy(), age.unwrap_or_default()) {
                continue;
            }
            let path = entry.path();
            let removed = if metadata.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            swept += usize::from(removed.is_ok());
        }
        Ok(swept)
    }
}

/// Whether a rename failed because there is no folder for the new name, or something else in its place.
pub(super) fn is_without_parent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn is_abandoned(name: &str, age: Duration) -> bool {
    match is_of_a_dead_process(name) {
        Some(is_dead) => age > STALE && is_dead,
        None => age > STALE_ELSEWHERE,
    }
}

/// The prefix of this process's temporary files.
pub(super) fn owner() -> String {
    format!("{}.{}.", host(), std::process::id())
}

/// Whether the process that a temporary file is named after is gone. `None`: it is a process of another machine.
pub(super) fn is_of_a_dead_process(name: &str) -> Option<bool> {
    // The host may contain dots, the other two parts can't.
    let mut parts = name.rsplitn(3, '.').skip(1);
    let pid = parts.next().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw)?;
    (parts.next()? == host()).then(|| test_kill_process(pid).is_err())
}

/// The name of this machine.
pub(super) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Makes the contents of `paths` durable.
///
/// Each sync waits for the disk; `syncfs` waits once, for everything written.
pub(super) fn sync_files(paths: &[&Path]) -> Result<(), Error> {
    #[cfg(target_os = "linux")]
    if paths.len() > SYNC_ONE_BY_ONE {
        let file = File::open(paths[0]).at("open", paths[0])?;
        match rustix::fs::syncfs(&file).map_err(io::Error::from) {
            Err(error) if is_refusal(&error) => {}
            result => return result.at("sync", paths[0]),
        }
    }
    for path in paths {
        File::open(path).and_then(|file| file.sync_all()).at("sync", path)?;
    }
    Ok(())
}

/// Makes a file read-only, unless the file system refuses that. It only prevents accidents: an object is hashed before it is
/// used.
pub(super) fn protect(path: &Path) -> Result<(), Error> {
    match fs::set_permissions(path, Permissions::from_mode(0o444)) {
        Err(error) if is_refusal(&error) => Ok(()),
        result => result.at("protect", path),
    }
}

/// The same of an open file with this metadata.
pub(super) fn protect_open(file: &File, metadata: &Metadata, path: &Path) -> Result<(), Error> {
    if metadata.permissions().mode() & 0o7777 == 0o444 {
        return Ok(());
    }
    match file.set_permissions(Permissions::from_mode(0o444)) {
        Err(error) if is_refusal(&error) => Ok(()),
        result => result.at("protect", path),
    }
}

/// Makes the names in these folders durable. Many network file systems refuse to sync a folder, and keep its names durable
/// without it.
fn sync_folders(folders: &[&Path]) -> Result<(), Error> {
    for folder in folders {
        match File::open(folder).and_then(|folder| folder.sync_all()) {
            Err(error) if is_refusal(&error) => {}
            result => result.at("sync", folder)?,
        }
    }
    Ok(())
}

/// Makes the names of `paths` durable.
pub(super) fn sync_parents<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<(), Error> {
    let parents: BTreeSet<&Path> = paths.into_iter().filter_map(Path::parent).collect();
    let parents = Vec::from_iter(parents);
    #[cfg(target_os = "linux")]
    if parents.len() > SYNC_ONE_BY_ONE
        && let Ok(folder) = File::open(parents[0])
        && rustix::fs::syncfs(&folder).is_ok()
    {
        return Ok(());
    }
    sync_folders(&parents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_entries_of_dead_processes_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let tmp = store.root().join("tmp");
        // No process can have this number: it is above the kernel's limit.
        let dead = i32::MAX;
        let two_days_ago = SystemTime::now() - 2 * STALE;
        let make = |name: String, old: bool| {
            let path = tmp.join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("content"), "half").unwrap();
            if old {
                File::open(&path).unwrap().set_modified(two_days_ago).unwrap();
            }
            path
        };
        let swept = make(format!("{}.{dead}.a", host()), true);
        let kept = [
            make(format!("{}.{dead}.b", host()), false),
            make(format!("{}.{}.c", host(), std::process::id()), true),
            make(format!("elsewhere.{dead}.d"), true),
        ];
        assert_eq!(store.sweep().unwrap(), 1);
        assert!(!swept.exists());
        assert!(kept.iter().all(|path| path.exists()));
    }

    #[test]
    fn what_is_staged_and_not_published_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        drop(store.stage_bytes(b"half").unwrap());
        assert_eq!(fs::read_dir(store.root().join("tmp")).unwrap().count(), 0);
    }
}
