//! Which images of a target to label, in the forms of label tools, and the way back: from what a tool exports to a data set.
//!
//! Not a stage: what people do between the two can't be cached. The folder knows all that reading back needs ([`folder`]).
//! The network's own masks go with the images, as correcting is faster than drawing. Prints nothing.

pub mod archive;
pub mod choose;
mod colours;
pub mod folder;
pub mod format;
mod instructions;
mod layout;
mod looks;
pub mod mask;
pub mod mixture;
mod names;
mod photograph;
pub mod pool;
pub mod read;
pub mod sample;
pub mod taken;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::dataset::DatasetError;
use crate::digest::{Digest, FileDigest};
use crate::exec::control::Control;
use crate::exec::job::predict::{Answer, Outcome, Output};
use crate::exec::job::scenes::{IMAGES as SCENES, PAINTING};
use crate::exec::job::{self, Job};
use crate::exec::{self, job::predict::Image};
use crate::plain;
use crate::predict::folder::Folder as Predictions;
use crate::predict::network::{Network, size_of};
use crate::predict::{self, Progress, Seeing};
use crate::sched::session::Session;
use crate::shell::word;

use folder::{Asked, ChosenImage, DESCRIPTION, Description, Found, IMAGES, NETWORK, WORKSHOP};
use format::{Format, Set};
use layout::Layout;
use looks::{Look, Looks};
use mixture::{Mixture, Rule};
use pool::{Candidate, Pool};
use taken::Taken;

/// What is wanted.
pub struct Wanted<'a> {
    /// From which images, by which network.
    pub taken: &'a Taken,
    /// How many images by which rule.
    pub by: Mixture,
    /// Of the random draw.
    pub seed: u64,
    /// Folders whose images are not chosen again.
    pub not_in: &'a [PathBuf],
    /// The formats to write.
    pub formats: &'a [&'static Format],
    /// The folder to write.
    pub folder: &'a Path,
    /// `auto`, `cpu`, `cuda`, `cuda:1`.
    pub device: &'a str,
    /// CPU threads.
    pub threads: u32,
}

/// The folder is complete.
pub struct Ended {
    /// What it says.
    pub description: Description,
    /// Whether it was complete before.
    pub was_done: bool,
    /// What else there is to know, in words.
    pub notes: Vec<String>,
}

