//! One job: its typed parameters, its files, and the channel to the runner.
//!
//! Knows the job's contract and no kind. Parameters are parsed here once, into each kind's own struct; an invalid value is
//! reported before anything is computed.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use intrada_data::input_file::{Changed, InputFile};
use intrada_data::kept::{Counts, Keep};
use intrada_runner::digest::Digest;
use intrada_runner::exec::job::log::WARNING;
use intrada_runner::exec::job::{Event, Input, Job, Source};
use intrada_runner::exec::with_causes;
use intrada_runner::measures::count;
use serde::de::DeserializeOwned;

use crate::log::{self, log};

/// Why a job gave no result.
#[derive(Debug)]
pub enum Failure {
    /// It was asked to stop; it will resume at this iteration.
    Interrupted {
        /// Iterations or images that are kept.
        at: u64,
    },
    /// It failed.
    Failed {
        /// The error and where it occurred.
        message: String,
        /// What to do.
        help: Vec<String>,
        /// The error as its room returned it; none where there is only a message. A program may know further advice for it.
        error: Option<Box<dyn Error>>,
    },
}

impl Failure {
    /// A failure with advice.
    pub fn advised(message: impl Into<String>, help: impl Into<String>) -> Failure {
        Failure::Failed { message: message.into(), help: vec![help.into()], error: None }
    }
}

