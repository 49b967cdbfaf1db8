//! Restoring: puts an artifact where the user or a stage looks for it.
//!
//! Knows paths and artifacts, no stages. All objects are verified first; then everything is built in a temporary place and
//! renamed to its destination, so that readers see either the old or the new. An unchanged destination is left alone. An
//! output that somebody edited is moved to `orphans/` rather than overwritten.

use std::ffi::OsString;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

#[cfg(target_os = "linux")]
use rustix::fs::{CWD, RenameFlags};

use super::answer::is_refusal;
use super::artifact::{Artifact, Placement};
use super::error::{At, Error};
use super::index::PlacedEntry;
use super::layout::Item;
use super::listing::EntryKind;
use super::present::{Present, Stats};
use super::stat::{Stat, set_back_where_possible};
use super::{Store, crash};
use crate::digest::FileDigest;

/// The result of restoring.
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// Every file, link and folder of the artifact with its current stat.
    pub entries: Vec<PlacedEntry>,
    /// Where files edited by hand were moved, if any: the file itself, or a folder with the edited files.
    pub set_aside: Option<PathBuf>,
}

impl Store {
    /// Makes `destination`, an absolute path, equal `artifact`; also creates its parent folders.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::Damaged`] if the store doesn't have the artifact, whole and intact; nothing in the
    /// workspace was touched then, and the caller treats it as a miss. [`Error::Io`] and [`Error::Walk`] otherwise.
    pub fn restore(&self, artifact: &Artifact, destination: &Path, placement: Placement) -> Result<Restored, Error> {
        let items = self.verified_layout(artifact)?;
        // Two runs of one pipeline with different values have the same destinations.
        let _alone = self.lease_place(destination)?;
        self.restore_items(artifact, items, destination, placement)
    }

    /// The same for a destination that the caller has claimed for writing ([`Store::try_claim`]), which excludes more than the lease that
    /// this otherwise takes.
    ///
    /// # Errors
    /// Those of [`Store::restore`].
    pub fn restore_claimed(
        &self,
        artifact: &Artifact,
        destination: &Path,
        placement: Placement,
    ) -> Result<Restored, Error> {
        let items = self.verified_layout(artifact)?;
        self.restore_items(artifact, items, destination, placement)
    }

    fn restore_items(
        &self,
        artifact: &Artifact,
        items: Vec<Item>,
        destination: &Path,
        placement: Placement,
    ) -> Result<Restored, Error> {
        let present = self.look(artifact, &items, destination, placement)?;
        let (stats, set_aside) = match present {
            Some(Present { is_right: true, stats, .. }) => (stats, None),
            present => {
                let replaced = self.replace(artifact, &items, destination, placement, present.as_ref())?;
                present.iter().for_each(|present| self.note_taken_away(present));
                replaced
            }
        };
        crash::point("restore right");
        Ok(Restored { entries: self.placed(items, destination, &stats)?, set_aside })
    }

