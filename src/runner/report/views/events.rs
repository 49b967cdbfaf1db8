//! Which events belong into the event file of a stage, and when: those of a training as it gets on, those of other stages
//! when they are done.
//!
//! What a training's job has written so far lies in its resume slot, what a stage gave in the cache: both are found by the
//! stage's key, and so is the file, by what determines it. A training that goes on after a kill begins a new file with all
//! that came before; so does one that is tried again.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::dataset::survey::spread;
use crate::digest::{Digest, Encoder, FileDigest, Key};
use crate::event::{Event, Finished};
use crate::exec::job;
use crate::kind::OutputRole;
use crate::pipeline::{self, Pipeline};
use crate::plain;
use crate::report::tensorboard::{Events, Progress, REVISION};
use crate::results::map::{Map, Palette, class_palette, viridis};
use crate::store::{Store, Trace};

use super::event_file::{EventFile, is_complete};
use super::snapshots::{below, pictures};
use crate::event::unwritten::Unwritten;

/// From one look at a running training to the next.
const LOOK: Duration = Duration::from_secs(1);

/// The event files of a pipeline.
pub(super) struct EventFiles {
    store: Arc<Store>,
    /// The classes' colours.
    palette: Palette,
    /// Those that have something to show, by name.
    stages: HashMap<String, Stage>,
}

/// A stage that has something to show.
struct Stage {
    /// Where its views lie, and its event file with them.
    folder: PathBuf,
    /// What is shown, and what the stage calls it.
    outputs: Vec<(String, OutputRole)>,
    running: Option<Running>,
}

/// A training that is computed now.
struct Running {
    key: Key,
    looked: Option<Instant>,
    /// None before its first iteration.
    growing: Option<Growing>,
}

/// An event file and how far it has come.
struct Growing {
    file: EventFile,
    progress: Progress,
}

/// What is shown.
const SHOWN: [OutputRole; 5] =
    [OutputRole::Losses, OutputRole::Evaluations, OutputRole::Snapshots, OutputRole::EntropyMaps, OutputRole::Overlays];
/// How many of a data set.
const ENTROPY_MAPS: usize = 10;
/// An evaluation makes a few overlays for each network, and the same for all: these are all shown.
const OVERLAYS: usize = 100;

impl EventFiles {
    pub(super) fn new(pipeline: &Pipeline, store: &Arc<Store>) -> EventFiles {
        let stage = |stage: &pipeline::Stage| {
            let shown: Vec<_> = stage.outputs.iter().filter(|output| SHOWN.contains(&output.role)).collect();
            // All outputs of a kind lie in its stage's folder.
            let folder = pipeline.root.join(shown.first()?.path.parent()?);
            let outputs = shown.iter().map(|output| (output.name.clone(), output.role)).collect();
            Some((stage.name.clone(), Stage { folder, outputs, running: None }))
        };
        let stages = pipeline.stages.iter().filter_map(stage).collect();
        EventFiles { store: Arc::clone(store), palette: class_palette(&pipeline.classes), stages }
    }

    /// Takes note of what happened, and brings the file up to date that it concerns.
    ///
    /// # Errors
    /// The file can't be written.
    pub(super) fn hear(&mut self, event: &Event) -> Result<(), Unwritten> {
        match event {
            Event::Started { stage, key, .. } => self.begin(stage, Some(*key)),
            Event::Retrying { stage, .. } => self.begin(stage, None),
            Event::Dropped { stage } => self.end(stage),
            Event::Progress { stage, .. } => return self.look(stage),
            Event::Finished(Finished { stage, outcome, key: Some(key), .. }) if outcome.has_results() => {
                return self.complete(stage, *key);
            }
            Event::Finished(finished) => self.end(&finished.stage),
            _ => {}
        }
        Ok(())
    }

    /// A job begins: what lies in its slot may still be cut back, until it says how far it is.
    fn begin(&mut self, stage: &str, key: Option<Key>) {
        if let Some(stage) = self.stages.get_mut(stage).filter(|stage| stage.is_training()) {
            let key = key.or(stage.running.as_ref().map(|running| running.key));
            stage.running = key.map(|key| Running { key, looked: None, growing: None });
        }
    }

    /// Whatever there is is left as it is.
    fn end(&mut self, stage: &str) {
        if let Some(stage) = self.stages.get_mut(stage) {
            stage.running = None;
        }
    }

