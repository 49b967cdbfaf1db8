//! Copies of a job's inputs on a disk of the node, so that the shared file system is asked for each file once.
//!
//! Knows the paths in a job, and nothing of what the files mean. A copy is named by its content, and is read again before a later
//! job uses it: it is what its name says, or it isn't used. Copies stay for later jobs on this node. What can't be copied is read
//! where it is, so that no job fails because of this.
//!
//! ```text
//! <scratch>/intrada-<uid>/ab/<62 hex>   contents, by their digest
//!                         paths/<hex>   the digest of what a path of the cache holds, by the digest of the path
//!                         users         locked by each job that uses copies, so that another deletes none
//! ```

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use super::super::job::{Dataset, Event, Input, Job};
use crate::digest::{Digest, Pieces};
use crate::measures::{plural, size};
use crate::plain;

/// How many files are copied at once: a file on a shared file system costs waiting, not work.
const AT_ONCE: usize = 8;
/// What stays free on the node's disk: at least so many bytes, and this part of the disk.
const FREE: (u64, u64) = (1 << 30, 20);

/// This user's folder on a disk of the node. No copy is deleted while this exists.
pub(super) struct Scratch {
    folder: PathBuf,
    users: File,
}

/// A file that a job reads.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    path: PathBuf,
    /// `None`: the path is one of the cache, where a name never gets another content.
    content: Option<Digest>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Copies {
    folder: PathBuf,
    /// The copy of each original. Two originals of one content have one copy.
    copies: HashMap<PathBuf, PathBuf>,
    copied: usize,
    copied_bytes: u64,
    /// Files that are read where they are.
    left: usize,
    /// Why the first of them is.
    why: Option<String>,
}

impl Scratch {
    /// Opens the folder in `place`, which may name environment variables of the node.
    ///
    /// # Errors
    /// Why it can't be used, in words.
    pub(super) fn open(place: &str) -> Result<Scratch, String> {
        let place = expand(place, |name| std::env::var(name).ok())?;
        let folder = place.join(format!("intrada-{}", rustix::process::getuid().as_raw()));
        let unusable = |error: io::Error| format!("{}: {error}", folder.display());
        if plain::private_folder(&folder).map_err(unusable)?.mode() & 0o022 != 0 {
            return Err(format!("{} can be changed by others", folder.display()));
        }
        fs::create_dir_all(folder.join("paths")).map_err(unusable)?;
        let users = OpenOptions::new().write(true).create(true).truncate(false).open(folder.join("users"));
        Ok(Scratch { folder: folder.clone(), users: users.map_err(unusable)? })
    }

    /// Copies the job's inputs, and has the job read the copies. Ends early, with fewer copies, once `is_stopping`.
    pub(super) fn bring(&self, job: &mut Job, is_stopping: impl Fn() -> bool + Sync) -> Copies {
        let wanted = wanted(job);
        let copies = match self.make_room(&wanted) {
            Ok(()) => self.copy(wanted, is_stopping),
            Err(error) => Copies { left: wanted.len(), why: Some(error.to_string()), ..Copies::default() },
        };
        visit(job, |path, _| {
            if let Some(copy) = copies.copies.get(path) {
                path.clone_from(copy);
            }
        });
        copies
    }

    /// Deletes the oldest copies of earlier jobs if the disk is too full for those that are missing. Then, and for as long as
    /// this exists, no other job deletes any.
    fn make_room(&self, wanted: &[Wanted]) -> io::Result<()> {
        // Only a job that is alone may delete.
        if self.users.try_lock().is_ok() {
            let place = |wanted: &Wanted| self.content(wanted).map(|content| self.place(content));
            let (there, absent): (Vec<_>, Vec<_>) =
                wanted.iter().partition(|wanted| place(wanted).is_some_and(|copy| copy.exists()));
            let sizes = absent.iter().map(|wanted| fs::metadata(&wanted.path).map_or(0, |found| found.len()));
            let mut missing = sizes.sum::<u64>().saturating_sub(self.room()?);
            let mut copies = if missing > 0 { self.copies()? } else { Vec::new() };
            copies.sort_unstable();
            let own: HashSet<PathBuf> = there.into_iter().filter_map(place).collect();
            for (_, size, path) in copies.into_iter().filter(|(_, _, path)| !own.contains(path)) {
                if missing == 0 {
                    break;
                }
                fs::remove_file(path)?;
                missing = missing.saturating_sub(size);
            }
        }
        self.users.lock_shared()
    }

