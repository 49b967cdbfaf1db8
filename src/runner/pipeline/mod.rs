//! The pipeline file: parses the TOML into a [`Pipeline`], which is always valid.
//!
//! Reads no data set and starts nothing; it accesses only the file itself (or its neighbours, if it is missing) and the
//! workspace root. The tables of `kind` define the keys. Two types hold the file: `raw` has the text with positions, [`Pipeline`]
//! has resolved names and defaults, with positions for messages.

mod about;
mod across;
mod cache;
mod candidates;
mod check;
pub mod chosen;
mod datasets;
mod defaults;
mod draft;
mod effects;
mod execution;
mod executors;
mod header;
mod homes;
mod learnt;
mod lineage;
mod meant_file;
pub mod manual;
pub mod measure;
mod models;
mod names;
mod near;
mod networks;
mod overrides;
mod palettes;
mod paths;
mod problem;
mod problems;
mod raw;
mod read;
pub mod reference;
mod renamed;
mod rendered;
mod resolve;
pub mod schema;
mod sections;
mod shards;
mod source;
mod stages;
mod sweep;
mod read_value;
mod typed;
pub mod template;
mod value;
mod windows;
mod words;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use intrada_picture::Palette;

pub use about::{About, is_tag};
pub use cache::{Signing, Trusted, Upstream};
pub use draft::{Draft, near_file, root_of};
pub use execution::{Demand, Execution, Resources};
pub use executors::{Commands, Executor, Slurm, System, filled};
pub use header::is_device;
pub use near::nearest;
use networks::Domains;
pub use networks::{MeasuredNetwork, Which};
pub use paths::Writers;
pub use problem::{Label, Problem, Severity};
pub use problems::Problems;
pub use renamed::renamed;
pub use rendered::Look;
pub use shards::Shards;
pub use source::{Source, Sources, Span};
pub use value::Value;

use crate::kind::dataset::{Decode, Margins, Orientation, Scaling, Selection};
use crate::kind::instruction_set::InstructionSet;
use crate::kind::{Kind, Only, OutputRole, Role};
use sweep::Reference;

/// Reads a pipeline file and the arguments of `--set`, such as `stages.rank.lambda=0.6`.
///
/// Doesn't detect cycles: `graph::load` reads the file and builds the graph.
///
/// # Errors
/// All errors of the file and the arguments, in their order.
pub fn load(file: &Path, set: &[String]) -> Result<Pipeline, Problems> {
    Draft::read(file, set, None)?.finish()
}

/// Reads the text of a pipeline file as it was for an earlier run, with the arguments of `--set`; `file` is not accessed.
///
/// # Errors
/// Those of [`load`]: a text that an earlier program read may be wrong for this one.
pub fn reread(file: &Path, root: &Path, text: String, set: &[String]) -> Result<Pipeline, Problems> {
    Draft::parse(file, root, text, set, None).finish()
}

/// A pipeline: names resolved, defaults filled in.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// The file, as named on the command line.
    pub file: PathBuf,
    /// The workspace root, absolute: the nearest folder at or above the file with a cache of this program in `cache/`, else the
    /// file's own. Other paths here are relative to it, or absolute if typed so and outside of it.
    pub root: PathBuf,
    /// Names `runs/<name>`.
    pub name: String,
    /// What it is for. Never part of a key.
    pub about: About,
    /// The default seed of the stages.
    pub seed: u64,
    /// `auto`, `cpu`, `cuda` or `cuda:<n>`. Never part of a key.
    pub device: String,
    /// Position of `device`.
    pub device_span: Span,
    /// CPU threads per stage, if set. Never part of a key.
    pub threads: Option<u32>,
    /// The instruction set to which CPU libraries are restricted, if set. Part of the keys of [`Kind::computes`].
    pub instruction_set: Option<&'static InstructionSet>,
    /// Resources that stages share. Never part of a key.
    pub resources: Resources,
    /// The batch systems that stages can run on, in the order of the file. Never part of a key.
    pub executors: Vec<Executor>,
    /// Shared caches, in the order in which they are asked. Never part of a key.
    pub upstreams: Vec<Upstream>,
    /// Who signs results, and whose results of shared caches count. Never part of a key.
    pub signing: Signing,
    /// The classes, by index; empty if all stages are commands.
    pub classes: Vec<Class>,
    /// The data sets, in the order of the file.
    pub datasets: Vec<Dataset>,
    /// The stages, in the order of the file.
    pub stages: Vec<Stage>,
    /// Warnings.
    pub warnings: Vec<Problem>,
    /// The texts, for messages.
    pub sources: Sources,
    /// Once something asks for them.
    domains: OnceLock<Domains>,
    /// The stages in the order of their names, once something looks for one.
    by_name: OnceLock<Vec<StageId>>,
}

impl Pipeline {
    /// The stage with this number.
    pub fn stage(&self, id: StageId) -> &Stage {
        &self.stages[id.index()]
    }

    /// The data set with this number.
    pub fn dataset(&self, id: DatasetId) -> &Dataset {
        &self.datasets[id.index()]
    }

