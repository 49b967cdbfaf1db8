//! Renewed locks on a real file system, and the processes of this machine.
//!
//! Relied on: a folder is renamed to an empty or missing one in one step, and not to one with entries; a file is renamed in one
//! step; an entry that is opened is looked up, and read as it was when somebody last closed it, except for what half an expiry
//! covers. Not relied on: links, what a listing shows, times of files.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, test_kill_process};

use super::super::kernel::Mode;
use super::super::publish::{host, owner};
use super::files::Files;
use super::name::{Entry, Name, SHARED};
use crate::digest::Digest;

/// How long a holder may be silent. Network file systems may show what is a minute old (`acregmax` of nfs(5)), and half of this
/// has to be longer.
const EXPIRY: Duration = Duration::from_secs(150);

/// Replaces [`EXPIRY`] in tests: seconds.
const EXPIRY_VARIABLE: &str = "INTRADA_LOCK_EXPIRY";

/// More than an entry's text.
const LONGEST: u64 = 8192;

/// How NFS clients name what was removed while somebody had it open.
const NFS: &str = ".nfs";

/// A real file system.
#[derive(Clone, Debug)]
pub(in crate::store) struct Disk {
    /// Where folders are made before they are renamed to a lock: on the same file system.
    nursery: PathBuf,
}

impl Disk {
    /// To take locks. `nursery`: a folder on their file system.
    pub(in crate::store) fn new(nursery: PathBuf) -> Disk {
        Disk { nursery }
    }

    /// To look at locks and remove entries.
    pub(super) fn looking() -> Disk {
        Disk { nursery: PathBuf::new() }
    }

    /// Whether something is in a lock's folder that belongs to no lock.
    pub(super) fn has_others(&self, lock: &Path) -> io::Result<bool> {
        let is_own = |name: &str| name == SHARED || name.starts_with(NFS) || Name::of(name).is_some();
        for found in fs::read_dir(lock).into_iter().flatten() {
            if !found?.file_name().to_str().is_some_and(is_own) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the process of that name is, or was, one of this machine.
    pub(super) fn is_here(&self, name: &Name) -> bool {
        name.machine != 0 && name.machine == THIS.machine
    }
}

/// This process, as it is named in its entries.
struct This {
    machine: u64,
    start: u64,
    expiry: Duration,
}

static THIS: LazyLock<This> = LazyLock::new(|| This {
    machine: machine().unwrap_or(0),
    start: stat_of(std::process::id()).map_or(0, |stat| stat.start),
    expiry: std::env::var(EXPIRY_VARIABLE)
        .ok()
        .and_then(|text| text.parse().ok())
        .map_or(EXPIRY, |seconds: f64| Duration::from_secs_f64(seconds.clamp(0.1, 86400.0))),
});

/// The running system and its process numbers. A name of the machine isn't enough: containers of one name have numbers of their
/// own.
fn machine() -> Option<u64> {
    #[cfg(test)]
    if let Ok(text) = std::env::var("INTRADA_LOCK_MACHINE") {
        return text.parse().ok();
    }
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let numbers = fs::read_link("/proc/self/ns/pid").ok()?;
    let text = format!("{}\n{}\n{}", boot.trim(), numbers.display(), host());
    u64::from_str_radix(&Digest::of(text.as_bytes()).to_string()[..16], 16).ok()
}

/// The name of the machine of an entry's process, as far as it is known.
pub(super) fn host_of(name: &Name) -> String {
    if name.machine != 0 && name.machine == THIS.machine { host() } else { String::new() }
}

struct ProcessStat {
    state: char,
    threads: u64,
    start: u64,
}

/// What the kernel says of a process.
fn stat_of(pid: u32) -> Option<ProcessStat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before may contain anything.
    let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse().ok();
    Some(ProcessStat { state: fields.first()?.chars().next()?, threads: number(17)?, start: number(19)? })
}

impl Files for Disk {
    fn begin(&self, lock: &Path, entry: &Entry, text: &[u8]) -> io::Result<bool> {
        let new = self.nursery.join(format!("{}lock-{}", owner(), entry.name.text()));
        let made = make(&new, entry, text).and_then(|()| fs::rename(&new, lock));
        let Err(error) = made else { return Ok(true) };
        // A network's answer may have been lost, and the question repeated.
        if self.is_at(lock, entry) {
            return Ok(true);
        }
        let _ = fs::remove_dir_all(&new);
        match error.kind() {
            ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty => Ok(false),
            _ => Err(error),
        }
    }

