//! Which stages are done, and what they took and gave: for whoever hands results on.
//!
//! Starts nothing and looks at no output's content. Done is what a run would leave alone or fetch from the cache, so what is
//! found here is what the pipeline file says now, not what some earlier run left behind.

use std::rc::Rc;

use crate::digest::Key;
use crate::pipeline::{Problems, StageId};
use crate::plan::manifest::Manifest;
use crate::store::Artifact;

use super::dry::{self, Decision};
use super::session::Session;
use super::wiring::Node;

/// A stage that is done.
pub struct Done {
    /// Which.
    pub stage: StageId,
    /// The name of its computation.
    pub key: Key,
    /// What it took, of which the key is the hash.
    pub manifest: Rc<Manifest>,
    /// What it gave, in the order of its outputs.
    pub artifacts: Rc<[Artifact]>,
    /// How many images each of its data sets has, by role, where that is known without drawing them.
    pub samples: Vec<(String, usize)>,
}

/// Of `targets` and what they need, the stages that are done, in the order of the graph.
///
/// # Errors
/// What is wrong with the sources.
pub fn done(session: &mut Session, targets: &[StageId]) -> Result<Vec<Done>, Problems> {
    let (planner, decisions) = dry::settle(session, targets, &[])?;
    let stages = planner.wiring.iter().filter_map(|(node, what)| {
        let Node::Stage(stage) = what else { return None };
        matches!(decisions.get(&node), Some(Decision::UpToDate | Decision::Hit)).then_some((node, *stage))
    });
    let found = stages.filter_map(|(node, stage)| {
        let slots = planner.wiring.slots(node).iter();
        let samples =
            slots.filter_map(|slot| Some((slot.role.clone(), planner.keys.found(slot.from)?.samples()?))).collect();
        let (key, manifest) = (planner.keys.key(node)?, planner.keys.manifest(node)?);
        Some(Done { stage, key, manifest, artifacts: planner.keys.artifacts(node)?, samples })
    });
    Ok(found.collect())
}
