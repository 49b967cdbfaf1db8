//! Lock files for use under one name after the other: a file that is made and deleted for each lock costs the file system several times as
//! much as another name for an old one.
//!
//! Knows no places. A spare file has a name of its own, in a folder that others leave alone, and belongs to one process. It is locked
//! before it gets a lock's name, so that nobody sees it there unlocked. It is used again only after this process has taken that name
//! away; whoever has the file open from before, under that name, tries to lock it and then looks whether it still has the name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::holder::Holder;
use super::kernel::Mode;
use super::mount::is_surely_local;
use super::publish::owner;

/// The spare files of a process on one file system. They are removed with the last copy of this.
#[derive(Clone, Debug)]
pub(super) struct Spares(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    /// Those that no lock uses; none where the file system is not surely a local one, or gives no file a second name.
    unused: Mutex<Option<Vec<PathBuf>>>,
}

impl Inner {
    /// Does without, from now on.
    fn give_up(&self) {
        let unused = self.unused().take();
        unused.into_iter().flatten().for_each(|spare| drop(fs::remove_file(spare)));
    }

    fn unused(&self) -> MutexGuard<'_, Option<Vec<PathBuf>>> {
        self.unused.lock().expect("no code panics while it holds this list")
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// A spare file that a lock uses.
#[derive(Debug)]
pub(super) struct Spare {
    of: Spares,
    path: PathBuf,
}

impl Spares {
    /// In this folder, which other programs leave alone.
    pub(super) fn in_folder(folder: &Path) -> Spares {
        let unused = is_surely_local(folder).then(Vec::new);
        Spares(Arc::new(Inner { folder: folder.to_owned(), unused: Mutex::new(unused) }))
    }

    /// Locks a file and gives it the name `path`, which nothing has. `None`: something has it, or it can't be done in this way.
    pub(super) fn lock(&self, path: &Path, mode: Mode) -> Option<(File, Spare)> {
        let spare = self.take()?;
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(&spare.path).ok()?;
        let locked = match mode {
            Mode::Shared => file.try_lock_shared(),
            Mode::Alone => file.try_lock(),
        };
        // Another process is just looking at it, or one that this process has started still has it open.
        if locked.is_err() {
            return None;
        }
        match fs::hard_link(&spare.path, path) {
            Ok(()) => Some((file, spare)),
            Err(error) => {
                drop(file);
                match error.kind() {
                    ErrorKind::AlreadyExists => spare.put_back(),
                    // Somebody has removed the file, or the folder.
                    ErrorKind::NotFound | ErrorKind::NotADirectory => {}
                    _ => self.0.give_up(),
                }
                None
            }
        }
    }

    fn take(&self) -> Option<Spare> {
        let unused = self.0.unused().as_mut()?.pop();
        let path = match unused {
            Some(path) => path,
            None => self.make().ok()?,
        };
        Some(Spare { of: self.clone(), path })
    }

    /// Makes one, with the name of this process in it.
    fn make(&self) -> io::Result<PathBuf> {
        let mut file = tempfile::Builder::new().prefix(&owner()).permissions(mode()).tempfile_in(&self.0.folder)?;
        file.write_all(Holder::this().signature().as_bytes())?;
        file.into_temp_path().keep().map_err(|error| error.error)
    }
}

/// That of any new file: others may want to know who holds a lock.
fn mode() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}

impl Spare {
    /// Keeps it for another lock. Only if nothing else is called by its file's other name any more.
    pub(super) fn put_back(mut self) {
        let path = std::mem::take(&mut self.path);
        match &mut *self.of.0.unused() {
            Some(unused) => unused.push(path),
            None => drop(fs::remove_file(path)),
        }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::kernel;
    use super::*;

    #[test]
    fn a_file_is_used_again_and_never_while_its_old_lock_is_held_or_has_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| dir.path().join(name));
        let spares = Spares::in_folder(dir.path());
        let Some((file, spare)) = spares.lock(&a, Mode::Alone) else {
            return eprintln!("skipped: the file system is not surely local, or has no hard links");
        };
        // The name is taken, and its holder is told.
        assert!(spares.lock(&a, Mode::Alone).is_none());
        let Ok(Err(Some(holder))) = kernel::take(&a, Mode::Alone) else { panic!("it is held") };
        assert_eq!(holder.pid, std::process::id());
        // Somebody has opened it, and locks it only once its name is gone.
        let late = OpenOptions::new().read(true).write(true).open(&a).unwrap();
        fs::remove_file(&a).unwrap();
        drop(file);
        late.try_lock().unwrap();
        spare.put_back();
        assert!(!kernel::still_has_its_name(&late, &a).unwrap());
        let (file, spare) = std::iter::repeat_with(|| spares.lock(&b, Mode::Alone)).flatten().next().unwrap();
        assert!(kernel::still_has_its_name(&file, &b).unwrap() && !kernel::still_has_its_name(&late, &b).unwrap());
        drop((file, spare, late));
        fs::remove_file(&b).unwrap();
        drop(spares);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
