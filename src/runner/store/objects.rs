//! Objects: read-only files named by the digest of their content.
//!
//! Knows no keys and no paths outside the store. An object is never trusted because it exists or is read-only, only because
//! its content was hashed, or because its stat hasn't changed since it was hashed.

use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use tempfile::TempPath;

use super::answer::is_lack_of_room;
use super::artifact::{Artifact, Kind};
use super::error::{At, Error};
use super::later::Durable;
use super::publish::{is_without_parent, protect, protect_open, sync_files, sync_parents};
use super::stat::{Stat, now_ns, set_back_open_where_possible, set_back_where_possible};
use super::strange::{self, Record};
use super::tree::{Leaf, Visitor, WalkError, fold};
use super::upstream::Content;
use super::{Store, crash};
use crate::by_name::Hashing;
use crate::digest::{Digest, FileDigest, Pieces};
use crate::plain;

/// The bytes of a stream that are read, hashed and written at once.
const PIECE: u64 = 1 << 20;

/// How a file gets into the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// Copied; the original stays unchanged.
    Copy,
    /// Moved if possible: for files in our own staging folder that their writer has closed. If the store already has the
    /// content, the file stays where it is; the caller removes the staging folder either way.
    Move,
}

/// The result of checking an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// The content matches the name. With the stat at that moment.
    Intact(Stat),
    /// The content didn't match; the file is in quarantine now.
    Damaged,
    /// There is no such object.
    Missing,
}

/// Which objects were found intact, and their stat then: while the stat is unchanged, they needn't be hashed again.
#[derive(Debug, Default)]
pub struct Verified(Mutex<HashMap<FileDigest, Stat, Hashing>>);

impl Verified {
    /// Adds the results of an earlier run.
    pub fn extend(&self, objects: HashMap<FileDigest, Stat, Hashing>) {
        let mut map = self.lock();
        if map.is_empty() { *map = objects } else { map.extend(objects) }
    }

    /// The current results, to be saved for later runs.
    pub fn to_map(&self) -> HashMap<FileDigest, Stat, Hashing> {
        self.lock().clone()
    }

    /// Whether `stat` is the object's stat when it was found intact. Also true for hard links to it, which share the stat.
    pub fn confirms(&self, object: FileDigest, stat: &Stat) -> bool {
        self.lock().get(&object) == Some(stat)
    }

    /// The same for a file of which only the change time differs from when it was placed, as it does after a person has deleted another
    /// hard link to it: reads it, once.
    pub fn confirms_by_reading(&self, object: FileDigest, path: &Path, placed: &Stat) -> bool {
        let taken_at = now_ns();
        let Ok(stat) = Stat::of_itself(path) else { return false };
        let is_intact = stat.is_file()
            && placed.is_same_but_for_ctime(&stat)
            && Digest::of_file(path).is_ok_and(|(digest, _)| FileDigest(digest) == object);
        if is_intact && stat.is_content_settled(taken_at) {
            self.note(object, stat);
        }
        is_intact
    }

    pub(super) fn note(&self, object: FileDigest, stat: Stat) {
        self.lock().insert(object, stat);
    }

    /// Updates the stat if only the change time differs, as it does after a new hard link.
    pub(super) fn renew(&self, object: FileDigest, stat: Stat) {
        let mut map = self.lock();
        if let Some(known) = map.get_mut(&object).filter(|known| known.is_same_but_for_ctime(&stat)) {
            *known = stat;
        }
    }

    fn forget(&self, object: FileDigest) {
        self.lock().remove(&object);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FileDigest, Stat, Hashing>> {
        self.0.lock().expect("no code panics while it holds this map")
    }
}

impl Store {
    /// Stores the file or folder at `path`, durably. See [`Store::insert_by`].
    ///
    /// # Errors
    /// Those of [`Store::insert_by`].
    pub fn insert(&self, path: &Path, take: Take) -> Result<Artifact, Error> {
        self.insert_by(path, take, Durable::Now)
    }

