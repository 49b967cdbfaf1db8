//! Source files and folders → digests; reads only files that may have changed since they were last read.
//!
//! Knows no stages and stores nothing: the files belong to the user. Content decides whether an input changed; a file's
//! stat only decides whether it must be read to find out. A touched file is read and found equal; a file that was edited
//! and given its old times back is read too, because nobody can set a change time.
//!
//! A folder's content is what its readers see: symbolic links are followed, above it and below it, so that data may be on
//! other disks; for a link below it, its target's text counts as well. [`survey`] is the one definition; digests, the guard
//! of a command, a watch and the listing of a data set all use it. Folders `__pycache__` below a folder are skipped: Python
//! writes them beside imported sources, with times in them, and never uses them without the source.

pub mod listing;
pub mod seen;
mod walk;
pub mod way;

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use intrada_picture::Facts;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use rustix::fs::{Mode, OFlags};

use crate::by_name;
use crate::digest::{Digest, FileDigest};
use crate::own::{has_own_name, is_own};
use crate::pipeline::nearest;
use crate::plain;
use crate::store::index::{FileRecord, Files, LabelValues};
use crate::store::stat::{Stat, now_ns};
use crate::store::tree::{Behind, Links, Shape, Skips, Tree, WalkError};
use crate::store::{Artifact, Kind};
use seen::{Seen, SeenFolder};
use walk::Within;

/// How many names of a folder an error message lists.
const NAMES_SHOWN: usize = 8;

/// Where Python keeps the bytecode of imported sources.
const BYTECODE: &str = "__pycache__";

/// Why an input has no digest.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such file or folder.
    #[error("`{}` does not exist; `{}` {holds}{}{}", path.display(), parent.display(), meant(near.as_deref()), relative_to(root, path))]
    Missing {
        /// What paths are relative to.
        root: PathBuf,
        /// The requested path, relative to the root.
        path: PathBuf,
        /// The longest existing part of it.
        parent: PathBuf,
        /// What that part is or holds, in words.
        holds: String,
        /// A name in it that is similar to the requested one.
        near: Option<String>,
    },
    /// The file system returned an error.
    #[error("failed to read `{}`", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A folder where a file was expected.
    #[error("`{}` is a folder, not a file", path.display())]
    IsAFolder {
        /// The path.
        path: PathBuf,
    },
    /// A pipe, a socket or a device: it has no content.
    #[error("`{}` is neither a file nor a folder", path.display())]
    Special {
        /// The path.
        path: PathBuf,
    },
    /// Links lead to folders with links, recursively.
    #[error("the symbolic links below `{}` lead to too many folders", path.display())]
    TooManyLinks {
        /// The folder.
        path: PathBuf,
    },
    /// The file was modified while it was read, twice in a row.
    #[error("`{}` is changing while it is read", path.display())]
    Changing {
        /// The file.
        path: PathBuf,
    },
}

impl Error {
    /// A walk names files by their full path; a pipeline file doesn't.
    fn relative_to(mut self, root: &Path) -> Error {
        if let Error::Unreadable { path, .. } | Error::Special { path } | Error::TooManyLinks { path } = &mut self
            && let Ok(relative) = path.strip_prefix(root)
        {
            *path = relative.to_owned();
        }
        self
    }
}

impl From<WalkError> for Error {
    fn from(error: WalkError) -> Error {
        match error {
            WalkError::Unreadable { path, source } => Error::Unreadable { path, source },
            WalkError::Special { path } => Error::Special { path },
            WalkError::TooManyLinks { path } => Error::TooManyLinks { path },
        }
    }
}

/// Counts how much of the source files was read. Updated during reading, for a progress display.
#[derive(Debug, Default)]
pub struct Meter {
    files: Share,
    bytes: Share,
    labels: AtomicU64,
}

/// Work done, and the total known so far.
#[derive(Debug, Default)]
struct Share {
    done: AtomicU64,
    all: AtomicU64,
}