    /// A training has got on.
    fn look(&mut self, name: &str) -> Result<(), Unwritten> {
        let Some(stage) = self.stages.get_mut(name) else { return Ok(()) };
        let Some(running) = stage.running.as_mut().filter(|running| running.is_due()) else { return Ok(()) };
        running.looked = Some(Instant::now());
        let slot = self.store.slot(running.key);
        let mut progress = running.growing.as_ref().map_or_else(Progress::default, |growing| growing.progress);
        let losses = beyond(&slot.path().join(job::LOSSES), progress.losses);
        let evaluations = plain::read_to_string(&slot.path().join(job::EVALUATIONS)).unwrap_or_default();
        let files = below(&slot.path().join(job::PICTURES));
        let pictures = pictures(files, progress.pictures, &self.palette, |path| plain::read(path).ok());
        if !slot.exists() {
            // It went meanwhile, and with it what wasn't read yet. The results are in the cache, and told about soon.
            return Ok(());
        }
        // A file that a write failed to must not grow any more.
        let growing = running.growing.take();
        let mut events = if growing.is_none() { Events::beginning() } else { Events::default() };
        progress.follow(&losses, &evaluations, &pictures, &mut events);
        let file = match growing {
            None => EventFile::begin(&stage.folder, content(running.key, &self.palette), events.bytes())?,
            Some(mut growing) => {
                growing.file.append(events.bytes())?;
                growing.file
            }
        };
        running.growing = Some(Growing { file, progress });
        Ok(())
    }

    /// The results of a stage are in the cache, and its file gets all that it hasn't.
    fn complete(&mut self, name: &str, key: Key) -> Result<(), Unwritten> {
        let Some(stage) = self.stages.get_mut(name) else { return Ok(()) };
        let running = stage.running.take().filter(|running| running.key == key);
        let content = content(key, &self.palette);
        if is_complete(&stage.folder, content) {
            return Ok(());
        }
        // What can't be read is left out: it is no failure of the run.
        let Some(trace) = self.store.load(key).ok().flatten() else { return Ok(()) };
        let file = match running.and_then(|running| running.growing).filter(|growing| growing.file.is_there()) {
            Some(Growing { mut file, mut progress }) => {
                let mut events = Events::default();
                stage.add(&self.store, &trace, &self.palette, &mut progress, &mut events);
                file.append(events.bytes())?;
                file
            }
            None => {
                let mut events = Events::beginning();
                stage.add(&self.store, &trace, &self.palette, &mut Progress::default(), &mut events);
                EventFile::begin(&stage.folder, content, events.bytes())?
            }
        };
        file.complete()
    }
}

impl Running {
    fn is_due(&self) -> bool {
        self.looked.is_none_or(|looked| looked.elapsed() >= LOOK)
    }
}

impl Stage {
    fn is_training(&self) -> bool {
        self.outputs.iter().any(|(_, role)| *role == OutputRole::Losses)
    }

    /// Adds what the stage gave, a training's from where its file has come to.
    fn add(&self, store: &Store, trace: &Trace, palette: &Palette, progress: &mut Progress, events: &mut Events) {
        let read = |object: &FileDigest| store.read(*object).ok().flatten();
        let given = |wanted: OutputRole| -> Option<FileDigest> {
            let (name, _) = self.outputs.iter().find(|(_, role)| *role == wanted)?;
            trace.outputs.iter().find(|output| output.name == *name).map(|output| output.artifact.object)
        };
        let bytes = |role: OutputRole| given(role).as_ref().and_then(read).unwrap_or_default();
        let files = |role: OutputRole| {
            let mut files = given(role).and_then(|folder| store.files_of(folder)).unwrap_or_default();
            files.sort();
            files
        };
        let (losses, evaluations) = (bytes(OutputRole::Losses), bytes(OutputRole::Evaluations));
        let losses = losses.get(progress.losses as usize..).unwrap_or_default();
        let pictures = pictures(files(OutputRole::Snapshots), progress.pictures, palette, read);
        progress.follow(losses, &String::from_utf8_lossy(&evaluations), &pictures, events);
        progress.end(&pictures, events);
        for (path, object) in spread(&files(OutputRole::EntropyMaps), ENTROPY_MAPS) {
            let map = read(object).and_then(|bytes| Map::decode(&bytes));
            let picture = map.map(|map| map.small().png(&viridis())).unwrap_or_default();
            events.picture(0, &tag(path), &picture);
        }
        for (path, object) in spread(&files(OutputRole::Overlays), OVERLAYS) {
            events.picture(0, &tag(path), &read(object).unwrap_or_default());
        }
    }
}

fn tag(picture: &Path) -> String {
    format!("pictures/{}", picture.with_extension("").display())
}

/// What determines the events of a key.
fn content(key: Key, palette: &Palette) -> Digest {
    Encoder::new("intrada/events")
        .field("revision", &REVISION.to_le_bytes())
        .field("key", key.to_string().as_bytes())
        .field("colours", palette.as_flattened())
        .finish()
}

/// What a file holds beyond so many bytes; nothing where it can't be read.
fn beyond(path: &Path, start: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = plain::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(start))?;
        file.read_to_end(&mut bytes)
    });
    if read.is_err() {
        bytes.clear();
    }
    bytes
}

#[cfg(test)]
mod tests;
