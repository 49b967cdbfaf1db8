//! Shared caches: other stores that are only read, asked for what our own hasn't.
//!
//! Knows them as folders of the same layout, perhaps on a read-only mount, perhaps somebody else's. What is taken from one is
//! copied and hashed on the way, never linked: a hard link would let an edit here damage what everybody uses, and to make one
//! is to write to it already. What is wrong with a shared cache is told and otherwise the same as its not being there.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::error::{At, Error};
use super::objects::Staged;
use super::trace::{Found, decode};
use super::{Store, fanned_below, read_version};
use crate::digest::{Digest, FileDigest, Key};
use crate::{mark, plain};

/// The shared caches of a store.
#[derive(Debug, Default)]
pub(super) struct Shared {
    roots: Vec<PathBuf>,
    /// What is wrong with them and hasn't been told yet.
    complaints: Mutex<Vec<String>>,
    /// What has been complained of.
    complained: Mutex<HashSet<PathBuf>>,
}

impl Shared {
    fn complain(&self, path: PathBuf, what: &str) {
        let lock = "no code panics while it holds this list";
        let text = format!("the shared cache is not used for this: `{}` {what}", path.display());
        if self.complained.lock().expect(lock).insert(path) {
            self.complaints.lock().expect(lock).push(text);
        }
    }
}

/// The folder of a shared cache, without symbolic links.
fn open(folder: &Path) -> Result<PathBuf, Error> {
    let root = fs::canonicalize(folder).at("resolve", folder)?;
    read_version(&root)?;
    if mark::is_ours(&root) { Ok(root) } else { Err(Error::NotAStore { path: folder.to_owned() }) }
}

