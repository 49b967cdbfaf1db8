//! The folder layout of a published data set and the meaning of its label values.
//!
//! A layout is data; the file of each data set defines it. Label values are tied to the *names* of classes, not to indices:
//! the pipeline's classes decide which index a name has, so one table serves the 19, the 16 and the 13 classes of the
//! papers and any subset.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::labels::IGNORED;
use super::listing::{Naming, Place};
use crate::kind::dataset::{Encoding, Selection};

/// A published data set.
#[derive(Debug)]
pub struct Layout {
    /// Its `format` in a pipeline file.
    pub format: &'static str,
    /// Its `labels` in a pipeline file, where the data set has several versions of them; else empty.
    pub version: &'static str,
    /// The folder of the images below the root; `{}` stands for the part: a split, or a subset of images.
    pub(super) images: &'static str,
    /// The folder of the labels.
    pub(super) labels: &'static str,
    /// The folder of a subset below both, with `{of}` for the subset; empty where both belong to the data set whole.
    pub(super) below: &'static str,
    /// The folders of the splits, where they aren't called as in a pipeline file.
    pub(super) splits: &'static [(&'static str, &'static str)],
    /// The file names.
    pub naming: Naming,
    /// The encoding of labels.
    pub encoding: Encoding,
    /// Value → name of the class; a class may have several values, and a value several names. All other values are ignored.
    pub(super) values: &'static [(u8, &'static str)],
    /// The largest value in its files, of a class or not.
    pub(super) last: u8,
    /// Classes that no published label has, whether they have a value or not.
    pub never: &'static [&'static str],
    /// The numbers of images whose labels were never published: first and last of each gap.
    pub(super) gaps: &'static [(u32, u32)],
    /// One image and its label below the root, for messages.
    pub(super) example: [&'static str; 2],
    /// Where the labels come from, if not from the archive; for messages.
    pub(super) origin: &'static str,
}

impl Layout {
    /// Of index labels in one version, in folders that belong to the data set whole. Each data set adds its own facts.
    pub(super) const PLAIN: Layout = Layout {
        format: "",
        version: "",
        images: "",
        labels: "",
        below: "",
        splits: &[],
        naming: Naming::PLAIN,
        encoding: Encoding::Index,
        values: &[],
        last: 0,
        never: &[],
        gaps: &[],
        example: ["", ""],
        origin: "",
    };

    /// The paths of this data set's files below `root`, relative to the workspace's.
    pub fn place(&self, root: &Path, selection: &Selection, list: Option<&Path>) -> Place {
        let folder = |text: &str| root.join(self.filled(text, selection, ""));
        let within = selection.subsets.iter().filter(|_| !self.below.is_empty());
        Place {
            images: folder(self.images),
            labels: folder(self.labels),
            within: within.map(|of| self.filled(self.below, selection, of)).collect(),
            list: list.map(Path::to_owned),
        }
    }

    /// An example of an image's and a label's path, in words.
    pub fn expectation(&self, root: &Path, selection: &Selection) -> String {
        let [image, label] = self.files(root, selection);
        format!("{} holds files such as {image} and {label}{}", self.called(), self.origin)
    }

    /// `a gta5 data set`, `an idd data set`.
    pub fn called(&self) -> String {
        let article = if self.format.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        format!("{article} {} data set", self.format)
    }

    /// An example of an image's and a label's path.
    pub fn files(&self, root: &Path, selection: &Selection) -> [String; 2] {
        let of = selection.subsets.first().map_or("", String::as_str);
        self.example.map(|file| root.join(self.filled(file, selection, of)).display().to_string())
    }

