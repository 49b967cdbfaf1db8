//! The folder layout of a published data set and the meaning of its label values.
//!
//! A layout is data; the file of each data set defines it. Label values are tied to the *names* of classes, not to indices:
//! the pipeline's classes decide which index a name has, so one table serves the 19, the 16 and the 13 classes of the
//! papers and any subset.

use std::path::{Path, PathBuf};

use super::labels::IGNORED;
use super::listing::{Naming, Place};
use crate::kind::dataset::Encoding;

/// A published data set.
#[derive(Debug)]
pub struct Layout {
    /// Its `format` in a pipeline file.
    pub format: &'static str,
    /// The folder of the images below the root; `{}` stands for the part: a split, or a subset of images.
    pub(super) images: &'static str,
    /// The folder of the labels.
    pub(super) labels: &'static str,
    /// The file names.
    pub naming: Naming,
    /// The encoding of labels.
    pub encoding: Encoding,
    /// Value → name of the class. All other values are ignored.
    pub(super) values: &'static [(u8, &'static str)],
    /// The largest value in its files, of a class or not.
    pub(super) last: u8,
    /// Classes among these that no published label has.
    pub never: &'static [&'static str],
    /// The numbers of images whose labels were never published: first and last of each gap.
    pub(super) gaps: &'static [(u32, u32)],
    /// One image and its label below the root, for messages.
    pub(super) example: [&'static str; 2],
}

impl Layout {
    /// The paths of this data set's files below `root`, relative to the workspace's.
    pub fn place(&self, root: &Path, part: &str, list: Option<&Path>) -> Place {
        let below = |folder: &str| root.join(folder.replace("{}", part));
        Place { images: below(self.images), labels: below(self.labels), list: list.map(Path::to_owned) }
    }

    /// An example of an image's and a label's path, in words.
    pub fn expectation(&self, root: &Path, part: &str) -> String {
        let [image, label] = self.files(root, part);
        format!("a {} data set holds files such as {image} and {label}", self.format)
    }

    /// An example of an image's and a label's path.
    pub fn files(&self, root: &Path, part: &str) -> [String; 2] {
        self.example.map(|file| root.join(file.replace("{}", part)).display().to_string())
    }

    /// Another root nearby that has the images: the archive was unpacked into a sub-folder, or `root` names the images' own
    /// folder.
    pub fn root_nearby(&self, workspace: &Path, root: &Path, part: &str) -> Option<PathBuf> {
        let images = self.images.replace("{}", part);
        let holds = |candidate: &PathBuf| workspace.join(candidate).join(&images).is_dir();
        let above = root.ancestors().skip(1).take(2).map(Path::to_owned).find(holds);
        above.or_else(|| {
            let entries = workspace.join(root).read_dir().ok()?;
            let mut below: Vec<PathBuf> =
                entries.filter_map(|entry| Some(root.join(entry.ok()?.file_name()))).collect();
            below.sort_unstable();
            below.into_iter().find(holds)
        })
    }

    /// The folders of images and labels for a `folder` data set, if its files are named in the way that format requires.
    pub fn as_folder(&self, part: &str) -> Option<[String; 2]> {
        let is_plain = self.naming.labels == [".png"] && self.encoding == Encoding::Index;
        is_plain.then(|| [self.images, self.labels].map(|folder| folder.replace("{}", part)))
    }

    /// Whether the label of the image with this stem is known not to exist.
    pub fn is_gap(&self, stem: &str) -> bool {
        let number = stem.parse::<u32>();
        number.is_ok_and(|number| self.gaps.iter().any(|(first, last)| (*first..=*last).contains(&number)))
    }

