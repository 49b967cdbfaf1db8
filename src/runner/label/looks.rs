//! What a network sees in the images of a pool: mean entropies and layouts.
//!
//! An `entropy-inference` of the same network on the same images has both, so where the cache has one nothing is computed. Else the
//! images are predicted, into a folder that is removed when the choice is made. Knows no rule.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rayon::prelude::{IntoParallelIterator, ParallelIterator};

use super::layout::Layout;
use super::mask::Mask;
use super::pool::Candidate;
use super::{Error, io_error};
use crate::digest::FileDigest;
use crate::exec::job::predict::{Answer, Outcome, Output};
use crate::kind::OutputRole;
use crate::pipeline::{DatasetId, InputSource, OutputId, Stage};
use crate::plain;
use crate::results::image::{map_file, named};
use crate::sched::done::{Done, done};
use crate::sched::session::Session;
use crate::store::Store;
use crate::store::listing::{EntryKind, Listing};

/// What is known of one image; `None` for one that couldn't be predicted.
pub type Look = Option<(f32, Layout)>;

/// What is known of the images of a pool.
pub struct Looks {
    /// In the order of the pool.
    pub images: Vec<Look>,
    /// Where it comes from, in words.
    pub from: String,
}

/// What an inference in the cache knows of these images; `None`: there is none that is up to date and has all of them.
///
/// # Errors
/// The sources are wrong, or the cache can't be read.
pub fn in_cache(
    session: &mut Session,
    network: OutputId,
    dataset: DatasetId,
    images: &[Candidate],
) -> Result<Option<Looks>, Error> {
    let is_wanted = |stage: &Stage| {
        let from = |role: &str| stage.input(role).map(|input| &input.from);
        let has = |role| stage.outputs.iter().any(|output| output.role == role);
        let weights = InputSource::Output { output: network, within: None };
        has(OutputRole::Scores)
            && has(OutputRole::Predictions)
            && from("weights") == Some(&weights)
            && from("images") == Some(&InputSource::Dataset { dataset, labels: false })
    };
    let wanted: Vec<_> = session.pipeline.stage_ids().filter(|id| is_wanted(session.pipeline.stage(*id))).collect();
    for stage in wanted {
        let found = done(session, &[stage]).map_err(crate::predict::Error::from)?;
        let Some(found) = found.into_iter().find(|found| found.stage == stage) else { continue };
        let stage = session.pipeline.stage(stage);
        let classes = session.pipeline.classes.len();
        if let Some(images) = of_stage(&session.store, stage, &found, classes, images)? {
            return Ok(Some(Looks {
                images,
                from: format!("from `{}`, which has seen the images before", stage.name),
            }));
        }
    }
    Ok(None)
}

fn of_stage(
    store: &Store,
    stage: &Stage,
    done: &Done,
    classes: usize,
    images: &[Candidate],
) -> Result<Option<Vec<Look>>, Error> {
    let object = |role| {
        let place = stage.outputs.iter().position(|output| output.role == role).expect("it has such an output");
        done.artifacts[place].object
    };
    let read = |object| store.read(object).map_err(crate::predict::Error::from);
    let Some(scores) = read(object(OutputRole::Scores))? else { return Ok(None) };
    let scores = String::from_utf8_lossy(&scores).into_owned();
    let scores: HashMap<String, f32> = scores
        .lines()
        .skip(1)
        .filter_map(|line| named(line, 3))
        .filter_map(|(name, fields)| Some((name, fields.first()?.parse().ok()?)))
        .collect();
    let mut maps = HashMap::new();
    if !list(store, object(OutputRole::Predictions), PathBuf::new(), &mut maps)? {
        return Ok(None);
    }
    let look = |candidate: &Candidate| -> Result<Look, Error> {
        let (Some(score), Some(map)) = (scores.get(&candidate.name), maps.get(&map_file(&candidate.name))) else {
            return Ok(None);
        };
        let Some(png) = read(*map)? else { return Ok(None) };
        let Ok(map) = Mask::decode(&png) else { return Ok(None) };
        Ok(Some((*score, Layout::of(&map, classes))))
    };
    let looks: Vec<Look> =
        (0..images.len()).into_par_iter().map(|place| look(&images[place])).collect::<Result<_, _>>()?;
    // A part would mix entropies of two sizes.
    Ok(looks.iter().all(Option::is_some).then_some(looks))
}

/// The files below a stored folder by their paths. False if the cache has lost one of its listings.
fn list(
    store: &Store,
    folder: FileDigest,
    at: PathBuf,
    files: &mut HashMap<PathBuf, FileDigest>,
) -> Result<bool, Error> {
    let Some(bytes) = store.read(folder).map_err(crate::predict::Error::from)? else { return Ok(false) };
    // The digest was verified, so the object of a folder is a listing.
    let listing = Listing::decode(&bytes).expect("the object of a folder is a listing");
    for entry in listing.entries() {
        let path = at.join(&entry.name);
        match entry.kind {
            EntryKind::Folder if !list(store, entry.object, path.clone(), files)? => return Ok(false),
            EntryKind::File { .. } => _ = files.insert(path, entry.object),
            EntryKind::Folder | EntryKind::Link => {}
        }
    }
    Ok(true)
}

/// What was predicted of these images into a folder of predictions.
///
/// # Errors
/// A class map can't be read.
pub fn predicted<'a>(
    folder: &Path,
    answers: impl Fn(&str) -> Option<&'a Answer> + Sync,
    classes: usize,
    images: &[Candidate],
) -> Result<Looks, Error> {
    let look = |candidate: &Candidate| -> Result<Look, Error> {
        let name = &candidate.image.name;
        let Some(Answer { outcome: Outcome::Predicted(predicted), .. }) = answers(name) else { return Ok(None) };
        let map = class_map(folder, name)?;
        Ok(Some((predicted.mean_entropy, Layout::of(&map, classes))))
    };
    let images = (0..images.len()).into_par_iter().map(|place| look(&images[place])).collect::<Result<_, _>>()?;
    Ok(Looks { images, from: "computed now, at each image's own size".to_owned() })
}

/// The class map of an image in a folder of predictions.
///
/// # Errors
/// It can't be read.
pub fn class_map(folder: &Path, image: &str) -> Result<Mask, Error> {
    let path = folder.join(Output::Classes.file(image));
    let bytes = plain::read(&path).map_err(io_error("read", &path))?;
    Mask::decode(&bytes).map_err(|reason| Error::Mask { path, reason })
}
