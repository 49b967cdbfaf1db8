//! The job: all that a worker is told about one stage, and what it answers.
//!
//! A contract in files, not in calls: the runner serialises a [`Job`] as JSON, a worker in another process (one day on
//! another machine) reads it, works, and writes [`Event`]s as JSON lines on its standard output. Nothing of the graph, the
//! keys or the cache's layout is in it: a worker gets paths to read from and one folder to write into.

mod candidate;
mod items;
pub mod log;
pub mod predict;
pub mod scenes;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use intrada_picture::Palette;
use serde::{Deserialize, Serialize};

use super::attempt::Attempt;
use crate::digest::FileDigest;
use crate::kind;
use crate::kind::dataset::{Decode, Encoding, Margins, Orientation, Scaling};

pub use candidate::{Candidate, Scores, choose};
pub use items::{Items, Known, Part, made_on};

/// The version of this contract. A worker refuses a job of another version: the two programs are built together.
pub const FORMAT: u32 = 4;

/// Asked with this instead of a job, a worker says in one JSON line what it is: a [`Description`].
pub const DESCRIBE: &str = "--describe";

/// Asked with this and a file that holds a list of [`Job`]s, each with one file of weights as its only input, a worker only
/// tries whether these serve, and answers in one JSON line: [`Tried`].
pub const TRY_WEIGHTS: &str = "--try-weights";

/// What came of trying files of weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// [`FORMAT`] of the worker.
    pub format: u32,
    /// Of each job, in their order, why its file doesn't serve; `None`: it does.
    pub faults: Vec<Option<Fault>>,
    /// Of each job, in their order, what is doubtful about its file though it serves.
    pub warnings: Vec<Vec<String>>,
}

/// Why a file of weights doesn't serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What the stage would fail with.
    pub message: String,
    /// What to do.
    pub help: Vec<String>,
}

/// Where a training's losses grow in its slot: a line an iteration, in the file once the iteration is done. A training that
/// goes on cuts the file back to its checkpoint before it says how far it is.
pub const LOSSES: &str = "losses.jsonl";

/// Where a training's evaluations are in its slot: a line each, and none is missing that an iteration whose losses are in
/// their file came after.
pub const EVALUATIONS: &str = "validation/evaluations.jsonl";

/// Where the scores of a training's snapshots are in its slot, a [`Candidate`] each; as complete as [`EVALUATIONS`].
pub const CANDIDATES: &str = "candidates/candidates.jsonl";

/// Where a training's pictures are in its slot, laid out as in its output of this name. None is missing or in pieces that an
/// iteration whose losses are in their file came after.
pub const PICTURES: &str = "pictures";

/// What a worker finds on its machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// [`FORMAT`] of the worker.
    pub format: u32,
    /// Version of libtorch, where the files beside it say so.
    pub libtorch: Option<String>,
    /// The file of libtorch that was loaded, where the system tells.
    pub file: Option<PathBuf>,
    /// The version of libtorch that the worker was built for, where it is known.
    #[serde(default)]
    pub built_for: Option<String>,
    /// The best instructions of the CPU that this libtorch uses: `avx512`.
    #[serde(default)]
    pub instruction_set: Option<String>,
    /// Whether this libtorch was built with CUDA, be there a GPU or not.
    pub cuda: bool,
    /// The GPUs that libtorch finds, as `cuda:0`, `cuda:1`, ….
    pub gpus: Vec<Gpu>,
}

/// A GPU that libtorch finds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// Its model, where the driver's own program tells.
    pub name: Option<String>,
    /// Its memory in bytes: all, and what is free.
    pub memory: Option<[u64; 2]>,
    /// Why a small computation on it failed; `None`: it came out right.
    pub fault: Option<String>,
}

/// One stage, ready to be performed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// [`FORMAT`].
    pub format: u32,
    /// The stage's name, for messages.
    pub stage: String,
    /// The kind's name, as in the pipeline file.
    pub kind: String,
    /// Every parameter of the stage with its value, defaults filled in; a model's are called `model.arch` and so on.
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// The classes in the order of their indices.
    pub classes: Vec<Class>,
    /// The data sets by role (`source`, `target`, `images`, `dataset`).
    pub datasets: BTreeMap<String, Dataset>,
    /// What the pipeline file calls each of them, for messages and notes.
    pub dataset_names: BTreeMap<String, String>,
    /// Outputs of other stages and source files by role (`weights`, `hard`, `model.init`).
    pub inputs: BTreeMap<String, Input>,
    /// What messages call each output of another stage, whose files are objects of the store: its path and its stage.
    #[serde(default)]
    pub input_names: BTreeMap<String, String>,
    /// For a kind that works item by item: what its items are, and what is known of them already.
    pub items: Option<Items>,
    /// An empty folder; the outputs go there under the paths that the kind declares.
    pub staging: PathBuf,
    /// A folder that outlives a crash and is offered again to the same key only; what a resume needs goes there.
    pub slot: PathBuf,
    /// A folder of decoded samples, for the data sets that are cached. All jobs share it; the worker knows what is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<PathBuf>,
    /// `auto`, `cpu`, `cuda`, `cuda:1`.
    pub device: String,
    /// Threads for libtorch within the process. Results are the same to the bit only for the same number.
    pub threads: u32,
    /// The attempt that may write to the slot, if attempts on several machines are possible.
    #[serde(default)]
    pub attempt: Option<Attempt>,
    /// The instructions to which whatever computes is held, by their name in the pipeline file; none: the best there are.
    pub instruction_set: Option<String>,
}

