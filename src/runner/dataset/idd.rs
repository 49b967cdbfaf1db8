//! IDD (segmentation, India) and IDD-Lite.
//!
//! IDD: `leftImg8bit/SPLIT/DRIVE/NAME_leftImg8bit.png` (`.jpg` in its second part) and `gtFine/SPLIT/DRIVE/`. The archive has
//! polygons only; the data set's own tool draws label pictures from them, `_gtFine_labellevel3Ids.png` or
//! `_gtFine_labelcsTrainIds.png`. The test split has no polygons. (Source: AutoNUE/public-code, `README.md`,
//! `preperation/createLabels.py` and `helpers/anue_labels.py`. That the second part has JPEGs is
//! known from other readers alone.)
//!
//! IDD-Lite: `leftImg8bit/SPLIT/DRIVE/NAME_image.jpg` and `gtFine/SPLIT/DRIVE/NAME_label.png`, 320 × 227, with the seven classes of
//! level 1. `_inst_label.png` beside them are instances. (Source: AutoNUE/public-code, `evaluation/idd_lite_evaluate_mIoU.py`; the
//! files in ssg8288/IDD.)

use super::cityscapes::TRAIN_IDS;
use super::layout::Layout;
use super::listing::Naming;

pub(super) const LAYOUT: Layout = Layout {
    format: "idd",
    version: "level3Id",
    images: "leftImg8bit/{}",
    labels: "gtFine/{}",
    naming: Naming { images: IMAGES, labels: &["_gtFine_labellevel3Ids.png"], ..Naming::PLAIN },
    values: LEVEL_3,
    last: 25,
    // Level 3 has trains, caravans and trailers in the value of other vehicles.
    never: &["train"],
    example: ["leftImg8bit/{}/201/frame0029_leftImg8bit.png", "gtFine/{}/201/frame0029_gtFine_labellevel3Ids.png"],
    origin: "; its archive has polygons, and `createLabels.py --id-type level3Id` of AutoNUE/public-code draws the labels",
    ..Layout::PLAIN
};

pub(super) const TRAIN_IDS_LAYOUT: Layout = Layout {
    version: "csTrainId",
    naming: Naming { images: IMAGES, labels: &["_gtFine_labelcsTrainIds.png"], ..Naming::PLAIN },
    values: TRAIN_IDS,
    last: 18,
    never: &[],
    example: ["leftImg8bit/{}/201/frame0029_leftImg8bit.png", "gtFine/{}/201/frame0029_gtFine_labelcsTrainIds.png"],
    origin: "; its archive has polygons, and `createLabels.py --id-type csTrainId` of AutoNUE/public-code draws the labels",
    ..LAYOUT
};

pub(super) const LITE: Layout = Layout {
    format: "idd-lite",
    images: "leftImg8bit/{}",
    labels: "gtFine/{}",
    naming: Naming { images: &["_image.jpg"], labels: &["_label.png"], beside: &["_inst_label.png"], ..Naming::PLAIN },
    values: &[
        (0, "drivable"),
        (1, "non-drivable"),
        (2, "living thing"),
        (3, "vehicle"),
        (4, "roadside object"),
        (5, "far object"),
        (6, "sky"),
    ],
    last: 6,
    example: ["leftImg8bit/{}/0/024541_image.jpg", "gtFine/{}/0/024541_label.png"],
    ..Layout::PLAIN
};

const IMAGES: &[&str] = &["_leftImg8bit.png", "_leftImg8bit.jpg"];

/// Level 3 with the Cityscapes class that `csTrainId` gives to the classes in a value, where it gives one to any; and with the
/// names of its own evaluation (`class_names`), for pipelines with its 26 classes.
const LEVEL_3: &[(u8, &str)] = &[
    (0, "road"),
    (1, "drivable fallback"),
    (2, "sidewalk"),
    (3, "terrain"),
    (3, "non-drivable fallback"),
    (4, "person"),
    (5, "rider"),
    (6, "motorcycle"),
    (7, "bicycle"),
    (8, "autorickshaw"),
    (9, "car"),
    (10, "truck"),
    (11, "bus"),
    (12, "vehicle fallback"),
    (13, "curb"),
    (14, "wall"),
    (15, "fence"),
    (16, "guard rail"),
    (17, "billboard"),
    (18, "traffic sign"),
    (19, "traffic light"),
    (20, "pole"),
    (21, "obs-str-bar-fallback"),
    (22, "building"),
    (23, "bridge"),
    (24, "vegetation"),
    (25, "sky"),
];
