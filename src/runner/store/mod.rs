//! The store: the cache folder, which keeps finished work under the key that determines it.
//!
//! Knows keys, artifacts and bytes; no stages, no pipelines, and a trace's manifest is opaque JSON to it. It is a folder of
//! plain files rather than a database, so that several processes and machines may use it at once, a person can read it, and
//! it never needs repair: damaged files count as missing and are re-computed.
//!
//! ```text
//! cache/
//!   CACHEDIR.TAG          tells backup programs to pass by; also marks the workspace's root (see the room `mark`)
//!   version               "intrada store 1": which programs may use this folder
//!   objects/ab/cdef…      contents, read-only, named by their digest: of files, folder listings, link targets
//!   traces/ab/cdef….json  one small record a key: what the outputs of that computation were
//!   signatures/ab/cdef….json  who vouches for that record, and where it came from if not from here
//!   items/ab/cdef…        what was found of single items of data sets, one small file a setting
//!   samples/ab/cdef…      images and labels as decoded and resized, for data sets with `cache`; gone or damaged, they are made again
//!   slots/<key>/          a private folder that survives a failed or killed job and is offered to the same key again
//!   locks/<key>           held while somebody computes that key
//!   locks/kind            the kind of locks, where other machines may share the cache (see `lock`)
//!   logs/<key>.log        what the job said
//!   workspaces/<id>/      of one workspace: its place, its runs at work, what they have put aside for as long as they do, and
//!                         the index: what its files were when last seen
//!   pins/<key>            keeps a result from gc
//!   unpushed/<key>.json   a result that is still to be copied to shared caches
//!   tmp/                  everything starts here and is renamed into its place when it is complete
//!   quarantine/           damaged objects and traces, for whoever wants to know what happened
//!   orphans/              what only a person has, an edited output or a file of their own, and an output took the place of
//! ```
//!
//! **Publication.** Written in `tmp/`, synced, renamed, the folder synced; objects first, the trace that names them last. What took a
//! moment to compute is synced a moment after it was renamed, together with others (`later`).
//! A process killed between any two of these steps leaves garbage in `tmp/` and nothing else.
//!
//! **Versions.** A program uses a store of a version that it knows and refuses a newer one. A layout change that older
//! programs would misread increments the number; a new folder next to these doesn't. See docs/cache-format.md.

mod answer;
mod artifact;
pub mod aside;
pub mod beside;
pub mod capabilities;
mod carry;
pub mod choice;
pub mod claim;
mod crash;
mod error;
pub mod gc;
mod handover;
mod heal;
mod holder;
mod in_use;
pub mod index;
mod items;
mod job_folder;
mod kernel;
mod later;
mod layout;
mod lease;
pub mod listing;
mod lock;
mod making;
pub mod mount;
mod objects;
mod pin;
mod present;
mod publish;
mod pull;
mod push;
mod renewed;
mod restore;
pub mod room;
#[cfg(test)]
mod sample;
mod samples;
mod signature;
mod slot;
mod spares;
pub mod stat;
mod strange;
mod trace;
pub mod tree;
mod unpushed;
pub mod upstream;
mod usage;
pub mod verify;
mod workspace;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub use self::artifact::{Artifact, Kind, Placement};
pub use self::aside::PutAside;
pub use self::error::Error;
pub use self::holder::Holder;
pub use self::job_folder::{JobFolder, SUBMISSION};
pub use self::later::Durable;
pub use self::lease::{Attempt, Hold, Lease};
pub use self::lock::LockKind;
pub use self::objects::{Health, Take, Verified};
pub use self::pin::Pin;
pub use self::push::Sent;
pub use self::restore::Restored;
pub use self::signature::Signing;
pub use self::slot::ResumeSlot;
pub use self::trace::{Recorded, Trace, TracedOutput};
pub use self::unpushed::Unpushed;
pub use self::usage::{Tally, Usage};
pub use self::workspace::Visit;

use self::error::At;
use self::later::Later;
use self::lock::Locks;
use self::making::Made;
use self::upstream::Upstreams;
use self::workspace::AtWork;
use crate::digest::{Digest, Key};
use crate::mark::{self, Stands, VERSION_PREFIX};
use crate::plain;
use crate::signing::Keyring;

/// The version of the layout that this program writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// An open cache folder. May be shared between threads.
#[derive(Debug)]
pub struct Store {
    /// The folder, absolute, without symbolic links.
    root: PathBuf,
    /// Device of the folder, to know in advance when a rename can't succeed.
    device: u64,
    verified: Verified,
    /// Whether the file system can share blocks between files, once tried.
    can_clone: OnceLock<bool>,
    /// How locks are taken in it.
    locking: Locks,
    /// The same for leases, which come and go with each stage.
    lease_locks: OnceLock<Locks>,
    /// For a run: its workspace.
    at_work: OnceLock<AtWork>,
    /// Opened read-only: nothing in it is changed, damaged or not.
    only_looks: bool,
    /// There was none to look at.
    is_absent: bool,
    upstreams: Upstreams,
    /// What signs records, and whose signatures are asked for.
    keyring: Keyring,
    /// What is still to be made durable.
    later: Later,
    /// Folders of claims that were found usable.
    claims: claim::Known,
    /// What opening created; removed on closing if nothing was stored.
    made: Made,
}

