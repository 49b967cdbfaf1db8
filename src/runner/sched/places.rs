//! Outputs in the workspace: claiming their places, and placing them.
//!
//! Knows the store and paths, not what a stage does. A lease or claim of another process is waited for; processes left running
//! by a killed run are ended first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::exec::Failure;
use crate::exec::control::Control;
use crate::exec::local::orphans;
use crate::store::claim::{Claim, Claimed, Use};
use crate::store::index::PlacedOutput;
use crate::store::{Artifact, Holder, Placement, Recorded, Store};

use super::news::News;

/// How long to wait between two checks of a lease that another process holds.
const LEASE_INTERVAL: Duration = Duration::from_millis(200);

/// One declared output.
pub struct Destination {
    /// Its name.
    pub name: String,
    /// Where a job writes it, relative to the staging folder or, for a command, to the root.
    pub made_at: PathBuf,
    /// Its place in the workspace, relative to the root.
    pub path: PathBuf,
}

/// Asks repeatedly for a lease or claims until they are free, and reports once who holds them. If the holder was killed, ends
/// what it had started: nobody waits for those results any more, and those processes must not write beside this job's.
pub(super) fn when_free<T>(
    store: &Store,
    control: &Control,
    tell: &dyn Fn(News),
    mut ask: impl FnMut() -> Result<Result<T, Option<Holder>>, Failure>,
) -> Result<T, Failure> {
    let mut told = false;
    loop {
        match ask()? {
            Ok(had) => return Ok(had),
            Err(_) if control.is_stopping() => return Err(Failure::Cancelled { at: None }),
            Err(_) if control.is_told_to_leave() => {
                return Err(Failure::Left("another run computes it".to_owned()));
            }
            Err(holder) => {
                if holder.as_ref().is_some_and(Holder::is_gone) {
                    end_orphans(store, tell);
                }
                if !told {
                    tell(News::Waiting(holder));
                    told = true;
                }
                std::thread::sleep(LEASE_INTERVAL);
            }
        }
    }
}

/// Ends processes that killed runs have left running.
pub(super) fn end_orphans(store: &Store, tell: &dyn Fn(News)) {
    match orphans::end_all(&store.locks(), store.workspace_root()) {
        0 => {}
        ended => tell(News::Orphans(ended)),
    }
}

/// Claims the places of these outputs, or returns who has one of them.
///
/// # Errors
/// Those of [`Store::try_claim`].
pub fn claim_places(
    store: &Store,
    root: &Path,
    outputs: &[Destination],
) -> Result<Result<Vec<Claim>, Option<Holder>>, crate::store::Error> {
    let places: Vec<PathBuf> = outputs.iter().map(|output| root.join(&output.path)).collect();
    Ok(match store.try_claim(places.iter().map(|path| (&**path, Use::Write)))? {
        Claimed::All(claims) => Ok(claims),
        Claimed::Busy(holder) => Err(holder),
    })
}

/// Places the outputs of a recorded result, and adds the record to the store if it came from an upstream. `None`: it isn't a
/// record of these outputs. `put_aside` is called with an output in whose place something unknown to the cache lay, and with
/// where that is now. The caller has claimed their places ([`claim_places`]).
///
/// # Errors
/// Those of [`Store::restore`]; a miss means that the stage has to run.
pub fn place(
    store: &Store,
    root: &Path,
    outputs: &[Destination],
    placement: Placement,
    recorded: &Recorded,
    put_aside: &dyn Fn(PathBuf, PathBuf),
) -> Result<Option<Vec<PlacedOutput>>, crate::store::Error> {
    let trace = &recorded.trace;
    let by_name: BTreeMap<&str, Artifact> =
        trace.outputs.iter().map(|output| (output.name.as_str(), output.artifact)).collect();
    let mut placed = Vec::with_capacity(outputs.len());
    for output in outputs {
        let Some(&artifact) = by_name.get(output.name.as_str()) else { return Ok(None) };
        let restored = store.restore_claimed(&artifact, &root.join(&output.path), placement)?;
        restored.set_aside.into_iter().for_each(|to| put_aside(output.path.clone(), to));
        placed.push(PlacedOutput { path: output.path.clone(), artifact, entries: restored.entries });
    }
    store.keep_pulled(recorded)?;
    store.note_use(trace.key);
    Ok(Some(placed))
}
