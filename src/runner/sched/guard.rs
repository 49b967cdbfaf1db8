//! Watches what a stage reads from the workspace while it runs, to check afterwards that it matched its key.
//!
//! Knows no stage: files with the stat and content from which the key was computed, and folders with their names. A result
//! computed from a file that was edited meanwhile belongs to no key; published under the old one it would be used forever.
//! Objects of the store need no guard.
//!
//! Equal content at the end proves nothing: a file may have been changed, read, and reverted. So a command's guard is *set*
//! right before it starts, when every file is checked against the key, and from then on a changed stat is as suspicious as
//! a change. It may also have been only touched, which can't be told from a reverted edit: then the command is run again.

pub(super) mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::by_name;
use crate::digest::{Digest, Encoder, FileDigest};
use crate::exec::Failure;
use crate::inputs::seen::{Seen, SeenFolder};
use crate::inputs::way::Way;
use crate::inputs::{is_no_input, survey};
use crate::store::index::PlacedOutput;
use crate::store::stat::{Stat, now_ns, tick};
use crate::store::tree::{Behind, Links, Shape, Tree};

/// How many files a message names.
const NAMED: usize = 5;

/// Files and folders to check again.
#[derive(Default)]
pub struct Guard {
    root: PathBuf,
    files: Vec<Watched>,
    folders: Vec<Folder>,
    /// The paths of files, folders and links, relative to the root.
    entrances: Vec<PathBuf>,
    /// The links on these paths, as they were when the guard was set: a link that temporarily pointed elsewhere leaves no
    /// other trace.
    links: Vec<Watched>,
    /// The paths of the folders with the stage's own outputs, relative to the root.
    exits: Vec<PathBuf>,
    /// The links on those paths, as they were when the guard was set: if one points elsewhere in the end, other files are
    /// taken for the stage's outputs.
    ways_out: Vec<Watched>,
    /// The folders and their sub-folders, as they were when the guard was set: a temporary file leaves a trace only in
    /// their times.
    times: Vec<(PathBuf, Stat)>,
    /// Parent folders of inputs, each with its stat when the guard was set. Other files created or removed in them don't
    /// matter; a temporary replacement of the folder does.
    passed: Vec<(PathBuf, Option<Stat>)>,
}

/// What happened to guarded files since the guard was set.
#[derive(Debug, PartialEq, Eq)]
pub enum Since {
    /// Nothing.
    Untouched,
    /// All contents are unchanged, but these files have other times or another inode.
    Touched(Touched),
    /// These were changed, added or removed.
    Changed(BTreeSet<PathBuf>),
}

/// Files whose content is unchanged.
#[derive(Debug, PartialEq, Eq)]
pub struct Touched {
    /// The files.
    pub files: BTreeSet<PathBuf>,
    /// Whether they have the same inodes and modification times: writing changes these; a rename, another link or mode
    /// doesn't.
    pub unwritten: bool,
}

/// Whether a folder may have been replaced, temporarily or for good. A rename changes only its change time; creating or
/// removing files in it changes both.
fn was_exchanged(before: Option<&Stat>, now: Option<Stat>) -> bool {
    match (before, now) {
        (Some(before), Some(now)) => {
            (before.dev, before.ino) != (now.dev, now.ino)
                || (before.ctime_ns != now.ctime_ns && now.ctime_ns != now.mtime_ns)
        }
        (before, now) => before.is_some() != now.is_some(),
    }
}

/// The state when a guard was set.
#[derive(Serialize, Deserialize)]
struct Basis {
    files: String,
    folders: BTreeMap<String, Stat>,
    passed: BTreeMap<String, Option<Stat>>,
}

/// A path as text, different for different paths.
fn text(path: &Path) -> String {
    path.as_os_str().as_bytes().escape_ascii().to_string()
}

struct Folder {
    path: PathBuf,
    names: Content,
}

/// The content of a folder.
enum Content {
    /// Of a source: links are followed, and the cache, which may be inside, is excluded.
    Source { names: Vec<(PathBuf, Shape)>, cache: PathBuf },
    /// Of an output: links are kept.
    Output(BTreeSet<PathBuf>),
}

struct Watched {
    path: PathBuf,
    stat: Stat,
    content: FileDigest,
    form: Form,
}

/// How a path is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Following links.
    Followed,
    /// As a regular file.
    File,
    /// As a link's target text.
    Link,
}

impl Guard {
    /// Guards nothing yet, in the workspace at `root`.
    pub fn new(root: &Path) -> Guard {
        Guard { root: root.to_owned(), ..Guard::default() }
    }

