//! The samples of a data set, and reading them one at a time.
//!
//! Knows neither folders nor list files: the caller has matched images and labels. Knows no order, no batch and no network.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::decode::{Detail, Orientation, Reduced};
use super::kept::{Keep, Name};
use super::label::{Encoding, LabelMap};
use super::margins::{Inside, Margins};
use super::raster::{Index, Rgb};
use super::resize::{Filter, Scaling};
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
        /// How much of a JPEG is decoded, if a size is given.
        #[serde(default)]
        detail: Detail,
        /// Where decoded and resized samples are kept, if they are. Those of files whose content isn't known are not.
        #[serde(skip)]
        keep: Option<Keep>,
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
    detail: Detail,
    keep: Option<Kept>,
}

/// Where samples are kept, and what determines their pixels besides their files.
struct Kept {
    keep: Keep,
    images: Vec<u8>,
    labels: Vec<u8>,
}

/// Increment when an image or a label of a [`Recipe`] gets other pixels than before, but for the decoders, which have revisions of
/// their own.
const REVISION: u32 = 1;

/// What determines pixels besides the file's content, the size of a label, and the number of classes that it is checked for.
#[derive(Serialize)]
#[serde(tag = "of", rename_all = "kebab-case")]
enum Recipe<'a> {
    Image {
        revision: u32,
        jpeg: u32,
        webp: u32,
        size: Option<[usize; 2]>,
        scaling: Scaling,
        orientation: Orientation,
        detail: Detail,
    },
    Label {
        revision: u32,
        encoding: &'a Encoding,
        map: Option<&'a [u8]>,
        filter: Filter,
    },
}

