//! Metadata of a file (its stat), and when it may be trusted.
//!
//! Knows nothing of contents. A stat never proves that a file changed or didn't: it only decides whether reading the file
//! can be skipped. Any difference means "read again", never "changed"; equality counts only if the file was unmodified for
//! longer than a tick of the file system's clock, because two writes within one tick look the same.

use std::fs::{File, FileTimes, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::AtFlags;
use serde::{Deserialize, Serialize};

use super::answer::is_refusal;

/// Linux takes time stamps from the last timer tick, 10 ms at the coarsest setting; twice that to be safe.
const TICK_NS: i64 = 20_000_000;
/// FAT has a resolution of 2 s, HFS+ and ext3 of 1 s.
const COARSE_TICK_NS: i64 = 2_000_000_000;
/// A time that no file has.
const UNSURE_NS: i64 = i64::MIN;
const SECOND_NS: i64 = 1_000_000_000;

/// One file's identity and times. Times are nanoseconds since the Unix epoch.
///
/// The change time is included because a program can set the modification time to any value, but not the change time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// Device.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
    /// Bytes.
    pub size: u64,
    /// Last modification of the content.
    pub mtime_ns: i64,
    /// Last change of content or inode (mode, links, times).
    pub ctime_ns: i64,
    /// Type and permission bits, as in `st_mode`.
    pub mode: u32,
}

impl Stat {
    /// The stat of the target of `path`, following symbolic links.
    ///
    /// # Errors
    /// Errors of the file system; `NotFound` also for a dangling link.
    pub fn of(path: &Path) -> io::Result<Stat> {
        path.metadata().map(|metadata| Stat::from(&metadata))
    }

    /// The stat of `path` itself, even if it is a symbolic link.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn of_itself(path: &Path) -> io::Result<Stat> {
        path.symlink_metadata().map(|metadata| Stat::from(&metadata))
    }

    /// That of the target of a path below an open folder: a shorter way for the kernel than from the root of the file system.
    ///
    /// # Errors
    /// Those of [`Stat::of`].
    pub fn below(folder: impl AsFd, path: &Path) -> io::Result<Stat> {
        let found = rustix::fs::statat(folder, path, AtFlags::empty())?;
        Ok(Stat {
            dev: found.st_dev as _,
            ino: found.st_ino as _,
            size: found.st_size as _,
            mtime_ns: in_ns(found.st_mtime as _, found.st_mtime_nsec as _),
            ctime_ns: in_ns(found.st_ctime as _, found.st_ctime_nsec as _),
            mode: found.st_mode as _,
        })
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }

    /// Whether it is a directory.
    pub fn is_folder(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    /// Whether it is a symbolic link.
    pub fn is_link(&self) -> bool {
        self.mode & 0o170_000 == 0o120_000
    }

    /// Whether its owner may execute it.
    pub fn is_executable(&self) -> bool {
        self.mode & 0o100 != 0
    }

    /// Whether its content was last modified within a tick of this moment, with no other change since.
    pub fn is_of(&self, moment: SystemTime) -> bool {
        let moment = moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64);
        let is_near = |time: i64| time.abs_diff(moment) <= self.tick_ns() as u64;
        is_near(self.mtime_ns) && is_near(self.ctime_ns)
    }

    /// Whether only the change time differs, as after a rename or when a link is made or removed.
    pub fn is_same_but_for_ctime(&self, other: &Stat) -> bool {
        Stat { ctime_ns: other.ctime_ns, ..*self } == *other
    }

    /// Whether the file was unmodified for longer than one clock tick at `taken_at_ns`.
    ///
    /// If not, a later write could leave the same stat, so the content must be read again (git calls such an entry racily
    /// clean).
    pub fn is_settled(&self, taken_at_ns: i64) -> bool {
        self.mtime_ns.max(self.ctime_ns).saturating_add(self.tick_ns()) < taken_at_ns
    }

    /// Like [`Stat::is_settled`], by the modification time alone.
    ///
    /// Enough for files that the store placed: renaming and linking change their change time, and [`set_back`] ensured that
    /// any write changes their modification time.
    pub fn is_content_settled(&self, taken_at_ns: i64) -> bool {
        self.mtime_ns.saturating_add(self.tick_ns()) < taken_at_ns
    }

    /// A change time in whole seconds comes from a file system with a coarse clock, or by a chance of one in a thousand
    /// million, which costs no more than one extra read.
    fn tick_ns(&self) -> i64 {
        if self.ctime_ns % SECOND_NS == 0 { COARSE_TICK_NS } else { TICK_NS }
    }
}