    /// The batch system on which a stage runs; `None`: this machine.
    pub fn executor_of(&self, stage: &Stage) -> Option<&Executor> {
        stage.execution.executor.map(|id| &self.executors[id.index()])
    }

    /// The batch system of this name.
    pub fn find_executor(&self, name: &str) -> Option<&Executor> {
        self.executors.iter().find(|executor| executor.name == name)
    }

    /// The stage of this name.
    pub fn find(&self, name: &str) -> Option<StageId> {
        let name_of = |id: &StageId| self.stage(*id).name.as_str();
        let by_name = self.by_name.get_or_init(|| {
            let mut ids: Vec<StageId> = self.stage_ids().collect();
            ids.sort_unstable_by_key(|id| name_of(id));
            ids
        });
        by_name.binary_search_by_key(&name, name_of).ok().map(|place| by_name[place])
    }

    /// The stages that a name selects: a stage, a member of a sweep, all members of `rank`, or the members of
    /// `rank[lambda=0.6]` with any other coordinates. Empty if there is none.
    pub fn select(&self, name: &str) -> Vec<StageId> {
        let reference = Reference::parse(name);
        let is_meant = |stage: &Stage| {
            stage.family == reference.family && reference.output.is_none() && reference.admits(&stage.coordinates)
        };
        self.find(name)
            .map_or_else(|| self.stage_ids().filter(|id| is_meant(self.stage(*id))).collect(), |stage| vec![stage])
    }

    /// Where the file has the stage of a name such as `inter.teacher` or `intra[lambda=0.6]`, and whether the name is of one of its
    /// outputs: for sorting. Unknown stages come last.
    pub fn place_of(&self, name: &str) -> (usize, bool) {
        let reference = Reference::parse(name);
        let place = self.stages.iter().position(|stage| stage.family == reference.family);
        (place.unwrap_or(usize::MAX), reference.output.is_some())
    }

    /// The numbers of all stages, in the order of the file.
    pub fn stage_ids(&self) -> impl DoubleEndedIterator<Item = StageId> + ExactSizeIterator + use<> {
        (0..self.stages.len()).map(StageId::at)
    }
}

macro_rules! index_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// The number of the one at this place of the list.
            pub fn at(index: usize) -> $name {
                $name(u32::try_from(index).expect("a file of 4 GiB can't name more than 2^32 things"))
            }

            /// The place in the list.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

index_type! {
    /// A stage, by its place in [`Pipeline::stages`].
    StageId
}
index_type! {
    /// A data set, by its place in [`Pipeline::datasets`].
    DatasetId
}
index_type! {
    /// A batch system, by its place in [`Pipeline::executors`].
    ExecutorId
}

/// One output of one stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutputId {
    /// The stage.
    pub stage: StageId,
    /// The place in its [`Stage::outputs`].
    pub output: usize,
}

/// A class; its index is its place in [`Pipeline::classes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Its name, as tables show it.
    pub name: String,
    /// Red, green, blue.
    pub colour: [u8; 3],
    /// Whether ranking counts it where it normalizes by rare classes.
    pub rare: bool,
    /// Whether it is a thing, not stuff.
    pub thing: bool,
}

/// A data set: where its images come from. Planning lists the files.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Its name in the file.
    pub name: String,
    /// Where the images come from.
    pub format: Format,
    /// `[width, height]` in pixels to resize images and labels to (or to generate scenes in); `None`: as stored.
    pub size: Option<[u32; 2]>,
    /// How they take that size.
    pub scaling: Scaling,
    /// How much of a JPEG is decoded for that.
    pub decode: Decode,
    /// Whether its samples are kept in the cache as decoded and resized.
    pub cache: bool,
    /// Whether to apply Exif orientation tags.
    pub orientation: Orientation,
    /// What a training with a teacher ignores at the edges of each image.
    pub margins: Margins,
    /// Label values and their replacements, sorted by value.
    pub map: Vec<(u8, u8)>,
    /// The class indices of the colours in its labels; empty if these hold indices.
    pub palette: Palette,
    /// Its name in the header of its table.
    pub span: Span,
    /// Outputs of stages at, above or below its paths: it can only be listed when these stages are done.
    pub producers: Vec<OutputId>,
}

impl Dataset {
    /// The value of `format`.
    pub fn format_name(&self) -> &'static str {
        match self.format {
            Format::Folder { .. } => "folder",
            Format::Published { format, .. } => format,
            Format::Scenes { .. } => "scenes",
        }
    }
}