    /// Adds a source in the state in which it was digested.
    pub fn source(&mut self, seen: &Seen) {
        let files = seen.files.iter().map(|(path, record)| Watched {
            path: self.root.join(path),
            stat: record.stat,
            content: record.digest,
            form: Form::Followed,
        });
        self.files.extend(files);
        let Some(SeenFolder { path, cache, names }) = &seen.folder else {
            return self.entrances.extend(seen.files.iter().map(|(path, _)| path.clone()));
        };
        let links = names.iter().filter(|(_, shape)| matches!(shape, Shape::Link { .. }));
        self.entrances.extend(links.map(|(name, _)| path.join(name)).chain([path.clone()]));
        let names = Content::Source { names: names.clone(), cache: cache.clone() };
        self.folders.push(Folder { path: self.root.join(path), names });
    }

    /// Adds an output of another stage as it was placed.
    pub fn output(&mut self, output: &PlacedOutput) {
        let top = self.root.join(&output.path);
        let mut names = BTreeSet::new();
        for entry in &output.entries {
            let is_top = entry.path.as_os_str().is_empty();
            if !is_top {
                names.insert(entry.path.clone());
            }
            let form = match entry.stat {
                stat if stat.is_folder() => continue,
                stat if stat.is_link() => Form::Link,
                _ => Form::File,
            };
            let path = if is_top { top.clone() } else { top.join(&entry.path) };
            self.files.push(Watched { path, stat: entry.stat, content: entry.object, form });
        }
        if output.entries.iter().any(|entry| entry.path.as_os_str().is_empty() && entry.stat.is_folder()) {
            self.folders.push(Folder { path: top, names: Content::Output(names) });
        }
    }

    /// Adds the path of one of the stage's own outputs.
    pub fn place(&mut self, path: &Path) {
        self.exits.extend(path.parent().map(Path::to_owned));
    }

    /// Every file with its content.
    pub fn contents(&self) -> impl Iterator<Item = (&Path, FileDigest)> {
        self.files.iter().map(|watched| (&*watched.path, watched.content))
    }

    /// The files that changed, and names added to or removed from folders. Touched files are read to find out.
    pub fn changed(&self) -> BTreeSet<PathBuf> {
        let changed = self.files.iter().filter(|watched| watched.has_changed()).map(|watched| watched.path.clone());
        changed.chain(self.folders.iter().flat_map(|folder| folder.differences(folder.tree().as_ref()))).collect()
    }

    /// The folders with new names.
    pub fn grown(&self) -> impl Iterator<Item = &Path> {
        let has_grown = |folder: &&Folder| !folder.differences(folder.tree().as_ref()).is_empty();
        self.folders.iter().filter(has_grown).map(|folder| &*folder.path)
    }