    /// Stores the file or folder at `path`. A symbolic link at `path` itself is followed, links below a folder are kept.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Walk`] for anything but a file, folder or link, and [`Error::Changing`]. Objects stored before
    /// the error do no harm; with [`Take::Move`] each original is either in its place or an object.
    pub fn insert_by(&self, path: &Path, take: Take, durable: Durable) -> Result<Artifact, Error> {
        let mut stat = Stat::of_itself(path).at("look at", path)?;
        let (path, take) = if stat.is_link() {
            stat = Stat::of(path).at("look at", path)?;
            (fs::canonicalize(path).at("resolve", path)?, Take::Copy)
        } else {
            (path.to_owned(), take)
        };
        let insertion = Insertion { store: self, take, staged: Mutex::default() };
        if !stat.is_file() && !stat.is_folder() {
            // Opening a pipe would block until something writes to it.
            return Err(WalkError::Special { path }.into());
        }
        let artifact = if stat.is_folder() {
            fold(&path, &insertion)?
        } else {
            let Leaf { object, executable, size } = insertion.file(&path)?;
            Artifact { kind: Kind::File { executable }, object, size, files: 1 }
        };
        let staged = insertion.staged.into_inner().expect("no code panics while it holds this list");
        self.publish_objects(staged, durable)?;
        Ok(artifact)
    }

    /// Stores bytes as an object, durably.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn insert_bytes(&self, bytes: &[u8]) -> Result<FileDigest, Error> {
        self.insert_bytes_by(bytes, Durable::Now)
    }

