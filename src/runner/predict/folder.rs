//! A folder of predictions: whose it is, what in it is done, and its lock.
//!
//! `predict.json` says by which network and how its images were seen, and `.intrada-predict/` what came of each image. Knows no
//! picture. A folder with other files is refused: nothing of a user's is overwritten without being asked.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::io_error;
use crate::digest::{Digest, FileDigest};
use crate::exec::job::predict::{ANSWERS, Answer, Image, Outcome, Output, Predicted, stamp};
use crate::kind::dataset::Scaling;
use crate::plain;
use crate::store::stat::Stat;

/// What a folder says about its predictions.
const DESCRIPTION: &str = "predict.json";
/// The program's own files; no data set takes a folder with such a name for images.
const OWN: &str = ".intrada-predict";
/// The version of these files.
const FORMAT: u32 = 1;

/// How the images of a folder are predicted. Images predicted with other settings are not up to date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// A digest of the network.
    pub network: String,
    /// The names of the classes, by index.
    pub classes: Vec<String>,
    /// Their colours.
    pub colours: Vec<[u8; 3]>,
    /// Width and height at which the network sees images; none: their own.
    pub size: Option<[u32; 2]>,
    /// How images take that size.
    #[serde(flatten)]
    pub scaling: Scaling,
    /// Of the window for large images.
    pub window: [u32; 2],
    /// From one window to the next.
    pub stride: [u32; 2],
    /// Images of more pixels are seen through the window.
    pub whole_at_most: u64,
    /// Whether the mirror image counts.
    pub flip_test: bool,
}

/// `predict.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    format: u32,
    /// What the network is called. Another name for the same network makes no difference.
    name: String,
    #[serde(flatten)]
    settings: Settings,
    outputs: BTreeSet<Output>,
}

/// Why a folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It holds something else.
    #[error("{} holds other files; name another folder, or add --overwrite, which replaces files of the same names", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
    },
    /// It is a file.
    #[error("{} is not a folder", path.display())]
    NoFolder {
        /// Which.
        path: PathBuf,
    },
    /// Its predictions were made otherwise.
    #[error("{} holds predictions {difference}; name another folder, or add --overwrite to predict all images again", path.display())]
    Otherwise {
        /// Which.
        path: PathBuf,
        /// What differs.
        difference: String,
    },
    /// Another process predicts into it.
    #[error("another intrada-run predicts into {} now", path.display())]
    Busy {
        /// Which.
        path: PathBuf,
    },
    /// An image would be replaced by its own prediction.
    #[error("the prediction of {} would replace {}, which is an image; name another folder with --out", image.display(), output.display())]
    OntoImage {
        /// The image.
        image: PathBuf,
        /// Where its prediction would be.
        output: PathBuf,
    },
    /// The prediction of an image from elsewhere has its name.
    #[error("{} holds the prediction of another image named `{name}` than {}; name another folder, or add --overwrite to replace it", path.display(), image.display())]
    OtherImage {
        /// Which.
        path: PathBuf,
        /// The name.
        name: String,
        /// The image.
        image: PathBuf,
    },
    /// It was made by a later version.
    #[error("{} was written by another version of intrada-run; name another folder", path.display())]
    Version {
        /// Which.
        path: PathBuf,
    },
}

/// A folder of predictions that is locked for this process and the worker.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    settings: Settings,
    outputs: Vec<Output>,
    lock: File,
    /// The last answer for each image when the folder was opened.
    known: BTreeMap<String, Answer>,
    /// The number of answers then.
    answered: usize,
    /// Whether predictions of other images may be replaced.
    overwrites: bool,
}

/// The answers in a folder.
pub struct Answers {
    /// Those since the folder was opened, in order.
    pub new: Vec<Answer>,
    /// The last one for each image that was ever predicted into it, by name.
    pub last: BTreeMap<String, Answer>,
}