impl Recipe<'_> {
    /// Text, of which none is the beginning of another.
    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a recipe is plain data")
    }
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
        let (scaling, margins, detail, keep) = match source {
            Source::Files { scaling, margins, detail, keep, .. } => (*scaling, *margins, *detail, keep.clone()),
            Source::Scenes { margins, .. } => (Scaling::default(), *margins, Detail::default(), None),
        };
        let mut reader =
            Self { entries, size, scaling, label_table, encoding, orientation, margins, detail, keep: None };
        reader.keep = keep.map(|keep| reader.kept_in(keep));
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

    fn kept_in(&self, keep: Keep) -> Kept {
        let image = Recipe::Image {
            revision: REVISION,
            jpeg: intrada_picture::JPEG_REVISION,
            webp: intrada_picture::WEBP_REVISION,
            size: self.size,
            scaling: self.scaling,
            orientation: self.orientation,
            detail: self.detail,
        };
        let map = self.label_table.as_ref().map(|table| &table[..]);
        let label = Recipe::Label { revision: REVISION, encoding: &self.encoding, map, filter: self.scaling.filter };
        Kept { keep, images: image.bytes(), labels: label.bytes() }
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
        Ok(Example { image, label: self.label_if(entry, labels)?, inside: None })
    }

    /// The label of a sample as stored, mapped to classes and checked. Its image is not opened.
    ///
    /// # Errors
    /// An error in its file (including [`DataError::Changed`]), [`DataError::NoLabel`], [`DataError::UnknownClass`].
    pub fn label(&self, sample: usize, classes: u8) -> Result<Index, DataError> {
        self.read_label(&self.entries[sample], classes)
    }

    /// A sample as stored, and its image at the size of the data set, as the network sees it; none if that is the stored one.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn read_and_resize(&self, sample: usize, labels: LabelUse) -> Result<(Example, Option<Rgb>), DataError> {
        let Picture::File(file) = &self.entries[sample].image else {
            let example = self.read(sample, labels)?;
            let resized = self.resized_unless_equal(&example.image);
            return Ok((example, resized));
        };
        let bytes = file.read()?;
        let image = decode::photograph_bytes(file.path(), &bytes, self.orientation)?;
        let is_as_stored = self.size.is_none_or(|size| self.scaling.size_of(image.size(), size) == image.size());
        let resized = (!is_as_stored).then(|| {
            self.kept_image(file, || match self.reduced(file, &bytes)? {
                Some(reduced) => Ok(reduced),
                None => Ok(self.resized_unless_equal(&image).unwrap_or_else(|| image.clone())),
            })
        });
        let resized = resized.transpose()?;
        let label = self.label_if(&self.entries[sample], labels)?;
        Ok((Example { image, label, inside: None }, resized))
    }

    /// The image of a sample at the size of the data set, and its label as stored: what the network sees, and what its prediction is
    /// compared with.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn read_seen(&self, sample: usize, labels: LabelUse) -> Result<Example, DataError> {
        let entry = &self.entries[sample];
        Ok(Example { image: self.image_at_size(entry)?, label: self.label_if(entry, labels)?, inside: None })
    }

    /// A sample at the size of the data set, with what its margins leave.
    ///
    /// # Errors
    /// As [`Reader::read`], [`DataError::SizeMismatch`] if no size is set and the label has another size than its image, and
    /// [`DataError::AllMargin`].
    pub fn read_resized(&self, sample: usize, labels: LabelUse) -> Result<Example, DataError> {
        let entry = &self.entries[sample];
        let image = self.image_at_size(entry)?;
        let size = image.size();
        let label = match labels {
            LabelUse::Ignored => None,
            // Both have one size, also if a label's own aspect ratio gives another in the box.
            LabelUse::Required { classes } => Some(self.label_at_size(entry, classes, self.size.map(|_| size))?),
        };
        if let Some(label) = label.as_ref().filter(|label| label.size() != size) {
            return Err(DataError::SizeMismatch {
                image: self.name(sample).to_owned(),
                image_size: size,
                label: entry.label_path(),
                label_size: label.size(),
            });
        }
        let inside = (!self.margins.is_none()).then(|| self.margins.inside(size)).map(|inside| {
            inside.ok_or_else(|| DataError::AllMargin {
                image: self.name(sample).to_owned(),
                size,
                margins: self.margins,
            })
        });
        Ok(Example { image, label, inside: inside.transpose()? })
    }

    fn image_at_size(&self, entry: &Entry) -> Result<Rgb, DataError> {
        let resized = |image: Rgb| self.resized_unless_equal(&image).unwrap_or(image);
        match &entry.image {
            Picture::Scene { style, seed, index } => Ok(resized(scenes::scene(*style, *seed, *index).0)),
            Picture::File(file) => self.kept_image(file, || {
                let bytes = file.read()?;
                match self.reduced(file, &bytes)? {
                    Some(reduced) => Ok(reduced),
                    None => decode::photograph_bytes(file.path(), &bytes, self.orientation).map(resized),
                }
            }),
        }
    }

    /// A file's image at the size of the data set, made of less than all of it; none if that isn't asked for or can't be.
    fn reduced(&self, file: &InputFile, bytes: &[u8]) -> Result<Option<Rgb>, DataError> {
        let (Some(size), Detail::Reduced) = (self.size, self.detail) else { return Ok(None) };
        let to = |whole| self.scaling.size_of(whole, size);
        let reduced = decode::reduced_bytes(file.path(), bytes, self.orientation, to)?;
        Ok(reduced.map(
            |Reduced { image, whole }| {
                if image.size() == to(whole) { image } else { self.scaling.photograph(&image, to(whole)) }
            },
        ))
    }

    /// The image of this file at the size of the data set, as kept; else as made, and kept from now on.
    fn kept_image(&self, file: &InputFile, make: impl FnOnce() -> Result<Rgb, DataError>) -> Result<Rgb, DataError> {
        match (&self.keep, file.content()) {
            (Some(kept), Some(content)) => kept.keep.get_or(kept.image(content), make),
            _ => make(),
        }
    }

    /// A label at this size, or as stored.
    fn label_at_size(&self, entry: &Entry, classes: u8, to: Option<[usize; 2]>) -> Result<Index, DataError> {
        let make = || {
            let label = self.read_label(entry, classes)?;
            Ok(match to {
                Some(to) if to != label.size() => self.scaling.map(&label, to),
                _ => label,
            })
        };
        match (&self.keep, &entry.label) {
            (Some(kept), Some(Picture::File(file))) => match file.content() {
                Some(content) => kept.keep.get_or(kept.label(content, classes, to), make),
                None => make(),
            },
            _ => make(),
        }
    }

    /// An image of the data set at the network's input size; none if it is of this size.
    fn resized_unless_equal(&self, image: &Rgb) -> Option<Rgb> {
        self.scaling.unless_equal(image, self.size?)
    }

    fn label_if(&self, entry: &Entry, labels: LabelUse) -> Result<Option<Index>, DataError> {
        match labels {
            LabelUse::Ignored => Ok(None),
            LabelUse::Required { classes } => self.read_label(entry, classes).map(Some),
        }
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

impl Kept {
    fn image(&self, content: [u8; 32]) -> Name {
        self.keep.name(&[&self.images[..], &content].concat())
    }

    /// A label is kept once its values are checked: for fewer classes, it would have to be again.
    fn label(&self, content: [u8; 32], classes: u8, to: Option<[usize; 2]>) -> Name {
        let to = to.unwrap_or_default().map(|side| (side as u64).to_le_bytes());
        self.keep.name(&[&self.labels[..], &content, &[classes], &to[0], &to[1]].concat())
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
    use crate::label::Otherwise;
    use crate::resize::{Filter, Fit};
    use crate::{encode, kept};

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
        let (encoding, orientation, margins, detail) = Default::default();
        Source::Files { samples, size, scaling, label_map, encoding, orientation, margins, detail, keep: None }
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

    /// The data set with these files' current content as the expected one, and its samples kept in `folder`.
    fn kept(folder: &Path, source: Source) -> (Source, Keep) {
        let keep = kept::tests::keep(folder);
        let known = |file: &InputFile| {
            let bytes = std::fs::read(file.path()).unwrap();
            InputFile::holding(file.path(), kept::tests::sum(&bytes), kept::tests::sum)
        };
        let Source::Files { samples, size, scaling, label_map, encoding, orientation, margins, detail, .. } = source
        else {
            panic!("files")
        };
        let sample =
            |sample: Sample| Sample { image: known(&sample.image), label: sample.label.as_ref().map(known), ..sample };
        let (samples, keep_here) = (samples.into_iter().map(sample).collect(), Some(keep.clone()));
        let keep_here = Source::Files {
            samples,
            size,
            scaling,
            label_map,
            encoding,
            orientation,
            margins,
            detail,
            keep: keep_here,
        };
        (keep_here, keep)
    }

    #[test]
    fn a_kept_sample_is_what_its_files_give_and_needs_them_no_more() {
        for (size, fit, filter) in [
            (Some([3, 2]), Fit::Exact, Filter::Bicubic),
            (Some([3, 2]), Fit::Exact, Filter::Bilinear),
            (Some([12, 9]), Fit::Box, Filter::Bicubic),
            (None, Fit::Exact, Filter::Bicubic),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let samples = vec![sample(folder.path(), "a", [4, 2], 7)];
            let plain = scaled(samples, size, Scaling { fit, filter });
            let expected = Reader::new(&plain).unwrap().read_resized(0, LABELS).unwrap();
            let (source, keep) = kept(folder.path(), plain);
            for (round, written) in [(0, 2), (1, 2)] {
                assert_eq!(Reader::new(&source).unwrap().read_resized(0, LABELS).unwrap(), expected);
                assert_eq!(keep.counts(), kept::Counts { read: 2 * round, written, damaged: 0 });
            }
            std::fs::remove_file(folder.path().join("a.png")).unwrap();
            std::fs::remove_file(folder.path().join("a-label.png")).unwrap();
            let reader = Reader::new(&source).unwrap();
            assert_eq!(reader.read_resized(0, LABELS).unwrap(), expected);
            assert_eq!(reader.read_seen(0, LabelUse::Ignored).unwrap().image, expected.image);
            // A label that was checked for other classes has to be checked again.
            assert!(reader.read_resized(0, LabelUse::Required { classes: 3 }).is_err());
        }
    }

    #[test]
    fn whatever_changes_pixels_changes_the_name_of_a_kept_sample() {
        let folder = tempfile::tempdir().unwrap();
        let base = || files(vec![sample(folder.path(), "a", [4, 2], 7)], Some([3, 2]));
        let vary = |change: fn(&mut Source)| {
            let mut source = base();
            change(&mut source);
            source
        };
        let sources = [
            base(),
            vary(|source| {
                if let Source::Files { size, .. } = source {
                    *size = Some([2, 2])
                }
            }),
            vary(|source| {
                if let Source::Files { size, .. } = source {
                    *size = None
                }
            }),
            vary(|source| {
                if let Source::Files { scaling, .. } = source {
                    scaling.fit = Fit::Box
                }
            }),
            vary(|source| {
                if let Source::Files { scaling, .. } = source {
                    scaling.filter = Filter::Bilinear
                }
            }),
            vary(|source| {
                if let Source::Files { orientation, .. } = source {
                    *orientation = Orientation::Apply
                }
            }),
            vary(|source| {
                if let Source::Files { detail, .. } = source {
                    *detail = Detail::Reduced
                }
            }),
        ];
        let (mut names, mut labels) = (Vec::new(), Vec::new());
        for source in sources {
            let (source, _) = kept(folder.path(), source);
            let reader = Reader::new(&source).unwrap();
            let kept = reader.keep.as_ref().unwrap();
            names.extend([kept.image([1; 32]), kept.image([2; 32])]);
            labels.push(kept.label([1; 32], 2, reader.size));
        }
        let distinct = |names: &[Name]| names.iter().enumerate().all(|(i, name)| !names[..i].contains(name));
        assert!(distinct(&names), "{names:?}");
        // Of a label: its size and whose nearest; how the image is made doesn't matter to it.
        assert!(distinct(&[labels[0], labels[1], labels[2], labels[4]]));
        assert!(labels[0] == labels[3] && labels[0] == labels[5] && labels[0] == labels[6]);
        let of = |change: fn(&mut Source)| {
            let (source, _) = kept(folder.path(), vary(change));
            Reader::new(&source).unwrap().keep.unwrap().label([1; 32], 2, Some([3, 2]))
        };
        let others = [
            labels[0],
            of(|source| {
                if let Source::Files { label_map, .. } = source {
                    *label_map = None
                }
            }),
            of(|source| {
                if let Source::Files { encoding, .. } = source {
                    *encoding = Encoding::Synthia16
                }
            }),
        ];
        assert!(distinct(&others), "{others:?}");
    }

    #[test]
    fn a_sample_of_which_no_content_is_known_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (mut source, keep) = kept(folder.path(), files(vec![sample(folder.path(), "a", [4, 2], 7)], Some([3, 2])));
        if let Source::Files { samples, .. } = &mut source {
            samples[0].label = Some(folder.path().join("a-label.png").into());
        }
        Reader::new(&source).unwrap().read_resized(0, LABELS).unwrap();
        assert_eq!(keep.counts().written, 1, "the image alone");
    }

    #[test]
    fn a_pass_takes_the_resized_image_from_where_a_training_kept_it() {
        let folder = tempfile::tempdir().unwrap();
        let plain = files(vec![sample(folder.path(), "a", [4, 2], 7)], Some([3, 2]));
        let (expected, resized) = Reader::new(&plain).unwrap().read_and_resize(0, LABELS).unwrap();
        let (source, keep) = kept(folder.path(), plain);
        let reader = Reader::new(&source).unwrap();
        reader.read_resized(0, LABELS).unwrap();
        assert_eq!(reader.read_and_resize(0, LABELS).unwrap(), (expected, resized.clone()));
        assert_eq!(keep.counts(), kept::Counts { read: 1, written: 2, damaged: 0 });
        let seen = reader.read_seen(0, LABELS).unwrap();
        assert_eq!((Some(seen.image), seen.label.unwrap().size()), (resized, [4, 2]), "a label is as stored");
    }

    #[test]
    fn a_reduced_jpeg_is_decoded_to_no_less_than_the_size_and_then_resized_to_that_of_the_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        let pixels = (0..120 * 60 * 3).map(|i| (i / 9 % 251) as u8).collect();
        std::fs::write(&path, encode::jpeg(&Rgb::new(120, 60, pixels))).unwrap();
        let reader = |size, fit, wanted: Detail| {
            let samples = vec![Sample { name: "a.jpg".into(), image: path.clone().into(), label: None }];
            let mut source = scaled(samples, Some(size), Scaling { fit, filter: Filter::Bicubic });
            if let Source::Files { detail, .. } = &mut source {
                *detail = wanted;
            }
            Reader::new(&source).unwrap()
        };
        let read = |reader: &Reader| reader.read_resized(0, LabelUse::Ignored).unwrap().image;
        for (size, fit) in [([60, 30], Fit::Exact), ([50, 20], Fit::Exact), ([31, 31], Fit::Box)] {
            let (full, reduced) = (reader(size, fit, Detail::Full), reader(size, fit, Detail::Reduced));
            let [whole, less] = [&full, &reduced].map(read);
            assert_eq!(whole.size(), less.size());
            assert!(whole != less, "{size:?}");
            let far = whole.bytes().iter().zip(less.bytes()).filter(|(a, b)| a.abs_diff(**b) > 40).count();
            assert!(far * 20 < whole.bytes().len(), "{far} of {}", whole.bytes().len());
            // A pass has the whole photograph for pictures, and the network sees the same as in a training.
            let (example, seen) = reduced.read_and_resize(0, LabelUse::Ignored).unwrap();
            assert_eq!((example.image.size(), seen), ([120, 60], Some(less)));
        }
        let [full, reduced] = [Detail::Full, Detail::Reduced].map(|detail| read(&reader([61, 30], Fit::Exact, detail)));
        assert_eq!(full, reduced, "half of it would be less than that");
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