/// Further advice for an error that its message doesn't have.
pub type Advise = fn(&(dyn Error + 'static)) -> Option<&'static str>;

impl Failure {
    /// With what `advise` knows of its error or of a cause of it.
    #[must_use]
    pub fn advised_by(mut self, advise: Advise) -> Failure {
        if let Failure::Failed { help, error: Some(error), .. } = &mut self
            && let Some(advice) = with_sources(&**error).find_map(advise)
        {
            help.push(advice.to_owned());
        }
        self
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Failure {
        let help = if is_of_change(&error) { vec![CHANGED_BACK, CHANGED_ON_PURPOSE] } else { Vec::new() };
        let help = help.into_iter().map(str::to_owned).collect();
        Failure::Failed { message: with_causes(&error), help, error: Some(Box::new(error)) }
    }
}

/// Whether the error is a file that changed since the stage's key was computed.
fn is_of_change(error: &(dyn Error + 'static)) -> bool {
    with_sources(error).any(|cause| cause.is::<Changed>())
}

/// An error and its causes.
fn with_sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// A file of the workspace, used only if its content is that of the stage's key.
pub fn as_planned(source: &Source) -> InputFile {
    InputFile::holding(&source.path, *source.content.0.as_bytes(), digest)
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    *Digest::of(bytes).as_bytes()
}

/// Advice for a file that was changed by mistake.
pub const CHANGED_BACK: &str = "restore the file, and the same command resumes";
const CHANGED_ON_PURPOSE: &str = "or keep the change, and the same command starts over; no result mixes both versions";

/// The folder in the staging folder with links to the files of input folders.
pub const LINKS: &str = ".inputs";

/// The folder in the staging folder in which samples begin that are to be kept.
const DRAFTS: &str = ".samples";

/// How many warnings the log lists.
const LOGGED: usize = 100;

/// The unit of a training's progress.
pub const ITERATIONS: &str = "iterations";

/// The answer of a finished kind; goes into the trace.
pub type Notes = BTreeMap<String, String>;

/// A job in progress.
pub struct Work {
    /// As received.
    pub job: Job,
    /// Where its findings are made, as far as their last digits depend on it ([`made_on`](intrada_runner::exec::job::made_on)).
    pub made_on: String,
    /// Set by a signal: save and stop.
    stop: Arc<AtomicBool>,
    /// Warnings so far.
    warnings: RefCell<Vec<String>>,
    /// Where samples of cached data sets are kept, once one is read.
    keep: OnceCell<Option<Keep>>,
}

impl Work {
    /// Begins `job`. `stop` is set when the process is asked to end.
    pub fn new(job: Job, made_on: String, stop: Arc<AtomicBool>) -> Work {
        Work { job, made_on, stop, warnings: RefCell::default(), keep: OnceCell::new() }
    }

    /// Whether another attempt of the job may write to the slot instead of this one: then this one must save nothing more.
    pub fn is_superseded(&self) -> bool {
        self.job.attempt.as_ref().is_some_and(|attempt| !attempt.is_current())
    }

    /// The parameters as the kind's own struct; a model's are called `model.arch` and so on.
    ///
    /// # Errors
    /// A parameter is missing or of another type: runner and worker are of different versions.
    pub fn parameters<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        self.typed(self.job.parameters.clone().into_iter().collect())
    }

    /// Like [`Work::parameters`], for those with the prefix `from`, which is replaced by `to`.
    ///
    /// # Errors
    /// As there.
    pub fn parameters_below<T: DeserializeOwned>(&self, from: &str, to: &str) -> Result<T, Failure> {
        let below = |(name, value): (&String, &serde_json::Value)| {
            name.strip_prefix(from).map(|rest| (format!("{to}{rest}"), value.clone()))
        };
        self.typed(self.job.parameters.iter().filter_map(below).collect())
    }

    fn typed<T: DeserializeOwned>(&self, map: serde_json::Map<String, serde_json::Value>) -> Result<T, Failure> {
        serde_json::from_value(serde_json::Value::Object(map)).map_err(|error| {
            Failure::advised(
                format!("the parameters of a {} stage don't fit this worker: {error}", self.job.kind),
                "build intrada-run and intrada-worker from the same sources",
            )
        })
    }

    /// The input file of this role, which the user may have named.
    ///
    /// # Errors
    /// The job has none: runner and worker are of different versions.
    pub fn file(&self, role: &str) -> Result<InputFile, Failure> {
        match self.job.inputs.get(role) {
            Some(Input::File(path)) => Ok(InputFile::new(path)),
            Some(Input::Source(source)) => Ok(as_planned(source)),
            _ => Err(self.lacks(role, "file")),
        }
    }

    /// The input file of this role, where the job has one.
    pub fn optional_file(&self, role: &str) -> Option<InputFile> {
        self.file(role).ok()
    }

    /// The path of the input file of this role, an output of another stage, which users don't edit.
    ///
    /// # Errors
    /// The job has none: runner and worker are of different versions.
    pub fn output_of_stage(&self, role: &str) -> Result<&Path, Failure> {
        match self.job.inputs.get(role) {
            Some(Input::File(path)) => Ok(path),
            _ => Err(self.lacks(role, "output of a stage")),
        }
    }

    /// The files of the input folder of this role: relative path → path.
    ///
    /// # Errors
    /// The job has none: runner and worker are of different versions.
    pub fn folder(&self, role: &str) -> Result<&BTreeMap<String, PathBuf>, Failure> {
        match self.job.inputs.get(role) {
            Some(Input::Folder(files)) => Ok(files),
            _ => Err(self.lacks(role, "folder")),
        }
    }

    /// Where a file of the input folder of this role is; a path that doesn't exist, but tells its name, if the folder lacks it.
    pub fn file_of(&self, role: &str, file: &Path) -> PathBuf {
        let object = self.folder(role).ok().and_then(|files| files.get(file.to_str()?));
        object.cloned().unwrap_or_else(|| self.job.staging.join(LINKS).join(role).join(file))
    }

    fn lacks(&self, role: &str, what: &str) -> Failure {
        Failure::advised(
            format!("the job for `{}` names no {what} for `{role}`", self.job.stage),
            "build intrada-run and intrada-worker from the same sources",
        )
    }

    /// A path in the staging folder; its parent folders are created.
    ///
    /// # Errors
    /// They can't be created.
    pub fn output(&self, relative: &str) -> Result<PathBuf, Failure> {
        let path = self.job.staging.join(relative);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        Ok(path)
    }

    /// Creates a folder in the staging folder.
    ///
    /// # Errors
    /// It can't be created.
    pub fn output_folder(&self, name: &str) -> Result<PathBuf, Failure> {
        let folder = self.job.staging.join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// The files of the input folder of this role as a folder of links, under their names in it.
    ///
    /// # Errors
    /// The job has none, or the links can't be created.
    pub fn linked_folder(&self, role: &str) -> Result<PathBuf, Failure> {
        let folder = self.job.staging.join(LINKS).join(role);
        std::fs::create_dir_all(&folder)?;
        for (name, path) in self.folder(role)? {
            let link = folder.join(name);
            if let Some(parent) = link.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::os::unix::fs::symlink(path, &link)?;
        }
        Ok(folder)
    }

    /// The number of classes; labels use 255 for "ignore", which limits it.
    ///
    /// # Errors
    /// There are none, or more.
    pub fn class_count(&self) -> Result<u8, Failure> {
        let classes = self.job.classes.len();
        u8::try_from(classes)
            .ok()
            .filter(|classes| (2..255).contains(classes))
            .ok_or_else(|| Failure::advised(format!("the pipeline has {classes} classes"), "2 to 254 are supported"))
    }

    /// The indices of the classes that are things, ascending. A stage that asks has them in its key
    /// ([`ClassFact::Things`](intrada_runner::kind::ClassFact::Things)).
    pub fn things(&self) -> Vec<i64> {
        (0..).zip(&self.job.classes).filter(|(_, class)| class.thing).map(|(index, _)| index).collect()
    }

    /// Writes a warning to the stage's log, once, and reports it when weights are tried.
    pub fn warn(&self, text: String) {
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.contains(&text) {
            match warnings.len() {
                ..LOGGED => log(&format!("{WARNING}{text}")),
                LOGGED => log(&format!("{WARNING}there are more warnings, which are not listed")),
                _ => {}
            }
            warnings.push(text);
        }
    }

    /// The warnings so far.
    pub fn into_warnings(self) -> Vec<String> {
        self.warnings.into_inner()
    }

    /// Whether the process was asked to save and stop.
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Where decoded samples of cached data sets are kept.
    pub(crate) fn keep(&self) -> Option<Keep> {
        let open = || {
            let folder = self.job.samples.as_ref()?;
            Some(Keep::new(folder, self.job.staging.join(DRAFTS), digest))
        };
        self.keep.get_or_init(open).clone()
    }

    /// Says once in the log if no more samples can be kept.
    fn tell_of_trouble(&self) {
        if let Some(trouble) = self.keep.get().and_then(|keep| keep.as_ref()?.trouble()) {
            self.warn(format!("{trouble}; samples are decoded each time"));
        }
    }

    /// Says in the log what has become of kept samples, if there are any.
    pub fn tell_of_samples(&self) {
        self.tell_of_trouble();
        let Some(Some(keep)) = self.keep.get() else { return };
        let Counts { read, written, damaged } = keep.counts();
        if damaged > 0 {
            self.warn(format!("{damaged} times a picture in the cache was damaged: decoded again"));
        }
        let counted = [(read, "read from the cache"), (written, "decoded and kept there")];
        let counted = counted.into_iter().filter(|(number, _)| *number > 0);
        let counted: Vec<String> = counted.map(|(number, what)| format!("{} {what}", pictures(number))).collect();
        if !counted.is_empty() {
            log(&counted.join(", "));
        }
    }

    /// Reports progress to the runner. Each tenth of the images is told in the log, too; of iterations the training tells more.
    pub fn progress(&self, done: u64, total: u64, unit: &str, values: Vec<(String, f64)>) {
        self.tell_of_trouble();
        if unit != ITERATIONS && log::is_due(done, total, 10) {
            log(&format!("{} of {} {unit}", count(done), count(total)));
        }
        say(&Event::Progress { done, total, unit: unit.to_owned(), values });
    }
}

/// A number of images and labels, as decoded.
fn pictures(number: u64) -> String {
    if number == 1 {
        "1 decoded image or label".to_owned()
    } else {
        format!("{} decoded images and labels", count(number))
    }
}

/// Writes an event. This process ends with its runner, so a closed pipe needs no handling.
pub fn say(event: &Event) {
    let mut out = std::io::stdout().lock();
    let line = serde_json::to_string(event).expect("an event is plain data");
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use intrada_data::DataError;
    use intrada_runner::exec::job;

    use super::*;

    /// A job that reads nothing, on the CPU; its folders are `staging` and `slot` in `folder`.
    pub(crate) fn empty_job(folder: &Path) -> Job {
        Job::bare("rank", "ranking", folder.join("staging"), folder.join("slot"))
    }

    #[test]
    fn things_are_told_by_their_indices() {
        let folder = tempfile::tempdir().unwrap();
        let class = |thing: bool| job::Class { name: String::new(), colour: [0; 3], rare: !thing, thing };
        let job = Job { classes: [false, true, false, true].map(class).into(), ..empty_job(folder.path()) };
        assert_eq!(Work::new(job, String::new(), Arc::default()).things(), [1, 3]);
    }

    #[test]
    fn whatever_reads_a_file_that_changed_says_what_to_do() {
        let failure: Failure = DataError::from(Changed { path: "a.png".into() }).into();
        let Failure::Failed { message, help, .. } = failure else { panic!("it failed") };
        assert!(message.contains("a.png changed"), "{message}");
        assert!(help.iter().any(|line| line == CHANGED_BACK), "{message}: {help:?}");
        let other: Failure = DataError::Exhausted { iterations: 1 }.into();
        assert!(matches!(other, Failure::Failed { help, .. } if help.is_empty()));
    }
}
