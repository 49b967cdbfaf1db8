//! Which events a stage's event file gets, and when: those of a training as it progresses, those of other stages when they
//! are done.
//!
//! A running training's files are in its resume slot, a stage's outputs in the cache: both are found by the stage's key,
//! and so is the event file. A training that resumes after a kill starts a new file with all earlier events; so does a
//! retry.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::dataset::survey::spread;
use crate::digest::{Digest, Encoder, FileDigest, Key};
use crate::event::{Event, Finished};
use crate::exec::job;
use crate::graph::StageGraph;
use crate::kind::OutputRole;
use crate::pipeline::{Pipeline, StageId, Value};
use crate::plain;
use crate::report::tensorboard::{Events, Looks, Progress, REVISION};
use crate::results::map::{Map, Palette, class_palette, viridis};
use crate::results::metrics::Metrics;
use crate::store::{Store, Trace};

use super::event_file::{EventFile, is_complete};
use super::settings::{rows, settings};
use super::snapshots::{below, pictures};
use crate::event::unwritten::Unwritten;

/// The interval between two reads of a running training.
const LOOK: Duration = Duration::from_secs(1);

/// The event files of a pipeline.
pub(super) struct EventFiles {
    store: Arc<Store>,
    /// The classes' colours.
    palette: Palette,
    /// The stages with events, by name.
    stages: HashMap<String, Stage>,
}

/// A stage with events.
struct Stage {
    /// The folder of its views, which has its event file.
    folder: PathBuf,
    /// The source of its events, and its name in the stage.
    outputs: Vec<(String, OutputRole)>,
    /// Its row in TensorBoard's table of runs; empty if it has none.
    settings: Vec<(String, Value)>,
    running: Option<Running>,
}

/// A training in progress.
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

/// The source of events.
const SHOWN: [OutputRole; 7] = [
    OutputRole::Losses,
    OutputRole::Evaluations,
    OutputRole::Candidates,
    OutputRole::Metrics,
    OutputRole::Snapshots,
    OutputRole::EntropyMaps,
    OutputRole::Overlays,
];
/// This many images of a data set.
const ENTROPY_MAPS: usize = 10;
/// An evaluation's overlays: a few for each network, the same images for all; all are shown.
const OVERLAYS: usize = 100;

impl EventFiles {
    pub(super) fn new(pipeline: &Pipeline, graph: &StageGraph, store: &Arc<Store>) -> EventFiles {
        let rows = rows(pipeline);
        let stage = |id: StageId| {
            let stage = pipeline.stage(id);
            let shown: Vec<_> = stage.outputs.iter().filter(|output| SHOWN.contains(&output.role)).collect();
            // All outputs of a kind are in its stage's folder.
            let folder = pipeline.root.join(shown.first()?.path.parent()?);
            let outputs = shown.iter().map(|output| (output.name.clone(), output.role)).collect();
            let settings = if rows.contains(&id) { settings(pipeline, graph, id) } else { Vec::new() };
            Some((stage.name.clone(), Stage { folder, outputs, settings, running: None }))
        };
        let stages = pipeline.stage_ids().filter_map(stage).collect();
        EventFiles { store: Arc::clone(store), palette: class_palette(&pipeline.classes), stages }
    }

    /// Handles an event, and updates the file that it concerns.
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

    /// A job starts: its slot may still be cut back to a checkpoint, until it reports progress.
    fn begin(&mut self, stage: &str, key: Option<Key>) {
        if let Some(stage) = self.stages.get_mut(stage).filter(|stage| stage.is_training()) {
            let key = key.or(stage.running.as_ref().map(|running| running.key));
            stage.running = key.map(|key| Running { key, looked: None, growing: None });
        }
    }

    /// Existing files stay as they are.
    fn end(&mut self, stage: &str) {
        if let Some(stage) = self.stages.get_mut(stage) {
            stage.running = None;
        }
    }