/// Where the images of a data set come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Files. The paths are complete: `images` and `labels` include the data set's root.
    Folder {
        /// The root, as it was given.
        root: PathBuf,
        /// The folder of the images.
        images: PathBuf,
        /// The folder of the labels. It may be missing if no stage reads labels.
        labels: PathBuf,
        /// The file that names the images; `None`: every image, sorted by name.
        list: Option<PathBuf>,
        /// The position of each of these in the text, for messages; that of the root if absent.
        spans: FolderSpans,
    },
    /// A published data set, in its original layout.
    Published {
        /// Which: the value of `format`.
        format: &'static str,
        /// Its folder.
        root: PathBuf,
        /// Which of its files.
        selection: Selection,
        /// The file that names the images; `None`: every image.
        list: Option<PathBuf>,
        /// `known`, `skip` or `error`; empty if the format has no such key.
        missing: String,
        /// The place of each of these in the text, for messages.
        spans: FolderSpans,
    },
    /// Synthetic scenes, generated by `ml`.
    Scenes {
        /// `source` or `target`.
        style: String,
        /// `all`, `easy` or `hard`; always `all` for the source style.
        part: String,
        /// Of the scenes.
        seed: u64,
        /// How many.
        count: u32,
        /// `[width, height]` in pixels.
        size: [u32; 2],
    },
}

/// Positions of the paths of a file-based data set; that of the root for absent ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FolderSpans {
    /// The root.
    pub root: Span,
    /// The folder of the images.
    pub images: Span,
    /// The folder of the labels.
    pub labels: Span,
    /// The list.
    pub list: Span,
}

/// A stage: its kind, inputs, parameters and outputs.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Its name: that in the file, and of a member of a sweep its coordinates as well, as in `rank[lambda=0.6]`.
    pub name: String,
    /// Its name in the file; the members of a sweep share it.
    pub family: String,
    /// Its coordinates in its sweep; empty if it is in none.
    pub coordinates: Vec<Coordinate>,
    /// What it runs.
    pub kind: &'static Kind,
    /// Its name in the header of its table.
    pub span: Span,
    /// In the order of the kind's keys; those of its model last.
    pub parameters: Vec<Parameter>,
    /// In the order of the kind's keys.
    pub inputs: Vec<Input>,
    /// In the order of the kind's outputs, or as a command declares them.
    pub outputs: Vec<Output>,
    /// How it is run. Never part of a key.
    pub execution: Execution,
}

impl Stage {
    /// The parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<&Value> {
        self.parameters.iter().find(|parameter| parameter.name == name).map(|parameter| &parameter.value)
    }

    /// Whether its parameters meet a condition.
    pub fn meets(&self, only: &Only) -> bool {
        let meets =
            |only: Only| self.parameter(only.key).is_some_and(|value| only.is.is_empty() || value.is_among(only.is));
        only.alternatives().any(meets)
    }

    /// The input of this role.
    pub fn input(&self, role: &str) -> Option<&Input> {
        self.inputs.iter().find(|input| input.role == role)
    }

    /// Whether it trains a network.
    pub fn is_training(&self) -> bool {
        self.outputs.iter().any(|output| output.role == OutputRole::Losses)
    }
}

/// One coordinate of a member of a sweep: its value on one axis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Coordinate {
    /// The axis: a key of the swept stage, such as `lambda`.
    pub axis: String,
    /// The value as names show it: `0.6`, a string without its quotes.
    pub value: String,
}

impl fmt::Display for Coordinate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.axis, self.value)
    }
}

/// A parameter of a stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The key: `lambda`. Of its model: `model.arch`; of one of several models: `model.<stage>.arch`.
    pub name: String,
    /// Its value, typed or default.
    pub value: Value,
    /// Whether it can change a result.
    pub role: Role,
    /// Its position; that of the stage's name for a default.
    pub span: Span,
}

/// An input of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The key: `source`, `weights`, `model.init`. Of a list: `inputs[0]`; of several trainings: `weights.<stage>`.
    pub role: String,
    /// Where it comes from.
    pub from: InputSource,
    /// Where it was typed.
    pub span: Span,
}

impl Input {
    /// The data set, if it comes from one.
    pub fn dataset(&self) -> Option<DatasetId> {
        match self.from {
            InputSource::Dataset { dataset, .. } => Some(dataset),
            _ => None,
        }
    }
}

/// Where an input comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputSource {
    /// Another stage.
    Output {
        /// Which of its outputs.
        output: OutputId,
        /// The path inside that output, if any.
        within: Option<PathBuf>,
    },
    /// A data set.
    Dataset {
        /// Which.
        dataset: DatasetId,
        /// Whether its labels are read.
        labels: bool,
    },
    /// A file or folder.
    Path {
        /// Which.
        path: PathBuf,
        /// Outputs of stages inside this folder: it can only be read when these stages are done. Mostly empty.
        producers: Vec<OutputId>,
    },
}

/// An output of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its name in the kind: `easy`. For a command: the path as typed.
    pub name: String,
    /// Below the workspace root.
    pub path: PathBuf,
    /// Whether it is a folder; `None` for commands.
    pub folder: Option<bool>,
    /// What it is for a stage that reads it.
    pub role: OutputRole,
    /// Whether a reference must name it: `inter.best`; plain `inter` never refers to it.
    pub by_name: bool,
    /// Its position; that of the stage's name if its kind defines it.
    pub span: Span,
}

/// A stage, or one of its outputs, as in `rank.easy`.
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod migration;
#[cfg(test)]
mod tests;