/// Required folders, writable for a run.
const FOLDERS: [&str; 12] =
    ["", "workspaces", "objects", "traces", "items", "slots", "locks", "logs", "tmp", "quarantine", "orphans", "pins"];

/// What a folder that becomes a store may hold: [`Store::open`] writes two of them, people the others.
const OWN_FILES: [&str; 4] = ["README.md", ".gitignore", "version", mark::TAG];

impl Store {
    /// Opens the cache folder at `root` for working, creating it if missing. A created cache is removed on closing if
    /// nothing was stored: a refused command leaves nothing behind.
    ///
    /// # Errors
    /// [`Error::Occupied`] if it holds other things, [`Error::NewerVersion`] if a newer program made it, [`Error::ReadOnly`] if
    /// it can't be written to, [`Error::Io`] otherwise.
    pub fn open(root: &Path) -> Result<Store, Error> {
        // A link may point to a cache elsewhere.
        let stands = if root.is_symlink() { Stands::Elsewhere } else { Stands::InItsWorkspace };
        Store::open_as(root, stands)
    }

    /// The same, and returns its path if this created it.
    ///
    /// # Errors
    /// Those of [`Store::open`].
    pub fn open_as(root: &Path, stands: Stands) -> Result<Store, Error> {
        refuse_somebody_s_folder(root)?;
        // Before anything is created: a newer layout may give these names another meaning.
        read_version(root)?;
        let made = Made::make_and_stay(root, &FOLDERS)?;
        // Again: who had made the cache may have removed it in between.
        let version = read_version(root)?;
        let mut store = Store { made, ..Store::at(root, false)? };
        let (locking, noted) = choice::of_cache(&store.root)?;
        store.locking = locking;
        store.made.note(noted);
        if version == Version::Absent {
            let text = format!("{VERSION_PREFIX}{VERSION}\n");
            store.made_file("version", &text)?;
        }
        if !mark::has_own_tag(&store.root) {
            store.made_file(mark::TAG, &mark::tag(stands))?;
        }
        Ok(store)
    }

    /// Opens the cache folder at `root` read-only. Nothing is written, so it may belong to somebody else or be on a
    /// read-only file system. A missing one is empty.
    ///
    /// # Errors
    /// [`Error::Occupied`], [`Error::NewerVersion`], [`Error::Io`].
    pub fn look_at(root: &Path) -> Result<Store, Error> {
        refuse_somebody_s_folder(root)?;
        read_version(root)?;
        Store::at(root, true)
    }

    fn at(root: &Path, only_looks: bool) -> Result<Store, Error> {
        let mut is_absent = false;
        let (root, device) = match fs::canonicalize(root) {
            // It is empty, so nothing in it will be read.
            Err(error) if only_looks && error.kind() == ErrorKind::NotFound => {
                is_absent = true;
                (std::path::absolute(root).at("resolve", root)?, 0)
            }
            found => {
                let root = found.at("resolve", root)?;
                let device = stat::Stat::of(&root).at("look at", &root)?.dev;
                (root, device)
            }
        };
        Ok(Store {
            locking: choice::of_looking(&root),
            lease_locks: OnceLock::new(),
            root,
            device,
            verified: Verified::default(),
            can_clone: OnceLock::new(),
            at_work: OnceLock::new(),
            only_looks,
            is_absent,
            upstreams: Upstreams::default(),
            keyring: Keyring::default(),
            later: Later::default(),
            claims: claim::Known::default(),
            made: Made::default(),
        })
    }

    /// Whether it is only looked at, and there was no cache folder.
    pub fn is_absent(&self) -> bool {
        self.is_absent
    }

    /// The cache folder: absolute, without symbolic links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether it, or part of it, was deleted since it was opened.
    pub fn was_deleted(&self) -> bool {
        FOLDERS.iter().any(|folder| !self.root.join(folder).is_dir())
    }

    /// Objects known to be intact. Loaded from a workspace's index at the start, saved to it at the end.
    pub fn verified(&self) -> &Verified {
        &self.verified
    }

    /// The log of the job of `key`.
    pub fn log_path(&self, key: Key) -> PathBuf {
        self.root.join("logs").join(format!("{key}.log"))
    }

    /// The path of the index of the workspace at `workspace`; every workspace that shares this store has its own.
    ///
    /// # Errors
    /// [`Error::Io`] if the workspace's folder can't be resolved.
    pub fn index_path(&self, workspace: &Path) -> Result<PathBuf, Error> {
        let workspace = fs::canonicalize(workspace).at("resolve", workspace)?;
        let id = Digest::of(workspace.as_os_str().as_encoded_bytes()).to_string();
        Ok(self.root.join("workspaces").join(&id[..16]).join("index"))
    }