    /// Another root nearby that has the images: the archive was unpacked into a sub-folder, or `root` names the images' own
    /// folder.
    pub fn root_nearby(&self, workspace: &Path, root: &Path, selection: &Selection) -> Option<PathBuf> {
        let Place { images, within, .. } = self.place(Path::new(""), selection, None);
        let images = within.first().map_or(images.clone(), |part| images.join(part));
        let holds = |candidate: &PathBuf| workspace.join(candidate).join(&images).is_dir();
        let above = root.ancestors().skip(1).take(MOST_ABOVE).map(Path::to_owned).find(holds);
        above.or_else(|| {
            let entries = workspace.join(root).read_dir().ok()?;
            let mut below: Vec<PathBuf> =
                entries.filter_map(|entry| Some(root.join(entry.ok()?.file_name()))).collect();
            below.sort_unstable();
            below.into_iter().find(holds)
        })
    }

    /// The folders of images and labels for a `folder` data set, if its files are named in the way that format requires.
    pub fn as_folder(&self, selection: &Selection) -> Option<[String; 2]> {
        let is_plain = self.naming.is_plain() && self.encoding == Encoding::Index && self.below.is_empty();
        is_plain.then(|| [self.images, self.labels].map(|folder| self.filled(folder, selection, "")))
    }

    /// A path with the part and the subset in it.
    fn filled(&self, path: &str, selection: &Selection, of: &str) -> String {
        let split = self.splits.iter().find(|(split, _)| *split == selection.part);
        path.replace("{of}", of).replace("{}", split.map_or(&*selection.part, |(_, folder)| folder))
    }

    /// Whether the label of the image with this stem is known not to exist.
    pub fn is_gap(&self, stem: &str) -> bool {
        let number = stem.parse::<u32>();
        number.is_ok_and(|number| self.gaps.iter().any(|(first, last)| (*first..=*last).contains(&number)))
    }

    /// The names of the classes that its labels distinguish, each once; those that no label has come last.
    pub fn classes(&self) -> impl Iterator<Item = &'static str> {
        let mut seen = HashSet::new();
        self.values
            .iter()
            .map(|(_, name)| *name)
            .chain(self.never.iter().copied())
            .filter(move |name| seen.insert(*name))
    }

    /// For each of the 256 values a label can hold, the index of its class in `classes`, or [`IGNORED`].
    pub fn map(&self, classes: &[&str]) -> Vec<(u8, u8)> {
        let index = |value: u8| {
            let names = self.values.iter().filter(|(known, _)| *known == value);
            let index = names.filter_map(|(_, name)| classes.iter().position(|class| class == name)).next()?;
            u8::try_from(index).ok()
        };
        (0..=u8::MAX).map(|value| (value, index(value).unwrap_or(IGNORED))).collect()
    }
}

