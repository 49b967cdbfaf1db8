//! Predictions of images that belong to no pipeline, by a trained network: of a stage, or of an exported folder.
//!
//! Not a stage: nothing is cached and no key is made, as users want files beside their images and not results of an experiment.
//! What was predicted is known from the folder itself ([`folder`]), so a killed run resumes and images are added to it later.
//! The worker looks at the images; this room finds the network and the images, decides what is still to do, and writes the table.
//! Prints nothing.

pub mod exported;
pub mod folder;
pub mod images;
pub mod network;
pub mod table;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use crate::exec::control::Control;
use crate::exec::executor::{Belongings, Executor, Report, Request, Start, Work};
use crate::exec::job::predict::{Answer, Image, Outcome, Output, PREDICT, PREDICTION, Prediction};
use crate::exec::job::{Event, Job};
use crate::exec::local::Local;
use crate::exec::perform::perform;
use crate::exec::{self, Visible};
use crate::kind::model::smallest_side;
use crate::kind::viewing::default_stride;
use crate::pipeline::Problems;
use crate::shell::word;
use crate::store;

use folder::Folder;
use network::Network;

/// An image with more pixels, as the network sees it, is seen through [`WINDOW`] unless the command line says otherwise: what a
/// network needs to see 4096 × 4096 pixels at once doesn't fit many machines.
pub const WHOLE_AT_MOST: u64 = 2048 * 2048;
/// Width and height in pixels of the window for large images, that of SegFormer's evaluation.
pub const WINDOW: [u32; 2] = [1024, 1024];

/// How images are seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seeing {
    /// The size at which the network sees them.
    pub size: Size,
    /// Width and height of a window for every image; `None`: [`WINDOW`], for large ones.
    pub window: Option<[u32; 2]>,
    /// From one window to the next; `None`: three quarters of the window.
    pub stride: Option<[u32; 2]>,
    /// Whether the mirror image counts as well.
    pub flip_test: bool,
}

/// The size at which a network sees images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Size {
    /// That of the images of its training.
    #[default]
    Trained,
    /// That of each image.
    Own,
    /// This width and height, in pixels.
    Given([u32; 2]),
}

/// What is wanted.
pub struct Wanted<'a> {
    /// By which network.
    pub network: &'a Network,
    /// Of these images.
    pub images: &'a [Image],
    /// `auto`, `cpu`, `cuda`, `cuda:1`.
    pub device: &'a str,
    /// CPU threads.
    pub threads: u32,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Images of this run that are done.
    pub done: u64,
    /// Those that this run has to do.
    pub total: u64,
    /// Those done that couldn't be predicted.
    pub failed: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ended {
    /// Images that were predicted in this run.
    pub predicted: usize,
    /// Images that had been predicted before.
    pub up_to_date: usize,
    /// Those of this run that were seen through a window.
    pub in_windows: usize,
    /// What decoding has dropped, and of how many images of this run.
    pub dropped: BTreeMap<String, usize>,
    /// The names of those that couldn't be predicted, and why.
    pub failed: Vec<(String, String)>,
    /// Whether it was stopped before all images were done.
    pub interrupted: bool,
}