impl Job {
    /// A job that reads nothing and has no parameters, on the CPU, with one thread.
    #[must_use]
    pub fn bare(stage: impl Into<String>, kind: impl Into<String>, staging: PathBuf, slot: PathBuf) -> Job {
        Job {
            format: FORMAT,
            stage: stage.into(),
            kind: kind.into(),
            parameters: BTreeMap::new(),
            classes: Vec::new(),
            datasets: BTreeMap::new(),
            dataset_names: BTreeMap::new(),
            inputs: BTreeMap::new(),
            input_names: BTreeMap::new(),
            items: None,
            staging,
            slot,
            samples: None,
            device: "cpu".to_owned(),
            threads: 1,
            attempt: None,
            instruction_set: None,
        }
    }

    /// Whether only `intrada-worker` performs it: see [`Kind::tensors`](crate::kind::Kind::tensors).
    pub fn needs_tensors(&self) -> bool {
        let kind = kind::ALL.iter().find(|kind| kind.name == self.kind);
        kind.map_or(self.kind != scenes::PAINTING, |kind| kind.tensors)
    }
}

/// A class to be told apart in the images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// As in tables.
    pub name: String,
    /// R, G, B in pictures.
    pub colour: [u8; 3],
    /// Counted by the ranking's normalisation.
    pub rare: bool,
    /// A thing (a car), not stuff (road).
    #[serde(default)]
    pub thing: bool,
}

/// A data set as an explicit list: the runner knows where files lie, the worker how to decode them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "kebab-case")]
pub enum Dataset {
    /// Images in files.
    Files {
        /// In order.
        samples: Vec<Sample>,
        /// Width and height that images and labels are resized to.
        size: Option<[u32; 2]>,
        /// How they take that size.
        #[serde(default, skip_serializing_if = "Scaling::is_usual")]
        scaling: Scaling,
        /// Label value → class index or 255; a value that isn't here stays what it is.
        map: Vec<(u8, u8)>,
        /// How a label's pixels hold its values.
        encoding: Encoding,
        /// The class index or 255 of each colour, where labels hold colours.
        #[serde(default, skip_serializing_if = "Palette::is_empty")]
        palette: Palette,
        /// Whether images are turned as their orientation tags say.
        #[serde(default, skip_serializing_if = "Orientation::is_ignore")]
        orientation: Orientation,
        /// Which decoder of JPEG files it takes, where an image is one: a finding about such an image is about its pixels.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        jpeg: Option<u32>,
        /// The same of WebP files.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        webp: Option<u32>,
        /// What the stage ignores at the edges of each resized image.
        #[serde(default, skip_serializing_if = "Margins::is_none")]
        margins: Margins,
        /// How much of a JPEG is decoded, where images are resized.
        #[serde(default, skip_serializing_if = "Decode::is_full")]
        decode: Decode,
        /// Whether samples are kept in [`Job::samples`] as decoded and resized. Changes no pixel.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cache: bool,
    },
    /// Procedural road scenes, painted when they are needed.
    Scenes {
        /// `source` or `target`.
        style: String,
        /// `all`, `easy` or `hard`.
        part: String,
        /// Sets the whole set apart from others.
        seed: u64,
        /// Number of scenes.
        count: u32,
        /// Width and height in pixels.
        size: [u32; 2],
        /// Like for files.
        #[serde(default, skip_serializing_if = "Margins::is_none")]
        margins: Margins,
    },
}

/// One image and, where there is one and it is to be read, its label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// As in list files: path below the images folder, with ending.
    pub name: String,
    /// The photograph.
    pub image: Source,
    /// Absent where the role reads no labels.
    pub label: Option<Source>,
}