    /// Stores bytes as an object.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn insert_bytes_by(&self, bytes: &[u8], durable: Durable) -> Result<FileDigest, Error> {
        let object = FileDigest(Digest::of(bytes));
        self.publish_objects(vec![Staged::bytes(self, object, bytes)?], durable)?;
        Ok(object)
    }

    /// The path of an object, whether or not it exists.
    pub fn object_path(&self, object: FileDigest) -> PathBuf {
        self.fanned("objects", object.0, "")
    }

    /// The verified content of an object; `None` if it is missing, or was damaged and is in quarantine now. If only an upstream
    /// has it, it is stored here too.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn read(&self, object: FileDigest) -> Result<Option<Vec<u8>>, Error> {
        let path = self.object_path(object);
        match strange::read(&path).at("read", &path)? {
            Record::Bytes(bytes) if FileDigest(Digest::of(&bytes)) == object => return Ok(Some(bytes)),
            Record::Absent => {}
            Record::Bytes(_) | Record::Strange => {
                self.verified.forget(object);
                self.quarantine(&path)?;
            }
        }
        let pulled = self.pull_bytes(object);
        if let Some(bytes) = pulled.as_ref().filter(|_| !self.only_looks) {
            self.publish_objects(vec![Staged::bytes(self, object, bytes)?], Durable::Now)?;
        }
        Ok(pulled)
    }

    /// Verifies an object: by its stat if that hasn't changed since the last verification, otherwise by hashing. A damaged
    /// object goes to quarantine, so that no other process uses it.
    ///
    /// # Errors
    /// [`Error::Io`] if the object can't be read; it may still be intact.
    pub fn check(&self, object: FileDigest) -> Result<Health, Error> {
        match Stat::of_itself(&self.object_path(object)) {
            Ok(stat) if self.verified.confirms(object, &stat) => Ok(Health::Intact(stat)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.verified.forget(object);
                Ok(Health::Missing)
            }
            _ => self.check_content(object),
        }
    }

    /// Like [`Store::check`], but always hashes.
    pub(super) fn check_content(&self, object: FileDigest) -> Result<Health, Error> {
        let path = self.object_path(object);
        let taken_at = now_ns();
        let stat = match Stat::of_itself(&path) {
            Ok(stat) => stat,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                self.verified.forget(object);
                return Ok(Health::Missing);
            }
            Err(error) => return Err(error).at("look at", &path),
        };
        let is_intact = match Digest::of_file(&path) {
            // Even a link to the right content is no object: its target may change at any time.
            _ if !stat.is_file() => false,
            Ok((digest, _)) => FileDigest(digest) == object,
            // Another process has quarantined or removed it since.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Health::Missing),
            Err(error) => return Err(error).at("read", &path),
        };
        if is_intact {
            if stat.is_content_settled(taken_at) {
                self.verified.note(object, stat);
            }
            return Ok(Health::Intact(stat));
        }
        self.verified.forget(object);
        self.quarantine(&path)?;
        Ok(Health::Damaged)
    }

    /// Publishes staged files as objects: syncs all, then renames all, then syncs the folders; or leaves the syncing for later.
    pub(super) fn publish_objects(&self, staged: Vec<Staged>, durable: Durable) -> Result<(), Error> {
        crash::point("objects staged");
        if durable == Durable::Now {
            sync_files(&Vec::from_iter(staged.iter().map(Staged::path)))?;
        }
        crash::point("objects synced");
        let mut renamed = Vec::new();
        for Staged { object, place, stat } in staged {
            // A damaged object of the same name goes to quarantine and is replaced; so is one that can't be read.
            let path = self.object_path(object);
            if let Ok(Health::Intact(_)) = self.check(object) {
                // It may be of another run, and not durable yet.
                match durable {
                    Durable::Now => {
                        sync_files(&[&path])?;
                        renamed.push(path);
                    }
                    Durable::Soon => self.later.note_file(&path),
                }
                continue;
            }
            match place {
                Place::Temporary(temporary) => match temporary.persist(&path) {
                    Err(error) if is_without_parent(&error.error) => {
                        self.ensure_parent(&path, durable)?;
                        error.path.persist(&path)
                    }
                    result => result,
                }
                .map_err(|error| error.error),
                Place::Own(own) => {
                    self.ensure_parent(&path, durable)?;
                    rename_or_copy(self, &own, &path)
                }
            }
            .at("publish", &path)?;
            crash::point("objects renamed");
            if durable == Durable::Soon {
                // Before it counts as intact: an index that says so is written after these were synced.
                self.later.note_file(&path);
            }
            let now = Stat::of_itself(&path).at("look at", &path)?;
            if now.is_same_but_for_ctime(&stat) {
                self.verified.note(object, now);
            }
            renamed.push(path);
        }
        if durable == Durable::Now {
            sync_parents(renamed.iter().map(PathBuf::as_path))?;
        }
        crash::point("objects published");
        Ok(())
    }

    /// Copies `from` into the new file `to`: by sharing blocks if the file system can do that, otherwise by copying bytes.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub(super) fn clone_or_copy(&self, from: &Path, to: &File) -> io::Result<()> {
        let from = plain::open(from)?;
        // Cloning may fail for a single file, or across file systems. If there is a real problem, copying reports it.
        if !(self.can_clone() && clone_blocks(&from, to).is_ok()) {
            io::copy(&mut &from, &mut &*to)?;
        }
        Ok(())
    }

    /// Whether files of this file system can share blocks. Tried once, with two files in `tmp/`.
    pub(super) fn can_clone(&self) -> bool {
        *self.can_clone.get_or_init(|| {
            let files = || self.temporary(|builder, tmp| Ok([builder.tempfile_in(tmp)?, builder.tempfile_in(tmp)?]));
            files().is_ok_and(|[from, to]| clone_blocks(from.as_file(), to.as_file()).is_ok())
        })
    }
}

