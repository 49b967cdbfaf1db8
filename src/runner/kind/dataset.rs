//! The keys of `[datasets.…]`, one table per format.
//!
//! Knows no files: `dataset` reads the folders when the pipeline is planned.

use serde::{Deserialize, Serialize};

use super::{KeySpec, Literal, MAX_SIDE, Only, ValueType, Variant, palettes};
use crate::digest::Digest;

/// How the pixels of a label encode its values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// One index of at most 8 bits per pixel: a grey value or a palette index.
    #[default]
    Index,
    /// Several 16-bit channels, of which the first is the index: SYNTHIA's labels.
    Synthia16,
    /// Colours, whose values the data set's palette says. Its digest, as the values depend on it.
    Palette(Digest),
}

/// How to handle a photograph's Exif orientation tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Orientation {
    /// Keep the pixels as stored.
    #[default]
    Ignore,
    /// Rotate the image upright.
    Apply,
}

impl Orientation {
    /// Whether it is the default, which is left out of keys, as the option was added after the first results.
    pub fn is_ignore(&self) -> bool {
        *self == Orientation::Ignore
    }
}

/// How an image takes the `size` of its data set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaling {
    /// Which size it gets.
    pub fit: Fit,
    /// How its pixels are made.
    pub resize: Resize,
}

impl Scaling {
    /// Whether it is the default, which is left out of keys, as the options were added after the first results.
    pub fn is_usual(&self) -> bool {
        *self == Scaling::default()
    }

    /// Width and height of an image of `stored`, resized to `size`.
    pub fn size_of(&self, stored: [u32; 2], size: [u32; 2]) -> [u32; 2] {
        match self.fit {
            Fit::Exact => size,
            Fit::Box => intrada_picture::fitted(stored, size),
        }
    }
}

/// Which size a resized image gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// `size` itself, whatever the image's aspect ratio.
    #[default]
    Exact,
    /// The largest size with its aspect ratio in a box of that size.
    Box,
}

/// How images are resized, and their labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resize {
    /// Bicubic and nearest, as Pillow does it.
    #[default]
    Bicubic,
    /// Bilinear and nearest, as OpenCV does it.
    Bilinear,
}

/// How much of a JPEG is decoded if its data set has a `size`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decode {
    /// All of it.
    #[default]
    Full,
    /// A half, a quarter or an eighth of its size, if that is at least `size`.
    Reduced,
}

impl Decode {
    /// Whether it is the default, which is left out of keys, as the option was added after the first results.
    pub fn is_full(&self) -> bool {
        *self == Decode::Full
    }
}

/// Pixels at the edges of an image that a training ignores where it learns from pseudo-labels of its own teacher: at the edges
/// of Cityscapes' images are the car's bonnet and distortion. Counted in the resized image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Margins {
    /// Rows at the top.
    pub top: u32,
    /// Rows at the bottom.
    pub bottom: u32,
    /// Columns at the left.
    pub left: u32,
    /// Columns at the right.
    pub right: u32,
}

impl Margins {
    /// Whether there are none, the default.
    pub fn is_none(&self) -> bool {
        *self == Margins::default()
    }

    /// Each that isn't 0, by its key.
    pub fn set(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let Margins { top, bottom, left, right } = *self;
        let all = [(MARGIN_TOP, top), (MARGIN_BOTTOM, bottom), (MARGIN_LEFT, left), (MARGIN_RIGHT, right)];
        all.into_iter().filter(|(_, pixels)| *pixels > 0).map(|(key, pixels)| (key.name, pixels))
    }
}

/// Which files of a published data set are meant, by the keys of its format; empty for keys that the format doesn't have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The split, or the variant of the images.
    pub part: String,
    /// The conditions or times of day, each once.
    pub subsets: Vec<String>,
    /// The version of the labels.
    pub labels: String,
}

const TARGET: Only = Only::is("style", &["target"]);

const MAP: KeySpec = KeySpec::new(
    "map",
    ValueType::LabelMap,
    "label values to replace, as in `{ 34 = 255 }`; 255 is ignored by training and evaluation",
)
.optional();

const PALETTE: KeySpec = KeySpec::new(
    "palette",
    ValueType::Palette(palettes::NAMES),
    "labels hold colours: the class of each, or `ignore`, as in `{ \"128,64,128\" = \"road\" }`, or the name of a published palette; \
     instead of `map`",
)
.optional();

/// How to handle images without label, see `missing`.
pub const MISSING: &[&str] = &["known", "skip", "error"];

const ROOT: KeySpec = KeySpec::new("root", ValueType::Path, "the folder of the data set, as published");

const LIST: KeySpec = KeySpec::new(
    "list",
    ValueType::Path,
    "a file with one image name per line, with or without extension; default: every image, sorted by name",
)
.optional();

const SIZE: KeySpec =
    KeySpec::new("size", ValueType::Size, "`[width, height]` in pixels to resize to; default: as stored").optional();

