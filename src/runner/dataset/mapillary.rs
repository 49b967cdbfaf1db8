//! Mapillary Vistas: `training/images/NAME.jpg` and `training/v1.2/labels/NAME.png`; likewise `validation/`, and `testing/images/`.
//!
//! Labels are palette PNGs of the data set's own classes: 66 in v1.2 (and in the archive v1.1, whose labels are in
//! `training/labels/`), 124 in v2.0, the last of them "Unlabeled". Images differ in size. (Source: the archive's README and
//! open-mmlab/mmsegmentation, `projects/Mapillary_dataset`, for the folders; its `mmseg/datasets/mapillary.py` for the order of the
//! classes.)
//!
//! **To Cityscapes' classes**: by the rules on names of w1oves/Rein, `tools/convert_datasets/mapillary2cityscape.py`, which come
//! from openseg-group/openseg.pytorch. With the names of v2.0 the same rules lose all traffic lights (of six classes, that for cyclists
//! becomes a rider), and take parking meters for road and the backs of other signs for traffic signs. The table of v2.0 follows the
//! rules without these errors; so it is this program's own, not a published one. tue-mps/vfm-uda-plusplus maps the 66 classes
//! otherwise: as road only 13, 24 and manholes (41), as sidewalk 2 and 15, as pole 45 and 47, as traffic sign 50.

use super::layout::Layout;
use super::listing::Naming;

pub(super) const LAYOUT: Layout = Layout {
    format: "mapillary",
    version: "v1.2",
    images: "{}/images",
    labels: "{}/v1.2/labels",
    splits: &[("train", "training"), ("val", "validation"), ("test", "testing")],
    naming: Naming { images: &[".jpg"], ..Naming::PLAIN },
    values: OF_66,
    last: 65,
    example: ["{}/images/0035fkbjWljhaftpVM37-g.jpg", "{}/v1.2/labels/0035fkbjWljhaftpVM37-g.png"],
    ..Layout::PLAIN
};

pub(super) const SECOND: Layout = Layout {
    version: "v2.0",
    labels: "{}/v2.0/labels",
    values: OF_124,
    last: 123,
    example: ["{}/images/0035fkbjWljhaftpVM37-g.jpg", "{}/v2.0/labels/0035fkbjWljhaftpVM37-g.png"],
    ..LAYOUT
};

pub(super) const OLDER: Layout = Layout {
    version: "v1.1",
    labels: "{}/labels",
    example: ["{}/images/0035fkbjWljhaftpVM37-g.jpg", "{}/labels/0035fkbjWljhaftpVM37-g.png"],
    ..LAYOUT
};

/// v1.2: the comments are its own names.
const OF_66: &[(u8, &str)] = &[
    (2, "sidewalk"),       // Curb
    (3, "fence"),          // Fence
    (6, "wall"),           // Wall
    (7, "road"),           // Bike Lane
    (8, "road"),           // Crosswalk - Plain
    (9, "sidewalk"),       // Curb Cut
    (10, "road"),          // Parking
    (11, "sidewalk"),      // Pedestrian Area
    (13, "road"),          // Road
    (14, "road"),          // Service Lane
    (15, "sidewalk"),      // Sidewalk
    (17, "building"),      // Building
    (19, "person"),        // Person
    (20, "rider"),         // Bicyclist
    (21, "rider"),         // Motorcyclist
    (22, "rider"),         // Other Rider
    (23, "road"),          // Lane Marking - Crosswalk
    (24, "road"),          // Lane Marking - General
    (27, "sky"),           // Sky
    (29, "terrain"),       // Terrain
    (30, "vegetation"),    // Vegetation
    (44, "pole"),          // Street Light
    (45, "pole"),          // Pole
    (46, "traffic sign"),  // Traffic Sign Frame
    (47, "pole"),          // Utility Pole
    (48, "traffic light"), // Traffic Light
    (49, "traffic sign"),  // Traffic Sign (Back)
    (50, "traffic sign"),  // Traffic Sign (Front)
    (52, "bicycle"),       // Bicycle
    (54, "bus"),           // Bus
    (55, "car"),           // Car
    (57, "motorcycle"),    // Motorcycle
    (58, "train"),         // On Rails
    (61, "truck"),         // Truck
];

/// v2.0: likewise.
const OF_124: &[(u8, &str)] = &[
    (4, "sidewalk"),  // Curb
    (5, "fence"),     // Fence
    (12, "wall"),     // Wall
    (13, "road"),     // Bike Lane
    (14, "road"),     // Crosswalk - Plain
    (15, "sidewalk"), // Curb Cut
    (17, "road"),     // Parking
    (18, "road"),     // Parking Aisle
    (19, "sidewalk"), // Pedestrian Area
    (21, "road"),     // Road
    (23, "road"),     // Service Lane
    (24, "sidewalk"), // Sidewalk
    (27, "building"), // Building
    (30, "person"),   // Person
    (32, "rider"),    // Bicyclist
    (33, "rider"),    // Motorcyclist
    (34, "rider"),    // Other Rider
    // Lane markings, with those that stand alone
    (35, "road"),
    (36, "road"),
    (37, "road"),
    (38, "road"),
    (39, "road"),
    (40, "road"),
    (41, "road"),
    (42, "road"),
    (43, "road"),
    (44, "road"),
    (45, "road"),
    (46, "road"),
    (47, "road"),
    (48, "road"),
    (49, "road"),
    (50, "road"),
    (51, "road"),
    (52, "road"),
    (53, "road"),
    (54, "road"),
    (55, "road"),
    (56, "road"),
    (57, "road"),
    (58, "road"),
    (61, "sky"),           // Sky
    (63, "terrain"),       // Terrain
    (64, "vegetation"),    // Vegetation
    (84, "pole"),          // Street Light
    (85, "pole"),          // Pole
    (86, "pole"),          // Pole Group
    (87, "traffic sign"),  // Traffic Sign Frame
    (88, "pole"),          // Utility Pole
    (90, "traffic light"), // Traffic Light - General (Single)
    (91, "traffic light"), // Traffic Light - Pedestrians
    (92, "traffic light"), // Traffic Light - General (Upright)
    (93, "traffic light"), // Traffic Light - General (Horizontal)
    (94, "traffic light"), // Traffic Light - Cyclists
    (95, "traffic light"), // Traffic Light - Other
    (96, "traffic sign"),  // Traffic Sign - Ambiguous
    (97, "traffic sign"),  // Traffic Sign (Back)
    (98, "traffic sign"),  // Traffic Sign - Direction (Back)
    (99, "traffic sign"),  // Traffic Sign - Direction (Front)
    (100, "traffic sign"), // Traffic Sign (Front)
    (101, "traffic sign"), // Traffic Sign - Parking
    (102, "traffic sign"), // Traffic Sign - Temporary (Back)
    (103, "traffic sign"), // Traffic Sign - Temporary (Front)
    (105, "bicycle"),      // Bicycle
    (107, "bus"),          // Bus
    (108, "car"),          // Car
    (110, "motorcycle"),   // Motorcycle
    (111, "train"),        // On Rails
    (114, "truck"),        // Truck
];
