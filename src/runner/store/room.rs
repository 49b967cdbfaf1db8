//! Whether there is room where a run writes: found by writing, as free space doesn't include quotas and size limits.
//!
//! Knows no stage. Checked after a failure, since a program that has no room for its work has none for its error message
//! either: only this check can name the reason. The test file has no name, so it is never left behind.

use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::StatVfs;

use super::answer::is_lack_of_room;

/// Less free space than this counts as full: a log, a table and a small network take as much.
const LITTLE: usize = 1 << 20;

/// A file system without room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Full {
    /// Its contents, as `the cache and the workspace`.
    pub of: String,
    /// Bytes that are free all the same.
    pub free: Option<u64>,
    /// What has no room.
    pub lacks: Lack,
}

/// What has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Bytes.
    Bytes,
    /// Another file: the inode table is full.
    Files,
    /// A quota is used up.
    Quota,
    /// A file that large: `ulimit -f`.
    Size,
    /// The file system has become read-only.
    Writing,
}

/// Free space on a file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// Its mount point.
    pub mount: PathBuf,
    /// Bytes.
    pub free: u64,
    /// Free inodes, where their number is fixed.
    pub free_files: Option<u64>,
}

impl Space {
    /// Of the file system of `path`, even if `path` doesn't exist yet.
    pub fn of(path: &Path) -> Option<Space> {
        let path = std::path::absolute(path).ok()?;
        let folder = path.ancestors().find_map(|path| path.canonicalize().ok())?;
        let device = |path: &Path| path.metadata().ok().map(|found| found.dev());
        let own = device(&folder);
        let mount = folder.ancestors().take_while(|above| device(above) == own).last()?.to_owned();
        let space = rustix::fs::statvfs(&folder).ok()?;
        let free_files = (space.f_files > 0).then_some(space.f_favail);
        Some(Space { mount, free: space.f_bavail.saturating_mul(space.f_frsize), free_files })
    }
}

/// The full file systems of these folders, with the folders' names. Folders on the same one are joined.
pub fn full(folders: &[(&str, &Path)]) -> Vec<Full> {
    let mut found: Vec<(u64, Vec<&str>, &Path)> = Vec::new();
    for (name, folder) in folders {
        let Ok(metadata) = folder.metadata() else { continue };
        match found.iter_mut().find(|(device, ..)| *device == metadata.dev()) {
            Some((_, names, _)) => names.push(name),
            None => found.push((metadata.dev(), vec![name], folder)),
        }
    }
    let full = |(_, names, folder): (u64, Vec<&str>, &Path)| {
        let space = rustix::fs::statvfs(folder).ok();
        let lacks = lack(folder, space.as_ref())?;
        let free = space.map(|space| space.f_bavail.saturating_mul(space.f_frsize));
        Some(Full { of: names.join(" and "), free, lacks })
    };
    found.into_iter().filter_map(full).collect()
}

fn lack(folder: &Path, space: Option<&StatVfs>) -> Option<Lack> {
    let Err(error) = try_to_write(folder) else { return None };
    match error.kind() {
        ErrorKind::QuotaExceeded => Some(Lack::Quota),
        ErrorKind::FileTooLarge => Some(Lack::Size),
        ErrorKind::ReadOnlyFilesystem => Some(Lack::Writing),
        // Without a fixed number of inodes, the number is 0.
        _ if is_lack_of_room(&error) => match space {
            Some(space) if space.f_files > 0 && space.f_favail == 0 => Some(Lack::Files),
            _ => Some(Lack::Bytes),
        },
        _ => None,
    }
}

/// If the test isn't possible, there is room.
#[cfg(not(target_os = "linux"))]
fn try_to_write(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Writes a little to a file without a name. If that isn't possible, there is room.
#[cfg(target_os = "linux")]
fn try_to_write(folder: &Path) -> io::Result<()> {
    use std::io::Write;

    use rustix::fs::{CWD, Mode, OFlags};
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let mut file = std::fs::File::from(rustix::fs::openat(CWD, folder, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(&vec![0xa5; LITTLE])?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_is_room_nothing_is_said_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(full(&[("the cache", dir.path()), ("the workspace", dir.path())]), []);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert_eq!(full(&[("nowhere", &dir.path().join("none"))]), []);
    }
}
