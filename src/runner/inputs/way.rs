//! The links and folders on the path to a file.
//!
//! Knows no stage. Opening a path resolves them, so replacing one replaces what is read.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::store::stat::Stat;

/// What a path resolves through, including all links.
#[derive(Default)]
pub struct Way {
    /// The links.
    pub links: BTreeSet<PathBuf>,
    /// The folders, including missing ones.
    pub folders: BTreeSet<PathBuf>,
}

impl Way {
    /// The system's own limit on links.
    const MOST: usize = 40;

    /// The links and folders from the folder `root` to each of these paths below it.
    pub fn to(root: &Path, paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Way {
        let mut way = Way::default();
        paths.into_iter().for_each(|path| way.go(root, path.as_ref()));
        way
    }

    /// Resolves `path` from the folder `from`. `from` and its parents don't count.
    fn go(&mut self, from: &Path, path: &Path) {
        let mut followed = 0;
        let mut place = from.to_owned();
        let mut rest: Vec<PathBuf> = steps(path);
        while let Some(step) = rest.pop() {
            match step.as_os_str().as_bytes() {
                b".." => drop(place.pop()),
                _ => place.push(&step),
            }
            match Stat::of_itself(&place) {
                Ok(stat) if stat.is_link() && followed < Way::MOST => {
                    followed += 1;
                    self.links.insert(place.clone());
                    let Ok(target) = std::fs::read_link(&place) else { return };
                    place.pop();
                    rest.extend(steps(&target));
                }
                Ok(stat) if stat.is_folder() && !from.starts_with(&place) => drop(self.folders.insert(place.clone())),
                // It may be created and removed.
                Err(_) => {
                    self.folders.insert(place.clone());
                    return;
                }
                Ok(_) => {}
            }
        }
    }
}

/// The parts of a path, the last one first.
fn steps(path: &Path) -> Vec<PathBuf> {
    let steps = path.components().filter(|step| !matches!(step, Component::CurDir));
    steps.map(|step| PathBuf::from(step.as_os_str())).rev().collect()
}
