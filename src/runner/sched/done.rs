//! Which stages are done, with their inputs and outputs: for exporting results.
//!
//! Starts nothing and reads no output's content. A stage is done if a run would skip it or restore it from the cache, so
//! the results are those of the current pipeline file, not of some earlier run.

use std::path::PathBuf;
use std::rc::Rc;

use crate::digest::Key;
use crate::pipeline::{Problems, StageId};
use crate::plan::manifest::Manifest;
use crate::store::Artifact;
use crate::store::index::{PlacedOutput, StageRecord};

use super::dry::{self, Decision};
use super::session::Session;
use super::wiring::Node;

/// A stage that is done.
pub struct Done {
    /// The stage.
    pub stage: StageId,
    /// Its key.
    pub key: Key,
    /// Its inputs, of which the key is the hash.
    pub manifest: Rc<Manifest>,
    /// Its outputs, in order.
    pub artifacts: Rc<[Artifact]>,
    /// The number of images of each of its data sets, by role, if known without generating them.
    pub samples: Vec<(String, usize)>,
}

/// Takes the results of `targets` and their ancestors that are only in the cache as if they were in place, for commands that show
/// the outputs of the index; of all stages if there are none. For a session that is never saved.
///
/// # Errors
/// Problems of the sources.
pub fn adopt(session: &mut Session, targets: &[StageId]) -> Result<(), Problems> {
    for Done { stage, key, artifacts, .. } in done(session, targets)? {
        let what = session.pipeline.stage(stage);
        let name = session.record_name(what);
        let is_known = session.index.stages.get(&name).is_some_and(|record| record.key == key);
        let Some(trace) = session.store.load(key).ok().flatten().filter(|_| !is_known) else { continue };
        let places = what.outputs.iter().map(|output| output.path.clone());
        let placed =
            |(path, artifact): (PathBuf, &Artifact)| PlacedOutput { path, artifact: *artifact, entries: Vec::new() };
        let outputs = places.zip(&*artifacts).map(placed).collect();
        let finished = trace.started + trace.seconds;
        let record = StageRecord { key, outputs, finished, seconds: trace.seconds };
        session.index.stages.insert(name, record);
    }
    Ok(())
}

/// The stages among `targets` and their ancestors that are done, in the order of the graph.
///
/// # Errors
/// Problems of the sources.
pub fn done(session: &mut Session, targets: &[StageId]) -> Result<Vec<Done>, Problems> {
    let (planner, decisions) = dry::settle(session, targets, &[])?;
    let stages = planner.wiring.iter().filter_map(|(node, what)| {
        let Node::Stage(stage) = what else { return None };
        matches!(decisions.get(&node), Some(Decision::UpToDate | Decision::Hit)).then_some((node, *stage))
    });
    let found = stages.filter_map(|(node, stage)| {
        let slots = planner.wiring.slots(node).iter();
        let samples = slots.filter_map(|slot| Some((slot.role.clone(), planner.keys.images(slot.from)?))).collect();
        let (key, manifest) = (planner.keys.key(node)?, planner.keys.manifest(node)?);
        Some(Done { stage, key, manifest, artifacts: planner.keys.artifacts(node)?, samples })
    });
    Ok(found.collect())
}
