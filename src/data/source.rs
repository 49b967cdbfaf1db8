//! The samples of a data set, and reading them one at a time.
//!
//! Knows neither folders nor list files: the caller has matched images and labels. Knows no order, no batch and no network.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::decode::Orientation;
use super::label::{Encoding, LabelMap};
use super::margins::{Inside, Margins};
use super::raster::{Index, Rgb};
use super::resize::Scaling;
use super::scenes::{self, Style};
use super::{DataError, decode, label};
use crate::input_file::InputFile;

/// An image, with its label if there is one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Its name in scores, splits and predictions; may contain `/`.
    pub name: String,
    /// A photograph, in a format that [`intrada_picture`] reads.
    pub image: InputFile,
    /// A PNG file of class indices, or one of colours with a palette.
    #[serde(default)]
    pub label: Option<InputFile>,
}

/// Where the samples of a data set come from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "format", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Source {
    /// Image files.
    Files {
        /// In the order of the data set.
        samples: Vec<Sample>,
        /// Width and height to which images and labels are resized; as stored if not given.
        #[serde(default)]
        size: Option<[usize; 2]>,
        /// How they take that size.
        #[serde(default)]
        scaling: Scaling,
        /// From the values in the label files to classes.
        #[serde(default)]
        label_map: Option<LabelMap>,
        /// How the label files hold those values.
        #[serde(default)]
        encoding: Encoding,
        /// How the images' orientation tags are handled. Labels have none.
        #[serde(default)]
        orientation: Orientation,
        /// Pixels at the edges of the resized images that are outside, for the network.
        #[serde(default)]
        margins: Margins,
    },
    /// Synthetic scenes, see [`scenes`].
    Scenes {
        /// The domain.
        style: Style,
        /// Different seeds have different scenes.
        seed: u64,
        /// The index of the first scene.
        #[serde(default)]
        first: u64,
        /// Number of scenes.
        count: u64,
        /// Only these of them, by name and in this order.
        #[serde(default)]
        only: Option<Vec<String>>,
        /// A folder of index PNGs at [`map_file`] of each name, which replace the scenes' labels.
        #[serde(default)]
        labels: Option<PathBuf>,
        /// Like for files.
        #[serde(default)]
        size: Option<[usize; 2]>,
        /// Like for files.
        #[serde(default)]
        margins: Margins,
    },
}

/// Whether labels are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelUse {
    /// Each sample must have one, with values in `0..classes` or 255.
    Required {
        /// The number of classes.
        classes: u8,
    },
    /// No label file is opened, and none is needed. (The released code opens the target's labels without using them, so it
    /// can't be trained on a target without labels.)
    Ignored,
}

/// One sample's pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The photograph.
    pub image: Rgb,
    /// Class indices; none if labels are ignored.
    pub label: Option<Index>,
    /// What is inside the margins, once resized; none if the data set has none.
    pub inside: Option<Inside>,
}

/// A data set whose list has been checked. Files are opened only when read.
pub struct Reader {
    entries: Vec<Entry>,
    size: Option<[usize; 2]>,
    scaling: Scaling,
    label_table: Option<[u8; 256]>,
    encoding: Encoding,
    orientation: Orientation,
    margins: Margins,
}

struct Entry {
    name: String,
    image: Picture,
    label: Option<Picture>,
}

enum Picture {
    File(InputFile),
    Scene { style: Style, seed: u64, index: u64 },
}

