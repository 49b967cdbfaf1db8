//! How many pixels of each class the labels of a data set have: counted once, used by rare class sampling.
//!
//! Counted in the labels as stored, at their full size and after the label map, as in the released code. Knows no sampling.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::DataError;
use super::label::IGNORE;
use super::prefetch::Prefetch;
use super::raster::Index;
use super::source::{Reader, Source, map_file};

/// The pixels of one label, or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Pixels by class.
    pub pixels: Vec<u64>,
    /// Pixels without a class (255).
    pub ignored: u64,
}

impl Counts {
    /// Those of a label with values in `0..classes` and 255.
    pub fn of(label: &Index, classes: u8) -> Counts {
        Counts::at(label, [0, 0], label.size(), classes)
    }

    /// Those of a part of it: its corner and its size, width and height.
    ///
    /// # Panics
    /// If the label doesn't have all of that part.
    pub fn at(label: &Index, [left, top]: [usize; 2], [width, height]: [usize; 2], classes: u8) -> Counts {
        let mut values = [0u64; 256];
        for row in label.rows().skip(top).take(height) {
            for [value] in &row[left..left + width] {
                values[usize::from(*value)] += 1;
            }
        }
        Counts { pixels: values[..usize::from(classes)].to_vec(), ignored: values[usize::from(IGNORE)] }
    }

    /// Pixels with a class.
    pub fn labelled(&self) -> u64 {
        self.pixels.iter().sum()
    }

    /// The sum of these, of that many classes.
    pub fn sum<'a>(all: impl Iterator<Item = &'a Counts>, classes: usize) -> Counts {
        let mut sum = Counts { pixels: vec![0; classes], ignored: 0 };
        for counts in all {
            sum.pixels.iter_mut().zip(&counts.pixels).for_each(|(sum, pixels)| *sum += pixels);
            sum.ignored += counts.ignored;
        }
        sum
    }
}

/// The labels of these samples of a data set, counted by threads: names and counts, in this order. No image is opened.
///
/// # Errors
/// As [`Reader::new`]; each count, as [`Reader::label`].
pub fn count(
    source: &Source,
    samples: Vec<usize>,
    classes: u8,
    threads: NonZeroUsize,
) -> Result<impl Iterator<Item = Result<(String, Counts), DataError>>, DataError> {
    let reader = Reader::new(source)?;
    let range = 0..samples.len() as u64;
    Ok(Prefetch::start(range, threads, threads.saturating_add(1), move |place| {
        let sample = samples[place as usize];
        let label = reader.label(sample, classes)?;
        Ok((reader.name(sample).to_owned(), Counts::of(&label, classes)))
    }))
}

/// The counts of a data set: the content of `class_counts.jsonl`.
///
/// A line of JSON with `images` (their number), `pixels` by class and `ignored` of all of them, then a line for each image with
/// `image` (its name), `pixels` and `ignored`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Of all images.
    pub total: Counts,
    /// By image, in the order of the data set.
    pub images: Vec<(String, Counts)>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    images: usize,
    #[serde(flatten)]
    total: Counts,
}

#[derive(Serialize, Deserialize)]
struct Line {
    image: String,
    #[serde(flatten)]
    counts: Counts,
}

impl Statistics {
    /// Adds up the counts of images.
    pub fn new(images: Vec<(String, Counts)>, classes: u8) -> Statistics {
        let total = Counts::sum(images.iter().map(|(_, counts)| counts), usize::from(classes));
        Statistics { total, images }
    }