/// How many folders above `root` may be the root.
const MOST_ABOVE: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{PUBLISHED, published, version};
    use crate::kind::{Literal, Presence, ValueType, classes, dataset::FORMATS};

    /// The classes of a named set.
    fn set(name: &str) -> Vec<&'static str> {
        classes::find(name).unwrap().classes.iter().map(|class| class.name).collect()
    }

    /// The data set's map of each value from 0 on, in the default version of its labels; 255 after the end of `expected`.
    fn maps_to(format: &str, classes: &str, expected: &[u8]) {
        labels_map_to(published(format).unwrap(), classes, expected);
    }

    fn labels_map_to(layout: &Layout, classes: &str, expected: &[u8]) {
        let (map, format) = (layout.map(&set(classes)), layout.format);
        let wanted = (0..=255u8).map(|value| (value, expected.get(usize::from(value)).copied().unwrap_or(255)));
        assert_eq!(map, wanted.collect::<Vec<_>>(), "{format} to {classes}");
    }

    fn selection(part: &str, subsets: &[&str]) -> Selection {
        let subsets = subsets.iter().map(|of| (*of).to_owned()).collect();
        Selection { part: part.to_owned(), subsets, ..Selection::default() }
    }

    #[test]
    fn every_published_format_of_the_tables_has_a_layout_and_the_reverse() {
        let named: Vec<&str> = FORMATS.iter().map(|format| format.name).collect();
        let mut published: Vec<&str> = PUBLISHED.iter().map(|layout| layout.format).collect();
        published.dedup();
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
    fn train_ids_are_the_indices_of_the_19_classes_and_all_else_is_ignored() {
        let train_ids: Vec<u8> = (0..19).collect();
        for format in ["acdc", "dark-zurich", "bdd100k", "urbansyn"] {
            maps_to(format, "cityscapes-19", &train_ids);
            let layout = published(format).unwrap();
            assert_eq!(layout.classes().collect::<Vec<_>>(), set("cityscapes-19"), "{format}");
        }
        labels_map_to(version("idd", "csTrainId").unwrap(), "cityscapes-19", &train_ids);
        assert_eq!(published("urbansyn").unwrap().last, 19, "which is unlabelled there");
    }

    #[test]
    fn level_3_of_idd_becomes_the_train_ids_that_its_own_table_gives_to_the_classes_in_a_value() {
        /// `level3Id` and `csTrainId` of each class, in the order of their ids (AutoNUE's `anue_labels.py`).
        const CLASSES: [(u8, u8); 35] = [
            (0, 0),
            (1, 255),
            (1, 255),
            (2, 1),
            (3, 255),
            (3, 9),
            (4, 11),
            (4, 255),
            (5, 12),
            (6, 17),
            (7, 18),
            (8, 255),
            (9, 13),
            (10, 14),
            (11, 15),
            (12, 255),
            (12, 255),
            (12, 16),
            (12, 255),
            (13, 255),
            (14, 3),
            (15, 4),
            (16, 255),
            (17, 255),
            (18, 7),
            (19, 6),
            (20, 5),
            (20, 255),
            (21, 255),
            (22, 2),
            (23, 255),
            (23, 255),
            (24, 8),
            (25, 10),
            (25, 255),
        ];
        const VEHICLES: u8 = 12;
        let expected: Vec<u8> = (0..26)
            .map(|level_3| {
                let train_ids = CLASSES.iter().filter(|(value, to)| *value == level_3 && *to != IGNORED);
                train_ids.map(|(_, to)| *to).find(|_| level_3 != VEHICLES).unwrap_or(IGNORED)
            })
            .collect();
        maps_to("idd", "cityscapes-19", &expected);
        let idd = published("idd").unwrap();
        assert!(set("cityscapes-19").iter().all(|class| idd.classes().any(|known| known == *class)));
        assert_eq!(idd.never, ["train"]);
    }

    #[test]
    fn the_26_classes_of_idd_are_read_under_its_own_names() {
        let idd = published("idd").unwrap();
        let own: Vec<&str> = idd.classes().filter(|class| !["terrain", "train"].contains(class)).collect();
        assert_eq!(own.len(), 26);
        let wanted = (0..=255u8).map(|value| (value, if value < 26 { value } else { IGNORED }));
        assert_eq!(idd.map(&own), wanted.collect::<Vec<_>>());
        maps_to("idd-lite", "idd-7", &[0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn vistas_becomes_the_train_ids_of_the_rules_that_rein_publishes() {
        const NO: u8 = 255;
        let of_66 = [
            NO, NO, 1, 4, NO, NO, 3, 0, 0, 1, 0, 1, NO, 0, 0, 1, NO, 2, NO, 11, 12, 12, 12, 0, 0, NO, NO, 10, NO, 9, 8,
            NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, 5, 5, 7, 5, 6, 7, 7, NO, 18, NO, 15, 13, NO, 17, 16,
            NO, NO, 14, NO, NO, NO, NO,
        ];
        for labels in ["v1.2", "v1.1"] {
            labels_map_to(version("mapillary", labels).unwrap(), "cityscapes-19", &of_66);
        }
        let second = version("mapillary", "v2.0").unwrap();
        let map = second.map(&set("cityscapes-19"));
        let of = |class: u8| map.iter().filter(|(_, to)| *to == class).map(|(value, _)| *value).collect::<Vec<u8>>();
        assert_eq!(of(0), [&[13, 14, 17, 18, 21, 23][..], &(35..=58).collect::<Vec<_>>()].concat());
        assert_eq!((of(1), of(5), of(6)), (vec![4, 15, 19, 24], vec![84, 85, 86, 88], (90..=95).collect()));
        assert_eq!(of(7), [&[87][..], &(96..=103).collect::<Vec<_>>()].concat());
        let single: Vec<Vec<u8>> = [2, 3, 4, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18].map(of).to_vec();
        let expected = [27, 12, 5, 64, 63, 61, 30, 108, 114, 107, 111, 110, 105].map(|value| vec![value]);
        assert_eq!((single, of(12)), (expected.to_vec(), vec![32, 33, 34]));
    }

    #[test]
    fn no_two_layouts_are_of_one_version_and_none_has_a_value_beyond_its_last() {
        let versions: HashSet<(&str, &str)> = PUBLISHED.iter().map(|layout| (layout.format, layout.version)).collect();
        assert_eq!(versions.len(), PUBLISHED.len());
        for layout in PUBLISHED {
            assert!(layout.values.iter().all(|(value, _)| *value <= layout.last), "{}", layout.format);
            let keys = FORMATS.iter().find(|format| format.name == layout.format).unwrap().keys;
            let labels = keys.iter().copied().flatten().find(|key| key.name == "labels");
            let choices = match labels.map(|key| key.value_type) {
                Some(ValueType::Choice(names)) => names,
                _ => &[""],
            };
            assert!(choices.contains(&layout.version), "{} has no key for {}", layout.format, layout.version);
            let default = labels.map_or(Presence::Optional, |key| key.presence);
            let first = published(layout.format).unwrap().version;
            assert!(default == Presence::Optional || default == Presence::Default(Literal::Text(first)));
        }
    }

    #[test]
    fn the_example_of_each_layout_is_an_image_with_its_label_in_the_place_of_its_files() {
        for layout in PUBLISHED {
            let selection = selection("val", &["night"]);
            let [image, label] = layout.files(Path::new("r"), &selection);
            let Place { images, labels, within, .. } = layout.place(Path::new("r"), &selection, None);
            let below = |file: &str, folder: &Path| {
                let name = Path::new(file).strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                assert!(within.iter().all(|part| name.starts_with(&format!("{part}/"))), "{file}");
                name
            };
            let (image, label) = (below(&image, &images), below(&label, &labels));
            assert_eq!(layout.naming.stem(&image), layout.naming.label_stem(&label), "{}", layout.format);
            assert!(layout.naming.is_label(&label) && layout.naming.stem(&image) != image, "{}", layout.format);
            assert_eq!(layout.naming.label_of(layout.naming.stem(&image)), label);
        }
    }

    #[test]
    fn a_place_has_the_folders_of_its_subsets_and_splits_by_the_names_of_the_data_set() {
        let place = |format: &str, part: &str, subsets: &[&str]| {
            let Place { images, labels, within, .. } =
                published(format).unwrap().place(Path::new("r"), &selection(part, subsets), None);
            format!("{} {} {}", images.display(), labels.display(), within.join(" "))
        };
        assert_eq!(place("acdc", "val", &["fog", "snow"]), "r/rgb_anon r/gt fog/val snow/val");
        assert_eq!(place("dark-zurich", "train", &["twilight"]), "r/rgb_anon r/gt train/twilight");
        assert_eq!(place("mapillary", "train", &[]), "r/training/images r/training/v1.2/labels ");
        assert_eq!(place("mapillary", "test", &[]), "r/testing/images r/testing/v1.2/labels ");
        assert_eq!(place("bdd100k", "val", &[]), "r/images/10k/val r/labels/sem_seg/masks/val ");
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
        let val = selection("val", &[]);
        let place = layout.place(Path::new("data/C"), &val, Some(Path::new("l.txt")));
        assert_eq!(place.images, Path::new("data/C/leftImg8bit/val"));
        assert_eq!(place.labels, Path::new("data/C/gtFine/val"));
        assert_eq!(place.list.as_deref(), Some(Path::new("l.txt")));
        let text = layout.expectation(Path::new("data/C"), &val);
        assert!(text.contains(" data/C/leftImg8bit/val/aachen/"), "{text}");
        assert!(text.contains("_gtFine_labelIds.png"), "{text}");
    }
}