/// Why nothing was predicted, or not everything.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pipeline's data are wrong.
    #[error("the sources of the pipeline are wrong")]
    Sources(Box<Problems>),
    /// The stage is not up to date.
    #[error("`{stage}` is not up to date, so it has no network to predict with; run it first: intrada-run {} {}", word(&file.to_string_lossy()), word(stage))]
    NotDone {
        /// Which.
        stage: String,
        /// The pipeline file.
        file: PathBuf,
    },
    /// The cache has lost the weights.
    #[error("the cache no longer has the weights of `{stage}`; run it again: intrada-run {} {}", word(&file.to_string_lossy()), word(stage))]
    Gone {
        /// Whose.
        stage: String,
        /// The pipeline file.
        file: PathBuf,
    },
    /// The folder is not an export that can be used, or was altered.
    #[error(transparent)]
    Exported(#[from] exported::Fault),
    /// The images can't be listed, or are none.
    #[error(transparent)]
    Images(#[from] images::Fault),
    /// The output folder can't be used.
    #[error(transparent)]
    Folder(#[from] folder::Fault),
    /// Label ids are wanted of a network that doesn't say them.
    #[error(
        "{network} doesn't say which label value each class has: it was trained without labels of a data set; leave out `label-ids`"
    )]
    NoLabelIds {
        /// Its name.
        network: String,
    },
    /// The network can't see images of a size.
    #[error("{option} {width}x{height} is too small: {arch} needs {least} pixels a side")]
    TooSmall {
        /// The option that says so.
        option: &'static str,
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
        /// The network's architecture.
        arch: String,
        /// In pixels.
        least: u32,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
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
    /// The worker failed; what was predicted before is kept.
    #[error("{message}")]
    Worker {
        /// What failed.
        message: String,
        /// What to do.
        help: Vec<String>,
    },
}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Error {
        Error::Sources(Box::new(problems))
    }
}

/// What of a folder of predictions depends on how images are seen: with another of these, nothing in it is up to date.
pub fn settings(network: &Network, seeing: &Seeing) -> folder::Settings {
    let window = seeing.window.unwrap_or(WINDOW);
    folder::Settings {
        network: network.identity.to_string(),
        classes: network.classes.iter().map(|class| class.name.clone()).collect(),
        colours: network.classes.iter().map(|class| class.colour).collect(),
        size: size(network, seeing),
        scaling: network.scaling,
        window,
        stride: seeing.stride.unwrap_or_else(|| default_stride(window.map(i64::from)).map(|side| side as u32)),
        whole_at_most: if seeing.window.is_some() { 0 } else { WHOLE_AT_MOST },
        flip_test: seeing.flip_test,
    }
}

fn size(network: &Network, seeing: &Seeing) -> Option<[u32; 2]> {
    match seeing.size {
        Size::Trained => network.size,
        Size::Own => None,
        Size::Given(size) => Some(size),
    }
}

