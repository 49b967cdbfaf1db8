//! Decoded and resized samples, kept in a folder: a later visit reads them instead of decoding again.
//!
//! Knows a folder and the names of its files, not what the pixels show. A [`Name`] is a digest of everything that determines
//! the pixels, so a file under it has the right pixels or is damaged. Damaged, truncated and missing files are made again.
//! Nothing here fails a reader: if no more can be written, no more is kept, and [`Keep::trouble`] says why.
//!
//! Several processes may share the folder: a file is complete before it gets its name, and everyone writes the same bytes.
//! Files may vanish at any time.
//!
//! ```text
//! <folder>/ab/<62 hex>   pixels, row by row; then 64 bytes, all numbers little endian:
//!                        name (32 bytes), width, height, channels (u32 each), CRC-32 of all before it, MAGIC
//! ```
//!
//! The pixels come first, so that the buffer that was read becomes the picture: nothing is copied.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use rustix::fs::StatVfsMountFlags;

use crate::input_file::Hash;
use crate::raster::Raster;

/// The revision of the files' format; part of each name, too.
const MAGIC: &[u8; 16] = b"intrada sample 1";
/// What follows the pixels.
const END: usize = 32 + 4 * 4 + MAGIC.len();
/// What stays free on the disk for results: at least so many bytes, and this part of the disk.
const FREE: (u64, u64) = (1 << 30, 20);
/// The time of the last use is exact to this.
const USE: Duration = Duration::from_secs(24 * 3600);

/// A folder of kept samples. A clone is the same folder with the same counts.
#[derive(Clone)]
pub struct Keep(Arc<Shared>);

struct Shared {
    folder: PathBuf,
    staging: PathBuf,
    hash: Hash,
    /// Free space that is left to others.
    free: (u64, u64),
    read: AtomicU64,
    written: AtomicU64,
    damaged: AtomicU64,
    /// Number of the next file in `staging`.
    next: AtomicU64,
    trouble: OnceLock<String>,
}

/// What has become of the pictures so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Read as kept.
    pub read: u64,
    /// Written.
    pub written: u64,
    /// Found damaged, and made again.
    pub damaged: u64,
}

/// The name of a kept picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name([u8; 32]);

impl Keep {
    /// Samples in `folder`, which must exist. Files begin in `staging`, a folder of this process alone on the same file system; it
    /// is created when it is needed.
    pub fn new(folder: impl Into<PathBuf>, staging: impl Into<PathBuf>, hash: Hash) -> Keep {
        Keep::leaving(folder, staging, hash, FREE)
    }

    fn leaving(folder: impl Into<PathBuf>, staging: impl Into<PathBuf>, hash: Hash, free: (u64, u64)) -> Keep {
        Keep(Arc::new(Shared {
            folder: folder.into(),
            staging: staging.into(),
            hash,
            free,
            read: AtomicU64::default(),
            written: AtomicU64::default(),
            damaged: AtomicU64::default(),
            next: AtomicU64::default(),
            trouble: OnceLock::new(),
        }))
    }

    /// The name of the picture that this is the recipe of.
    pub(crate) fn name(&self, recipe: &[u8]) -> Name {
        Name((self.0.hash)(&[MAGIC, recipe].concat()))
    }

    /// What has become of the pictures so far.
    pub fn counts(&self) -> Counts {
        let [read, written, damaged] =
            [&self.0.read, &self.0.written, &self.0.damaged].map(|count| count.load(Ordering::Relaxed));
        Counts { read, written, damaged }
    }

    /// Why no more is kept, in a sentence; `None`: all is well. What is kept already is still read.
    pub fn trouble(&self) -> Option<&str> {
        self.0.trouble.get().map(String::as_str)
    }

    /// The picture of this name; if it isn't kept, or damaged, it is made and kept.
    ///
    /// # Errors
    /// Those of `make`.
    pub(crate) fn get_or<const C: usize, E>(
        &self,
        name: Name,
        make: impl FnOnce() -> Result<Raster<C>, E>,
    ) -> Result<Raster<C>, E> {
        if let Some(picture) = self.get(name) {
            return Ok(picture);
        }
        let picture = make()?;
        self.put(name, &picture);
        Ok(picture)
    }