impl Reader {
    /// Checks that there are samples, that no two have the same name or the same [`map_file`], that every requested scene
    /// exists, and that the label map is consistent.
    ///
    /// # Errors
    /// [`DataError::Settings`], [`DataError::BadName`], [`DataError::NameClash`].
    pub fn new(source: &Source) -> Result<Self, DataError> {
        let (entries, size, label_map, encoding, orientation) = match source {
            Source::Files { samples, size, label_map, encoding, orientation, .. } => (
                samples.iter().map(Entry::of_files).collect(),
                *size,
                label_map.as_ref(),
                encoding.clone(),
                *orientation,
            ),
            Source::Scenes { size, .. } => (scene_entries(source)?, *size, None, Encoding::Index, Orientation::Ignore),
        };
        if size.is_some_and(|size| size.contains(&0)) {
            return Err(DataError::Settings(format!("a size of {size:?} holds no pixel")));
        }
        let label_table = label_map.map(LabelMap::table).transpose()?;
        let (scaling, margins) = match source {
            Source::Files { scaling, margins, .. } => (*scaling, *margins),
            Source::Scenes { margins, .. } => (Scaling::default(), *margins),
        };
        let reader = Self { entries, size, scaling, label_table, encoding, orientation, margins };
        if reader.entries.is_empty() {
            return Err(DataError::Settings("a data set without samples".to_owned()));
        }
        map_files(reader.entries.iter().map(|entry| entry.name.as_str()))?;
        Ok(reader)
    }

    /// The number of samples, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a data set without samples is refused when it is opened")]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The name of a sample.
    pub fn name(&self, sample: usize) -> &str {
        &self.entries[sample].name
    }

    /// A sample as stored; the label is mapped to classes and checked.
    ///
    /// # Errors
    /// An error in its files (including [`DataError::Changed`]), [`DataError::NoLabel`], [`DataError::UnknownClass`].
    pub fn read(&self, sample: usize, labels: LabelUse) -> Result<Example, DataError> {
        let entry = &self.entries[sample];
        let image = match &entry.image {
            Picture::File(file) => decode::photograph_bytes(file.path(), &file.read()?, self.orientation)?,
            Picture::Scene { style, seed, index } => scenes::scene(*style, *seed, *index).0,
        };
        let label = match labels {
            LabelUse::Ignored => None,
            LabelUse::Required { classes } => Some(self.read_label(entry, classes)?),
        };
        Ok(Example { image, label, inside: None })
    }

    /// The label of a sample as stored, mapped to classes and checked. Its image is not opened.
    ///
    /// # Errors
    /// An error in its file (including [`DataError::Changed`]), [`DataError::NoLabel`], [`DataError::UnknownClass`].
    pub fn label(&self, sample: usize, classes: u8) -> Result<Index, DataError> {
        self.read_label(&self.entries[sample], classes)
    }

    /// A sample at the size of the data set, with what its margins leave.
    ///
    /// # Errors
    /// As [`Reader::read`], [`DataError::SizeMismatch`] if no size is set and the label has another size than its image, and
    /// [`DataError::AllMargin`].
    pub fn read_resized(&self, sample: usize, labels: LabelUse) -> Result<Example, DataError> {
        let example = self.at_size(sample, self.read(sample, labels)?)?;
        let size = example.image.size();
        let inside = (!self.margins.is_none()).then(|| self.margins.inside(size)).map(|inside| {
            inside.ok_or_else(|| DataError::AllMargin {
                image: self.name(sample).to_owned(),
                size,
                margins: self.margins,
            })
        });
        Ok(Example { inside: inside.transpose()?, ..example })
    }

    fn at_size(&self, sample: usize, example: Example) -> Result<Example, DataError> {
        let Example { image, label, inside } = example;
        let mismatch = label.as_ref().filter(|label| label.size() != image.size());
        match (self.size, mismatch) {
            (Some(_), _) => {
                let image = self.resized_unless_equal(&image).unwrap_or(image);
                // Both have one size, also if a label's own aspect ratio gives another in the box.
                let label = label.map(|label| self.resized_label(label, image.size()));
                Ok(Example { image, label, inside })
            }
            (None, None) => Ok(Example { image, label, inside }),
            (None, Some(label)) => Err(DataError::SizeMismatch {
                image: self.name(sample).to_owned(),
                image_size: image.size(),
                label: self.entries[sample].label_path(),
                label_size: label.size(),
            }),
        }
    }

    /// An image of the data set at the network's input size; none if it is of this size.
    pub fn resized_unless_equal(&self, image: &Rgb) -> Option<Rgb> {
        self.scaling.unless_equal(image, self.size?)
    }