    /// `<folder>/ab/cdef…`: in sub-folders, because some file systems become slow with many names in one folder.
    fn fanned(&self, folder: &str, digest: Digest, ending: &str) -> PathBuf {
        fanned_below(&self.root, folder, digest, ending)
    }
}

fn fanned_below(root: &Path, folder: &str, digest: Digest, ending: &str) -> PathBuf {
    let name = digest.to_string();
    root.join(folder).join(&name[..2]).join(format!("{}{ending}", &name[2..]))
}

/// The content of the file `version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// A known version.
    Known,
    /// Missing or damaged: it is written again. Only newer programs would write another.
    Absent,
}

/// Refuses a store of an unknown version.
fn read_version(root: &Path) -> Result<Version, Error> {
    let path = root.join("version");
    let text = match plain::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Err(error).at("read", &path),
        read => read.unwrap_or_default(),
    };
    match text.trim_end().strip_prefix(VERSION_PREFIX).and_then(|number| number.parse::<u32>().ok()) {
        Some(found) if found > VERSION => Err(Error::NewerVersion { path: root.to_owned(), found }),
        Some(_) => Ok(Version::Known),
        None => Ok(Version::Absent),
    }
}

/// A folder with other contents is not made a store: backups would skip its contents from then on, and other programs'
/// files might be deleted.
fn refuse_somebody_s_folder(root: &Path) -> Result<(), Error> {
    if mark::is_ours(root) {
        return Ok(());
    }
    let occupied = |what: &str| Err(Error::Occupied { path: root.to_owned(), what: what.to_owned() });
    if root.is_symlink() && !root.exists() {
        return occupied("but a link that leads nowhere");
    }
    if mark::is_another_s(root) {
        return occupied("and not empty: another program has marked it as its own");
    }
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotADirectory => return occupied("and no folder"),
        Err(_) => return Ok(()),
    };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort_unstable();
    // What active runs leave of a store that is deleted under them, or have created so far of a new one: this folder is the
    // first. Checked after the names, as another process may be creating them.
    let is_left_over = root.join("workspaces").is_dir();
    let is_folder = |name: &str| FOLDERS.contains(&name) || name == samples::FOLDER;
    let is_own = |name: &str| is_folder(name) && is_left_over || OWN_FILES.contains(&name);
    match names.iter().find(|name| !name.to_str().is_some_and(is_own)) {
        Some(name) => occupied(&format!("and not empty: it holds `{}`", name.display())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_opens_again_and_a_newer_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        let _store = Store::open(&cache).unwrap();
        Store::open(&cache).unwrap();
        assert!(fs::read_to_string(cache.join("CACHEDIR.TAG")).unwrap().starts_with("Signature: 8a477f59"));

        fs::write(cache.join("version"), "intrada store 2\n").unwrap();
        let message = Store::open(&cache).unwrap_err().to_string();
        assert!(message.contains("version 2") && message.contains(&*cache.to_string_lossy()), "{message}");

        assert!(Store::look_at(&cache).is_err());
    }

    #[test]
    fn looking_at_a_store_changes_nothing_in_it_not_even_what_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        assert_eq!(Store::look_at(&cache).unwrap().keys().unwrap(), []);
        let object = Store::open(&cache).unwrap().insert_bytes(b"one").unwrap();
        let store = Store::look_at(&cache).unwrap();
        fs::remove_dir(cache.join("quarantine")).unwrap();
        fs::remove_file(store.object_path(object)).unwrap();
        fs::write(store.object_path(object), "two").unwrap();
        assert_eq!(store.read(object).unwrap(), None);
        assert_eq!(store.check(object).unwrap(), Health::Damaged);
        assert!(store.object_path(object).exists() && !cache.join("quarantine").exists());
    }

    #[test]
    fn a_folder_with_other_things_in_it_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("README.md"), "").unwrap();
        Store::open(dir.path()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "").unwrap();
        assert!(matches!(Store::open(dir.path()), Err(Error::Occupied { .. })));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_run_leaves_of_a_store_deleted_under_it_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        let store = Store::open(&cache).unwrap();
        assert!(!store.was_deleted());
        fs::remove_dir_all(&cache).unwrap();
        assert!(store.was_deleted());
        fs::create_dir_all(cache.join("workspaces/1/attempts")).unwrap();
        fs::create_dir(cache.join("logs")).unwrap();
        let _again = Store::open(&cache).unwrap();
        assert!(!store.was_deleted() && cache.join("CACHEDIR.TAG").exists());
    }

    #[test]
    fn two_workspaces_have_two_indexes_and_one_has_one_whatever_it_is_called() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let [a, b] = ["a", "b"].map(|name| dir.path().join(name));
        fs::create_dir(&a).unwrap();
        fs::create_dir(&b).unwrap();
        assert_ne!(store.index_path(&a).unwrap(), store.index_path(&b).unwrap());
        assert_eq!(store.index_path(&a).unwrap(), store.index_path(&b.join("../a")).unwrap());
    }
}