/// Why no images were chosen, or no labels read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The network can't be found, or the worker failed.
    #[error(transparent)]
    Predict(#[from] predict::Error),
    /// Stopped; the same call goes on.
    #[error("interrupted; the same command goes on")]
    Interrupted,
    /// No training is up to date.
    #[error("{}", no_network(file, *has_trainings))]
    NoNetwork {
        /// The pipeline file.
        file: PathBuf,
        /// Whether it has any.
        has_trainings: bool,
    },
    /// Several networks could be meant.
    #[error("several trainings adapt and are up to date: {}; name one with --stage", names.join(", "))]
    SeveralNetworks {
        /// Their stages.
        names: Vec<String>,
    },
    /// No such data set.
    #[error("there is no data set `{name}`; there are {}", known.join(", "))]
    NoDataset {
        /// As typed.
        name: String,
        /// Those of the pipeline.
        known: Vec<String>,
    },
    /// A data set whose images have labels.
    #[error(
        "the images of data set `{name}` have labels: {} with them, and nothing without; name a data set that is read without",
        readers(stages)
    )]
    HasLabels {
        /// As typed.
        name: String,
        /// The stages that read it.
        stages: BTreeSet<String>,
    },
    /// Several data sets could be meant, or none.
    #[error("{}; name the data set to choose from with --dataset", which(names))]
    WhichDataset {
        /// Those that are read without labels.
        names: Vec<String>,
    },
    /// The images can't be listed.
    #[error("data set `{dataset}`: {error}")]
    Images {
        /// Which.
        dataset: String,
        /// Why. Boxed, as it is larger than all others.
        error: Box<DatasetError>,
    },
    /// There are fewer images than wanted.
    #[error(
        "{wanted} images are wanted, and {left} of the {pool} images of `{dataset}` are neither labelled nor chosen yet{}",
        by_whom(labelled_by)
    )]
    TooFew {
        /// How many.
        wanted: usize,
        /// That can be chosen.
        left: usize,
        /// In all.
        pool: usize,
        /// Whose.
        dataset: String,
        /// Who has labelled the others.
        labelled_by: BTreeSet<String>,
    },
    /// Images that were chosen can't be predicted.
    #[error("{} can't be predicted: {reason}; take it out of the data set", path.display())]
    Unpredicted {
        /// The first of them.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A mask of this program's own was altered.
    #[error("{}: {reason}", path.display())]
    Mask {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A name that a format can't hold.
    #[error(
        "{format} has no place for the name of class `{name}`: it has a colon, a line break or `#`; rename the class, or choose --for {others}"
    )]
    NoPlaceFor {
        /// Of the class.
        name: String,
        /// Of the format.
        format: &'static str,
        /// Formats that have one.
        others: &'static str,
    },
    /// The place holds other files.
    #[error("{} holds other files; name a new or empty folder", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
    },
    /// The place holds another choice.
    #[error("{} holds images chosen {difference}; name another folder: nothing of a choice is replaced, as somebody may be labelling it", path.display())]
    Otherwise {
        /// Which.
        path: PathBuf,
        /// What differs.
        difference: String,
    },
    /// The place is one whose files belong to the data set.
    #[error(
        "{} lies in {}, a folder of data set `{dataset}`: images there would be added to it; name a folder outside",
        path.display(),
        within.display()
    )]
    InDataset {
        /// Which.
        path: PathBuf,
        /// The folder of images or labels.
        within: PathBuf,
        /// Whose.
        dataset: String,
    },
    /// The choice is there, but not all of its files.
    #[error("{}", damage(path, missing, altered))]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Files that are gone, relative to it.
        missing: Vec<String>,
        /// Files with other contents.
        altered: Vec<String>,
    },
    /// The place is a file.
    #[error("{} is not a folder", path.display())]
    NoFolder {
        /// Which.
        path: PathBuf,
    },
    /// A folder without a choice.
    #[error("{} holds no chosen images: it has no {DESCRIPTION}; `intrada-run label p.toml --out DIR` makes such a folder", path.display())]
    NotOurs {
        /// Which.
        path: PathBuf,
    },
    /// A description that can't be understood.
    #[error("{}: {reason}", path.display())]
    Description {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The export can't be read, or not be understood.
    #[error("{}", read::told(path, problems))]
    Export {
        /// Which.
        path: PathBuf,
        /// What is wrong, each with its place.
        problems: Vec<String>,
    },
    /// Labels that were read before are others.
    #[error("{} has other labels for {}; add --overwrite to replace them", path.display(), read::some(files))]
    Corrected {
        /// The folder of the labels.
        path: PathBuf,
        /// Of these images.
        files: Vec<String>,
    },
    /// A file can't be read or written.
    #[error("failed to {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn no_network(file: &Path, has_trainings: bool) -> String {
    let shown = file.display();
    if has_trainings {
        let file = word(&file.to_string_lossy()).into_owned();
        format!("no training of {shown} is up to date, so there is no network; run it first: intrada-run {file}")
    } else {
        format!("{shown} has no training, so there is no network; name a pipeline with one")
    }
}

fn readers(stages: &BTreeSet<String>) -> String {
    let names: Vec<String> = stages.iter().map(|name| format!("`{name}`")).collect();
    format!("{} {} it", names.join(", "), if names.len() == 1 { "reads" } else { "read" })
}

fn which(names: &[String]) -> String {
    match names {
        [] => "no data set is read without labels".to_owned(),
        names => format!("several data sets are read without labels: {}", names.join(", ")),
    }
}

fn by_whom(labelled_by: &BTreeSet<String>) -> String {
    let names: Vec<&str> = labelled_by.iter().map(String::as_str).collect();
    if names.is_empty() { String::new() } else { format!(" (the others are in {})", names.join(", ")) }
}

/// What a damaged folder lacks, in words, and what to do.
fn damage(path: &Path, missing: &[String], altered: &[String]) -> String {
    let part = |files: &[String], what: &str| (!files.is_empty()).then(|| format!("{what}: {}", read::some(files)));
    let parts: Vec<String> = [part(missing, "missing"), part(altered, "altered")].into_iter().flatten().collect();
    format!(
        "{} is not as it was written: {}; restore these files, or move the folder away and call this again, which \
         chooses the same images, and move {}/ back if there is one",
        path.display(),
        parts.join("; "),
        folder::LABELS
    )
}