/// A snapshot of a [`Meter`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Files read to digest them, and their total.
    pub files: [u64; 2],
    /// Bytes of these, and their total.
    pub bytes: [u64; 2],
    /// Label images whose values were read.
    pub labels: u64,
}

impl Share {
    fn read(&self) -> [u64; 2] {
        // In this order, so that nobody sees more done than the total.
        let done = self.done.load(Ordering::Relaxed);
        [done, self.all.load(Ordering::Relaxed).max(done)]
    }
}

impl Meter {
    /// The current values.
    pub fn read(&self) -> Reading {
        Reading { files: self.files.read(), bytes: self.bytes.read(), labels: self.labels.load(Ordering::Relaxed) }
    }

    /// Adds files that will be read.
    fn expect(&self, files: u64, bytes: u64) {
        self.files.all.fetch_add(files, Ordering::Relaxed);
        self.bytes.all.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts a file that was read.
    fn note(&self, bytes: u64) {
        self.files.done.fetch_add(1, Ordering::Relaxed);
        self.bytes.done.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The state of a file before reading.
enum Looked {
    /// Unchanged: it needn't be read.
    Known(FileRecord),
    /// It must be read.
    Unread(Look),
}

/// The source files of one workspace and their records. Usable from several threads.
#[derive(Debug)]
pub struct Inputs {
    root: PathBuf,
    /// Never part of an input, even if it is inside one.
    cache: PathBuf,
    /// By path relative to the root. Shared with the index until one of them changes.
    records: RwLock<Files>,
    /// Files whose records differ from the loaded ones.
    news: RwLock<by_name::Set>,
    meter: Arc<Meter>,
}

impl Inputs {
    /// The files below `root`; `records` are those of an earlier run. `cache` is the cache folder. Both must be absolute
    /// and free of symbolic links, or the cache isn't recognised.
    pub fn new(root: &Path, cache: &Path, records: Files) -> Inputs {
        Inputs {
            root: root.to_owned(),
            cache: cache.to_owned(),
            records: RwLock::new(records),
            news: RwLock::default(),
            meter: Arc::default(),
        }
    }

    /// Counts on `meter` what is read from now on.
    pub fn metered(self, meter: &Arc<Meter>) -> Inputs {
        Inputs { meter: Arc::clone(meter), ..self }
    }

    /// The current records.
    pub fn records(&self) -> Files {
        Arc::clone(&self.read())
    }

    /// The files whose records changed since the last call.
    pub fn take_news(&self) -> by_name::Set {
        std::mem::take(&mut *self.news.write().expect("no code panics while it holds this set"))
    }

    /// Whether any record differs from the earlier run's.
    pub fn has_news(&self) -> bool {
        !self.news.read().expect("no code panics while it holds this set").is_empty()
    }

    /// The digest of the file at `path`, relative to the root.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn digest_file(&self, path: &Path) -> Result<FileDigest, Error> {
        let look = self.look(path)?;
        if look.stat.is_folder() {
            return Err(Error::IsAFolder { path: path.to_owned() });
        }
        self.record(path, look).map(|record| record.digest)
    }

    /// The digests of many files, found in parallel. If several fail, the error is that of the first in `paths`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn digest_files(&self, paths: &[PathBuf]) -> Result<Vec<FileRecord>, Error> {
        self.digest_each(paths, |_, _| ())
    }

    /// The same. Calls `after` for each file as soon as it has its digest: the content of a file just read is cached by the
    /// system, so it isn't read from the disk twice.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn digest_each(
        &self,
        paths: &[PathBuf],
        after: impl Fn(&Path, &FileRecord) + Sync,
    ) -> Result<Vec<FileRecord>, Error> {
        // All files are checked before any is read, so that the total is known.
        let look = |path: &PathBuf| {
            let look = self.look(path)?;
            if look.stat.is_folder() {
                return Err(Error::IsAFolder { path: path.to_owned() });
            }
            Ok(self.trusted(path, &look).map_or(Looked::Unread(look), Looked::Known))
        };
        let looked: Vec<Result<Looked, Error>> = paths.par_iter().with_min_len(16).map(look).collect();
        let unread = looked.iter().filter_map(|looked| match looked {
            Ok(Looked::Unread(look)) => Some(look.stat.size),
            _ => None,
        });
        self.meter.expect(unread.clone().count() as u64, unread.sum());
        let digest = |(path, looked): (&PathBuf, Result<Looked, Error>)| {
            let record = match looked? {
                Looked::Known(record) => record,
                Looked::Unread(look) => self.read_anew(path, look)?,
            };
            after(path, &record);
            Ok(record)
        };
        let records: Vec<_> = paths.par_iter().zip(looked).with_min_len(16).map(digest).collect();
        records.into_iter().collect()
    }

