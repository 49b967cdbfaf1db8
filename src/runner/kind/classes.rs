//! The named class sets: order, colours, and which classes are rare or things.
//!
//! Knows no label files. A class is its index; data sets map their label values to it (`map`).

/// A class set with a name.
#[derive(Debug)]
pub struct ClassSet {
    /// The value of `classes`.
    pub name: &'static str,
    /// The classes, by index.
    pub classes: &'static [Class],
}

/// One class of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// Its name, as tables show it.
    pub name: &'static str,
    /// Red, green, blue.
    pub colour: [u8; 3],
    /// Whether `ranking` counts it as rare when it normalizes by rare classes.
    pub rare: bool,
    /// Whether it is a thing (something with a shape of its own: a car) and not stuff (an area: road).
    pub thing: bool,
}

impl Class {
    const fn thing(self) -> Class {
        Class { thing: true, ..self }
    }
}

const fn class(name: &'static str, r: u8, g: u8, b: u8) -> Class {
    Class { name, colour: [r, g, b], rare: false, thing: false }
}

const fn rare(name: &'static str, r: u8, g: u8, b: u8) -> Class {
    Class { name, colour: [r, g, b], rare: true, thing: false }
}

const ROAD: Class = class("road", 128, 64, 128);
const SIDEWALK: Class = class("sidewalk", 244, 35, 232);
const BUILDING: Class = class("building", 70, 70, 70);
const WALL: Class = rare("wall", 102, 102, 156);
const FENCE: Class = rare("fence", 190, 153, 153);
const POLE: Class = rare("pole", 153, 153, 153);
const TRAFFIC_LIGHT: Class = rare("traffic light", 250, 170, 30).thing();
const TRAFFIC_SIGN: Class = rare("traffic sign", 220, 220, 0).thing();
const VEGETATION: Class = class("vegetation", 107, 142, 35);
const TERRAIN: Class = rare("terrain", 152, 251, 152);
const SKY: Class = class("sky", 70, 130, 180);
const PERSON: Class = class("person", 220, 20, 60).thing();
const RIDER: Class = rare("rider", 255, 0, 0).thing();
const CAR: Class = class("car", 0, 0, 142).thing();
const TRUCK: Class = rare("truck", 0, 0, 70).thing();
const BUS: Class = rare("bus", 0, 60, 100).thing();
const TRAIN: Class = rare("train", 0, 80, 100).thing();
const MOTORCYCLE: Class = rare("motorcycle", 0, 0, 230).thing();
const BICYCLE: Class = class("bicycle", 119, 11, 32).thing();

/// All named sets.
///
/// Cityscapes: colours of cityscapesScripts `labels.py`; rare as in IntraDA's `entropy.py`; the 16 are those of SYNTHIA, in
/// the order of DADA's `synthia.py`, the 13 those of mIoU*. CamVid: the 11 of the SegNet tutorial. IDD: the
/// seven of its level 1, which IDD-Lite has, with colours of AutoNUE's `anue_labels.py`. In CamVid and the scenes, classes
/// with less than 2 % of the pixels are rare, and in IDD-Lite those with less than 3 %, as no paper defines them. Things: those of
/// DAFormer's configuration (ids 6, 7 and 11 to 18 of the 19), and what corresponds to them in the other sets.
pub const SETS: &[ClassSet] = &[
    ClassSet {
        name: "cityscapes-19",
        classes: &[
            ROAD,
            SIDEWALK,
            BUILDING,
            WALL,
            FENCE,
            POLE,
            TRAFFIC_LIGHT,
            TRAFFIC_SIGN,
            VEGETATION,
            TERRAIN,
            SKY,
            PERSON,
            RIDER,
            CAR,
            TRUCK,
            BUS,
            TRAIN,
            MOTORCYCLE,
            BICYCLE,
        ],
    },
    ClassSet {
        name: "cityscapes-16",
        classes: &[
            ROAD,
            SIDEWALK,
            BUILDING,
            WALL,
            FENCE,
            POLE,
            TRAFFIC_LIGHT,
            TRAFFIC_SIGN,
            VEGETATION,
            SKY,
            PERSON,
            RIDER,
            CAR,
            BUS,
            MOTORCYCLE,
            BICYCLE,
        ],
    },
    ClassSet {
        name: "cityscapes-13",
        classes: &[
            ROAD,
            SIDEWALK,
            BUILDING,
            TRAFFIC_LIGHT,
            TRAFFIC_SIGN,
            VEGETATION,
            SKY,
            PERSON,
            RIDER,
            CAR,
            BUS,
            MOTORCYCLE,
            BICYCLE,
        ],
    },
    ClassSet {
        name: "camvid-11",
        classes: &[
            class("sky", 128, 128, 128),
            class("building", 128, 0, 0),
            rare("pole", 192, 192, 128),
            class("road", 128, 64, 128),
            class("pavement", 60, 40, 222),
            class("tree", 128, 128, 0),
            rare("sign", 192, 128, 128).thing(),
            rare("fence", 64, 64, 128),
            class("car", 64, 0, 128).thing(),
            rare("pedestrian", 64, 64, 0).thing(),
            rare("bicyclist", 0, 128, 192).thing(),
        ],
    },
    ClassSet {
        name: "idd-7",
        classes: &[
            class("drivable", 128, 64, 128),
            rare("non-drivable", 244, 35, 232),
            rare("living thing", 220, 20, 60).thing(),
            class("vehicle", 0, 0, 142).thing(),
            class("roadside object", 220, 190, 40),
            class("far object", 70, 70, 70),
            class("sky", 70, 130, 180),
        ],
    },
    ClassSet {
        name: SCENES,
        classes: &[
            class("sky", 70, 130, 180),
            class("building", 70, 70, 70),
            class("road", 128, 64, 128),
            class("pavement", 244, 35, 232),
            class("tree", 107, 142, 35),
            class("car", 0, 0, 142).thing(),
            rare("pole", 220, 220, 0),
            rare("person", 220, 20, 60).thing(),
        ],
    },
];