    fn resized_label(&self, label: Index, to: [usize; 2]) -> Index {
        if label.size() == to { label } else { self.scaling.map(&label, to) }
    }

    fn read_label(&self, entry: &Entry, classes: u8) -> Result<Index, DataError> {
        let mut map = match &entry.label {
            None => return Err(DataError::NoLabel { image: entry.name.clone() }),
            Some(Picture::File(file)) => decode::label_in(file.path(), &file.read()?, &self.encoding)?,
            Some(Picture::Scene { style, seed, index }) => scenes::scene(*style, *seed, *index).1,
        };
        if let Some(table) = &self.label_table {
            for value in map.bytes_mut() {
                *value = table[usize::from(*value)];
            }
        }
        label::check(&entry.label_path(), &map, classes)?;
        Ok(map)
    }
}

impl Entry {
    fn of_files(sample: &Sample) -> Self {
        let file = |file: &InputFile| Picture::File(file.clone());
        Self { name: sample.name.clone(), image: file(&sample.image), label: sample.label.as_ref().map(file) }
    }

    /// The label's name in messages.
    fn label_path(&self) -> PathBuf {
        match &self.label {
            Some(Picture::File(file)) => file.path().to_owned(),
            _ => PathBuf::from(&self.name),
        }
    }
}

fn scene_entries(source: &Source) -> Result<Vec<Entry>, DataError> {
    let Source::Scenes { style, seed, first, count, only, labels, .. } = source else {
        unreachable!("called for scenes");
    };
    let end =
        first.checked_add(*count).ok_or_else(|| DataError::Settings(format!("no {count} scenes from {first} on")))?;
    let entry = |name: &str, index: u64| -> Result<Entry, DataError> {
        let scene = || Picture::Scene { style: *style, seed: *seed, index };
        let label = match labels {
            Some(folder) => Picture::File(folder.join(map_file(name)?).into()),
            None => scene(),
        };
        Ok(Entry { name: name.to_owned(), image: scene(), label: Some(label) })
    };
    match only {
        None => (*first..end).map(|index| entry(&scenes::name(index), index)).collect(),
        Some(names) => {
            let indices: HashMap<String, u64> = (*first..end).map(|index| (scenes::name(index), index)).collect();
            let index = |name: &String| {
                let reason = "it is not one of the data set's scenes";
                indices.get(name).copied().ok_or_else(|| DataError::BadName { name: name.clone(), reason })
            };
            names.iter().map(|name| entry(name, index(name)?)).collect()
        }
    }
}

/// The path of an image's map (prediction, entropy, pseudo-label) relative to a folder of maps: its name, with an image
/// extension replaced by `.png`.
///
/// # Errors
/// [`DataError::BadName`] for names that would leave the folder or that no list of names could hold.
pub fn map_file(name: &str) -> Result<PathBuf, DataError> {
    let refuse = |reason| Err(DataError::BadName { name: name.to_owned(), reason });
    if name.is_empty() {
        return refuse("it is empty");
    }
    if name.contains(['\n', '\r']) {
        return refuse("it holds a line break, and lists have one name per line");
    }
    if name.trim() != name {
        return refuse("it begins or ends with a blank");
    }
    if name.split(['/', '\\']).any(|part| ["", ".", ".."].contains(&part)) {
        return refuse("it is not a relative path");
    }
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    let is_image = intrada_picture::ENDINGS.contains(&ending.to_ascii_lowercase().as_str());
    Ok(Path::new(&format!("{}.png", if is_image { stem } else { name })).to_owned())
}