    /// The file or folder at `path`, relative to the root, with everything its readers see.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn source(&self, path: &Path) -> Result<Source, Error> {
        let look = self.look(path)?;
        if look.stat.is_folder() { self.folder(path) } else { self.single(path, look) }
    }

    fn single(&self, path: &Path, look: Look) -> Result<Source, Error> {
        let record = self.record(path, look)?;
        let FileRecord { digest, stat, .. } = record;
        let kind = Kind::File { executable: stat.is_executable() };
        let artifact = Artifact { kind, object: digest, size: stat.size, files: 1 };
        Ok(Source { artifact, seen: Seen { files: vec![(path.to_owned(), record)], folder: None } })
    }

    fn folder(&self, path: &Path) -> Result<Source, Error> {
        let top = by_name::join(&self.root, path);
        let tree = survey(&top, &self.cache).map_err(|error| Error::from(error).relative_to(&self.root))?;
        let names = tree.names();
        let artifact = match rustix::fs::open(&top, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(open) => tree.fold(&Within { inputs: self, top: &top, open }),
            Err(_) => tree.fold(self),
        };
        let artifact = artifact.map_err(|error| error.relative_to(&self.root))?;
        let records = self.read();
        let files = names.iter().filter(|(_, shape)| shape.is_file()).filter_map(|(name, _)| {
            let file = by_name::join(path, name);
            // They were just read, so they have records.
            let record = *records.get(file.as_os_str())?;
            Some((file, record))
        });
        let files = files.collect();
        let folder = SeenFolder { path: path.to_owned(), cache: self.cache.clone(), names };
        Ok(Source { artifact, seen: Seen { files, folder: Some(folder) } })
    }

    /// The artifact at `path`, relative to the root: a file, or a folder with its contents. It equals the artifact that the
    /// store would make, so that a source and a stage's output with equal content are equal; but links are followed here,
    /// and kept in an output.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn artifact(&self, path: &Path) -> Result<Artifact, Error> {
        self.source(path).map(|source| source.artifact)
    }

    fn known(&self, path: &Path) -> Option<FileRecord> {
        self.read().get(path.as_os_str()).copied()
    }

    /// The index values of the label image at `path`, if recorded for its current content.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn label_values(&self, path: &Path) -> Result<Option<LabelValues>, Error> {
        let look = self.look(path)?;
        self.record(path, look).map(|record| record.label_values)
    }

    /// Records the index values of the label image at `path`, whose content has that digest.
    pub fn note_label_values(&self, path: &Path, digest: FileDigest, values: LabelValues) {
        let mut records = self.write(path);
        if let Some(record) =
            Arc::make_mut(&mut records).get_mut(path.as_os_str()).filter(|known| known.digest == digest)
        {
            record.label_values = Some(values);
            self.meter.labels.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The properties of the photograph at `path`, if recorded for the content last read.
    pub fn photograph(&self, path: &Path) -> Option<Facts> {
        self.known(path)?.photograph
    }

    /// Records the properties of the photograph at `path`, whose content has that digest.
    pub fn note_photograph(&self, path: &Path, digest: FileDigest, facts: Facts) {
        let mut records = self.write(path);
        if let Some(record) =
            Arc::make_mut(&mut records).get_mut(path.as_os_str()).filter(|known| known.digest == digest)
        {
            record.photograph = Some(facts);
        }
    }

    fn look(&self, path: &Path) -> Result<Look, Error> {
        match Look::at(&by_name::join(&self.root, path)) {
            Ok(look) => Ok(look),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                if self.known(path).is_some() {
                    Arc::make_mut(&mut self.write(path)).remove(path.as_os_str());
                }
                Err(missing(&self.root, path))
            }
            Err(source) => Err(Error::Unreadable { path: path.to_owned(), source }),
        }
    }

    /// The record of the file at `path`, which was just checked: the existing one if it is valid, else a new one.
    fn record(&self, path: &Path, look: Look) -> Result<FileRecord, Error> {
        if let Some(known) = self.trusted(path, &look) {
            return Ok(known);
        }
        self.meter.expect(1, look.stat.size);
        self.read_anew(path, look)
    }

    /// The record of a file, if its stat is unchanged.
    fn trusted(&self, path: &Path, look: &Look) -> Option<FileRecord> {
        self.known(path).filter(|known| known.stat == look.stat && look.stat.is_settled(known.taken_at_ns))
    }

    fn read_anew(&self, path: &Path, look: Look) -> Result<FileRecord, Error> {
        if !look.stat.is_file() {
            return Err(Error::Special { path: path.to_owned() });
        }
        let known = self.known(path);
        let mut record = self.read_still(path, look)?;
        if let Some(known) = known.filter(|known| known.digest == record.digest) {
            (record.label_values, record.photograph) = (known.label_values, known.photograph);
        }
        Arc::make_mut(&mut self.write(path)).insert(path.into(), record);
        Ok(record)
    }

    /// Reads a file between two equal stats, of which `before` has the first: then the content belongs to that stat.
    fn read_still(&self, path: &Path, mut before: Look) -> Result<FileRecord, Error> {
        let file = by_name::join(&self.root, path);
        let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
        for _ in 0..2 {
            let Look { stat, taken_at_ns } = before;
            let (digest, size, after) = read_once(&file).map_err(unreadable)?;
            if after == stat && size == stat.size {
                self.meter.note(size);
                let digest = FileDigest(digest);
                return Ok(FileRecord { stat, taken_at_ns, digest, label_values: None, photograph: None });
            }
            before = Look::at(&file).map_err(unreadable)?;
            if !before.stat.is_file() {
                return Err(Error::Special { path: path.to_owned() });
            }
        }
        Err(Error::Changing { path: path.to_owned() })
    }

    fn read(&self) -> RwLockReadGuard<'_, Files> {
        self.records.read().expect("no code panics while it holds this map")
    }

    /// Write access to a file's record.
    fn write(&self, path: &Path) -> RwLockWriteGuard<'_, Files> {
        self.news.write().expect("no code panics while it holds this set").insert(path.into());
        self.records.write().expect("no code panics while it holds this map")
    }
}