impl Store {
    /// With these stores to read from, asked in this order. One that isn't there, or is of a newer version, is complained of
    /// and left out.
    #[must_use]
    pub fn with_shared(mut self, folders: &[PathBuf]) -> Store {
        for folder in folders {
            match open(folder) {
                Ok(root) if root == self.root || self.shared.roots.contains(&root) => {}
                Ok(root) => self.shared.roots.push(root),
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                    self.shared
                        .complain(folder.clone(), &format!("can't be used: {error}{}", cause.unwrap_or_default()));
                }
            }
        }
        self
    }

    /// What is wrong with the shared caches and hasn't been asked for yet. Each thing is told once.
    pub fn complaints(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.complaints.lock().expect("no code panics while it holds this list"))
    }

    /// The shared cache that has the result of `key`, if our own has not.
    pub fn lender(&self, key: Key) -> Option<&Path> {
        let is_our_own = || matches!(self.find(key), Ok(Some(Found::Trace(_))));
        let borrows = !self.shared.roots.is_empty() && !is_our_own();
        borrows.then(|| self.borrow(key)).flatten().map(|(root, ..)| root)
    }

    /// Makes a borrowed result our own, so that it is found though the shared cache is away, and let go by our limits. Its
    /// objects must have been restored before.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn adopt(&self, key: Key) -> Result<(), Error> {
        match self.lender(key).and_then(|_| self.borrow(key)) {
            Some((_, bytes, _)) => self.publish_file(self.stage_bytes(&bytes)?, &self.trace_path(key)),
            None => Ok(()),
        }
    }

    /// A trace of a shared cache: where, its bytes, and what they mean.
    pub(super) fn borrow(&self, key: Key) -> Option<(&Path, Vec<u8>, super::Trace)> {
        self.shared.roots.iter().find_map(|root| {
            let path = fanned_below(root, "traces", key.0, ".json");
            let bytes = plain::read(&path).ok()?;
            match decode(&bytes, key) {
                Found::Trace(trace) => Some((root.as_path(), bytes, *trace)),
                Found::OtherFormat => None,
                Found::Damaged => {
                    self.shared.complain(path, "is damaged");
                    None
                }
            }
        })
    }

    /// The content of an object of a shared cache, checked.
    pub(super) fn borrow_bytes(&self, object: FileDigest) -> Option<Vec<u8>> {
        self.lent(object).find_map(|path| {
            let bytes = plain::read(&path).ok()?;
            let is_intact = FileDigest(Digest::of(&bytes)) == object;
            if !is_intact {
                self.shared.complain(path, "is damaged");
            }
            is_intact.then_some(bytes)
        })
    }

    /// Does a shared cache have the object, intact?
    pub(super) fn could_borrow(&self, object: FileDigest) -> bool {
        self.lent(object).any(|path| Digest::of_file(&path).is_ok_and(|(digest, _)| FileDigest(digest) == object))
    }

    /// Copies objects out of the shared caches. Those that none has intact are left out; how many came.
    pub(super) fn fetch(&self, objects: &[FileDigest]) -> Result<usize, Error> {
        if self.shared.roots.is_empty() || objects.is_empty() {
            return Ok(0);
        }
        let stage = |object: &FileDigest| {
            for path in self.lent(*object).filter(|path| path.exists()) {
                match Staged::copy_of(self, *object, &path) {
                    Ok(Some(staged)) => return Ok(Some(staged)),
                    Ok(None) => self.shared.complain(path, "is damaged"),
                    // Whose fault is it? Ours would show with the next file, and there is no better copy of this one.
                    Err(Error::Io { path: at, source, .. }) if at == path => {
                        self.shared.complain(path, &format!("can't be read: {source}"));
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(None)
        };
        let staged: Vec<Result<Option<Staged>, Error>> = objects.par_iter().map(stage).collect();
        let staged: Vec<Staged> = staged.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        let count = staged.len();
        self.publish_objects(staged)?;
        Ok(count)
    }

    fn lent(&self, object: FileDigest) -> impl Iterator<Item = PathBuf> + '_ {
        self.shared.roots.iter().map(move |root| fanned_below(root, "objects", object.0, ""))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::store::{Artifact, Placement, Take, Trace, TracedOutput};

    struct Scene {
        dir: tempfile::TempDir,
        team: Store,
        artifact: Artifact,
        key: Key,
    }

    /// A shared cache with one result: a folder with two files.
    fn scene() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let team = Store::open(&dir.path().join("team")).unwrap();
        let from = dir.path().join("from");
        fs::create_dir_all(from.join("deep")).unwrap();
        fs::write(from.join("deep/one"), "one").unwrap();
        fs::write(from.join("two"), "two").unwrap();
        let artifact = team.insert(&from, Take::Copy).unwrap();
        let key = Key(Digest::of(b"key"));
        let mut trace = Trace::new(key, "demo", "a", "command", serde_json::Value::Null);
        trace.outputs = vec![TracedOutput { name: "out".into(), path: "out".into(), artifact }];
        team.publish(&trace).unwrap();
        Scene { dir, team, artifact, key }
    }

    impl Scene {
        fn own(&self) -> Store {
            let own = Store::open(&self.dir.path().join("own")).unwrap();
            own.with_shared(&[self.dir.path().join("own"), self.dir.path().join("team")])
        }

        /// Everything in the shared cache with its stat.
        fn state(&self) -> Vec<(PathBuf, super::super::stat::Stat)> {
            let (mut all, mut open) = (Vec::new(), vec![self.team.root().to_owned()]);
            while let Some(path) = open.pop() {
                if path.is_dir() {
                    open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                }
                all.push((path.clone(), super::super::stat::Stat::of_itself(&path).unwrap()));
            }
            all.sort_by(|a, b| a.0.cmp(&b.0));
            all
        }
    }

    #[test]
    fn what_a_shared_cache_has_is_restored_and_our_own_from_then_on() {
        let scene = scene();
        let (own, before) = (scene.own(), scene.state());
        let looks = Store::look_at(own.root()).unwrap().with_shared(&[scene.team.root().to_owned()]);
        assert!(looks.could_restore(&scene.artifact).unwrap() && looks.load(scene.key).unwrap().is_some());
        assert_eq!(own.object_files().unwrap().len(), 0, "looking copies nothing");
        assert_eq!(own.lender(scene.key), Some(scene.team.root()));
        assert!(own.load(scene.key).unwrap().is_some());
        own.restore(&scene.artifact, &scene.dir.path().join("out"), Placement::View).unwrap();
        own.adopt(scene.key).unwrap();
        assert_eq!(fs::read(scene.dir.path().join("out/deep/one")).unwrap(), b"one");
        assert_eq!(scene.state(), before, "a shared cache is only read");
        assert_eq!((own.lender(scene.key), own.complaints()), (None, Vec::new()));

        fs::remove_dir_all(scene.team.root()).unwrap();
        let alone = scene.own();
        assert!(alone.could_restore(&scene.artifact).unwrap() && alone.load(scene.key).unwrap().is_some());
        assert_eq!(alone.complaints().len(), 1, "that it is away is told");
    }

    #[test]
    fn what_is_damaged_in_a_shared_cache_is_never_used_and_told_once() {
        let scene = scene();
        for file in scene.team.object_files().unwrap() {
            let path = scene.team.object_path(file.object);
            let bytes = fs::read(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
            fs::write(&path, b"damaged").unwrap();
            let own = scene.own();
            assert!(!own.could_restore(&scene.artifact).unwrap());
            for _ in 0..2 {
                let restored = own.restore(&scene.artifact, &scene.dir.path().join("out"), Placement::View);
                assert!(restored.unwrap_err().is_miss());
            }
            assert!(!own.object_path(file.object).exists() && path.exists());
            let complaints = own.complaints();
            assert!(complaints.len() == 1 && complaints[0].contains(&*path.to_string_lossy()), "{complaints:?}");
            assert_eq!(own.complaints().len(), 0);
            fs::write(&path, bytes).unwrap();
            fs::remove_dir_all(own.root()).unwrap();
        }
        let path = scene.team.trace_path(scene.key);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        fs::write(&path, "{}").unwrap();
        let own = scene.own();
        assert_eq!(own.load(scene.key).unwrap(), None);
        assert!(path.exists() && own.complaints().len() == 1);
    }

    #[test]
    fn a_newer_shared_cache_is_left_out_and_our_own_works() {
        let scene = scene();
        fs::remove_file(scene.team.root().join("version")).unwrap();
        fs::write(scene.team.root().join("version"), "intrada store 2\n").unwrap();
        let own = scene.own();
        assert_eq!(own.load(scene.key).unwrap(), None);
        assert!(own.complaints()[0].contains("version 2"));
    }

    #[test]
    fn what_our_own_lost_comes_back_from_a_shared_cache_when_it_is_verified() {
        let scene = scene();
        let own = scene.own();
        own.restore(&scene.artifact, &scene.dir.path().join("out"), Placement::View).unwrap();
        own.adopt(scene.key).unwrap();
        for file in own.object_files().unwrap() {
            fs::remove_file(own.object_path(file.object)).unwrap();
        }
        assert!(own.verify(1.0, &|_| ()).unwrap().is_well());
        fs::remove_dir_all(scene.team.root()).unwrap();
        assert!(own.could_restore(&scene.artifact).unwrap());
    }
}
