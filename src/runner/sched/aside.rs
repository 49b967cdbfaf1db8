//! Moves existing files from a command's output paths away while it writes new ones.
//!
//! Knows no stage. Files that no run has made, or that were edited since, are never deleted; see [`crate::store::aside`]
//! for where they are kept, and what happens if the runner is killed.

use std::path::{Path, PathBuf};

use crate::exec::Failure;
use crate::plain::remove;
use crate::store::{PutAside, Store};

use super::failure::{failed, io_failure};
use super::jobs::Order;

/// What was at the output paths.
pub(super) struct Aside(Vec<Moved>);

struct Moved {
    output: PathBuf,
    aside: PutAside,
    /// An earlier run put it there, so it is in the cache.
    is_ours: bool,
}

impl Aside {
    /// Moves it aside.
    ///
    /// # Errors
    /// Something can't be moved; then everything is unchanged.
    pub(super) fn make(store: &Store, order: &Order) -> Result<Aside, Failure> {
        let mut aside = Aside(Vec::new());
        for output in &order.outputs {
            let path = order.root.join(&output.path);
            let moved = prepare(&path).and_then(|()| store.put_aside(&path).map_err(failed));
            match moved {
                Ok(None) => {}
                Ok(Some(moved)) => {
                    let is_ours = order.in_place.contains(&output.path);
                    aside.0.push(Moved { output: output.path.clone(), aside: moved, is_ours });
                }
                Err(failure) => {
                    aside.put_back(store);
                    return Err(failure);
                }
            }
        }
        Ok(aside)
    }

    /// The new outputs are complete. Old files that the cache doesn't have move to the orphans, as they exist nowhere else;
    /// returns for each the output in whose place it was, and its new path.
    pub(super) fn discard(self, store: &Store) -> Vec<(PathBuf, PathBuf)> {
        let discard = |Moved { output, aside, is_ours }| {
            // Files that can't be moved stay aside, and the next run restores them: nothing is lost.
            store.discard(aside, !is_ours).ok().flatten().map(|orphan| (output, orphan))
        };
        self.0.into_iter().filter_map(discard).collect()
    }

    /// The new outputs are not results: restores the previous state, removing outputs that didn't exist.
    pub(super) fn put_back_all(self, store: &Store, order: &Order) {
        for output in &order.outputs {
            let path = order.root.join(&output.path);
            let had_none = self.0.iter().all(|moved| moved.output != output.path);
            if had_none {
                let _ = remove(&path);
            }
        }
        self.put_back(store);
    }

    /// There are no new outputs: restores the previous state.
    pub(super) fn put_back(self, store: &Store) {
        for Moved { aside, .. } in self.0 {
            // The next run tries again.
            let _ = store.put_back(aside);
        }
    }
}

/// A program may rely on the folder of its output.
fn prepare(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder).map_err(|error| io_failure("make", folder, &error))
}