/// A stat and the moment before it was taken.
#[derive(Clone, Copy)]
struct Look {
    taken_at_ns: i64,
    stat: Stat,
}

impl Look {
    fn at(path: &Path) -> io::Result<Look> {
        let taken_at_ns = now_ns();
        Stat::of(path).map(|stat| Look { taken_at_ns, stat })
    }

    fn below(folder: &OwnedFd, path: &Path) -> io::Result<Look> {
        let taken_at_ns = now_ns();
        Stat::below(folder, path).map(|stat| Look { taken_at_ns, stat })
    }
}

/// The digest of a file's content, the number of bytes read, and its stat afterwards. One that has grown has another size than was
/// read.
fn read_once(path: &Path) -> io::Result<(Digest, u64, Stat)> {
    let (file, metadata) = plain::open_file(path)?;
    let (digest, size) = Digest::of_open_file(&file, metadata.len())?;
    Ok((digest, size, Stat::from(&file.metadata()?)))
}

/// A source and its state when it was digested.
#[derive(Debug)]
pub struct Source {
    /// The artifact.
    pub artifact: Artifact,
    /// Its files and names.
    pub seen: Seen,
}

/// Everything that a reader of the folder at `top` finds, through symbolic links; without the program's own files and
/// Python's bytecode.
///
/// # Errors
/// A folder can't be read, or something in it is neither file nor folder.
pub fn survey(top: &Path, cache: &Path) -> Result<Tree, WalkError> {
    Tree::survey(top, Links::Followed(&BesideInputs { cache }))
}