impl From<&Metadata> for Stat {
    fn from(metadata: &Metadata) -> Stat {
        Stat {
            dev: metadata.dev(),
            ino: metadata.ino(),
            size: metadata.size(),
            mtime_ns: in_ns(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns: in_ns(metadata.ctime(), metadata.ctime_nsec()),
            mode: metadata.mode(),
        }
    }
}

fn in_ns(seconds: i64, ns: i64) -> i64 {
    seconds.saturating_mul(SECOND_NS).saturating_add(ns)
}

/// How long to wait until a further write to a file with this stat certainly shows in its stat.
pub fn tick(stat: &Stat) -> Duration {
    Duration::from_nanos(stat.tick_ns() as u64)
}

/// The current time in the unit of [`Stat`]'s times.
pub fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}

/// Moves a recent modification time back by one tick, so that any later write moves it forward again and can be detected.
///
/// Call it before the content is hashed, not after: a write in between must not be hidden. An older modification time stays
/// as it is. Returns the resulting stat.
///
/// # Errors
/// Errors of opening the file or setting its time, for instance if it belongs to somebody else.
pub fn set_back(path: &Path) -> io::Result<Stat> {
    let stat = Stat::of_itself(path)?;
    if stat.is_content_settled(now_ns()) || stat.is_link() {
        return Ok(stat);
    }
    set_back_open(&File::open(path)?)
}

/// The same of an open file.
fn set_back_open(file: &File) -> io::Result<Stat> {
    let stat = Stat::from(&file.metadata()?);
    let now = now_ns();
    if stat.is_content_settled(now) {
        return Ok(stat);
    }
    let back = now.min(stat.mtime_ns) - stat.tick_ns() - 1;
    file.set_times(FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_nanos(back.max(0) as u64)))?;
    Ok(Stat::from(&file.metadata()?))
}

/// Moves a recent modification time back if the file system supports that, and returns whether the stat may be trusted. If
/// not, it is one that the file doesn't have, so that its content is read again.
///
/// # Errors
/// Those of [`set_back`] that are not refusals.
pub(super) fn set_back_where_possible(path: &Path) -> io::Result<Stat> {
    match set_back(path) {
        Err(error) if is_refusal(&error) => Stat::of_itself(path),
        stat => stat,
    }
    .map(surely)
}

/// The same of an open file. Also returns its stat as it is.
///
/// # Errors
/// Those of [`set_back`] that are not refusals.
pub(super) fn set_back_open_where_possible(file: &File) -> io::Result<(Stat, Stat)> {
    let stat = match set_back_open(file) {
        Err(error) if is_refusal(&error) => Stat::from(&file.metadata()?),
        stat => stat?,
    };
    Ok((surely(stat), stat))
}

/// A stat after its time was set back, or one that no file has: some file systems report success without setting it.
fn surely(stat: Stat) -> Stat {
    let is_sure = stat.is_content_settled(now_ns()) || stat.is_link();
    if is_sure { stat } else { Stat { mtime_ns: UNSURE_NS, ..stat } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_stat_on_whichever_way_it_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name);
        std::fs::create_dir(place("inner")).unwrap();
        std::fs::write(place("inner/file"), "one").unwrap();
        std::os::unix::fs::symlink("inner/file", place("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", place("dead")).unwrap();
        let folder = File::open(dir.path()).unwrap();
        for name in ["inner", "inner/file", "link"] {
            assert_eq!(Stat::below(&folder, Path::new(name)).unwrap(), Stat::of(&place(name)).unwrap(), "{name}");
        }
        let error = |name: &str| Stat::below(&folder, Path::new(name)).unwrap_err().kind();
        assert_eq!(["dead", "inner/none"].map(error), [io::ErrorKind::NotFound; 2]);
        assert_eq!(error("link/in"), io::ErrorKind::NotADirectory);
    }

    #[test]
    fn a_stat_taken_within_a_tick_of_the_last_write_is_not_settled() {
        let stat = Stat { dev: 1, ino: 2, size: 3, mtime_ns: 5 * SECOND_NS + 7, ctime_ns: 5 * SECOND_NS + 9, mode: 0 };
        assert!(!stat.is_settled(stat.ctime_ns + TICK_NS));
        assert!(stat.is_settled(stat.ctime_ns + TICK_NS + 1));
        let forged = Stat { mtime_ns: 0, ..stat };
        assert!(!forged.is_settled(stat.ctime_ns + TICK_NS));
    }

    #[test]
    fn a_coarse_clock_is_given_two_seconds() {
        let stat = Stat { dev: 1, ino: 2, size: 3, mtime_ns: 0, ctime_ns: 5 * SECOND_NS, mode: 0 };
        assert!(!stat.is_settled(stat.ctime_ns + TICK_NS + 1));
        assert!(stat.is_settled(stat.ctime_ns + COARSE_TICK_NS + 1));
    }

    #[test]
    fn a_write_right_after_set_back_shows_in_the_modification_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for _ in 0..20 {
            std::fs::write(&path, "one").unwrap();
            let before = set_back(&path).unwrap();
            std::fs::write(&path, "two").unwrap();
            let after = Stat::of(&path).unwrap();
            assert_ne!(before.mtime_ns, after.mtime_ns);
            assert!(before.is_content_settled(now_ns()));
        }
    }
}