const ORIENTATION: KeySpec = KeySpec::new(
    "orientation",
    ValueType::Choice(&["ignore", "apply"]),
    "Exif orientation of the photographs: `ignore`, as the released code does, or `apply`, which rotates them upright; \
     labels have no such tag",
)
.or_text("ignore");

const MARGIN_TOP: KeySpec = margin(
    "margin_top",
    "rows at the top of each image, once resized, whose pseudo-labels a training with a teacher ignores, if this is its target; \
     DAFormer: 15 for Cityscapes at 1024 × 512, HRDA: 30 at 2048 × 1024",
);
const MARGIN_BOTTOM: KeySpec = margin(
    "margin_bottom",
    "the same at the bottom; DAFormer: 120 for Cityscapes at 1024 × 512, HRDA: 240 at 2048 × 1024",
);
const MARGIN_LEFT: KeySpec = margin("margin_left", "the same for columns at the left; HRDA: 30 at 2048 × 1024");
const MARGIN_RIGHT: KeySpec = margin("margin_right", "the same at the right; HRDA: 30 at 2048 × 1024");

const FIT: KeySpec = KeySpec::new(
    "fit",
    ValueType::Choice(&["exact", "box"]),
    "`exact`: images are stretched to `size`; `box`: they keep their aspect ratio and fill a box of this size in one direction, \
     the longer side of the box holding their longer side, as in MMCV: 1914 × 1052 in [1280, 720] becomes 1280 × 704",
)
.or_text("exact")
.only(RESIZED);
const RESIZE: KeySpec = KeySpec::new(
    "resize",
    ValueType::Choice(&["bicubic", "bilinear"]),
    "`bicubic`: Pillow's, antialiased, with Pillow's nearest for labels; `bilinear`: OpenCV's, not antialiased, with OpenCV's \
     nearest, as in mmsegmentation, DAFormer and MIC",
)
.or_text("bicubic")
.only(RESIZED)
.origin("AdvEnt, dataset/base_dataset.py");

const DECODE: KeySpec = KeySpec::new(
    "decode",
    ValueType::Choice(&["full", "reduced"]),
    "`full`: the whole image, then `resize`, as in the released code; `reduced`: JPEGs at a half, a quarter or an eighth of their \
     size, if that is at least `size`, as by Pillow's `draft`, then `resize`: quicker, with slightly other pixels",
)
.or_text("full")
.only(RESIZED);
const CACHE: KeySpec = KeySpec::new(
    "cache",
    ValueType::Flag,
    "keep each image and label in the cache as decoded and resized, for later epochs, stages and runs: trainings load much quicker, with \
     the same pixels, but a 1024 × 512 image and its label take 2 MiB; evaluation and entropy inference still decode images to show them",
)
.or_flag(false)
.execution();

/// Data sets whose images are resized.
const RESIZED: Only = Only::with("size");

/// What every format with files has besides its own keys.
const OF_FILES: &[KeySpec] = &[FIT, RESIZE, DECODE, CACHE, MARGIN_TOP, MARGIN_BOTTOM, MARGIN_LEFT, MARGIN_RIGHT];

/// The margins of every format.
const MARGINS: &[KeySpec] = &[MARGIN_TOP, MARGIN_BOTTOM, MARGIN_LEFT, MARGIN_RIGHT];

const fn margin(name: &'static str, doc: &'static str) -> KeySpec {
    KeySpec::new(name, ValueType::Integer { min: 0, max: MAX_SIDE }, doc).or_integer(0)
}

const SPLIT: KeySpec = KeySpec::new("split", ValueType::Choice(&["train", "val", "test"]), "the split to use");

/// The conditions of ACDC, as its folders are called.
pub const CONDITIONS: &[&str] = &["fog", "night", "rain", "snow"];