/// What is left out of a folder.
struct BesideInputs<'a> {
    cache: &'a Path,
}

impl Skips for BesideInputs<'_> {
    fn file(&self, name: &OsStr) -> bool {
        has_own_name(name) || name == BYTECODE
    }

    fn folder(&self, path: &Path, real: &Path) -> bool {
        is_no_input(path, real, self.cache)
    }
}

/// Whether the file or folder at `path`, free of links `real`, is excluded from its folder.
pub(crate) fn is_no_input(path: &Path, real: &Path, cache: &Path) -> bool {
    is_own(real, cache) || path.file_name().is_some_and(|name| name == BYTECODE)
}

/// Why a link has no target for a reader, if so.
pub(crate) fn leads_nowhere(shape: &Shape) -> Option<&'static str> {
    match shape {
        Shape::Link { behind: Behind::Nothing, .. } => Some("has no readable target"),
        Shape::Link { behind: Behind::Itself, .. } => Some("leads back to a folder that contains it"),
        _ => None,
    }
}

/// Describes how far a missing path exists, and what is there instead.
pub(crate) fn missing(root: &Path, path: &Path) -> Error {
    let existing = path.ancestors().skip(1).find(|parent| root.join(parent).exists()).unwrap_or(Path::new(""));
    let parent = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
    let names = names_in(&root.join(parent));
    let wanted = path.strip_prefix(existing).ok().and_then(|rest| rest.components().next());
    let link = wanted.map(|name| existing.join(name)).filter(|link| root.join(link).is_symlink());
    if let Some(link) = link {
        let holds = "is a dangling symbolic link".to_owned();
        return Error::Missing { root: root.to_owned(), path: path.to_owned(), parent: link, holds, near: None };
    }
    let wanted = wanted.map(|name| name.as_os_str().to_string_lossy().into_owned());
    let near =
        wanted.zip(names.as_ref()).and_then(|(wanted, names)| nearest(&wanted, names.iter().map(String::as_str)));
    Error::Missing {
        root: root.to_owned(),
        path: path.to_owned(),
        parent: parent.to_owned(),
        near: near.map(str::to_owned),
        holds: holds(&root.join(parent), names.as_deref()),
    }
}

fn meant(near: Option<&str>) -> String {
    near.map(|near| format!("; `{near}` may be meant")).unwrap_or_default()
}

/// The root is found by its cache, so it may differ from the folder that the user has in mind.
fn relative_to(root: &Path, path: &Path) -> String {
    if path.is_absolute() || root.as_os_str().is_empty() {
        String::new()
    } else {
        format!("; paths are relative to the workspace root, `{}`", root.display())
    }
}

/// The names in a folder, sorted.
fn names_in(folder: &Path) -> Option<Vec<String>> {
    let name =
        |entry: io::Result<fs::DirEntry>| entry.ok().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = fs::read_dir(folder).ok()?.filter_map(name).collect();
    names.sort_unstable();
    Some(names)
}

fn holds(path: &Path, names: Option<&[String]>) -> String {
    let Some(names) = names else {
        return if path.is_dir() { "can't be listed" } else { "is not a folder" }.to_owned();
    };
    match names.len().checked_sub(NAMES_SHOWN) {
        _ if names.is_empty() => "is empty".to_owned(),
        None | Some(0) => format!("holds {}", names.join(", ")),
        Some(more) => format!("holds {} and {more} more", names[..NAMES_SHOWN].join(", ")),
    }
}

#[cfg(test)]
mod tests;