#[cfg(target_os = "linux")]
pub(super) fn clone_blocks(from: &File, to: &File) -> io::Result<()> {
    Ok(rustix::fs::ioctl_ficlone(to, from)?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn clone_blocks(_from: &File, _to: &File) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Some mounts share a device number and still refuse a rename across them.
fn rename_or_copy(store: &Store, from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => {
            let copy = tempfile::NamedTempFile::new_in(store.root.join("tmp"))?;
            io::copy(&mut File::open(from)?, &mut copy.as_file())?;
            copy.as_file().sync_all()?;
            let _ = fs::set_permissions(copy.path(), Permissions::from_mode(0o444));
            copy.into_temp_path().persist(to).map_err(|error| error.error)
        }
        result => result,
    }
}

/// A file ready to be published as an object.
pub(super) struct Staged {
    object: FileDigest,
    place: Place,
    /// Its stat when its content was known.
    stat: Stat,
}

/// Why content from an upstream couldn't be staged.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// It couldn't be read from the upstream.
    #[error(transparent)]
    Source(io::Error),
    /// It couldn't be written to this store.
    #[error(transparent)]
    Store(#[from] Error),
}

enum Place {
    /// In `tmp/`; removed on drop unless published.
    Temporary(TempPath),
    /// Where its writer left it; stays there unless published, so that a full disk loses no results.
    Own(PathBuf),
}

impl Staged {
    fn bytes(store: &Store, object: FileDigest, bytes: &[u8]) -> Result<Staged, Error> {
        let temporary = store.stage_bytes(bytes)?;
        let stat = set_back_where_possible(&temporary).at("set the time of", &temporary)?;
        Ok(Staged { object, place: Place::Temporary(temporary), stat })
    }

    /// Stages what an upstream returned; `None` if it isn't the object.
    pub(super) fn of_content(store: &Store, object: FileDigest, content: Content) -> Result<Option<Staged>, Failed> {
        match content {
            Content::File(file) => Staged::copy_of(store, object, file),
            Content::Stream(mut stream) => Staged::from_reader(store, object, &mut stream),
        }
    }

    /// Shares the file's blocks if the file system can do that, otherwise copies it.
    fn copy_of(store: &Store, object: FileDigest, mut file: File) -> Result<Option<Staged>, Failed> {
        if store.can_clone() {
            let temporary = store.temporary(|builder, tmp| builder.tempfile_in(tmp))?;
            // Fails if the file is on another file system.
            if clone_blocks(&file, temporary.as_file()).is_ok() {
                let temporary = temporary.into_temp_path();
                let hashed = hash_still(&temporary)?.filter(|(_, digest)| FileDigest(*digest) == object);
                return Ok(hashed.map(|(stat, _)| Staged { object, place: Place::Temporary(temporary), stat }));
            }
        }
        Staged::from_reader(store, object, &mut file)
    }

    /// Copies from a reader and hashes while copying; `None` if it isn't the object. Holds one piece in memory at a time.
    fn from_reader(store: &Store, object: FileDigest, reader: &mut dyn Read) -> Result<Option<Staged>, Failed> {
        let mut temporary = store.temporary(|builder, tmp| builder.tempfile_in(tmp))?;
        let (mut pieces, mut piece) = (Pieces::default(), Vec::new());
        loop {
            piece.clear();
            reader.take(PIECE).read_to_end(&mut piece).map_err(Failed::Source)?;
            pieces.add(&piece);
            temporary.write_all(&piece).at("write", temporary.path())?;
            if (piece.len() as u64) < PIECE {
                break;
            }
        }
        let temporary = temporary.into_temp_path();
        if FileDigest(pieces.digest()) != object {
            return Ok(None);
        }
        protect(&temporary)?;
        let stat = set_back_where_possible(&temporary).at("set the time of", &temporary)?;
        Ok(Some(Staged { object, place: Place::Temporary(temporary), stat }))
    }

    fn path(&self) -> &Path {
        match &self.place {
            Place::Temporary(path) => path,
            Place::Own(path) => path,
        }
    }
}

/// Stages the files of one artifact.
struct Insertion<'a> {
    store: &'a Store,
    take: Take,
    staged: Mutex<Vec<Staged>>,
}