/// Predicts those images that aren't predicted yet, into `folder`, and rewrites its table.
///
/// # Errors
/// [`Error`]. What was predicted before it is kept, and the same call resumes.
pub fn predict(
    wanted: &Wanted<'_>,
    folder: &mut Folder,
    control: &Control,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<Ended, Error> {
    let todo = folder.todo(wanted.images)?;
    let mut ended = Ended { up_to_date: wanted.images.len() - todo.len(), ..Ended::default() };
    let result = match todo[..] {
        [] => Ok(()),
        _ => work(wanted, &todo, folder, control, on_progress),
    };
    // Also after a failure: what was done before counts.
    let answers = folder.answers()?;
    answers.new.iter().for_each(|answer| ended.count(answer));
    // What was predicted of an image that can't be predicted any more shows something else.
    answers
        .new
        .iter()
        .filter(|answer| matches!(answer.outcome, Outcome::Failed { .. }))
        .for_each(|answer| folder.forget(answer));
    let written = table::write(folder, answers.last.values());
    match result {
        Ok(()) => {}
        Err(exec::Failure::Cancelled { .. } | exec::Failure::Left(_)) => ended.interrupted = true,
        // On a full disk the table fails as well, and the first failure says more.
        Err(exec::Failure::Failed { message, help }) => return Err(Error::Worker { message, help }),
    }
    written?;
    Ok(ended)
}

impl Ended {
    fn count(&mut self, answer: &Answer) {
        match &answer.outcome {
            Outcome::Predicted(predicted) => {
                self.predicted += 1;
                self.in_windows += usize::from(predicted.window.is_some());
                predicted.dropped.iter().for_each(|what| *self.dropped.entry(what.clone()).or_default() += 1);
            }
            Outcome::Failed { reason } => self.failed.push((answer.name.clone(), reason.clone())),
        }
    }
}

/// Lets the worker predict these images.
fn work(
    wanted: &Wanted<'_>,
    images: &[Image],
    folder: &Folder,
    control: &Control,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<(), exec::Failure> {
    perform_for(folder, job(wanted, images, folder), control, on_progress)
}

/// Lets the worker perform a job with the folder of predictions as its slot, whose lock its processes hold.
///
/// # Errors
/// How it failed.
pub fn perform_for(
    folder: &Folder,
    job: Job,
    control: &Control,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<(), exec::Failure> {
    let belongings = Belongings {
        name: folder.lock_path().into_os_string(),
        workspace: None,
        leases: Arc::new(folder.lease().into_iter().collect()),
    };
    let request = Request { stage: job.stage.clone(), threads: job.threads as usize, ..Request::default() };
    let (kind, log) = (job.kind.clone(), folder.log_path());
    let start = Start {
        work: &Work::Worker(Box::new(job), Visible::All),
        request: &request,
        name: &kind,
        folder: &folder.own(),
        log: &log,
        belongings: &belongings,
    };
    let executor: &dyn Executor = &Local;
    let finished = perform(executor, &start, control, |report| {
        if let Report::Event(Event::Progress { done, total, values, .. }) = report {
            let failed = values.iter().find(|(name, _)| name == "failed").map_or(0.0, |(_, failed)| *failed);
            on_progress(Progress { done: *done, total: *total, failed: failed as u64 });
        }
    });
    // It holds the paths of all images, and the folder may be handed on. If it stays, the next run replaces it.
    let _ = std::fs::remove_file(folder.own().join("job.json"));
    finished.map(|_| ())
}

fn job(wanted: &Wanted<'_>, images: &[Image], folder: &Folder) -> Job {
    let network = wanted.network;
    let settings = folder.settings();
    let prediction = Prediction {
        images: images.to_vec(),
        size: settings.size,
        scaling: settings.scaling,
        whole_at_most: settings.whole_at_most,
        outputs: folder.outputs().to_vec(),
        label_ids: network.label_ids.clone().unwrap_or_default(),
    };
    let mut parameters = network.parameters.clone();
    parameters.extend([
        (PREDICTION.to_owned(), serde_json::to_value(prediction).expect("a prediction is plain data")),
        ("window".to_owned(), json!(settings.window)),
        ("stride".to_owned(), json!(settings.stride)),
        ("flip_test".to_owned(), json!(settings.flip_test)),
    ]);
    Job {
        parameters,
        classes: network.classes.clone(),
        inputs: [("weights".to_owned(), network.weights.clone())].into(),
        device: wanted.device.to_owned(),
        threads: wanted.threads,
        ..Job::bare(network.name.clone(), PREDICT, folder.path().to_owned(), folder.own())
    }
}

/// The CPU threads of this machine.
pub fn all_cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().try_into().unwrap_or(u32::MAX))
}

/// Checks that the network can give what is wanted.
///
/// # Errors
/// [`Error::NoLabelIds`], [`Error::TooSmall`].
pub fn check(network: &Network, outputs: &[Output], seeing: &Seeing) -> Result<(), Error> {
    let given =
        [("--window", seeing.window), ("--size", if let Size::Given(size) = seeing.size { Some(size) } else { None })];
    let arch = network.parameters.get("model.arch").and_then(|arch| arch.as_str()).unwrap_or_default();
    let least = smallest_side(arch);
    for (option, size) in given {
        if let Some([width, height]) = size.filter(|size| size.iter().any(|side| *side < least)) {
            return Err(Error::TooSmall { option, width, height, arch: arch.to_owned(), least });
        }
    }
    if outputs.contains(&Output::LabelIds) && network.label_ids.is_none() {
        return Err(Error::NoLabelIds { network: network.name.clone() });
    }
    Ok(())
}

/// The error for a file that can't be read or written.
fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}
