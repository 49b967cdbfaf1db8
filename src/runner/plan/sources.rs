//! What the things outside the graph turn out to be: data sets and paths → digests.
//!
//! Knows how to look, not when. Here a data set's mistakes (a folder that isn't there, a label outside the classes) become
//! problems at the line of the pipeline file that brought them in, before anything has run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};

use crate::dataset::{self, DatasetError, labels};
use crate::digest::{ArtifactDigest, Encoder, FileDigest};
use crate::exec::job;
use crate::inputs::{self, Inputs};
use crate::spec::{Dataset, DatasetId, FolderSpans, Format, Pipeline, Problem, Span, StageId};
use crate::store::Kind;
use crate::store::index::LabelValues;

use super::explain::Files;
use super::manifest::Ingredient;

/// Changes when the painter of scenes paints other pictures for the same parameters.
const SCENES_REVISION: u32 = 1;
/// So many label files with mistakes are named; the others are counted.
const FILES_NAMED: usize = 5;

/// A thing outside the graph that stages read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A data set, with or without its labels: a target's labels must not invalidate anything.
    Dataset {
        /// Which.
        dataset: DatasetId,
        /// Whether its labels are read.
        labels: bool,
    },
    /// A file or folder.
    Path(PathBuf),
}

/// What it turned out to be.
#[derive(Clone, Debug)]
pub struct Found {
    /// For the manifests.
    pub ingredient: Ingredient,
    /// For the jobs.
    pub content: Content,
    /// The object that [`Ingredient::listing`] names.
    pub listing: Option<Vec<u8>>,
}

/// What a job gets of it.
#[derive(Clone, Debug)]
pub enum Content {
    /// An explicit list.
    Dataset(job::Dataset),
    /// An absolute path.
    Path(PathBuf),
}

impl Found {
    /// Its files with their contents in short.
    pub fn files(&self) -> Option<Files> {
        files_of_listing(self.listing.as_deref()?)
    }
}

/// Looks at sources.
pub struct Surveyor<'a> {
    /// For names, classes and places in the text.
    pub pipeline: &'a Pipeline,
    /// The files.
    pub inputs: &'a Inputs,
}

