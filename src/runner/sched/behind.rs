//! What lies behind the links in an output that lead out of it, as those who read the output get it.
//!
//! Knows outputs and files. A link in an output is kept as a link, so what it leads to is no part of the artifact: a folder of links
//! to photographs stays the same artifact while the photographs change. Whoever reads it follows the links. So to the flow, and
//! in the keys of those who read it, such an output is its artifact together with what lies behind its links at that time.

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
    /// The artifact together with what lies behind its links.
    pub digest: ArtifactDigest,
    /// By the name of the link what lies behind it, for `why`.
    pub options: BTreeMap<String, String>,
    /// What lies behind, as it was when it was digested.
    pub seen: Vec<Seen>,
}

impl Behind {
    /// Of an artifact that lies at `place`, below the root of the workspace, with these links: each one's name and target. `None` if
    /// all of them stay within it.
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

/// What lies at a place free of links; nothing that can't be read is a result, too, and whoever reads it finds that out.
fn look(root: &Path, target: &Path, inputs: &Inputs) -> (String, Option<Seen>) {
    match inputs.source(target.strip_prefix(root).unwrap_or(target)) {
        Ok(Source { artifact, seen }) => (artifact.digest().to_string(), Some(seen)),
        Err(_) => ("nothing that can be read".to_owned(), None),
    }
}