    /// The names of the classes in its labels, each once.
    pub fn classes(&self) -> impl Iterator<Item = &'static str> {
        let is_first = |(i, name): &(usize, &str)| self.values[..*i].iter().all(|(_, earlier)| earlier != name);
        self.values.iter().map(|(_, name)| *name).enumerate().filter(is_first).map(|(_, name)| name)
    }

    /// For each of the 256 values a label can hold, the index of its class in `classes`, or [`IGNORED`].
    pub fn map(&self, classes: &[&str]) -> Vec<(u8, u8)> {
        let index = |value: u8| {
            let (_, name) = self.values.iter().find(|(known, _)| *known == value)?;
            let index = classes.iter().position(|class| class == name)?;
            u8::try_from(index).ok()
        };
        (0..=u8::MAX).map(|value| (value, index(value).unwrap_or(IGNORED))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{PUBLISHED, published};
    use crate::kind::{classes, dataset::FORMATS};

    /// The classes of a named set.
    fn set(name: &str) -> Vec<&'static str> {
        classes::find(name).unwrap().classes.iter().map(|class| class.name).collect()
    }

    /// The data set's map of each value from 0 on; 255 after the end of `expected`.
    fn maps_to(format: &str, classes: &str, expected: &[u8]) {
        let map = published(format).unwrap().map(&set(classes));
        let wanted = (0..=255u8).map(|value| (value, expected.get(usize::from(value)).copied().unwrap_or(255)));
        assert_eq!(map, wanted.collect::<Vec<_>>(), "{format} to {classes}");
    }

    #[test]
    fn every_published_format_of_the_tables_has_a_layout_and_the_reverse() {
        let named: Vec<&str> = FORMATS.iter().map(|format| format.name).collect();
        let published: Vec<&str> = PUBLISHED.iter().map(|layout| layout.format).collect();
        assert_eq!(named, [&["folder"][..], &published, &["scenes"]].concat());
    }

    #[test]
    fn cityscapes_ids_become_the_train_ids_of_its_own_tools() {
        let of = |known: &[(u8, u8)]| -> Vec<u8> {
            (0..34).map(|id| known.iter().find(|(known, _)| *known == id).map_or(255, |(_, to)| *to)).collect()
        };
        let nineteen = of(&[
            (7, 0),
            (8, 1),
            (11, 2),
            (12, 3),
            (13, 4),
            (17, 5),
            (19, 6),
            (20, 7),
            (21, 8),
            (22, 9),
            (23, 10),
            (24, 11),
            (25, 12),
            (26, 13),
            (27, 14),
            (28, 15),
            (31, 16),
            (32, 17),
            (33, 18),
        ]);
        for format in ["cityscapes", "gta5", "synscapes"] {
            maps_to(format, "cityscapes-19", &nineteen);
        }
        let sixteen = of(&[
            (7, 0),
            (8, 1),
            (11, 2),
            (12, 3),
            (13, 4),
            (17, 5),
            (19, 6),
            (20, 7),
            (21, 8),
            (23, 9),
            (24, 10),
            (25, 11),
            (26, 12),
            (28, 13),
            (32, 14),
            (33, 15),
        ]);
        maps_to("cityscapes", "cityscapes-16", &sixteen);
        let thirteen = of(&[
            (7, 0),
            (8, 1),
            (11, 2),
            (19, 3),
            (20, 4),
            (21, 5),
            (23, 6),
            (24, 7),
            (25, 8),
            (26, 9),
            (28, 10),
            (32, 11),
            (33, 12),
        ]);
        maps_to("cityscapes", "cityscapes-13", &thirteen);
    }

    #[test]
    fn synthia_ids_become_the_classes_of_the_three_protocols() {
        const NO: u8 = 255;
        let nineteen = [NO, 10, 2, 0, 1, 4, 8, 5, 13, 7, 11, 18, 17, NO, NO, 6, 9, 12, 14, 15, 16, 3, NO];
        maps_to("synthia", "cityscapes-19", &nineteen);
        let sixteen = [NO, 9, 2, 0, 1, 4, 8, 5, 12, 7, 10, 15, 14, NO, NO, 6, NO, 11, NO, 13, NO, 3, NO];
        maps_to("synthia", "cityscapes-16", &sixteen);
        let thirteen = [NO, 6, 2, 0, 1, NO, 5, NO, 9, 4, 7, 12, 11, NO, NO, 3, NO, 8, NO, 10, NO, NO, NO];
        maps_to("synthia", "cityscapes-13", &thirteen);
    }

    #[test]
    fn camvid_keeps_its_eleven_classes_and_ignores_the_twelfth() {
        maps_to("camvid", "camvid-11", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn the_published_gaps_of_gta5_are_25_labels() {
        let gta5 = published("gta5").unwrap();
        assert_eq!((1..=24_966).filter(|number| gta5.is_gap(&format!("{number:05}"))).count(), 25);
        assert!(gta5.is_gap("02154") && !gta5.is_gap("02159") && !gta5.is_gap("x"));
    }

    #[test]
    fn a_place_has_its_part_in_it_and_an_expectation_shows_it() {
        let layout = published("cityscapes").unwrap();
        let place = layout.place(Path::new("data/C"), "val", Some(Path::new("l.txt")));
        assert_eq!(place.images, Path::new("data/C/leftImg8bit/val"));
        assert_eq!(place.labels, Path::new("data/C/gtFine/val"));
        assert_eq!(place.list.as_deref(), Some(Path::new("l.txt")));
        let text = layout.expectation(Path::new("data/C"), "val");
        assert!(text.contains(" data/C/leftImg8bit/val/aachen/"), "{text}");
        assert!(text.contains("_gtFine_labelIds.png"), "{text}");
    }
}
