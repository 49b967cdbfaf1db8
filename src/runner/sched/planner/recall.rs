//! What stands for a source that isn't here, in a session that shows finished results.
//!
//! Decides neither whether it is away (`plan::away`) nor what the cache says of it (`recalled`).

use super::{Node, Planner, Session};
use crate::digest::ArtifactDigest;
use crate::flow::NodeId;
use crate::pipeline::StageId;
use crate::plan::found::Surveyor;
use crate::plan::sources::Origin;

impl Planner {
    /// The digest of a source that isn't here, as it was last recorded, for a session that shows finished results; `after`: the
    /// outputs that stages write into it. The session notes it. `None`: it is here, or what is here of it is wrong.
    ///
    /// # Errors
    /// Nothing in the cache stands for it, and why.
    pub fn recall(
        &self,
        session: &Session,
        node: NodeId,
        after: &[ArtifactDigest],
    ) -> Option<Result<ArtifactDigest, String>> {
        let Node::Source { source, producers } = self.wiring.node(node) else { return None };
        let records = session.records()?;
        let surveyor = Surveyor { pipeline: &session.pipeline, inputs: &self.inputs };
        let mut absent = surveyor.absent(source, !producers.is_empty(), &self.readers(session, node)).ok()??;
        // A data set with and without its labels is one state of its images.
        absent.images = absent.images.take().or_else(|| self.images_recalled(source));
        let roles = self.wiring.readers(node).filter_map(|(reader, slot)| {
            let stage = self.wiring.node(reader).stage()?;
            Some((stage, session.pipeline.stage(stage).inputs[slot].role.as_str()))
        });
        let roles: Vec<(StageId, &str)> = roles.collect();
        let found = records.find(&absent, &roles, after);
        session.note_away(absent.away, &found);
        Some(found.map(|recalled| {
            let digest = recalled.ingredient.digest;
            self.keys.note_recalled(node, recalled);
            digest
        }))
    }

    /// The listing of the images of a data set that isn't here, if another node has recalled it.
    fn images_recalled(&self, source: &Origin) -> Option<Vec<u8>> {
        let Origin::Dataset { dataset: wanted, .. } = source else { return None };
        self.wiring.iter().find_map(|(node, what)| match what {
            Node::Source { source: Origin::Dataset { dataset, .. }, .. } if dataset == wanted => {
                self.keys.recalled(node)?.listing.clone()
            }
            _ => None,
        })
    }
}