    /// Returns the new stats, and where edited files were moved.
    fn replace(
        &self,
        artifact: &Artifact,
        items: &[Item],
        destination: &Path,
        placement: Placement,
        present: Option<&Present>,
    ) -> Result<(Stats, Option<PathBuf>), Error> {
        let parent = destination.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent).at("make", parent)?;
        let mut set_aside = None;
        let places = self.places(parent);
        for (place, is_last) in places.iter().enumerate().map(|(number, place)| (place, number + 1 == places.len())) {
            let workshop = self.workshop(place)?;
            let new = workshop.path().join("new");
            let stats = self.build(artifact, items, &new, placement)?;
            crash::point("restore built");
            if let (Some(present), None) = (present, &set_aside) {
                set_aside = self.set_aside(present, destination)?;
            }
            crash::point("restore put aside");
            match swap(&new, destination, &workshop.path().join("old")) {
                // Some mounts refuse a rename although their device number is the same.
                Err(error) if error.kind() == ErrorKind::CrossesDevices && !is_last => {}
                result => {
                    crash::point("restore swapped");
                    return result.at("replace", destination).map(|()| (stats, set_aside));
                }
            }
        }
        unreachable!("there is a place, and the last one's answer is returned")
    }

    /// Creates all items at `top`, where nothing exists yet.
    fn build(&self, artifact: &Artifact, items: &[Item], top: &Path, placement: Placement) -> Result<Stats, Error> {
        let mut stats = Stats::new();
        for Item { path: below, kind, object } in items {
            let path = join(top, below);
            let stat = match *kind {
                EntryKind::Folder => {
                    fs::create_dir(&path).at("make", &path)?;
                    continue;
                }
                EntryKind::File { executable } => self.build_file(*object, &path, executable, placement)?,
                EntryKind::Link => {
                    let missing = || Error::Missing { artifact: artifact.digest(), object: *object };
                    let target = OsString::from_vec(self.read(*object)?.ok_or_else(missing)?);
                    symlink(target, &path).at("make", &path)?;
                    Stat::of_itself(&path).at("look at", &path)?
                }
            };
            stats.insert(below.clone(), stat);
        }
        Ok(stats)
    }

    /// Returns the stat of the new item.
    fn build_file(
        &self,
        object: FileDigest,
        path: &Path,
        executable: bool,
        placement: Placement,
    ) -> Result<Stat, Error> {
        let object = self.object_path(object);
        // All hard links of a file share one mode, and an object isn't executable. Linking also fails if a file has too
        // many links already, or belongs to another user: then it is copied.
        let may_link = placement == Placement::View && !executable && !self.can_clone();
        if may_link && fs::hard_link(&object, path).is_ok() {
            return Stat::of_itself(path).at("look at", path);
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).at("make", path)?;
        // The object was read a moment ago; an error now is at the destination, such as a full disk.
        self.clone_or_copy(&object, &file).at("write", path)?;
        let mode = if placement == Placement::View { 0o444 } else { 0o644 } | if executable { 0o111 } else { 0 };
        match file.set_permissions(Permissions::from_mode(mode)) {
            // The mode only prevents accidents.
            Err(error) if is_refusal(&error) => {}
            result => result.at("set the mode of", path)?,
        }
        set_back_where_possible(path).at("set the time of", path)
    }

    /// The items at `destination` with their current stats. If an item changed since its content was read, somebody has
    /// written to it, and its recorded stat must be one that it doesn't have.
    fn placed(&self, items: Vec<Item>, destination: &Path, stats: &Stats) -> Result<Vec<PlacedEntry>, Error> {
        let entry = |Item { path, object, kind }: Item| {
            let place = join(destination, &path);
            let mut stat = Stat::of_itself(&place).at("look at", &place)?;
            match stats.get(&path) {
                // A rename or another link changes the change time, and a write never changes that alone.
                Some(known) if !known.is_same_but_for_ctime(&stat) => stat = *known,
                _ if kind == (EntryKind::File { executable: false }) => self.verified().renew(object, stat),
                _ => {}
            }
            Ok(PlacedEntry { path, object, stat })
        };
        items.into_iter().map(entry).collect()
    }
}

/// `top` itself for the empty path: joining that would append a slash, and follow a link.
fn join(top: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { top.to_owned() } else { top.join(path) }
}

/// Puts `new` at `destination`; the old one is then at `new` or at `old`, or gone if it was a file or link.
fn swap(new: &Path, destination: &Path, old: &Path) -> io::Result<()> {
    match fs::rename(new, destination) {
        // A rename replaces a file by a file atomically. A folder on either side takes more steps.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::DirectoryNotEmpty
                    | ErrorKind::AlreadyExists
                    | ErrorKind::IsADirectory
                    | ErrorKind::NotADirectory
            ) => {}
        result => return result,
    }
    #[cfg(target_os = "linux")]
    if rustix::fs::renameat_with(CWD, new, CWD, destination, RenameFlags::EXCHANGE).is_ok() {
        return Ok(());
    }
    // Not every file system can exchange two names. A kill between these two renames leaves nothing at the destination,
    // which the next run treats as missing.
    fs::rename(destination, old)?;
    fs::rename(new, destination)
}

#[cfg(test)]
mod tests;
