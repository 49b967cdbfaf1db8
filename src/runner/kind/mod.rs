//! What a stage may be, as data: every kind of stage, the keys it takes and the files it gives.
//!
//! Knows neither TOML nor files: these are tables, and everything that must agree about a key is made out of them
//! (reading and its messages, defaults, `intrada-run schema`, docs/pipeline-format.md). A key that is only in one of
//! those places can't exist. One kind a file; the tables of the other sections of the file ([`pipeline`], [`dataset`],
//! [`model`], [`execution`]) have the same form. Whatever holds across keys or across stages is code, in `pipeline`.

mod checkpoint_import;
pub mod classes;
mod command;
pub mod dataset;
mod entropy_inference;
mod evaluation;
pub mod execution;
pub mod instruction_set;
mod inter_training;
mod intra_training;
pub mod losses;
pub mod model;
pub mod pipeline;
mod pseudo_labelling;
mod ranking;
pub mod training;

/// The largest side of a picture, in pixels: PNG's limit is more, but so large a one is a slip of the keyboard.
pub const MAX_SIDE: i64 = 65_535;

/// Every kind there is, in the order in which a pipeline uses them.
pub const ALL: &[&Kind] = &[
    &checkpoint_import::KIND,
    &inter_training::KIND,
    &entropy_inference::KIND,
    &ranking::KIND,
    &pseudo_labelling::KIND,
    &intra_training::KIND,
    &evaluation::KIND,
    &command::KIND,
];

/// The kind of this name.
pub fn find(name: &str) -> Option<&'static Kind> {
    ALL.iter().copied().find(|kind| kind.name == name)
}

/// What code a stage runs, and what it takes and gives.
#[derive(Debug)]
pub struct Kind {
    /// The value of a stage's `kind`.
    pub name: &'static str,
    /// Changes when equal keys and equal inputs begin to mean another result; part of every key of the cache.
    pub revision: u32,
    /// One sentence for the reference and the schema.
    pub summary: &'static str,
    /// The keys, in groups, so that kinds can share one.
    pub keys: Keys,
    /// Of these keys exactly one must be there; empty where no such rule holds.
    pub exactly_one: &'static [&'static str],
    /// Whether it computes with a network, so that the instructions of the CPU show in the last digits of its numbers.
    pub computes: bool,
    /// Where only some of its stages have changed their meaning: their revision in the place of [`Kind::revision`].
    pub revised: &'static [(Only, u32)],
    /// What it reads of the classes: only these facts enter its key.
    pub classes: &'static [ClassFact],
    /// The files it gives; empty for a command, which declares its own.
    pub outputs: &'static [OutputSpec],
    /// The key with the data set that it works through item by item, where it does: what it finds of one image depends on no
    /// other. The findings are kept one by one then, and another run, over other images, takes those that it has.
    pub items: Option<&'static str>,
    /// Where it runs.
    pub runs: Runs,
}

impl PartialEq for Kind {
    fn eq(&self, other: &Kind) -> bool {
        self.name == other.name
    }
}

impl Eq for Kind {}

/// A fact about the classes that a result can depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassFact {
    /// How many there are.
    Count,
    /// What they are called.
    Names,
    /// Which of them are rare.
    Rare,
    /// Their colours.
    Colours,
}

/// Where a stage runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// `intrada-worker` performs it.
    Worker,
    /// The program that the stage names does.
    Command,
}

/// Groups of keys that belong to one table of the file.
pub type Keys = &'static [&'static [KeySpec]];

/// One of several forms of a table that a key chooses between: a data set's `format`, a model's `arch`.
#[derive(Debug)]
pub struct Variant {
    /// The value of the key that chooses.
    pub name: &'static str,
    /// One sentence for the reference and the schema.
    pub summary: &'static str,
    /// The keys it takes beside the one that chooses.
    pub keys: Keys,
}

/// One key of a table: what it takes, whether it must be there, what it means.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// The key as it is typed.
    pub name: &'static str,
    /// What its value may be.
    pub value_type: ValueType,
    /// Whether it must be there, and what it is where it isn't.
    pub presence: Presence,
    /// The stages to which the key applies, where it doesn't apply to all.
    pub only: Option<Only>,
    /// Meaning and unit.
    pub doc: &'static str,
    /// Where the default comes from: paper and equation, or file of the released code; empty where it is ours.
    pub origin: &'static str,
    /// Whether it can change a result.
    pub role: Role,
    /// Whether the kind did without it at first. Where it is the default it then enters no key, so that what was computed
    /// before it came is still found.
    pub added: bool,
}

impl KeySpec {
    /// A key that must be there, applies always and can change a result; the methods below change that.
    pub const fn new(name: &'static str, value_type: ValueType, doc: &'static str) -> KeySpec {
        let (presence, role) = (Presence::Required, Role::Meaning);
        KeySpec { name, value_type, presence, only: None, doc, origin: "", role, added: false }
    }