impl Folder {
    /// Opens or creates the folder for predictions of the network `name` with these settings and at least these outputs. With
    /// `overwrite` other files in it may be replaced, and predictions made otherwise are forgotten.
    ///
    /// # Errors
    /// [`Fault`], and errors of the file system.
    pub fn open(
        path: &Path,
        name: &str,
        settings: Settings,
        outputs: &[Output],
        overwrite: bool,
    ) -> Result<Folder, super::Error> {
        let path = std::path::absolute(path).map_err(io_error("resolve", path))?;
        let description = look(&path)?;
        if description.is_none() && !overwrite && !is_empty(&path).map_err(io_error("look into", &path))? {
            return Err(Fault::Foreign { path }.into());
        }
        let earlier = description.as_ref().filter(|description| description.settings == settings);
        if let (Some(other), None, false) = (&description, earlier, overwrite) {
            let difference = difference(other, name, &settings);
            return Err(Fault::Otherwise { path, difference }.into());
        }
        let own = path.join(OWN);
        fs::create_dir_all(&own).map_err(io_error("make", &own))?;
        let lock_path = own.join("lock");
        let lock = File::options().append(true).create(true).open(&lock_path).map_err(io_error("open", &lock_path))?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(Fault::Busy { path }.into()),
            Err(TryLockError::Error(error)) => return Err(io_error("lock", &lock_path)(error)),
            Ok(()) => {}
        }
        let outputs: BTreeSet<Output> =
            outputs.iter().copied().chain(earlier.into_iter().flat_map(|d| d.outputs.clone())).collect();
        let answers = if earlier.is_some() { read_answers(&own)? } else { Vec::new() };
        let (answered, known) = (answers.len(), last(answers));
        if earlier.is_none() {
            plain::remove(&own.join(ANSWERS)).or_else(gone).map_err(io_error("remove", &own.join(ANSWERS)))?;
        }
        let written = Description { format: FORMAT, name: name.to_owned(), settings, outputs };
        let text = serde_json::to_string_pretty(&written).expect("a description is plain data") + "\n";
        fs::write(path.join(DESCRIPTION), text).map_err(io_error("write", &path.join(DESCRIPTION)))?;
        // The worker appends to it.
        let log = own.join("log.txt");
        File::create(&log).map_err(io_error("write", &log))?;
        let Description { settings, outputs, .. } = written;
        Ok(Folder {
            path,
            settings,
            outputs: outputs.into_iter().collect(),
            lock,
            known,
            answered,
            overwrites: overwrite,
        })
    }

    /// Its absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the program's own files.
    pub fn own(&self) -> PathBuf {
        self.path.join(OWN)
    }

    /// What the worker prints.
    pub fn log_path(&self) -> PathBuf {
        self.own().join("log.txt")
    }

    /// The file whose lock keeps other processes out.
    pub fn lock_path(&self) -> PathBuf {
        self.own().join("lock")
    }

    /// The lock for the worker's processes; it ends with the last of them.
    pub fn lease(&self) -> Option<OwnedFd> {
        self.lock.try_clone().ok().map(OwnedFd::from)
    }

    /// How its images are predicted.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What it has of each image: what was asked for now or before, so that all images have the same.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Those of `images` that are not up to date.
    ///
    /// # Errors
    /// [`Fault::OntoImage`], [`Fault::OtherImage`].
    pub fn todo(&self, images: &[Image]) -> Result<Vec<Image>, Fault> {
        let todo: Vec<Image> = images.iter().filter(|image| !self.is_done(image)).cloned().collect();
        if todo.is_empty() {
            return Ok(todo);
        }
        self.check_outputs(images, &todo)?;
        let other = |image: &&Image| match self.known.get(&image.name).map(|answer| &answer.outcome) {
            Some(Outcome::Predicted(predicted)) => predicted.place != image.place(),
            _ => false,
        };
        match todo.iter().find(other).filter(|_| !self.overwrites) {
            Some(Image { name, path: image }) => {
                Err(Fault::OtherImage { path: self.path.clone(), name: name.clone(), image: image.clone() })
            }
            None => Ok(todo),
        }
    }

    /// Refuses outputs that are images, under whatever names: no option allows to replace those.
    fn check_outputs(&self, images: &[Image], todo: &[Image]) -> Result<(), Fault> {
        let file = |path: &Path| Stat::of(path).ok().map(|file| (file.dev, file.ino));
        let inputs: HashSet<(u64, u64)> = images.iter().filter_map(|image| file(&image.path)).collect();
        for image in todo {
            for output in &self.outputs {
                let output = self.path.join(output.file(&image.name));
                if file(&output).is_some_and(|file| inputs.contains(&file)) {
                    return Err(Fault::OntoImage { image: image.path.clone(), output });
                }
            }
        }
        Ok(())
    }

    fn is_done(&self, image: &Image) -> bool {
        let Some(Outcome::Predicted(predicted)) = self.known.get(&image.name).map(|answer| &answer.outcome) else {
            return false;
        };
        let is_there = |output: &Output| {
            let file = fs::metadata(self.path.join(output.file(&image.name)));
            predicted.outputs.contains(output) && file.is_ok_and(|file| file.len() > 0)
        };
        self.outputs.iter().all(is_there) && is_same(&image.path, predicted)
    }

    /// Removes the outputs of an image that was predicted before.
    pub fn forget(&self, answer: &Answer) {
        if let Some(Outcome::Predicted(predicted)) = self.known.get(&answer.name).map(|answer| &answer.outcome) {
            for output in &predicted.outputs {
                // One that can't be removed stays; the table and the message say that the image has no prediction.
                let _ = fs::remove_file(self.path.join(output.file(&answer.name)));
            }
        }
    }

    /// What was answered for its images.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn answers(&self) -> Result<Answers, super::Error> {
        let all = read_answers(&self.own())?;
        Ok(Answers { new: all.iter().skip(self.answered).cloned().collect(), last: last(all) })
    }
}