/// The class set of the synthetic scenes.
pub const SCENES: &str = "scenes-8";

/// The names of [`SETS`], for the key that chooses one.
pub const NAMES: &[&str] = &["cityscapes-19", "cityscapes-16", "cityscapes-13", "camvid-11", "idd-7", SCENES];

/// The set of this name.
pub fn find(name: &str) -> Option<&'static ClassSet> {
    SETS.iter().find(|set| set.name == name)
}

/// The sets that are proper subsets of these classes: papers report means over them besides the mean over all.
pub fn parts<'a>(names: &'a [&str]) -> impl Iterator<Item = &'static ClassSet> + 'a {
    let is_part = |set: &&ClassSet| {
        set.classes.len() < names.len() && set.classes.iter().all(|class| names.contains(&class.name))
    };
    SETS.iter().filter(is_part)
}

/// The default colour of the class with this index.
///
/// The first eight are the colour-blind-safe ones of Okabe and Ito; after them the hue advances by the golden angle, which
/// spreads hues evenly.
pub fn colour_of(index: usize) -> [u8; 3] {
    const OKABE_ITO: [[u8; 3]; 8] = [
        [230, 159, 0],
        [86, 180, 233],
        [0, 158, 115],
        [240, 228, 66],
        [0, 114, 178],
        [213, 94, 0],
        [204, 121, 167],
        [0, 0, 0],
    ];
    OKABE_ITO.get(index).copied().unwrap_or_else(|| hue((index as f64 * 137.507_764) % 360.0))
}

/// The colour of a hue in degrees at saturation 0.65 and value 0.85.
fn hue(degrees: f64) -> [u8; 3] {
    let channel = |offset: f64| {
        let k = (offset + degrees / 60.0) % 6.0;
        let share = 1.0 - 0.65 * k.min(4.0 - k).clamp(0.0, 1.0);
        (255.0 * 0.85 * share).round() as u8
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_names_are_those_of_the_sets() {
        assert_eq!(SETS.iter().map(|set| set.name).collect::<Vec<_>>(), NAMES);
        for set in SETS {
            let number = set.name.rsplit('-').next().unwrap();
            assert_eq!(set.classes.len().to_string(), number, "{}", set.name);
        }
    }

    #[test]
    fn the_released_code_counts_eleven_rare_classes_of_nineteen() {
        let rare = |name| find(name).unwrap().classes.iter().filter(|class| class.rare).count();
        assert_eq!((rare("cityscapes-19"), rare("cityscapes-16"), rare("cityscapes-13")), (11, 8, 5));
    }

    #[test]
    fn things_are_the_ten_classes_of_daformer_and_what_is_left_of_them_in_the_parts() {
        let things = |name| -> Vec<usize> {
            let classes = find(name).unwrap().classes.iter().enumerate();
            classes.filter(|(_, class)| class.thing).map(|(index, _)| index).collect()
        };
        assert_eq!(things("cityscapes-19"), [6, 7, 11, 12, 13, 14, 15, 16, 17, 18]);
        assert_eq!(things("cityscapes-16"), [6, 7, 10, 11, 12, 13, 14, 15]);
        assert_eq!(things("cityscapes-13"), [3, 4, 7, 8, 9, 10, 11, 12]);
        assert_eq!((things("camvid-11"), things(SCENES)), (vec![6, 8, 9, 10], vec![5, 7]));
    }

    #[test]
    fn the_16_and_the_13_classes_of_synthia_are_parts_of_the_19() {
        let parts_of = |name| -> Vec<&str> {
            let names: Vec<&str> = find(name).unwrap().classes.iter().map(|class| class.name).collect();
            parts(&names).map(|set| set.name).collect()
        };
        assert_eq!(parts_of("cityscapes-19"), ["cityscapes-16", "cityscapes-13"]);
        assert_eq!(parts_of("cityscapes-16"), ["cityscapes-13"]);
        for name in ["cityscapes-13", "camvid-11", "idd-7", SCENES] {
            assert_eq!(parts_of(name), [""; 0], "{name}");
        }
    }

    #[test]
    fn no_two_of_a_hundred_classes_share_a_colour() {
        assert_eq!((0..100).map(colour_of).collect::<HashSet<_>>().len(), 100);
    }
}
