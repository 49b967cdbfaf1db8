//! The images to choose from, and which of them are labelled already.
//!
//! An image is known by its content, so a copy in a folder of labelled images is the same image; names say nothing. Only
//! files of the same length are compared, so hardly anything is read twice. Scenes have no files: the worker paints them.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::folder::Description;
use super::{Error, io_error};
use crate::dataset::{self, DatasetError, Naming, Place, folder};
use crate::digest::{Digest, FileDigest};
use crate::exec::job::{self, predict::Image};
use crate::kind::dataset::Margins;
use crate::pipeline::{Dataset, DatasetId, Format, InputSource, Pipeline};
use crate::results::image::map_file;
use crate::store::stat::Stat;

/// An image of the data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name in the data set, with extension, as in lists and scores.
    pub name: String,
    /// As `predict` takes it.
    pub image: Image,
}

/// The images of a data set.
pub struct Pool {
    /// In the order of the data set.
    pub images: Vec<Candidate>,
    /// Which of them are labelled, in the same order: by whom.
    pub labelled: Vec<Option<String>>,
    /// What could not be compared, in words.
    pub notes: Vec<String>,
}

/// Paints the scenes of a job's data set into a folder.
pub type Paint<'a> = dyn FnMut(job::Dataset, &Path) -> Result<(), Error> + 'a;

/// The images of a data set. `scenes` is a folder for those that have no files.
///
/// # Errors
/// They can't be listed.
pub fn images(
    pipeline: &Pipeline,
    dataset: &Dataset,
    scenes: &Path,
    paint: &mut Paint<'_>,
) -> Result<Vec<Candidate>, Error> {
    let candidate = |name: String, path: PathBuf| {
        let stem = map_file(&name).with_extension("");
        let image = Image { name: stem.to_string_lossy().into_owned(), path };
        Candidate { name, image }
    };
    if let Some(drawn) = scenes_of(dataset) {
        return Ok(painted(drawn, scenes, paint)?.map(|(name, path)| candidate(name, path)).collect());
    }
    let files = files(pipeline, dataset)?;
    Ok(files.into_iter().map(|(name, path)| candidate(name, path)).collect())
}

/// Name and absolute path of the files of a data set.
fn files(pipeline: &Pipeline, dataset: &Dataset) -> Result<Vec<(String, PathBuf)>, Error> {
    let (place, naming) = place(dataset).expect("scenes have no files");
    let listed = dataset::list(&pipeline.root, &place, naming, false, &|_| true);
    let listed = listed.map_err(|error| Error::Images { dataset: dataset.name.clone(), error: Box::new(error) })?;
    Ok(listed.samples.into_iter().map(|sample| (sample.name, pipeline.root.join(sample.image))).collect())
}

/// Where the files of a data set are, relative to the workspace's root; `None` for scenes, which have none.
fn place(dataset: &Dataset) -> Option<(Place, &'static Naming)> {
    match &dataset.format {
        Format::Folder { images, labels, list, .. } => {
            let (images, labels, list) = (images.clone(), labels.clone(), list.clone());
            Some((Place { images, labels, within: Vec::new(), list }, &folder::NAMING))
        }
        Format::Published { format, root, selection, list, .. } => {
            let layout = dataset::version(format, &selection.labels);
            let layout = layout.expect("each published format of the tables has a layout");
            Some((layout.place(root, selection, list.as_deref()), &layout.naming))
        }
        Format::Scenes { .. } => None,
    }
}

/// The folder of a data set's images or labels in which a path lies, through links too: files there belong to the data
/// set.
pub fn holding(pipeline: &Pipeline, dataset: &Dataset, path: &Path) -> Option<PathBuf> {
    let (place, _) = place(dataset)?;
    let real = resolved(path);
    [place.images, place.labels].into_iter().find(|folder| real.starts_with(resolved(&pipeline.root.join(folder))))
}

/// A path without links. What isn't there yet will lie in the nearest folder that is.
fn resolved(path: &Path) -> PathBuf {
    let real = path.ancestors().find_map(|above| Some((above, std::fs::canonicalize(above).ok()?)));
    let Some((above, real)) = real else { return path.to_owned() };
    path.strip_prefix(above).map_or_else(|_| path.to_owned(), |rest| real.join(rest))
}

/// A data set of scenes as a job has it.
fn scenes_of(dataset: &Dataset) -> Option<job::Dataset> {
    let Format::Scenes { style, part, seed, count, size } = &dataset.format else { return None };
    let (style, part, seed, count, size) = (style.clone(), part.clone(), *seed, *count, *size);
    Some(job::Dataset::Scenes { style, part, seed, count, size, margins: Margins::default() })
}

/// The scenes of a data set as files of a folder, by name.
fn painted(
    scenes: job::Dataset,
    folder: &Path,
    paint: &mut Paint<'_>,
) -> Result<impl Iterator<Item = (String, PathBuf)> + use<>, Error> {
    paint(scenes, folder)?;
    let entries = std::fs::read_dir(folder).map_err(io_error("look into", folder))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    Ok(paths.into_iter().map(|path| (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), path)))
}

