//! Puts TensorBoard's event files beside the views of a run: `tensorboard --logdir runs` shows each stage under its name.
//!
//! The files are made from outputs in the cache, as another run may have put its own in place meanwhile. The name of a file
//! tells what it was made from: one that is there already isn't made again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::{Digest, FileDigest};
use crate::kind::Gives;
use crate::report::tensorboard::Events;
use crate::sched::Ended;
use crate::sched::session::Session;
use crate::spec::{Output, StageId};
use crate::store::Artifact;

/// Raised when other events are made of the same files.
const REVISION: u32 = 1;
/// How TensorBoard knows its files.
const PREFIX: &str = "events.out.tfevents.";

/// Writes the events of every stage that gave something to show. The first file that can't be written ends it.
///
/// # Errors
/// What the system answered, and the file.
pub(super) fn write(session: &Session, stages: &[StageId], ended: &Ended) -> Result<(), (PathBuf, io::Error)> {
    for id in stages {
        let Some(artifacts) = ended.artifacts.get(id) else { continue };
        let outputs = session.pipeline.stage(*id).outputs.iter().zip(artifacts.iter());
        let shown: Vec<(&Output, Artifact)> = outputs
            .filter(|(output, _)| limit(output.gives) > 0)
            .map(|(output, artifact)| (output, *artifact))
            .collect();
        // All outputs of a kind lie in its stage's folder.
        let Some(folder) = shown.first().and_then(|(output, _)| output.path.parent()) else { continue };
        let folder = session.pipeline.root.join(folder);
        let path = folder.join(name(&shown));
        if !path.exists() {
            put(&folder, &path, &events(session, &shown)).map_err(|error| (path, error))?;
        }
    }
    Ok(())
}

/// How many files of such an output are shown. An evaluation makes a few overlays for each network, and the same for all:
/// these are all shown.
fn limit(gives: Gives) -> usize {
    match gives {
        Gives::Losses | Gives::Evaluations => 1,
        Gives::EntropyMaps => 10,
        Gives::Overlays => 100,
        _ => 0,
    }
}

fn name(shown: &[(&Output, Artifact)]) -> String {
    let parts: String = shown.iter().map(|(_, artifact)| format!("{} ", artifact.object)).collect();
    format!("{PREFIX}{REVISION}.{}", &Digest::of(parts.as_bytes()).to_string()[..16])
}

/// What can't be read is left out: it is no failure of the run.
fn events(session: &Session, shown: &[(&Output, Artifact)]) -> Vec<u8> {
    let read = |object: FileDigest| session.store.read(object).ok().flatten();
    let text = |artifact: &Artifact| read(artifact.object).and_then(|bytes| String::from_utf8(bytes).ok());
    let mut events = Events::default();
    for (output, artifact) in shown {
        match output.gives {
            Gives::Losses => events.losses(&text(artifact).unwrap_or_default()),
            Gives::Evaluations => events.evaluations(&text(artifact).unwrap_or_default()),
            _ => {
                let mut files = session.store.files_of(artifact.object).unwrap_or_default();
                files.sort();
                let step = files.len().div_ceil(limit(output.gives)).max(1);
                for (path, object) in files.iter().step_by(step) {
                    let tag = format!("pictures/{}", path.with_extension("").display());
                    events.picture(&tag, &read(*object).unwrap_or_default());
                }
            }
        }
    }
    events.into_bytes()
}

/// One file a stage: several would show steps twice.
fn put(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = folder.join(".events.partial");
    fs::write(&partial, bytes)?;
    for entry in fs::read_dir(folder)? {
        let earlier = entry?;
        if earlier.file_name().to_string_lossy().starts_with(PREFIX) {
            fs::remove_file(earlier.path())?;
        }
    }
    fs::rename(&partial, path)
}
