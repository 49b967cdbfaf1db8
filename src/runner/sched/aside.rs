//! What lay in the places of a command's outputs, kept while it writes new ones.
//!
//! Knows no stage. In the same folder under other names, so that moving is one rename on any file system; what no run has made,
//! or a person has edited since, is never thrown away.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::exec::Failure;
use crate::store::Store;

use super::jobs::{Order, io_failure};

/// What lay in the outputs' places, under other names.
pub(super) struct Aside(Vec<Moved>);

struct Moved {
    path: PathBuf,
    other: PathBuf,
    is_ours: bool,
}

impl Aside {
    /// Moves it aside.
    ///
    /// # Errors
    /// Something can't be moved; then everything is as it was.
    pub(super) fn make(store: &Store, order: &Order) -> Result<Aside, Failure> {
        let mut aside = Aside(Vec::new());
        for output in &order.outputs {
            let is_ours = order.in_place.contains(&output.path);
            let path = order.root.join(&output.path);
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let other = path.with_file_name(format!(".{name}.intrada-aside"));
            // What lies there was left by a runner that was killed; nobody knows any more whether it is in the cache.
            let moved = prepare(&path)
                .and_then(|()| put_away(store, &path, &other))
                .and_then(|()| std::fs::rename(&path, &other));
            match moved {
                Ok(()) => aside.0.push(Moved { path, other, is_ours }),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    aside.put_back();
                    return Err(io_failure("move aside", &path, &error));
                }
            }
        }
        Ok(aside)
    }

    /// The new ones are there. What no run has made, or a person has edited since, goes to the store's orphans: nobody else has it.
    pub(super) fn discard(self, store: &Store) {
        for Moved { path, other, is_ours } in self.0 {
            if is_ours {
                let _ = remove(&other);
            } else {
                // What resists stays where it is, which is untidy and loses nothing.
                let _ = put_away(store, &path, &other);
            }
        }
    }

    /// There are no new ones: all is as it was.
    pub(super) fn put_back(self) {
        for Moved { path, other, .. } in self.0 {
            let _ = remove(&path).and_then(|()| std::fs::rename(&other, &path));
        }
    }
}

/// A program may count on the folder of its output.
fn prepare(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)
}

/// Makes the name `other` free. What has it goes to the store's orphans; if these are on another file system, it gets another
/// name beside `path`, for nobody else may have it.
fn put_away(store: &Store, path: &Path, other: &Path) -> std::io::Result<()> {
    let is_there = |path: &Path| std::fs::symlink_metadata(path).is_ok();
    if !is_there(other) || std::fs::rename(other, store.orphan_path(path)).is_ok() {
        return Ok(());
    }
    let beside = (1..).map(|number| path.with_added_extension(format!("orphan-{number}")));
    let free = beside.into_iter().find(|beside| !is_there(beside)).expect("there are more numbers than files");
    std::fs::rename(other, free)
}

fn remove(path: &Path) -> std::io::Result<()> {
    let result = match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