/// [`map_file`] of each name; no two may have the same.
///
/// # Errors
/// [`DataError::BadName`], [`DataError::NameClash`].
pub fn map_files<'a>(names: impl Iterator<Item = &'a str>) -> Result<Vec<PathBuf>, DataError> {
    let mut taken = HashMap::new();
    let mut files = Vec::new();
    for name in names {
        let file = map_file(name)?;
        if let Some(first) = taken.insert(file.clone(), name) {
            return Err(DataError::NameClash { first: first.to_owned(), second: name.to_owned(), file });
        }
        files.push(file);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode;
    use crate::label::Otherwise;
    use crate::resize::{Filter, Fit};

    fn scenes_of(count: u64, only: Option<Vec<String>>, labels: Option<PathBuf>) -> Source {
        Source::Scenes {
            style: Style::Target,
            seed: 3,
            first: 10,
            count,
            only,
            labels,
            size: None,
            margins: Margins::default(),
        }
    }

    fn files(samples: Vec<Sample>, size: Option<[usize; 2]>) -> Source {
        scaled(samples, size, Scaling::default())
    }

    fn scaled(samples: Vec<Sample>, size: Option<[usize; 2]>, scaling: Scaling) -> Source {
        let label_map = Some(LabelMap { pairs: vec![(7, 0), (8, 1)], otherwise: Otherwise::Keep });
        let (encoding, orientation, margins) = Default::default();
        Source::Files { samples, size, scaling, label_map, encoding, orientation, margins }
    }

    /// A sample of a 4×2 image and a label of which every pixel is `value`.
    fn sample(folder: &Path, name: &str, label_size: [usize; 2], value: u8) -> Sample {
        let (image, label) = (folder.join(format!("{name}.png")), folder.join(format!("{name}-label.png")));
        encode::write(&image, &encode::rgb_png(&Rgb::filled(4, 2, [9, 8, 7]))).unwrap();
        encode::write(&label, &encode::grey_png(&Index::filled(label_size[0], label_size[1], [value]))).unwrap();
        Sample { name: name.to_owned(), image: image.into(), label: Some(label.into()) }
    }

    const LABELS: LabelUse = LabelUse::Required { classes: 2 };

    #[test]
    fn labels_are_mapped_before_they_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        let samples = vec![sample(folder.path(), "a", [4, 2], 8), sample(folder.path(), "b", [4, 2], 5)];
        let reader = Reader::new(&files(samples, None)).unwrap();
        assert_eq!(reader.read(0, LABELS).unwrap().label, Some(Index::filled(4, 2, [1])));
        assert!(matches!(reader.read(1, LABELS), Err(DataError::UnknownClass { value: 5, pixels: 8, .. })));
        assert_eq!(reader.read(1, LabelUse::Ignored).unwrap().label, None);
    }

    #[test]
    fn a_label_of_another_size_is_an_error_unless_a_size_is_set() {
        let folder = tempfile::tempdir().unwrap();
        let samples = vec![sample(folder.path(), "a", [8, 4], 7)];
        let error =
            Reader::new(&files(samples.clone(), None)).unwrap().read_resized(0, LABELS).unwrap_err().to_string();
        assert!(error.contains("image a is 4x2") && error.contains("a-label.png is 8x4"), "{error}");
        let example = Reader::new(&files(samples, Some([6, 3]))).unwrap().read_resized(0, LABELS).unwrap();
        assert_eq!((example.image.size(), example.label.unwrap().size()), ([6, 3], [6, 3]));
    }

    #[test]
    fn in_a_box_an_image_keeps_its_aspect_ratio_and_its_label_has_the_size_of_the_image() {
        let folder = tempfile::tempdir().unwrap();
        for filter in [Filter::Bicubic, Filter::Bilinear] {
            let scaling = Scaling { fit: Fit::Box, filter };
            // A label of another aspect ratio, too.
            for label in [[4, 2], [8, 4], [4, 4]] {
                let samples = vec![sample(folder.path(), "a", label, 7)];
                let reader = Reader::new(&scaled(samples, Some([12, 9]), scaling)).unwrap();
                let Example { image, label, .. } = reader.read_resized(0, LABELS).unwrap();
                assert_eq!((image, label), (Rgb::filled(12, 6, [9, 8, 7]), Some(Index::filled(12, 6, [0]))));
            }
        }
    }

    #[test]
    fn labels_are_resized_by_the_rule_of_the_filter() {
        let map = Index::new(4, 1, vec![0, 1, 2, 3]);
        let half = |filter| Scaling { fit: Fit::Exact, filter }.map(&map, [2, 1]).bytes().to_vec();
        assert_eq!((half(Filter::Bicubic), half(Filter::Bilinear)), (vec![1, 3], vec![0, 2]));
    }

    #[test]
    fn a_missing_label_is_an_error_only_where_labels_are_used() {
        let folder = tempfile::tempdir().unwrap();
        let unlabelled = Sample { label: None, ..sample(folder.path(), "a", [4, 2], 7) };
        let reader = Reader::new(&files(vec![unlabelled], None)).unwrap();
        assert!(matches!(reader.read(0, LABELS), Err(DataError::NoLabel { image }) if image == "a"));
        assert!(reader.read(0, LabelUse::Ignored).is_ok());
    }

    #[test]
    fn scenes_can_be_chosen_by_name_and_labelled_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let label = Index::filled(scenes::WIDTH, scenes::HEIGHT, [1]);
        encode::write(&folder.path().join("scene-00011.png"), &encode::grey_png(&label)).unwrap();
        let only = Some(vec!["scene-00011".to_owned()]);
        let reader = Reader::new(&scenes_of(3, only, Some(folder.path().to_owned()))).unwrap();
        assert_eq!((reader.len(), reader.name(0)), (1, "scene-00011"));
        let example = reader.read_resized(0, LABELS).unwrap();
        assert_eq!(example, Example { image: scenes::scene(Style::Target, 3, 11).0, label: Some(label), inside: None });
        let error = Reader::new(&scenes_of(1, Some(vec!["scene-00011".to_owned()]), None)).err().unwrap();
        assert!(error.to_string().contains("not one of the data set's scenes"), "{error}");
    }

    #[test]
    fn an_empty_data_set_and_a_size_of_nothing_are_refused() {
        assert!(matches!(Reader::new(&files(vec![], None)), Err(DataError::Settings(_))));
        let folder = tempfile::tempdir().unwrap();
        let samples = vec![sample(folder.path(), "a", [4, 2], 7)];
        assert!(matches!(Reader::new(&files(samples, Some([4, 0]))), Err(DataError::Settings(_))));
    }

    #[test]
    fn a_map_lies_at_the_name_of_its_image() {
        assert_eq!(map_file("aachen/a_leftImg8bit.png").unwrap(), Path::new("aachen/a_leftImg8bit.png"));
        assert_eq!(map_file("x.JPG").unwrap(), Path::new("x.png"));
        assert_eq!(map_file("x.y.webp").unwrap(), Path::new("x.y.png"));
        assert_eq!(map_file("frame.0001").unwrap(), Path::new("frame.0001.png"));
        for bad in ["", "../x.png", "/etc/x", "a//b", "a/./b", "a\\..\\b", "two\nlines", " x"] {
            assert!(matches!(map_file(bad), Err(DataError::BadName { .. })), "{bad:?}");
        }
    }

    #[test]
    fn two_names_with_the_same_map_are_refused() {
        let error = map_files(["a.png", "b.png", "a.jpg"].into_iter()).unwrap_err().to_string();
        assert!(error.contains("\"a.png\" and \"a.jpg\""), "{error}");
    }

    #[test]
    fn a_source_is_told_by_its_format() {
        let source: Source = serde_json::from_str(
            r#"{"format":"files","samples":[{"name":"a","image":"i.png"}],"size":[8,4],"label_map":{"pairs":[[7,0]]}}"#,
        )
        .unwrap();
        let Source::Files { samples, size, label_map, encoding, orientation: Orientation::Ignore, .. } = source else {
            panic!("files")
        };
        assert_eq!((samples[0].label.as_ref(), size, encoding), (None, Some([8, 4]), Encoding::Index));
        assert_eq!(label_map.unwrap().otherwise, Otherwise::Ignore);
        let source: Source =
            serde_json::from_str(r#"{"format":"scenes","style":"target","seed":3,"first":10,"count":2}"#).unwrap();
        assert_eq!(source, scenes_of(2, None, None));
        assert!(serde_json::from_str::<Source>(r#"{"format":"scenes","style":"target","seed":3,"number":2}"#).is_err());
    }
}