/// The error for a file that can't be read or written.
fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}

/// Chooses images and writes them into a folder, with the network's masks.
///
/// # Errors
/// [`Error`]. What was predicted is kept, and the same call goes on.
pub fn choose(
    session: &mut Session,
    wanted: &Wanted<'_>,
    control: &Control,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<Ended, Error> {
    let network = Network::of_stage(session, wanted.taken.network, &wanted.taken.called)?;
    let pipeline = std::rc::Rc::clone(&session.pipeline);
    let dataset = pipeline.dataset(wanted.taken.dataset);
    let asked = Asked {
        by: wanted.by.clone(),
        seed: wanted.seed,
        dataset: dataset.name.clone(),
        network: wanted.taken.called.clone(),
        identity: network.identity.to_string(),
        not_in: wanted.not_in.to_vec(),
        formats: wanted.formats.iter().map(|format| format.name.to_owned()).collect(),
    };
    let folder = std::path::absolute(wanted.folder).map_err(io_error("resolve", wanted.folder))?;
    if let Some(within) = pool::holding(&pipeline, dataset, &folder) {
        return Err(Error::InDataset { path: folder, within, dataset: dataset.name.clone() });
    }
    if let Found::Done(description) = folder::look(&folder, &asked)? {
        folder::check(&folder, &description)?;
        return Ok(Ended { description: *description, was_done: true, notes: Vec::new() });
    }
    let (own, was_there) = (folder.join(WORKSHOP), folder.exists());
    let settings = predict::settings(&network, &Seeing::default());
    // Its lock keeps others out of the whole folder.
    let predictions = Predictions::open(&own.join("predictions"), &network.name, settings, &[Output::Classes], true)?;
    let mut work = Work { network: &network, wanted, predictions, control, on_progress };
    let (scenes, id) = (own.join("scenes"), wanted.taken.dataset);
    let images = pool::images(&pipeline, dataset, &scenes, &mut |scenes, folder| work.paint(scenes, folder))?;
    let paint = &mut |scenes: job::Dataset, folder: &Path| work.paint(scenes, folder);
    let pool = pool::pool(&pipeline, id, images, wanted.not_in, &own, paint)?;
    let chosen = work.choose_from(session, pool);
    if let Err(Error::TooFew { .. }) = &chosen {
        // Nothing of it serves another command. What can't be removed is taken up by the next one.
        let rest = if was_there { &own } else { &folder };
        let _ = plain::remove(rest);
    }
    let Choice { pool, picked, from, answers, notes } = chosen?;
    let mut description = Description::new(asked, colours::distinct(&network.classes));
    description.seen = folder::Seen { size: size_of(dataset), scaling: dataset.scaling };
    description.pool = pool.images.len();
    description.labelled_before = pool.labelled.iter().flatten().count();
    description.labelled_by = pool.labelled.iter().flatten().cloned().collect();
    description.entropy = from;
    description.images = write_images(&folder, &pool, &picked, &answers, work.predictions.path())?;
    let set = Set { folder: &folder, description: &description };
    wanted.formats.iter().try_for_each(|format| (format.write)(&set))?;
    instructions::write(&set, wanted.formats)?;
    description.write(&folder)?;
    drop(work);
    plain::remove(&own).map_err(io_error("remove", &own))?;
    Ok(Ended { description, was_done: false, notes })
}

/// What is needed to let the worker look at images.
struct Work<'a> {
    network: &'a Network,
    wanted: &'a Wanted<'a>,
    predictions: Predictions,
    control: &'a Control,
    on_progress: &'a mut dyn FnMut(Progress),
}

/// A chosen image, by its place in the pool.
struct Picked {
    place: usize,
    rule: Rule,
    probability: Option<f64>,
    mean_entropy: Option<f32>,
    why: String,
}

/// The chosen images.
struct Choice {
    pool: Pool,
    picked: Vec<Picked>,
    /// Where the entropies come from.
    from: String,
    /// What the worker says of the chosen images, by name.
    answers: BTreeMap<String, Answer>,
    notes: Vec<String>,
}