    /// A training has progressed.
    fn look(&mut self, name: &str) -> Result<(), Unwritten> {
        let Some(stage) = self.stages.get_mut(name) else { return Ok(()) };
        let Some(running) = stage.running.as_mut().filter(|running| running.is_due()) else { return Ok(()) };
        running.looked = Some(Instant::now());
        let slot = self.store.slot(running.key);
        let mut progress = running.growing.as_ref().map_or_else(Progress::default, |growing| growing.progress);
        let losses = beyond(&slot.path().join(job::LOSSES), progress.losses);
        let lines = |file: &str| plain::read_to_string(&slot.path().join(file)).unwrap_or_default();
        let (evaluations, candidates) = (lines(job::EVALUATIONS), lines(job::CANDIDATES));
        let files = below(&slot.path().join(job::PICTURES));
        let pictures = pictures(files, progress.pictures, &self.palette, |path| plain::read(path).ok());
        if !slot.exists() {
            // It was deleted meanwhile, with data not yet read. The results are in the cache, and will be handled soon.
            return Ok(());
        }
        // A file after a failed write must not be continued.
        let growing = running.growing.take();
        let mut events = if growing.is_none() { beginning(&stage.settings) } else { Events::default() };
        let looks = Looks { evaluations: &evaluations, candidates: &candidates };
        progress.follow(&losses, looks, &pictures, &mut events);
        let file = match growing {
            None => {
                EventFile::begin(&stage.folder, content(running.key, &self.palette, &stage.settings), events.bytes())?
            }
            Some(mut growing) => {
                growing.file.append(events.bytes())?;
                growing.file
            }
        };
        running.growing = Some(Growing { file, progress });
        Ok(())
    }

    /// The results of a stage are in the cache: completes its file.
    fn complete(&mut self, name: &str, key: Key) -> Result<(), Unwritten> {
        let Some(stage) = self.stages.get_mut(name) else { return Ok(()) };
        let running = stage.running.take().filter(|running| running.key == key);
        let content = content(key, &self.palette, &stage.settings);
        if is_complete(&stage.folder, content) {
            return Ok(());
        }
        // Unreadable data are left out: the run doesn't fail.
        let Some(trace) = self.store.load(key).ok().flatten() else { return Ok(()) };
        let file = match running.and_then(|running| running.growing).filter(|growing| growing.file.is_there()) {
            Some(Growing { mut file, mut progress }) => {
                let mut events = Events::default();
                stage.add(&self.store, &trace, &self.palette, &mut progress, &mut events);
                file.append(events.bytes())?;
                file
            }
            None => {
                let mut events = beginning(&stage.settings);
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

    /// Adds the stage's outputs; for a training from where its file ends.
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
        let losses = bytes(OutputRole::Losses);
        let lines = |role: OutputRole| String::from_utf8_lossy(&bytes(role)).into_owned();
        let (evaluations, candidates) = (lines(OutputRole::Evaluations), lines(OutputRole::Candidates));
        let losses = losses.get(progress.losses as usize..).unwrap_or_default();
        let pictures = pictures(files(OutputRole::Snapshots), progress.pictures, palette, read);
        let looks = Looks { evaluations: &evaluations, candidates: &candidates };
        progress.follow(losses, looks, &pictures, events);
        progress.end(&pictures, events);
        for (path, object) in spread(&files(OutputRole::EntropyMaps), ENTROPY_MAPS) {
            let map = read(object).and_then(|bytes| Map::decode(&bytes));
            let picture = map.map(|map| map.small().png(&viridis())).unwrap_or_default();
            events.picture(0, &tag(path), &picture);
        }
        for (path, object) in spread(&files(OutputRole::Overlays), OVERLAYS) {
            events.picture(0, &tag(path), &read(object).unwrap_or_default());
        }
        let metrics: Metrics = serde_json::from_slice(&bytes(OutputRole::Metrics)).unwrap_or_default();
        events.measured(metrics.iter().filter_map(|(network, measured)| Some((network.as_str(), measured.miou?))));
        if !self.settings.is_empty() {
            events.success(progress.iterations);
        }
    }
}

fn tag(picture: &Path) -> String {
    format!("pictures/{}", picture.with_extension("").display())
}

fn beginning(settings: &[(String, Value)]) -> Events {
    let mut events = Events::beginning();
    events.settings(settings);
    events
}

/// What determines the events of a key.
fn content(key: Key, palette: &Palette, settings: &[(String, Value)]) -> Digest {
    let settings: Vec<String> = settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
    Encoder::new("intrada/events")
        .field("revision", &REVISION.to_le_bytes())
        .field("key", key.to_string().as_bytes())
        .field("colours", palette.as_flattened())
        .field("settings", settings.join("\n").as_bytes())
        .finish()
}

/// The content of a file after this many bytes; empty if it can't be read.
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
