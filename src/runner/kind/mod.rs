//! The kinds of stages as data: each kind's keys and output files.
//!
//! Knows neither TOML nor files. Everything that must agree about a key is generated from these tables: parsing and its
//! messages, defaults, `intrada-run schema`, docs/pipeline-format.md. One file per kind; the tables of the other sections of
//! the file ([`pipeline`], [`dataset`], [`model`], [`execution`], [`executor`]) have the same form. Rules across keys or stages are code, in
//! `pipeline`.

pub mod cache;
mod checkpoint_import;
mod class_statistics;
pub mod choosing;
pub mod classes;
mod command;
pub mod dataset;
mod entropy_inference;
mod evaluation;
pub mod execution;
pub mod executor;
pub mod instruction_set;
mod inter_training;
mod intra_training;
pub mod losses;
pub mod model;
pub mod palettes;
pub mod pipeline;
mod pseudo_labelling;
mod ranking;
pub mod training;
pub mod viewing;

/// The largest side of a picture, in pixels. PNG allows more, but a larger one is a typing error.
pub const MAX_SIDE: i64 = 65_535;

/// All kinds, in the order in which a pipeline uses them.
pub const ALL: &[&Kind] = &[
    &checkpoint_import::KIND,
    &class_statistics::KIND,
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

/// The code of a stage, its keys and its outputs.
#[derive(Debug)]
pub struct Kind {
    /// The value of a stage's `kind`.
    pub name: &'static str,
    /// Raised when equal parameters and inputs give another result; part of every cache key.
    pub revision: u32,
    /// One sentence for the reference and the schema.
    pub summary: &'static str,
    /// The keys, in groups, so that kinds can share one.
    pub keys: Keys,
    /// Exactly one of these keys must be present; empty without such a rule.
    pub exactly_one: &'static [&'static str],
    /// Whether it computes with a network, so that the CPU's instruction set affects the last digits of its results.
    pub computes: bool,
    /// Revisions that apply to some of its stages only, instead of [`Kind::revision`].
    pub revised: &'static [(Only, u32)],
    /// The facts about the classes that enter its key.
    pub classes: &'static [ClassFact],
    /// Its output files; empty for a command, which declares its own.
    pub outputs: &'static [OutputSpec],
    /// The key of the data set that it processes item by item, if the finding of an image is independent of other images.
    /// Findings are then cached per image and reused by a run over other images.
    pub items: Option<&'static str>,
    /// Whether it needs tensors: then `intrada-worker` performs it, which takes 0.4 s to load libtorch; else a process of this program.
    pub tensors: bool,
    /// Where it runs.
    pub runs: Runs,
}

impl PartialEq for Kind {
    fn eq(&self, other: &Kind) -> bool {
        self.name == other.name
    }
}

impl Eq for Kind {}

/// A fact about the classes on which a result can depend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassFact {
    /// Their number.
    Count,
    /// Their names.
    Names,
    /// Which of them are rare.
    Rare,
    /// Their colours.
    Colours,
    /// Which of them are things, in the key of a stage that meets this condition and of no other.
    Things(Only),
}

/// Where a stage runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// In a process of `intrada-worker`, or of this program.
    Worker,
    /// In the program that the stage names.
    Command,
}

/// Groups of keys of one table of the file.
pub type Keys = &'static [&'static [KeySpec]];

/// Every key of the groups.
pub fn all(keys: Keys) -> impl Iterator<Item = &'static KeySpec> + Clone {
    keys.iter().copied().flatten()
}

/// One of several forms of a table, selected by a key: a data set's `format`, a model's `arch`.
#[derive(Debug)]
pub struct Variant {
    /// The value of the selecting key.
    pub name: &'static str,
    /// One sentence for the reference and the schema.
    pub summary: &'static str,
    /// Its keys, besides the selecting one.
    pub keys: Keys,
}

/// One key of a table: its type, whether it is required, its meaning.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// The key in the file.
    pub name: &'static str,
    /// Its type.
    pub value_type: ValueType,
    /// Whether it is required, and its default.
    pub presence: Presence,
    /// The condition under which it applies, if any.
    pub only: Option<Only>,
    /// Meaning and unit.
    pub doc: &'static str,
    /// Origin of the default: paper and equation, or file of the released code; empty if it is ours.
    pub origin: &'static str,
    /// Whether it can change a result.
    pub role: Role,
    /// Other defaults, each under a condition on keys that stand before this one; the first whose condition holds counts.
    pub defaults: &'static [(Only, Literal)],
    /// Whether it was added later. Its default value then enters no key, so that older results are still found.
    pub added: bool,
}

