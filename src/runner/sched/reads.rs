//! Other stages' outputs that a stage reads in the workspace: restored, and kept there while it reads.
//!
//! Knows the store, not what the stage does. A second run of the workspace with other values may at any moment place other
//! outputs at the same paths; a key determines the content, which has to stay there from before the stage starts until it
//! has ended.

use std::path::{Path, PathBuf};

use crate::by_name;
use crate::store::claim::{Claim, Claimed, Use};
use crate::store::index::PlacedOutput;
use crate::store::stat::now_ns;
use crate::store::{Error, Holder, Placement, Store};

/// Another process may place something else again and again; after this many rounds we wait for it.
const ROUNDS: usize = 4;

/// Outputs of other stages.
#[derive(Clone, Default)]
pub struct Reads {
    outputs: Vec<Read>,
    paths: by_name::Set,
}

#[derive(Clone)]
struct Read {
    output: PlacedOutput,
    placement: Placement,
}

/// The result of securing.
pub enum Secured {
    /// All are in place, and nobody changes them while these claims exist.
    Held(Vec<Claim>),
    /// Another process reads or writes one of the places.
    Busy(Option<Holder>),
}

impl Reads {
    /// Adds an output, as it was last placed: without entries if that isn't known.
    pub fn add(&mut self, output: PlacedOutput, placement: Placement) {
        if self.paths.insert(output.path.clone().into_os_string()) {
            self.outputs.push(Read { output, placement });
        }
    }

    /// The outputs in place.
    pub fn outputs(&self) -> impl Iterator<Item = &PlacedOutput> {
        self.outputs.iter().map(|read| &read.output)
    }

    /// Whether all of them are in place and untouched: what is read between two times that this is so has been theirs, without a
    /// claim. See [`PlacedOutput::is_untouched`].
    pub fn are_untouched(&self, root: &Path) -> bool {
        let now = now_ns();
        self.outputs().all(|output| output.is_untouched(root, now))
    }

    /// Claims these outputs for reading and `writes`, paths relative to the workspace `root`, for writing, without waiting.
    /// Restores missing outputs; calls `put_aside` for each file there that existed nowhere else, with its new path.
    ///
    /// # Errors
    /// Those of [`Store::restore`].
    pub fn secure(
        &mut self,
        store: &Store,
        root: &Path,
        writes: &[PathBuf],
        put_aside: &dyn Fn(PathBuf, PathBuf),
    ) -> Result<Secured, Error> {
        for _ in 0..ROUNDS {
            let places: Vec<(PathBuf, Use)> = self
                .outputs()
                .map(|output| (root.join(&output.path), Use::Read))
                .chain(writes.iter().map(|path| (root.join(path), Use::Write)))
                .collect();
            let claims = match store.try_claim(places.iter().map(|(path, purpose)| (&**path, *purpose)))? {
                Claimed::All(claims) => claims,
                Claimed::Busy(holder) => return Ok(Secured::Busy(holder)),
            };
            let missing = |read: &Read| !read.output.is_in_place(root, store.verified());
            let missing: Vec<usize> = (0..self.outputs.len()).filter(|at| missing(&self.outputs[*at])).collect();
            if missing.is_empty() {
                return Ok(Secured::Held(claims));
            }
            drop(claims);
            for place in missing {
                if let Some(holder) = self.restore(store, root, place, put_aside)? {
                    return Ok(Secured::Busy(holder));
                }
            }
        }
        Ok(Secured::Busy(None))
    }

    /// Places an output. Returns the holder of its place, if there is one.
    fn restore(
        &mut self,
        store: &Store,
        root: &Path,
        place: usize,
        put_aside: &dyn Fn(PathBuf, PathBuf),
    ) -> Result<Option<Option<Holder>>, Error> {
        let Read { output, placement } = &mut self.outputs[place];
        let path = root.join(&output.path);
        match store.try_claim([(&*path, Use::Write)])? {
            Claimed::Busy(holder) => Ok(Some(holder)),
            Claimed::All(_claims) => {
                let restored = store.restore_claimed(&output.artifact, &path, *placement)?;
                restored.set_aside.into_iter().for_each(|to| put_aside(output.path.clone(), to));
                output.entries = restored.entries;
                Ok(None)
            }
        }
    }
}