    /// All copies: when it was used last, its size, its path.
    fn copies(&self) -> io::Result<Vec<(SystemTime, u64, PathBuf)>> {
        let mut copies = Vec::new();
        for folder in fs::read_dir(&self.folder)? {
            let folder = folder?;
            if folder.file_name() == "paths" || !folder.file_type()?.is_dir() {
                continue;
            }
            for copy in fs::read_dir(folder.path())? {
                let copy = copy?;
                let found = copy.metadata()?;
                copies.push((found.modified()?, found.len(), copy.path()));
            }
        }
        Ok(copies)
    }

    /// Bytes that may still be written.
    fn room(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.folder)?;
        let keep = FREE.0.max(disk.f_blocks.saturating_mul(disk.f_frsize) / FREE.1);
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize).saturating_sub(keep))
    }

    fn copy(&self, wanted: Vec<Wanted>, is_stopping: impl Fn() -> bool + Sync) -> Copies {
        let copies = Mutex::new(Copies { folder: self.folder.clone(), ..Copies::default() });
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(wanted) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                let copied = if is_stopping() { Err(ErrorKind::Interrupted.into()) } else { self.copy_of(wanted) };
                let mut copies = copies.lock().expect("no code panics while it holds this lock");
                match copied {
                    Ok((copy, new)) => {
                        copies.copied += usize::from(new.is_some());
                        copies.copied_bytes += new.unwrap_or_default();
                        copies.copies.insert(wanted.path.clone(), copy);
                    }
                    Err(error) => {
                        copies.left += 1;
                        copies.why.get_or_insert_with(|| format!("{}: {error}", wanted.path.display()));
                    }
                }
            }
        };
        std::thread::scope(|scope| (0..AT_ONCE.min(wanted.len())).for_each(|_| drop(scope.spawn(work))));
        copies.into_inner().expect("no code panics while it holds this lock")
    }

    /// The path of a copy, and the bytes that were copied if it is new.
    fn copy_of(&self, wanted: &Wanted) -> io::Result<(PathBuf, Option<u64>)> {
        if let Some(content) = self.content(wanted) {
            let copy = self.place(content);
            if Digest::of_file(&copy).is_ok_and(|(found, _)| found == content) {
                // How old a copy is decides which one is deleted first; one that looks older than it is does no harm.
                let _ = File::options().append(true).open(&copy).and_then(|file| file.set_modified(SystemTime::now()));
                return Ok((copy, None));
            }
        }
        let (content, size) = self.fetch(wanted)?;
        if wanted.content.is_none() {
            plain::replace(&self.note(wanted), content.to_string().as_bytes())?;
        }
        Ok((self.place(content), Some(size)))
    }

    /// What a file holds, if that is known without reading it.
    fn content(&self, wanted: &Wanted) -> Option<Digest> {
        wanted.content.or_else(|| plain::read_to_string(&self.note(wanted)).ok()?.parse().ok())
    }

    /// The file that tells what a path of the cache holds.
    fn note(&self, wanted: &Wanted) -> PathBuf {
        self.folder.join("paths").join(Digest::of(wanted.path.as_os_str().as_bytes()).to_string())
    }

    /// Copies a file, and checks what it holds.
    fn fetch(&self, wanted: &Wanted) -> io::Result<(Digest, u64)> {
        let mut from = plain::open(&wanted.path)?;
        if from.metadata()?.len() > self.room()? {
            return Err(io::Error::new(ErrorKind::StorageFull, "there is too little room on the node's disk"));
        }
        let mut to = tempfile::NamedTempFile::new_in(&self.folder)?;
        let mut hashed = Hashed { to: to.as_file_mut(), pieces: Pieces::default() };
        let size = io::copy(&mut from, &mut hashed)?;
        let content = hashed.pieces.digest();
        if wanted.content.is_some_and(|wanted| wanted != content) {
            // The job reads it where it is, and reports this.
            return Err(io::Error::other("it was changed since the stage's key was made"));
        }
        let place = self.place(content);
        fs::create_dir_all(place.parent().expect("a copy is in a folder"))?;
        to.persist(place).map_err(|error| error.error)?;
        Ok((content, size))
    }

    fn place(&self, content: Digest) -> PathBuf {
        let name = content.to_string();
        self.folder.join(&name[..2]).join(&name[2..])
    }
}