impl Work<'_> {
    fn choose_from(&mut self, session: &mut Session, pool: Pool) -> Result<Choice, Error> {
        let mut notes = pool.notes.clone();
        // Before all images are predicted for nothing.
        are_enough(&pool, self.wanted, pool.labelled.iter().filter(|by| by.is_none()).count())?;
        let looks = if self.wanted.by.looks_at_all() {
            let taken = self.wanted.taken;
            let looks = match looks::in_cache(session, taken.network, taken.dataset, &pool.images)? {
                Some(looks) => looks,
                None => self.look_at(&pool.images)?,
            };
            Some(looks)
        } else {
            None
        };
        let unseen = looks.iter().flat_map(|looks| &looks.images).filter(|look| look.is_none()).count();
        if unseen > 0 {
            notes.push(format!("{unseen} images of the data set can't be predicted, so they can't be chosen"));
        }
        let picked = pick(&pool, looks.as_ref(), self.wanted)?;
        let images: Vec<Image> = picked.iter().map(|picked| pool.images[picked.place].image.clone()).collect();
        let answers = self.predict(&images)?;
        for image in &images {
            if let Some(Answer { outcome: Outcome::Failed { reason }, .. }) = answers.get(&image.name) {
                return Err(Error::Unpredicted { path: image.path.clone(), reason: reason.clone() });
            }
        }
        let from = looks.map_or_else(|| "computed now, at each image's own size".to_owned(), |looks| looks.from);
        Ok(Choice { pool, picked, from, answers, notes })
    }

    /// Looks at all images.
    fn look_at(&mut self, images: &[Candidate]) -> Result<Looks, Error> {
        let all: Vec<Image> = images.iter().map(|candidate| candidate.image.clone()).collect();
        let answers = self.predict(&all)?;
        let classes = self.network.classes.len();
        looks::predicted(self.predictions.path(), |name| answers.get(name), classes, images)
    }

    /// What the worker says of these images.
    fn predict(&mut self, images: &[Image]) -> Result<BTreeMap<String, Answer>, Error> {
        let (device, threads) = (self.wanted.device, self.wanted.threads);
        let wanted = predict::Wanted { network: self.network, images, device, threads };
        let ended = predict::predict(&wanted, &mut self.predictions, self.control, self.on_progress)?;
        if ended.interrupted {
            return Err(Error::Interrupted);
        }
        Ok(self.predictions.answers()?.last)
    }

    /// Paints the scenes of a data set into a folder.
    fn paint(&mut self, scenes: job::Dataset, folder: &Path) -> Result<(), Error> {
        let job = Job {
            datasets: [(SCENES.to_owned(), scenes)].into(),
            threads: self.wanted.threads,
            ..Job::bare(self.network.name.clone(), PAINTING, folder.to_owned(), self.predictions.own())
        };
        // Painting takes milliseconds each: its progress would only flicker.
        predict::perform_for(&self.predictions, job, self.control, &mut |_| {}).map_err(|failure| match failure {
            exec::Failure::Failed { message, help } => predict::Error::Worker { message, help }.into(),
            exec::Failure::Cancelled { .. } | exec::Failure::Left(_) => Error::Interrupted,
        })
    }
}

/// An error where fewer images are left than wanted.
fn are_enough(pool: &Pool, wanted: &Wanted<'_>, left: usize) -> Result<(), Error> {
    if wanted.by.count() <= left {
        return Ok(());
    }
    Err(Error::TooFew {
        wanted: wanted.by.count(),
        left,
        pool: pool.images.len(),
        dataset: wanted.taken.dataset_name.clone(),
        labelled_by: pool.labelled.iter().flatten().cloned().collect(),
    })
}

