//! The keys of `[datasets.…]`, one table a format.
//!
//! Knows no files: what is in a folder is found out by `dataset`, when the pipeline is planned.

use serde::{Deserialize, Serialize};

use super::{KeySpec, Literal, Only, ValueType, Variant};

/// How the pixels of a label hold its values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// One index of at most 8 bits a pixel: a grey value, or the index below a palette's colour.
    #[default]
    Index,
    /// Several 16-bit channels, of which the first is the index: SYNTHIA's labels.
    Synthia16,
}

/// What becomes of the tag in a photograph that says how the camera was held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Orientation {
    /// Pixels stay as they are stored.
    #[default]
    Ignore,
    /// They are turned upright.
    Apply,
}

impl Orientation {
    /// Whether it is the default, which enters no key: it came later than the first results.
    pub fn is_ignore(&self) -> bool {
        *self == Orientation::Ignore
    }
}

const TARGET: Only = Only { key: "style", is: &["target"] };

const MAP: KeySpec = KeySpec::new(
    "map",
    ValueType::LabelMap,
    "label values to replace, as in `{ 34 = 255 }`; 255 is ignored by training and evaluation",
)
.optional();

/// What to do about images without label, see `missing`.
pub const MISSING: &[&str] = &["known", "skip", "error"];

const ROOT: KeySpec = KeySpec::new("root", ValueType::Path, "the folder of the data set, as it was unpacked");

const LIST: KeySpec = KeySpec::new(
    "list",
    ValueType::Path,
    "a file with a name of an image a line, with or without ending; default: every image, sorted by name",
)
.optional();

const SIZE: KeySpec =
    KeySpec::new("size", ValueType::Size, "`[width, height]` in pixels to resize to; default: as stored").optional();

const ORIENTATION: KeySpec = KeySpec::new(
    "orientation",
    ValueType::Choice(&["ignore", "apply"]),
    "what becomes of a photograph's Exif tag that says how the camera was held: `ignore`, as the released code does, or \
     `apply`, which turns the photograph upright; labels have no such tag",
)
.or_text("ignore");

const SPLIT: KeySpec = KeySpec::new("split", ValueType::Choice(&["train", "val", "test"]), "which of its folders");

/// Every format, by the value of `format`.
pub const FORMATS: &[Variant] = &[
    Variant {
        name: "folder",
        summary: "Images in a folder and, where there are labels, 8-bit class-index PNGs of the same names in another.",
        keys: &[&[
            KeySpec::new("root", ValueType::Path, "the folder of the data set"),
            KeySpec::new("images", ValueType::Folder, "folder of the images, below `root`").or_text("images"),
            KeySpec::new("labels", ValueType::Folder, "folder of the labels, below `root`; it needn't exist for a target")
                .or_text("labels"),
            LIST,
            SIZE,
            ORIENTATION,
            MAP,
        ]],
    },
    Variant {
        name: "cityscapes",
        summary: "Cityscapes with fine annotations: `leftImg8bit/` and, where labels are read, the label ids of `gtFine/`.",
        keys: &[&[ROOT, SPLIT, LIST, SIZE]],
    },
    Variant {
        name: "gta5",
        summary: "GTA5 (Playing for Data): `images/` and the palette PNGs of `labels/`, whose indices are Cityscapes ids.",
        keys: &[&[
            ROOT,
            LIST,
            SIZE,
            KeySpec::new(
                "missing",
                ValueType::Choice(MISSING),
                "images without label: `known` leaves out the 25 whose labels were never published, `skip` all of them, \
                 `error` none; what is left out is told",
            )
            .or_text("known")
            .origin("IAST, issue 2"),
        ]],
    },
    Variant {
        name: "synthia",
        summary: "SYNTHIA-RAND-CITYSCAPES: `RGB/` and the 16-bit labels of `GT/LABELS/`, whose first channel is the class.",
        keys: &[&[ROOT, LIST, SIZE]],
    },
    Variant {
        name: "synscapes",
        summary: "Synscapes: the images of `img/` in the order of their numbers and the label ids of `img/class/`.",
        keys: &[&[
            ROOT,
            KeySpec::new(
                "images",
                ValueType::Choice(&["rgb", "rgb-2k"]),
                "`rgb`: 1440 × 720, as its labels are; `rgb-2k`: 2048 × 1024",
            )
            .or_text("rgb"),
            LIST,
            SIZE,
        ]],
    },
    Variant {
        name: "camvid",
        summary: "CamVid in the layout of the SegNet tutorial: `train/` and `trainannot/`, with the classes `camvid-11`.",
        keys: &[&[ROOT, SPLIT, LIST, SIZE]],
    },
    Variant {
        name: "scenes",
        summary: "Road scenes that the program draws itself, with labels of `scenes-8`: nothing to download.",
        keys: &[&[
            KeySpec::new(
                "style",
                ValueType::Choice(&["source", "target"]),
                "`source`: clean and colourful, as a game draws them; `target`: muted, with noise, fog and dusk",
            ),
            KeySpec::new(
                "part",
                ValueType::Choice(&["all", "easy", "hard"]),
                "of the target: all scenes, or only those with little or with much of that weather",
            )
            .or_text("all")
            .only(TARGET),
            KeySpec::new(
                "seed",
                ValueType::Integer { min: 0, max: i64::MAX },
                "of the scenes; equal styles and seeds give equal scenes, so each data set needs its own",
            ),
            KeySpec::new("count", ValueType::Integer { min: 1, max: 1_000_000 }, "how many scenes"),
            KeySpec::new("size", ValueType::Size, "`[width, height]` in pixels").or(Literal::Size([128, 64])),
        ]],
    },
];