/// Writes, and hashes what it writes.
struct Hashed<'f> {
    to: &'f mut File,
    pieces: Pieces,
}

impl Write for Hashed<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.to.write(buffer)?;
        self.pieces.add(&buffer[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Copies {
    /// What a job's log says of it.
    pub(super) fn words(&self) -> String {
        let reused = self.copies.len() - self.copied;
        let (copied, bytes, folder) = (plural(self.copied, "file"), size(self.copied_bytes), self.folder.display());
        let mut words = format!("{copied} ({bytes}) copied to {folder}, {reused} found there");
        if let Some(why) = &self.why {
            words += &format!("; {} read on the shared file system: {why}", plural(self.left, "file"));
        }
        words
    }

    /// The event, with the paths of the originals instead of those of copies: a person looks for these.
    pub(super) fn name_originals(&self, event: Event) -> Event {
        match event {
            Event::Failed { message, help } => {
                let help = help.iter().map(|line| self.with_originals(line)).collect();
                Event::Failed { message: self.with_originals(&message), help }
            }
            Event::Finished { notes } => {
                let named = notes.into_iter().map(|(name, text)| (name, self.with_originals(&text)));
                Event::Finished { notes: named.collect() }
            }
            other => other,
        }
    }

    fn with_originals(&self, text: &str) -> String {
        /// `/ab/` and 62 digits.
        const NAME: usize = 1 + 2 + 1 + 62;
        let Some(folder) = self.folder.to_str().filter(|folder| !folder.is_empty()) else { return text.to_owned() };
        let (mut named, mut rest) = (String::new(), text);
        while let Some(start) = rest.find(folder) {
            let end = start + folder.len() + NAME;
            let original = rest.get(start..end).and_then(|copy| self.original(Path::new(copy)));
            let (words, taken) = match original {
                Some(original) => (original.display().to_string(), end),
                None => (folder.to_owned(), start + folder.len()),
            };
            named += &rest[..start];
            named += &words;
            rest = &rest[taken..];
        }
        named + rest
    }

    fn original(&self, copy: &Path) -> Option<&Path> {
        let originals = self.copies.iter().filter(|(_, place)| *place == copy);
        originals.map(|(original, _)| &**original).min()
    }
}

/// The files that the job will read, each once: without what is known of a data set already, and other jobs' parts of it.
fn wanted(job: &mut Job) -> Vec<Wanted> {
    let mut wanted = HashMap::new();
    visit(job, |path, content| {
        wanted.entry(path.clone()).or_insert(content);
    });
    wanted.into_iter().map(|(path, content)| Wanted { path, content }).collect()
}

/// Calls `see` for the path of each file that the job will read, and its content if the job names it.
fn visit(job: &mut Job, mut see: impl FnMut(&mut PathBuf, Option<Digest>)) {
    let items = job.items.as_ref();
    let mut unknown = 0;
    for dataset in job.datasets.values_mut() {
        let Dataset::Files { samples, .. } = dataset else { continue };
        for sample in samples {
            if let Some(items) = items {
                let known = items.item(&sample.name).and_then(|item| items.known.get(&item));
                if known.is_some_and(|known| !known.fresh) {
                    continue;
                }
                unknown += 1;
                if known.is_some() || items.part.is_some_and(|part| !part.has(unknown - 1)) {
                    continue;
                }
            }
            for source in [Some(&mut sample.image), sample.label.as_mut()].into_iter().flatten() {
                see(&mut source.path, Some(source.content.0));
            }
        }
    }
    for input in job.inputs.values_mut() {
        match input {
            Input::Source(source) => see(&mut source.path, Some(source.content.0)),
            Input::File(path) => see(path, None),
            Input::Folder(files) => files.values_mut().for_each(|path| see(path, None)),
        }
    }
}

/// The path with environment variables replaced.
fn expand(place: &str, value: impl Fn(&str) -> Option<String>) -> Result<PathBuf, String> {
    let value = |name: &str| match value(name).filter(|value| !value.is_empty()) {
        Some(value) => Ok(Some(value)),
        None => Err(format!("the variable {name} is not set on this node")),
    };
    let expanded = shellexpand::env_with_context(place, value).map_err(|error| error.cause)?;
    let path = PathBuf::from(&*expanded);
    if path.is_absolute() { Ok(path) } else { Err(format!("{expanded} is not an absolute path")) }
}

#[cfg(test)]
mod tests;