impl KeySpec {
    /// A required key that always applies and can change a result; the methods below change that.
    pub const fn new(name: &'static str, value_type: ValueType, doc: &'static str) -> KeySpec {
        let (presence, role) = (Presence::Required, Role::Meaning);
        KeySpec { name, value_type, presence, only: None, doc, origin: "", role, defaults: &[], added: false }
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

    const fn or_where(mut self, defaults: &'static [(Only, Literal)]) -> KeySpec {
        self.defaults = defaults;
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

impl KeySpec {
    /// The default in a table of which `holds` knows the conditions that hold.
    pub fn default_where(&self, holds: impl Fn(Only) -> bool) -> Option<Literal> {
        let own = match self.presence {
            Presence::Default(literal) => Some(literal),
            Presence::Required | Presence::Optional | Presence::OfPipeline => None,
        };
        self.defaults.iter().find(|(only, _)| holds(*only)).map(|(_, literal)| *literal).or(own)
    }
}

/// The type of a key's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueType {
    /// `true` or `false`.
    Flag,
    /// An integer, both ends included.
    Integer {
        /// The minimum.
        min: i64,
        /// The maximum.
        max: i64,
    },
    /// One of a few integers.
    OneOf(&'static [i64]),
    /// A number; integers are accepted. Never infinite or NaN.
    Number(Interval),
    /// Two numbers.
    Pair(Interval),
    /// A list of numbers.
    Numbers(Interval),
    /// `[width, height]` in pixels, each at least 1.
    Size,
    /// `[red, green, blue]`, each 0 to 255.
    Colour,
    /// A string.
    Text,
    /// A list of strings.
    Texts,
    /// One of a few strings.
    Choice(&'static [&'static str]),
    /// A list of some of a few strings; their order has no meaning.
    Choices(&'static [&'static str]),
    /// A path, relative to the workspace root. A path at or below another stage's output makes an edge.
    Path,
    /// A list of such paths.
    Paths,
    /// A list of paths that the stage writes, below the workspace root.
    OutputPaths,
    /// The name of a folder below a data set's `root`.
    Folder,
    /// Label values and their replacements: `{ 34 = 255 }`, all 0 to 255.
    LabelMap,
    /// Colours with their classes, `{ "128,64,128" = "road" }`, or one of a few names.
    Palette(&'static [&'static str]),
    /// The name of a data set; `labels` says whether its labels are read.
    Dataset {
        /// Whether its labels are read (and thus required).
        labels: bool,
    },
    /// The name of a data set, or a list of them, whose order counts.
    Datasets {
        /// Whether their labels are read (and thus required).
        labels: bool,
    },
    /// The name of a model.
    Model,
    /// The name of an executor, or `local`.
    Executor,
    /// A stage with such an output, by name, or the output: `rank` or `rank.easy`.
    Stage(OutputRole),
    /// One such stage, or a list of them, whose order counts.
    Stages(OutputRole),
    /// Such a stage, or the path of a `.safetensors` or `.pth` file.
    StageOrFile(OutputRole),
    /// One such stage or file, or a list of them.
    StagesOrFiles(OutputRole),
    /// A duration with its unit, such as `"2 h"`.
    Duration,
    /// A size in bytes with its unit, such as `"24 GiB"`.
    Bytes,
    /// Amounts of resources by name: integers, and bytes with a unit for `memory`.
    Amounts,
}

/// An interval of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub min: f64,
    /// The upper end; infinite if there is none.
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

    /// Whether it contains `value`. Never true for NaN.
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

/// Whether a key is required, and its default.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Presence {
    /// Required (where it applies).
    Required,
    /// Optional, without default.
    Optional,
    /// Optional, with this default.
    Default(Literal),
    /// Optional; the default is the key of the same name in `[pipeline]`, if that is set.
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
    /// A list of strings.
    Texts(&'static [&'static str]),
}