impl Surveyor<'_> {
    /// Finds out what `origin` is. `readers`: the stages that read it and where each says so.
    ///
    /// # Errors
    /// What is wrong with it, each with the line that brought it in.
    pub fn look(&self, origin: &Origin, readers: &[(StageId, Span)]) -> Result<Found, Vec<Problem>> {
        match origin {
            Origin::Path(path) => self.path(path, readers).map_err(|problem| vec![problem]),
            Origin::Dataset { dataset, labels } => {
                let dataset = self.pipeline.dataset(*dataset);
                match &dataset.format {
                    Format::Scenes { style, part, seed, count, size } => {
                        let scenes = job::Dataset::Scenes {
                            style: style.clone(),
                            part: part.clone(),
                            seed: *seed,
                            count: *count,
                            size: *size,
                        };
                        Ok(scenes_found(dataset, scenes))
                    }
                    Format::Folder { .. } => self.folder(dataset, *labels, readers),
                }
            }
        }
    }

    fn path(&self, path: &Path, readers: &[(StageId, Span)]) -> Result<Found, Problem> {
        let span = readers.first().map_or(Span::FILE, |(_, span)| *span);
        let artifact = self.inputs.artifact(path).map_err(|error| input_problem(&error, span))?;
        let what = path.display().to_string();
        let content = Content::Path(self.pipeline.root.join(path));
        let digest = artifact.digest();
        let listing = match artifact.kind {
            Kind::File { .. } => None,
            Kind::Folder => Some(self.listing_of_folder(path).map_err(|error| input_problem(&error, span))?),
        };
        let ingredient = Ingredient { digest, what, listing: listing.as_deref().map(object_of) };
        Ok(Found { ingredient, content, listing })
    }

    /// The files of a source folder by name. They have just been looked at, so none is read again.
    fn listing_of_folder(&self, folder: &Path) -> Result<Vec<u8>, inputs::Error> {
        let files = self.inputs.files_of(folder)?;
        let lines = files.iter().map(|(path, digest)| (path.to_string_lossy().into_owned(), digest.to_string()));
        Ok(listing(lines))
    }

    fn folder(&self, dataset: &Dataset, labels: bool, readers: &[(StageId, Span)]) -> Result<Found, Vec<Problem>> {
        let Format::Folder { images, labels: labels_folder, list, spans, .. } = &dataset.format else {
            unreachable!("the caller has matched the format");
        };
        let folder = dataset::Folder { images: images.clone(), labels: labels_folder.clone(), list: list.clone() };
        let samples = dataset::list_folder(&self.pipeline.root, &folder, labels)
            .map_err(|error| vec![self.dataset_problem(dataset, spans, &error, readers)])?;
        let images: Vec<PathBuf> = samples.iter().map(|sample| sample.image.clone()).collect();
        let label_files: Vec<PathBuf> =
            samples.iter().filter(|_| labels).filter_map(|sample| sample.label.clone()).collect();
        let digests = |paths: &[PathBuf], span| {
            self.inputs.digest_files(paths).map_err(|error| vec![input_problem(&error, span)])
        };
        let (image_digests, label_digests) = (digests(&images, spans.images)?, digests(&label_files, spans.labels)?);
        self.check_labels(dataset, &label_files, &label_digests, readers)?;

        let mut encoder = Encoder::new("intrada/data set/1");
        encoder.field("format", b"files").field("size", &encode_size(dataset.size));
        encode_map(&mut encoder, if labels { &dataset.map } else { &[] });
        encoder.list("samples", samples.len());
        let mut lines = Vec::new();
        for (i, sample) in samples.iter().enumerate() {
            encoder.field("name", sample.name.as_bytes()).field("image", image_digests[i].0.as_bytes());
            lines.push((sample.name.clone(), image_digests[i].to_string()));
            if let Some(digest) = label_digests.get(i) {
                encoder.field("label", digest.0.as_bytes());
                lines.push((format!("label of {}", sample.name), digest.to_string()));
            }
        }
        let listing = listing(lines.into_iter());
        let absolute = |path: &Path| self.pipeline.root.join(path);
        let samples = samples.into_iter().map(|sample| job::Sample {
            name: sample.name,
            image: absolute(&sample.image),
            label: sample.label.filter(|_| labels).map(|label| absolute(&label)),
        });
        let content = job::Dataset::Files { samples: samples.collect(), size: dataset.size, map: dataset.map.clone() };
        let ingredient = Ingredient {
            digest: ArtifactDigest(encoder.finish()),
            what: format!("data set {}", dataset.name),
            listing: Some(object_of(&listing)),
        };
        Ok(Found { ingredient, content: Content::Dataset(content), listing: Some(listing) })
    }

    /// Which values the labels hold is noted in the index, so that each label is decoded once.
    fn check_labels(
        &self,
        dataset: &Dataset,
        files: &[PathBuf],
        digests: &[FileDigest],
        readers: &[(StageId, Span)],
    ) -> Result<(), Vec<Problem>> {
        let classes = self.pipeline.classes.len();
        let map = &dataset.map;
        let wrong: Vec<labels::LabelError> = files
            .par_iter()
            .zip(digests)
            .filter_map(|(file, digest)| {
                let path = self.pipeline.root.join(file);
                let known = self.inputs.label_values(file).ok().flatten();
                let values = match known {
                    Some(values) => values,
                    None => match labels::values(&path) {
                        Ok(values) => {
                            let values = LabelValues(values);
                            self.inputs.note_label_values(file, *digest, values);
                            values
                        }
                        Err(error) => return Some(error),
                    },
                };
                let is_wrong = present(values)
                    .any(|value| mapped(map, value) != 255 && usize::from(mapped(map, value)) >= classes);
                if is_wrong { labels::check(&path, classes, map).err() } else { None }
            })
            .collect();
        if wrong.is_empty() {
            return Ok(());
        }
        let mut problems: Vec<Problem> = wrong
            .iter()
            .take(FILES_NAMED)
            .map(|error| {
                let problem = Problem::error(error.to_string()).at(dataset.span, "this data set");
                self.read_by(problem, readers)
                    .help("`map = { 34 = 255 }` in the data set replaces values; 255 is ignored")
            })
            .collect();
        if wrong.len() > FILES_NAMED {
            let rest = wrong.len() - FILES_NAMED;
            problems.push(Problem::error(format!("{rest} more labels are wrong")).at(dataset.span, "this data set"));
        }
        Err(problems)
    }

    fn dataset_problem(
        &self,
        dataset: &Dataset,
        spans: &FolderSpans,
        error: &DatasetError,
        readers: &[(StageId, Span)],
    ) -> Problem {
        let span = match error.concerns() {
            dataset::Concerns::Images => spans.images,
            dataset::Concerns::Labels => spans.labels,
            dataset::Concerns::List => spans.list,
        };
        let problem = Problem::error(error.to_string()).at(span, format!("data set `{}`", dataset.name));
        self.read_by(problem, readers)
    }

    fn read_by(&self, problem: Problem, readers: &[(StageId, Span)]) -> Problem {
        let names: BTreeSet<&str> =
            readers.iter().map(|(stage, _)| self.pipeline.stage(*stage).name.as_str()).collect();
        match names.is_empty() {
            true => problem,
            false => problem.note(format!("it is read by {}", names.into_iter().collect::<Vec<_>>().join(", "))),
        }
    }
}