impl Insertion<'_> {
    fn push(&self, staged: Staged) {
        self.staged.lock().expect("no code panics while it holds this list").push(staged);
    }

    /// Copies a file into `tmp/`; `None` if it changed while being copied.
    fn copy(&self, path: &Path, before: &Stat) -> Result<Option<(Place, Stat, Digest)>, Error> {
        let temporary = self.store.temporary(|builder, tmp| builder.tempfile_in(tmp))?;
        match self.store.clone_or_copy(path, temporary.as_file()) {
            // The cache's disk is full.
            Err(error) if is_lack_of_room(&error) => return Err(error).at("write", temporary.path()),
            copied => copied.at("copy", path)?,
        }
        if Stat::of_itself(path).at("look at", path)? != *before {
            return Ok(None);
        }
        let temporary = temporary.into_temp_path();
        let hashed = hash_still(&temporary)?;
        Ok(hashed.map(|(stat, digest)| (Place::Temporary(temporary), stat, digest)))
    }
}

/// Makes a file read-only and hashes it; `None` if it changed while being hashed.
///
/// By one open file: each look through a path costs as much as all the rest for a small one.
fn hash_still(path: &Path) -> Result<Option<(Stat, Digest)>, Error> {
    let (file, metadata) = match plain::open_file(path) {
        // Its writer may have been the last who could read it.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            protect(path)?;
            plain::open_file(path)
        }
        opened => opened,
    }
    .at("read", path)?;
    protect_open(&file, &metadata, path)?;
    let (settled, before) = set_back_open_where_possible(&file).at("set the time of", path)?;
    let (digest, size) = Digest::of_whole_file(&file, before.size).at("read", path)?;
    let after = Stat::of_itself(path).at("look at", path)?;
    Ok((before == after && size == after.size).then_some((settled, digest)))
}

