//! Cityscapes, fine annotations: `leftImg8bit/SPLIT/CITY/…_leftImg8bit.png` and `gtFine/SPLIT/CITY/…_gtFine_labelIds.png`.
//!
//! The folder also holds colour pictures, instances and polygons, which are skipped. Label ids are read, not train ids,
//! since these exist only after running a tool. The labels of the test split are not public. (Source:
//! mcordts/cityscapesScripts, README and `helpers/labels.py`.)

use super::layout::Layout;
use super::listing::Naming;

pub(super) const LAYOUT: Layout = Layout {
    format: "cityscapes",
    images: "leftImg8bit/{}",
    labels: "gtFine/{}",
    naming: Naming { images: &["_leftImg8bit.png"], labels: &["_gtFine_labelIds.png"], ..Naming::PLAIN },
    values: IDS,
    last: 34,
    example: [
        "leftImg8bit/{}/aachen/aachen_000000_000019_leftImg8bit.png",
        "gtFine/{}/aachen/aachen_000000_000019_gtFine_labelIds.png",
    ],
    ..Layout::PLAIN
};

/// The ids that are evaluated, with their classes (`labels.py`). The others, 0 to 33, are void or too rare.
pub(super) const IDS: &[(u8, &str)] = &[
    (7, "road"),
    (8, "sidewalk"),
    (11, "building"),
    (12, "wall"),
    (13, "fence"),
    (17, "pole"),
    (19, "traffic light"),
    (20, "traffic sign"),
    (21, "vegetation"),
    (22, "terrain"),
    (23, "sky"),
    (24, "person"),
    (25, "rider"),
    (26, "car"),
    (27, "truck"),
    (28, "bus"),
    (31, "train"),
    (32, "motorcycle"),
    (33, "bicycle"),
];

/// The train ids of its tools: the indices of `cityscapes-19`. Data sets that hold these have no labels to convert.
pub(super) const TRAIN_IDS: &[(u8, &str)] = &[
    (0, "road"),
    (1, "sidewalk"),
    (2, "building"),
    (3, "wall"),
    (4, "fence"),
    (5, "pole"),
    (6, "traffic light"),
    (7, "traffic sign"),
    (8, "vegetation"),
    (9, "terrain"),
    (10, "sky"),
    (11, "person"),
    (12, "rider"),
    (13, "car"),
    (14, "truck"),
    (15, "bus"),
    (16, "train"),
    (17, "motorcycle"),
    (18, "bicycle"),
];