/// Lets the rules choose, in their order.
fn pick(pool: &Pool, looks: Option<&Looks>, wanted: &Wanted<'_>) -> Result<Vec<Picked>, Error> {
    let look = |place: usize| -> Look { looks.and_then(|looks| looks.images[place].clone()) };
    let is_free = |place: &usize| pool.labelled[*place].is_none() && (looks.is_none() || look(*place).is_some());
    let free: Vec<usize> = (0..pool.images.len()).filter(is_free).collect();
    are_enough(pool, wanted, free.len())?;
    let mut picked = Vec::new();
    let entropy = |place: usize| look(place).map(|(entropy, _)| entropy);
    let drawn = wanted.by.of(Rule::Random);
    if drawn > 0 {
        let names: Vec<&str> = free.iter().map(|place| pool.images[*place].name.as_str()).collect();
        let probability = drawn as f64 / free.len() as f64;
        let why = format!("drawn at random: {drawn} of {} images, seed {}", free.len(), wanted.seed);
        picked.extend(choose::random(&names, drawn, wanted.seed).into_iter().map(|at| Picked {
            place: free[at],
            rule: Rule::Random,
            probability: Some(probability),
            mean_entropy: entropy(free[at]),
            why: why.clone(),
        }));
    }
    if !wanted.by.looks_at_all() {
        return Ok(picked);
    }
    // Labelled images that were seen count as centres, so that nothing like them is chosen.
    let seen: Vec<usize> = (0..pool.images.len()).filter(|place| look(*place).is_some()).collect();
    let (entropies, layouts): (Vec<f32>, Vec<Layout>) = seen.iter().filter_map(|place| look(*place)).unzip();
    let taken = |picked: &[Picked]| -> Vec<bool> {
        let is_taken =
            |place: &usize| pool.labelled[*place].is_some() || picked.iter().any(|other| other.place == *place);
        seen.iter().map(is_taken).collect()
    };
    let before = taken(&picked);
    let rest = before.iter().filter(|taken| !**taken).count();
    for (at, rank) in choose::uncertain(&entropies, wanted.by.of(Rule::Uncertain), &before).into_iter().zip(1..) {
        let (place, mean) = (seen[at], entropies[at]);
        let why = format!("mean entropy {mean:.4}, place {rank} of {rest}");
        picked.push(Picked { place, rule: Rule::Uncertain, probability: None, mean_entropy: Some(mean), why });
    }
    for (at, distance) in choose::diverse(&layouts, wanted.by.of(Rule::Diverse), &taken(&picked)) {
        let why = match distance {
            Some(distance) => format!("at least {distance:.3} (0 to 1) from every image before it"),
            None => "nearest to the mean of all images".to_owned(),
        };
        let place = seen[at];
        picked.push(Picked { place, rule: Rule::Diverse, probability: None, mean_entropy: entropy(place), why });
    }
    Ok(picked)
}

/// Writes the images and what the network saw in them.
fn write_images(
    folder: &Path,
    pool: &Pool,
    picked: &[Picked],
    answers: &BTreeMap<String, Answer>,
    predictions: &Path,
) -> Result<Vec<ChosenImage>, Error> {
    let stems = names::safe(picked.iter().map(|picked| pool.images[picked.place].image.name.as_str()));
    let mut chosen = Vec::new();
    for (picked, stem) in picked.iter().zip(stems) {
        let Candidate { name, image } = &pool.images[picked.place];
        let bytes = plain::read(&image.path).map_err(io_error("read", &image.path))?;
        let (digest, length) = (FileDigest(Digest::of(&bytes)), bytes.len() as u64);
        let unpredicted = |reason: String| Error::Unpredicted { path: image.path.clone(), reason };
        let Some(Answer { outcome: Outcome::Predicted(predicted), .. }) = answers.get(&image.name) else {
            return Err(unpredicted("there is no prediction of it".to_owned()));
        };
        let shown = photograph::shown(bytes).map_err(|fault| unpredicted(fault.to_string()))?;
        let mask = looks::class_map(predictions, &image.name)?;
        if predicted.digest != digest || mask.size() != shown.size {
            return Err(unpredicted("it changes while this runs".to_owned()));
        }
        let file = format!("{stem}.{}", shown.extension);
        folder::write(&folder.join(IMAGES).join(&file), &shown.bytes)?;
        let written = Some(FileDigest(Digest::of(&shown.bytes)));
        folder::write(&folder.join(NETWORK).join(format!("{stem}.png")), &mask.png())?;
        chosen.push(ChosenImage {
            file,
            image: name.clone(),
            size: shown.size,
            digest,
            length,
            written,
            rule: picked.rule,
            probability: picked.probability,
            mean_entropy: picked.mean_entropy.unwrap_or(predicted.mean_entropy),
            why: picked.why.clone(),
        });
    }
    Ok(chosen)
}
