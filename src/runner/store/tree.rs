//! Walks a file tree and folds it into one artifact; what is done with each file is the caller's.
//!
//! Knows no store and no cache of stats. Source folders (which are only hashed), outputs (which are stored) and restored
//! folders (which are compared) all go through this one walk, so that equal content has one digest, whichever way it came.
//! Works level by level with a list instead of the call stack, which a deep tree would overflow.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::artifact::{Artifact, Kind};
use super::listing::{Entry, EntryKind, Listing};
use crate::digest::FileDigest;

/// Below this many files, waking a second thread costs more than it saves.
pub(super) const WORTH_THREADS: usize = 64;

/// A file as the walk needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The digest of its content.
    pub object: FileDigest,
    /// May its owner execute it?
    pub executable: bool,
    /// Bytes.
    pub size: u64,
}

/// What stops a walk by itself.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// A folder or link can't be read.
    #[error("failed to read `{}`", path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Neither file nor folder nor link, so it has no content: a pipe, a socket, a device.
    #[error("`{}` is neither a file nor a folder", path.display())]
    Special {
        /// Which one.
        path: PathBuf,
    },
}

/// What a walk does with what it meets. Called from several threads.
pub trait Visitor: Sync {
    /// What can go wrong.
    type Error: From<WalkError> + Send;

    /// Takes in the regular file at `path`.
    fn file(&self, path: &Path) -> Result<Leaf, Self::Error>;

    /// Takes in bytes that aren't a file's: the target of the symbolic link at `path`, or the listing of the folder there.
    fn bytes(&self, path: &Path, bytes: &[u8]) -> Result<FileDigest, Self::Error>;

    /// Should the folder at `path` be passed over as if it weren't there?
    fn skips(&self, _path: &Path) -> bool {
        false
    }
}

struct Folder {
    path: PathBuf,
    /// Its place in the list of folders and its name there; none for the top.
    parent: Option<(usize, OsString)>,
    entries: Vec<Entry>,
    size: u64,
    files: u64,
}

impl Folder {
    fn new(path: PathBuf, parent: Option<(usize, OsString)>) -> Folder {
        Folder { path, parent, entries: Vec::new(), size: 0, files: 0 }
    }
}

struct Found {
    folder: usize,
    name: OsString,
    is_link: bool,
}

/// Folds the folder at `top` into an artifact. Symbolic links below `top` are taken as links, not followed.
///
/// # Errors
/// The visitor's, and [`WalkError`] in its clothes. If several files fail, the one that was listed first is named.
pub fn fold<V: Visitor>(top: &Path, visitor: &V) -> Result<Artifact, V::Error> {
    let (mut folders, found) = survey(top, visitor)?;
    let take = |found: &Found| take_in(&folders[found.folder].path, found, visitor);
    let taken: Vec<_> = if found.len() < WORTH_THREADS {
        found.iter().map(take).collect()
    } else {
        found.par_iter().map(take).collect()
    };
    for (Found { folder, name, is_link }, leaf) in found.into_iter().zip(taken) {
        let Leaf { object, executable, size } = leaf?;
        let kind = if is_link { EntryKind::Link } else { EntryKind::File { executable } };
        let folder = &mut folders[folder];
        folder.entries.push(Entry { name, kind, object });
        folder.size += size;
        folder.files += 1;
    }
    // Every folder stands after its parent in the list, so from the back each one is complete when its turn comes.
    while let Some(Folder { path, parent, entries, size, files }) = folders.pop() {
        let object = visitor.bytes(&path, &Listing::new(entries).encode())?;
        let Some((parent, name)) = parent else {
            return Ok(Artifact { kind: Kind::Folder, object, size, files });
        };
        let parent = &mut folders[parent];
        parent.entries.push(Entry { name, kind: EntryKind::Folder, object });
        parent.size += size;
        parent.files += files;
    }
    unreachable!("the top folder has no parent, so the loop has returned with it")
}

/// All folders below `top`, each after its parent, and all files and links in them.
fn survey<V: Visitor>(top: &Path, visitor: &V) -> Result<(Vec<Folder>, Vec<Found>), V::Error> {
    let mut folders = vec![Folder::new(top.to_owned(), None)];
    let mut found = Vec::new();
    let mut folder = 0;
    while folder < folders.len() {
        let unreadable = |source| WalkError::Unreadable { path: folders[folder].path.clone(), source };
        let mut below = Vec::new();
        for entry in fs::read_dir(&folders[folder].path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let kind = entry.file_type().map_err(unreadable)?;
            if kind.is_dir() {
                let path = entry.path();
                if !visitor.skips(&path) {
                    below.push(Folder::new(path, Some((folder, entry.file_name()))));
                }
            } else if kind.is_file() || kind.is_symlink() {
                found.push(Found { folder, name: entry.file_name(), is_link: kind.is_symlink() });
            } else {
                return Err(WalkError::Special { path: entry.path() }.into());
            }
        }
        folders.append(&mut below);
        folder += 1;
    }
    Ok((folders, found))
}

fn take_in<V: Visitor>(folder: &Path, found: &Found, visitor: &V) -> Result<Leaf, V::Error> {
    let path = folder.join(&found.name);
    if !found.is_link {
        return visitor.file(&path);
    }
    let target = fs::read_link(&path).map_err(|source| WalkError::Unreadable { path: path.clone(), source })?;
    let target = target.as_os_str().as_bytes();
    Ok(Leaf { object: visitor.bytes(&path, target)?, executable: false, size: target.len() as u64 })
}
