//! Decoded samples: images and labels of data sets as a worker has decoded and resized them, for later epochs, stages and runs.
//!
//! Knows their files, not what is in them: the worker names, writes and checks them (`intrada_data::kept`). No result needs one, so
//! any may be deleted at any time, also while a job reads it. The modification time of a file is its last use, give or take a day.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::error::{At, Error};
use super::strange::{self, names};
use super::{Store, Tally};

/// Their folder.
pub(super) const FOLDER: &str = "samples";

/// A file to be deleted.
pub(super) struct SampleFile {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    used: Option<SystemTime>,
}

impl Store {
    /// Their folder, whether it exists or not.
    pub fn samples(&self) -> PathBuf {
        self.root.join(FOLDER)
    }

    /// Creates their folder if it is missing.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn make_samples(&self) -> Result<(), Error> {
        let folder = self.samples();
        strange::make_folder(&self.root, &folder).at("make", &folder)
    }

    /// Those that are older than the limit, if there is one, and the least recently used of the others, if all have more bytes than
    /// there is `room` for; and what is left.
    pub(super) fn stale_samples(
        &self,
        older_than: Option<Duration>,
        room: Option<u64>,
    ) -> Result<(Vec<SampleFile>, Tally), Error> {
        let now = SystemTime::now();
        let mut files = self.sample_files()?;
        // The last used first.
        files.sort_by_key(|file| std::cmp::Reverse(file.used));
        let (mut stale, mut left) = (Vec::new(), Tally::default());
        for file in files {
            let age = file.used.and_then(|used| now.duration_since(used).ok());
            let is_old = older_than.zip(age).is_some_and(|(limit, age)| age > limit);
            // Once one doesn't fit, all that were used before it go, too.
            let is_above = room.is_some_and(|room| !stale.is_empty() || left.bytes + file.bytes > room);
            if is_old || is_above {
                stale.push(file);
            } else {
                left = left + Tally { files: 1, bytes: file.bytes };
            }
        }
        Ok((stale, left))
    }

    fn sample_files(&self) -> Result<Vec<SampleFile>, Error> {
        let mut files = Vec::new();
        for prefix in names(&self.samples())? {
            let folder = self.samples().join(prefix);
            for name in names(&folder)? {
                let path = folder.join(name);
                // It may have gone meanwhile.
                let Ok(found) = path.symlink_metadata() else { continue };
                files.push(SampleFile { path, bytes: found.len(), used: found.modified().ok() });
            }
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn the_old_and_the_least_recently_used_go_and_the_rest_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        assert!(store.stale_samples(None, Some(0)).unwrap().0.is_empty(), "there are none");
        store.make_samples().unwrap();
        for (days, name) in (0..).zip(["aa/new", "bb/middle", "aa/old"]) {
            let path = store.samples().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, [0; 10]).unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(SystemTime::now() - DAY * 10 * days).unwrap();
        }
        let goes = |older_than: Option<u32>, room| {
            let (stale, left) = store.stale_samples(older_than.map(|days| DAY * days), room).unwrap();
            let names = stale.iter().map(|file| file.path.file_name().unwrap().to_str().unwrap().to_owned());
            let mut names: Vec<String> = names.collect();
            names.sort();
            assert_eq!(left, Tally { files: 3 - names.len() as u64, bytes: 10 * (3 - names.len() as u64) });
            names.join(" ")
        };
        assert_eq!(goes(None, None), "");
        assert_eq!(goes(Some(15), None), "old");
        assert_eq!(goes(None, Some(30)), "");
        assert_eq!(goes(None, Some(29)), "old");
        assert_eq!(goes(None, Some(10)), "middle old");
        assert_eq!(goes(Some(5), Some(9)), "middle new old");
    }
}
