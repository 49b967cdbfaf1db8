//! Reads the sources outside the graph: data sets and paths → digests.
//!
//! Knows how to read them, not when. A data set's mistakes (a missing folder, an invalid label) become problems at the line
//! of the pipeline file that names it, before anything runs.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::by_name;
use crate::digest::{ArtifactDigest, Encoder};
use crate::exec::job;
use crate::inputs::listing::{self};
use crate::inputs::seen::{Seen, SeenFolder};
use crate::inputs::{self};
use crate::kind::dataset::Margins;
use crate::pipeline::{Dataset, DatasetId, Format, Problem, Span, StageId};
use crate::store::Kind;
use crate::store::tree::Shape;

use super::files::Survey;
pub use super::files::sampled::Sampled;
use super::files::sizes::Sizes;
use super::found::{Content, Found, Surveyor, encode_size, input_problem, object_of};
use super::links::dead_links;
use super::manifest::Ingredient;
use super::weights;

/// Increment when the scene generator makes other pictures for the same parameters.
pub(super) const SCENES_REVISION: u32 = 1;

/// A source outside the graph that stages read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A data set, with or without its labels: a target's labels must not affect keys.
    Dataset {
        /// The data set.
        dataset: DatasetId,
        /// Whether its labels are read.
        labels: bool,
    },
    /// A file or folder.
    Path(PathBuf),
}

impl Surveyor<'_> {
    /// Reads `origin`. `readers`: the stages that read it, with the positions of their inputs.
    ///
    /// # Errors
    /// Its problems, each with its line.
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
                            margins: Margins::default(),
                        };
                        let problems = self.scene_sizes(dataset, *size, *count, readers);
                        let (errors, warnings): (Vec<_>, Vec<_>) = problems.into_iter().partition(Problem::is_error);
                        if errors.is_empty() {
                            Ok(Found { warnings, ..scenes_found(dataset, scenes) })
                        } else {
                            Err(errors)
                        }
                    }
                    Format::Folder { .. } | Format::Published { .. } => {
                        Survey::new(self, dataset, *labels, readers)?.found()
                    }
                }
            }
        }
    }

    /// A quick check of a data set: lists it and reads at most `most` of its labels, if any are read.
    pub fn sample(
        &self,
        dataset: DatasetId,
        labels: bool,
        readers: &[(StageId, Span)],
        most: Option<usize>,
    ) -> Sampled {
        let dataset = self.pipeline.dataset(dataset);
        match &dataset.format {
            Format::Scenes { count, size, .. } => {
                let problems = self.scene_sizes(dataset, *size, *count, readers);
                Sampled { images: *count as usize, size: Some(*size), problems, ..Sampled::default() }
            }
            Format::Folder { .. } | Format::Published { .. } => match Survey::new(self, dataset, labels, readers) {
                Ok(survey) => survey.sampled(most),
                Err(problems) => Sampled { problems, ..Sampled::default() },
            },
        }
    }

    fn scene_sizes(&self, dataset: &Dataset, size: [u32; 2], count: u32, readers: &[(StageId, Span)]) -> Vec<Problem> {
        let sizes = vec![("each scene".to_owned(), size)];
        Sizes { pipeline: self.pipeline, dataset, readers, sizes, images: count as usize }.problems()
    }

    fn path(&self, path: &Path, readers: &[(StageId, Span)]) -> Result<Found, Problem> {
        let span = readers.first().map_or(Span::FILE, |(_, span)| *span);
        let inputs::Source { artifact, seen } =
            self.inputs.source(path).map_err(|error| input_problem(&error, span))?;
        let what = path.display().to_string();
        let absolute = self.pipeline.root.join(path);
        let content = match artifact.kind {
            Kind::File { .. } => Content::File(job::Source { path: absolute, content: artifact.object }),
            Kind::Folder => Content::Folder(absolute),
        };
        let digest = artifact.digest();
        if let Some(problem) = weights::problem(self.pipeline, path, readers) {
            return Err(problem);
        }
        let listing = seen.folder.as_ref().map(|folder| listing_of_folder(folder, &seen));
        let (options, named) = Default::default();
        let ingredient = Ingredient { digest, what, listing: listing.as_deref().map(object_of), options, named };
        let warnings =
            seen.folder.as_ref().and_then(|folder| dead_links(folder.dead_links(), span)).into_iter().collect();
        Ok(Found { ingredient, content, seen, listing, size: None, warnings })
    }
}

/// The files of a source folder by name, and its links.
fn listing_of_folder(folder: &SeenFolder, seen: &Seen) -> Vec<u8> {
    let below = |path| by_name::below(path, &folder.path).unwrap_or(path);
    let files = seen.files.iter().map(|(path, record)| (below(path).to_string_lossy(), record.digest.0));
    let links = folder.names.iter().filter_map(|(name, shape)| match shape {
        Shape::Link { target, .. } => {
            let target = object_of(target.as_encoded_bytes());
            Some((format!("link {}", name.to_string_lossy()).into(), target.0))
        }
        _ => None,
    });
    listing::encode(files.chain(links))
}

/// Merges equal problems of one source.
pub fn once_each(problems: Vec<Problem>) -> Vec<Problem> {
    let mut told: Vec<Problem> = Vec::new();
    let mut places: HashMap<(String, Span), usize> = HashMap::new();
    for problem in problems {
        match places.entry((problem.title.clone(), problem.span())) {
            // The note on its readers differs.
            Entry::Occupied(place) => {
                let other = &mut told[*place.get()];
                let more: Vec<String> = problem.notes.into_iter().filter(|note| !other.notes.contains(note)).collect();
                other.notes.extend(more);
            }
            Entry::Vacant(place) => {
                place.insert(told.len());
                told.push(problem);
            }
        }
    }
    told
}

fn scenes_found(dataset: &Dataset, scenes: job::Dataset) -> Found {
    let job::Dataset::Scenes { style, part, seed, count, size, .. } = &scenes else {
        unreachable!("made by the caller")
    };
    let mut encoder = Encoder::new("intrada/data set/1");
    encoder.field("format", b"scenes").field("revision", &SCENES_REVISION.to_le_bytes());
    encoder.field("style", style.as_bytes()).field("part", part.as_bytes());
    encoder.field("seed", &seed.to_le_bytes()).field("count", &count.to_le_bytes());
    encoder.field("size", &encode_size(Some(*size)));
    let ingredient = Ingredient {
        digest: ArtifactDigest(encoder.finish()),
        what: format!("data set {}", dataset.name),
        listing: None,
        options: [
            ("style", style.clone()),
            ("part", part.clone()),
            ("seed", seed.to_string()),
            ("count", count.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .chain([("size".to_owned(), format!("{size:?}"))])
        .collect(),
        named: BTreeMap::new(),
    };
    let size = Some(*size);
    let content = Content::Dataset(scenes);
    Found { ingredient, content, seen: Seen::default(), listing: None, size, warnings: Vec::new() }
}
