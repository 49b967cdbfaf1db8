//! Keeps the program's own files while it changes a workspace, and recovers those of killed runs.
//!
//! Knows places, not stages. Moving a file away and building its successor in a temporary place must happen on the same
//! file system, since only a rename is atomic. That place is the cache. For paths on another file system it is the folder
//! `.intrada` in the topmost workspace folder on that file system; it is removed when empty. It is part of no key (see
//! `own`), but a command that lists the folder sees it, so nothing stays there for long: files that exist nowhere else are
//! copied to the cache's `orphans/`, except from the workspace's root.
//!
//! ```text
//! cache/tmp/                       .intrada/tmp/         files being built
//! cache/workspaces/<id>/aside/     .intrada/aside/       <run>.<random>/: `item`, moved from `path` until it is replaced
//! cache/orphans/                   .intrada/orphans/     replaced files that exist nowhere else
//! ```
//!
//! Files put aside belong to a run, and the run to a process. If it was killed, the next run of the workspace first
//! restores them.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::carry::carry;
use super::error::{At, Error};
use super::holder::Holder;
use super::lease::{Attempt, Lease};
use super::publish::{is_of_a_dead_process, owner};
use super::stat::Stat;
use super::strange::names;
use super::{Store, in_use, strange};
use crate::digest::{Digest, FileDigest};
use crate::own::OWN;
use crate::plain::remove;

/// How long to wait before checking again a killed run's entry that another process still holds.
const MOMENT: Duration = Duration::from_millis(20);

/// How often to check an entry that another run is about to recover: for ten seconds at most.
const ROUNDS: usize = 500;

/// A place on one file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Cache,
    /// A folder `.intrada`.
    Outside(PathBuf),
}

/// Something moved away while its place is being replaced.
#[derive(Debug)]
pub struct PutAside {
    /// Its original path, absolute.
    pub path: PathBuf,
    /// The folder that holds it now.
    folder: PathBuf,
}

impl Store {
    /// Moves the file or folder at `path` out of the way. `None`: there is none.
    ///
    /// # Errors
    /// [`Error::Io`]; then it is still at `path`.
    pub fn put_aside(&self, path: &Path) -> Result<Option<PutAside>, Error> {
        match fs::symlink_metadata(path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            found => found.at("look at", path)?,
        };
        self.at_first_place(path, |place| {
            let run = self.at_work().map_or_else(|| OsStr::new("nobody"), |at| &at.run).to_string_lossy();
            let folder = self.new_folder(place, "aside", &format!("{run}."))?;
            let put = |folder: &Path| {
                fs::write(folder.join("path"), path.as_os_str().as_bytes())?;
                fs::rename(path, folder.join("item"))
            };
            put(folder.path()).map(|()| Some(PutAside { path: path.to_owned(), folder: folder.keep() }))
        })
    }

    /// Removes what was put aside. With `keep`, files that the store doesn't have move to the orphans; returns their path.
    ///
    /// # Errors
    /// [`Error::Io`]; then it is still there, and the next run restores it.
    pub fn discard(&self, aside: PutAside, keep: bool) -> Result<Option<PathBuf>, Error> {
        let item = aside.folder.join("item");
        let kept = if keep && self.holds_unknown(&item)? { Some(self.orphan(&item, &aside.path)?) } else { None };
        fs::remove_dir_all(&aside.folder).at("remove", &aside.folder)?;
        self.tidy(&aside.folder);
        Ok(kept)
    }