    const fn optional(mut self) -> KeySpec {
        self.presence = Presence::Optional;
        self
    }

    const fn or(mut self, default: Literal) -> KeySpec {
        self.presence = Presence::Default(default);
        self
    }

    const fn or_number(self, default: f64) -> KeySpec {
        self.or(Literal::Number(default))
    }

    const fn or_integer(self, default: i64) -> KeySpec {
        self.or(Literal::Integer(default))
    }

    const fn or_text(self, default: &'static str) -> KeySpec {
        self.or(Literal::Text(default))
    }

    const fn or_flag(self, default: bool) -> KeySpec {
        self.or(Literal::Flag(default))
    }

    const fn or_of_pipeline(mut self) -> KeySpec {
        self.presence = Presence::OfPipeline;
        self
    }

    const fn only(mut self, only: Only) -> KeySpec {
        self.only = Some(only);
        self
    }

    const fn origin(mut self, origin: &'static str) -> KeySpec {
        self.origin = origin;
        self
    }

    const fn added(mut self) -> KeySpec {
        self.added = true;
        self
    }

    const fn execution(mut self) -> KeySpec {
        self.role = Role::Execution;
        self
    }
}

/// What the value of a key may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueType {
    /// `true` or `false`.
    Flag,
    /// A whole number, both ends included.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// A whole number out of a few.
    OneOf(&'static [i64]),
    /// A number; a whole one is taken as well. Never infinite, never NaN.
    Number(Interval),
    /// Two numbers.
    Pair(Interval),
    /// `[width, height]` in pixels, each at least 1.
    Size,
    /// `[red, green, blue]`, each 0 to 255.
    Colour,
    /// A string.
    Text,
    /// A list of strings.
    Texts,
    /// A string out of a few.
    Choice(&'static [&'static str]),
    /// A path, relative to the workspace root. One that is, or lies under, another stage's output makes an edge.
    Path,
    /// A list of such paths.
    Paths,
    /// Paths that the stage writes: a list, below the workspace root.
    OutputPaths,
    /// The name of a folder below a data set's `root`.
    Folder,
    /// Label values and what they become: `{ 34 = 255 }`, all 0 to 255.
    LabelMap,
    /// The name of a data set; `labels` says whether its labels are read.
    Dataset {
        /// Whether its labels are read (and so must be there).
        labels: bool,
    },
    /// The name of a model.
    Model,
    /// A stage that gives this, by name, or one of its outputs: `rank` or `rank.easy`.
    Stage(OutputRole),
    /// Such a stage, or the path of a `.safetensors` or `.pth` file.
    StageOrFile(OutputRole),
    /// One such stage or file, or a list of them.
    StagesOrFiles(OutputRole),
    /// A duration with its unit, such as `"2 h"`.
    Duration,
    /// A size in bytes with its unit, such as `"24 GiB"`.
    Bytes,
    /// Amounts of resources by name: whole numbers, and bytes with a unit for `memory`.
    Amounts,
}

/// Numbers between two ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub min: f64,
    /// The upper end; infinite where there is none.
    pub max: f64,
    /// Whether the lower end itself is excluded.
    pub open_below: bool,
    /// Whether the upper end itself is excluded.
    pub open_above: bool,
}

impl Interval {
    /// More than 0.
    pub const POSITIVE: Interval = Interval { min: 0.0, max: f64::INFINITY, open_below: true, open_above: true };
    /// 0 or more.
    pub const NOT_NEGATIVE: Interval = Interval { open_below: false, ..Interval::POSITIVE };
    /// Between 0 and 1, both excluded.
    pub const INSIDE_UNIT: Interval = Interval { min: 0.0, max: 1.0, open_below: true, open_above: true };
    /// Between 0 and 1, both included.
    pub const UNIT: Interval = Interval { min: 0.0, max: 1.0, open_below: false, open_above: false };
    /// From 0, included, to 1, excluded.
    pub const DECAY: Interval = Interval { open_above: true, ..Interval::UNIT };

    /// Whether `value` lies inside. NaN lies nowhere.
    pub fn contains(&self, value: f64) -> bool {
        let above = if self.open_below { value > self.min } else { value >= self.min };
        let below = if self.open_above { value < self.max } else { value <= self.max };
        above && below
    }

    /// "between 0 and 1, both excluded", "more than 0".
    pub fn words(&self) -> String {
        let Interval { min, max, open_below, open_above } = *self;
        if max.is_infinite() {
            return if open_below { format!("more than {min}") } else { format!("{min} or more") };
        }
        let ends = match (open_below, open_above) {
            (true, true) => "both excluded".to_owned(),
            (false, false) => "both included".to_owned(),
            (true, false) => format!("{min} excluded"),
            (false, true) => format!("{max} excluded"),
        };
        format!("between {min} and {max}, {ends}")
    }
}

