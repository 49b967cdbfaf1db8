//! Outputs of other stages that a stage reads where they lie in the workspace: put in place, and kept there while it reads.
//!
//! Knows the store, not what the stage does. A second run of the workspace with other values puts other outputs in the same
//! places, at any moment; a key says which content was meant, and that is what has to lie there from before the stage starts
//! until it has ended.

use std::path::{Path, PathBuf};

use crate::store::claim::{Claim, Claimed, Use};
use crate::store::index::PlacedOutput;
use crate::store::{Error, Holder, Placement, Store};

/// Somebody else may put something else in place again and again; after so many rounds it is their turn.
const ROUNDS: usize = 4;

/// Outputs of other stages.
#[derive(Clone, Default)]
pub struct Reads(Vec<Read>);

#[derive(Clone)]
struct Read {
    output: PlacedOutput,
    placement: Placement,
}

/// How securing went.
pub enum Secured {
    /// All lies in place, and nobody changes it as long as these live.
    Held(Vec<Claim>),
    /// Somebody else reads or writes one of the places.
    Busy(Option<Holder>),
}

impl Reads {
    /// Adds an output, as it was last put in place: without entries if that isn't known.
    pub fn add(&mut self, output: PlacedOutput, placement: Placement) {
        if !self.0.iter().any(|read| read.output.path == output.path) {
            self.0.push(Read { output, placement });
        }
    }

    /// The outputs as they lie in place.
    pub fn outputs(&self) -> impl Iterator<Item = &PlacedOutput> {
        self.0.iter().map(|read| &read.output)
    }

    /// Claims these outputs for reading and `writes`, paths relative to the workspace `root`, for writing, without waiting.
    /// What isn't in place is restored; `put_aside` hears of what only a person had there, and where it is now.
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
            let missing: Vec<usize> = (0..self.0.len()).filter(|place| missing(&self.0[*place])).collect();
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

    /// Puts an output in place. Answers with who is in the way, if somebody is.
    fn restore(
        &mut self,
        store: &Store,
        root: &Path,
        place: usize,
        put_aside: &dyn Fn(PathBuf, PathBuf),
    ) -> Result<Option<Option<Holder>>, Error> {
        let Read { output, placement } = &mut self.0[place];
        let path = root.join(&output.path);
        match store.try_claim([(&*path, Use::Write)])? {
            Claimed::Busy(holder) => Ok(Some(holder)),
            Claimed::All(_claims) => {
                let restored = store.restore(&output.artifact, &path, *placement)?;
                restored.set_aside.into_iter().for_each(|to| put_aside(output.path.clone(), to));
                output.entries = restored.entries;
                Ok(None)
            }
        }
    }
}
