//! Walks a file tree and folds it into one artifact; the caller decides what happens with each file.
//!
//! Knows no store and no stat cache. Source folders (only hashed), outputs (stored) and restored folders (compared) all use
//! this one walk, so that equal content has one digest however it was read. It goes level by level with a list instead of
//! recursing, as a deep tree would overflow the stack.
//!
//! Symbolic links below the top are kept as links in stored and restored trees. In a source folder they are followed, as
//! readers of the folder follow them: such a link is represented by its target's text and the content of its target. A
//! dangling link, or one to a folder that contains it, is kept as a link.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::artifact::{Artifact, Kind};
use super::listing::{Entry, EntryKind, Listing};
use crate::by_name;
use crate::digest::FileDigest;

/// Below this many files, waking a second thread costs more than it saves.
pub(super) const WORTH_THREADS: usize = 64;

/// What the walk needs to know of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The digest of its content.
    pub object: FileDigest,
    /// Whether its owner may execute it.
    pub executable: bool,
    /// Bytes.
    pub size: u64,
}

/// Errors of the walk itself.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// A folder or link can't be read.
    #[error("failed to read `{}`", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Not a file, folder or link, so it has no content: a pipe, a socket, a device.
    #[error("`{}` is neither a file nor a folder", path.display())]
    Special {
        /// The path.
        path: PathBuf,
    },
    /// Links lead to folders with links, recursively.
    #[error("the symbolic links below `{}` lead to more than {MOST_BEHIND_LINKS} folders", path.display())]
    TooManyLinks {
        /// The folder.
        path: PathBuf,
    },
}

/// What a walk does with each entry. Called from several threads.
pub trait Visitor: Sync {
    /// What can go wrong.
    type Error: From<WalkError> + Send;

    /// Processes the regular file at `path`, which may be behind symbolic links if these are followed.
    fn file(&self, path: &Path) -> Result<Leaf, Self::Error>;

    /// Processes bytes that aren't a file's: those of the symbolic link at `path`, or the listing of the folder there.
    fn bytes(&self, path: &Path, bytes: &[u8]) -> Result<FileDigest, Self::Error>;

    /// Called for anything at `path` but a file, folder or link.
    ///
    /// # Errors
    /// An error for visitors that need content.
    fn special(&self, path: &Path) -> Result<(), Self::Error> {
        Err(WalkError::Special { path: path.to_owned() }.into())
    }
}

/// How a walk treats symbolic links below its top, and what it skips.
#[derive(Clone, Copy)]
pub enum Links<'a> {
    /// Keeps links, and skips nothing.
    Kept,
    /// Follows links, and skips what this says.
    Followed(&'a dyn Skips),
}

/// What a walk leaves out.
pub trait Skips: Sync {
    /// Whether it skips files and links of this name.
    fn file(&self, name: &OsStr) -> bool;

    /// Whether it skips the folder at `path` in the tree, of which `real` is the path free of links.
    fn folder(&self, path: &Path, real: &Path) -> bool;
}

/// The contents of a folder.
pub struct Tree {
    /// Each after its parent; the first is the top.
    folders: Vec<Folder>,
    leaves: Vec<Found>,
}

struct Folder {
    path: PathBuf,
    /// The path free of links; empty if links are kept.
    real: PathBuf,
    /// Its parent's index in the list of folders and its name there; none for the top.
    parent: Option<(usize, OsString)>,
    /// The target of the link that led here.
    link: Option<OsString>,
    entries: Vec<Entry>,
    size: u64,
    files: u64,
}

struct Found {
    folder: usize,
    name: OsString,
    what: What,
}

/// A folder's entry that is not a folder.
enum What {
    File,
    Link {
        target: OsString,
        behind: Behind,
    },
    /// A pipe, a socket, a device.
    Special,
}

/// What a link leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// Unknown: the link is kept.
    Unasked,
    /// A file.
    File,
    /// A folder.
    Folder,
    /// Nothing readable.
    Nothing,
    /// A folder that contains the link, directly or deeper.
    Itself,
}

/// A name below the top of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A folder.
    Folder,
    /// A file.
    File,
    /// A symbolic link.
    Link {
        /// The text of its target.
        target: OsString,
        /// The target.
        behind: Behind,
    },
    /// A pipe, a socket or a device.
    Special,
}

impl Shape {
    /// Whether a reader finds a file there.
    pub fn is_file(&self) -> bool {
        matches!(self, Shape::File | Shape::Link { behind: Behind::File, .. })
    }
}

/// More folders behind links than this indicate an error: links that branch recursively.
const MOST_BEHIND_LINKS: usize = 1_000_000;

impl Folder {
    fn new(path: PathBuf, real: PathBuf, parent: Option<(usize, OsString)>, link: Option<OsString>) -> Folder {
        Folder { path, real, parent, link, entries: Vec::new(), size: 0, files: 0 }
    }
}