/// The condition of a key or an output: another key is present, or has one of some values; perhaps with an alternative.
///
/// Otherwise it isn't part of the stage: the weight of a loss that the method doesn't use can't change the cache key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Only {
    /// The other key; with values, it must be a [`ValueType::Choice`] or a [`ValueType::Flag`].
    pub key: &'static str,
    /// Its values, those of a flag as `true` and `false`; empty if its presence is enough.
    pub is: &'static [&'static str],
    /// A further condition that is enough.
    pub or: Option<&'static Only>,
}

impl Only {
    /// If the other key is present.
    pub const fn with(key: &'static str) -> Only {
        Only::is(key, &[])
    }

    /// If the other key has one of these values.
    pub const fn is(key: &'static str, values: &'static [&'static str]) -> Only {
        Only { key, is: values, or: None }
    }

    /// If the other key is a flag that is set.
    pub const fn on(key: &'static str) -> Only {
        Only::is(key, &["true"])
    }

    /// The same, or if `other` holds.
    pub const fn or(self, other: &'static Only) -> Only {
        Only { or: Some(other), ..self }
    }

    /// The conditions of which each is enough.
    pub fn alternatives(self) -> impl Iterator<Item = Only> {
        std::iter::successors(Some(self), |only| only.or.copied()).map(|only| Only { or: None, ..only })
    }
}

/// Whether a key can change a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It can: it enters the stage's cache key.
    Meaning,
    /// It can't (how often a checkpoint is saved): it enters no cache key.
    Execution,
}

/// An output file or folder of a kind.
#[derive(Clone, Copy, Debug)]
pub struct OutputSpec {
    /// Its name, as in `rank.easy`.
    pub name: &'static str,
    /// Its path below the stage's folder.
    pub path: &'static str,
    /// A folder rather than a file.
    pub folder: bool,
    /// What it is for a stage that reads it.
    pub role: OutputRole,
    /// The condition under which a stage has it, if any.
    pub only: Option<Only>,
    /// Whether a reference must name it: `inter.best`; plain `inter` never refers to it.
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

/// What an output is for a stage that reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutputRole {
    /// The generator's parameters.
    Weights,
    /// The parameters of a generator without its heads.
    Backbone,
    /// Which tensors of a published file were loaded.
    ImportRecord,
    /// The discriminators' parameters.
    Discriminator,
    /// One line per iteration.
    Losses,
    /// One line per evaluation during training.
    Evaluations,
    /// One line per snapshot that a training scored without labels.
    Candidates,
    /// Entropy per image.
    Scores,
    /// The most likely class of each pixel, one picture per image.
    Predictions,
    /// The entropy of each pixel, one picture per image.
    EntropyMaps,
    /// Small copies of the images for display: synthetic scenes are stored nowhere else.
    Photographs,
    /// Names of images.
    ImageList,
    /// Pseudo-labels.
    Labels,
    /// Pseudo-labels in the classes' colours.
    Colours,
    /// Pixels of each class, per label.
    ClassCounts,
    /// Images ordered by score.
    RankingTable,
    /// IoU per class and the confusion matrix.
    Metrics,
    /// Predictions overlaid on their images.
    Overlays,
    /// IoU and mean entropy per image.
    ImageScores,
    /// Small pictures of a few images, each with its label and the networks' predictions.
    Pictures,
    /// The predictions of each measured network, in a folder of its own.
    MeasuredPredictions,
    /// Thumbnails of all images, a hundred in one picture, with their predictions.
    Thumbnails,
    /// Predictions on a few images at a few iterations of a training.
    Snapshots,
    /// Output of a command, of unknown meaning.
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
            OutputRole::Candidates => "scores of snapshots",
            OutputRole::Scores => "scores",
            OutputRole::Predictions => "predictions",
            OutputRole::EntropyMaps => "entropy maps",
            OutputRole::Photographs => "photographs",
            OutputRole::ImageList => "a list of images",
            OutputRole::Labels => "pseudo-labels",
            OutputRole::Colours => "coloured labels",
            OutputRole::ClassCounts => "class counts",
            OutputRole::RankingTable => "a table of ranks",
            OutputRole::Metrics => "metrics",
            OutputRole::Overlays => "overlays",
            OutputRole::ImageScores => "scores of images",
            OutputRole::Pictures => "pictures",
            OutputRole::MeasuredPredictions => "predictions of measured networks",
            OutputRole::Thumbnails => "thumbnails",
            OutputRole::Snapshots => "snapshots",
            OutputRole::Files => "files",
        }
    }
}