/// Every format, by the value of `format`.
pub const FORMATS: &[Variant] = &[
    Variant {
        name: "folder",
        summary: "Images in one folder and, if labelled, 8-bit class-index PNGs or colour-coded labels of the same names in another.",
        keys: &[&[
            KeySpec::new("root", ValueType::Path, "the folder of the data set"),
            KeySpec::new("images", ValueType::Folder, "folder of the images, below `root`").or_text("images"),
            KeySpec::new("labels", ValueType::Folder, "folder of the labels, below `root`; may be missing for a target")
                .or_text("labels"),
            LIST,
            SIZE,
            ORIENTATION,
            MAP,
            PALETTE,
        ], OF_FILES],
    },
    Variant {
        name: "cityscapes",
        summary: "Cityscapes with fine annotations: `leftImg8bit/` and, if labels are read, the label ids of `gtFine/`.",
        keys: &[&[ROOT, SPLIT, LIST, SIZE], OF_FILES],
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
                "images without label: `known` skips the 25 whose labels were never published, `skip` all of them, `error` \
                 none; a message counts them",
            )
            .or_text("known")
            .origin("IAST, issue 2"),
        ], OF_FILES],
    },
    Variant {
        name: "synthia",
        summary: "SYNTHIA-RAND-CITYSCAPES: `RGB/` and the 16-bit labels of `GT/LABELS/`, with the class in the first channel.",
        keys: &[&[ROOT, LIST, SIZE], OF_FILES],
    },
    Variant {
        name: "synscapes",
        summary: "Synscapes: the images of `img/`, sorted by number, and the label ids of `img/class/`.",
        keys: &[&[
            ROOT,
            KeySpec::new(
                "images",
                ValueType::Choice(&["rgb", "rgb-2k"]),
                "`rgb`: 1440 × 720, like the labels; `rgb-2k`: 2048 × 1024",
            )
            .or_text("rgb"),
            LIST,
            SIZE,
        ], OF_FILES],
    },
    Variant {
        name: "camvid",
        summary: "CamVid in the layout of the SegNet tutorial: `train/` and `trainannot/`, with the classes `camvid-11`.",
        keys: &[&[ROOT, SPLIT, LIST, SIZE], OF_FILES],
    },
    Variant {
        name: "acdc",
        summary: "ACDC: `rgb_anon/` and the train ids of `gt/`, in folders by condition, split and drive. The labels of `test` are \
                  not public.",
        keys: &[&[
            ROOT,
            SPLIT,
            KeySpec::new("conditions", ValueType::Choices(CONDITIONS), "the weather and light to use")
                .or(Literal::Texts(CONDITIONS)),
            LIST,
            SIZE,
        ], OF_FILES],
    },
    Variant {
        name: "dark-zurich",
        summary: "Dark Zurich: `rgb_anon/` by split, time of day and drive, and the train ids of `gt/`. Only `val` at night has \
                  labels.",
        keys: &[&[
            ROOT,
            SPLIT,
            KeySpec::new(
                "time",
                ValueType::Choice(&["night", "twilight", "day"]),
                "the time of day; `val` and `test` have only `night`",
            )
            .or_text("night"),
            LIST,
            SIZE,
        ], OF_FILES],
    },
    Variant {
        name: "bdd100k",
        summary: "BDD100K, the 10k images with semantic labels: `images/10k/` and the train ids of `labels/sem_seg/masks/`. The \
                  labels of `test` are not public.",
        keys: &[&[ROOT, SPLIT, LIST, SIZE], OF_FILES],
    },
    Variant {
        name: "mapillary",
        summary: "Mapillary Vistas: `training/`, `validation/` and `testing/`, with palette PNGs of its own 66 or 124 classes. \
                  `testing/` has no labels.",
        keys: &[&[
            ROOT,
            SPLIT,
            KeySpec::new(
                "labels",
                ValueType::Choice(&["v1.2", "v2.0", "v1.1"]),
                "`v1.2`: 66 classes, in `v1.2/labels/`; `v2.0`: 124 classes, in `v2.0/labels/`; `v1.1`: the 66 classes of the \
                 older archive, in `labels/`",
            )
            .or_text("v1.2"),
            LIST,
            SIZE,
        ], OF_FILES],
    },
    Variant {
        name: "idd",
        summary: "IDD, the segmentation set of India: `leftImg8bit/` (PNG or JPEG) and the labels of `gtFine/`, which its own tool \
                  `createLabels.py` draws from the polygons.",
        keys: &[&[
            ROOT,
            SPLIT,
            KeySpec::new(
                "labels",
                ValueType::Choice(&["level3Id", "csTrainId"]),
                "the tool's `--id-type`: `level3Id`, 26 classes, or `csTrainId`, the train ids of Cityscapes",
            )
            .or_text("level3Id"),
            LIST,
            SIZE,
        ], OF_FILES],
    },
    Variant {
        name: "idd-lite",
        summary: "IDD-Lite: `leftImg8bit/` with `_image.jpg` and `gtFine/` with `_label.png`, at 320 × 227, with the classes \
                  `idd-7`.",
        keys: &[&[ROOT, SPLIT, LIST, SIZE], OF_FILES],
    },
    Variant {
        name: "urbansyn",
        summary: "UrbanSyn: `rgb/rgb_0001.png` and the train ids of `ss/ss_0001.png`. It has no splits.",
        keys: &[&[ROOT, LIST, SIZE], OF_FILES],
    },
    Variant {
        name: "scenes",
        summary: "Synthetic road scenes with labels of `scenes-8`, generated by the program: nothing to download.",
        keys: &[&[
            KeySpec::new(
                "style",
                ValueType::Choice(&["source", "target"]),
                "`source`: clean and colourful, as in a game; `target`: muted, with noise, fog and dusk",
            ),
            KeySpec::new(
                "part",
                ValueType::Choice(&["all", "easy", "hard"]),
                "all target scenes, or only those with little (`easy`) or much (`hard`) noise, fog and dusk",
            )
            .or_text("all")
            .only(TARGET),
            KeySpec::new(
                "seed",
                ValueType::Integer { min: 0, max: i64::MAX },
                "seed of the scenes; equal style and seed give equal scenes, so each data set needs its own seed",
            ),
            KeySpec::new("count", ValueType::Integer { min: 1, max: 1_000_000 }, "number of scenes"),
            KeySpec::new("size", ValueType::Size, "`[width, height]` in pixels").or(Literal::Size([128, 64])),
        ], MARGINS],
    },
];