    fn get<const C: usize>(&self, name: Name) -> Option<Raster<C>> {
        let found = match read(&self.path(name)) {
            Ok(bytes) => picture(bytes, name),
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(_) => None,
        };
        let count = if found.is_some() { &self.0.read } else { &self.0.damaged };
        count.fetch_add(1, Ordering::Relaxed);
        found
    }

    fn put<const C: usize>(&self, name: Name, picture: &Raster<C>) {
        if self.trouble().is_some() {
            return;
        }
        match self.write(name, picture) {
            Ok(()) => drop(self.0.written.fetch_add(1, Ordering::Relaxed)),
            Err(error) => {
                let place = self.0.folder.display();
                let elsewhere = "it is on another file system than the rest of the cache";
                let error = match error.kind() {
                    ErrorKind::CrossesDevices => io::Error::new(ErrorKind::CrossesDevices, elsewhere),
                    _ => error,
                };
                // The first of several threads.
                let _ = self.0.trouble.set(format!("no more samples are kept in {place}: {error}"));
            }
        }
    }

    fn write<const C: usize>(&self, name: Name, picture: &Raster<C>) -> io::Result<()> {
        let path = self.path(name);
        let size = (picture.bytes().len() + END) as u64;
        self.leave_room(size)?;
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let draft = self.0.staging.join(format!("{}-{number}", std::process::id()));
        let done = create(&draft).and_then(|mut file| {
            file.write_all(picture.bytes())?;
            file.write_all(&end_of(picture, name))?;
            drop(file);
            publish(&draft, &path)
        });
        if done.is_err() {
            let _ = fs::remove_file(&draft);
        }
        done
    }

    /// A full disk would fail the stage itself, at its next checkpoint.
    fn leave_room(&self, size: u64) -> io::Result<()> {
        let disk = rustix::fs::statvfs(&self.0.folder)?;
        if disk.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Err(ErrorKind::ReadOnlyFilesystem.into());
        }
        let (bytes, part) = self.0.free;
        let keep = bytes.max(disk.f_blocks.saturating_mul(disk.f_frsize).checked_div(part).unwrap_or_default());
        if disk.f_bavail.saturating_mul(disk.f_frsize) < size.saturating_add(keep) {
            return Err(io::Error::new(ErrorKind::StorageFull, "the rest of the disk is left to results"));
        }
        Ok(())
    }

    fn path(&self, name: Name) -> PathBuf {
        let hex: String = name.0.iter().map(|byte| format!("{byte:02x}")).collect();
        self.0.folder.join(&hex[..2]).join(&hex[2..])
    }
}

impl PartialEq for Keep {
    fn eq(&self, other: &Keep) -> bool {
        self.0.folder == other.0.folder
    }
}

impl Eq for Keep {}

impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keep({})", self.0.folder.display())
    }
}

/// All bytes of a regular file. Notes that it was used, for whoever deletes what isn't.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let found = path.symlink_metadata()?;
    if !found.is_file() {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut file = File::open(path)?;
    let now = SystemTime::now();
    if found.modified().is_ok_and(|used| now.duration_since(used).is_ok_and(|age| age > USE)) {
        // Another user's file stays as it is.
        let _ = file.set_modified(now);
    }
    // One byte more, so that the end is seen without another allocation.
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or_default() + 1);
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The picture in the bytes of a file; `None`: they are not what their name says.
fn picture<const C: usize>(mut bytes: Vec<u8>, name: Name) -> Option<Raster<C>> {
    let (pixels, end) = bytes.split_at_checked(bytes.len().checked_sub(END)?)?;
    let number = |at: usize| Some(u32::from_le_bytes(end.get(at..at + 4)?.try_into().ok()?) as usize);
    let (width, height, channels) = (number(32)?, number(36)?, number(40)?);
    let fits = width.checked_mul(height)?.checked_mul(channels)? == pixels.len();
    if !fits || pixels.is_empty() || channels != C || end[..32] != name.0 || end[48..] != *MAGIC {
        return None;
    }
    let pixels = pixels.len();
    if number(44)? as u32 != crc32fast::hash(&bytes[..pixels + 44]) {
        return None;
    }
    bytes.truncate(pixels);
    Some(Raster::new(width, height, bytes))
}

