//! SYNTHIA-RAND-CITYSCAPES: `RGB/0000000.png` to `0009399.png` and `GT/LABELS/` of the same names.
//!
//! Its labels are PNGs of several 16-bit channels, of which the first is the class and the second an instance; a reader
//! that cuts samples to their upper 8 bits finds nothing but 0. `GT/COLOR` is for viewing only.
//! (Source of the ids: valeoai/DADA, `synthia.py`, for 16 classes; lhoyer/MIC, `convert_datasets/synthia.py`, for 19.)

use super::layout::Layout;
use super::listing::Naming;
use crate::kind::dataset::Encoding;

pub(super) const LAYOUT: Layout = Layout {
    format: "synthia",
    images: "RGB",
    labels: "GT/LABELS",
    naming: Naming::PLAIN,
    encoding: Encoding::Synthia16,
    values: IDS,
    last: 22,
    never: &["terrain", "truck", "train"],
    example: ["RGB/0000000.png", "GT/LABELS/0000000.png"],
    ..Layout::PLAIN
};

/// Its ids with the Cityscapes names of their classes: void 0, parking slot 13, road work 14 and lane marking 22 have none.
/// 16, 18 and 20 are defined, but no image has them.
pub(super) const IDS: &[(u8, &str)] = &[
    (1, "sky"),
    (2, "building"),
    (3, "road"),
    (4, "sidewalk"),
    (5, "fence"),
    (6, "vegetation"),
    (7, "pole"),
    (8, "car"),
    (9, "traffic sign"),
    (10, "person"),
    (11, "bicycle"),
    (12, "motorcycle"),
    (15, "traffic light"),
    (16, "terrain"),
    (17, "rider"),
    (18, "truck"),
    (19, "bus"),
    (20, "train"),
    (21, "wall"),
];