/// Problems that two uses of the same source have in common are said once.
pub fn once_each(problems: Vec<Problem>) -> Vec<Problem> {
    let mut seen: Vec<Problem> = Vec::new();
    for problem in problems {
        let is_same = |other: &&Problem| other.title == problem.title && other.span() == problem.span();
        if seen.iter().find(is_same).is_none() {
            seen.push(problem);
        }
    }
    seen
}

fn input_problem(error: &inputs::Error, span: Span) -> Problem {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    Problem::error(format!("{error}{cause}")).at(span, "")
}

fn scenes_found(dataset: &Dataset, scenes: job::Dataset) -> Found {
    let job::Dataset::Scenes { style, part, seed, count, size } = &scenes else { unreachable!("made by the caller") };
    let mut encoder = Encoder::new("intrada/data set/1");
    encoder.field("format", b"scenes").field("revision", &SCENES_REVISION.to_le_bytes());
    encoder.field("style", style.as_bytes()).field("part", part.as_bytes());
    encoder.field("seed", &seed.to_le_bytes()).field("count", &count.to_le_bytes());
    encoder.field("size", &encode_size(Some(*size)));
    let ingredient = Ingredient {
        digest: ArtifactDigest(encoder.finish()),
        what: format!("data set {}", dataset.name),
        listing: None,
    };
    Found { ingredient, content: Content::Dataset(scenes), listing: None }
}

fn encode_size(size: Option<[u32; 2]>) -> Vec<u8> {
    size.map(|size| size.map(u32::to_le_bytes).concat()).unwrap_or_default()
}

fn encode_map(encoder: &mut Encoder, map: &[(u8, u8)]) {
    encoder.field("map", &map.iter().flat_map(|(from, to)| [*from, *to]).collect::<Vec<u8>>());
}

fn mapped(map: &[(u8, u8)], value: u8) -> u8 {
    map.iter().find(|(from, _)| *from == value).map_or(value, |(_, to)| *to)
}

fn present(LabelValues(words): LabelValues) -> impl Iterator<Item = u8> {
    (0..=255u8).filter(move |value| words[usize::from(*value) / 64] >> (value % 64) & 1 == 1)
}

/// A listing for people and for `why`: a line a file, its digest and its name, after a first line that says what it is.
fn listing(files: impl Iterator<Item = (String, String)>) -> Vec<u8> {
    let mut text = HEAD.to_owned();
    for (name, digest) in files {
        text += &format!("{digest} {}\n", name.replace(['\n', '\r'], "?"));
    }
    text.into_bytes()
}

/// Not that of the store's folder listings, which are another encoding.
const HEAD: &str = "intrada files 1\n";

/// Reads a [`listing`] back.
pub fn files_of_listing(bytes: &[u8]) -> Option<Files> {
    let text = std::str::from_utf8(bytes).ok()?.strip_prefix(HEAD)?;
    let entries = text.lines().filter_map(|line| line.split_once(' '));
    Some(entries.map(|(digest, name)| (name.to_owned(), digest.chars().take(6).collect())).collect::<BTreeMap<_, _>>())
}

fn object_of(bytes: &[u8]) -> FileDigest {
    FileDigest(crate::digest::Digest::of(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_reads_back_with_short_digests() {
        let bytes = listing([("a b.png".to_owned(), "0123456789".to_owned())].into_iter());
        assert_eq!(files_of_listing(&bytes).unwrap(), [("a b.png".to_owned(), "012345".to_owned())].into());
        assert!(files_of_listing(b"something else").is_none());
    }

    #[test]
    fn the_values_of_a_set_are_its_bits() {
        let values = LabelValues([1 | 1 << 63, 1, 0, 1 << 63]);
        assert_eq!(present(values).collect::<Vec<_>>(), [0, 63, 64, 255]);
        assert_eq!([mapped(&[(34, 255)], 34), mapped(&[(34, 255)], 3)], [255, 3]);
    }
}
