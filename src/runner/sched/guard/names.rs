//! Whether names were added, removed or replaced in a folder during some time, as the system reports it.
//!
//! Knows no stage. A file that was renamed away and back leaves the same trace as one whose mode was changed: another
//! change time. Only notifications of changes can tell them apart. Linux provides them (inotify); other systems don't.

use std::collections::BTreeSet;
use std::path::PathBuf;

/// Listens for changes of these names.
pub struct Names {
    #[cfg(target_os = "linux")]
    line: std::os::fd::OwnedFd,
    #[cfg(target_os = "linux")]
    watched: Vec<(i32, PathBuf)>,
    paths: BTreeSet<PathBuf>,
}

impl Names {
    /// Listens from now on. `None`: not supported.
    #[cfg(target_os = "linux")]
    pub fn of(paths: BTreeSet<PathBuf>) -> Option<Names> {
        use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
        let line = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok()?;
        let of_interest = WatchFlags::MOVED_FROM | WatchFlags::MOVED_TO | WatchFlags::CREATE | WatchFlags::DELETE;
        let folders: BTreeSet<PathBuf> = paths.iter().filter_map(|path| Some(path.parent()?.to_owned())).collect();
        let watch = |folder: PathBuf| Some((inotify::add_watch(&line, &folder, of_interest).ok()?, folder));
        let watched = folders.into_iter().map(watch).collect::<Option<Vec<_>>>()?;
        Some(Names { line, watched, paths })
    }

    /// Listens from now on. `None`: not supported.
    #[cfg(not(target_os = "linux"))]
    pub fn of(_: BTreeSet<PathBuf>) -> Option<Names> {
        None
    }

    /// Whether it listens for all of these names, and none of them has changed since.
    pub fn stayed(&self, paths: &BTreeSet<PathBuf>) -> bool {
        paths.is_subset(&self.paths) && !self.has_news()
    }

    #[cfg(target_os = "linux")]
    fn has_news(&self) -> bool {
        use std::ffi::OsStr;
        use std::mem::MaybeUninit;
        use std::os::unix::ffi::OsStrExt;

        use rustix::fs::inotify::{ReadFlags, Reader};

        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.line, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    // It may have lost events, or the folder itself was replaced.
                    if event.events().intersects(ReadFlags::QUEUE_OVERFLOW | ReadFlags::IGNORED) {
                        return true;
                    }
                    let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()).to_owned());
                    let folders = self.watched.iter().filter(|(watch, _)| *watch == event.wd());
                    let mut paths = folders.filter_map(|(_, folder)| Some(folder.join(name.as_ref()?)));
                    if paths.any(|path| self.paths.contains(&path)) {
                        return true;
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return false,
                Err(_) => return true,
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn has_news(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    use {super::*, std::fs, std::os::unix::fs::PermissionsExt};

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_was_renamed_away_and_back_is_told_from_one_whose_mode_was_set() {
        let dir = tempfile::tempdir().unwrap();
        let [file, other] = ["file", "other"].map(|name| dir.path().join(name));
        fs::write(&file, "a").unwrap();
        let paths = BTreeSet::from([file.clone()]);
        let names = Names::of(paths.clone()).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(dir.path().join("beside"), "b").unwrap();
        assert!(names.stayed(&paths));
        assert!(!names.stayed(&BTreeSet::from([other.clone()])), "it doesn't listen for that one");
        fs::rename(&file, &other).unwrap();
        fs::rename(&other, &file).unwrap();
        assert!(!names.stayed(&paths));
    }
}
