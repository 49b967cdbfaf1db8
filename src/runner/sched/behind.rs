//! The targets of an output's links that lead out of it, as readers of the output see them.
//!
//! Knows outputs and files. A link in an output is kept as a link, so its target is not part of the artifact: a folder of
//! links to photographs stays the same artifact when the photographs change. But readers follow the links. So in the flow,
//! and in the keys of its readers, such an output is its artifact together with the current content of its links' targets.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::digest::{ArtifactDigest, Encoder};
use crate::inputs::seen::Seen;
use crate::inputs::{Inputs, Source};
use crate::plan::aliases::Real;
use crate::store::Artifact;

/// An output with links that lead out of it.
#[derive(Clone, Debug)]
pub struct Behind {
    /// The artifact together with the targets of its links.
    pub digest: ArtifactDigest,
    /// The targets by the name of the link, for `why`.
    pub options: BTreeMap<String, String>,
    /// The targets' state when they were digested.
    pub seen: Vec<Seen>,
}

impl Behind {
    /// Of an artifact at `place`, below the root of the workspace, with these links (name and target). `None` if all of
    /// them stay inside it.
    pub fn of(
        root: &Path,
        place: &Path,
        artifact: &Artifact,
        links: &[(PathBuf, PathBuf)],
        inputs: &Inputs,
    ) -> Option<Behind> {
        let mut real = Real::default();
        let top = real.of(&root.join(place));
        let mut behind = Behind { digest: artifact.digest(), options: BTreeMap::new(), seen: Vec::new() };
        let mut encoder = Encoder::new("intrada/output with links/1");
        encoder.field("artifact", artifact.digest().0.as_bytes());
        for (name, target) in links {
            let folder = top.join(name).parent().map_or_else(|| top.clone(), |folder| real.of(folder));
            let target = real.of(&folder.join(target));
            if target.starts_with(&top) {
                continue;
            }
            let (text, seen) = look(root, &target, inputs);
            encoder.field("link", name.as_os_str().as_bytes()).field("behind", text.as_bytes());
            behind.options.insert(format!("behind the link {}", name.display()), text);
            behind.seen.extend(seen);
        }
        if behind.options.is_empty() {
            return None;
        }
        behind.digest = ArtifactDigest(encoder.finish());
        Some(behind)
    }
}

/// The content at a path free of links; being unreadable is a result, too, which readers will notice.
fn look(root: &Path, target: &Path, inputs: &Inputs) -> (String, Option<Seen>) {
    match inputs.source(target.strip_prefix(root).unwrap_or(target)) {
        Ok(Source { artifact, seen }) => (artifact.digest().to_string(), Some(seen)),
        Err(_) => ("nothing that can be read".to_owned(), None),
    }
}