impl Visitor for Insertion<'_> {
    type Error = Error;

    fn file(&self, path: &Path) -> Result<Leaf, Error> {
        // Looked at first: moving an original clears the executable bit.
        let mut metadata = fs::symlink_metadata(path).at("look at", path)?;
        let executable = Stat::from(&metadata).is_executable();
        for is_last in [false, true] {
            let stat = Stat::from(&metadata);
            // With further hard links, moving would make those read-only, and the object writable through them.
            let ours = self.take == Take::Move && stat.dev == self.store.device && metadata.nlink() == 1;
            let staged = if ours {
                hash_still(path)?.map(|(stat, digest)| (Place::Own(path.to_owned()), stat, digest))
            } else {
                self.copy(path, &stat)?
            };
            if let Some((place, hashed, digest)) = staged {
                let object = FileDigest(digest);
                self.push(Staged { object, place, stat: hashed });
                return Ok(Leaf { object, executable, size: hashed.size });
            }
            if !is_last {
                metadata = fs::symlink_metadata(path).at("look at", path)?;
            }
        }
        Err(Error::Changing { path: path.to_owned() })
    }

    fn bytes(&self, _path: &Path, bytes: &[u8]) -> Result<FileDigest, Error> {
        let object = FileDigest(Digest::of(bytes));
        self.push(Staged::bytes(self.store, object, bytes)?);
        Ok(object)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        (dir, store)
    }

    /// As a broken disk or a careless person would: the mode doesn't help, the times move.
    fn overwrite(path: &Path, bytes: &[u8]) {
        fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o444)).unwrap();
    }

    #[test]
    fn an_object_is_read_only_and_stays_when_its_original_is_edited() {
        let (dir, store) = store();
        let path = dir.path().join("file");
        fs::write(&path, "one").unwrap();
        let artifact = store.insert(&path, Take::Copy).unwrap();
        fs::write(&path, "two").unwrap();
        let object = store.object_path(artifact.object);
        assert_eq!(fs::read(&object).unwrap(), b"one");
        assert_eq!(fs::metadata(&object).unwrap().permissions().mode() & 0o777, 0o444);
    }

    #[test]
    fn moving_takes_the_very_file_and_copying_none() {
        let (dir, store) = store();
        let path = dir.path().join("file");
        fs::write(&path, "one").unwrap();
        let ino = Stat::of(&path).unwrap().ino;
        let artifact = store.insert(&path, Take::Move).unwrap();
        assert_eq!(Stat::of(&store.object_path(artifact.object)).unwrap().ino, ino);
        assert!(!path.exists());
        assert_eq!(fs::read_dir(store.root().join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn a_file_with_a_second_name_is_copied_even_when_it_may_be_moved() {
        let (dir, store) = store();
        let [path, other] = ["file", "other"].map(|name| dir.path().join(name));
        fs::write(&path, "one").unwrap();
        fs::hard_link(&path, &other).unwrap();
        let artifact = store.insert(&path, Take::Move).unwrap();
        fs::write(&other, "two").unwrap();
        assert!(matches!(store.check(artifact.object), Ok(Health::Intact(_))));
    }

    #[test]
    fn a_damaged_object_is_quarantined_and_healed_by_the_next_insertion() {
        let (dir, store) = store();
        let path = dir.path().join("file");
        fs::write(&path, "one").unwrap();
        let object = store.insert(&path, Take::Copy).unwrap().object;
        overwrite(&store.object_path(object), b"0ne");
        assert_eq!(store.check(object).unwrap(), Health::Damaged);
        assert_eq!(store.check(object).unwrap(), Health::Missing);
        assert_eq!(fs::read_dir(store.root().join("quarantine")).unwrap().count(), 1);

        overwrite(&path, b"one");
        store.insert(&path, Take::Copy).unwrap();
        overwrite(&store.object_path(object), b"One");
        store.insert(&path, Take::Copy).unwrap();
        assert!(matches!(store.check(object).unwrap(), Health::Intact(_)));
    }

    #[test]
    fn many_threads_may_store_the_same_content_at_once() {
        let (dir, store) = store();
        let object = FileDigest(Digest::of(b"same"));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (store, path) = (&store, dir.path().join(thread.to_string()));
                scope.spawn(move || {
                    for _ in 0..10 {
                        fs::write(&path, "same").unwrap();
                        assert_eq!(store.insert(&path, Take::Copy).unwrap().object, object);
                        assert!(matches!(store.check(object).unwrap(), Health::Intact(_)));
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(store.root().join("quarantine")).unwrap().count(), 0);
    }

    #[test]
    fn an_object_whose_stat_is_unchanged_is_not_hashed_again() {
        let (_dir, store) = store();
        let object = store.insert_bytes(b"one").unwrap();
        let other = FileDigest(Digest::of(b"never stored"));
        let Health::Intact(stat) = store.check(object).unwrap() else { panic!("it was just stored") };
        fs::create_dir_all(store.object_path(other).parent().unwrap()).unwrap();
        fs::hard_link(store.object_path(object), store.object_path(other)).unwrap();
        let linked = Stat::of(&store.object_path(other)).unwrap();
        assert!(linked.is_same_but_for_ctime(&stat));
        // Only a memo can make this one pass, as its content belongs to another name.
        store.verified().extend(HashMap::from_iter([(other, linked)]));
        assert_eq!(store.check(other).unwrap(), Health::Intact(linked));
    }

    proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
        #[test]
        fn flipping_any_bit_of_an_object_is_noticed(
            bytes in proptest::collection::vec(any::<u8>(), 1..200),
            at in any::<proptest::sample::Index>(),
            bit in 0..8,
        ) {
            let (_dir, store) = store();
            let object = store.insert_bytes(&bytes).unwrap();
            prop_assert!(matches!(store.check(object).unwrap(), Health::Intact(_)));
            let mut flipped = bytes.clone();
            flipped[at.index(bytes.len())] ^= 1u8 << bit;
            overwrite(&store.object_path(object), &flipped);
            prop_assert_eq!(store.check(object).unwrap(), Health::Damaged);
            prop_assert_eq!(store.read(object).unwrap(), None);
        }
    }
}