/// The pool of these images, of which those are labelled that a data set of the pipeline has with labels, and those that were
/// chosen into one of the folders `before`.
///
/// # Errors
/// A folder of chosen images can't be read, or a data set can't be listed.
pub fn pool(
    pipeline: &Pipeline,
    id: DatasetId,
    images: Vec<Candidate>,
    before: &[PathBuf],
    own: &Path,
    paint: &mut Paint<'_>,
) -> Result<Pool, Error> {
    let mut known = Known::new(&images)?;
    let mut notes = Vec::new();
    for folder in before {
        let description = Description::of(folder)?;
        known.mark_chosen(&description, &folder.display().to_string())?;
    }
    for (other, dataset) in pipeline.datasets.iter().enumerate().map(|(at, dataset)| (DatasetId::at(at), dataset)) {
        if other == id || !is_read_with_labels(pipeline, other) {
            continue;
        }
        let by = format!("data set `{}`", dataset.name);
        if let Format::Folder { root, .. } = &dataset.format {
            // What was chosen into it, but not labelled yet, and what had to be converted.
            if let Ok(description) = Description::of(&pipeline.root.join(root)) {
                known.mark_chosen(&description, &by)?;
            }
        }
        let files: Vec<PathBuf> = match scenes_of(dataset) {
            Some(scenes) if is_same_stream(&scenes, pipeline.dataset(id)) => {
                painted(scenes, &own.join(format!("scenes-of-{}", other.index())), paint)?
                    .map(|(_, path)| path)
                    .collect()
            }
            Some(_) => Vec::new(),
            None => match files(pipeline, dataset) {
                Ok(files) => files.into_iter().map(|(_, path)| path).collect(),
                Err(Error::Images { error, .. }) if matches!(*error, DatasetError::Missing { .. }) => {
                    notes.push(format!("{by} is not here: whether it has images of the pool is not known"));
                    continue;
                }
                Err(error) => return Err(error),
            },
        };
        files.iter().try_for_each(|file| known.mark(file, &by))?;
    }
    let labelled = known.labelled;
    Ok(Pool { images, labelled, notes })
}

/// Whether two data sets of scenes can have a scene in common. Of files, contents decide.
fn is_same_stream(scenes: &job::Dataset, pool: &Dataset) -> bool {
    match (scenes, &pool.format) {
        (job::Dataset::Scenes { style, seed, .. }, Format::Scenes { style: own_style, seed: own_seed, .. }) => {
            (style, seed) == (own_style, own_seed)
        }
        _ => false,
    }
}

fn is_read_with_labels(pipeline: &Pipeline, id: DatasetId) -> bool {
    let mut inputs = pipeline.stages.iter().flat_map(|stage| &stage.inputs);
    inputs.any(|input| matches!(input.from, InputSource::Dataset { dataset, labels: true } if dataset == id))
}

/// The images of the pool by the lengths of their files.
struct Known<'a> {
    images: &'a [Candidate],
    by_length: HashMap<u64, Vec<usize>>,
    digests: RefCell<BTreeMap<usize, FileDigest>>,
    labelled: Vec<Option<String>>,
}

impl<'a> Known<'a> {
    fn new(images: &'a [Candidate]) -> Result<Known<'a>, Error> {
        let mut by_length: HashMap<u64, Vec<usize>> = HashMap::new();
        for (place, candidate) in images.iter().enumerate() {
            let path = &candidate.image.path;
            let file = Stat::of(path).map_err(io_error("look at", path))?;
            by_length.entry(file.size).or_default().push(place);
        }
        Ok(Known { images, by_length, digests: RefCell::default(), labelled: vec![None; images.len()] })
    }

    /// Marks the image that has the content of a file.
    fn mark(&mut self, file: &Path, by: &str) -> Result<(), Error> {
        let found = Stat::of(file).map_err(io_error("look at", file))?;
        if !self.by_length.contains_key(&found.size) {
            return Ok(());
        }
        self.mark_content(found.size, digest(file)?, by)
    }

    /// Marks the images that were chosen before.
    fn mark_chosen(&mut self, chosen: &Description, by: &str) -> Result<(), Error> {
        for image in &chosen.images {
            self.mark_content(image.length, image.digest, by)?;
        }
        Ok(())
    }

    fn mark_content(&mut self, length: u64, content: FileDigest, by: &str) -> Result<(), Error> {
        for place in self.by_length.get(&length).cloned().unwrap_or_default() {
            if self.digest(place)? == content {
                self.labelled[place].get_or_insert_with(|| by.to_owned());
            }
        }
        Ok(())
    }

    fn digest(&self, place: usize) -> Result<FileDigest, Error> {
        if let Some(known) = self.digests.borrow().get(&place) {
            return Ok(*known);
        }
        let found = digest(&self.images[place].image.path)?;
        self.digests.borrow_mut().insert(place, found);
        Ok(found)
    }
}

fn digest(path: &Path) -> Result<FileDigest, Error> {
    Digest::of_file(path).map(|(digest, _)| FileDigest(digest)).map_err(io_error("read", path))
}