impl Tree {
    /// Lists everything below `top`.
    ///
    /// # Errors
    /// A folder or link that can't be read.
    pub fn survey(top: &Path, links: Links<'_>) -> Result<Tree, WalkError> {
        let real = match links {
            Links::Kept => PathBuf::new(),
            Links::Followed(_) => {
                fs::canonicalize(top).map_err(|source| WalkError::Unreadable { path: top.to_owned(), source })?
            }
        };
        let mut tree = Tree { folders: vec![Folder::new(top.to_owned(), real, None, None)], leaves: Vec::new() };
        let (mut folder, mut behind_links) = (0, 0);
        while folder < tree.folders.len() {
            tree.list(folder, links)?;
            if !matches!(links, Links::Kept) && tree.is_behind_link(folder) {
                behind_links += 1;
            }
            if behind_links > MOST_BEHIND_LINKS {
                return Err(WalkError::TooManyLinks { path: top.to_owned() });
            }
            folder += 1;
        }
        Ok(tree)
    }

    fn is_behind_link(&self, folder: usize) -> bool {
        self.above(folder).any(|above| above.link.is_some())
    }

    /// A folder and its ancestors, up to the top.
    fn above(&self, folder: usize) -> impl Iterator<Item = &Folder> {
        let parent = |folder: &&Folder| folder.parent.as_ref().map(|(parent, _)| &self.folders[*parent]);
        std::iter::successors(Some(&self.folders[folder]), parent)
    }

    /// Lists one folder.
    fn list(&mut self, folder: usize, links: Links<'_>) -> Result<(), WalkError> {
        let path = self.folders[folder].path.clone();
        let unreadable = |source| WalkError::Unreadable { path: path.clone(), source };
        let before = self.leaves.len();
        for entry in fs::read_dir(&path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let kind = entry.file_type().map_err(unreadable)?;
            let name = entry.file_name();
            if kind.is_dir() {
                let real = match links {
                    Links::Kept => PathBuf::new(),
                    Links::Followed(_) => by_name::join(&self.folders[folder].real, &name),
                };
                let path = by_name::join(&path, &name);
                self.descend(folder, name, path, real, None, links);
            } else if matches!(links, Links::Followed(skips) if skips.file(&name)) {
                continue;
            } else if kind.is_file() {
                self.leaves.push(Found { folder, name, what: What::File });
            } else if kind.is_symlink() {
                let path = by_name::join(&path, &name);
                self.meet_link(folder, name, path, links)?;
            } else {
                self.leaves.push(Found { folder, name, what: What::Special });
            }
        }
        // Everything that is sorted later has the folders' contents as runs in it, so that this is most of all sorting.
        self.leaves[before..].sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(())
    }

    fn descend(
        &mut self,
        folder: usize,
        name: OsString,
        path: PathBuf,
        real: PathBuf,
        link: Option<OsString>,
        links: Links<'_>,
    ) {
        if !matches!(links, Links::Followed(skips) if skips.folder(&path, &real)) {
            self.folders.push(Folder::new(path, real, Some((folder, name)), link));
        }
    }

