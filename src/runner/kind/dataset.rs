//! The keys of `[datasets.…]`, one table a format.
//!
//! Knows no files: what is in a folder is found out by `dataset`, when the pipeline is planned.

use super::{KeySpec, Literal, Only, Takes, Variant};

const TARGET: Only = Only { key: "style", is: &["target"] };

const MAP: KeySpec = KeySpec::new(
    "map",
    Takes::LabelMap,
    "label values to replace, as in `{ 34 = 255 }`; 255 is ignored by training and evaluation",
)
.optional();

/// Every format, by the value of `format`.
pub const FORMATS: &[Variant] = &[
    Variant {
        name: "folder",
        summary: "Images in a folder and, where there are labels, 8-bit class-index PNGs of the same names in another.",
        keys: &[&[
            KeySpec::new("root", Takes::Path, "the folder of the data set"),
            KeySpec::new("images", Takes::Folder, "folder of the images, below `root`").or_text("images"),
            KeySpec::new("labels", Takes::Folder, "folder of the labels, below `root`; it needn't exist for a target")
                .or_text("labels"),
            KeySpec::new(
                "list",
                Takes::Path,
                "a file with a name of an image a line, with or without ending; default: every image, sorted by name",
            )
            .optional(),
            KeySpec::new("size", Takes::Size, "`[width, height]` in pixels to resize to; default: as stored")
                .optional(),
            MAP,
        ]],
    },
    Variant {
        name: "scenes",
        summary: "Road scenes that the program draws itself, with labels of `scenes-8`: nothing to download.",
        keys: &[&[
            KeySpec::new(
                "style",
                Takes::Choice(&["source", "target"]),
                "`source`: clean and colourful, as a game draws them; `target`: muted, with noise, fog and dusk",
            ),
            KeySpec::new(
                "part",
                Takes::Choice(&["all", "easy", "hard"]),
                "of the target: all scenes, or only those with little or with much of that weather",
            )
            .or_text("all")
            .only(TARGET),
            KeySpec::new(
                "seed",
                Takes::Integer { min: 0, max: i64::MAX },
                "of the scenes; equal styles and seeds give equal scenes, so each data set needs its own",
            ),
            KeySpec::new("count", Takes::Integer { min: 1, max: 1_000_000 }, "how many scenes"),
            KeySpec::new("size", Takes::Size, "`[width, height]` in pixels").or(Literal::Size([128, 64])),
            MAP,
        ]],
    },
];