    /// The file.
    pub fn text(&self) -> String {
        fn line(value: &impl Serialize) -> String {
            serde_json::to_string(value).expect("counts are plain data") + "\n"
        }
        let head = Head { images: self.images.len(), total: self.total.clone() };
        let images = self.images.iter();
        let images = images.map(|(image, counts)| line(&Line { image: image.clone(), counts: counts.clone() }));
        line(&head) + &images.collect::<String>()
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`DataError::Io`]; [`DataError::Decode`] if it isn't such a file, or isn't whole.
    pub fn read(path: &Path) -> Result<Statistics, DataError> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| DataError::Io { verb: "read", path: path.to_owned(), source })?;
        let wrong = |reason: String| DataError::Decode { path: path.to_owned(), reason };
        let mut lines = text.lines();
        let head = lines.next().unwrap_or_default();
        let head: Head = serde_json::from_str(head).map_err(|error| wrong(error.to_string()))?;
        let image = |line| serde_json::from_str(line).map(|Line { image, counts }| (image, counts));
        let images: Vec<_> = lines.map(image).collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
        let total = Counts::sum(images.iter().map(|(_, counts)| counts), head.total.pixels.len());
        if images.len() != head.images || total != head.total {
            return Err(wrong("its lines don't add up to its first one".to_owned()));
        }
        Ok(Statistics { total, images })
    }

    /// The counts of each sample of a data set, in its order. Samples are known by their [`map_file`], so that pseudo-labels,
    /// which are files of that name, serve as well. `Err`: the first sample that hasn't been counted.
    ///
    /// # Errors
    /// See above.
    pub fn of_samples(&self, reader: &Reader) -> Result<Vec<Counts>, String> {
        let file = |name: &str| map_file(name).unwrap_or_else(|_| PathBuf::from(name));
        let by_file: HashMap<PathBuf, &Counts> =
            self.images.iter().map(|(image, counts)| (file(image), counts)).collect();
        let names = (0..reader.len()).map(|sample| reader.name(sample));
        names.map(|name| by_file.get(&file(name)).copied().cloned().ok_or_else(|| name.to_owned())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::margins::Margins;
    use crate::scenes::{self, Style};

    fn scenes(count: u64) -> Source {
        let (style, size) = (Style::Source, Some([16, 8]));
        Source::Scenes { style, seed: 1, first: 0, count, only: None, labels: None, size, margins: Margins::default() }
    }

    fn counted(source: &Source, samples: Vec<usize>, threads: usize) -> Vec<(String, Counts)> {
        let threads = NonZeroUsize::new(threads).unwrap();
        count(source, samples, 8, threads).unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn each_pixel_is_counted_once_at_the_labels_own_size_whatever_the_threads() {
        let all = counted(&scenes(3), vec![0, 1, 2], 1);
        assert_eq!(all, counted(&scenes(3), vec![0, 1, 2], 3));
        assert_eq!(all[1..2], counted(&scenes(3), vec![1], 1));
        for (_, counts) in &all {
            assert_eq!(counts.labelled() + counts.ignored, (scenes::WIDTH * scenes::HEIGHT) as u64);
        }
    }

    #[test]
    fn a_part_has_only_its_own_pixels_and_ignored_ones_are_of_no_class() {
        let label = Index::new(3, 2, vec![0, 1, 255, 1, 1, 0]);
        assert_eq!(Counts::of(&label, 2), Counts { pixels: vec![2, 3], ignored: 1 });
        assert_eq!(Counts::at(&label, [1, 0], [2, 1], 2), Counts { pixels: vec![0, 1], ignored: 1 });
    }

    #[test]
    fn the_file_reads_back_and_a_cut_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("class_counts.jsonl");
        let statistics = Statistics::new(counted(&scenes(2), vec![0, 1], 1), 8);
        std::fs::write(&path, statistics.text()).unwrap();
        assert_eq!(Statistics::read(&path).unwrap(), statistics);
        let text = statistics.text();
        std::fs::write(&path, &text[..=text.trim_end().rfind('\n').unwrap()]).unwrap();
        assert!(matches!(Statistics::read(&path), Err(DataError::Decode { .. })));
    }

    #[test]
    fn samples_are_found_by_the_name_of_their_map() {
        let counts = Counts { pixels: vec![1, 2], ignored: 0 };
        let statistics = Statistics::new(vec![("scene-00001.png".to_owned(), counts.clone())], 2);
        let reader = |name: &str| {
            let only = Some(vec![name.to_owned()]);
            let source = Source::Scenes {
                style: Style::Source,
                seed: 1,
                first: 0,
                count: 3,
                only,
                labels: None,
                size: None,
                margins: Margins::default(),
            };
            Reader::new(&source).unwrap()
        };
        assert_eq!(statistics.of_samples(&reader("scene-00001")), Ok(vec![counts]));
        assert_eq!(statistics.of_samples(&reader("scene-00002")), Err("scene-00002".to_owned()));
    }
}