    fn join(&self, lock: &Path, entry: &Entry, text: &[u8]) -> io::Result<bool> {
        let file = OpenOptions::new().write(true).create_new(true).open(lock.join(entry.path()));
        match file {
            Ok(mut file) => {
                // Its name is what counts.
                let _ = file.write_all(text);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn rename(&self, lock: &Path, from: &Entry, to: &Entry) -> io::Result<bool> {
        match fs::rename(lock.join(from.path()), lock.join(to.path())) {
            Ok(()) => Ok(true),
            // As above.
            Err(error) if is_absent(&error) => Ok(self.is_at(lock, to)),
            Err(error) => Err(error),
        }
    }

    fn rewrite(&self, lock: &Path, entry: &Entry, text: &[u8]) -> io::Result<bool> {
        let mut file = match OpenOptions::new().write(true).open(lock.join(entry.path())) {
            Err(error) if is_absent(&error) => return Ok(false),
            file => file?,
        };
        file.write_all(text)?;
        // What the previous holder wrote may be longer.
        file.set_len(text.len() as u64)?;
        file.sync_data()?;
        Ok(true)
    }

    fn read(&self, lock: &Path, entry: &Entry) -> io::Result<Option<Vec<u8>>> {
        // Opened anew each time: then a network file system asks its server.
        let file = match File::open(lock.join(entry.path())) {
            Err(error) if is_absent(&error) => return Ok(None),
            file => file?,
        };
        let mut text = Vec::new();
        match file.take(LONGEST).read_to_end(&mut text) {
            Err(error) if is_absent(&error) => Ok(None),
            read => read.map(|_| Some(text)),
        }
    }

    fn entries(&self, lock: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for (folder, mode) in [(lock.to_owned(), Mode::Alone), (lock.join(SHARED), Mode::Shared)] {
            let found = match fs::read_dir(&folder) {
                Err(error) if is_absent(&error) => continue,
                found => found?,
            };
            for found in found {
                let name = match found {
                    Err(error) if is_absent(&error) => break,
                    found => found?.file_name(),
                };
                entries.extend(name.to_str().and_then(Name::of).map(|name| Entry { mode, name }));
            }
        }
        Ok(entries)
    }

    fn remove(&self, lock: &Path, entry: &Entry) -> io::Result<()> {
        match fs::remove_file(lock.join(entry.path())) {
            Err(error) if !is_absent(&error) => Err(error),
            _ => Ok(()),
        }
    }

    fn prune(&self, lock: &Path) -> io::Result<()> {
        let shared = lock.join(SHARED);
        if remove_if_empty(&shared)? && remove_if_empty(lock)? {
            return Ok(());
        }
        for folder in [&*shared, lock] {
            for found in fs::read_dir(folder).into_iter().flatten().flatten() {
                if found.file_name().to_string_lossy().starts_with(NFS) {
                    let _ = fs::remove_file(found.path());
                }
            }
        }
        Ok(())
    }

    fn has_ended(&self, name: &Name) -> bool {
        if !self.is_here(name) {
            return false;
        }
        let pid = i32::try_from(name.pid).ok().and_then(Pid::from_raw);
        let is_unknown = pid.is_some_and(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH));
        let is_another = |stat: &ProcessStat| name.start != 0 && stat.start != name.start;
        // A zombie has closed its files, unless some of its threads are still ending.
        let has_closed = |stat: &ProcessStat| matches!(stat.state, 'Z' | 'X') && stat.threads <= 1;
        is_unknown || stat_of(name.pid).is_some_and(|stat| is_another(&stat) || has_closed(&stat))
    }

    fn fresh(&self) -> Name {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u64(NUMBER.fetch_add(1, Ordering::Relaxed));
        let This { machine, start, expiry } = *THIS;
        Name { expiry, machine, pid: std::process::id(), start, number: hasher.finish() }
    }

    fn awake(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }

    #[cfg(target_os = "linux")]
    fn elapsed(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    }

    #[cfg(not(target_os = "linux"))]
    fn elapsed(&self) -> Duration {
        self.awake()
    }
}

impl Disk {
    fn is_at(&self, lock: &Path, entry: &Entry) -> bool {
        lock.join(entry.path()).symlink_metadata().is_ok()
    }
}

/// Makes a folder with one entry.
fn make(folder: &Path, entry: &Entry, text: &[u8]) -> io::Result<()> {
    fs::create_dir(folder)?;
    if entry.mode == Mode::Shared {
        fs::create_dir(folder.join(SHARED))?;
    }
    fs::write(folder.join(entry.path()), text)
}

/// Whether the folder is gone now.
fn remove_if_empty(folder: &Path) -> io::Result<bool> {
    match fs::remove_dir(folder) {
        Ok(()) => Ok(true),
        Err(error) if is_absent(&error) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether an error says that there is no such file, or that it was there a moment ago.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::StaleNetworkFileHandle | ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn only_a_process_of_this_machine_is_known_to_have_ended() {
        let disk = Disk::looking();
        let own = disk.fresh();
        assert!(!disk.has_ended(&own) && disk.is_here(&own));
        // No process has this number.
        let gone = Name { pid: i32::MAX as u32, ..own.clone() };
        assert!(disk.has_ended(&gone));
        let earlier = Name { start: own.start + 1, ..own.clone() };
        assert!(disk.has_ended(&earlier), "its number is used again");
        assert!(!disk.has_ended(&Name { machine: own.machine ^ 1, ..gone.clone() }));
        assert!(!disk.has_ended(&Name { machine: 0, ..gone }));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_zombie_has_ended() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let disk = Disk::looking();
        let name = Name { pid: child.id(), start: 0, ..disk.fresh() };
        while !disk.has_ended(&name) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }

    #[test]
    fn a_lock_is_begun_only_where_nobody_has_an_entry_and_leaves_nothing_when_it_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, lock) = (Disk::new(dir.path().to_owned()), dir.path().join("lock"));
        let entry = |mode| Entry { mode, name: disk.fresh() };
        let (first, second) = (entry(Mode::Alone), entry(Mode::Shared));
        assert!(!disk.join(&lock, &second, b"").unwrap());
        assert!(disk.begin(&lock, &first, b"one").unwrap());
        assert!(!disk.begin(&lock, &second, b"two").unwrap() && !disk.join(&lock, &second, b"two").unwrap());
        assert_eq!(disk.entries(&lock).unwrap(), std::slice::from_ref(&first));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        disk.remove(&lock, &first).unwrap();
        assert!(disk.begin(&lock, &second, b"two").unwrap(), "an empty folder is nobody's");
        let third = entry(Mode::Shared);
        assert!(disk.join(&lock, &third, b"three").unwrap() && !disk.begin(&lock, &first, b"").unwrap());
        disk.remove(&lock, &second).unwrap();
        disk.prune(&lock).unwrap();
        assert_eq!(disk.read(&lock, &third).unwrap().as_deref(), Some(&b"three"[..]));
        disk.remove(&lock, &third).unwrap();
        disk.prune(&lock).unwrap();
        assert!(!lock.exists());
    }

    #[test]
    fn an_entry_that_another_has_renamed_can_be_neither_renamed_nor_written() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, lock) = (Disk::new(dir.path().to_owned()), dir.path().join("lock"));
        let entry = || Entry { mode: Mode::Alone, name: disk.fresh() };
        let (first, second) = (entry(), entry());
        assert!(disk.begin(&lock, &first, b"one, which is longer").unwrap());
        assert!(disk.rename(&lock, &first, &second).unwrap());
        assert!(!disk.rename(&lock, &first, &entry()).unwrap() && !disk.rewrite(&lock, &first, b"").unwrap());
        assert!(disk.rewrite(&lock, &second, b"two").unwrap());
        assert_eq!(disk.read(&lock, &second).unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(disk.read(&lock, &first).unwrap(), None);
    }
}