/// Whether a key must be there, and what it is where it isn't.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Presence {
    /// It must be there (wherever it applies).
    Required,
    /// It may be left out, and means nothing then.
    Optional,
    /// It may be left out, and is this then.
    Default(Literal),
    /// It may be left out, and is what `[pipeline]` says under the same name.
    OfPipeline,
}

/// A default value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Literal {
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// A string.
    Text(&'static str),
    /// Two numbers.
    Pair([f64; 2]),
    /// `[width, height]`.
    Size([u32; 2]),
}

/// A key or an output exists only where another key is there, or has one of some values.
///
/// Elsewhere it is no part of the stage at all: the weight of a loss that the method doesn't have can't invalidate
/// anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Only {
    /// The other key; where values are named, one that takes a [`ValueType::Choice`].
    pub key: &'static str,
    /// Its values; none are named where it is enough that it is there.
    pub is: &'static [&'static str],
}

impl Only {
    /// Wherever the other key is there.
    pub const fn with(key: &'static str) -> Only {
        Only { key, is: &[] }
    }
}

/// Whether a key can change a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It can: it enters the stage's key.
    Meaning,
    /// It can't (how often a checkpoint is saved): it never enters a key.
    Execution,
}

/// A file or folder that a kind gives.
#[derive(Clone, Copy, Debug)]
pub struct OutputSpec {
    /// Its name, as in `rank.easy`.
    pub name: &'static str,
    /// Its path below the stage's folder.
    pub path: &'static str,
    /// A folder rather than a file.
    pub folder: bool,
    /// What it is to a stage that reads it.
    pub role: OutputRole,
    /// The stages that give it, where not all of the kind do.
    pub only: Option<Only>,
    /// Whether a reference must name it: `inter.best`; plain `inter` never means it.
    pub by_name: bool,
}

impl OutputSpec {
    const fn file(name: &'static str, path: &'static str, role: OutputRole) -> OutputSpec {
        OutputSpec { name, path, folder: false, role, only: None, by_name: false }
    }

    const fn folder(name: &'static str, role: OutputRole) -> OutputSpec {
        OutputSpec { name, path: name, folder: true, role, only: None, by_name: false }
    }

    const fn only(mut self, only: Only) -> OutputSpec {
        self.only = Some(only);
        self
    }

    const fn by_name(mut self) -> OutputSpec {
        self.by_name = true;
        self
    }
}

/// What an output is to a stage that reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutputRole {
    /// The generator's parameters.
    Weights,
    /// The parameters of a generator without its heads.
    Backbone,
    /// What of a published file was taken.
    ImportRecord,
    /// The discriminators' parameters.
    Discriminator,
    /// A line an iteration.
    Losses,
    /// A line an evaluation of a network in training.
    Evaluations,
    /// An entropy an image.
    Scores,
    /// The most likely class of each pixel, one picture an image.
    Predictions,
    /// The entropy of each pixel, one picture an image.
    EntropyMaps,
    /// The images themselves, small, for looking at: synthetic scenes are nowhere else.
    Photographs,
    /// Names of images.
    ImageList,
    /// Pseudo-labels.
    Labels,
    /// Pseudo-labels in the classes' colours.
    Colours,
    /// Images in order of their score.
    RankingTable,
    /// IoU by class and the confusion matrix.
    Metrics,
    /// Predictions laid over their images.
    Overlays,
    /// IoU and mean entropy, image by image.
    ImageScores,
    /// A few telling images, small, each with its label and what the networks make of it.
    Pictures,
    /// What a network in training makes of a few images, at a few moments.
    Snapshots,
    /// What a command writes: only its author knows.
    Files,
}

impl OutputRole {
    /// With its article, as in "`inter` gives weights".
    pub const fn words(self) -> &'static str {
        match self {
            OutputRole::Weights => "weights",
            OutputRole::Backbone => "a backbone",
            OutputRole::ImportRecord => "the record of an import",
            OutputRole::Discriminator => "a discriminator",
            OutputRole::Losses => "losses",
            OutputRole::Evaluations => "evaluations",
            OutputRole::Scores => "scores",
            OutputRole::Predictions => "predictions",
            OutputRole::EntropyMaps => "entropy maps",
            OutputRole::Photographs => "photographs",
            OutputRole::ImageList => "a list of images",
            OutputRole::Labels => "pseudo-labels",
            OutputRole::Colours => "coloured labels",
            OutputRole::RankingTable => "a table of ranks",
            OutputRole::Metrics => "metrics",
            OutputRole::Overlays => "overlays",
            OutputRole::ImageScores => "scores of images",
            OutputRole::Pictures => "pictures",
            OutputRole::Snapshots => "pictures on the way",
            OutputRole::Files => "files",
        }
    }
}