/// A file of the workspace, and what it held when the stage's key was made. Its owner may edit it at any moment, so a worker
/// compares the very bytes that it works with, and does not go on with others: what it made of them would belong to no key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Absolute.
    pub path: PathBuf,
    /// What is to be found there.
    pub content: FileDigest,
}

/// A file or a folder that a job reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Input {
    /// The path of a file that nobody edits, an object of the store; its name is no guide to its content.
    File(PathBuf),
    /// A file of the workspace.
    Source(Source),
    /// Relative path within the folder → path of the file.
    Folder(BTreeMap<String, PathBuf>),
}

impl Dataset {
    /// Gives it other margins than before; a data set has none unless its stage heeds them.
    pub fn set_margins(&mut self, wanted: Margins) {
        match self {
            Dataset::Files { margins, .. } | Dataset::Scenes { margins, .. } => *margins = wanted,
        }
    }

    /// Whether its samples are kept as decoded and resized.
    pub fn is_cached(&self) -> bool {
        matches!(self, Dataset::Files { cache: true, .. })
    }

    /// The number of its samples; of scenes, of which a part may be left out, at most.
    pub fn len_at_most(&self) -> usize {
        match self {
            Dataset::Files { samples, .. } => samples.len(),
            Dataset::Scenes { count, .. } => *count as usize,
        }
    }
}

impl Job {
    /// Every file of the workspace that the job may read.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        let samples = self.datasets.values().flat_map(|dataset| match dataset {
            Dataset::Files { samples, .. } => &samples[..],
            Dataset::Scenes { .. } => &[],
        });
        let of_samples = samples.flat_map(|sample| [Some(&sample.image), sample.label.as_ref()]).flatten();
        let of_inputs = self.inputs.values().filter_map(|input| match input {
            Input::Source(source) => Some(source),
            Input::File(_) | Input::Folder(_) => None,
        });
        of_inputs.chain(of_samples)
    }
}

/// The iterations that a training's checkpoint in a resume slot has behind it; `None` where there is none.
pub fn iterations_kept(slot: &Path) -> Option<u64> {
    kept(slot).map(|kept| kept.iteration)
}

/// What a training's checkpoint has behind it.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Kept {
    /// Iterations.
    pub iteration: u64,
    /// What they took, over all runs that went on from one another, in seconds. 0 in older checkpoints, which don't say so.
    #[serde(default)]
    pub seconds: f64,
}

/// What the checkpoint in a resume slot has behind it; `None` where there is none. The checkpoint is a safetensors file, whose
/// header says so: the tensors needn't be read, and mean nothing here.
pub fn kept(slot: &Path) -> Option<Kept> {
    /// The header names a few hundred tensors; more is no header.
    const LONGEST: u64 = 16 << 20;
    #[derive(Deserialize)]
    struct Header {
        #[serde(rename = "__metadata__")]
        metadata: BTreeMap<String, String>,
    }
    let mut file = crate::plain::open(&slot.join("checkpoint.safetensors")).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let length = u64::from_le_bytes(length);
    let mut header = Vec::new();
    file.take(length.min(LONGEST)).read_to_end(&mut header).ok()?;
    let header: Header = serde_json::from_slice(&header).ok()?;
    header.metadata.values().find_map(|text| serde_json::from_str(text).ok())
}

/// What a worker says while it works: one JSON line each on its standard output. Everything else it prints is log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// So many of so many iterations or images.
    Progress {
        /// Done so far.
        done: u64,
        /// To be done in all.
        total: u64,
        /// What is counted: `iterations` or `images`.
        unit: String,
        /// Numbers worth a glance, as (name, value).
        values: Vec<(String, f64)>,
    },
    /// The work goes on from a checkpoint in the slot.
    Resumed {
        /// Iterations that needn't be done again.
        at: u64,
    },
    /// The work is done; the outputs are complete. The notes go into the trace.
    Finished {
        /// For example `summary`: `120 easy, 80 hard, cut at 0.0712`.
        notes: BTreeMap<String, String>,
    },
    /// It stopped when asked to, and what is needed to go on is in the slot.
    Interrupted {
        /// The iterations, or images of this attempt, that needn't be done again.
        at: u64,
    },
    /// It can't be done.
    Failed {
        /// What failed and where.
        message: String,
        /// What to do.
        help: Vec<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_single_json_lines_that_read_back() {
        let events = [
            Event::Progress { done: 3, total: 300, unit: "iterations".into(), values: vec![("seg".into(), 0.5)] },
            Event::Resumed { at: 7 },
            Event::Finished { notes: [("summary".into(), "two\nlines".into())].into() },
            Event::Interrupted { at: 7 },
            Event::Failed { message: "no".into(), help: vec![] },
        ];
        for event in events {
            let line = serde_json::to_string(&event).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
        }
    }
}