    fn meet_link(&mut self, folder: usize, name: OsString, path: PathBuf, links: Links<'_>) -> Result<(), WalkError> {
        let target = fs::read_link(&path).map_err(|source| WalkError::Unreadable { path: path.clone(), source })?;
        let target = target.into_os_string();
        let behind = match links {
            Links::Kept => Behind::Unasked,
            Links::Followed(_) => match fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() => Behind::File,
                Ok(metadata) if metadata.is_dir() => {
                    let real = fs::canonicalize(&path)
                        .map_err(|source| WalkError::Unreadable { path: path.clone(), source })?;
                    // The path through which the link was reached is part of the chain, too: each of its folders has its
                    // own real path.
                    if !self.above(folder).any(|above| above.real.starts_with(&real)) {
                        self.descend(folder, name, path, real, Some(target), links);
                        return Ok(());
                    }
                    Behind::Itself
                }
                _ => Behind::Nothing,
            },
        };
        self.leaves.push(Found { folder, name, what: What::Link { target, behind } });
        Ok(())
    }

    fn below<'p>(&self, path: &'p Path) -> &'p Path {
        by_name::below(path, &self.folders[0].path).expect("all of a tree lies below its top")
    }

    fn place(&self, found: &Found) -> PathBuf {
        by_name::join(self.below(&self.folders[found.folder].path), &found.name)
    }

    /// Every file, including those behind links, by its path below the top, in order.
    pub fn files(&self) -> Vec<PathBuf> {
        let is_file = |found: &&Found| matches!(found.what, What::File | What::Link { behind: Behind::File, .. });
        let mut files: Vec<PathBuf> = self.leaves.iter().filter(is_file).map(|found| self.place(found)).collect();
        files.sort_by(|one, other| by_name::compare(one, other));
        files
    }

    /// Every name below the top with its type, in order.
    pub fn names(&self) -> Vec<(PathBuf, Shape)> {
        let mut names: Vec<(PathBuf, Shape)> = self.shapes().collect();
        names.sort_by(|(one, _), (other, _)| by_name::compare(one, other));
        names
    }

    /// Every name below the top with its type.
    pub fn shapes(&self) -> impl Iterator<Item = (PathBuf, Shape)> {
        let folders = self.folders.iter().skip(1).map(|folder| {
            let shape = match &folder.link {
                Some(target) => Shape::Link { target: target.clone(), behind: Behind::Folder },
                None => Shape::Folder,
            };
            (self.below(&folder.path).to_owned(), shape)
        });
        let leaves = self.leaves.iter().map(|found| {
            let shape = match &found.what {
                What::File => Shape::File,
                What::Link { target, behind } => Shape::Link { target: target.clone(), behind: *behind },
                What::Special => Shape::Special,
            };
            (self.place(found), shape)
        });
        folders.chain(leaves)
    }

    /// Folds the tree into an artifact.
    ///
    /// # Errors
    /// The visitor's errors, and [`WalkError`] converted to them. If several files fail, the one listed first is reported.
    pub fn fold<V: Visitor>(self, visitor: &V) -> Result<Artifact, V::Error> {
        let Tree { mut folders, leaves } = self;
        let (special, leaves): (Vec<Found>, Vec<Found>) =
            leaves.into_iter().partition(|found| matches!(found.what, What::Special));
        special.iter().try_for_each(|found| visitor.special(&folders[found.folder].path.join(&found.name)))?;
        let take = |found: &Found| take_in(&folders[found.folder].path, found, visitor);
        let taken: Vec<_> = if leaves.len() < WORTH_THREADS {
            leaves.iter().map(take).collect()
        } else {
            leaves.par_iter().map(take).collect()
        };
        for (Found { folder, name, what }, leaf) in leaves.into_iter().zip(taken) {
            let Leaf { object, executable, size } = leaf?;
            let kind = match what {
                What::File => EntryKind::File { executable },
                What::Link { .. } => EntryKind::Link,
                What::Special => unreachable!("these were taken out"),
            };
            let folder = &mut folders[folder];
            folder.entries.push(Entry { name, kind, object });
            folder.size += size;
            folder.files += 1;
        }
        // Every folder comes after its parent in the list, so going backwards each one is complete in its turn.
        while let Some(Folder { path, parent, link, entries, size, files, .. }) = folders.pop() {
            let listing = visitor.bytes(&path, &Listing::new(entries).encode())?;
            let Some((parent, name)) = parent else {
                return Ok(Artifact { kind: Kind::Folder, object: listing, size, files });
            };
            let (kind, object) = match link {
                None => (EntryKind::Folder, listing),
                Some(target) => (EntryKind::Link, visitor.bytes(&path, &followed(&target, b'd', listing))?),
            };
            let parent = &mut folders[parent];
            parent.entries.push(Entry { name, kind, object });
            parent.size += size;
            parent.files += files;
        }
        unreachable!("the top folder has no parent, so the loop has returned with it")
    }
}

/// Folds the folder at `top` into an artifact. Symbolic links below `top` are kept as links.
///
/// # Errors
/// Those of [`Tree::survey`] and [`Tree::fold`].
pub fn fold<V: Visitor>(top: &Path, visitor: &V) -> Result<Artifact, V::Error> {
    Tree::survey(top, Links::Kept)?.fold(visitor)
}

/// The bytes that represent a followed link: its target's text, which a reader may query, and the target's content. No
/// target contains a NUL byte, so these bytes never equal those of a kept link.
fn followed(target: &OsStr, kind: u8, behind: FileDigest) -> Vec<u8> {
    [target.as_bytes(), &[0, kind], behind.0.as_bytes()].concat()
}

fn take_in<V: Visitor>(folder: &Path, found: &Found, visitor: &V) -> Result<Leaf, V::Error> {
    let path = by_name::join(folder, &found.name);
    match &found.what {
        What::Special => Err(WalkError::Special { path }.into()),
        What::File => visitor.file(&path),
        What::Link { target, behind: Behind::File } => {
            let Leaf { object, executable, size } = visitor.file(&path)?;
            let kind = if executable { b'x' } else { b'f' };
            Ok(Leaf { object: visitor.bytes(&path, &followed(target, kind, object))?, executable: false, size })
        }
        What::Link { target, .. } => {
            let target = target.as_bytes();
            Ok(Leaf { object: visitor.bytes(&path, target)?, executable: false, size: target.len() as u64 })
        }
    }
}
