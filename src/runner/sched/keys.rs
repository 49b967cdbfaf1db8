//! The manifests of a run, built when the flow asks for a key.
//!
//! Knows each source's digest and each stage's artifacts; doesn't access the file system. The flow only passes digests in
//! and gets keys.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::by_name::Hashing;
use crate::digest::{ArtifactDigest, Digest, Encoder, FileDigest, Key};
use crate::flow::{Keyer, NodeId, Outputs};
use crate::inputs::listing::Files;
use crate::pipeline::{Pipeline, Problem};
use crate::plan::found::Found;
use crate::plan::manifest::{Ingredient, Manifest};
use crate::plan::sources::Origin;
use crate::plan::{assemble, overlap};
use crate::store::{Artifact, Kind};

use super::behind::Behind;
use super::recalled::Recalled;
use super::wiring::{Node, Wiring};

/// What is known of the nodes so far.
pub struct Keys {
    pipeline: Rc<Pipeline>,
    wiring: Rc<Wiring>,
    found: RefCell<HashMap<NodeId, Rc<Found>, Hashing>>,
    /// Of sources that are not here.
    recalled: RefCell<HashMap<NodeId, Rc<Recalled>>>,
    artifacts: RefCell<HashMap<NodeId, Rc<[Artifact]>, Hashing>>,
    /// Of outputs with links that lead out of them.
    behind: RefCell<HashMap<(NodeId, u32), Rc<Behind>, Hashing>>,
    manifests: RefCell<HashMap<NodeId, (Key, Rc<Manifest>), Hashing>>,
}

impl Keys {
    /// For the nodes of `wiring`.
    pub fn new(pipeline: Rc<Pipeline>, wiring: Rc<Wiring>) -> Keys {
        let (found, recalled, artifacts, behind, manifests) = Default::default();
        Keys { pipeline, wiring, found, recalled, artifacts, behind, manifests }
    }

    /// Records the digest of a source.
    pub fn note_found(&self, node: NodeId, found: Found) {
        self.found.borrow_mut().insert(node, Rc::new(found));
    }

    /// Records what is known of a source that isn't here.
    pub fn note_recalled(&self, node: NodeId, recalled: Recalled) {
        self.recalled.borrow_mut().insert(node, Rc::new(recalled));
    }

    /// What is known of a source that isn't here.
    pub fn recalled(&self, node: NodeId) -> Option<Rc<Recalled>> {
        self.recalled.borrow().get(&node).cloned()
    }

    /// The number of images of a source, if it is a data set and they are known without generating them.
    pub fn images(&self, node: NodeId) -> Option<usize> {
        match self.found(node) {
            Some(found) => found.samples(),
            None => self.recalled(node)?.images(),
        }
    }

    /// The warnings about the sources so far, in the order of the nodes.
    pub fn warnings(&self) -> Vec<Problem> {
        let found = self.found.borrow();
        let nodes = self.wiring.iter().filter_map(|(node, _)| Some((node, found.get(&node)?)));
        let nodes: Vec<(NodeId, &Rc<Found>)> = nodes.collect();
        let datasets = nodes.iter().filter_map(|(node, found)| match self.wiring.node(*node) {
            Node::Source { source: Origin::Dataset { dataset, .. }, .. } => Some((*dataset, &***found)),
            _ => None,
        });
        let told = nodes.iter().flat_map(|(_, found)| found.warnings.iter().cloned());
        told.chain(overlap::problems(&self.pipeline, datasets)).collect()
    }

    /// Records a stage's outputs, and the targets of their links. Returns their digests for readers.
    pub fn note_outputs(&self, node: NodeId, outputs: Vec<(Artifact, Option<Behind>)>) -> Outputs {
        let artifacts: Vec<Artifact> = outputs.iter().map(|(artifact, _)| *artifact).collect();
        self.artifacts.borrow_mut().insert(node, artifacts.into());
        let mut all = self.behind.borrow_mut();
        let digests = (0..).zip(outputs).map(|(place, (artifact, behind))| match behind {
            Some(behind) => all.entry((node, place)).insert_entry(Rc::new(behind)).get().digest,
            None => {
                all.remove(&(node, place));
                artifact.digest()
            }
        });
        digests.collect()
    }

