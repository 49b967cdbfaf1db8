//! The links and folders that are passed on the way to a path.
//!
//! Knows no stage. Whoever opens a path passes them, so whoever exchanges one exchanges what is read.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::store::stat::Stat;

/// What is passed on the way to a path, through all links.
#[derive(Default)]
pub struct Way {
    /// The links.
    pub links: BTreeSet<PathBuf>,
    /// The folders, and what isn't there but may come and go.
    pub folders: BTreeSet<PathBuf>,
}

impl Way {
    /// As many links as the system itself follows.
    const MOST: usize = 40;

    /// The way from the folder `root` to each of these paths below it.
    pub fn to(root: &Path, paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Way {
        let mut way = Way::default();
        paths.into_iter().for_each(|path| way.go(root, path.as_ref()));
        way
    }

    /// Goes from the folder `from` to `path` below it. `from` and what is above it doesn't count.
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
                // It may come and go.
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