    /// Checks that every file has the key's content, and records their current stats for the check at the end.
    ///
    /// # Errors
    /// A failure that names files with other content.
    pub fn set(&mut self) -> Result<(), Failure> {
        let mut changed = BTreeSet::new();
        self.times.clear();
        for folder in &self.folders {
            let tree = folder.tree();
            changed.extend(folder.differences(tree.as_ref()));
            self.times.extend(folder.times(tree.as_ref()));
        }
        let way = Way::to(&self.root, &self.entrances);
        let links = |links: BTreeSet<PathBuf>| links.iter().filter_map(|link| Watched::link(link)).collect();
        self.links = links(way.links);
        self.ways_out = links(Way::to(&self.root, &self.exits).links);
        self.passed = way.folders.into_iter().map(|folder| (folder.clone(), Stat::of_itself(&folder).ok())).collect();
        let mut unsettled = Vec::new();
        for watched in self.files.iter_mut().chain(&mut self.links).chain(&mut self.ways_out) {
            match watched.set(false) {
                Ok(()) if watched.is_settled() => {}
                Ok(()) => unsettled.push(watched),
                Err(Changed) => drop(changed.insert(watched.path.clone())),
            }
        }
        // A further write in the same clock tick would leave the same stat.
        let pause = unsettled.iter().map(|watched| tick(&watched.stat)).max();
        if let Some(pause) = pause.filter(|_| changed.is_empty()) {
            std::thread::sleep(pause);
            for watched in unsettled {
                if watched.set(true).is_err() {
                    changed.insert(watched.path.clone());
                }
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        let names = self.named(&changed);
        Err(Failure::new(format!("{names} changed since the key of this stage was computed, so it was not started"))
            .with_help("run again: the stage gets a new key"))
    }

    /// What changed since the guard was [set](Guard::set).
    pub fn since(&self) -> Since {
        let mut changed: BTreeSet<PathBuf> =
            self.folders.iter().flat_map(|folder| folder.differences(folder.tree().as_ref())).collect();
        let mut touched = Touched { files: BTreeSet::new(), unwritten: true };
        for watched in self.files.iter().chain(&self.links).chain(&self.ways_out) {
            let now = watched.stat_now();
            if now.is_some_and(|now| now == watched.stat) {
                continue;
            }
            let Some(now) = now.filter(|now| watched.is_the_same(now)) else {
                changed.insert(watched.path.clone());
                continue;
            };
            let written = |stat: &Stat| (stat.dev, stat.ino, stat.mtime_ns);
            touched.unwritten &= written(&now) == written(&watched.stat);
            touched.files.insert(watched.path.clone());
        }
        let moved = self.times.iter().filter(|(path, stat)| !self.is_as_set(path, stat));
        touched.files.extend(moved.map(|(path, _)| path.clone()));
        let exchanged =
            self.passed.iter().filter(|(path, before)| was_exchanged(before.as_ref(), Stat::of_itself(path).ok()));
        touched.files.extend(exchanged.map(|(path, _)| path.clone()));
        match (changed.is_empty(), touched.files.is_empty()) {
            (false, _) => Since::Changed(changed),
            (true, false) => Since::Touched(touched),
            (true, true) => Since::Untouched,
        }
    }

    /// Whether no name was added to or removed from a folder, by its times. Python's bytecode and the program's own files
    /// may.
    fn is_as_set(&self, path: &Path, before: &Stat) -> bool {
        let Ok(now) = Stat::of(path) else { return false };
        let times = |stat: &Stat| (stat.dev, stat.ino, stat.mtime_ns, stat.ctime_ns);
        times(&now) == times(before) || self.folders.iter().any(|folder| folder.explains(path, before, &now))
    }

    /// The state when it was [set](Guard::set), for [`Guard::fits`]: stored with the resume data of an attempt.
    pub fn basis(&self) -> Vec<u8> {
        let basis = Basis {
            files: self.fingerprint().to_string(),
            folders: self.times.iter().map(|(path, stat)| (text(path), *stat)).collect(),
            passed: self.passed.iter().map(|(path, stat)| (text(path), *stat)).collect(),
        };
        serde_json::to_vec(&basis).expect("texts and numbers are always JSON")
    }

    /// Whether nothing was touched between setting the earlier guard of this stage with this basis and
    /// [setting](Guard::set) this one.
    pub fn fits(&self, basis: &[u8]) -> bool {
        let Ok(basis) = serde_json::from_slice::<Basis>(basis) else { return false };
        basis.files == self.fingerprint().to_string()
            && basis.folders.len() == self.times.len()
            && self
                .times
                .iter()
                .all(|(path, _)| basis.folders.get(&text(path)).is_some_and(|before| self.is_as_set(path, before)))
            && basis.passed.len() == self.passed.len()
            && self.passed.iter().all(|(path, now)| {
                basis.passed.get(&text(path)).is_some_and(|before| !was_exchanged(before.as_ref(), *now))
            })
    }

    /// The paths of files and links, with their stats when it was [set](Guard::set).
    fn fingerprint(&self) -> Digest {
        let mut encoder = Encoder::new("intrada/guard/1");
        encoder.list("files", self.files.len() + self.links.len());
        for Watched { path, stat, .. } in self.files.iter().chain(&self.links) {
            let Stat { dev, ino, size, mtime_ns, ctime_ns, mode } = *stat;
            let times = [mtime_ns, ctime_ns].map(i64::to_le_bytes).concat();
            let identity = [dev, ino, size, u64::from(mode)].map(u64::to_le_bytes).concat();
            encoder.field("path", path.as_os_str().as_bytes()).field("stat", &[identity, times].concat());
        }
        encoder.finish()
    }

    /// Paths for a message.
    pub fn named(&self, paths: &BTreeSet<PathBuf>) -> String {
        let name = |path: &PathBuf| format!("`{}`", path.strip_prefix(&self.root).unwrap_or(path).display());
        let mut names = paths.iter().take(NAMED).map(name).collect::<Vec<_>>().join(", ");
        if paths.len() > NAMED {
            names += &format!(" and {} more", paths.len() - NAMED);
        }
        names
    }

    /// The failure of a stage whose inputs changed while it ran.
    pub fn overtaken(&self, changed: &BTreeSet<PathBuf>) -> Failure {
        let names = self.named(changed);
        Failure::new(format!("{names} changed while the stage ran, so its result is not kept"))
            .with_help("run again; a stage can't write into a folder that it reads")
    }
}

impl Folder {
    /// Its current content; none if it can't be read.
    fn tree(&self) -> Option<Tree> {
        match &self.names {
            Content::Source { cache, .. } => survey(&self.path, cache).ok(),
            Content::Output(_) => Tree::survey(&self.path, Links::Kept).ok(),
        }
    }

    /// It and its sub-folders, with their stats.
    fn times(&self, tree: Option<&Tree>) -> Vec<(PathBuf, Stat)> {
        let is_folder = |shape: &Shape| matches!(shape, Shape::Folder | Shape::Link { behind: Behind::Folder, .. });
        let below = tree.into_iter().flat_map(|tree| {
            let folders = tree.shapes().filter(|(_, shape)| is_folder(shape));
            folders.map(|(name, _)| self.path.join(name)).collect::<Vec<_>>()
        });
        let all = std::iter::once(self.path.clone()).chain(below);
        all.filter_map(|path| Stat::of(&path).ok().map(|stat| (path, stat))).collect()
    }

    /// Whether times of a folder in it changed because of files that are excluded.
    fn explains(&self, path: &Path, before: &Stat, now: &Stat) -> bool {
        let Content::Source { cache, .. } = &self.names else { return false };
        let is_the_same = (before.dev, before.ino) == (now.dev, now.ino) && path.starts_with(&self.path);
        is_the_same
            && std::fs::read_dir(path).into_iter().flatten().flatten().any(|entry| {
                let made = || entry.metadata().and_then(|metadata| metadata.created()).ok();
                is_no_input(&entry.path(), &entry.path(), cache) && made().is_some_and(|made| now.is_of(made))
            })
    }

    /// The paths that were added, removed, or changed their type: a file, a folder, a link with another target. Contents of
    /// files are not compared.
    fn differences(&self, tree: Option<&Tree>) -> Vec<PathBuf> {
        let Some(tree) = tree else { return vec![self.path.clone()] };
        let different: Vec<PathBuf> = match &self.names {
            Content::Source { names, .. } => {
                let now = tree.names();
                let of = |all: &[(PathBuf, Shape)], name: &Path| {
                    all.binary_search_by(|(other, _)| by_name::compare(other, name)).ok().map(|at| all[at].1.clone())
                };
                let gone = names.iter().filter(|(name, _)| of(&now, name).is_none());
                let new = now.iter().filter(|(name, shape)| of(names, name).as_ref() != Some(shape));
                gone.chain(new).map(|(name, _)| name.clone()).collect()
            }
            Content::Output(names) => {
                let now: BTreeSet<PathBuf> = tree.shapes().map(|(name, _)| name).collect();
                names.symmetric_difference(&now).cloned().collect()
            }
        };
        different.into_iter().map(|name| self.path.join(name)).collect()
    }
}

/// A file's content doesn't match the key.
struct Changed;

impl Watched {
    /// A link itself, with its current target text.
    fn link(path: &Path) -> Option<Watched> {
        let stat = Stat::of_itself(path).ok()?;
        let target = std::fs::read_link(path).ok()?;
        let content = FileDigest(Digest::of(target.as_os_str().as_bytes()));
        Some(Watched { path: path.to_owned(), stat, content, form: Form::Link })
    }

    fn stat_now(&self) -> Option<Stat> {
        match self.form {
            Form::Followed => Stat::of(&self.path).ok(),
            Form::File | Form::Link => Stat::of_itself(&self.path).ok(),
        }
    }

    fn reads_as_it_did(&self) -> bool {
        let content = match self.form {
            Form::Link => std::fs::read_link(&self.path).map(|target| Digest::of(target.as_os_str().as_bytes())),
            // A file may have become a pipe, and opening that would block.
            _ if !self.stat_now().is_some_and(|stat| stat.is_file()) => return false,
            _ => Digest::of_file(&self.path).map(|(digest, _)| digest),
        };
        content.is_ok_and(|content| FileDigest(content) == self.content)
    }

    /// Whether its content is unchanged, given its current stat. The executable bit counts.
    fn is_the_same(&self, now: &Stat) -> bool {
        now.is_executable() == self.stat.is_executable() && self.reads_as_it_did()
    }

    fn has_changed(&self) -> bool {
        self.stat_now().is_none_or(|now| now != self.stat && !self.is_the_same(&now))
    }

    /// Adopts the current stat if the content is right; reads the content if the stat changed, or with `anyway`.
    fn set(&mut self, anyway: bool) -> Result<(), Changed> {
        let now = self.stat_now().ok_or(Changed)?;
        if (anyway || now != self.stat) && !self.is_the_same(&now) {
            return Err(Changed);
        }
        self.stat = now;
        Ok(())
    }

    /// Whether any later write shows in the stat.
    fn is_settled(&self) -> bool {
        match self.form {
            Form::Followed => self.stat.is_settled(now_ns()),
            Form::File | Form::Link => self.stat.is_content_settled(now_ns()),
        }
    }
}

#[cfg(test)]
mod tests;