    /// The targets of an output's links that lead out of it.
    pub fn behind(&self, node: NodeId, output: u32) -> Option<Rc<Behind>> {
        self.behind.borrow().get(&(node, output)).cloned()
    }

    /// What was found of a source.
    pub fn found(&self, node: NodeId) -> Option<Rc<Found>> {
        self.found.borrow().get(&node).cloned()
    }

    /// A stage's outputs, in order.
    pub fn artifacts(&self, node: NodeId) -> Option<Rc<[Artifact]>> {
        self.artifacts.borrow().get(&node).cloned()
    }

    /// The manifest of the latest key of a stage.
    pub fn manifest(&self, node: NodeId) -> Option<Rc<Manifest>> {
        self.manifests.borrow().get(&node).map(|(_, manifest)| Rc::clone(manifest))
    }

    /// The latest key of a stage.
    pub fn key(&self, node: NodeId) -> Option<Key> {
        self.manifests.borrow().get(&node).map(|(key, _)| *key)
    }

    /// The files of a manifest's input in this run, if it is a source: listings are stored only when a stage runs.
    pub fn files(&self, listing: FileDigest) -> Option<Files> {
        let found = self.found.borrow();
        found.values().find(|found| found.ingredient.listing == Some(listing)).and_then(|found| found.files())
    }

    fn ingredient(&self, from: NodeId, output: u32, digest: ArtifactDigest) -> Ingredient {
        match self.wiring.node(from) {
            Node::Source { .. } => {
                let found = self.found(from).map(|found| found.ingredient.clone());
                let ingredient = found.or_else(|| Some(self.recalled(from)?.ingredient.clone()));
                Ingredient { digest, ..ingredient.expect("a source settles after it was found") }
            }
            Node::Stage(stage) => {
                let stage = self.pipeline.stage(*stage);
                let artifact = self.artifacts(from).and_then(|artifacts| artifacts.get(output as usize).copied());
                let listing = artifact.filter(|artifact| artifact.kind == Kind::Folder).map(|artifact| artifact.object);
                Ingredient {
                    digest,
                    what: [&stage.outputs[output as usize].name, " of `", &stage.name, "`"].concat(),
                    listing,
                    options: self.behind(from, output).map(|behind| behind.options.clone()).unwrap_or_default(),
                    named: BTreeMap::new(),
                }
            }
        }
    }
}

impl Keyer for Keys {
    fn key(&self, node: NodeId, inputs: &[ArtifactDigest]) -> Key {
        let slots = self.wiring.slots(node);
        let Node::Stage(stage) = self.wiring.node(node) else { return late_source(node, inputs) };
        let ingredients = slots
            .iter()
            .zip(inputs)
            .map(|(slot, &digest)| (slot.role.clone(), Box::new(self.ingredient(slot.from, slot.output, digest))))
            .collect::<BTreeMap<_, _>>();
        let manifest = assemble::manifest(&self.pipeline, self.pipeline.stage(*stage), ingredients);
        let key = manifest.key();
        self.manifests.borrow_mut().insert(node, (key, Rc::new(manifest)));
        key
    }
}

/// A late source is read again whenever one of its producers has other outputs.
fn late_source(node: NodeId, inputs: &[ArtifactDigest]) -> Key {
    let mut encoder = Encoder::new("intrada/late source/1");
    encoder.field("node", &node.0.to_le_bytes()).list("producers", inputs.len());
    for input in inputs {
        encoder.field("", Digest::as_bytes(&input.0));
    }
    Key(encoder.finish())
}