/// Whether a folder holds predictions.
pub fn is_of_predictions(path: &Path) -> bool {
    path.join(OWN).is_dir()
}

/// The description of a folder; `None`: it has none, or doesn't exist.
fn look(path: &Path) -> Result<Option<Description>, super::Error> {
    #[derive(Deserialize)]
    struct Any {
        format: u32,
    }
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_dir()) {
        return Err(Fault::NoFolder { path: path.to_owned() }.into());
    }
    let file = path.join(DESCRIPTION);
    let text = match plain::read(&file) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(io_error("read", &file)(error)),
    };
    match (serde_json::from_slice(&text), serde_json::from_slice(&text)) {
        (Ok(Any { format: FORMAT }), Ok(description)) => Ok(Some(description)),
        (Ok(_), _) => Err(Fault::Version { path: path.to_owned() }.into()),
        // Somebody else's file of this name.
        (Err(_), _) => Ok(None),
    }
}

fn is_empty(path: &Path) -> io::Result<bool> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// What of the folder's predictions differs from what is wanted, in words.
fn difference(other: &Description, name: &str, wanted: &Settings) -> String {
    let had = &other.settings;
    let size = |size: Option<[u32; 2]>| size.map_or("its own size".to_owned(), |[w, h]| format!("{w} × {h}"));
    if had.network != wanted.network {
        return format!("by another network (`{}`, now `{name}`, or the same trained again)", other.name);
    }
    if (had.size, had.scaling) != (wanted.size, wanted.scaling) {
        return format!("of images seen at {}, now at {}", size(had.size), size(wanted.size));
    }
    if had.flip_test != wanted.flip_test {
        return "with another --flip-test".to_owned();
    }
    if (had.classes.as_slice(), had.colours.as_slice()) != (&wanted.classes, &wanted.colours) {
        return "with other names or colours of the classes".to_owned();
    }
    format!(
        "with another window ({:?} every {:?}, now {:?} every {:?})",
        had.window, had.stride, wanted.window, wanted.stride
    )
}

/// Whether an image is still what was predicted: by its size and time, else by its content.
fn is_same(path: &Path, predicted: &Predicted) -> bool {
    let Ok(file) = Stat::of(path) else { return false };
    stamp(&file) == predicted.stamp
        || file.size == predicted.stamp.0
            && Digest::of_file(path).is_ok_and(|(digest, _)| FileDigest(digest) == predicted.digest)
}

/// By name; a later answer replaces an earlier one.
fn last(answers: Vec<Answer>) -> BTreeMap<String, Answer> {
    answers.into_iter().map(|answer| (answer.name.clone(), answer)).collect()
}

/// The answers in a folder of own files, in order. Cuts off a line that a kill has left incomplete, as the next would be appended to it.
fn read_answers(own: &Path) -> Result<Vec<Answer>, super::Error> {
    let path = own.join(ANSWERS);
    let text = match plain::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error("read", &path)(error)),
    };
    let complete = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    if complete < text.len() {
        let cut = File::options().write(true).open(&path).and_then(|file| file.set_len(complete as u64));
        cut.map_err(io_error("write", &path))?;
    }
    let lines = text[..complete].split(|byte| *byte == b'\n');
    // An unreadable line, after a power cut say, is an image that is predicted again.
    Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

fn gone(error: io::Error) -> io::Result<()> {
    if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests;
