//! The named palettes: which class a colour of published colour-coded labels means.
//!
//! Knows no files and no indices: the pipeline's classes decide which index a name has, and colours of other classes are
//! ignored. Data sets whose labels are published as indices need no palette.

/// A palette with a name.
#[derive(Debug)]
pub struct Palette {
    /// The value of `palette`.
    pub name: &'static str,
    /// Which files it is for.
    pub summary: &'static str,
    /// Colour → name of the class; `None`: ignored.
    pub colours: &'static [([u8; 3], Option<&'static str>)],
}

/// The value that a palette gives to colours without a class.
pub const IGNORE: &str = "ignore";

/// The values of `palette` that are names.
pub const NAMES: &[&str] = &[CITYSCAPES.name, CAMVID.name];

/// All named palettes, as in [`NAMES`].
pub const PALETTES: &[Palette] = &[CITYSCAPES, CAMVID];

/// The palette of this name.
pub fn find(name: &str) -> Option<&'static Palette> {
    PALETTES.iter().find(|palette| palette.name == name)
}

/// Source: cityscapesScripts, `helpers/labels.py`. Two colours mean two labels each, which the pictures don't tell apart:
/// licence plates look like cars, and groups of poles, which are not evaluated, like poles.
const CITYSCAPES: Palette = Palette {
    name: "cityscapes",
    summary: "the colour pictures of Cityscapes (`gtFine_color.png`), and of data sets that paint its classes alike",
    colours: &[
        ([0, 0, 0], None),
        ([111, 74, 0], None),
        ([81, 0, 81], None),
        ([128, 64, 128], Some("road")),
        ([244, 35, 232], Some("sidewalk")),
        ([250, 170, 160], None),
        ([230, 150, 140], None),
        ([70, 70, 70], Some("building")),
        ([102, 102, 156], Some("wall")),
        ([190, 153, 153], Some("fence")),
        ([180, 165, 180], None),
        ([150, 100, 100], None),
        ([150, 120, 90], None),
        ([153, 153, 153], Some("pole")),
        ([250, 170, 30], Some("traffic light")),
        ([220, 220, 0], Some("traffic sign")),
        ([107, 142, 35], Some("vegetation")),
        ([152, 251, 152], Some("terrain")),
        ([70, 130, 180], Some("sky")),
        ([220, 20, 60], Some("person")),
        ([255, 0, 0], Some("rider")),
        ([0, 0, 142], Some("car")),
        ([0, 0, 70], Some("truck")),
        ([0, 60, 100], Some("bus")),
        ([0, 0, 90], None),
        ([0, 0, 110], None),
        ([0, 80, 100], Some("train")),
        ([0, 0, 230], Some("motorcycle")),
        ([119, 11, 32], Some("bicycle")),
    ],
};

/// The 32 classes of the published labels, grouped into the 11 of SegNet. Source: CamVid, `label_colors.txt`; the groups are those
/// of MathWorks' example on CamVid (`camvidPixelLabelIDs`), which follows SegNet's training.
const CAMVID: Palette = Palette {
    name: "camvid",
    summary: "the labels of CamVid as published (`LabeledApproved_full`), their 32 classes grouped into SegNet's 11",
    colours: &[
        ([0, 0, 0], None),
        ([128, 128, 128], Some("sky")),
        ([128, 0, 0], Some("building")),
        ([64, 192, 0], Some("building")),
        ([0, 128, 64], Some("building")),
        ([64, 0, 64], Some("building")),
        ([192, 0, 128], Some("building")),
        ([192, 192, 128], Some("pole")),
        ([0, 0, 64], Some("pole")),
        ([128, 64, 128], Some("road")),
        ([128, 0, 192], Some("road")),
        ([192, 0, 64], Some("road")),
        ([0, 0, 192], Some("pavement")),
        ([64, 192, 128], Some("pavement")),
        ([128, 128, 192], Some("pavement")),
        ([128, 128, 0], Some("tree")),
        ([192, 192, 0], Some("tree")),
        ([192, 128, 128], Some("sign")),
        ([128, 128, 64], Some("sign")),
        ([0, 64, 64], Some("sign")),
        ([64, 64, 128], Some("fence")),
        ([64, 0, 128], Some("car")),
        ([64, 128, 192], Some("car")),
        ([192, 128, 192], Some("car")),
        ([192, 64, 128], Some("car")),
        ([128, 64, 64], Some("car")),
        ([64, 64, 0], Some("pedestrian")),
        ([192, 128, 64], Some("pedestrian")),
        ([64, 0, 192], Some("pedestrian")),
        ([64, 128, 64], Some("pedestrian")),
        ([0, 128, 192], Some("bicyclist")),
        ([192, 0, 192], Some("bicyclist")),
    ],
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::classes;
    use super::*;

    #[test]
    fn a_palette_has_each_colour_once_and_the_classes_of_its_set() {
        for (palette, set) in PALETTES.iter().zip(["cityscapes-19", "camvid-11"]) {
            let colours: HashSet<[u8; 3]> = palette.colours.iter().map(|(colour, _)| *colour).collect();
            assert_eq!(colours.len(), palette.colours.len(), "{}", palette.name);
            let named: HashSet<&str> = palette.colours.iter().filter_map(|(_, class)| *class).collect();
            let wanted = classes::find(set).unwrap().classes.iter().map(|class| class.name).collect();
            assert_eq!(named, wanted, "{}", palette.name);
        }
        assert_eq!(PALETTES.iter().map(|palette| palette.name).collect::<Vec<_>>(), NAMES);
        assert_eq!(CAMVID.colours.len(), 32);
    }

    #[test]
    fn a_class_of_cityscapes_has_the_colour_that_predictions_are_painted_in() {
        for class in classes::find("cityscapes-19").unwrap().classes {
            assert!(CITYSCAPES.colours.contains(&(class.colour, Some(class.name))), "{}", class.name);
        }
    }
}