    /// Moves it back to its original path, replacing anything there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn put_back(&self, aside: PutAside) -> Result<(), Error> {
        remove(&aside.path).at("remove", &aside.path)?;
        let parent = aside.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent).at("make", parent)?;
        let item = aside.folder.join("item");
        fs::rename(&item, &aside.path).at("put back", &aside.path)?;
        fs::remove_dir_all(&aside.folder).at("remove", &aside.folder)?;
        self.tidy(&aside.folder);
        Ok(())
    }

    /// Moves a file that exists nowhere else to the orphans, under the name it had at `path`. Returns its path.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn orphan(&self, from: &Path, path: &Path) -> Result<PathBuf, Error> {
        let name = path.file_name().unwrap_or(OsStr::new("item"));
        self.at_orphans(from, |place| {
            let folder =
                self.new_folder(place, "orphans", &format!("{}-", strange::fitting(&name.to_string_lossy())))?;
            carry(from, &folder.path().join(name)).map(|()| folder.keep().join(name))
        })
    }

    /// Runs `act` in the place where files moved from `path` are to stay. A folder `.intrada` among data would be read by
    /// programs that list the data, so files are moved from there to the cache if possible.
    fn at_orphans<R>(&self, path: &Path, act: impl Fn(&Place) -> io::Result<R>) -> Result<R, Error> {
        let root = self.at_work().map(|at| at.root.join(OWN));
        match self.places(path.parent().unwrap_or(Path::new("/"))).first() {
            Some(Place::Outside(folder)) if Some(folder) != root.as_ref() => {
                act(&Place::Cache).or_else(|_| self.at_first_place(path, act))
            }
            _ => self.at_first_place(path, act),
        }
    }

    /// A new folder for building something that a rename then moves to its place.
    pub(super) fn workshop(&self, place: &Place) -> Result<Workshop<'_>, Error> {
        let folder = self.new_folder(place, "tmp", &owner()).at("write into", &self.folder_of(place, "tmp"))?;
        Ok(Workshop { store: self, folder: Some(folder) })
    }

    /// Moves files below `path`, named relative to it, to a new folder of orphans. Returns the folder.
    pub(super) fn orphan_files(&self, path: &Path, files: &[PathBuf]) -> Result<PathBuf, Error> {
        let name = path.file_name().unwrap_or(OsStr::new("item")).to_string_lossy();
        self.at_orphans(path, |place| {
            let folder = self.new_folder(place, "orphans", &format!("{}-", strange::fitting(&name)))?.keep();
            let put = |file: &PathBuf| {
                let to = folder.join(file);
                to.parent().map_or(Ok(()), fs::create_dir_all)?;
                match carry(&path.join(file), &to) {
                    // Already moved, to a place to which the rest can't be moved.
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                    result => result,
                }
            };
            files.iter().try_for_each(put).map(|()| folder)
        })
    }

    /// Whether the file or folder at `path` holds anything that the store doesn't have and so can't restore.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn holds_unknown(&self, path: &Path) -> Result<bool, Error> {
        let mut open = vec![path.to_owned()];
        while let Some(path) = open.pop() {
            let kind = fs::symlink_metadata(&path).at("look at", &path)?.file_type();
            let digest = if kind.is_dir() {
                for name in names(&path)? {
                    open.push(path.join(name));
                }
                continue;
            } else if kind.is_symlink() {
                Digest::of(fs::read_link(&path).at("read", &path)?.as_os_str().as_bytes())
            } else if kind.is_file() {
                Digest::of_file(&path).at("read", &path)?.0
            } else {
                return Ok(true);
            };
            if !self.object_path(FileDigest(digest)).exists() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Restores what killed runs of this workspace put aside, and removes their unfinished files. Returns where files that
    /// were in the way have been moved from and to. Calls `end_orphans` for each run, repeatedly while its processes still
    /// have its entry open.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn recover(&self, end_orphans: &mut dyn FnMut(&Holder)) -> Result<Vec<(PathBuf, PathBuf)>, Error> {
        let mut recovered = Vec::new();
        let Some(at) = self.at_work() else { return Ok(recovered) };
        self.sweep_claims(end_orphans)?;
        let outside = self.known_places()?;
        let mut runs: BTreeSet<OsString> = names(&at.running())?.into_iter().collect();
        for place in &outside {
            runs.extend(self.asides(place)?.into_iter().map(|(run, _)| run));
        }
        runs.remove(&at.run);
        for run in runs {
            let Some(_lease) = self.take_over(&at.running().join(&run), end_orphans)? else { continue };
            let _ = fs::remove_file(in_use::list_of(&at.running(), &run));
            for place in &outside {
                for (_, folder) in self.asides(place)?.into_iter().filter(|(owner, _)| *owner == run) {
                    recovered.extend(self.recover_one(&folder)?);
                }
            }
        }
        for place in outside.iter().filter(|place| **place != Place::Cache) {
            self.sweep_outside(place)?;
        }
        Ok(recovered)
    }

    /// The entry of a killed run, once no process has it open. `None`: the run is active.
    fn take_over(&self, entry: &Path, end_orphans: &mut dyn FnMut(&Holder)) -> Result<Option<Lease>, Error> {
        let mut rounds = 0;
        loop {
            match self.lock(entry)? {
                Attempt::Held(lease) => {
                    if let Some(holder) = lease.left_by() {
                        end_orphans(holder);
                    }
                    return Ok(Some(lease));
                }
                // Processes that it started have its entry open, too.
                Attempt::Busy(Some(holder)) if holder.is_gone() => end_orphans(&holder),
                // Another run is recovering it, or is about to sign in.
                Attempt::Busy(holder)
                    if rounds < ROUNDS && holder.as_ref().is_none_or(|holder| !is_named_after(entry, holder)) =>
                {
                    rounds += 1;
                }
                Attempt::Busy(_) => return Ok(None),
            }
            std::thread::sleep(MOMENT);
        }
    }

    /// Something is at the path again, written by the killed run or by a person since then: kept as an orphan, unless the
    /// store has it.
    fn recover_one(&self, folder: &Path) -> Result<Option<(PathBuf, PathBuf)>, Error> {
        let named = strange::read(&folder.join("path")).at("read", folder)?.bytes().unwrap_or_default();
        let (path, item) = (PathBuf::from(OsString::from_vec(named)), folder.join("item"));
        let is_there = |path: &Path| fs::symlink_metadata(path).is_ok();
        let mut orphan = None;
        if is_there(&item) && path.is_absolute() {
            if is_there(&path) && self.holds_unknown(&path)? {
                orphan = Some((path.clone(), self.orphan(&path, &path)?));
            }
            self.put_back(PutAside { path, folder: folder.to_owned() })?;
        } else if is_there(&item) {
            // A power failure lost the name.
            orphan = Some((PathBuf::from("item"), self.orphan(&item, Path::new("item"))?));
        }
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).at("remove", folder),
            _ => Ok(orphan),
        }
    }

    /// The entries put aside in a place: their run, and the folder.
    fn asides(&self, place: &Place) -> Result<Vec<(OsString, PathBuf)>, Error> {
        let folder = self.folder_of(place, "aside");
        let owned = |name: OsString| {
            let run = name.as_bytes().rsplitn(2, |&byte| byte == b'.').nth(1)?;
            Some((OsStr::from_bytes(run).to_owned(), folder.join(&name)))
        };
        Ok(names(&folder)?.into_iter().filter_map(owned).collect())
    }

    fn sweep_outside(&self, place: &Place) -> Result<(), Error> {
        remove_of_the_dead(&self.folder_of(place, "tmp"))?;
        for purpose in ["tmp", "aside"] {
            self.tidy(&self.folder_of(place, purpose).join("any"));
        }
        Ok(())
    }

    /// Runs `act` in the first place that a rename from `path` reaches.
    fn at_first_place<R>(&self, path: &Path, act: impl Fn(&Place) -> io::Result<R>) -> Result<R, Error> {
        let mut places = self.places(path.parent().unwrap_or(Path::new("/"))).into_iter().peekable();
        loop {
            let place = places.next().expect("the last one's answer is returned");
            match act(&place) {
                // Some mounts refuse it although their device number is the same.
                Err(error) if error.kind() == ErrorKind::CrossesDevices && places.peek().is_some() => {}
                result => return result.at("move", path),
            }
        }
    }

    /// The places for files in `folder`, best first. There is at least one.
    pub(super) fn places(&self, folder: &Path) -> Vec<Place> {
        let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        let device = |path: &Path| Stat::of(path).ok().map(|stat| stat.dev);
        let own = device(&folder);
        let mut places = Vec::new();
        if own == Some(self.device) {
            places.push(Place::Cache);
        }
        let root = self.at_work().map(|at| &at.root);
        let is_within = |path: &&Path| root.is_some_and(|root| path.starts_with(root)) && device(path) == own;
        let top = folder.ancestors().take_while(is_within).last();
        places.extend(top.into_iter().map(|top| Place::Outside(top.join(OWN))));
        let beside = Place::Outside(folder.join(OWN));
        if !places.contains(&beside) {
            places.push(beside);
        }
        places
    }

    fn folder_of(&self, place: &Place, purpose: &str) -> PathBuf {
        match (place, self.at_work()) {
            (Place::Outside(folder), _) => folder.join(purpose),
            (Place::Cache, Some(at)) if purpose == "aside" => at.folder.join(purpose),
            (Place::Cache, _) => self.root.join(purpose),
        }
    }

    fn new_folder(&self, place: &Place, purpose: &str, prefix: &str) -> io::Result<TempDir> {
        let folder = self.folder_of(place, purpose);
        if let Place::Outside(outside) = place {
            self.note_place(outside)?;
        }
        match place {
            Place::Cache => strange::make_folder(&self.root, &folder)?,
            Place::Outside(_) => fs::create_dir_all(&folder)?,
        }
        tempfile::Builder::new().prefix(prefix).tempdir_in(&folder)
    }

    /// The places that runs of this workspace have used, and that may still hold something.
    fn known_places(&self) -> Result<Vec<Place>, Error> {
        let Some(at) = self.at_work() else { return Ok(vec![Place::Cache]) };
        let places = at.places();
        let outside = noted(&places).at("read", &places)?.into_iter().map(Place::Outside);
        Ok([Place::Cache].into_iter().chain(outside).collect())
    }

    /// Records a folder outside of the cache before it is used, so that recovery finds it.
    fn note_place(&self, outside: &Path) -> io::Result<()> {
        self.at_work().map_or(Ok(()), |at| note_place(&at.places(), outside))
    }

    /// Removes the empty parent folders of `entry` that are the program's own outside of the cache.
    fn tidy(&self, entry: &Path) {
        let folders = entry.ancestors().skip(1).take(2).filter(|folder| !folder.starts_with(&self.root));
        for folder in folders {
            // A folder that isn't empty stays.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Removes unfinished files of dead processes from a `tmp` folder. Entries that can't be removed stay for the next time.
pub(super) fn remove_of_the_dead(tmp: &Path) -> Result<(), Error> {
    for name in names(tmp)? {
        if is_of_a_dead_process(&name.to_string_lossy()) == Some(true) {
            let _ = remove(&tmp.join(name));
        }
    }
    Ok(())
}

/// The folders outside of the cache that are recorded in a file.
fn noted(places: &Path) -> io::Result<Vec<PathBuf>> {
    let noted = strange::read(places)?.bytes().unwrap_or_default();
    let paths = noted.split(|&byte| byte == 0).filter(|path| !path.is_empty());
    Ok(paths.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect())
}

/// Records a folder outside of the cache in such a file.
pub(super) fn note_place(places: &Path, outside: &Path) -> io::Result<()> {
    if !noted(places)?.iter().any(|known| known == outside) {
        let line = [outside.as_os_str().as_bytes(), b"\0"].concat();
        let mut file = fs::File::options().create(true).append(true).open(places)?;
        io::Write::write_all(&mut file, &line)?;
    }
    Ok(())
}

/// A temporary folder for building something.
pub(super) struct Workshop<'a> {
    store: &'a Store,
    /// None once dropped.
    folder: Option<TempDir>,
}

impl Workshop<'_> {
    pub(super) fn path(&self) -> &Path {
        self.folder.as_ref().expect("it is there until it is dropped").path()
    }
}