fn end_of<const C: usize>(picture: &Raster<C>, name: Name) -> Vec<u8> {
    let sides = [picture.width(), picture.height(), C].map(|number| number as u32);
    let mut end = name.0.to_vec();
    end.extend(sides.iter().flat_map(|number| number.to_le_bytes()));
    let mut sum = crc32fast::Hasher::new();
    sum.update(picture.bytes());
    sum.update(&end);
    end.extend(sum.finalize().to_le_bytes());
    end.extend(MAGIC);
    end
}

fn create(path: &Path) -> io::Result<File> {
    match File::create(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            File::create(path)
        }
        created => created,
    }
}

/// Not synced: what a crash of the machine leaves incomplete is found damaged.
fn publish(draft: &Path, path: &Path) -> io::Result<()> {
    match fs::rename(draft, path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Only the last folder: the others are gone if the cache was deleted meanwhile.
            match path.parent().map_or(Ok(()), fs::create_dir) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            fs::rename(draft, path)
        }
        renamed => renamed,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::raster::{Index, Rgb};

    /// Good enough to distinguish the recipes of tests.
    pub(crate) fn sum(bytes: &[u8]) -> [u8; 32] {
        let mut digest = [0u8; 32];
        for (place, byte) in bytes.iter().enumerate() {
            let slot = &mut digest[place % 32];
            *slot = slot.wrapping_mul(31).wrapping_add(*byte).wrapping_add(1);
        }
        digest[0] ^= bytes.len() as u8;
        digest
    }

    /// An empty folder of kept samples in `folder`, which takes any room there is.
    pub(crate) fn keep(folder: &Path) -> Keep {
        fs::create_dir_all(folder.join("samples")).unwrap();
        Keep::leaving(folder.join("samples"), folder.join("staging"), sum, (0, 0))
    }

    /// All files below the folder of kept samples.
    pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
        let below =
            |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
        below(&folder.join("samples")).iter().flat_map(|prefix| below(prefix)).collect()
    }

    fn rgb(seed: usize) -> Rgb {
        Rgb::new(5, 3, (0..45).map(|i| ((i + seed) * 37 % 251) as u8).collect())
    }

    fn never<const C: usize>() -> Result<Raster<C>, ()> {
        panic!("it is kept")
    }

    #[test]
    fn a_kept_picture_is_read_back_with_its_bytes_and_a_new_process_finds_it() {
        let folder = tempfile::tempdir().unwrap();
        let own = keep(folder.path());
        let (name, map) = (own.name(b"photograph"), Index::filled(4, 2, [7]));
        assert_eq!(own.get_or(name, || Ok::<_, ()>(rgb(1))), Ok(rgb(1)));
        assert_eq!(own.get_or(own.name(b"label"), || Ok::<_, ()>(map.clone())), Ok(map.clone()));
        assert_eq!(own.counts(), Counts { read: 0, written: 2, damaged: 0 });
        let other = keep(folder.path());
        assert_eq!(other.get_or(name, never), Ok(rgb(1)));
        assert_eq!(other.get_or(other.name(b"label"), never), Ok(map));
        assert_eq!(other.counts(), Counts { read: 2, written: 0, damaged: 0 });
        assert_eq!(fs::read_dir(folder.path().join("staging")).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_is_cut_or_changed_anywhere_or_another_picture_s_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let keep = keep(folder.path());
        let name = keep.name(b"a");
        keep.put(name, &rgb(1));
        let path = files(folder.path()).remove(0);
        let whole = fs::read(&path).unwrap();
        let mut found = 0;
        let mut check = |bytes: &[u8]| {
            found += 1;
            fs::write(&path, bytes).unwrap();
            assert_eq!(keep.get_or(name, || Ok::<_, ()>(rgb(1))), Ok(rgb(1)));
            assert_eq!(keep.counts().damaged, found, "{} bytes", bytes.len());
            assert_eq!(fs::read(&path).unwrap(), whole);
        };
        (0..whole.len()).for_each(|length| check(&whole[..length]));
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 4;
            check(&bytes);
        }
        check(&[&whole[..], b"x"].concat());
        keep.put(keep.name(b"b"), &rgb(2));
        let other = files(folder.path()).into_iter().find(|file| *file != path).unwrap();
        check(&fs::read(other).unwrap());
        // Of another number of channels.
        assert_eq!(keep.get::<1>(name), None);
    }

    #[test]
    fn what_can_t_be_written_is_made_and_said_once_and_what_is_kept_is_still_read() {
        let folder = tempfile::tempdir().unwrap();
        let full = |free| Keep::leaving(folder.path().join("samples"), folder.path().join("staging"), sum, free);
        let kept = keep(folder.path());
        kept.put(kept.name(b"a"), &rgb(1));
        for (keep, reason) in [
            (full((u64::MAX, 0)), "left to results"),
            (Keep::leaving(folder.path().join("samples"), "/proc/none", sum, (0, 0)), "/samples: "),
            (Keep::leaving(folder.path().join("gone"), folder.path().join("staging"), sum, (0, 0)), "/gone: "),
        ] {
            for seed in [2, 3] {
                assert_eq!(keep.get_or(keep.name(b"b"), || Ok::<_, ()>(rgb(seed))), Ok(rgb(seed)));
            }
            let trouble = keep.trouble().unwrap();
            assert!(trouble.starts_with("no more samples are kept in ") && trouble.contains(reason), "{trouble}");
            assert_eq!(keep.counts().written, 0);
        }
        let read_only = full((u64::MAX, 0));
        read_only.put(read_only.name(b"b"), &rgb(2));
        assert_eq!(read_only.get_or(read_only.name(b"a"), never), Ok(rgb(1)));
        assert_eq!(files(folder.path()).len(), 1);
    }

    #[test]
    fn anything_else_in_the_place_of_a_file_is_no_picture() {
        let folder = tempfile::tempdir().unwrap();
        let keep = keep(folder.path());
        let name = keep.name(b"a");
        fs::create_dir_all(keep.path(name)).unwrap();
        assert_eq!(keep.get_or(name, || Ok::<_, ()>(rgb(1))), Ok(rgb(1)));
        assert_eq!(keep.counts().damaged, 1);
        assert!(keep.trouble().is_some());
    }

    #[test]
    fn several_threads_and_processes_that_make_one_picture_leave_it_whole() {
        let folder = tempfile::tempdir().unwrap();
        let keeps = [keep(folder.path()), keep(folder.path())];
        std::thread::scope(|scope| {
            for (place, keep) in keeps.iter().enumerate() {
                // Each process has a staging folder of its own.
                let own = folder.path().join(format!("staging-{place}"));
                let own = Keep::leaving(keep.0.folder.clone(), own, sum, (0, 0));
                for _ in 0..2 {
                    let keep = own.clone();
                    scope.spawn(move || {
                        for round in 0..50 {
                            let name = keep.name(&[round]);
                            let made = || Ok::<_, ()>(rgb(round.into()));
                            assert_eq!(keep.get_or(name, made), Ok(rgb(round.into())));
                        }
                        assert_eq!(keep.counts().damaged, 0);
                    });
                }
            }
        });
        assert_eq!(files(folder.path()).len(), 50);
    }

    #[test]
    fn a_use_is_noted_once_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let keep = keep(folder.path());
        let name = keep.name(b"a");
        keep.put(name, &rgb(1));
        let path = files(folder.path()).remove(0);
        let age = || path.metadata().unwrap().modified().unwrap().elapsed().unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
        keep.get::<3>(name).unwrap();
        assert!(age() > Duration::from_secs(3000));
        file.set_modified(SystemTime::now() - USE * 2).unwrap();
        keep.get::<3>(name).unwrap();
        assert!(age() < Duration::from_secs(3000));
    }
}