impl Drop for Workshop<'_> {
    fn drop(&mut self) {
        if let Some(folder) = self.folder.take() {
            let path = folder.path().to_owned();
            drop(folder);
            self.store.tidy(&path);
        }
    }
}

/// Whether the entry belongs to the run that holds it, and not to one that is being recovered.
fn is_named_after(entry: &Path, holder: &Holder) -> bool {
    let run = format!("{}.{}.", holder.host, holder.pid);
    entry.file_name().is_some_and(|name| name.as_bytes().starts_with(run.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Take, Visit};

    /// A store with an active run in a workspace that holds a file `out` and a folder `plots`.
    fn scene() -> (TempDir, Store, Visit, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap().join("work");
        fs::create_dir_all(root.join("plots/deep")).unwrap();
        fs::write(root.join("out"), "mine").unwrap();
        fs::write(root.join("plots/deep/1"), "mine, too").unwrap();
        let (store, visit) = run(&dir, &root);
        (dir, store, visit, root)
    }

    fn run(dir: &TempDir, root: &Path) -> (Store, Visit) {
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let visit = store.visit(root).unwrap();
        (store, visit)
    }

    fn recover(store: &Store) -> Vec<(PathBuf, PathBuf)> {
        store.recover(&mut |_| ()).unwrap()
    }

    fn asides(store: &Store) -> usize {
        store.asides(&Place::Cache).unwrap().len()
    }

    #[test]
    fn what_is_put_aside_comes_back_or_is_kept_or_is_in_the_store() {
        let (_dir, store, _visit, root) = scene();
        for name in ["out", "plots"] {
            let path = root.join(name);
            let aside = store.put_aside(&path).unwrap().unwrap();
            assert!(!path.exists());
            fs::write(&path, "half").unwrap();
            store.put_back(aside).unwrap();
            assert!(path.exists() && asides(&store) == 0);
        }
        assert_eq!(fs::read(root.join("out")).unwrap(), b"mine");
        assert_eq!(fs::read(root.join("plots/deep/1")).unwrap(), b"mine, too");
        assert!(store.put_aside(&root.join("nothing")).unwrap().is_none());

        let aside = store.put_aside(&root.join("plots")).unwrap().unwrap();
        let orphan = store.discard(aside, true).unwrap().unwrap();
        assert_eq!(fs::read(orphan.join("deep/1")).unwrap(), b"mine, too");
        store.insert(&root.join("out"), Take::Copy).unwrap();
        let aside = store.put_aside(&root.join("out")).unwrap().unwrap();
        assert_eq!((store.discard(aside, true).unwrap(), asides(&store)), (None, 0));
    }

    #[test]
    fn what_a_killed_run_had_put_aside_is_put_back_and_what_lies_there_is_kept() {
        let (dir, store, Visit { lease, .. }, root) = scene();
        store.put_aside(&root.join("out")).unwrap().unwrap();
        store.put_aside(&root.join("plots")).unwrap().unwrap();
        fs::write(root.join("out"), "somebody's").unwrap();
        // Killed in between, before anything was moved.
        let name = format!("{}.", store.at_work().unwrap().run.to_string_lossy());
        drop(store.new_folder(&Place::Cache, "aside", &name).unwrap().keep());
        lease.leave();

        let (next, _visit) = run(&dir, &root);
        let moved = recover(&next);
        let [(path, orphan)] = &moved[..] else { panic!("{moved:?}") };
        assert_eq!((path, fs::read(orphan).unwrap()), (&root.join("out"), b"somebody's".to_vec()));
        assert_eq!(fs::read(root.join("out")).unwrap(), b"mine");
        assert_eq!(fs::read(root.join("plots/deep/1")).unwrap(), b"mine, too");
        assert_eq!((asides(&next), recover(&next)), (0, vec![]));
    }

    #[test]
    fn what_a_living_run_has_put_aside_stays_there() {
        let (dir, store, _visit, root) = scene();
        let aside = store.put_aside(&root.join("out")).unwrap().unwrap();
        let (next, _next_visit) = run(&dir, &root);
        assert_eq!(recover(&next), []);
        assert!(!root.join("out").exists());
        store.put_back(aside).unwrap();
        assert_eq!(fs::read(root.join("out")).unwrap(), b"mine");
    }

    #[test]
    fn the_program_s_folder_outside_of_the_cache_is_gone_once_it_is_empty_and_found_again_after_a_kill() {
        let (dir, store, Visit { lease, .. }, root) = scene();
        let outside = Place::Outside(root.join("plots").join(OWN));
        let workshop = store.workshop(&outside).unwrap();
        assert!(workshop.path().starts_with(root.join("plots/.intrada/tmp")));
        drop(workshop);
        assert!(!root.join("plots/.intrada").exists());
        let folder =
            store.new_folder(&outside, "aside", &format!("{}.", store.at_work().unwrap().run.to_string_lossy()));
        let folder = folder.unwrap().keep();
        fs::write(folder.join("path"), root.join("out").as_os_str().as_bytes()).unwrap();
        fs::rename(root.join("out"), folder.join("item")).unwrap();
        lease.leave();

        let (next, _visit) = run(&dir, &root);
        assert_eq!(recover(&next), []);
        assert_eq!(fs::read(root.join("out")).unwrap(), b"mine");
        assert!(!root.join("plots/.intrada").exists());
    }

    #[test]
    fn whether_the_store_has_all_of_something_is_asked_of_its_content() {
        let (_dir, store, _visit, root) = scene();
        std::os::unix::fs::symlink("nowhere", root.join("plots/link")).unwrap();
        assert!(store.holds_unknown(&root.join("plots")).unwrap());
        store.insert(&root.join("plots"), Take::Copy).unwrap();
        assert!(!store.holds_unknown(&root.join("plots")).unwrap());
        fs::write(root.join("plots/deep/1"), "edited").unwrap();
        assert!(store.holds_unknown(&root.join("plots")).unwrap());
        assert!(store.holds_unknown(&root.join("nothing")).is_err());
    }
}
